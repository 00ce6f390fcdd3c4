//! Table `receipts`: how far everybody has read, the newest receipt of each kind and thread.

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
    row::{ReceiptKind, ReceiptRow},
};
use ruma::{EventId, OwnedEventId};

use crate::{
    Store, StoreError,
    cache::{Changing, bounded},
    db::{DbRow, Statement, Value},
    sql::{Int as _, one_row, text},
};

/// Bounds the cache.
const CACHE_BYTES: u64 = 16 << 20;

/// What a receipt takes up in memory besides its texts, about: it stands in two maps.
const RECEIPT_BYTES: u64 = 240;

/// A receipt, with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReceipt {
    /// The reader.
    pub user: UserNid,
    /// Public or private.
    pub kind: ReceiptKind,
    /// `main`, the thread's root, or nothing for a receipt without a thread.
    pub thread: Option<String>,
    /// The event read.
    pub event_id: OwnedEventId,
    /// When it was read.
    pub ts_ms: i64,
}

/// The receipts of a room, as new as the rows this process has applied, or newer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoomReceipts {
    by_position: BTreeMap<Sequence, Arc<StoredReceipt>>,
    positions: BTreeMap<ReceiptKey, Sequence>,
    weight: u64,
}

type ReceiptKey = (UserNid, ReceiptKind, Option<String>);

impl RoomReceipts {
    /// All receipts up to a place, oldest first.
    pub fn up_to(&self, up_to: Sequence) -> impl Iterator<Item = (Sequence, &Arc<StoredReceipt>)> {
        self.between(0, up_to)
    }

    /// The receipts that are new in (after, `up_to`], oldest first.
    ///
    /// A receipt that was replaced after `up_to` is not among them: its reader has moved on, and the next answer says where to.
    pub fn between(&self, after: Sequence, up_to: Sequence) -> impl Iterator<Item = (Sequence, &Arc<StoredReceipt>)> {
        let range = self.by_position.range(after.saturating_add(1)..);
        range
            .take_while(move |(position, _)| **position <= up_to)
            .map(|(position, receipt)| (*position, receipt))
    }

    /// The receipt of one reader.
    pub fn get(
        &self,
        user: UserNid,
        kind: ReceiptKind,
        thread: Option<&str>,
    ) -> Option<(Sequence, &Arc<StoredReceipt>)> {
        let position = self.positions.get(&(user, kind, thread.map(str::to_owned)))?;
        self.by_position.get(position).map(|receipt| (*position, receipt))
    }

    /// All receipts of one reader.
    pub fn of_user(&self, user: UserNid) -> impl Iterator<Item = (Sequence, &Arc<StoredReceipt>)> {
        let first = (user, ReceiptKind::Read, None);
        let own = self
            .positions
            .range(first..)
            .take_while(move |((reader, ..), _)| *reader == user);
        own.filter_map(|(_, position)| self.by_position.get(position).map(|receipt| (*position, receipt)))
    }

    /// Puts in a receipt in place of the one before, unless that one is newer.
    fn put(&mut self, position: Sequence, receipt: StoredReceipt) {
        let key = (receipt.user, receipt.kind, receipt.thread.clone());
        let before = self.positions.get(&key).copied();
        if before.is_some_and(|before| before >= position) {
            return;
        }
        if let Some(before) = before.and_then(|before| self.by_position.remove(&before)) {
            self.weight = self.weight.saturating_sub(weight(&before));
        }
        self.weight += weight(&receipt);
        self.positions.insert(key, position);
        self.by_position.insert(position, Arc::new(receipt));
    }
}

fn weight(receipt: &StoredReceipt) -> u64 {
    let thread = receipt.thread.as_ref().map_or(0, String::len);
    RECEIPT_BYTES + (receipt.event_id.as_str().len() + 2 * thread) as u64
}

/// Moves a receipt.
pub fn upsert(receipt: &ReceiptRow, position: Value) -> Statement {
    one_row(
        "-- receipts::upsert
        INSERT INTO receipts (room_nid, user_nid, kind, thread, position, event_id, ts_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (room_nid, user_nid, kind, thread) DO UPDATE SET position = excluded.position, event_id = excluded.event_id,
            ts_ms = excluded.ts_ms",
        [
            receipt.room.int(),
            receipt.user.int(),
            receipt.kind.code().int(),
            text(receipt.thread.as_deref().unwrap_or_default()),
            position,
            text(receipt.event_id.as_str()),
            receipt.ts_ms.int(),
        ],
    )
}

/// The receipts of rooms.
pub(crate) type Receipts = Changing<RoomNid, Arc<RoomReceipts>>;

pub(crate) fn cache() -> Receipts {
    Changing::new(bounded(CACHE_BYTES, 5_000, |_, receipts| {
        receipts.weight + size_of::<RoomReceipts>() as u64
    }))
}

impl Receipts {
    /// A receipt moved.
    pub(crate) fn put(&self, row: &ReceiptRow, position: Sequence) {
        self.change(&row.room, |receipts| {
            let receipt = StoredReceipt {
                user: row.user,
                kind: row.kind,
                thread: row.thread.clone(),
                event_id: row.event_id.clone(),
                ts_ms: row.ts_ms,
            };
            Arc::make_mut(receipts).put(position, receipt);
        });
    }
}

impl Store {
    /// The receipts of a room, as new as this process knows.
    pub async fn receipts(&self, room: RoomNid) -> Result<Arc<RoomReceipts>, StoreError> {
        self.caches()
            .receipts
            .get_or_load(&room, || self.load_receipts(room))
            .await
    }

    async fn load_receipts(&self, room: RoomNid) -> Result<Arc<RoomReceipts>, StoreError> {
        let sql = "-- receipts::receipts
            SELECT position, user_nid, kind, thread, event_id, ts_ms FROM receipts WHERE room_nid = $1";
        let mut receipts = RoomReceipts::default();
        for row in self.db().query(sql, &[room.int()]).await? {
            receipts.put(row.int(0)?, read(&row)?);
        }
        Ok(Arc::new(receipts))
    }
}

fn read(row: &DbRow) -> Result<StoredReceipt, StoreError> {
    let code = row.int(2)?;
    let kind = ReceiptKind::from_code(code);
    let event_id = EventId::parse(row.text(4)?).map_err(|error| StoreError::corrupt("receipts", error.to_string()))?;
    Ok(StoredReceipt {
        user: UserNid(row.int(1)?),
        kind: kind.ok_or_else(|| StoreError::corrupt("receipts", format!("kind {code}")))?,
        thread: Some(row.text(3)?)
            .filter(|thread| !thread.is_empty())
            .map(str::to_owned),
        event_id,
        ts_ms: row.int(5)?,
    })
}

#[cfg(test)]
mod tests;
