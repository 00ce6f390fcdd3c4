//! Patterns with `*` for any text and `?` for any character, matched whole or on words.
//!
//! Each piece between two `*` is taken where it comes first: if any choice matches, that one does. So nothing is tried twice, and the time is bounded by the
//! length of the text times that of the pattern, whatever either says.

/// A compiled pattern, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    /// What is between the `*`, in order; the first and last are empty if the pattern begins or ends with one.
    pieces: Vec<Vec<char>>,
}

impl Glob {
    pub(crate) fn compile(pattern: &str) -> Self {
        let lower = pattern.to_lowercase();
        let mut pieces: Vec<Vec<char>> = lower.split('*').map(|piece| piece.chars().collect()).collect();
        let last = pieces.len() - 1;
        let mut at = 0;
        // `**` is `*`.
        pieces.retain(|piece| {
            at += 1;
            at == 1 || at == last + 1 || !piece.is_empty()
        });
        Self { pieces }
    }

    /// A pattern in which nothing has a meaning of its own, but for `?`.
    pub(crate) fn literal(text: &str) -> Self {
        Self {
            pieces: vec![text.to_lowercase().chars().collect()],
        }
    }

    /// Whether the whole text fits. The text is in lower case.
    pub(crate) fn matches(&self, text: &[char]) -> bool {
        let (first, rest) = self.pieces.split_first().expect("splitting gives at least one piece");
        if !fits(first, text, 0) {
            return false;
        }
        let Some((last, middle)) = rest.split_last() else {
            return first.len() == text.len();
        };
        let Some(at) = find_all(middle, text, first.len()) else {
            return false;
        };
        let end = text.len().checked_sub(last.len());
        end.is_some_and(|end| end >= at && fits(last, text, end))
    }

    /// Whether some part of the text fits that begins and ends where words do. The text is in lower case.
    pub(crate) fn matches_words(&self, text: &[char]) -> bool {
        let (first, rest) = self.pieces.split_first().expect("splitting gives at least one piece");
        let starts = (0..=text.len()).filter(|at| is_boundary(text, *at));
        let mut fitting = starts.filter(|at| fits(first, text, *at));
        let Some((last, middle)) = rest.split_last() else {
            return fitting.any(|at| is_boundary(text, at + first.len()));
        };
        // The first place leaves the most for the rest.
        let Some(start) = fitting.next() else {
            return false;
        };
        let Some(at) = find_all(middle, text, start + first.len()) else {
            return false;
        };
        (at..=text.len()).any(|at| fits(last, text, at) && is_boundary(text, at + last.len()))
    }
}

/// Finds the pieces one after the other; the place behind the last one.
fn find_all(pieces: &[Vec<char>], text: &[char], from: usize) -> Option<usize> {
    let mut at = from;
    for piece in pieces {
        let found = (at..=text.len()).find(|at| fits(piece, text, *at))?;
        at = found + piece.len();
    }
    Some(at)
}

fn fits(piece: &[char], text: &[char], at: usize) -> bool {
    let Some(there) = text.get(at..at + piece.len()) else {
        return false;
    };
    piece
        .iter()
        .zip(there)
        .all(|(wanted, found)| *wanted == '?' || wanted == found)
}

/// Whether a word begins or ends between two characters: not inside of one.
fn is_boundary(text: &[char], at: usize) -> bool {
    let is_word = |at: Option<usize>| {
        at.and_then(|at| text.get(at))
            .is_some_and(|found| found.is_ascii_alphanumeric() || *found == '_')
    };
    !(is_word(at.checked_sub(1)) && is_word(Some(at)))
}
