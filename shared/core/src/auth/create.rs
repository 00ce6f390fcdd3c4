//! The create event, and who made the room.

use std::borrow::Cow;

use ruma::UserId;

use super::AuthError;
use crate::{
    event::{EventBody, json},
    room_version::{CreatorSource, RoomIdFormat, RoomVersion, RoomVersionRules},
};

pub(super) fn check_create(rules: &RoomVersionRules, event: &EventBody) -> Result<(), AuthError> {
    if !event.prev_events().is_empty() {
        return Err(AuthError::CreateHasParents);
    }
    let is_named_well = match rules.room_id {
        RoomIdFormat::Assigned => event.room_id().server_name() == Some(event.sender().server_name()),
        RoomIdFormat::CreateEventHash => json::get(event.json(), "room_id").is_none(),
    };
    if !is_named_well {
        return Err(AuthError::CreateRoomId);
    }
    if let Some(version) = json::get(event.content(), "room_version") {
        let version = json::string(version).ok_or(AuthError::CreateRoomVersion)?;
        version
            .parse::<RoomVersion>()
            .map_err(|_| AuthError::CreateRoomVersion)?;
    }
    let names_creators = match rules.auth.creator {
        CreatorSource::Content => json::get(event.content(), "creator").is_some(),
        CreatorSource::Sender => true,
        CreatorSource::SenderAndAdditional => match json::get(event.content(), "additional_creators") {
            None => true,
            Some(list) => json::is_array(list) && json::elements(list).all(is_user_id),
        },
    };
    if names_creators {
        Ok(())
    } else {
        Err(AuthError::CreateCreators)
    }
}

fn is_user_id(value: &str) -> bool {
    json::string(value).is_some_and(|text| <&UserId>::try_from(&*text).is_ok())
}

/// Who made a room.
#[derive(Clone, Copy, Debug)]
pub struct Creators<'a> {
    source: CreatorSource,
    create: &'a EventBody,
}

impl<'a> Creators<'a> {
    /// The creators that a create event names.
    pub fn read(rules: &RoomVersionRules, create: &'a EventBody) -> Self {
        Self {
            source: rules.auth.creator,
            create,
        }
    }

    /// The user who made the room, and may join it first.
    pub fn first(&self) -> Option<Cow<'a, str>> {
        match self.source {
            CreatorSource::Content => json::get(self.create.content(), "creator").and_then(json::string),
            CreatorSource::Sender | CreatorSource::SenderAndAdditional => {
                Some(Cow::Borrowed(self.create.sender().as_str()))
            }
        }
    }

    /// Whether a user is one of the creators.
    pub fn contains(&self, user: &str) -> bool {
        let is_additional = self.source == CreatorSource::SenderAndAdditional
            && json::get(self.create.content(), "additional_creators").is_some_and(|list| {
                json::elements(list)
                    .filter_map(json::string)
                    .any(|creator| creator == user)
            });
        is_additional || self.first().is_some_and(|creator| creator == user)
    }

    /// Whether the creators stand above all power levels.
    pub fn are_above_levels(&self) -> bool {
        self.source == CreatorSource::SenderAndAdditional
    }
}
