//! The errcodes, as `plexus errors` prints them.

/// An errcode: its usual status, and when a client gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub errcode: &'static str,
    pub status: u16,
    pub when: &'static str,
}

/// Every errcode of this server.
pub static CATALOGUE: &[Code] = &[
    ALIAS_EXISTS,
    BAD_ALIAS,
    BAD_JSON,
    CANNOT_OVERWRITE_MEDIA,
    DUPLICATE_ANNOTATION,
    FORBIDDEN,
    GUEST_ACCESS_FORBIDDEN,
    INCOMPATIBLE_ROOM_VERSION,
    INVALID_PARAM,
    INVALID_ROOM_STATE,
    INVALID_SIGNATURE,
    INVALID_USERNAME,
    KEY_TOO_LARGE,
    LIMIT_EXCEEDED,
    MISSING_PARAM,
    MISSING_TOKEN,
    NOT_FOUND,
    NOT_JSON,
    NOT_YET_UPLOADED,
    PROFILE_TOO_LARGE,
    ROOM_IN_USE,
    SERVER_CONTROLLED,
    SERVER_NOT_TRUSTED,
    TOO_LARGE,
    TOO_SLOW,
    UNABLE_TO_AUTHORISE_JOIN,
    UNABLE_TO_GRANT_JOIN,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNKNOWN,
    UNKNOWN_LOGIN_TYPE,
    UNKNOWN_TOKEN,
    UNRECOGNIZED_METHOD,
    UNRECOGNIZED_PATH,
    UNSUPPORTED_ROOM_VERSION,
    USER_DEACTIVATED,
    USER_IN_USE,
    USER_LOCKED,
    USER_SUSPENDED,
    WRONG_ROOM_KEYS_VERSION,
];

pub(super) const ALIAS_EXISTS: Code = code("M_UNKNOWN", 409, "the room alias leads to a room already");
pub(super) const BAD_ALIAS: Code = code(
    "M_BAD_ALIAS",
    400,
    "an alias does not point to the room, or is no alias",
);
pub(super) const BAD_JSON: Code = code(
    "M_BAD_JSON",
    400,
    "the body is JSON of the wrong shape, or nested too deeply",
);
pub(super) const CANNOT_OVERWRITE_MEDIA: Code =
    code("M_CANNOT_OVERWRITE_MEDIA", 409, "the media id has a file already");
