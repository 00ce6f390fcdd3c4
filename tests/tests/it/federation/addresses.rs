//! Inviting by e-mail address: into rooms of this server and of others, with an identity server that is a double.

use std::sync::Arc;

use http::Method;
use plexus_tests::{Answer, Cluster, Identity, Peer, User, encode, fresh_name, pending, tell};
use serde_json::{Value, json};

use super::{
    inviting::{until_member, until_told},
    joining::{Side, membership, plexus},
};

crate::federated_scenarios! {
    an_address_is_invited_and_then_bound,
    an_address_that_is_bound_is_invited_as_its_user,
    what_is_not_proved_invites_nobody,
    a_key_that_is_not_good_any_more_invites_nobody,
    identity_servers_are_asked_only_where_it_makes_sense,
    a_room_is_made_for_addresses,
    whoever_shows_a_signed_invite_joins,
    servers_exchange_only_what_is_signed,
    bindings_are_few_and_of_users_who_are_there,
}

/// An address that no other test uses.
fn fresh_address() -> String {
    format!("{}@example.org", fresh_name("somebody"))
}

/// This server by itself, and with another one in either role.
async fn pairs(cluster: &Cluster) -> [(Side, Side); 3] {
    let here = || Side::of(cluster);
    [(here(), here()), (here(), plexus().await), (plexus().await, here())]
}

async fn private_room(user: &User, version: &str) -> String {
    let create = json!({"preset": "private_chat", "room_version": version, "name": "The room"});
    user.create_room(&create).await
}

async fn state_event(user: &User, room: &str, kind: &str, key: &str) -> Answer {
    let target = format!("/_matrix/client/v3/rooms/{}/state/{kind}/{}", encode(room), encode(key));
    user.http.get(&target).await
}

/// Invites an address that is nobody's: what the identity server keeps of it.
async fn invite(identity: &Identity, user: &User, room: &str, address: &str) -> Value {
    user.act(room, "invite", &identity.invite(address)).await.ok();
    let stored = identity.stored(address);
    let stored = stored.iter().find(|invite| invite["room_id"] == room);
    stored.expect("the invite is kept").clone()
}

async fn an_address_is_invited_and_then_bound(cluster: Arc<Cluster>) {
    let identity = Identity::start().await;
    for (inviting, invited) in pairs(&cluster).await {
        for version in ["1", "6", "12"] {
            let alice = User::register(&inviting.http, "alice").await;
            let bob = User::register(&invited.http, "bob").await;
            let room = private_room(&alice, version).await;
            let address = fresh_address();
            let stored = invite(&identity, &alice, &room, &address).await;
            assert_eq!(
                (&stored["sender"], &stored["room_name"]),
                (&json!(alice.id), &json!("The room"))
            );
            assert_eq!(stored["room_join_rules"], "invite");
            let token = stored["token"].as_str().expect("a token");
            let kept = state_event(&alice, &room, "m.room.third_party_invite", token)
                .await
                .ok();
            assert_eq!(kept["display_name"], "s...@e...");
            assert_eq!(kept["public_keys"].as_array().map(Vec::len), Some(2), "{kept}");
            assert_eq!(kept["public_key"], kept["public_keys"][0]["public_key"]);
            assert!(!kept.to_string().contains(&address), "{kept}");
            identity.bind(&bob.http, &address, &bob.id).await.ok();
            until_told(&bob, "invite", &room).await;
            let member = state_event(&alice, &room, "m.room.member", &bob.id).await.ok();
            assert_eq!(member["membership"], "invite");
            assert_eq!(member["third_party_invite"]["display_name"], "s...@e...");
            assert_eq!(member["third_party_invite"]["signed"]["token"], token);
            bob.join(&room).await;
            until_told(&bob, "join", &room).await;
            until_member(&alice, &room, &bob, "join").await;
            // Told again, it changes nothing for somebody who is in.
            identity.bind(&bob.http, &address, &bob.id).await.ok();
            assert_eq!(membership(&alice, &room, &bob.id).await, "join");
        }
    }
}

async fn an_address_that_is_bound_is_invited_as_its_user(cluster: Arc<Cluster>) {
    let identity = Identity::start().await;
    for (inviting, invited) in pairs(&cluster).await {
        let alice = User::register(&inviting.http, "alice").await;
        let bob = User::register(&invited.http, "bob").await;
        let address = fresh_address();
        identity.knows(&address, &bob.id);
        for algorithm in ["sha256", "none"] {
            identity.looks_up_by(algorithm);
            let room = private_room(&alice, "12").await;
            let written = identity.invite(&address.to_uppercase());
            alice.act(&room, "invite", &written).await.ok();
            until_told(&bob, "invite", &room).await;
            let member = state_event(&alice, &room, "m.room.member", &bob.id).await.ok();
            assert_eq!(member["third_party_invite"], Value::Null);
        }
        assert_eq!(identity.stored(&address), Vec::<Value>::new());
    }
    identity.looks_up_by("sha512");
    let alice = User::register(&cluster.http(), "alice").await;
    let room = private_room(&alice, "12").await;
    let refused = alice.act(&room, "invite", &identity.invite(&fresh_address())).await;
    refused.expect_error(503, "M_UNKNOWN");
}

