//! Who leads, as the lease in the database says, for the way to the master.
//!
//! The lease's holder is the leader's process name, and after a space the address where it takes Commands from other processes, if it does.

use std::{sync::Arc, time::Duration};

use plexus_core::position::WriterId;
use plexus_replication::MasterTarget;
use plexus_storage::{
    db::{Database, DbError},
    leases::{self, Lease},
};
use tokio::sync::watch;

/// How often the lease is read: what a failover costs at most besides the lease's own time.
const POLL_EVERY: Duration = Duration::from_millis(250);

/// What a master holds its lease as.
pub(crate) fn holder(name: &str, grpc_address: Option<&str>) -> String {
    grpc_address.map_or_else(|| name.to_owned(), |address| format!("{name} {address}"))
}

/// The address in a holder.
pub(crate) fn address_of(holder: &str) -> Option<&str> {
    holder.split_once(' ').map(|(_, address)| address)
}

/// Who leads now.
pub(crate) async fn current(db: &Database) -> Result<Option<Lease>, DbError> {
    leases::leader(db, WriterId::MASTER).await
}

/// Follows the lease until the task is ended. While it cannot be read, the last leader stays.
///
/// `own` is what this process holds it as, and the way to its master.
pub(crate) async fn follow(
    db: Database,
    own: Option<(String, MasterTarget)>,
    target: Arc<watch::Sender<MasterTarget>>,
) {
    let mut known: Option<Lease> = None;
    loop {
        match current(&db).await {
            Ok(lease) => {
                if !same_term(known.as_ref(), lease.as_ref()) {
                    target.send_replace(target_of(lease.as_ref(), own.as_ref()));
                    known = lease;
                }
            }
            Err(error) => tracing::debug!(%error, "the lease cannot be read"),
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Whether nothing changed but how long the lease lasts.
fn same_term(left: Option<&Lease>, right: Option<&Lease>) -> bool {
    let term = |lease: &Lease| (lease.epoch, lease.holder.clone());
    left.map(term) == right.map(term)
}

fn target_of(lease: Option<&Lease>, own: Option<&(String, MasterTarget)>) -> MasterTarget {
    let Some(lease) = lease else {
        return MasterTarget::Nobody;
    };
    match (own, address_of(&lease.holder)) {
        (Some((holder, here)), _) if *holder == lease.holder => here.clone(),
        (_, Some(address)) => MasterTarget::At(address.to_owned()),
        (_, None) => MasterTarget::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_tells_where_the_leader_is() {
        let lease = |holder: String| Lease {
            epoch: 1,
            holder,
            expires_ms: 0,
        };
        let remote = lease(holder("master1", Some("10.0.0.1:9009")));
        assert!(matches!(target_of(Some(&remote), None), MasterTarget::At(at) if at == "10.0.0.1:9009"));
        let own = (
            remote.holder.clone(),
            MasterTarget::At("stands for this process".to_owned()),
        );
        assert!(matches!(target_of(Some(&remote), Some(&own)), MasterTarget::At(at) if at.starts_with("stands")));
        assert!(matches!(
            target_of(Some(&lease(holder("plexus", None))), None),
            MasterTarget::Nobody
        ));
        assert!(matches!(target_of(None, Some(&own)), MasterTarget::Nobody));
    }

    #[test]
    fn a_renewed_lease_is_the_same_term() {
        let lease = |epoch, expires_ms| Lease {
            epoch,
            holder: "a".to_owned(),
            expires_ms,
        };
        assert!(same_term(Some(&lease(1, 10)), Some(&lease(1, 20))));
        assert!(!same_term(Some(&lease(1, 10)), Some(&lease(2, 10))));
        assert!(!same_term(Some(&lease(1, 10)), None));
        assert!(same_term(None, None));
    }
}
