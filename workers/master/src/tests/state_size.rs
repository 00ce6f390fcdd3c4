//! What a room's states take up on disk: the nodes of their tries, for each state event.

use plexus_core::room_version::RoomVersion;
use plexus_storage::db::{Database, Value};
use plexus_testkit::{
    dag::{Attempt, Dag},
    databases,
};

use super::{Server, graph::Visitor};

/// The room of an ordinary run, and what each of its state events may take up.
const ORDINARY: (usize, i64) = (1_000, 600);

/// That of a long run.
const LARGE: (usize, i64) = (100_000, 1_500);

/// Events in one Command.
const BATCH: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn the_states_of_a_room_take_up_little() {
    let is_long = std::env::var_os("PLEXUS_LONG").is_some();
    for (members, allowed) in [Some(ORDINARY), is_long.then_some(LARGE)].into_iter().flatten() {
        for database in databases().await {
            let server = Server::start(&database, "one").await;
            let mut visitor = Visitor::new(&server, Dag::new(RoomVersion::V11, 1));
            visitor.tell(&[0, 1, 2, 3]).await;
            for batch in (0..members).collect::<Vec<_>>().chunks(BATCH) {
                let mut events = Vec::with_capacity(batch.len());
                for member in batch {
                    let user = format!("@member{member}:two.example");
                    let last = visitor.dag.last();
                    events.push(visitor.dag.add(&[last], &Attempt::member(&user, &user, "join")));
                }
                visitor.tell(&events).await;
            }
            let events = i64::try_from(visitor.dag.events.len()).expect("far fewer");
            let each = bytes_of_nodes(&server.db).await / events;
            println!(
                "{members} members, {:?}: {each} bytes of state for each state event",
                server.db.engine()
            );
            assert!(each <= allowed, "{each} bytes for each of {events} state events");
            server.stop().await;
        }
    }
}

/// What the table of nodes takes up on disk, its index included.
async fn bytes_of_nodes(db: &Database) -> i64 {
    let sql = match db.engine() {
        plexus_storage::db::Engine::Sqlite => {
            "-- test::bytes_of_nodes\nSELECT sum(pgsize) FROM dbstat WHERE name LIKE '%state_nodes%'"
        }
        plexus_storage::db::Engine::Postgres => "-- test::bytes_of_nodes\nSELECT pg_total_relation_size('state_nodes')",
    };
    let none: [Value; 0] = [];
    let row = db
        .query_opt(sql, &none)
        .await
        .expect("the database says")
        .expect("a row");
    row.int(0).expect("a number")
}