async fn what_is_not_proved_invites_nobody(cluster: Arc<Cluster>) {
    let identity = Identity::start().await;
    for (inviting, invited) in pairs(&cluster).await {
        let alice = User::register(&inviting.http, "alice").await;
        let bob = User::register(&invited.http, "bob").await;
        let mallory = User::register(&invited.http, "mallory").await;
        let room = private_room(&alice, "11").await;
        let stored = invite(&identity, &alice, &room, &fresh_address()).await;
        let revoked = invite(&identity, &alice, &room, &fresh_address()).await;
        let token = revoked["token"].as_str().expect("a token");
        let target = format!(
            "/_matrix/client/v3/rooms/{}/state/m.room.third_party_invite/{token}",
            encode(&room)
        );
        alice.http.put(&target, &json!({})).await.ok();
        let by_another =
            json!({"room_id": room, "sender": format!("@nobody:{}", inviting.name), "token": stored["token"]});
        let elsewhere =
            json!({"room_id": format!("!nowhere:{}", inviting.name), "sender": alice.id, "token": stored["token"]});
        let unknown = json!({"room_id": room, "sender": alice.id, "token": "unknown"});
        let signed = |invite: &Value| identity.sign(&bob.id, &invite["token"]);
        let wrong = [
            (
                "forged",
                pending(&stored, &bob.id, &identity.forge(&bob.id, &stored["token"])),
            ),
            (
                "another's",
                pending(&stored, &bob.id, &identity.sign(&mallory.id, &stored["token"])),
            ),
            (
                "unsigned",
                pending(&stored, &bob.id, &json!({"mxid": bob.id, "token": stored["token"]})),
            ),
            ("taken back", pending(&revoked, &bob.id, &signed(&revoked))),
            ("by another user", pending(&by_another, &bob.id, &signed(&by_another))),
            ("unknown", pending(&unknown, &bob.id, &signed(&unknown))),
        ];
        for (what, invite) in wrong {
            let refused = tell(&bob.http, &bob.id, &[invite]).await;
            assert_eq!(
                (refused.status, &refused.json()["errcode"]),
                (403, &json!("M_FORBIDDEN")),
                "{what}"
            );
            assert_eq!(membership(&alice, &room, &bob.id).await, Value::Null, "{what}");
        }
        let refused = tell(&bob.http, &bob.id, &[pending(&elsewhere, &bob.id, &signed(&elsewhere))]).await;
        assert!(matches!(refused.status, 403 | 404), "{}", refused.text());
        // One that is right is taken, whatever comes with it.
        let both = [
            pending(&unknown, &bob.id, &signed(&unknown)),
            pending(&stored, &bob.id, &signed(&stored)),
        ];
        tell(&bob.http, &bob.id, &both).await.expect_error(403, "M_FORBIDDEN");
        until_told(&bob, "invite", &room).await;
    }
}

async fn a_key_that_is_not_good_any_more_invites_nobody(cluster: Arc<Cluster>) {
    for (inviting, invited) in pairs(&cluster).await {
        let identity = Identity::start().await;
        let alice = User::register(&inviting.http, "alice").await;
        let bob = User::register(&invited.http, "bob").await;
        let (room, address) = (private_room(&alice, "12").await, fresh_address());
        invite(&identity, &alice, &room, &address).await;
        identity.revokes_its_keys();
        identity
            .bind(&bob.http, &address, &bob.id)
            .await
            .expect_error(403, "M_FORBIDDEN");
        identity.refuses(500, json!({}));
        let unsure = identity.bind(&bob.http, &address, &bob.id).await;
        assert_eq!(unsure.status, 503, "{}", unsure.text());
        assert_eq!(membership(&alice, &room, &bob.id).await, Value::Null);
        // A member may write any address into the room: it is not asked.
        let stranger = Peer::start().await;
        let url = format!("https://somebody@{}/valid", stranger.name());
        let token = fresh_name("token");
        let key = state_event(
            &alice,
            &room,
            "m.room.third_party_invite",
            identity.stored(&address)[0]["token"].as_str().expect("text"),
        )
        .await
        .ok()["public_key"]
            .clone();
        let content = json!({"display_name": "x", "public_key": key, "key_validity_url": url});
        let target = format!(
            "/_matrix/client/v3/rooms/{}/state/m.room.third_party_invite/{token}",
            encode(&room)
        );
        alice.http.put(&target, &content).await.ok();
        let own = json!({"room_id": room, "sender": alice.id});
        let signed = identity.sign(&bob.id, &json!(token));
        let refused = tell(&bob.http, &bob.id, &[pending(&own, &bob.id, &signed)]).await;
        refused.expect_error(403, "M_FORBIDDEN");
        assert_eq!(stranger.remote.received().len(), 0);
    }
}

