//! Shapes of the state trie compared: the time to change and to read a key, and (printed once) the bytes a change writes and the nodes a read visits.

use std::{cell::Cell, collections::BTreeMap, hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use plexus_core::{
    ids::{EventNid, NodeId, StateKeyNid},
    state::{Node, Shape, change, diff, get_shaped},
};

const SHAPES: [Shape; 6] = [
    Shape { bits: 3, leaf_max: 8 },
    Shape { bits: 3, leaf_max: 16 },
    Shape { bits: 4, leaf_max: 8 },
    Shape { bits: 4, leaf_max: 16 },
    Shape { bits: 4, leaf_max: 32 },
    Shape { bits: 5, leaf_max: 32 },
];
const SIZES: [i64; 3] = [20, 1_000, 100_000];

struct Trie {
    nodes: BTreeMap<NodeId, Arc<Node>>,
    root: NodeId,
    next: NodeId,
}

fn built(shape: Shape, size: i64) -> Trie {
    let changes: Vec<_> = (1..=size)
        .map(|key| (StateKeyNid(3 * key), Some(EventNid(1_000_000 + key))))
        .collect();
    let mut next = NodeId(1);
    let made =
        change(shape, NodeId::EMPTY, &changes, &|_| None, &mut next).expect("nothing is missing in an empty trie");
    Trie {
        nodes: made.new_nodes.into_iter().collect(),
        root: made.root,
        next,
    }
}

fn report(shape: Shape, size: i64, trie: &Trie) {
    let nodes = |id| trie.nodes.get(&id).cloned();
    let (mut written, mut new_nodes, reads) = (0_i64, 0_i64, Cell::new(0_i64));
    for key in 1..=size.min(1000) {
        let mut next = trie.next;
        let changed = change(
            shape,
            trie.root,
            &[(StateKeyNid(3 * key), Some(EventNid(2_000_000)))],
            &nodes,
            &mut next,
        )
        .expect("all there");
        new_nodes += i64::try_from(changed.new_nodes.len()).expect("a few");
        written += changed
            .new_nodes
            .iter()
            .map(|(_, node)| i64::try_from(node.encode().len()).expect("small"))
            .sum::<i64>();
        let counted = |id| {
            reads.set(reads.get() + 1);
            nodes(id)
        };
        get_shaped(shape, trie.root, StateKeyNid(3 * key), &counted).expect("all there");
    }
    let of = size.min(1000);
    println!(
        "{shape:?} of {size}: {} bytes in {} nodes per 100 changes, {} nodes per 100 reads, {} nodes in all",
        100 * written / of,
        100 * new_nodes / of,
        100 * reads.get() / of,
        trie.nodes.len(),
    );
}

fn shapes(c: &mut Criterion) {
    for size in SIZES {
        let mut group = c.benchmark_group(format!("state of {size}"));
        for shape in SHAPES {
            let trie = built(shape, size);
            report(shape, size, &trie);
            let nodes = |id| trie.nodes.get(&id).cloned();
            let name = format!("{}/{}", 1 << shape.bits, shape.leaf_max);
            let key = StateKeyNid(3 * (size / 2));
            let mut next = trie.next;
            let changed = change(shape, trie.root, &[(key, Some(EventNid(7)))], &nodes, &mut next).expect("all there");
            let both: BTreeMap<_, _> = trie
                .nodes
                .iter()
                .map(|(id, node)| (*id, node.clone()))
                .chain(changed.new_nodes)
                .collect();
            group.bench_function(BenchmarkId::new("change", &name), |b| {
                b.iter(|| {
                    let mut next = trie.next;
                    change(
                        shape,
                        trie.root,
                        black_box(&[(key, Some(EventNid(7)))]),
                        &nodes,
                        &mut next,
                    )
                });
            });
            group.bench_function(BenchmarkId::new("get", &name), |b| {
                b.iter(|| get_shaped(shape, trie.root, black_box(key), &nodes));
            });
            group.bench_function(BenchmarkId::new("diff", &name), |b| {
                b.iter(|| diff(trie.root, black_box(changed.root), &|id| both.get(&id).cloned()));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, shapes);
criterion_main!(benches);
