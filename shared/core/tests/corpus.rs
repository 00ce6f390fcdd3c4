//! The corpora of the fuzz targets, replayed: what the fuzzer once found interesting stays right, without a fuzzer.

use std::{fs, path::Path};

#[path = "../fuzz/checks.rs"]
mod checks;

/// Runs a check on everything that is kept for it, in the order of names; gives the inputs.
fn replay(name: &str, check: fn(&[u8])) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).expect("there is a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    let inputs: Vec<_> = paths.iter().map(|path| fs::read(path).expect("readable")).collect();
    for (path, input) in paths.iter().zip(&inputs) {
        let checked = std::panic::catch_unwind(|| check(input));
        assert!(checked.is_ok(), "{}", path.display());
    }
    inputs
}

#[test]
fn canonical_json() {
    use plexus_core::{event::canonical::canonical_object, room_version::Numbers};
    let inputs = replay("canonical_json", checks::canonical_json);
    let read = inputs
        .iter()
        .filter(|input| canonical_object(input, Numbers::Lenient).is_ok())
        .count();
    assert!(read >= 20 && inputs.len() - read >= 20, "{read} of {}", inputs.len());
}

#[test]
fn events() {
    use plexus_core::{event::EventBody, room_version::RoomVersion};
    let inputs = replay("event", checks::event);
    for (index, version) in RoomVersion::ALL.into_iter().enumerate() {
        let of_version = inputs
            .iter()
            .filter(|input| input.first().is_some_and(|first| usize::from(*first) % 12 == index));
        let (good, bad): (Vec<_>, Vec<_>) =
            of_version.partition(|input| EventBody::parse(&input[1..], version.rules()).is_ok());
        assert!(
            good.len() >= 3 && !bad.is_empty(),
            "{version}: {} and {}",
            good.len(),
            bad.len()
        );
    }
}

#[test]
fn redaction() {
    assert!(replay("redaction", checks::redaction).len() >= 50);
}
