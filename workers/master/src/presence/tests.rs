use super::*;

const USER: UserNid = UserNid(1);
const SECOND: Duration = Duration::from_secs(1);
const HOLD: Duration = Duration::from_secs(30);

fn syncs(device: &str, state: PresenceState) -> Word<'_> {
    Word {
        device,
        state,
        hold: HOLD,
        said: None,
    }
}

fn says(state: PresenceState, status_msg: &str) -> Word<'static> {
    Word {
        said: Some(Some(status_msg.to_owned())),
        ..syncs("PHONE", state)
    }
}

fn told(presence: &mut Presence, now: Instant) -> Vec<(i64, PresenceState)> {
    presence.expire(now);
    let rows = presence.take_due(now);
    rows.iter().map(|row| (row.user.0, row.state)).collect()
}

#[test]
fn a_user_comes_idles_acts_and_goes() {
    let (mut presence, start) = (Presence::default(), Instant::now());
    let online = syncs("PHONE", PresenceState::Online);
    presence.hear(USER, &online, None, start, 100);
    assert_eq!(told(&mut presence, start), [(1, PresenceState::Online)]);
    // He stays, and says so again and again, and does nothing.
    let mut now = start;
    while now < start + IDLE_AFTER {
        assert_eq!(told(&mut presence, now), []);
        presence.hear(USER, &online, None, now, 200);
        now += 20 * SECOND;
    }
    assert_eq!(told(&mut presence, now), [(1, PresenceState::Unavailable)]);
    presence.act(USER, now, 300);
    let rows = presence.take_due(now + TELL_EVERY);
    assert_eq!((rows[0].state, rows[0].last_active_ms), (PresenceState::Online, 300));
    assert_eq!(told(&mut presence, now + HOLD + SECOND), [(1, PresenceState::Offline)]);
    assert!(presence.is_empty());
}

#[test]
fn changes_are_gathered() {
    let (mut presence, start) = (Presence::default(), Instant::now());
    for user in 1..=11 {
        presence.hear(UserNid(user), &syncs("PHONE", PresenceState::Online), None, start, 1);
        assert_eq!(told(&mut presence, start).len(), 1, "the first are told at once");
    }
    for user in 12..=19 {
        presence.hear(UserNid(user), &syncs("PHONE", PresenceState::Online), None, start, 1);
    }
    presence.hear(UserNid(19), &says(PresenceState::Offline, ""), None, start, 1);
    assert_eq!(told(&mut presence, start + TELL_EVERY / 2), []);
    assert!(presence.is_untold(UserNid(12)));
    let rows = told(&mut presence, start + TELL_EVERY);
    assert_eq!(rows.len(), 8, "each once, as he is by then");
    assert_eq!(rows[7], (19, PresenceState::Offline));
    for user in 0..1_000 {
        presence.hear(
            UserNid(100 + user),
            &syncs("PHONE", PresenceState::Online),
            None,
            start,
            1,
        );
    }
    let later = start + 5 * TELL_EVERY;
    assert_eq!(told(&mut presence, later).len(), USERS_PER_FRAME_MAX);
    assert_eq!(told(&mut presence, later + TELL_EVERY).len(), 500);
}

#[test]
fn the_best_device_counts_and_the_user_has_the_last_word() {
    let (mut presence, start) = (Presence::default(), Instant::now());
    presence.hear(USER, &syncs("PHONE", PresenceState::Unavailable), None, start, 1);
    presence.hear(USER, &syncs("LAPTOP", PresenceState::Online), None, start, 1);
    assert_eq!(told(&mut presence, start), [(1, PresenceState::Online)]);
    presence.hear(USER, &says(PresenceState::Unavailable, "lunch"), None, start, 1);
    let rows = presence.take_due(start + SECOND);
    assert_eq!(rows[0].status_msg.as_deref(), Some("lunch"));
    assert_eq!(rows[0].state, PresenceState::Unavailable);
    presence.hear(USER, &says(PresenceState::Offline, "lunch"), None, start, 1);
    assert_eq!(told(&mut presence, start + 2 * SECOND), [(1, PresenceState::Offline)]);
    // What he said stays.
    let before = rows[0].clone();
    let online = syncs("PHONE", PresenceState::Online);
    presence.hear(USER, &online, Some(&before), start, 1);
    let rows = presence.take_due(start + 4 * SECOND);
    assert_eq!(rows[0].status_msg.as_deref(), Some("lunch"));
}

