//! Power levels: what users have and what actions need.
//!
//! Levels are looked up in the text of the event when they are asked for; nothing is collected. A malformed level that
//! an old room version let through is an error for whoever needs it, and for nobody else.

use std::collections::BTreeMap;

use super::{AuthError, Creators};
use crate::{
    event::{EventBody, json},
    room_version::{LevelFormat, RoomVersionRules},
};

/// The level of a room's creator while the room has no `m.room.power_levels`.
const CREATOR_WITHOUT_LEVELS: i64 = 100;

/// The level that notifying a whole room needs, unless the room says otherwise.
const DEFAULT_NOTIFICATION: i64 = 50;

/// The power a user has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserLevel {
    /// A number.
    Finite(i64),
    /// Above every number: a creator, in the versions in which they are.
    Creator,
}

impl PartialEq<i64> for UserLevel {
    fn eq(&self, level: &i64) -> bool {
        *self == Self::Finite(*level)
    }
}

impl PartialOrd<i64> for UserLevel {
    fn partial_cmp(&self, level: &i64) -> Option<std::cmp::Ordering> {
        self.partial_cmp(&Self::Finite(*level))
    }
}

/// The levels that stand by themselves in `m.room.power_levels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Of users who are not listed.
    UsersDefault,
    /// Needed for messages of types that are not listed.
    EventsDefault,
    /// Needed for state of types that are not listed.
    StateDefault,
    /// Needed to ban and unban.
    Ban,
    /// Needed to redact other users' events.
    Redact,
    /// Needed to remove users.
    Kick,
    /// Needed to invite.
    Invite,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 7] = [
        Self::UsersDefault,
        Self::EventsDefault,
        Self::StateDefault,
        Self::Ban,
        Self::Redact,
        Self::Kick,
        Self::Invite,
    ];

    /// The property of `m.room.power_levels`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UsersDefault => "users_default",
            Self::EventsDefault => "events_default",
            Self::StateDefault => "state_default",
            Self::Ban => "ban",
            Self::Redact => "redact",
            Self::Kick => "kick",
            Self::Invite => "invite",
        }
    }

    /// What holds where the event does not say, or is not there.
    pub const fn default(self) -> i64 {
        match self {
            Self::UsersDefault | Self::EventsDefault | Self::Invite => 0,
            Self::StateDefault | Self::Ban | Self::Redact | Self::Kick => 50,
        }
    }
}

/// The power levels of a room in some state.
#[derive(Clone, Copy, Debug)]
pub struct PowerLevels<'a> {
    format: LevelFormat,
    creators: Creators<'a>,
    /// None if the room has no `m.room.power_levels`.
    properties: Option<Properties<'a>>,
}

/// The properties of `m.room.power_levels`, found in one walk over its content.
#[derive(Clone, Copy, Debug, Default)]
struct Properties<'a> {
    /// In the order of [`Level::ALL`].
    levels: [Option<&'a str>; Level::ALL.len()],
    events: Option<&'a str>,
    notifications: Option<&'a str>,
    users: Option<&'a str>,
}

impl<'a> Properties<'a> {
    fn scan(content: &'a str) -> Self {
        let mut properties = Self::default();
        for member in json::members(content) {
            match member.raw_key {
                "events" => properties.events = Some(member.value),
                "notifications" => properties.notifications = Some(member.value),
                "users" => properties.users = Some(member.value),
                key => {
                    let index = Level::ALL.iter().position(|level| level.as_str() == key);
                    if let Some(slot) = index.and_then(|index| properties.levels.get_mut(index)) {
                        *slot = Some(member.value);
                    }
                }
            }
        }
        properties
    }
}

/// The properties that have levels of their own by name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    Events,
    Notifications,
    Users,
}

impl<'a> PowerLevels<'a> {
    /// The levels that the room's `m.room.power_levels` sets, or the defaults if it has none.
    pub fn read(rules: &RoomVersionRules, create: &'a EventBody, event: Option<&'a EventBody>) -> Self {
        Self {
            format: rules.auth.levels,
            creators: Creators::read(rules, create),
            properties: event.map(|event| Properties::scan(event.content())),
        }
    }

    /// The power of a user.
    pub fn user_level(&self, user: &str) -> Result<UserLevel, AuthError> {
        if self.creators.are_above_levels() && self.creators.contains(user) {
            return Ok(UserLevel::Creator);
        }
        let level = match self.properties {
            None if self.creators.contains(user) => CREATOR_WITHOUT_LEVELS,
            None => Level::UsersDefault.default(),
            Some(_) => match self.entry(Named::Users, user)? {
                Some(level) => level,
                None => self.level(Level::UsersDefault)?,
            },
        };
        Ok(UserLevel::Finite(level))
    }

    /// The level needed to send an event of a type.
    pub fn event_level(&self, kind: &str, is_state: bool) -> Result<i64, AuthError> {
        match self.entry(Named::Events, kind)? {
            Some(level) => Ok(level),
            None => self.level(if is_state {
                Level::StateDefault
            } else {
                Level::EventsDefault
            }),
        }
    }