pub(super) const DUPLICATE_ANNOTATION: Code = code(
    "M_DUPLICATE_ANNOTATION",
    400,
    "the user has annotated the event in the same way before",
);
pub(super) const FORBIDDEN: Code = code(
    "M_FORBIDDEN",
    403,
    "the request is not allowed, or its subject not visible",
);
pub(super) const GUEST_ACCESS_FORBIDDEN: Code = code("M_GUEST_ACCESS_FORBIDDEN", 403, "guests are not served");
pub(super) const INCOMPATIBLE_ROOM_VERSION: Code = code(
    "M_INCOMPATIBLE_ROOM_VERSION",
    400,
    "the room has a version that one side does not support",
);
pub(super) const INVALID_PARAM: Code = code(
    "M_INVALID_PARAM",
    400,
    "a path, query or body parameter has a value it cannot have",
);
pub(super) const INVALID_ROOM_STATE: Code = code(
    "M_INVALID_ROOM_STATE",
    400,
    "the events asked for do not make a valid room",
);
pub(super) const INVALID_SIGNATURE: Code = code(
    "M_INVALID_SIGNATURE",
    400,
    "a signature of a key is wrong, or by the wrong key",
);
pub(super) const INVALID_USERNAME: Code = code(
    "M_INVALID_USERNAME",
    400,
    "the user name has characters that are not allowed",
);
pub(super) const KEY_TOO_LARGE: Code = code(
    "M_KEY_TOO_LARGE",
    400,
    "the name of a profile's field has more than 255 bytes",
);
pub(super) const LIMIT_EXCEEDED: Code = code(
    "M_LIMIT_EXCEEDED",
    429,
    "too many requests; retry_after_ms says when to try again",
);
pub(super) const MISSING_PARAM: Code = code("M_MISSING_PARAM", 400, "a parameter that is required is absent");
pub(super) const MISSING_TOKEN: Code = code("M_MISSING_TOKEN", 401, "the endpoint needs an access token");
pub(super) const NOT_FOUND: Code = code("M_NOT_FOUND", 404, "what the request names does not exist");
pub(super) const NOT_JSON: Code = code("M_NOT_JSON", 400, "the body is not JSON");
pub(super) const NOT_YET_UPLOADED: Code = code(
    "M_NOT_YET_UPLOADED",
    504,
    "the media id was given out, and its file is still to come",
);
pub(super) const PROFILE_TOO_LARGE: Code = code("M_PROFILE_TOO_LARGE", 400, "the profile would have more than 64 KiB");
pub(super) const ROOM_IN_USE: Code = code("M_ROOM_IN_USE", 400, "the id or the alias for the room is taken");
pub(super) const SERVER_CONTROLLED: Code = code(
    "M_BAD_JSON",
    405,
    "account data of this type is the server's; clients change it by other endpoints",
);
pub(super) const SERVER_NOT_TRUSTED: Code = code(
    "M_SERVER_NOT_TRUSTED",
    400,
    "the identity server is not among those that this server asks",
);
pub(super) const TOO_LARGE: Code = code("M_TOO_LARGE", 413, "the body, or the event made of it, is too large");
pub(super) const TOO_SLOW: Code = code("M_UNKNOWN", 408, "the body arrives too slowly");
pub(super) const UNABLE_TO_AUTHORISE_JOIN: Code = code(
    "M_UNABLE_TO_AUTHORISE_JOIN",
    400,
    "the server is in none of the rooms whose members may join a restricted one",
);
pub(super) const UNABLE_TO_GRANT_JOIN: Code = code(
    "M_UNABLE_TO_GRANT_JOIN",
    400,
    "the user may join a restricted room, and no user of the server can let him in",
);
pub(super) const UNAUTHORIZED: Code = code(
    "M_UNAUTHORIZED",
    401,
    "another server's request is not signed as it should be, or with a key that cannot be found",
);
pub(super) const UNAVAILABLE: Code = code(
    "M_UNKNOWN",
    503,
    "something the request needs is away; try the same request again",
);
pub(super) const UNKNOWN: Code = code(
    "M_UNKNOWN",
    500,
    "a fault of the server; its log has the cause under the request's id",
);
pub(super) const UNKNOWN_LOGIN_TYPE: Code = code(
    "M_UNKNOWN",
    400,
    "the login type is none of those that GET /login lists, or the file is nothing that thumbnails are made of",
);
pub(super) const UNKNOWN_TOKEN: Code = code("M_UNKNOWN_TOKEN", 401, "the access token is of no session");
pub(super) const UNRECOGNIZED_METHOD: Code = code("M_UNRECOGNIZED", 405, "the path exists, with other methods");
pub(super) const UNRECOGNIZED_PATH: Code = code("M_UNRECOGNIZED", 404, "the server does not know the path");
pub(super) const UNSUPPORTED_ROOM_VERSION: Code = code(
    "M_UNSUPPORTED_ROOM_VERSION",
    400,
    "the room version asked for is not supported",
);
pub(super) const USER_DEACTIVATED: Code = code("M_USER_DEACTIVATED", 403, "the account has been deactivated");
pub(super) const USER_IN_USE: Code = code("M_USER_IN_USE", 400, "the user name is taken");
pub(super) const USER_LOCKED: Code = code("M_USER_LOCKED", 401, "an administrator has locked the account");
pub(super) const USER_SUSPENDED: Code = code(
    "M_USER_SUSPENDED",
    403,
    "an administrator has suspended the account: it reads, and hardly more",
);
pub(super) const WRONG_ROOM_KEYS_VERSION: Code = code(
    "M_WRONG_ROOM_KEYS_VERSION",
    403,
    "the keys are for an old version of the backup; current_version says which is current",
);

const fn code(errcode: &'static str, status: u16, when: &'static str) -> Code {
    Code { errcode, status, when }
}

#[cfg(test)]
mod tests {
    use ::http::StatusCode;

    use super::*;

    #[test]
    fn the_catalogue_has_every_code_and_no_two_alike() {
        let source = include_str!("catalogue.rs");
        let defined = source
            .lines()
            .filter(|line| line.starts_with("pub(super) const ") && line.contains(": Code ="))
            .count();
        assert_eq!(CATALOGUE.len(), defined);
        for (i, left) in CATALOGUE.iter().enumerate() {
            assert!(
                StatusCode::from_u16(left.status).is_ok_and(|status| status.as_u16() >= 400),
                "{left:?}"
            );
            assert!(left.errcode.starts_with("M_") && !left.when.is_empty(), "{left:?}");
            assert!(
                CATALOGUE[i + 1..]
                    .iter()
                    .all(|right| (right.errcode, right.status) != (left.errcode, left.status))
            );
        }
    }
}
