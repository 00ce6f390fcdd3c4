//! One transaction on its way to a server.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid>

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use metrics::counter;
use plexus_core::event::hash::{encode_url_safe_base64, sha256};
use plexus_federation::{
    outbound::Limits,
    request::{BackOff, Outgoing, RequestError},
};
use plexus_service::{Ctx, ServiceError};
use plexus_storage::events::StoredEvent;
use ruma::ServerName;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{edus::Written, sender::Sender};
use crate::metrics::TRANSACTIONS_TOTAL;

/// How much of an exchange there may be. Whoever takes a transaction may have to ask others before he answers.
const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(60),
    answer_bytes_max: 1024 * 1024,
};
/// How long a server may take that this process has never heard an answer of. Most of those that are gone are among these, and others wait behind them.
const TIMEOUT_UNKNOWN: Duration = Duration::from_secs(20);
/// How long to wait after each attempt but the last: a server that is restarted, or that has lost a connection, need not lag.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// Most errors of single events that are logged for one transaction.
const ERRORS_LOGGED_MAX: usize = 5;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has it.
    Taken,
    /// The server is there and does not want what is in it.
    Unwanted,
    /// The server is not there, or wants nothing of us.
    Failed,
}

/// A transaction. The same content has the same id, whoever sends it and however often.
#[derive(Debug)]
pub(super) struct Transaction {
    target: String,
    body: Bytes,
}

impl Transaction {
    pub(super) fn new(ctx: &Ctx, pdus: &[Arc<StoredEvent>], edus: &[Written]) -> Self {
        // Places in the log begin anew in a database that was restored.
        let mut identity = format!("{}\n", ctx.config.generation);
        let ids = pdus.iter().map(|pdu| pdu.body.event_id().as_str());
        for part in ids.chain(edus.iter().map(|edu| edu.identity.as_str())) {
            identity.push_str(part);
            identity.push('\n');
        }
        let id = encode_url_safe_base64(&sha256(identity.as_bytes()));
        let pdus: Vec<&str> = pdus.iter().map(|pdu| pdu.body.json()).collect();
        let edus: Vec<&str> = edus.iter().map(|edu| edu.json.as_str()).collect();
        let body = format!(
            r#"{{"edus":[{}],"origin":{},"origin_server_ts":{},"pdus":[{}]}}"#,
            edus.join(","),
            json!(ctx.config.server_name),
            ctx.clock.now_ms(),
            pdus.join(","),
        );
        Self {
            target: format!("/_matrix/federation/v1/send/{id}"),
            body: body.into(),
        }
    }

    /// Sends it, some times if the server was there until now.
    pub(super) async fn deliver(&self, sender: &Sender, server: &ServerName) -> Result<Outcome, ServiceError> {
        let federation = &sender.ctx().federation;
        let failing = federation.destinations().failing(server).await?;
        let waits = match failing {
            // One that does not answer is asked once when its time has come.
            Some(_) => &[],
            None if sender.has_answered(server) => WAITS.as_slice(),
            None => &WAITS[..1],
        };
        for wait in waits {
            let outcome = self.attempt(sender, server, BackOff::Ignore).await?;
            if outcome != Outcome::Failed {
                return Ok(outcome);
            }
            sleep(*wait).await;
        }
        self.attempt(sender, server, BackOff::Respect).await
    }

    async fn attempt(&self, sender: &Sender, server: &ServerName, back_off: BackOff) -> Result<Outcome, ServiceError> {
        let Some(permit) = sender.permit(server).await else {
            return Ok(Outcome::Failed);
        };
        let request = Outgoing::with_body(server, Method::PUT, self.target.clone(), self.body.clone());
        let timeout = if sender.has_answered(server) {
            LIMITS.timeout
        } else {
            TIMEOUT_UNKNOWN
        };
        let request = Outgoing {
            limits: Limits { timeout, ..LIMITS },
            back_off,
            ..request
        };
        let answer = sender.ctx().federation.send(request).await;
        drop(permit);
        let outcome = match answer {
            Ok(answer) => {
                log_errors(server, &answer.body);
                Outcome::Taken
            }
            Err(error) => {
                let outcome = judge(&error);
                tracing::info!(peer = %server, %error, "a server does not take a transaction");
                if outcome == Outcome::Failed && back_off == BackOff::Respect && is_refused(&error) {
                    // It answers, but not to this: it is left alone like one that does not.
                    sender.ctx().federation.destinations().note_failed(server).await?;
                }
                outcome
            }
        };
        if outcome != Outcome::Failed || back_off == BackOff::Respect {
            sender.note(server, outcome != Outcome::Failed);
        }
        let label = match outcome {
            Outcome::Taken => "taken",
            Outcome::Unwanted => "refused",
            Outcome::Failed => "failed",
        };
        counter!(TRANSACTIONS_TOTAL, "outcome" => label).increment(1);
        Ok(outcome)
    }
}

/// What an error says: of the server, or of the transaction.
fn judge(error: &RequestError) -> Outcome {
    match error {
        RequestError::Refused { status, .. } if says_nothing_of_content(*status) => Outcome::Failed,
        RequestError::Refused { .. } | RequestError::Json(_) | RequestError::Ourselves => Outcome::Unwanted,
        RequestError::NotNow { .. }
        | RequestError::Transport { .. }
        | RequestError::Store(_)
        | RequestError::Stopping => Outcome::Failed,
    }
}

fn is_refused(error: &RequestError) -> bool {
    matches!(error, RequestError::Refused { status, .. } if !status.is_server_error() && *status != StatusCode::TOO_MANY_REQUESTS)
}

/// Whether a server that answers so would answer so to anything: it does not know us, there is no homeserver, or it is overloaded.
fn says_nothing_of_content(status: StatusCode) -> bool {
    status.is_server_error()
        || status.is_redirection()
        || [
            StatusCode::UNAUTHORIZED,
            StatusCode::NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
        ]
        .contains(&status)
}

/// What the server says of single events: they will not be wanted later either.
fn log_errors(server: &ServerName, answer: &[u8]) {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let pdus = answer["pdus"].as_object().into_iter().flatten();
    let errors = pdus.filter_map(|(id, result)| Some((id, result["error"].as_str()?)));
    for (id, error) in errors.take(ERRORS_LOGGED_MAX) {
        tracing::info!(peer = %server, event.id = %id, error, "a server does not take an event");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_content_does_not_make_a_server_lag() {
        let refused = |status: u16| RequestError::Refused {
            server: ServerName::parse("a.example").expect("a name"),
            status: StatusCode::from_u16(status).expect("a status"),
            errcode: String::new(),
            error: String::new(),
            room_version: None,
        };
        for status in [400, 403, 413] {
            assert_eq!(judge(&refused(status)), Outcome::Unwanted, "{status}");
        }
        for status in [401, 404, 429, 500, 502, 504] {
            assert_eq!(judge(&refused(status)), Outcome::Failed, "{status}");
        }
    }
}
