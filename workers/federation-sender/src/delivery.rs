//! Sends other servers what they have to know: events, and what is not part of any room's history.
//!
//! Each process with this role follows the log. Destinations belong to buckets, and a bucket to one process at a time; a durable cursor for each bucket says
//! how far its destinations have been told ([`board`]). What comes is put into the queues of destinations ([`reader`], and [`passing`] for what is in no table),
//! and a task for each destination that has anything in its queue sends it ([`worker`]). A destination that does not answer gets a row, and nothing more until
//! it is time to try again ([`due`]); then it is told what it has missed ([`catch_up`]).
//!
//! Everything is sent at least once: after a crash, or while a bucket changes hands, a destination may be told twice. Events, messages to devices and
//! changes of devices have ids by which it knows them.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#transactions>

mod board;
mod catch_up;
mod due;
mod edus;
mod passing;
mod reader;
mod route;
mod sender;
mod share;
mod transaction;
mod worker;

use std::sync::Arc;

use self::sender::Sender;
use crate::SenderParts;

/// Delivers until the process ends.
pub(crate) async fn run(parts: Arc<SenderParts>) {
    let sender = Arc::new(Sender::new(parts));
    tokio::join!(share::keep(&sender), due::watch(&sender), reader::follow(&sender));
}
