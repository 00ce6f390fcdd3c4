//! The tokens clients hand back to us: what a sync has delivered, and a place in a room's timeline.
//!
//! A token comes from outside, so parsing is total: any text is a token or [`InvalidToken`]. What parsing gives is [`Unreached`]: the process that gets the
//! token may be behind the one that gave it out, and must not answer from the past. Only a process that has applied the token's position can open it.

use std::{fmt, str::FromStr};

use crate::position::{Epoch, Position, Sequence};

/// Longest text that is looked at: bounds what a client can make us parse.
pub const TOKEN_BYTES_MAX: usize = 512;

/// Longest generation.
pub const GENERATION_BYTES_MAX: usize = 64;

/// The text is not a token of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this server")]
pub struct InvalidToken;

/// What the tokens have in common: a place in the log that the answer to them must not fall behind.
pub trait Placed {
    /// The place.
    fn position(&self) -> &Position;
    /// Moves the place.
    fn set_position(&mut self, position: Position);
}

/// A token that this process may not have caught up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached<T>(T);

impl<T: Placed> Unreached<T> {
    /// The place that has to be reached before the token can be used.
    pub fn position(&self) -> &Position {
        self.0.position()
    }

    /// Opens the token, if `applied` has reached it.
    pub fn reached_at(self, applied: &Position) -> Result<T, Self> {
        if applied.has_reached(self.position()) {
            Ok(self.0)
        } else {
            Err(self)
        }
    }

    /// Moves a token from the future back to `head`, which the master must have confirmed. Returns whether it had to move.
    pub fn clamp_to(&mut self, head: &Position) -> bool {
        let clamped = self.position().clamped_to(head);
        let moved = clamped != *self.position();
        self.0.set_position(clamped);
        moved
    }
}

impl Unreached<SyncToken> {
    /// Which history the token is of: that can be known before it is reached.
    pub fn generation(&self) -> &str {
        &self.0.generation
    }
}

/// How far a device has been told what happened: `next_batch` and `since` of a sync.
///
/// As text `s{generation}_{position}_e{epoch}~{sequence}_{to_device}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncToken {
    /// Which history the other numbers count: it changes on restore, copy and import. A token of another one means a sync from the start.
    pub generation: String,
    /// Everything up to here has been delivered.
    pub position: Position,
    /// The same for the ephemeral chain. Another epoch means that all current ephemeral state has to be sent.
    pub ephemeral: (Epoch, Sequence),
    /// The to-device messages up to here have been delivered to this device.
    pub to_device: i64,
}

impl Placed for SyncToken {
    fn position(&self) -> &Position {
        &self.position
    }

    fn set_position(&mut self, position: Position) {
        self.position = position;
    }
}

impl SyncToken {
    /// Whether a text can be the generation of tokens: letters, digits and `-`, at least one and at most [`GENERATION_BYTES_MAX`].
    pub fn is_generation(text: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=GENERATION_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
    }
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (epoch, sequence) = self.ephemeral;
        write!(
            f,
            "s{}_{}_e{epoch}~{sequence}_{}",
            self.generation, self.position, self.to_device
        )
    }
}

impl FromStr for Unreached<SyncToken> {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let [generation, position, ephemeral, to_device] = parts(text, 's')?;
        let (epoch, sequence) = ephemeral
            .strip_prefix('e')
            .and_then(|pair| pair.split_once('~'))
            .ok_or(InvalidToken)?;
        if !SyncToken::is_generation(generation) {
            return Err(InvalidToken);
        }
        Ok(Self(SyncToken {
            generation: generation.to_owned(),
            position: position.parse().map_err(|_| InvalidToken)?,
            ephemeral: (natural(epoch)?, natural(sequence)?),
            to_device: natural(to_device)?,
        }))
    }
}

/// A place in a room's timeline, between two events: `prev_batch`, and `start` and `end` of a page.
///
/// As text `t{order}_{position}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// Events with at most this `room_order` are before the place, all others after it.
    pub order: i64,
    /// How far the process was that gave it out.
    pub position: Position,
}

impl PageToken {
    /// The place right before the event with this `room_order`.
    pub fn before(order: i64, position: Position) -> Self {
        Self {
            order: order.saturating_sub(1),
            position,
        }
    }

    /// The place right after the event with this `room_order`.
    pub fn after(order: i64, position: Position) -> Self {
        Self { order, position }
    }
}

impl Placed for PageToken {
    fn position(&self) -> &Position {
        &self.position
    }

    fn set_position(&mut self, position: Position) {
        self.position = position;
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}_{}", self.order, self.position)
    }
}

impl FromStr for Unreached<PageToken> {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let [order, position] = parts(text, 't')?;
        let order: i64 = order.parse().map_err(|_| InvalidToken)?;
        let position = position.parse().map_err(|_| InvalidToken)?;
        Ok(Self(PageToken { order, position }))
    }
}

