use std::{
    convert::Infallible,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
};

use futures_util::poll;
use tokio::sync::oneshot;

use super::*;

type Numbers = Changing<u8, Arc<Vec<u64>>>;

fn numbers(max_bytes: u64) -> Numbers {
    Changing::new(bounded(max_bytes, 100, |_, numbers| numbers.len() as u64 * 8))
}

/// A load that ends when the test says so.
async fn slow(answer: oneshot::Receiver<u64>) -> Result<Arc<Vec<u64>>, Infallible> {
    Ok(Arc::new(vec![answer.await.expect("the test answers")]))
}

async fn now(cache: &Numbers, key: u8, value: u64) -> Vec<u64> {
    let loaded = cache
        .get_or_load(&key, || async { Ok::<_, Infallible>(Arc::new(vec![value])) })
        .await;
    loaded.expect("it cannot fail").to_vec()
}

#[tokio::test]
async fn readers_share_one_load() {
    let cache = numbers(10_000);
    let loads = AtomicU64::new(0);
    let (answer, question) = oneshot::channel();
    let mut first = pin!(cache.get_or_load(&1, || {
        loads.fetch_add(1, Ordering::Relaxed);
        slow(question)
    }));
    assert!(poll!(&mut first).is_pending());
    let mut second = pin!(now(&cache, 1, 99));
    assert!(poll!(&mut second).is_pending());
    answer.send(5).expect("the load waits");
    assert_eq!(*first.await.expect("it cannot fail"), [5]);
    assert_eq!(second.await, [5]);
    assert_eq!(now(&cache, 1, 99).await, [5]);
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_load_that_a_row_overtakes_is_used_once_and_not_kept() {
    for overtake in [Numbers::forget, |cache: &Numbers, key: &u8| {
        cache.change(key, |_| panic!("nothing is kept"));
    }] {
        let cache = numbers(10_000);
        let (answer, question) = oneshot::channel();
        let mut before = pin!(cache.get_or_load(&1, || slow(question)));
        assert!(poll!(&mut before).is_pending());
        overtake(&cache, &1);
        // Who asks after the row gets a load of his own, while the old one is still under way.
        assert_eq!(now(&cache, 1, 2).await, [2]);
        answer.send(1).expect("the load waits");
        assert_eq!(*before.await.expect("it cannot fail"), [1]);
        assert_eq!(now(&cache, 1, 3).await, [2]);
    }
}

#[tokio::test]
async fn a_row_for_another_key_does_not_mark_a_load() {
    let cache = numbers(10_000);
    let (answer, question) = oneshot::channel();
    let mut load = pin!(cache.get_or_load(&1, || slow(question)));
    assert!(poll!(&mut load).is_pending());
    cache.forget(&2);
    answer.send(1).expect("the load waits");
    load.await.expect("it cannot fail");
    assert_eq!(now(&cache, 1, 3).await, [1]);
}

#[tokio::test]
async fn forgetting_all_marks_every_load() {
    let cache = numbers(10_000);
    now(&cache, 2, 7).await;
    let (answer, question) = oneshot::channel();
    let mut load = pin!(cache.get_or_load(&1, || slow(question)));
    assert!(poll!(&mut load).is_pending());
    cache.forget_all();
    answer.send(1).expect("the load waits");
    load.await.expect("it cannot fail");
    assert_eq!((now(&cache, 1, 3).await, now(&cache, 2, 8).await), (vec![3], vec![8]));
}

#[tokio::test]
async fn a_value_made_from_a_row_beats_the_load_it_overtook() {
    let cache = numbers(10_000);
    let (answer, question) = oneshot::channel();
    let mut load = pin!(cache.get_or_load(&1, || slow(question)));
    assert!(poll!(&mut load).is_pending());
    cache.change_or_make(&1, |_| panic!("nothing is kept"), || Arc::new(vec![9]));
    answer.send(1).expect("the load waits");
    load.await.expect("it cannot fail");
    assert_eq!(now(&cache, 1, 3).await, [9]);
}

#[tokio::test]
async fn another_reader_takes_over_when_the_loading_one_goes_away() {
    let cache = numbers(10_000);
    let (_answer, question) = oneshot::channel();
    let mut first = Box::pin(cache.get_or_load(&1, || slow(question)));
    assert!(poll!(&mut first).is_pending());
    let mut second = pin!(now(&cache, 1, 2));
    assert!(poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await, [2]);
    assert!(cache.loads().is_empty());
}

#[tokio::test]
async fn nothing_is_left_of_a_load_that_nobody_waits_for_or_that_failed() {
    let cache = numbers(10_000);
    let (_answer, question) = oneshot::channel();
    let mut only = Box::pin(cache.get_or_load(&1, || slow(question)));
    assert!(poll!(&mut only).is_pending());
    assert_eq!(cache.loads().len(), 1);
    drop(only);
    assert!(cache.loads().is_empty());

    let failed = cache.get_or_load(&1, || async { Err("no database") }).await;
    assert_eq!(failed, Err("no database"));
    assert!(cache.loads().is_empty());
    assert_eq!(now(&cache, 1, 4).await, [4]);
}

#[tokio::test]
async fn a_value_is_changed_in_place_unless_a_reader_holds_it() {
    let cache = numbers(10_000);
    now(&cache, 1, 1).await;
    let address = |cache: &Numbers| Arc::as_ptr(&cache.get(&1).expect("it is kept"));
    let before = address(&cache);
    cache.change(&1, |numbers| Arc::make_mut(numbers).push(2));
    assert_eq!(address(&cache), before);
    let held = cache.get(&1).expect("it is kept");
    cache.change(&1, |numbers| Arc::make_mut(numbers).push(3));
    assert_eq!((&**held, &*now(&cache, 1, 0).await), (&[1, 2][..], &[1, 2, 3][..]));
}

#[tokio::test]
async fn the_bound_holds_for_values_that_grow() {
    let cache = numbers(64_000);
    for key in 0..=u8::MAX {
        now(&cache, key, 1).await;
        cache.change(&key, |numbers| Arc::make_mut(numbers).resize(200, 0));
    }
    let used = cache.usage("numbers");
    assert!(used.bytes <= used.max_bytes, "{used:?}");
    assert!((10..60).contains(&used.entries), "{used:?}");
}

#[tokio::test]
async fn what_is_kept_may_not_be_enough() {
    let cache = numbers(10_000);
    now(&cache, 1, 1).await;
    let longer = |numbers: &Arc<Vec<u64>>| numbers.len() > 1;
    let load = || async { Ok::<_, Infallible>(Arc::new(vec![1, 2])) };
    assert_eq!(
        *cache.get_if_or_load(&1, longer, load).await.expect("it cannot fail"),
        [1, 2]
    );
    assert_eq!(now(&cache, 1, 9).await, [1, 2]);
    let mut kept = pin!(cache.get_if_or_load(&1, longer, std::future::pending::<Result<_, Infallible>>));
    assert!(matches!(poll!(&mut kept), Poll::Ready(Ok(_))));
}
