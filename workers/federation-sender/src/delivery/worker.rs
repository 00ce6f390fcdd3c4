//! One destination: what waits for it is sent, one transaction after the other, until nothing waits or it does not take it.

use std::sync::Arc;

use metrics::counter;
use plexus_core::ids::EventNid;
use plexus_service::ServiceError;
use plexus_storage::delivery::Lag;
use ruma::{OwnedServerName, ServerName};
use tokio::time::sleep;

use super::{
    board::{Batch, Step, bucket_of},
    catch_up,
    edus::{self, message_places},
    sender::{FAULT_WAIT, Sender},
    transaction::{Outcome, Transaction},
};
use crate::metrics::{EDUS_SENT_TOTAL, PDUS_SENT_TOTAL};

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Go {
    On,
    Away,
}

/// Works on a destination until nothing is to be done.
pub(super) async fn run(sender: Arc<Sender>, server: OwnedServerName) {
    loop {
        let step = sender.board().next(&server);
        if step == Step::Rest {
            return;
        }
        // On the heap: there may be a thousand of these, all waiting.
        match Box::pin(take(&sender, &server, step)).await {
            Ok(Go::On) => {}
            Ok(Go::Away) => return,
            Err(error) => {
                tracing::warn!(peer = %server, %error, "what a server has to know cannot be read");
                sleep(FAULT_WAIT).await;
            }
        }
    }
}

async fn take(sender: &Sender, server: &ServerName, step: Step) -> Result<Go, ServiceError> {
    let store = &sender.ctx().store;
    match step {
        Step::Rest => {}
        Step::ForgetLag { up_to } => store.forget_delivery_lag(server, up_to).await?,
        Step::Send(batch) => {
            if !send(sender, server, &batch).await? {
                give_up(sender, server).await;
                return Ok(Go::Away);
            }
            sender.board().sent(server, &batch);
        }
        Step::CatchUp { since, up_to } => {
            for batch in catch_up::collect(sender, server, since, up_to).await? {
                if !send(sender, server, &batch).await? {
                    give_up(sender, server).await;
                    return Ok(Go::Away);
                }
            }
            sender.board().caught_up(server, up_to);
        }
    }
    Ok(Go::On)
}

/// Sends a batch; false if the server is not there. What it does not want, of all that is in the batch, is left out.
async fn send(sender: &Sender, server: &ServerName, batch: &Batch) -> Result<bool, ServiceError> {
    let mut pieces = vec![batch.clone()];
    while let Some(piece) = pieces.pop() {
        match send_piece(sender, server, &piece).await? {
            Outcome::Taken => {}
            Outcome::Failed => return Ok(false),
            Outcome::Unwanted => {
                if let Some([first, second]) = halves(&piece) {
                    pieces.extend([second, first]);
                } else {
                    tracing::warn!(peer = %server, "what a server does not want is not sent: {piece:?}");
                }
            }
        }
    }
    Ok(true)
}

async fn send_piece(sender: &Sender, server: &ServerName, piece: &Batch) -> Result<Outcome, ServiceError> {
    let store = &sender.ctx().store;
    let events: Vec<EventNid> = piece.pdus.iter().map(|pdu| pdu.event).collect();
    // Without those that have been purged meanwhile.
    let mut pdus = store.events_there(&events).await?;
    // What this server sends on for another one, that one has.
    pdus.retain(|event| event.body.sender().server_name() != server);
    let edus = edus::write(sender, server, piece).await?;
    if pdus.is_empty() && edus.is_empty() {
        return Ok(Outcome::Taken);
    }
    let transaction = Transaction::new(sender.ctx(), &pdus, &edus);
    let outcome = transaction.deliver(sender, server).await?;
    let is_single = halves(piece).is_none();
    if outcome == Outcome::Taken || (outcome == Outcome::Unwanted && is_single) {
        let places = message_places(&piece.edus);
        if !places.is_empty() {
            store.forget_outgoing_to_device(server, places).await?;
        }
    }
    if outcome == Outcome::Taken {
        counter!(PDUS_SENT_TOTAL).increment(pdus.len() as u64);
        counter!(EDUS_SENT_TOTAL).increment(edus.len() as u64);
    }
    Ok(outcome)
}

/// A batch in two, in the order of what is in it; none if it is a single thing.
fn halves(batch: &Batch) -> Option<[Batch; 2]> {
    if batch.pdus.len() + batch.edus.len() + batch.passing.len() <= 1 {
        return None;
    }
    let (mut first, mut second) = (Batch::default(), Batch::default());
    // Events and the rest come apart first: a server that takes the one may take the other.
    if !batch.pdus.is_empty() && (!batch.edus.is_empty() || !batch.passing.is_empty()) {
        first.pdus.clone_from(&batch.pdus);
        second.edus.clone_from(&batch.edus);
        second.passing.clone_from(&batch.passing);
        return Some([first, second]);
    }
    let split = |length: usize| length.div_ceil(2);
    let (left, right) = batch.pdus.split_at(split(batch.pdus.len()));
    (first.pdus, second.pdus) = (left.to_vec(), right.to_vec());
    if batch.edus.is_empty() {
        let (left, right) = batch.passing.split_at(split(batch.passing.len()));
        (first.passing, second.passing) = (left.to_vec(), right.to_vec());
    } else if batch.edus.len() == 1 {
        first.edus.clone_from(&batch.edus);
        second.passing.clone_from(&batch.passing);
    } else {
        let (left, right) = batch.edus.split_at(split(batch.edus.len()));
        (first.edus, second.edus) = (left.to_vec(), right.to_vec());
        second.passing.clone_from(&batch.passing);
    }
    Some([first, second])
}

/// A destination lags from now on: the database is told, however long that takes.
async fn give_up(sender: &Sender, server: &ServerName) {
    let lag = sender.board().fail(server);
    if let Some(lag) = lag {
        while let Err(error) = note(sender, server, &lag).await {
            tracing::warn!(peer = %server, %error, "that a server lags cannot be written");
            sleep(FAULT_WAIT).await;
        }
        tracing::info!(peer = %server, "a server does not answer and is told later");
    }
    sender.board().give_up(server);
}

async fn note(sender: &Sender, server: &ServerName, lag: &Lag) -> Result<(), ServiceError> {
    let store = &sender.ctx().store;
    store.note_delivery_lag(bucket_of(server).into(), lag).await?;
    let lost = store.bound_outgoing_to_device(server).await?;
    if lost > 0 {
        tracing::warn!(peer = %server, lost, "a server that is away loses the oldest messages to devices");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::board::Pdu, *};

    #[test]
    fn what_is_not_wanted_is_found_by_halves() {
        let pdus = |places: &[i64]| Batch {
            pdus: places
                .iter()
                .map(|position| Pdu {
                    position: *position,
                    event: EventNid(*position),
                })
                .collect(),
            ..Batch::default()
        };
        assert_eq!(halves(&pdus(&[1])), None);
        assert_eq!(halves(&pdus(&[1, 2, 3])), Some([pdus(&[1, 2]), pdus(&[3])]));
    }
}