/// What a client may page from: a place in the timeline, or what a sync has shown so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageFrom {
    /// `prev_batch` of a sync, or `start` or `end` of a page.
    Page(Unreached<PageToken>),
    /// `next_batch` of a sync.
    Sync(Unreached<SyncToken>),
}

impl FromStr for PageFrom {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        text.parse()
            .map(Self::Page)
            .or_else(|InvalidToken| text.parse().map(Self::Sync))
    }
}

/// The parts of a token between the underscores, exactly as many as wanted.
fn parts<const N: usize>(text: &str, prefix: char) -> Result<[&str; N], InvalidToken> {
    if text.len() > TOKEN_BYTES_MAX {
        return Err(InvalidToken);
    }
    let mut parts = text.strip_prefix(prefix).ok_or(InvalidToken)?.split('_');
    let mut wanted = [""; N];
    for part in &mut wanted {
        *part = parts.next().ok_or(InvalidToken)?;
    }
    if parts.next().is_some() {
        return Err(InvalidToken);
    }
    Ok(wanted)
}

fn natural(text: &str) -> Result<i64, InvalidToken> {
    text.parse().ok().filter(|number| *number >= 0).ok_or(InvalidToken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::position::WriterId;

    fn token() -> SyncToken {
        let position = Position::at(WriterId::MASTER, 20);
        SyncToken {
            generation: "4f-a".to_owned(),
            position,
            ephemeral: (3, 7),
            to_device: 0,
        }
    }

    #[test]
    fn tokens_round_trip() {
        let text = token().to_string();
        assert_eq!(text, "s4f-a_1~20_e3~7_0");
        assert_eq!(text.parse(), Ok(Unreached(token())));
        let empty = SyncToken {
            position: Position::default(),
            ..token()
        };
        assert_eq!(empty.to_string().parse(), Ok(Unreached(empty)));
        let page = PageToken::before(-5, Position::at(WriterId::MASTER, 20));
        assert_eq!(page.to_string(), "t-6_1~20");
        assert_eq!("t-6_1~20".parse(), Ok(Unreached(page.clone())));
        assert_eq!("t-6_1~20".parse(), Ok(PageFrom::Page(Unreached(page))));
        assert_eq!(text.parse(), Ok(PageFrom::Sync(Unreached(token()))));
    }

    #[test]
    fn a_token_opens_where_it_is_reached() {
        let unreached = Unreached(token());
        let behind = Position::at(WriterId::MASTER, 19);
        let mut unreached = unreached.reached_at(&behind).expect_err("one row is missing");
        assert!(!unreached.clamp_to(&Position::at(WriterId::MASTER, 20)));
        assert!(unreached.clamp_to(&behind));
        let opened = unreached.reached_at(&behind).expect("moved back to the head");
        assert_eq!(
            opened,
            SyncToken {
                position: behind,
                ..token()
            }
        );
    }

    #[test]
    fn other_text_is_refused() {
        let foreign = [
            "",
            "s",
            "t",
            "s72594_4483_1934",
            "s_1~20_e3~7_0",
            "sa_1~20_e3~7",
            "sa_1~20_e3~7_0_0",
            "sa_1~20_3~7_0",
        ];
        let broken = [
            "sa_x_e3~7_0",
            "sa_1~20_e-3~7_0",
            "sa_1~20_e3~7_-1",
            "sä_1~20_e3~7_0",
            "sa_1~20_e3~7_9223372036854775808",
        ];
        let long = format!("s{}_1~20_e3~7_0", "a".repeat(GENERATION_BYTES_MAX + 1));
        for text in foreign.into_iter().chain(broken).chain([long.as_str()]) {
            assert_eq!(text.parse::<PageFrom>(), Err(InvalidToken), "{text}");
        }
        for text in [
            "t5",
            "t5_",
            "t_1~20",
            "t5_1~20_0",
            "t5_1~20 ",
            "t9223372036854775808_1~20",
        ] {
            let expected = if text == "t5_" {
                Ok(Unreached(PageToken {
                    order: 5,
                    position: Position::default(),
                }))
            } else {
                Err(InvalidToken)
            };
            assert_eq!(text.parse::<Unreached<PageToken>>(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in "[st][a-c0-9~_.e-]{0,40}|.{0,40}") {
            if let Ok(Unreached(token)) = text.parse::<Unreached<SyncToken>>() {
                prop_assert_eq!(token.to_string().parse(), Ok(Unreached(token)));
            }
            if let Ok(Unreached(token)) = text.parse::<Unreached<PageToken>>() {
                prop_assert_eq!(token.to_string().parse(), Ok(Unreached(token)));
            }
        }
    }
}
