//! Aliases: made, found, taken away, and shown as a room's own.

use std::sync::Arc;

use plexus_tests::{Cluster, encode, fresh_name};
use serde_json::{Value, json};

use super::{V3, alias_target, delete, people, refusal, refused, server_of, set_alias, set_state, state};

pub(super) async fn aliases_are_made_found_and_taken_away(cluster: Arc<Cluster>) {
    let [alice, bob, carol] = people(&cluster.http()).await;
    let room = alice.create_public_room().await;
    let alias = format!("#☕{}:{}", fresh_name("alias"), server_of(&alice));
    let target = alias_target(&alias);
    assert_eq!(alice.http.get(&target).await.status, 404);
    let outsider = set_alias(&bob, &alias, &room).await;
    assert_eq!(refusal(&outsider), refused(403, "M_FORBIDDEN"));
    bob.join(&room).await;
    carol.join(&room).await;
    set_alias(&bob, &alias, &room).await.ok();
    let found = cluster.http().get(&target).await.ok();
    assert_eq!(found, json!({"room_id": room, "servers": [server_of(&alice)]}));
    assert_eq!(set_alias(&alice, &alias, &room).await.status, 409);
    let foreign = set_alias(&alice, "#there:elsewhere.example", &room).await;
    assert_eq!(refusal(&foreign), refused(400, "M_INVALID_PARAM"));
    let list = format!("{V3}/rooms/{}/aliases", encode(&room));
    assert_eq!(alice.http.get(&list).await.ok(), json!({"aliases": [alias]}));
    let [dave] = people(&cluster.http()).await;
    assert_eq!(dave.http.get(&list).await.status, 403);
    let joined = dave
        .http
        .post(&format!("{V3}/join/{}", encode(&alias)), &json!({"foo": "bar"}))
        .await
        .ok();
    assert_eq!(joined, json!({"room_id": room}));
    let member = state(&dave, &room, &format!("m.room.member/{}", encode(&dave.id))).await;
    assert_eq!((&member["foo"], &member["membership"]), (&json!("bar"), &json!("join")));
    // His own, and with power anybody's; but not another's.
    assert_eq!(delete(&carol, &target).await.status, 403);
    delete(&alice, &target).await.ok();
    let gone = delete(&alice, &target).await;
    assert_eq!(refusal(&gone), refused(404, "M_NOT_FOUND"));
    assert_eq!(
        dave.http
            .post(&format!("{V3}/join/{}", encode(&alias)), &json!({}))
            .await
            .status,
        404
    );
    // Of many who want the same alias one gets it.
    let alias = format!("#{}:{}", fresh_name("race"), server_of(&alice));
    let (a, b, c, d) = tokio::join!(
        set_alias(&alice, &alias, &room),
        set_alias(&bob, &alias, &room),
        set_alias(&carol, &alias, &room),
        set_alias(&alice, &alias, &room),
    );
    let mut statuses = [a, b, c, d].map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
}

pub(super) async fn a_canonical_alias_leads_to_its_room(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let (room, other) = (alice.create_public_room().await, alice.create_public_room().await);
    bob.join(&room).await;
    let alias = |what: &str| format!("#{}:{}", fresh_name(what), server_of(&alice));
    let (main, elsewhere) = (alias("main"), alias("elsewhere"));
    set_alias(&bob, &main, &room).await.ok();
    set_alias(&alice, &elsewhere, &other).await.ok();
    let set = async |content: Value| {
        let answer = set_state(&alice, &room, "m.room.canonical_alias", "", &content).await;
        refusal(&answer)
    };
    assert_eq!(
        set(json!({"alias": alias("missing")})).await,
        refused(400, "M_BAD_ALIAS")
    );
    assert_eq!(
        set(json!({"alias": main.replace('#', "%")})).await,
        refused(400, "M_INVALID_PARAM")
    );
    assert_eq!(
        set(json!({"alias": main, "alt_aliases": [alias("missing")]})).await,
        refused(400, "M_BAD_ALIAS")
    );
    assert_eq!(
        set(json!({"alias": main, "alt_aliases": [elsewhere]})).await,
        refused(400, "M_BAD_ALIAS")
    );
    assert_eq!(
        set(json!({"alias": main, "alt_aliases": [main.replace('#', "%")]})).await,
        refused(400, "M_INVALID_PARAM")
    );
    assert_eq!(set(json!({"alias": main, "alt_aliases": [main]})).await.0, 200);
    // Whoever made the alias takes it away, though he may not say so in the room.
    delete(&bob, &alias_target(&main)).await.ok();
    assert_eq!(
        state(&alice, &room, "m.room.canonical_alias").await["alias"],
        main.as_str()
    );
    set_alias(&alice, &main, &room).await.ok();
    delete(&alice, &alias_target(&main)).await.ok();
    assert_eq!(state(&alice, &room, "m.room.canonical_alias").await, json!({}));
}
