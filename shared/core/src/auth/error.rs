//! Why an event is not allowed.

/// Why the rules do not allow an event; the sentence is what a client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The create event is not known, or that of another room.
    #[error("the room's create event is not known")]
    NoRoom,
    /// A create event that comes after other events.
    #[error("a create event must be the first of its room")]
    CreateHasParents,
    /// A create event whose room's id is not its sender's server's, or which has one although it should not.
    #[error("a create event with this room id is not allowed")]
    CreateRoomId,
    /// A create event of an unknown room version.
    #[error("the room version is not supported")]
    CreateRoomVersion,
    /// A create event without `creator`, where one is needed, or with `additional_creators` that are no user ids.
    #[error("the create event does not name its creators as it should")]
    CreateCreators,
    /// Someone of another server in a room that is not federated.
    #[error("the room is not open to users of other servers")]
    NotFederated,
    /// The sender's server does not own these aliases.
    #[error("only users of a server may set its room aliases")]
    AliasesOfAnotherServer,
    /// The sender is not in the room.
    #[error("you are not joined to the room")]
    NotJoined,
    /// A membership event without user, or without a membership that exists in this room version.
    #[error("the membership event is not valid")]
    InvalidMembership,
    /// Someone joins or knocks for somebody else.
    #[error("you can only do this for yourself")]
    ForAnotherUser,
    /// The user is banned.
    #[error("the user is banned from the room")]
    Banned,
    /// The room needs an invite.
    #[error("you are not invited to the room")]
    NotInvited,
    /// Nobody who may vouches for a restricted join.
    #[error("nobody who may invite has authorised this join")]
    NotAuthorised,
    /// The join rules do not allow knocking.
    #[error("the room does not allow knocking")]
    KnockingNotAllowed,
    /// Knocking, but already invited or in.
    #[error("you cannot knock on a room you are joined to, invited to or banned from")]
    CannotKnock,
    /// Inviting someone who is in the room.
    #[error("the user is already in the room")]
    AlreadyJoined,
    /// Leaving without being there.
    #[error("you are neither joined nor invited to the room")]
    CannotLeave,
    /// Too little power to invite.
    #[error("you do not have the power to invite")]
    NoPowerToInvite,
    /// Too little power to kick.
    #[error("you do not have the power to remove this user")]
    NoPowerToKick,
    /// Too little power to ban.
    #[error("you do not have the power to ban this user")]
    NoPowerToBan,
    /// Too little power to lift a ban.
    #[error("you do not have the power to unban this user")]
    NoPowerToUnban,
    /// Too little power to redact.
    #[error("you do not have the power to redact this event")]
    NoPowerToRedact,
    /// Too little power to send events of this type.
    #[error("you do not have the power to send {0} events")]
    NoPowerToSend(Box<str>),
    /// Too little power to change this power level.
    #[error("you do not have the power to change the level of {0}")]
    NoPowerToChange(Box<str>),
    /// State that belongs to somebody else.
    #[error("a state key that is a user id is only for that user")]
    StateOfAnotherUser,
    /// An invite through an identity server that does not fit what was announced.
    #[error("the third-party invite is not valid")]
    InvalidThirdPartyInvite,
    /// A power level that is no number of the allowed form.
    #[error("the power level {0} is not valid")]
    InvalidLevel(Box<str>),
    /// A creator of the room in the power levels, who stands above them.
    #[error("{0} is a creator of the room and cannot have a power level")]
    LevelOfCreator(Box<str>),
    /// Two auth events for the same state.
    #[error("the event has two auth events for the same state")]
    DuplicateAuthEvent,
    /// An auth event that says nothing about this event.
    #[error("the event has an auth event that does not belong there")]
    UnexpectedAuthEvent,
    /// An auth event that was itself rejected.
    #[error("the event has an auth event that was rejected")]
    RejectedAuthEvent,
    /// An auth event of another room.
    #[error("the event has an auth event of another room")]
    AuthEventOfAnotherRoom,
    /// No create event among the auth events.
    #[error("the event has no create event among its auth events")]
    NoCreateAuthEvent,
}
