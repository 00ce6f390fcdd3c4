//! `GET /_matrix/federation/v1/backfill/{roomId}`: what came before some events.

use plexus_core::{event::EventBody, room_version::RoomVersionRules};
use ruma::{OwnedEventId, RoomId, ServerName};

use super::{FetchError, Transaction, parameters, read};
use crate::{
    Federation,
    request::{Outgoing, encode},
};

/// Most events that are asked for, and taken.
pub const BACKFILL_MAX: usize = 100;

impl Federation {
    /// These events and what came before them, at most `limit` in all, in the order of the answer.
    pub async fn fetch_backfill(
        &self,
        server: &ServerName,
        rules: &'static RoomVersionRules,
        room_id: &RoomId,
        from: &[OwnedEventId],
        limit: usize,
    ) -> Result<Vec<EventBody>, FetchError> {
        let limit = limit.min(BACKFILL_MAX);
        let from = parameters("v", from.iter().map(|id| id.as_str()));
        let room = encode(room_id.as_str());
        let target = format!("/_matrix/federation/v1/backfill/{room}?{from}&limit={limit}");
        let answer = self.send(Outgoing::get(server, target)).await?;
        let Transaction { mut pdus } = read(server, &answer)?;
        pdus.truncate(limit);
        self.believe(server, rules, room_id, pdus).await
    }
}
