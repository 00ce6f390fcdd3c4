//! Who may see an event: history visibility and membership.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility>

use crate::row::Membership;

/// What `m.room.history_visibility` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HistoryVisibility {
    /// Anybody sees it, in the room or not.
    WorldReadable,
    /// Members see all of it, from before they joined too. What holds where nothing valid is said.
    #[default]
    Shared,
    /// Members see it from when they were invited.
    Invited,
    /// Members see it from when they joined.
    Joined,
}

impl HistoryVisibility {
    /// Reads the word in the event's content; a word the specification does not know counts as the default.
    pub fn from_content(word: &str) -> Self {
        match word {
            "world_readable" => Self::WorldReadable,
            "invited" => Self::Invited,
            "joined" => Self::Joined,
            _ => Self::Shared,
        }
    }
}

/// What decides, in one state of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What history visibility was then.
    pub visibility: HistoryVisibility,
    /// What the user was to the room then.
    pub membership: Option<Membership>,
}

/// Whether a user sees an event sent into the room when it was as in `before`.
///
/// `after` is given for events that change history visibility or the user's own membership: either state may allow those. `joined_later`: the user
/// joined the room at some time after the event.
pub fn may_see(before: Sight, after: Option<Sight>, joined_later: bool) -> bool {
    [Some(before), after]
        .into_iter()
        .flatten()
        .any(|sight| allows(sight, joined_later))
}

fn allows(sight: Sight, joined_later: bool) -> bool {
    if sight.membership == Some(Membership::Join) {
        return true;
    }
    match sight.visibility {
        HistoryVisibility::WorldReadable => true,
        HistoryVisibility::Shared => joined_later,
        HistoryVisibility::Invited => sight.membership == Some(Membership::Invite),
        HistoryVisibility::Joined => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_specification() {
        use HistoryVisibility::{Invited, Joined, Shared, WorldReadable};
        let memberships = [
            None,
            Some(Membership::Invite),
            Some(Membership::Leave),
            Some(Membership::Ban),
            Some(Membership::Knock),
        ];
        for visibility in [WorldReadable, Shared, Invited, Joined] {
            for joined_later in [false, true] {
                let sight = |membership| Sight { visibility, membership };
                assert!(may_see(sight(Some(Membership::Join)), None, joined_later));
                for membership in memberships {
                    let expected = match visibility {
                        WorldReadable => true,
                        Shared => joined_later,
                        Invited => membership == Some(Membership::Invite),
                        Joined => false,
                    };
                    assert_eq!(
                        may_see(sight(membership), None, joined_later),
                        expected,
                        "{visibility:?} {membership:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_change_is_seen_by_who_may_see_either_side_of_it() {
        let hidden = Sight {
            visibility: HistoryVisibility::Joined,
            membership: Some(Membership::Invite),
        };
        let joined = Sight {
            membership: Some(Membership::Join),
            ..hidden
        };
        assert!(!may_see(hidden, None, false));
        assert!(may_see(hidden, Some(joined), false));
        assert!(may_see(joined, Some(hidden), false));
    }

    #[test]
    fn unknown_words_are_the_default() {
        assert_eq!(HistoryVisibility::from_content("everyone"), HistoryVisibility::Shared);
        assert_eq!(
            HistoryVisibility::from_content("world_readable"),
            HistoryVisibility::WorldReadable
        );
    }
}
