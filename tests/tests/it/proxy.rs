//! Any process takes any request.

use std::sync::Arc;

use plexus_tests::{Cluster, User};
use serde_json::json;

super::scenarios! {
    a_proxy_that_is_always_wrong_changes_nothing,
    unknown_paths_and_wrong_methods_are_told_apart,
    the_operators_pages_are_there,
}

async fn a_proxy_that_is_always_wrong_changes_nothing(cluster: Arc<Cluster>) {
    super::talk::converse(&cluster.wrong_http()).await;
}

async fn unknown_paths_and_wrong_methods_are_told_apart(cluster: Arc<Cluster>) {
    for http in [cluster.http(), cluster.wrong_http()] {
        for path in [
            "/",
            "/_matrix/client/v3/nonsense",
            "/_matrix/client/v3/sync/more",
            "/_matrix/federation/v9/x",
        ] {
            http.get(path).await.expect_error(404, "M_UNRECOGNIZED");
        }
        for path in ["/_matrix/client/v3/sync", "/_matrix/client/versions"] {
            http.post(path, &json!({})).await.expect_error(405, "M_UNRECOGNIZED");
        }
        http.get("/_matrix/client/v3/createRoom")
            .await
            .expect_error(405, "M_UNRECOGNIZED");
        http.get("/_matrix/client/versions").await.ok();
    }
}

async fn the_operators_pages_are_there(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    alice.say(&room, "count this").await;
    for name in cluster.names() {
        let http = cluster.internal(name);
        assert_eq!(http.get("/health").await.status, 200);
        assert_eq!(http.get("/ready").await.ok()["ready"], true);
        let metrics = http.get("/metrics").await;
        assert_eq!(metrics.status, 200);
        assert!(
            metrics.text().contains("plexus_db_seconds"),
            "{name}: {}",
            metrics.text()
        );
        // They are for operators, not for clients.
        let outside = cluster.direct(name).get("/metrics").await;
        assert_eq!(outside.status, 404, "{name}");
    }
}
