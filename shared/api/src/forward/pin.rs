//! Which process takes the requests of a session: the same one as long as it is there.

use sha2::{Digest as _, Sha256};

use super::Target;

/// The targets from the most to the least preferred for `key`, by rendezvous hashing: when one goes away, only its own keys move.
pub(super) fn by_preference(mut targets: Vec<Target>, key: &str) -> Vec<Target> {
    targets.sort_by_cached_key(|target| std::cmp::Reverse(weight(&target.name, key)));
    targets
}

/// How strongly a process of this name attracts a key: the one with the greatest weight has it.
pub fn weight(name: &str, key: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(name.len().to_le_bytes());
    hash.update(name);
    hash.update(key);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(names: &[&str]) -> Vec<Target> {
        names
            .iter()
            .map(|name| Target {
                name: (*name).to_owned(),
                address: "127.0.0.1:1".to_owned(),
            })
            .collect()
    }

    fn first(names: &[&str], key: &str) -> String {
        by_preference(targets(names), key)[0].name.clone()
    }

    #[test]
    fn a_process_that_goes_away_moves_only_its_own_keys() {
        let mut counts = [0; 3];
        for key in (0..300).map(|i| format!("token{i}")) {
            let all = first(&["a", "b", "c"], &key);
            assert_eq!(
                all,
                first(&["c", "a", "b"], &key),
                "the order of the registry does not matter"
            );
            if all != "c" {
                assert_eq!(all, first(&["a", "b"], &key));
            }
            counts[usize::from(all.as_bytes()[0] - b'a')] += 1;
        }
        assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    }
}
