use super::*;

fn receipt(user: i64, thread: Option<&str>) -> StoredReceipt {
    StoredReceipt {
        user: UserNid(user),
        kind: ReceiptKind::Read,
        thread: thread.map(str::to_owned),
        event_id: EventId::parse("$e:x").expect("an id"),
        ts_ms: 1,
    }
}

#[test]
fn a_receipt_moves_on_and_stands_at_one_place() {
    let mut receipts = RoomReceipts::default();
    receipts.put(3, receipt(1, None));
    receipts.put(4, receipt(2, None));
    receipts.put(5, receipt(1, Some("main")));
    receipts.put(8, receipt(1, None));
    receipts.put(7, receipt(1, None));
    let between = |after, up_to| {
        receipts
            .between(after, up_to)
            .map(|(position, _)| position)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (between(0, 9), between(4, 7), between(3, 4)),
        (vec![4, 5, 8], vec![5], vec![4])
    );
    assert_eq!(between(i64::MAX, 9), Vec::<Sequence>::new());
    assert_eq!(
        receipts
            .get(UserNid(1), ReceiptKind::Read, None)
            .map(|(position, _)| position),
        Some(8)
    );
    assert_eq!(receipts.get(UserNid(1), ReceiptKind::ReadPrivate, None), None);
    assert_eq!(
        receipts.weight,
        receipts
            .by_position
            .values()
            .map(|receipt| weight(receipt))
            .sum::<u64>()
    );
}
