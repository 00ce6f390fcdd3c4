//! Cross-signing keys, and signatures of keys.

use std::collections::BTreeSet;

use plexus_core::ids::UserNid;
use plexus_proto::{self as proto, AddSignatures, SetCrossSigningKeys};
use plexus_storage::{
    cross_signing_keys::{self, CrossSigningKey, Usage},
    key_signatures::{self, KeySignature},
};

use super::{
    Decision,
    account::local_account,
    event::user_id,
    keys::{mark_device_list, mark_view},
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, forbidden},
    leader::Leader,
};

/// Signatures that one Command may bring.
const SIGNATURES_MAX: usize = 1_000;

/// Sets a user's cross-signing keys.
pub(super) async fn set_keys(leader: &Leader, command: &SetCrossSigningKeys) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let stored = leader.store.cross_signing_keys(&[user]).await?;
    let given = [
        (Usage::Master, &command.master),
        (Usage::SelfSigning, &command.self_signing),
        (Usage::UserSigning, &command.user_signing),
    ];
    let mut change = ChangeSet::default();
    let mut seen_by_all = false;
    for (usage, key) in given {
        let Some(key) = key else { continue };
        let before = stored.iter().find(|stored| stored.usage == usage);
        if before.is_some_and(|before| before.json == key.json) {
            continue;
        }
        replace(user, usage, before, key, &mut change);
        seen_by_all |= usage != Usage::UserSigning;
    }
    if change.statements.is_empty() {
        return Ok(Decision::default());
    }
    // Asked here again, as two first uploads may come at once.
    if !command.authorized && stored.iter().any(|key| key.usage == Usage::Master) {
        return Err(forbidden(
            "There are cross-signing keys already; replacing them needs authentication",
        ));
    }
    if seen_by_all {
        mark_device_list(user, None, &mut change);
    } else {
        mark_view(user, user, &mut change);
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// Sets a key. Signatures of the one before, and by it, mean nothing any more.
pub(super) fn replace(
    user: UserNid,
    usage: Usage,
    before: Option<&CrossSigningKey>,
    key: &proto::CrossSigningKey,
    change: &mut ChangeSet,
) {
    if let Some(before) = before.filter(|before| before.key_id != key.key_id) {
        let signs_with = format!("ed25519:{}", before.key_id);
        change.statements.extend([
            key_signatures::delete_of_target(user, &before.key_id),
            key_signatures::delete_by_key(user, &signs_with),
        ]);
    }
    change.statements.push(cross_signing_keys::upsert(&CrossSigningKey {
        user,
        usage,
        key_id: key.key_id.clone(),
        json: key.json.clone(),
    }));
}

/// Others see new signatures of a user's own devices and keys.
async fn mark_signed(
    leader: &Leader,
    user: UserNid,
    command: &AddSignatures,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let keys = leader.store.cross_signing_keys(&[user]).await?;
    let own = command.signatures.iter();
    let own = own.filter(|signature| signature.target_user_id == command.user_id);
    let own: BTreeSet<&str> = own.map(|signature| signature.target.as_str()).collect();
    let (of_keys, of_devices): (Vec<&str>, Vec<&str>) = own
        .into_iter()
        .partition(|target| keys.iter().any(|key| key.key_id == *target));
    if !of_keys.is_empty() {
        mark_device_list(user, None, change);
    }
    for device in of_devices {
        mark_device_list(user, Some(device.into()), change);
    }
    Ok(())
}

/// Adds signatures a user has made: everybody sees those of his own keys, he alone sees those of other users' keys.
pub(super) async fn add_signatures(leader: &Leader, command: &AddSignatures) -> Result<Decision, CommandError> {
    let signer = local_account(leader, &command.user_id).await?;
    if command.signatures.len() > SIGNATURES_MAX {
        return Err(CommandError::Malformed("too many signatures"));
    }
    let mut change = ChangeSet::default();
    let mut touched: Vec<UserNid> = Vec::new();
    for signature in &command.signatures {
        let target = user_id(&signature.target_user_id)?;
        let target_user = leader.store.user_nid(target).await?;
        let target_user = target_user.ok_or(CommandError::Malformed("a signature of nobody's key"))?;
        change.statements.push(key_signatures::upsert(&KeySignature {
            target_user,
            target: signature.target.clone(),
            signer,
            key_id: signature.key_id.clone(),
            signature: signature.signature.clone(),
        }));
        if !touched.contains(&target_user) {
            touched.push(target_user);
        }
    }
    for target_user in touched {
        if target_user == signer {
            mark_signed(leader, signer, command, &mut change).await?;
        } else {
            mark_view(target_user, signer, &mut change);
        }
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}
