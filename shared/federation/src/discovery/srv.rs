//! SRV records: where a service of a domain is, <https://www.rfc-editor.org/rfc/rfc2782>.

use std::{io, sync::Arc};

use futures_util::future::BoxFuture;
use hickory_resolver::{TokioResolver, proto::rr::RData};
use tokio::sync::OnceCell;

use super::Target;
use crate::address::Host;

/// Most records of a name that count.
const RECORDS_MAX: usize = 16;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lower ones are tried first.
    pub priority: u16,
    /// How often it comes first among those of its priority.
    pub weight: u16,
    /// The host; `.` says that there is no such service.
    pub target: String,
    /// The port.
    pub port: u16,
}

/// Looks up the records of a name; none is no error.
pub type LookUpSrv = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SrvRecord>>> + Send + Sync>;

/// The look-up by the name servers of this machine. It remembers what it has found as long as the records say.
pub(crate) fn system_srv() -> LookUpSrv {
    let resolver: Arc<OnceCell<TokioResolver>> = Arc::default();
    Arc::new(move |name| {
        let resolver = Arc::clone(&resolver);
        Box::pin(async move {
            let resolver = resolver
                .get_or_try_init(async || TokioResolver::builder_tokio()?.build())
                .await;
            let resolver = resolver.map_err(io::Error::other)?;
            // The last dot: no search domains.
            let found = match resolver.srv_lookup(format!("{name}.")).await {
                Ok(found) => found,
                Err(error) if error.is_no_records_found() || error.is_nx_domain() => return Ok(Vec::new()),
                Err(error) => return Err(io::Error::other(error)),
            };
            let records = found.answers().iter().filter_map(|record| {
                // Aliases on the way stand among the answers, too.
                let RData::SRV(srv) = &record.data else { return None };
                Some(SrvRecord {
                    priority: srv.priority,
                    weight: srv.weight,
                    target: srv.target.to_ascii(),
                    port: srv.port,
                })
            });
            Ok(records.collect())
        })
    })
}

/// Targets in the order in which they are tried: by priority, and by weighted lot among equals. `lot(n)` gives a number below n.
///
/// Nothing is left of records that say that there is no such service.
pub(super) fn order(mut records: Vec<SrvRecord>, mut lot: impl FnMut(u32) -> u32) -> Vec<Target> {
    records.truncate(RECORDS_MAX);
    records.retain(|record| !record.target.trim_end_matches('.').is_empty());
    records.sort_by_key(|record| record.priority);
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let equals = records
            .iter()
            .filter(|record| record.priority == first.priority)
            .count();
        // One more each, so that a weight of 0 has its small chance.
        let weight = |record: &SrvRecord| u32::from(record.weight) + 1;
        let mut drawn = lot(records[..equals].iter().map(weight).sum());
        let mut chosen = 0;
        while drawn >= weight(&records[chosen]) && chosen + 1 < equals {
            drawn -= weight(&records[chosen]);
            chosen += 1;
        }
        let SrvRecord { target, port, .. } = records.remove(chosen);
        ordered.push(Target {
            host: Host::parse(target.trim_end_matches('.')),
            port,
        });
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
        SrvRecord {
            priority,
            weight,
            target: target.to_owned(),
            port: 1,
        }
    }

    fn hosts(records: Vec<SrvRecord>, lot: impl FnMut(u32) -> u32) -> Vec<String> {
        order(records, lot)
            .iter()
            .map(|target| target.host.to_string())
            .collect()
    }

    #[test]
    fn lower_priorities_come_first_and_weights_are_lots() {
        let records = || vec![record(20, 0, "c."), record(10, 1, "a."), record(10, 6, "B.")];
        assert_eq!(hosts(records(), |_| 0), ["a", "b", "c"]);
        let mut of = Vec::new();
        let last = |n| {
            of.push(n);
            n - 1
        };
        assert_eq!(hosts(records(), last), ["b", "a", "c"]);
        assert_eq!(of, [9, 2, 1], "2 for weight 1, 7 for weight 6");
    }

    #[test]
    fn a_dot_says_that_there_is_no_service() {
        assert!(order(vec![record(0, 0, ".")], |_| 0).is_empty());
        assert_eq!(order(vec![record(0, 0, "a."); 100], |_| 0).len(), RECORDS_MAX);
    }
}
