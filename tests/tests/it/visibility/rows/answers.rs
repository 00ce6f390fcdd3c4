//! What the rules say of an answer, in the words that have to be in it and those that must not.

use super::Answered;
use crate::visibility::{MOMENTS, Moment, Scene, Who};

/// What was said at the moments that `sees` is true for, and nothing of the others. `words`: what stands before the moment's name.
pub(super) fn tells(words: &[&str], sees: impl Fn(Moment) -> bool) -> Answered {
    let (mut shown, mut hidden) = (Vec::new(), Vec::new());
    for moment in MOMENTS {
        let list = if sees(moment) { &mut shown } else { &mut hidden };
        list.extend(words.iter().map(|word| format!("{word}-{moment:?}.")));
    }
    Answered::Tells { shown, hidden }
}

/// Refused, or all that the asker may see of what was said.
pub(super) fn timeline(scene: &Scene, who: Who, words: &[&str]) -> Answered {
    if scene.may_look(who) {
        tells(words, |moment| scene.sees(who, moment))
    } else {
        Answered::Refused(403)
    }
}

/// Something about one event: not found, or it is told.
pub(super) fn of_event(scene: &Scene, who: Who, moment: Moment, word: &str) -> Answered {
    if scene.sees(who, moment) {
        tells(&[word], |told| told == moment)
    } else {
        Answered::Refused(404)
    }
}

/// Refused, or what is so now for those who may know, and what was so when they went for the others.
pub(super) fn of_state(scene: &Scene, who: Who, early: Option<&str>, late: &str) -> Answered {
    if !scene.may_look(who) {
        return Answered::Refused(403);
    }
    let early: Vec<String> = early.map(str::to_owned).into_iter().collect();
    let late = vec![late.to_owned()];
    let (shown, hidden) = if scene.reads_now(who) {
        (late, early)
    } else {
        (early, late)
    };
    Answered::Tells { shown, hidden }
}

pub(super) fn own_rooms(shown: &[&str], hidden: &[&str]) -> Answered {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Answered::Tells {
        shown: owned(shown),
        hidden: owned(hidden),
    }
}

/// The same answer, of which nothing need be shown.
pub(super) fn no_more(answer: Answered) -> Answered {
    match answer {
        Answered::Tells { hidden, .. } => Answered::Tells {
            shown: Vec::new(),
            hidden,
        },
        refused @ Answered::Refused(_) => refused,
    }
}

/// Where anybody may knock, anybody may know what the room is called; nothing that was said in it.
pub(super) fn knockers_view(scene: &Scene) -> Answered {
    let Answered::Tells { hidden, .. } = tells(&["said", "reply"], |_| false) else {
        return Answered::Refused(403);
    };
    Answered::Tells {
        shown: vec!["topic-late".to_owned(), scene.room.clone()],
        hidden,
    }
}
