use super::*;
use crate::events::tests::message;

fn timeline(floor: Sequence, positions: impl IntoIterator<Item = Sequence>) -> RoomTimeline {
    let mut timeline = RoomTimeline {
        floor,
        ..RoomTimeline::default()
    };
    for position in positions {
        timeline.push(message(position));
    }
    timeline
}

fn positions(events: Option<Vec<Arc<StoredEvent>>>) -> Option<Vec<Sequence>> {
    Some(events?.iter().map(|event| event.position).collect())
}

#[test]
fn a_range_is_answered_only_if_all_of_it_is_here() {
    let timeline = timeline(10, [12, 15, 19]);
    assert_eq!(positions(timeline.between(10, 19, 50)), Some(vec![19, 15, 12]));
    assert_eq!(positions(timeline.between(12, 18, 50)), Some(vec![15]));
    assert_eq!(positions(timeline.between(19, 30, 50)), Some(vec![]));
    assert_eq!(positions(timeline.between(9, 19, 50)), None);
    // Some are missing, but not of the newest two.
    assert_eq!(positions(timeline.between(0, 19, 2)), Some(vec![19, 15]));
    assert_eq!(positions(timeline.between(0, 15, 2)), Some(vec![15, 12]));
    assert_eq!(positions(timeline.between(0, 15, 3)), None);
    assert_eq!(positions(timeline.between(0, 11, 1)), None);
}

#[test]
fn the_root_at_a_place_is_that_of_the_last_event_before_it() {
    let timeline = timeline(10, [12, 15]);
    let root = |at| timeline.newest_at(at).map(|event| event.room_root.0);
    assert_eq!(
        (root(11), root(12), root(14), root(15), root(99)),
        (None, Some(12), Some(12), Some(15), Some(15))
    );
}

#[test]
fn the_oldest_event_goes_and_the_floor_follows() {
    let max = i64::try_from(TIMELINE_MAX).expect("small");
    let timeline = timeline(0, 1..=max + 2);
    assert_eq!((timeline.floor, timeline.events.len()), (2, TIMELINE_MAX));
    assert_eq!(
        timeline.weight,
        timeline.events.iter().map(|event| event.weight()).sum::<u64>()
    );
    assert_eq!(positions(timeline.between(1, max, 50)), None);
    assert_eq!(
        timeline.between(2, max + 2, 50).map(|events| events.len()),
        Some(TIMELINE_MAX)
    );
}

#[test]
fn an_event_that_the_database_had_first_is_not_there_twice() {
    let mut timeline = RoomTimeline::loaded(vec![message(7), message(5)]);
    timeline.push(message(5));
    timeline.push(message(7));
    timeline.push(message(8));
    assert_eq!(positions(timeline.between(0, 9, 50)), Some(vec![8, 7, 5]));
}

#[test]
fn what_was_loaded_reaches_back_to_the_start_if_there_was_no_more() {
    assert_eq!(RoomTimeline::loaded(vec![]).between(0, 9, 50), Some(vec![]));
    assert_eq!(RoomTimeline::loaded(vec![message(7)]).floor, 0);
    let many = (1..=50).rev().map(|position| message(position + 100)).collect();
    assert_eq!(RoomTimeline::loaded(many).floor, 100);
}

#[test]
fn a_row_without_a_timeline_begins_one() {
    let timelines = cache();
    timelines.push(&message(30));
    timelines.push(&message(33));
    let timeline = timelines.get(&RoomNid(1)).expect("begun");
    assert_eq!(positions(timeline.between(29, 40, 50)), Some(vec![33, 30]));
    assert_eq!(positions(timeline.between(28, 40, 50)), None);
    assert!(!timeline.is_full());
}

#[test]
fn a_redaction_changes_the_event_and_not_the_snapshot_somebody_holds() {
    let timelines = cache();
    timelines.push(&message(1));
    timelines.push(&message(2));
    let held = timelines.get(&RoomNid(1)).expect("kept");
    let redacted = |event: &StoredEvent| event.redacted(EventNid(9), plexus_core::room_version::RoomVersion::V11);
    timelines.redact(RoomNid(1), EventNid(1), redacted);
    timelines.redact(RoomNid(1), EventNid(77), |_| panic!("it is not here"));
    let kept = timelines.get(&RoomNid(1)).expect("kept");
    let oldest = |timeline: &RoomTimeline| {
        timeline
            .newest_at(1)
            .map(|event| (event.redacted_by, event.body.content().to_owned()))
    };
    assert_eq!(oldest(&held), Some((None, r#"{"body":"1"}"#.to_owned())));
    assert_eq!(oldest(&kept), Some((Some(EventNid(9)), "{}".to_owned())));
    assert_eq!(kept.weight, kept.events.iter().map(|event| event.weight()).sum::<u64>());
}
