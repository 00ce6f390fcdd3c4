//! The messages of `proto/plexus.proto`, with the client and the service tonic makes of them.
#![expect(clippy::all, clippy::pedantic, reason = "generated")]

tonic::include_proto!("plexus.v1");

impl Command {
    /// What it asks for, as metrics name it on both sides.
    pub fn kind_name(&self) -> &'static str {
        use command::Kind;
        match &self.kind {
            None => "none",
            Some(Kind::Register(_)) => "register",
            Some(Kind::CreateSession(_)) => "create_session",
            Some(Kind::DeleteSessions(_)) => "delete_sessions",
            Some(Kind::CreateRoom(_)) => "create_room",
            Some(Kind::SendEvent(_)) => "send_event",
            Some(Kind::ChangeMembership(_)) => "change_membership",
            Some(Kind::RefreshMember(_)) => "refresh_member",
            Some(Kind::SetAlias(_)) => "set_alias",
            Some(Kind::DeleteAlias(_)) => "delete_alias",
            Some(Kind::SetListed(_)) => "set_listed",
            Some(Kind::ForgetRoom(_)) => "forget_room",
            Some(Kind::UpgradeRoom(_)) => "upgrade_room",
            Some(Kind::ReceiveEvents(_)) => "receive_events",
            Some(Kind::PrepareEvent(_)) => "prepare_event",
            Some(Kind::KeepMembership(_)) => "keep_membership",
            Some(Kind::CompleteState(_)) => "complete_state",
            Some(Kind::RemoveGuests(_)) => "remove_guests",
            Some(Kind::SetProfile(_)) => "set_profile",
            Some(Kind::SetReceipt(_)) => "set_receipt",
            Some(Kind::SetTyping(_)) => "set_typing",
            Some(Kind::SetAccountData(_)) => "set_account_data",
            Some(Kind::ChangeTag(_)) => "change_tag",
            Some(Kind::SetFullyRead(_)) => "set_fully_read",
            Some(Kind::ChangePushRules(_)) => "change_push_rules",
            Some(Kind::CarryOver(_)) => "carry_over",
            Some(Kind::RefreshSession(_)) => "refresh_session",
            Some(Kind::ConfirmSession(_)) => "confirm_session",
            Some(Kind::SetPassword(_)) => "set_password",
            Some(Kind::Deactivate(_)) => "deactivate",
            Some(Kind::RenameDevice(_)) => "rename_device",
            Some(Kind::SetStanding(_)) => "set_standing",
            Some(Kind::SetPusher(_)) => "set_pusher",
            Some(Kind::DeletePusher(_)) => "delete_pusher",
            Some(Kind::SetPresence(_)) => "set_presence",
            Some(Kind::SetRemotePresence(_)) => "set_remote_presence",
            Some(Kind::UploadKeys(_)) => "upload_keys",
            Some(Kind::ClaimKeys(_)) => "claim_keys",
            Some(Kind::SetCrossSigningKeys(_)) => "set_cross_signing_keys",
            Some(Kind::SetRemoteDevices(_)) => "set_remote_devices",
            Some(Kind::ChangeRemoteDevices(_)) => "change_remote_devices",
            Some(Kind::AddSignatures(_)) => "add_signatures",
            Some(Kind::SendToDevice(_)) => "send_to_device",
            Some(Kind::AcknowledgeToDevice(_)) => "acknowledge_to_device",
            Some(Kind::PurgeHistory(_)) => "purge_history",
            Some(Kind::DeleteRoom(_)) => "delete_room",
            Some(Kind::RemovalStep(_)) => "removal_step",
            Some(Kind::CollectNodes(_)) => "collect_nodes",
            Some(Kind::BlockRoom(_)) => "block_room",
        }
    }
}
