//! Users sign their devices and each other.

use std::{collections::BTreeSet, sync::Arc};

use plexus_core::{
    event::{SigningKey, canonical::canonical_object, hash::encode_base64},
    room_version::Numbers,
};
use plexus_tests::{Cluster, User};
use serde_json::{Value, json};

use super::{device_keys, names, next, post};

/// A key that signs keys.
struct Signer(SigningKey);

impl Signer {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_seed("1", &[seed; 32]).expect("32 bytes make a key"))
    }

    fn public(&self) -> String {
        self.0.verify_key().to_base64()
    }

    fn key_id(&self) -> String {
        format!("ed25519:{}", self.public())
    }

    fn as_key(&self, user: &User, usage: &str) -> Value {
        json!({"user_id": user.id, "usage": [usage], "keys": {self.key_id(): self.public()}})
    }

    /// The object with this key's signature alone, under a name.
    fn sign_as(&self, user: &User, key_id: &str, object: &Value) -> Value {
        let mut signed = object.clone();
        if let Some(members) = signed.as_object_mut() {
            members.remove("signatures");
            members.remove("unsigned");
        }
        let message = canonical_object(signed.to_string().as_bytes(), Numbers::Strict).expect("an object");
        let signature = encode_base64(&self.0.sign(message.as_bytes()));
        signed["signatures"] = json!({user.id.clone(): {key_id: signature}});
        signed
    }

    fn sign(&self, user: &User, object: &Value) -> Value {
        self.sign_as(user, &self.key_id(), object)
    }
}

/// The keys of alice, and the one of bob that she signs.
struct Keys {
    master: Signer,
    own: Signer,
    others: Signer,
    bobs: Signer,
}

pub(super) async fn users_sign_each_other(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let keys = Keys {
        master: Signer::new(1),
        own: Signer::new(2),
        others: Signer::new(3),
        bobs: Signer::new(4),
    };
    let uploaded = keys_are_uploaded(&alice, &bob, &keys).await;
    let phone_id = keys_are_signed(&alice, &bob, &keys).await;
    let query = json!({"device_keys": {alice.id.clone(): [], bob.id.clone(): []}});
    let by_alice = post(&alice, "keys/query", &query).await.ok();
    let by_bob = post(&bob, "keys/query", &query).await.ok();
    for known in [&by_alice, &by_bob] {
        let device = &known["device_keys"][&alice.id][&alice.device]["signatures"][&alice.id];
        assert!(
            device[keys.own.key_id()].is_string() && device[&phone_id].is_string(),
            "{known}"
        );
        assert!(
            known["master_keys"][&alice.id]["signatures"][&alice.id][&phone_id].is_string(),
            "{known}"
        );
        assert_eq!(known["self_signing_keys"][&alice.id], uploaded["self_signing_key"]);
    }
    assert_eq!(by_alice["user_signing_keys"][&alice.id], uploaded["user_signing_key"]);
    assert_eq!(by_bob["user_signing_keys"], json!({}));
    let seen = |known: &Value| known["master_keys"][&bob.id]["signatures"][&alice.id][keys.others.key_id()].is_string();
    assert!(seen(&by_alice) && !seen(&by_bob), "{by_alice} {by_bob}");
}

/// Uploads the keys of both; what alice uploaded comes back.
async fn keys_are_uploaded(alice: &User, bob: &User, keys: &Keys) -> Value {
    let Keys {
        master,
        own,
        others,
        bobs,
    } = keys;
    let signing = "keys/device_signing/upload";
    let unsigned = json!({"self_signing_key": own.as_key(alice, "self_signing")});
    post(alice, signing, &unsigned)
        .await
        .expect_error(400, "M_MISSING_PARAM");
    let master_key = master.as_key(alice, "master");
    let wrongly = others.sign_as(alice, &master.key_id(), &own.as_key(alice, "self_signing"));
    let body = json!({"master_key": master_key, "self_signing_key": wrongly});
    post(alice, signing, &body)
        .await
        .expect_error(400, "M_INVALID_SIGNATURE");
    let body = json!({
        "master_key": master_key,
        "self_signing_key": master.sign(alice, &own.as_key(alice, "self_signing")),
        "user_signing_key": master.sign(alice, &others.as_key(alice, "user_signing")),
    });
    let before = bob.sync(None, 0, "").await.ok();
    post(alice, signing, &body).await.ok();
    post(alice, signing, &body).await.ok();
    let told = next(bob, &before).await;
    assert_eq!(
        names(&told["device_lists"]["changed"]),
        BTreeSet::from([alice.id.as_str()])
    );
    let other = json!({"master_key": bobs.as_key(alice, "master")});
    assert_eq!(post(alice, signing, &other).await.status, 401);
    post(bob, signing, &json!({"master_key": bobs.as_key(bob, "master")}))
        .await
        .ok();
    body
}

/// A device that signs the master key, and is signed; its key's id comes back.
async fn keys_are_signed(alice: &User, bob: &User, keys: &Keys) -> String {
    let Keys {
        master,
        own,
        others,
        bobs,
    } = keys;
    let phone = Signer::new(5);
    let phone_id = format!("ed25519:{}", alice.device);
    let mut device = device_keys(alice);
    device["keys"] = json!({phone_id.clone(): phone.public()});
    post(alice, "keys/upload", &json!({"device_keys": device})).await.ok();
    let mut bad = own.sign(alice, &device);
    bad["signatures"][&alice.id][own.key_id()] = json!("AAAA");
    let signed = json!({
        alice.id.clone(): {
            alice.device.clone(): own.sign(alice, &device),
            master.public(): phone.sign_as(alice, &phone_id, &master.as_key(alice, "master")),
            "UNKNOWN": own.sign(alice, &device),
        },
        bob.id.clone(): {bobs.public(): others.sign(alice, &bobs.as_key(bob, "master"))},
    });
    let answer = post(alice, "keys/signatures/upload", &signed).await.ok();
    let failed = answer["failures"].as_object().expect("an object");
    assert_eq!(failed.len(), 1, "{answer}");
    assert_eq!(answer["failures"][&alice.id]["UNKNOWN"]["errcode"], "M_NOT_FOUND");
    let bad = json!({alice.id.clone(): {alice.device.clone(): bad}});
    let answer = post(alice, "keys/signatures/upload", &bad).await.ok();
    assert_eq!(
        answer["failures"][&alice.id][&alice.device]["errcode"],
        "M_INVALID_SIGNATURE"
    );
    phone_id
}
