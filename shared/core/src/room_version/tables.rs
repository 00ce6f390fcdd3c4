//! The rules of each version, as differences from the one before.

use super::{
    AuthRules, CreatorSource, EventIdFormat, LevelFormat, Numbers, RedactionRules, RedactsLocation, ReferenceFormat,
    RoomIdFormat, RoomVersion, RoomVersionRules, SignatureRules, StateResolution,
};

/// Version 1.
pub(super) static V1: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V1,
    event_id: EventIdFormat::Assigned,
    room_id: RoomIdFormat::Assigned,
    references: ReferenceFormat::HashedPairs,
    numbers: Numbers::Lenient,
    redacts: RedactsLocation::TopLevel,
    enforce_key_validity: false,
    signatures: SignatureRules {
        event_id_server: true,
        authorising_server: false,
    },
    redaction: RedactionRules {
        keep_origin_membership_prev_state: true,
        keep_create_content: false,
        keep_aliases: true,
        keep_join_rules_allow: false,
        keep_join_authorised_via_users_server: false,
        keep_third_party_invite_signed: false,
        keep_power_levels_invite: false,
        keep_redacts: false,
    },
    auth: AuthRules {
        special_case_aliases: true,
        special_case_redaction: true,
        check_notifications: false,
        knock: false,
        restricted: false,
        knock_restricted: false,
        levels: LevelFormat::AnyNumber,
        creator: CreatorSource::Content,
        select_create: true,
    },
    state_resolution: StateResolution::V1,
};

/// Version 2.
pub(super) static V2: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V2,
    state_resolution: StateResolution::V2,
    ..V1
};

/// Version 3.
pub(super) static V3: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V3,
    event_id: EventIdFormat::Hash,
    references: ReferenceFormat::Ids,
    signatures: SignatureRules {
        event_id_server: false,
        ..V2.signatures
    },
    auth: AuthRules {
        special_case_redaction: false,
        ..V2.auth
    },
    ..V2
};

/// Version 4.
pub(super) static V4: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V4,
    event_id: EventIdFormat::UrlSafeHash,
    ..V3
};

/// Version 5.
pub(super) static V5: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V5,
    enforce_key_validity: true,
    ..V4
};

/// Version 6.
pub(super) static V6: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V6,
    numbers: Numbers::Strict,
    redaction: RedactionRules {
        keep_aliases: false,
        ..V5.redaction
    },
    auth: AuthRules {
        special_case_aliases: false,
        check_notifications: true,
        levels: LevelFormat::IntegerOrString,
        ..V5.auth
    },
    ..V5
};

/// Version 7.
pub(super) static V7: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V7,
    auth: AuthRules { knock: true, ..V6.auth },
    ..V6
};

/// Version 8.
pub(super) static V8: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V8,
    signatures: SignatureRules {
        authorising_server: true,
        ..V7.signatures
    },
    redaction: RedactionRules {
        keep_join_rules_allow: true,
        ..V7.redaction
    },
    auth: AuthRules {
        restricted: true,
        ..V7.auth
    },
    ..V7
};

/// Version 9.
pub(super) static V9: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V9,
    redaction: RedactionRules {
        keep_join_authorised_via_users_server: true,
        ..V8.redaction
    },
    ..V8
};

/// Version 10.
pub(super) static V10: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V10,
    auth: AuthRules {
        knock_restricted: true,
        levels: LevelFormat::Integer,
        ..V9.auth
    },
    ..V9
};

/// Version 11.
pub(super) static V11: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V11,
    redacts: RedactsLocation::Content,
    redaction: RedactionRules {
        keep_origin_membership_prev_state: false,
        keep_create_content: true,
        keep_third_party_invite_signed: true,
        keep_power_levels_invite: true,
        keep_redacts: true,
        ..V10.redaction
    },
    auth: AuthRules {
        creator: CreatorSource::Sender,
        ..V10.auth
    },
    ..V10
};

/// Version 12.
pub(super) static V12: RoomVersionRules = RoomVersionRules {
    version: RoomVersion::V12,
    room_id: RoomIdFormat::CreateEventHash,
    auth: AuthRules {
        creator: CreatorSource::SenderAndAdditional,
        select_create: false,
        ..V11.auth
    },
    state_resolution: StateResolution::V2_1,
    ..V11
};
