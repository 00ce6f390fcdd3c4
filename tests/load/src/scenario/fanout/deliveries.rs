//! Holds what each member was given against what was sent.

use std::{collections::HashMap, time::Instant};

use super::narrow;
use crate::report::Samples;

/// One message in one member's sync answer.
pub(super) struct Arrival {
    pub(super) member: usize,
    /// Hash of the event id.
    pub(super) event: u64,
    pub(super) at: Instant,
}

/// One send that was answered with an event id.
pub(super) struct Sent {
    /// Hash of the event id.
    pub(super) event: u64,
    pub(super) started: Instant,
}

/// The sends in the order in which the best informed member got them; what that member lacks comes last.
pub(super) fn agreed_order(mut sent: Vec<Sent>, arrivals: &[Arrival], members: usize) -> Vec<Sent> {
    let mut given: Vec<HashMap<u64, usize>> = vec![HashMap::new(); members];
    for arrival in arrivals {
        let place = given[arrival.member].len();
        given[arrival.member].entry(arrival.event).or_insert(place);
    }
    if let Some(order) = given.into_iter().max_by_key(HashMap::len) {
        sent.sort_by_key(|sent| order.get(&sent.event).copied().unwrap_or(usize::MAX));
    }
    sent
}

/// Turns arrivals into samples, and holds each member's sequence against what was sent.
pub(super) fn judge(arrivals: &[Arrival], sent: &[Sent], members: usize, samples: &mut Samples) {
    let order: HashMap<u64, usize> = sent.iter().enumerate().map(|(n, sent)| (sent.event, n)).collect();
    let mut given = vec![Vec::new(); members];
    let mut unknown = 0;
    for arrival in arrivals {
        match order.get(&arrival.event) {
            Some(n) => given[arrival.member].push((*n, arrival.at)),
            None => unknown += 1,
        }
    }
    let (mut missing, mut misplaced) = (0, 0);
    for given in given {
        let mut next = 0;
        for (n, at) in given {
            if n < next {
                misplaced += 1;
                continue;
            }
            missing += n - next;
            next = n + 1;
            samples.record(at.saturating_duration_since(sent[n].started));
        }
        missing += sent.len() - next;
    }
    samples.fail_many(narrow(unknown), || {
        format!("{unknown} deliveries of messages nobody was told were sent")
    });
    samples.fail_many(narrow(misplaced), || {
        format!("{misplaced} deliveries were repeated or out of order")
    });
    samples.fail_many(narrow(missing), || format!("{missing} deliveries are missing"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(given: &[(usize, u64)], at: Instant) -> Vec<Arrival> {
        let arrival = |(member, event): &(usize, u64)| Arrival {
            member: *member,
            event: *event,
            at,
        };
        given.iter().map(arrival).collect()
    }

    fn sent(started: Instant) -> Vec<Sent> {
        [7, 8, 9].map(|event| Sent { event, started }).into()
    }

    fn errors(given: &[(usize, u64)]) -> (usize, u32) {
        let now = Instant::now();
        let mut samples = Samples::default();
        judge(&arrivals(given, now), &sent(now), 1, &mut samples);
        (samples.count(), samples.errors())
    }

    #[test]
    fn only_complete_and_ordered_delivery_is_without_errors() {
        assert_eq!(errors(&[(0, 7), (0, 8), (0, 9)]), (3, 0));
        assert_eq!(errors(&[(0, 7), (0, 9)]), (2, 1), "one is missing");
        assert_eq!(errors(&[(0, 7), (0, 8), (0, 8), (0, 9)]), (3, 1), "one came twice");
        let late = "one came late: missing at its place, and misplaced";
        assert_eq!(errors(&[(0, 7), (0, 9), (0, 8)]), (2, 2), "{late}");
        assert_eq!(errors(&[(0, 7), (0, 8), (0, 9), (0, 1)]), (3, 1), "one is unknown");
    }

    #[test]
    fn members_that_disagree_on_the_order_are_told() {
        let now = Instant::now();
        let judged = |given: &[(usize, u64)]| {
            let given = arrivals(given, now);
            let mut samples = Samples::default();
            judge(&given, &agreed_order(sent(now), &given, 2), 2, &mut samples);
            (samples.count(), samples.errors())
        };
        let same = [(0, 9), (1, 9), (0, 7), (1, 7), (0, 8), (1, 8)];
        assert_eq!(judged(&same), (6, 0));
        let swapped = [(0, 9), (1, 7), (0, 7), (1, 9), (0, 8), (1, 8)];
        assert_eq!(judged(&swapped), (5, 2));
    }
}
