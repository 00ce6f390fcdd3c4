//! Places in the log.
//!
//! Each writer has a chain of its own, numbered without holes. A [`Position`] says how far a reader has come on every chain.

use std::{cmp::Ordering, fmt, str::FromStr};

use smallvec::SmallVec;

/// Who appends to a chain of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub u16);

impl WriterId {
    /// The master that owns every room until rooms are sharded over writers.
    pub const MASTER: Self = Self(1);
}

/// A number on one writer's chain. The first row has number 1; 0 is the place before it.
pub type Sequence = i64;

/// The term of a leader. A higher epoch deposes every lower one.
pub type Epoch = i64;

/// Most writers one position may name: bounds what a token from outside can make us allocate.
pub const WRITERS_MAX: usize = 16;

/// How far along every chain a reader is. A chain that is not named stands at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position(SmallVec<[(WriterId, Sequence); 1]>);

impl Position {
    /// A position on one chain.
    pub fn at(writer: WriterId, sequence: Sequence) -> Self {
        let mut position = Self::default();
        position.advance(writer, sequence);
        position
    }

    /// The place on `writer`'s chain.
    pub fn get(&self, writer: WriterId) -> Sequence {
        self.0
            .iter()
            .find(|(w, _)| *w == writer)
            .map_or(0, |(_, sequence)| *sequence)
    }

    /// Moves one chain forward; a smaller sequence changes nothing.
    pub fn advance(&mut self, writer: WriterId, sequence: Sequence) {
        match self.0.binary_search_by_key(&writer, |(w, _)| *w) {
            Ok(at) => self.0[at].1 = self.0[at].1.max(sequence),
            Err(at) if sequence > 0 => self.0.insert(at, (writer, sequence)),
            Err(_) => {}
        }
    }

    /// Every chain that has moved from its start.
    pub fn writers(&self) -> impl Iterator<Item = (WriterId, Sequence)> + '_ {
        self.0.iter().copied()
    }

    /// Whether this position is at or past `other` on every chain.
    pub fn has_reached(&self, other: &Self) -> bool {
        other.writers().all(|(writer, sequence)| self.get(writer) >= sequence)
    }

    /// The lower of the two on every chain.
    #[must_use]
    pub fn clamped_to(&self, bound: &Self) -> Self {
        let mut clamped = Self::default();
        for (writer, sequence) in self.writers() {
            clamped.advance(writer, sequence.min(bound.get(writer)));
        }
        clamped
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self.has_reached(other), other.has_reached(self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        }
    }
}

impl fmt::Display for Position {
    /// `writer~sequence` pairs joined by `.`; the start of the log is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (writer, sequence)) in self.writers().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{}~{sequence}", writer.0)?;
        }
        Ok(())
    }
}

/// The text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position: expected writer~sequence pairs joined by '.'")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut position = Self::default();
        if text.is_empty() {
            return Ok(position);
        }
        for pair in text.split('.') {
            let (writer, sequence) = pair.split_once('~').ok_or(InvalidPosition)?;
            let writer = WriterId(writer.parse().map_err(|_| InvalidPosition)?);
            let sequence: Sequence = sequence.parse().map_err(|_| InvalidPosition)?;
            let known = position.writers().any(|(w, _)| w == writer);
            if sequence <= 0 || known || position.0.len() == WRITERS_MAX {
                return Err(InvalidPosition);
            }
            position.advance(writer, sequence);
        }
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let mut position = Position::at(WriterId(2), 40);
        position.advance(WriterId(1), 7);
        assert_eq!(position.to_string(), "1~7.2~40");
        assert_eq!("1~7.2~40".parse(), Ok(position));
        assert_eq!("".parse(), Ok(Position::default()));
    }

    #[test]
    fn bad_text_is_refused() {
        for text in [
            "1",
            "1~",
            "~1",
            "1~0",
            "1~-4",
            "1~2.1~3",
            "1~9223372036854775808",
            "70000~1",
            "1~1.",
        ] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
        let many: Vec<String> = (0..=WRITERS_MAX).map(|w| format!("{w}~1")).collect();
        assert_eq!(many.join(".").parse::<Position>(), Err(InvalidPosition));
    }

    #[test]
    fn positions_on_several_chains_are_partly_ordered() {
        let left = Position::at(WriterId(1), 5);
        let right = Position::at(WriterId(2), 5);
        assert_eq!(left.partial_cmp(&right), None);
        assert!(!left.has_reached(&right));
        let mut both = left.clone();
        both.advance(WriterId(2), 9);
        assert!(both > left && both > right);
        assert_eq!(both.clamped_to(&left), left);
    }
}