async fn identity_servers_are_asked_only_where_it_makes_sense(cluster: Arc<Cluster>) {
    let (identity, http) = (Identity::start().await, cluster.http());
    let [alice, bob] = [User::register(&http, "alice").await, User::register(&http, "bob").await];
    let room = private_room(&alice, "12").await;
    let with = |field: &str, value: Value| {
        let mut invite = identity.invite("somebody@example.org");
        invite[field] = value;
        invite
    };
    for (field, value, errcode) in [
        ("id_server", json!("id.example"), "M_SERVER_NOT_TRUSTED"),
        ("id_server", json!("https://id.example"), "M_INVALID_PARAM"),
        ("id_access_token", json!(""), "M_INVALID_PARAM"),
        ("id_access_token", json!("a b"), "M_INVALID_PARAM"),
        ("address", json!("x".repeat(2000)), "M_INVALID_PARAM"),
        ("address", Value::Null, "M_BAD_JSON"),
    ] {
        let refused = alice.act(&room, "invite", &with(field, value)).await;
        assert_eq!(
            (refused.status, &refused.json()["errcode"]),
            (400, &json!(errcode)),
            "{field}"
        );
    }
    // Who may not invite learns nothing of addresses.
    bob.act(&room, "invite", &identity.invite("somebody@example.org"))
        .await
        .expect_error(403, "M_FORBIDDEN");
    alice.invite(&room, &bob).await;
    bob.join(&room).await;
    let levels = json!({"users": {alice.id.as_str(): 100}, "invite": 50});
    let closed = alice
        .create_room(&json!({"room_version": "11", "preset": "public_chat", "power_level_content_override": levels}))
        .await;
    bob.join(&closed).await;
    bob.act(&closed, "invite", &identity.invite("somebody@example.org"))
        .await
        .expect_error(403, "M_FORBIDDEN");
    assert_eq!(identity.remote.received().len(), 0);
    // What it refuses is for the client, but for what would be of his session here.
    let refused = alice
        .act(&room, "invite", &with("id_access_token", json!("wrong")))
        .await;
    refused.expect_error(403, "M_FORBIDDEN");
    identity.refuses(403, json!({"errcode": "M_TERMS_NOT_SIGNED", "error": "read them"}));
    let refused = alice
        .act(&room, "invite", &identity.invite("somebody@example.org"))
        .await;
    refused.expect_error(403, "M_TERMS_NOT_SIGNED");
    identity.refuses(502, json!({}));
    let refused = alice
        .act(&room, "invite", &identity.invite("somebody@example.org"))
        .await;
    refused.expect_error(503, "M_UNKNOWN");
}

async fn a_room_is_made_for_addresses(cluster: Arc<Cluster>) {
    let identity = Identity::start().await;
    let alice = User::register(&cluster.http(), "alice").await;
    let bob = User::register(&cluster.http(), "bob").await;
    let carol = User::register(&cluster.http(), "carol").await;
    let (waiting, known) = (fresh_address(), fresh_address());
    identity.knows(&known, &carol.id);
    let invites = json!([identity.invite(&waiting), identity.invite(&known)]);
    let room = alice
        .create_room(&json!({"preset": "private_chat", "invite_3pid": invites}))
        .await;
    until_told(&carol, "invite", &room).await;
    identity.bind(&bob.http, &waiting, &bob.id).await.ok();
    until_told(&bob, "invite", &room).await;
    let untrusted = json!({"invite_3pid": [{"id_server": "id.example", "id_access_token": "x", "medium": "email", "address": "a@b"}]});
    let refused = alice.http.post("/_matrix/client/v3/createRoom", &untrusted).await;
    refused.expect_error(400, "M_SERVER_NOT_TRUSTED");
    let many = json!({"invite_3pid": vec![identity.invite("a@b"); 21]});
    let refused = alice.http.post("/_matrix/client/v3/createRoom", &many).await;
    refused.expect_error(400, "M_INVALID_PARAM");
}

