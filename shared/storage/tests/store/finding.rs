//! What is derived from the log, and what is found by it, on both engines.

use plexus_core::ids::{RoomNid, UserNid};
use plexus_storage::{
    derived::{self, Cursor},
    reports::{self, Report},
    search::{self, Hit, Indexed, Query},
    user_directory::{self, Listed},
};

use crate::support::{World, worlds};

fn split(text: &str) -> Vec<String> {
    plexus_core::words::words(text, 1_000)
}

/// Messages: event, room, sender, text. Places are those of the events.
const MESSAGES: [(i64, i64, i64, &str); 6] = [
    (1, 10, 5, "The quick brown fox"),
    (2, 10, 6, "a lazy dog, a lazy DOG, a lazy dog"),
    (3, 20, 5, "the dog is not so lazy"),
    (4, 20, 6, "Un Café très naïf"),
    (5, 30, 5, "a dog in another room: r10, r20"),
    (6, 10, 5, "NUL \u{0} and \u{1f600} and e-mail dog@example.org 1e5 3.14"),
];

fn query(words: &[String]) -> Query<'_> {
    Query {
        words,
        rooms: vec![10, 20],
        parts: vec![1, 2],
        sender: None,
        by_rank: false,
        after: None,
        limit: 100,
    }
}

fn events(hits: &[Hit]) -> Vec<i64> {
    hits.iter().map(|hit| hit.event).collect()
}

/// Indexes all messages, each twice, as after a crash between a batch and the next.
async fn index_messages(world: &World) {
    let db = world.store.db();
    for (event, room, sender, text) in MESSAGES {
        let words = split(text);
        let indexed = Indexed {
            event,
            room,
            sender,
            position: 100 + event,
            part: 1,
            words: &words,
        };
        world.write(search::insert(db, &indexed)).await;
        world.write(search::insert(db, &indexed)).await;
    }
}

#[tokio::test]
async fn messages_are_found_by_their_words() {
    for world in worlds().await {
        let db = world.store.db();
        index_messages(&world).await;
        let table: [(&str, &[i64]); 10] = [
            ("dog", &[6, 3, 2]),
            ("DOG lazy", &[3, 2]),
            ("cafe", &[4]),
            ("CAFÉ NAIF", &[4]),
            ("fox dog", &[]),
            ("r10", &[]),
            ("example org", &[6]),
            ("1e5", &[6]),
            ("14", &[6]),
            ("words OR \" ) ( NEAR * dog:", &[]),
        ];
        for (term, expected) in table {
            let words = split(term);
            let hits = search::find(db, &query(&words)).await.expect("the database answers");
            assert_eq!(events(&hits), expected, "{term}");
            assert!(
                hits.iter().all(|hit| usize::try_from(hit.total) == Ok(expected.len())),
                "{term}"
            );
            assert!(hits.iter().all(|hit| hit.sort_key == 100 + hit.event), "{term}");
        }
    }
}

#[tokio::test]
async fn found_messages_come_in_pages_by_time_or_by_rank() {
    for world in worlds().await {
        let db = world.store.db();
        index_messages(&world).await;
        let dog = split("lazy dog");
        let best = Query {
            by_rank: true,
            ..query(&dog)
        };
        let hits = search::find(db, &best).await.expect("the database answers");
        assert_eq!(hits[0].event, 2, "what has the words most often fits best");
        let rest = Query {
            after: Some((hits[0].sort_key, hits[0].event)),
            ..best
        };
        assert_eq!(
            events(&search::find(db, &rest).await.expect("the database answers")),
            [3]
        );
        let dog = split("dog");
        let page = |after| Query {
            after,
            limit: 1,
            ..query(&dog)
        };
        let mut found = Vec::new();
        let mut after = None;
        while let Some(hit) = search::find(db, &page(after))
            .await
            .expect("the database answers")
            .first()
        {
            found.push(hit.event);
            after = Some((hit.sort_key, hit.event));
        }
        assert_eq!(found, [6, 3, 2]);
    }
}

#[tokio::test]
async fn a_search_looks_where_it_is_told_to() {
    for world in worlds().await {
        let db = world.store.db();
        index_messages(&world).await;
        let dog = split("dog");
        let by_sender = Query {
            sender: Some(6),
            ..query(&dog)
        };
        assert_eq!(
            events(&search::find(db, &by_sender).await.expect("the database answers")),
            [2]
        );
        let names = Query {
            parts: vec![2],
            ..query(&dog)
        };
        assert_eq!(
            events(&search::find(db, &names).await.expect("the database answers")),
            [0_i64; 0]
        );
        let everywhere = Query {
            rooms: (1..=1_000).collect(),
            ..query(&dog)
        };
        assert_eq!(
            events(&search::find(db, &everywhere).await.expect("the database answers")),
            [6, 5, 3, 2]
        );
        world.write(search::delete(db, 3)).await;
        world.write(search::delete(db, 3)).await;
        assert_eq!(
            events(&search::find(db, &query(&dog)).await.expect("the database answers")),
            [6, 2]
        );
    }
}

