//! Decides Commands: load what the rules need, ask the rules, say what to write.
//!
//! Nothing here writes. A decision moves the lane's pending head, and the lane forgets that head when the commit fails.

mod account;
mod account_data;
mod alias;
mod carry_over;
mod collect;
mod complete;
mod create_room;
mod cross_signing;
mod device;
mod directory;
mod event;
mod forget;
mod guests;
mod head;
mod keys;
mod membership;
mod notify;
mod outside;
mod persist;
mod profile;
mod push_rules;
mod pusher;
mod receipt;
mod receive;
mod redaction;
mod relation;
mod remote_devices;
mod removals;
mod session;
mod to_device;
mod upgrade;

use plexus_proto::{Command, CommandResult, command::Kind};

pub(crate) use self::head::{Growth, LaneState, PendingHead};
use crate::{change_set::ChangeSet, error::CommandError, lanes::LaneKey, leader::Leader};

/// What a Command changes, and its answer.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    pub(crate) change: ChangeSet,
    pub(crate) result: CommandResult,
}

impl Decision {
    fn event(change: ChangeSet, event_id: &ruma::EventId) -> Self {
        let result = CommandResult {
            event_id: Some(event_id.to_string()),
            ..CommandResult::default()
        };
        Self { change, result }
    }

    /// The answer is an event that is there already.
    fn unchanged(event_id: &ruma::EventId) -> Self {
        Self::event(ChangeSet::default(), event_id)
    }
}

/// The lane a Command runs in; `None` for typing and presence, which have no lane because they are not stored.
pub(crate) fn lane_of(command: &Command) -> Result<Option<LaneKey>, CommandError> {
    let kind = command.kind.as_ref().ok_or(CommandError::Malformed("no kind"))?;
    let key = match kind {
        Kind::Register(c) => user_lane(&c.user_id)?,
        Kind::CreateSession(c) => user_lane(&c.user_id)?,
        Kind::DeleteSessions(c) => user_lane(&c.user_id)?,
        Kind::RefreshSession(c) => user_lane(&c.user_id)?,
        Kind::ConfirmSession(c) => user_lane(&c.user_id)?,
        Kind::SetPassword(c) => user_lane(&c.user_id)?,
        Kind::Deactivate(c) => user_lane(&c.user_id)?,
        Kind::RenameDevice(c) => user_lane(&c.user_id)?,
        Kind::SetStanding(c) => user_lane(&c.user_id)?,
        Kind::SetProfile(c) => user_lane(&c.user_id)?,
        Kind::SetAccountData(c) => user_lane(&c.user_id)?,
        Kind::ChangeTag(c) => user_lane(&c.user_id)?,
        Kind::SetFullyRead(c) => user_lane(&c.user_id)?,
        Kind::ChangePushRules(c) => user_lane(&c.user_id)?,
        Kind::CarryOver(c) => user_lane(&c.user_id)?,
        Kind::SetPusher(c) => user_lane(&c.user_id)?,
        Kind::DeletePusher(c) => user_lane(&c.user_id)?,
        // Nobody else has a Command for a room that is not there yet, but somebody may want the same alias.
        Kind::CreateRoom(c) => match &c.alias {
            None => LaneKey::NewRoom(command.id.to_vec()),
            Some(alias) => alias_lane(alias)?,
        },
        Kind::SetAlias(c) => alias_lane(&c.alias)?,
        Kind::DeleteAlias(c) => alias_lane(&c.alias)?,
        Kind::SendEvent(c) => room_lane(&c.room_id)?,
        Kind::ChangeMembership(c) => room_lane(&c.room_id)?,
        Kind::RefreshMember(c) => room_lane(&c.room_id)?,
        Kind::SetListed(c) => room_lane(&c.room_id)?,
        Kind::ForgetRoom(c) => room_lane(&c.room_id)?,
        Kind::UpgradeRoom(c) => room_lane(&c.room_id)?,
        Kind::RemoveGuests(c) => room_lane(&c.room_id)?,
        Kind::ReceiveEvents(c) => room_lane(&c.room_id)?,
        Kind::KeepMembership(c) => room_lane(&c.room_id)?,
        Kind::PrepareEvent(c) => room_lane(c.change.as_ref().map_or("", |change| &change.room_id))?,
        Kind::CompleteState(c) => room_lane(&c.room_id)?,
        Kind::SetReceipt(c) => room_lane(&c.room_id)?,
        Kind::PurgeHistory(c) => room_lane(&c.room_id)?,
        Kind::DeleteRoom(c) => room_lane(&c.room_id)?,
        Kind::RemovalStep(c) => room_lane(&c.room_id)?,
        Kind::CollectNodes(c) => room_lane(&c.room_id)?,
        Kind::BlockRoom(c) => room_lane(&c.room_id)?,
        Kind::SetTyping(_) | Kind::SetPresence(_) | Kind::SetRemotePresence(_) => return Ok(None),
        Kind::UploadKeys(c) => user_lane(&c.user_id)?,
        Kind::ClaimKeys(c) => user_lane(&c.user_id)?,
        Kind::SetCrossSigningKeys(c) => user_lane(&c.user_id)?,
        Kind::AddSignatures(c) => user_lane(&c.user_id)?,
        Kind::SetRemoteDevices(c) => user_lane(&c.user_id)?,
        Kind::ChangeRemoteDevices(c) => user_lane(&c.user_id)?,
        Kind::SendToDevice(c) => user_lane(&c.sender)?,
        Kind::AcknowledgeToDevice(c) => user_lane(&c.user_id)?,
    };
    Ok(Some(key))
}

