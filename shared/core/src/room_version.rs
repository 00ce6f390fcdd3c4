//! Room versions 1 to 12 and what differs between them, as data.
//!
//! Code never asks "which version?", it asks one of the questions below, so that a new version is a new table.
//! See <https://spec.matrix.org/v1.19/rooms/>.

use std::{fmt, str::FromStr};

mod tables;

use self::tables::{V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12};

/// A room version this server can take part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoomVersion {
    /// The first one.
    V1,
    /// State resolution v2.
    V2,
    /// Event ids are hashes.
    V3,
    /// Event ids are URL-safe.
    V4,
    /// Validity of signing keys is enforced.
    V5,
    /// Canonical JSON is strict; aliases lose their special rules.
    V6,
    /// Knocking.
    V7,
    /// Restricted joins.
    V8,
    /// Redaction keeps who authorised a restricted join.
    V9,
    /// Power levels are integers; `knock_restricted`.
    V10,
    /// Redaction cleaned up; `redacts` in content; no `creator`.
    V11,
    /// The create event is the room's id; creators stand above power levels; state resolution v2.1.
    V12,
}

impl RoomVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 12] = [
        Self::V1,
        Self::V2,
        Self::V3,
        Self::V4,
        Self::V5,
        Self::V6,
        Self::V7,
        Self::V8,
        Self::V9,
        Self::V10,
        Self::V11,
        Self::V12,
    ];

    /// What this version does.
    pub const fn rules(self) -> &'static RoomVersionRules {
        match self {
            Self::V1 => &V1,
            Self::V2 => &V2,
            Self::V3 => &V3,
            Self::V4 => &V4,
            Self::V5 => &V5,
            Self::V6 => &V6,
            Self::V7 => &V7,
            Self::V8 => &V8,
            Self::V9 => &V9,
            Self::V10 => &V10,
            Self::V11 => &V11,
            Self::V12 => &V12,
        }
    }

    /// The version as it is written in `m.room.create`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
            Self::V3 => "3",
            Self::V4 => "4",
            Self::V5 => "5",
            Self::V6 => "6",
            Self::V7 => "7",
            Self::V8 => "8",
            Self::V9 => "9",
            Self::V10 => "10",
            Self::V11 => "11",
            Self::V12 => "12",
        }
    }
}

impl fmt::Display for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no room version this server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room version is not supported")]
pub struct UnknownRoomVersion;

impl FromStr for RoomVersion {
    type Err = UnknownRoomVersion;

    fn from_str(text: &str) -> Result<Self, UnknownRoomVersion> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or(UnknownRoomVersion)
    }
}

/// Everything that differs between room versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomVersionRules {
    /// The version these rules are of.
    pub version: RoomVersion,
    /// Where an event's id comes from.
    pub event_id: EventIdFormat,
    /// Where the room's id comes from.
    pub room_id: RoomIdFormat,
    /// How `prev_events` and `auth_events` are written.
    pub references: ReferenceFormat,
    /// Which numbers an event may contain.
    pub numbers: Numbers,
    /// Where a redaction names the event it redacts.
    pub redacts: RedactsLocation,
    /// A signature counts only if the key's `valid_until_ts` is at least the event's `origin_server_ts`.
    pub enforce_key_validity: bool,
    /// Whose signatures an event needs besides the sender's server's.
    pub signatures: SignatureRules,
    /// What a redacted event keeps.
    pub redaction: RedactionRules,
    /// What the authorization rules allow.
    pub auth: AuthRules,
    /// How forked state is resolved.
    pub state_resolution: StateResolution,
}

/// Where an event's id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventIdFormat {
    /// `$opaque:domain`, chosen by the sender and written into the event.
    Assigned,
    /// `$` and the reference hash in standard base64.
    Hash,
    /// `$` and the reference hash in URL-safe base64.
    UrlSafeHash,
}

/// Where a room's id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomIdFormat {
    /// `!opaque:domain`, in the create event like in any other.
    Assigned,
    /// `!` and the create event's hash; the create event itself has no `room_id`.
    CreateEventHash,
}

/// How `prev_events` and `auth_events` are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceFormat {
    /// Pairs of an event id and its hashes.
    HashedPairs,
    /// Event ids.
    Ids,
}

/// Which numbers an event may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Anything finite, floats and integers of any size.
    Lenient,
    /// Integers within ±(2^53 - 1).
    Strict,
}

/// Where a redaction names the event it redacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedactsLocation {
    /// A top-level `redacts`.
    TopLevel,
    /// `content.redacts`.
    Content,
}

/// How forked state is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateResolution {
    /// By depth and hash.
    V1,
    /// By power, mainline and time.
    V2,
    /// v2 from an empty state, with the conflicted state subgraph.
    V2_1,
}

/// Whose signatures an event needs besides the sender's server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureRules {
    /// The server in the event's id.
    pub event_id_server: bool,
    /// The server of `join_authorised_via_users_server`.
    pub authorising_server: bool,
}

/// What a redacted event keeps beyond what every version keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table of independent answers, one per key"
)]
pub struct RedactionRules {
    /// Top-level `origin`, `membership` and `prev_state`.
    pub keep_origin_membership_prev_state: bool,
    /// All of a create event's content, not only `creator`.
    pub keep_create_content: bool,
    /// `aliases` of `m.room.aliases`.
    pub keep_aliases: bool,
    /// `allow` of `m.room.join_rules`.
    pub keep_join_rules_allow: bool,
    /// `join_authorised_via_users_server` of `m.room.member`.
    pub keep_join_authorised_via_users_server: bool,
    /// `third_party_invite.signed` of `m.room.member`.
    pub keep_third_party_invite_signed: bool,
    /// `invite` of `m.room.power_levels`.
    pub keep_power_levels_invite: bool,
    /// `redacts` of `m.room.redaction`.
    pub keep_redacts: bool,
}

/// Which forms a power level may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelFormat {
    /// Integers, integers in strings, and floats, which are cut off at the point.
    AnyNumber,
    /// Integers and integers in strings.
    IntegerOrString,
    /// Integers, in every property.
    Integer,
}

/// Where the creator of a room is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreatorSource {
    /// The create event's `content.creator`.
    Content,
    /// The create event's sender.
    Sender,
    /// The create event's sender and its `additional_creators`, all of them above every power level.
    SenderAndAdditional,
}

/// What the authorization rules allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table of independent answers, one per rule"
)]
pub struct AuthRules {
    /// `m.room.aliases` has a rule of its own.
    pub special_case_aliases: bool,
    /// `m.room.redaction` has a rule of its own; later the server decides when it applies the redaction.
    pub special_case_redaction: bool,
    /// Changes of `notifications` levels are checked like those of `events`.
    pub check_notifications: bool,
    /// Membership `knock` and join rule `knock` exist.
    pub knock: bool,
    /// Join rule `restricted` exists.
    pub restricted: bool,
    /// Join rule `knock_restricted` exists.
    pub knock_restricted: bool,
    /// Which forms a power level may take.
    pub levels: LevelFormat,
    /// Where the creator of a room is named.
    pub creator: CreatorSource,
    /// The create event is among an event's `auth_events`.
    pub select_create: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_prints_parses_and_finds_its_own_rules() {
        for version in RoomVersion::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
            assert_eq!(version.rules().version, version);
        }
        assert_eq!("13".parse::<RoomVersion>(), Err(UnknownRoomVersion));
        assert_eq!("01".parse::<RoomVersion>(), Err(UnknownRoomVersion));
    }
}
