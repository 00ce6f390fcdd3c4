//! Asking notaries, and being one.

use plexus_core::event::SigningKey;
use plexus_testkit::{Authority, Remote};
use ruma::server_name;
use serde_json::{Value, json};

use super::super::*;
use crate::testing::{DAY_MS, NOW_MS, PUBLISHED, QUERY, World, document, signing};

/// A world with one notary, whose answers have to be signed by its key if `pinned`.
async fn with_notary(pinned: bool) -> (World, Remote, SigningKey) {
    let authority = Authority::new();
    let remote = Remote::start(&authority, &["127.0.0.1"]).await;
    let key = signing("notary", 5);
    let keys = BTreeMap::from([("ed25519:notary".to_owned(), key.verify_key())]);
    let notary = Notary {
        server: OwnedServerName::try_from(remote.name()).expect("a name"),
        keys: if pinned { keys } else { BTreeMap::new() },
    };
    let world = World::with_notaries(|_| vec![notary], authority).await;
    (world, remote, key)
}

fn passed_on(notary: &Remote, documents: &[String]) {
    notary.answers_at(QUERY, format!("{{\"server_keys\": [{}]}}", documents.join(",")));
}

#[tokio::test]
async fn seed_5251_a_notary_is_believed_only_what_the_server_signed() {
    let (world, notary, _) = with_notary(false).await;
    let away = world.remote().await;
    let (name, key, liar) = (away.name(), signing("a", 9), signing("a", 66));
    let good = document(&name, &key, NOW_MS + DAY_MS);
    let forged = good.replace(&key.verify_key().to_base64(), &liar.verify_key().to_base64());
    let foreign = document("victim.example", &liar, NOW_MS + DAY_MS);
    passed_on(&notary, &[forged, foreign, "7".to_owned(), "{}".to_owned(), good]);
    let known = world
        .find(&name, "ed25519:a", NOW_MS)
        .await
        .expect("one bad entry does not spoil the others");
    assert_eq!(known.key, key.verify_key());
    let asked = notary.received();
    let body: Value = serde_json::from_slice(&asked[0].body).expect("JSON");
    assert_eq!(
        body,
        json!({"server_keys": {name: {"ed25519:a": {"minimum_valid_until_ts": NOW_MS}}}})
    );
    let victim = world
        .federation
        .0
        .keys
        .0
        .store
        .server_keys(server_name!("victim.example"))
        .await;
    assert_eq!(
        victim.expect("the database answers"),
        [],
        "what was not asked for is not kept"
    );
}

#[tokio::test]
async fn seed_5374_a_notary_with_a_key_has_to_sign() {
    let (world, notary, notary_key) = with_notary(true).await;
    let away = world.remote().await;
    let (name, key) = (away.name(), signing("a", 9));
    let plain = document(&name, &key, NOW_MS + DAY_MS);
    let notary_name = notary.name();
    let notary_name = <&ServerName>::try_from(notary_name.as_str()).expect("a name");
    let sign =
        |key: &SigningKey| plexus_core::event::sign::sign_json(plain.as_bytes(), notary_name, key).expect("JSON");
    for (answer, believed) in [
        (plain.clone(), false),
        (sign(&signing("notary", 6)), false),
        (sign(&signing("other", 5)), false),
        (sign(&notary_key), true),
    ] {
        passed_on(&notary, std::slice::from_ref(&answer));
        assert_eq!(world.for_request(&name, "ed25519:a").await, believed, "{answer}");
        world.later(3600 * 1000);
    }
}

#[tokio::test]
async fn a_server_that_hangs_does_not_hold_up_what_a_notary_knows() {
    let (world, notary, _) = with_notary(false).await;
    let hanging = world.remote().await;
    hanging.answers(|_| None);
    let (name, key) = (hanging.name(), signing("a", 9));
    passed_on(&notary, &[document(&name, &key, NOW_MS + DAY_MS)]);
    let find = tokio::time::timeout(std::time::Duration::from_secs(5), world.for_request(&name, "ed25519:a"));
    assert!(find.await.expect("at once"));
}

#[tokio::test]
async fn seed_5307_a_notary_forgets_nothing() {
    let world = World::new().await;
    let remote = world.remote().await;
    let (name, one, two) = (remote.name(), signing("one", 8), signing("two", 9));
    let server = OwnedServerName::try_from(name.as_str()).expect("a name");
    let ask = async |key_ids: &[(&str, i64)]| {
        let key_ids = key_ids.iter().map(|(id, until)| ((*id).to_owned(), *until)).collect();
        let wanted = DocumentsWanted::from([(server.clone(), key_ids)]);
        world.keys().documents(wanted).await.expect("the database answers")
    };
    let first = document(&name, &one, NOW_MS + DAY_MS);
    remote.answers_at(PUBLISHED, first);
    let answered = ask(&[]).await;
    assert_eq!(answered.len(), 1);
    let parsed: Value = serde_json::from_str(&answered[0]).expect("JSON");
    assert!(
        parsed["signatures"]["here.example"]["ed25519:own"].is_string(),
        "{parsed}"
    );
    assert!(parsed["signatures"][&name]["ed25519:one"].is_string(), "{parsed}");
    // The server signs with another key now and has forgotten the first one.
    remote.answers_at(PUBLISHED, document(&name, &two, NOW_MS + 2 * DAY_MS));
    world.later(DAY_MS);
    let answered = ask(&[("ed25519:one", NOW_MS + DAY_MS)]).await;
    assert_eq!(answered.len(), 1);
    assert!(answered[0].contains("ed25519:one"), "{answered:?}");
    assert_eq!(
        remote.count(PUBLISHED),
        2,
        "it was asked again, as half of the time was over"
    );
    assert_eq!(ask(&[]).await.len(), 2, "both documents are there");
    // Nothing is to be had any more, and what is known is still passed on.
    remote.answers(|_| Some((500, String::new())));
    world.later(30 * DAY_MS);
    assert_eq!(ask(&[("ed25519:two", NOW_MS + 31 * DAY_MS)]).await.len(), 1);
    assert_eq!(remote.count(PUBLISHED), 3);
}

#[tokio::test]
async fn seed_5333_a_dead_server_does_not_spoil_a_query() {
    let world = World::new().await;
    let (remote, dead) = (world.remote().await, world.remote().await);
    remote.answers_at(PUBLISHED, document(&remote.name(), &signing("a", 9), NOW_MS + DAY_MS));
    let server = |remote: &Remote| OwnedServerName::try_from(remote.name()).expect("a name");
    let wanted = DocumentsWanted::from([
        (server(&remote), BTreeMap::new()),
        (server(&dead), BTreeMap::new()),
        (server_name!("here.example").to_owned(), BTreeMap::new()),
    ]);
    let answered = world.keys().documents(wanted).await.expect("the database answers");
    assert_eq!(answered.len(), 2);
}
