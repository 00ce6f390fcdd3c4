//! Changes of the power levels: nobody gives or takes more than they have.

use std::collections::BTreeMap;

use ruma::UserId;

use super::{AuthError, Creators, Level, PowerLevels, UserLevel, power::Named};
use crate::{
    event::EventBody,
    room_version::{LevelFormat, RoomVersionRules},
};

/// The rules for `m.room.power_levels`, `current` being the one before.
pub(super) fn check(
    rules: &RoomVersionRules,
    create: &EventBody,
    event: &EventBody,
    current: Option<&EventBody>,
) -> Result<(), AuthError> {
    let new = PowerLevels::read(rules, create, Some(event));
    let new_users = new.entries(Named::Users)?;
    check_users(rules, create, &new_users)?;
    if rules.auth.levels == LevelFormat::Integer {
        check_format(&new)?;
    }
    let Some(current) = current else {
        return Ok(());
    };
    let old = PowerLevels::read(rules, create, Some(current));
    let sender_level = old.user_level(event.sender().as_str())?;

    for level in Level::ALL {
        let (before, after) = (old.explicit(level)?, new.explicit(level)?);
        if before != after
            && (sender_level < before.unwrap_or(level.default()) || sender_level < after.unwrap_or(level.default()))
        {
            return Err(AuthError::NoPowerToChange(level.as_str().into()));
        }
    }
    let is_beyond = |_: &str, level| sender_level < level;
    check_entries(
        &old.entries(Named::Events)?,
        &new.entries(Named::Events)?,
        sender_level,
        is_beyond,
    )?;
    if rules.auth.check_notifications {
        let (before, after) = (old.entries(Named::Notifications)?, new.entries(Named::Notifications)?);
        check_entries(&before, &after, sender_level, is_beyond)?;
    }
    // Of equals, one may only demote oneself.
    let is_untouchable = |user: &str, level| user != event.sender() && sender_level <= level;
    check_entries(&old.entries(Named::Users)?, &new_users, sender_level, is_untouchable)
}

/// Keys of `users` are user ids, and not of creators that stand above all levels.
fn check_users(rules: &RoomVersionRules, create: &EventBody, users: &BTreeMap<String, i64>) -> Result<(), AuthError> {
    let creators = Creators::read(rules, create);
    for user in users.keys() {
        if <&UserId>::try_from(user.as_str()).is_err() {
            return Err(AuthError::InvalidLevel(user.as_str().into()));
        }
        if creators.are_above_levels() && creators.contains(user) {
            return Err(AuthError::LevelOfCreator(user.as_str().into()));
        }
    }
    Ok(())
}

/// Every level is an integer.
fn check_format(levels: &PowerLevels<'_>) -> Result<(), AuthError> {
    for level in Level::ALL {
        levels.explicit(level)?;
    }
    levels.entries(Named::Events)?;
    levels.entries(Named::Notifications)?;
    Ok(())
}

/// Checks every entry that was added, changed or removed.
fn check_entries(
    before: &BTreeMap<String, i64>,
    after: &BTreeMap<String, i64>,
    sender_level: UserLevel,
    is_fixed: impl Fn(&str, i64) -> bool,
) -> Result<(), AuthError> {
    let added = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(added) {
        let (old, new) = (before.get(key), after.get(key));
        if old != new
            && (old.is_some_and(|&level| is_fixed(key, level)) || new.is_some_and(|&level| sender_level < level))
        {
            return Err(AuthError::NoPowerToChange(key.as_str().into()));
        }
    }
    Ok(())
}