fn user_lane(user_id: &str) -> Result<LaneKey, CommandError> {
    let user_id = user_id.try_into().map_err(|_| CommandError::Malformed("user_id"))?;
    Ok(LaneKey::User(user_id))
}

fn room_lane(room_id: &str) -> Result<LaneKey, CommandError> {
    let room_id = room_id.try_into().map_err(|_| CommandError::Malformed("room_id"))?;
    Ok(LaneKey::Room(room_id))
}

fn alias_lane(alias: &str) -> Result<LaneKey, CommandError> {
    let alias = alias.try_into().map_err(|_| CommandError::Malformed("alias"))?;
    Ok(LaneKey::Alias(alias))
}

/// Whether a Command reads what the store has of its room, and so wants everything before it committed.
pub(crate) fn wants_all_committed(command: &Command) -> bool {
    matches!(command.kind, Some(Kind::CompleteState(_)))
}

/// Decides one Command on the lane's pending head.
pub(crate) async fn decide(
    leader: &Leader,
    state: &mut LaneState,
    command: &Command,
) -> Result<Decision, CommandError> {
    let kind = command.kind.as_ref().ok_or(CommandError::Malformed("no kind"))?;
    let mut decision = match kind {
        Kind::Register(c) => account::register(leader, c).await?,
        Kind::CreateSession(c) => session::create_session(leader, c).await?,
        Kind::DeleteSessions(c) => session::delete_sessions(leader, c).await?,
        Kind::RefreshSession(c) => session::refresh_session(leader, c).await?,
        Kind::ConfirmSession(c) => session::confirm_session(leader, c).await?,
        Kind::SetPassword(c) => account::set_password(leader, c).await?,
        Kind::Deactivate(c) => account::deactivate(leader, c).await?,
        Kind::RenameDevice(c) => device::rename_device(leader, c).await?,
        Kind::SetStanding(c) => account::set_standing(leader, c).await?,
        Kind::SetProfile(c) => profile::set_profile(leader, c).await?,
        Kind::SetAccountData(c) => account_data::set_account_data(leader, state, c).await?,
        Kind::ChangeTag(c) => account_data::change_tag(leader, state, c).await?,
        Kind::SetFullyRead(c) => account_data::set_fully_read(leader, state, c).await?,
        Kind::ChangePushRules(c) => push_rules::change_push_rules(leader, state, c).await?,
        Kind::CarryOver(c) => carry_over::carry_over(leader, state, c).await?,
        Kind::SetPusher(c) => pusher::set_pusher(leader, c).await?,
        Kind::DeletePusher(c) => pusher::delete_pusher(leader, c).await?,
        Kind::CreateRoom(c) => create_room::create_room(leader, state, c).await?,
        Kind::SetAlias(c) => alias::set_alias(leader, state, c).await?,
        Kind::DeleteAlias(c) => alias::delete_alias(leader, state, c).await?,
        Kind::SetListed(c) => directory::set_listed(leader, c).await?,
        Kind::SendEvent(c) => {
            let head = state.head(leader, &c.room_id).await?;
            let decided = event::send_event(leader, head, c).await;
            head.conceal(leader, &c.sender, decided).await?
        }
        Kind::ChangeMembership(c) => {
            let head = state.head(leader, &c.room_id).await?;
            let decided = membership::change_membership(leader, head, c).await;
            head.conceal(leader, &c.sender, decided).await?
        }
        Kind::UpgradeRoom(c) => {
            let head = state.head(leader, &c.room_id).await?;
            let decided = upgrade::upgrade_room(leader, head, c).await;
            head.conceal(leader, &c.sender, decided).await?
        }
        Kind::ForgetRoom(c) => forget::forget_room(leader, c).await?,
        Kind::ReceiveEvents(c) => receive::receive_events(leader, state, c).await?,
        Kind::KeepMembership(c) => outside::keep_membership(leader, state, c).await?,
        Kind::PrepareEvent(c) => membership::prepare_event(leader, state, c).await?,
        Kind::CompleteState(c) => complete::complete_state(leader, state, c).await?,
        Kind::RemoveGuests(c) => guests::remove_guests(leader, state.head(leader, &c.room_id).await?, c).await?,
        Kind::RefreshMember(c) => membership::refresh_member(leader, state.head(leader, &c.room_id).await?, c).await?,
        Kind::SetReceipt(c) => receipt::set_receipt(leader, state.head(leader, &c.room_id).await?, c).await?,
        Kind::PurgeHistory(c) => removals::purge_history(leader, state.head(leader, &c.room_id).await?, c).await?,
        Kind::DeleteRoom(c) => removals::delete_room(leader, c).await?,
        Kind::RemovalStep(c) => removals::go_on(leader, state, c).await?,
        Kind::CollectNodes(c) => collect::collect_nodes(leader, state.head(leader, &c.room_id).await?, c).await?,
        Kind::BlockRoom(c) => removals::block_room(leader, c).await?,
        Kind::SetTyping(_) => return Err(CommandError::Malformed("typing has no lane")),
        Kind::SetPresence(_) | Kind::SetRemotePresence(_) => {
            return Err(CommandError::Malformed("presence has no lane"));
        }
        Kind::UploadKeys(c) => keys::upload_keys(leader, c).await?,
        Kind::ClaimKeys(c) => keys::claim_keys(leader, c).await?,
        Kind::SetCrossSigningKeys(c) => cross_signing::set_keys(leader, c).await?,
        Kind::AddSignatures(c) => cross_signing::add_signatures(leader, c).await?,
        Kind::SetRemoteDevices(c) => remote_devices::set_devices(leader, c).await?,
        Kind::ChangeRemoteDevices(c) => remote_devices::change_devices(leader, c).await?,
        Kind::SendToDevice(c) => to_device::send(leader, c).await?,
        Kind::AcknowledgeToDevice(c) => to_device::acknowledge(leader, c).await?,
    };
    if let Some(task) = command.task {
        decision.change.statements.push(plexus_storage::tasks::delete(task));
    }
    Ok(decision)
}
