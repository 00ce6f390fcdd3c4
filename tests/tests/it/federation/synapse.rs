//! Scenarios with Synapse as the other server.

use std::sync::Arc;

use plexus_tests::{Cluster, Http, Synapse, User, encode};
use serde_json::json;

crate::federated_scenarios! {
    profiles,
}

/// One of the two servers.
struct Side {
    name: String,
    http: Http,
}

/// This server, and Synapse.
async fn sides(cluster: &Cluster) -> [Side; 2] {
    let synapse = Synapse::shared().await;
    let side = |name: &str, http| Side {
        name: name.to_owned(),
        http,
    };
    [
        side(cluster.server_name(), cluster.http()),
        side(synapse.server_name(), synapse.http()),
    ]
}

/// Each sees what the other's users are called.
async fn profiles(cluster: Arc<Cluster>) {
    let sides = sides(&cluster).await;
    for (asking, asked) in [(0, 1), (1, 0)] {
        let alice = User::register(&sides[asking].http, "alice").await;
        let bob = User::register(&sides[asked].http, "bob").await;
        let name = format!("Bob of {}", sides[asked].name);
        let profile = format!("/_matrix/client/v3/profile/{}", encode(&bob.id));
        let wanted = json!({"displayname": name});
        bob.http.put(&format!("{profile}/displayname"), &wanted).await.ok();
        assert_eq!(alice.http.get(&profile).await.ok()["displayname"], name.as_str());
    }
}
