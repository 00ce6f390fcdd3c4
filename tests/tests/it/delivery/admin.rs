//! What administrators see of the servers that ours sends to.

use plexus_tests::{PATIENCE, User, encode, eventually};
use serde_json::{Value, json};

use super::{SPLIT, Setting, fall_away, peer::Manner};
use crate::accounts::administrator;

const DESTINATIONS: &str = "/_synapse/admin/v1/federation/destinations";

fn path(server: &str, rest: &str) -> String {
    format!("{DESTINATIONS}/{}{rest}", encode(server))
}

async fn shown(admin: &User, server: &str) -> Value {
    admin.http.get(&path(server, "")).await.ok()
}

#[test]
fn administrators_see_who_does_not_answer_and_have_him_tried_again() {
    SPLIT.run(async |cluster| {
        let it = Setting::new(&cluster).await;
        let (admin, server) = (administrator(&cluster).await, it.peer.name());
        it.say("before").await;
        it.peer.until_told("before").await;
        let fine = json!({
            "destination": server,
            "retry_last_ts": 0,
            "retry_interval": 0,
            "failure_ts": null,
            "last_successful_stream_ordering": null,
        });
        assert_eq!(shown(&admin, &server).await, fine);
        let reset = path(&server, "/reset_connection");
        admin
            .http
            .post(&reset, &json!({}))
            .await
            .expect_error(400, "M_INVALID_PARAM");

        fall_away(&it).await;
        let told = eventually(PATIENCE, "it to lag", async || {
            let told = shown(&admin, &server).await;
            let lags = told["last_successful_stream_ordering"].is_i64();
            if lags { Ok(told) } else { Err(told.to_string()) }
        })
        .await;
        assert_eq!(told["retry_interval"], 600_000);
        assert!(told["failure_ts"].as_i64() > Some(0), "{told}");
        let list = format!(
            "{DESTINATIONS}?order_by=failure_ts&dir=b&destination={}",
            encode(&server)
        );
        let list = admin.http.get(&list).await.ok();
        assert_eq!((&list["destinations"], &list["total"]), (&json!([told]), &json!(1)));
        let rooms = admin.http.get(&path(&server, "/rooms")).await.ok();
        assert_eq!(rooms["total"], 1);
        assert_eq!(rooms["rooms"][0]["room_id"], it.room);

        it.peer.behaves(Manner::Takes);
        assert_eq!(admin.http.post(&reset, &json!({})).await.ok(), json!({}));
        it.peer.until_told("away").await;
        eventually(PATIENCE, "it to be well", async || {
            let told = shown(&admin, &server).await;
            if told == fine { Ok(()) } else { Err(told.to_string()) }
        })
        .await;

        let nobody = path("nobody.example", "");
        admin.http.get(&nobody).await.expect_error(404, "M_NOT_FOUND");
        for target in [DESTINATIONS.to_owned(), nobody] {
            it.alice.http.get(&target).await.expect_error(403, "M_FORBIDDEN");
        }
    });
}