    /// The level needed for a kind of notification, `room` for one.
    pub fn notification_level(&self, key: &str) -> Result<i64, AuthError> {
        Ok(self.entry(Named::Notifications, key)?.unwrap_or(DEFAULT_NOTIFICATION))
    }

    /// One of the levels that stand by themselves.
    pub fn level(&self, level: Level) -> Result<i64, AuthError> {
        Ok(self.explicit(level)?.unwrap_or(level.default()))
    }

    /// One of the levels that stand by themselves, if the event sets it.
    pub(super) fn explicit(&self, level: Level) -> Result<Option<i64>, AuthError> {
        let value = self.properties.and_then(|properties| properties.levels[level as usize]);
        value.map(|value| self.parse(level.as_str(), value)).transpose()
    }

    /// All levels of `events`, `notifications` or `users`.
    pub(super) fn entries(&self, property: Named) -> Result<BTreeMap<String, i64>, AuthError> {
        let Some(object) = self.object(property)? else {
            return Ok(BTreeMap::new());
        };
        json::members(object)
            .map(|member| {
                let key = json::unescape(member.raw_key).into_owned();
                let level = self.parse(&key, member.value)?;
                Ok((key, level))
            })
            .collect()
    }

    fn entry(&self, property: Named, key: &str) -> Result<Option<i64>, AuthError> {
        let value = self.object(property)?.and_then(|object| json::get(object, key));
        value.map(|value| self.parse(key, value)).transpose()
    }

    fn object(&self, property: Named) -> Result<Option<&'a str>, AuthError> {
        let Some(properties) = self.properties else {
            return Ok(None);
        };
        let (name, value) = match property {
            Named::Events => ("events", properties.events),
            Named::Notifications => ("notifications", properties.notifications),
            Named::Users => ("users", properties.users),
        };
        match value {
            Some(value) if !json::is_object(value) => Err(AuthError::InvalidLevel(name.into())),
            other => Ok(other),
        }
    }

    fn parse(&self, name: &str, value: &str) -> Result<i64, AuthError> {
        parse_level(value, self.format).ok_or_else(|| AuthError::InvalidLevel(name.into()))
    }
}

/// Reads a power level.
fn parse_level(value: &str, format: LevelFormat) -> Option<i64> {
    if let Some(level) = integer(value) {
        return Some(level);
    }
    match format {
        LevelFormat::Integer => None,
        LevelFormat::IntegerOrString => string_level(value),
        LevelFormat::AnyNumber => string_level(value).or_else(|| float_level(value)),
    }
}

/// An integer within whitespace and quotes, with a sign if it likes.
fn string_level(value: &str) -> Option<i64> {
    let text = json::string(value)?;
    let text = text.trim();
    integer(
        text.strip_prefix('+')
            .filter(|rest| !rest.starts_with('-'))
            .unwrap_or(text),
    )
}

/// Decimal digits with or without a minus; what is beyond all bounds counts as the bound.
fn integer(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if is_negative { i64::MIN } else { i64::MAX }))
}

/// A float, cut off at the point.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cutting off is what the rule says; beyond i64 it saturates"
)]
fn float_level(value: &str) -> Option<i64> {
    let is_number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let level: f64 = is_number.then(|| value.parse().ok()).flatten()?;
    level.is_finite().then_some(level as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_format() {
        use LevelFormat::{AnyNumber, Integer, IntegerOrString};
        let cases = [
            ("50", [Some(50); 3]),
            ("-1", [Some(-1); 3]),
            (r#""50""#, [None, Some(50), Some(50)]),
            (r#"" 0050 ""#, [None, Some(50), Some(50)]),
            (r#""\t+100\n""#, [None, Some(100), Some(100)]),
            (r#"" -100 ""#, [None, Some(-100), Some(-100)]),
            (r#""+-1""#, [None; 3]),
            (r#""++1""#, [None; 3]),
            (r#""- 1""#, [None; 3]),
            (r#""1.5""#, [None; 3]),
            (r#""""#, [None; 3]),
            (r#""a""#, [None; 3]),
            ("50.57", [None, None, Some(50)]),
            ("-50.57", [None, None, Some(-50)]),
            ("51146.98", [None, None, Some(51146)]),
            ("1e+300", [None, None, Some(i64::MAX)]),
            ("99999999999999999999", [Some(i64::MAX); 3]),
            ("null", [None; 3]),
            ("true", [None; 3]),
            ("{}", [None; 3]),
            ("[1]", [None; 3]),
        ];
        for (text, expected) in cases {
            let read = [Integer, IntegerOrString, AnyNumber].map(|format| parse_level(text, format));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn creators_are_above_every_number() {
        assert!(UserLevel::Creator > i64::MAX);
        assert!(UserLevel::Finite(i64::MAX) < UserLevel::Creator);
        assert!(UserLevel::Finite(50) >= 50);
    }
}