async fn whoever_shows_a_signed_invite_joins(cluster: Arc<Cluster>) {
    let identity = Identity::start().await;
    for (inviting, invited) in pairs(&cluster).await {
        let alice = User::register(&inviting.http, "alice").await;
        let bob = User::register(&invited.http, "bob").await;
        let room = private_room(&alice, "12").await;
        let stored = invite(&identity, &alice, &room, &fresh_address()).await;
        let show = async |mut signed: Value| {
            signed["sender"] = alice.id.as_str().into();
            bob.act(&room, "join", &json!({"third_party_signed": signed})).await
        };
        show(identity.forge(&bob.id, &stored["token"]))
            .await
            .expect_error(403, "M_FORBIDDEN");
        assert_eq!(membership(&alice, &room, &bob.id).await, Value::Null);
        let block = json!({"mxid": bob.id, "sender": alice.id, "token": stored["token"]});
        let signed = identity.sign_block(&block);
        show(signed).await.ok();
        until_member(&alice, &room, &bob, "join").await;
    }
}

async fn servers_exchange_only_what_is_signed(cluster: Arc<Cluster>) {
    let (identity, peer) = (Identity::start().await, Peer::start().await);
    let alice = User::register(&cluster.http(), "alice").await;
    let room = private_room(&alice, "11").await;
    let stored = invite(&identity, &alice, &room, &fresh_address()).await;
    let dave = peer.user("dave");
    let exchange = async |sender: &str, target: &str, signed: Value| {
        let event = json!({
            "type": "m.room.member", "room_id": room, "sender": sender, "state_key": target,
            "content": {"membership": "invite", "third_party_invite": {"display_name": "me", "signed": signed}},
        });
        let path = format!("/_matrix/federation/v1/exchange_third_party_invite/{}", encode(&room));
        let server = cluster.server_name();
        peer.ask(&cluster.http(), server, Method::PUT, &path, Some(&event.to_string()))
            .await
    };
    let good = identity.sign(&dave, &stored["token"]);
    let stranger = format!("@dave:{}", identity.name());
    exchange(&alice.id, &dave, identity.forge(&dave, &stored["token"]))
        .await
        .expect_error(403, "M_FORBIDDEN");
    exchange(&alice.id, &dave, identity.sign(&stranger, &stored["token"]))
        .await
        .expect_error(403, "M_FORBIDDEN");
    exchange(&alice.id, &dave, identity.sign(&dave, &json!("unknown")))
        .await
        .expect_error(403, "M_FORBIDDEN");
    exchange(&alice.id, &stranger, good.clone())
        .await
        .expect_error(400, "M_INVALID_PARAM");
    exchange(&dave, &dave, good.clone())
        .await
        .expect_error(400, "M_INVALID_PARAM");
    assert_eq!(membership(&alice, &room, &dave).await, Value::Null);
    // What is right has to be signed by the server of the invited one, which this double does not do.
    let unsigned = exchange(&alice.id, &dave, good).await;
    assert!(unsigned.status >= 400, "{}", unsigned.text());
    let asked = peer.remote.received();
    let asked = asked.iter().filter(|request| request.target.contains("/v2/invite/"));
    let sent: Vec<Value> = asked
        .map(|request| serde_json::from_slice(&request.body).expect("JSON"))
        .collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0]["event"]["content"]["third_party_invite"]["display_name"],
        "s...@e..."
    );
}

async fn bindings_are_few_and_of_users_who_are_there(cluster: Arc<Cluster>) {
    let (identity, peer) = (Identity::start().await, Peer::start().await);
    let bob = User::register(&cluster.http(), "bob").await;
    let invite = json!({"room_id": format!("!room:{}", peer.name()), "sender": peer.user("alice"), "token": "token"});
    let of = |user: &str| pending(&invite, user, &identity.sign(user, &invite["token"]));
    let nobody = format!("@nobody:{}", cluster.server_name());
    tell(&bob.http, &nobody, &[of(&nobody)])
        .await
        .expect_error(404, "M_NOT_FOUND");
    let stranger = peer.user("bob");
    tell(&bob.http, &stranger, &[of(&stranger)])
        .await
        .expect_error(404, "M_NOT_FOUND");
    let many = vec![of(&bob.id); 21];
    tell(&bob.http, &bob.id, &many)
        .await
        .expect_error(400, "M_INVALID_PARAM");
    tell(&bob.http, &bob.id, &[json!({"room_id": 1})])
        .await
        .expect_error(400, "M_BAD_JSON");
    let exchanged = || {
        let asked = peer.remote.received();
        asked
            .iter()
            .filter(|request| request.target.contains("exchange_third_party_invite"))
            .count()
    };
    assert_eq!(exchanged(), 0);
    // The other server is asked, and its word is passed on.
    peer.answers(|_| Some((403, json!({"errcode": "M_FORBIDDEN", "error": "no"}))));
    tell(&bob.http, &bob.id, &[of(&bob.id)])
        .await
        .expect_error(403, "M_FORBIDDEN");
    assert_eq!(exchanged(), 1);
}