#[test]
fn all_is_bounded() {
    let (mut presence, start) = (Presence::default(), Instant::now());
    for device in 0..50 {
        presence.hear(USER, &syncs(&device.to_string(), PresenceState::Online), None, start, 1);
    }
    assert_eq!(presence.users[&USER].devices.len(), DEVICES_MAX);
    presence.hear(UserNid(2), &syncs("PHONE", PresenceState::Offline), None, start, 1);
    assert!(
        !presence.users.contains_key(&UserNid(2)),
        "who syncs unseen leaves no trace"
    );
    for user in 0..i64::try_from(USERS_MAX).unwrap() + 10 {
        presence.hear(UserNid(user), &syncs("PHONE", PresenceState::Online), None, start, 1);
    }
    assert_eq!(presence.users.len(), USERS_MAX);
}

#[test]
fn another_leader_goes_on_for_a_while() {
    let start = Instant::now();
    let row = |user, state| PresenceRow {
        user: UserNid(user),
        state,
        status_msg: None,
        last_active_ms: 5,
        currently_active: false,
    };
    let rows = [
        row(1, PresenceState::Online),
        row(2, PresenceState::Offline),
        row(3, PresenceState::Online),
    ];
    let mut presence = Presence::taken_over(&rows, start);
    presence.hear(
        UserNid(3),
        &syncs("PHONE", PresenceState::Online),
        Some(&rows[2]),
        start + TAKEN_OVER_FOR,
        9,
    );
    assert_eq!(told(&mut presence, start + TAKEN_OVER_FOR / 2), []);
    assert_eq!(
        told(&mut presence, start + TAKEN_OVER_FOR),
        [(1, PresenceState::Offline)]
    );
}

#[test]
fn a_user_of_another_server_is_as_his_server_says_until_it_falls_silent() {
    let (mut presence, start) = (Presence::default(), Instant::now());
    let said = |state, currently_active| PresenceRow {
        user: USER,
        state,
        status_msg: Some("at sea".to_owned()),
        last_active_ms: 77,
        currently_active,
    };
    presence.hear_from_server(said(PresenceState::Online, false), None, start);
    let rows = presence.take_due(start);
    assert_eq!(rows, [said(PresenceState::Online, false)]);
    // He does not idle by our clock.
    assert_eq!(told(&mut presence, start + IDLE_AFTER + SECOND), []);
    presence.hear_from_server(said(PresenceState::Unavailable, false), None, start + IDLE_AFTER);
    let later = start + IDLE_AFTER + SECOND;
    assert_eq!(told(&mut presence, later), [(1, PresenceState::Unavailable)]);
    let end = start + IDLE_AFTER + SAID_FOR;
    assert_eq!(told(&mut presence, end - SECOND), []);
    assert_eq!(told(&mut presence, end), [(1, PresenceState::Offline)]);
    assert!(presence.is_empty());
}

#[test]
fn hostile_20_other_servers_leave_room_for_our_users() {
    let (mut presence, now) = (Presence::default(), Instant::now());
    let most = i64::try_from(REMOTE_USERS_MAX).expect("fits");
    let said = |user| PresenceRow {
        user: UserNid(user),
        state: PresenceState::Online,
        status_msg: None,
        last_active_ms: 1,
        currently_active: true,
    };
    for user in 1..=most + 5 {
        presence.hear_from_server(said(user), None, now);
    }
    assert_eq!(presence.users.len(), REMOTE_USERS_MAX);
    presence.hear(UserNid(most + 9), &syncs("PHONE", PresenceState::Online), None, now, 1);
    assert_eq!(presence.users.len(), REMOTE_USERS_MAX + 1);
    // Whoever goes makes room.
    let gone = PresenceRow {
        state: PresenceState::Offline,
        ..said(1)
    };
    presence.hear_from_server(gone, None, now);
    presence.take_due(now);
    presence.hear_from_server(said(most + 1), None, now);
    assert!(presence.users.contains_key(&UserNid(most + 1)));
}