#[tokio::test]
async fn a_cursor_moves_from_where_it_is() {
    for world in worlds().await {
        let db = world.store.db();
        let begun = derived::cursor(db, "x").await.expect("the database answers");
        assert_eq!(begun.scanned, Some(-1));
        let done = Cursor {
            position: 7,
            scanned: None,
        };
        let open = |room| vec![user_directory::open_room(RoomNid(room))];
        assert!(
            derived::advance(db, "x", begun, done, open(1))
                .await
                .expect("the database answers")
        );
        assert!(
            !derived::advance(db, "x", begun, done, open(2))
                .await
                .expect("the database answers"),
            "somebody else was faster"
        );
        let further = Cursor { position: 9, ..done };
        assert!(
            derived::advance(db, "x", done, further, open(3))
                .await
                .expect("the database answers")
        );
        assert_eq!(derived::cursor(db, "x").await.expect("the database answers"), further);
        let open = user_directory::open_rooms(db, vec![1, 2, 3])
            .await
            .expect("the database answers");
        assert_eq!(open, [RoomNid(1), RoomNid(3)]);
    }
}

#[tokio::test]
async fn users_are_found_by_how_words_begin() {
    for world in worlds().await {
        let db = world.store.db();
        let listed = |user, name: Option<&str>, is_open| Listed {
            user: UserNid(user),
            display_name: name.map(str::to_owned),
            avatar_url: None,
            is_open,
        };
        let add = |listed: Listed| {
            let words = split(listed.display_name.as_deref().unwrap_or("nobody"));
            user_directory::upsert(&listed, &words)
        };
        world.write(add(listed(1, Some("Anna Nováková"), true))).await;
        world.write(add(listed(2, Some("Hannah \u{0} Novotná"), false))).await;
        world.write(add(listed(3, None, true))).await;
        let find = async |prefix: &str, only_open| {
            let found = user_directory::with_prefix(db, prefix, only_open, 10).await;
            found
                .expect("the database answers")
                .iter()
                .map(|user| user.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(find("no", true).await, [3, 1]);
        assert_eq!(find("nov", false).await, [1, 2]);
        assert_eq!(find("novako", true).await, [1]);
        assert_eq!(find("ova", false).await, [0_i64; 0]);
        let these = user_directory::of_these_with_prefix(db, vec![2, 3], "nov").await;
        assert_eq!(these.expect("the database answers"), [UserNid(2)]);
        let all = user_directory::listed(db, vec![2]).await.expect("the database answers");
        assert_eq!(all[0].display_name.as_deref(), Some("Hannah   Novotná"));
        // A new name takes the place of the old one.
        world.write(add(listed(1, Some("Anna Dvořáková"), false))).await;
        assert_eq!(find("nov", false).await, [2]);
        assert_eq!(find("dvor", true).await, [0_i64; 0]);
        assert_eq!(find("dvor", false).await, [1]);
        world.write(user_directory::delete(UserNid(2))).await;
        assert_eq!(find("nov", false).await, [0_i64; 0]);
        // 5282: the directory can be emptied, and is made anew from the start.
        let begun = derived::cursor(db, user_directory::NAME)
            .await
            .expect("the database answers");
        let done = Cursor { scanned: None, ..begun };
        derived::advance(
            db,
            user_directory::NAME,
            begun,
            done,
            vec![user_directory::open_room(RoomNid(1))],
        )
        .await
        .expect("the database answers");
        user_directory::rebuild(db).await.expect("the database answers");
        assert_eq!(find("", false).await, [0_i64; 0]);
        assert_eq!(
            user_directory::open_rooms(db, vec![1])
                .await
                .expect("the database answers"),
            []
        );
        let anew = derived::cursor(db, user_directory::NAME)
            .await
            .expect("the database answers");
        assert_eq!(anew.scanned, Some(-1));
    }
}

#[tokio::test]
async fn reports_are_kept_and_counted() {
    for world in worlds().await {
        let db = world.store.db();
        for id in 1..=3 {
            let report = Report {
                id,
                created_ms: 100 * id,
                reporter: UserNid(1 + id % 2),
                room: Some(RoomNid(id)),
                event: None,
                user: Some(UserNid(9)),
                score: Some(-100),
                reason: "bad \u{0} words".to_owned(),
            };
            reports::insert(db, &report).await.expect("the database answers");
        }
        assert_eq!(
            reports::count_since(db, UserNid(2), 100)
                .await
                .expect("the database answers"),
            1
        );
        let newest = reports::newest(db, 2).await.expect("the database answers");
        assert_eq!(newest.iter().map(|report| report.id).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(
            (newest[0].reason.as_str(), newest[0].score),
            ("bad   words", Some(-100))
        );
    }
}
