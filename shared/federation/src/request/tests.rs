//! Signed requests, out and in, against doubles of other servers.

use plexus_core::event::SigningKey;
use plexus_testkit::{Authority, Remote};
use ruma::server_name;

use super::*;
use crate::testing::{DAY_MS, NOW_MS, PUBLISHED, World, document, signing};

#[test]
fn a_refusal_is_not_an_absence() {
    for (status, alive) in [
        (200, true),
        (401, true),
        (403, true),
        (404, true),
        (429, false),
        (500, false),
        (502, false),
        (504, false),
    ] {
        assert_eq!(
            is_alive(StatusCode::from_u16(status).expect("a status")),
            alive,
            "{status}"
        );
    }
}

#[test]
fn what_others_say_goes_to_the_log_in_one_short_line() {
    let answer = Answer {
        status: StatusCode::FORBIDDEN,
        headers: http::HeaderMap::new(),
        body: format!(
            "{{\"errcode\": \"M_FORBIDDEN\", \"error\": \"no\\nFAKE LINE{}\"}}",
            "é".repeat(500)
        )
        .into(),
    };
    let text = refused(server_name!("a.example").to_owned(), &answer).to_string();
    assert!(
        text.starts_with("a.example answers 403 Forbidden M_FORBIDDEN: noFAKE LINE"),
        "{text}"
    );
    assert!(text.chars().count() < 300 && !text.contains('\n'), "{text}");
}

/// The header of a request that `remote` signs.
fn authorization(remote: &Remote, key: &SigningKey, request: Signed<'_>) -> XMatrix {
    let name = remote.name();
    let origin = <&ServerName>::try_from(name.as_str()).expect("a name");
    request.sign(origin, server_name!("here.example"), key).expect("JSON")
}

const REQUEST: Signed<'_> = Signed {
    method: "PUT",
    target: "/_matrix/federation/v1/send/1",
    content: Some(b"{\"pdus\":[]}"),
};

#[tokio::test]
async fn hostile_8_a_request_is_believed_only_with_the_right_signature() {
    let world = World::new().await;
    let remote = world.remote().await;
    let (key, other) = (signing("a", 9), signing("a", 66));
    remote.answers_at(PUBLISHED, document(&remote.name(), &key, NOW_MS + DAY_MS));
    let good = authorization(&remote, &key, REQUEST);
    let check = async |header: &XMatrix, request| world.federation.authenticate(&[&header.to_header()], request).await;
    assert_eq!(check(&good, REQUEST).await.expect("right").as_str(), remote.name());

    let altered = Signed {
        content: Some(b"{\"pdus\":[1]}"),
        ..REQUEST
    };
    assert!(matches!(
        check(&good, altered).await,
        Err(AuthenticationError::Mismatch(_))
    ));
    let forged = authorization(&remote, &other, REQUEST);
    assert!(matches!(
        check(&forged, REQUEST).await,
        Err(AuthenticationError::Mismatch(_))
    ));
    let unknown = XMatrix {
        key_id: "ed25519:b".to_owned(),
        ..good.clone()
    };
    assert!(matches!(
        check(&unknown, REQUEST).await,
        Err(AuthenticationError::NoKey { .. })
    ));
    let elsewhere = XMatrix {
        destination: Some(server_name!("there.example").to_owned()),
        ..good.clone()
    };
    assert!(matches!(
        check(&elsewhere, REQUEST).await,
        Err(AuthenticationError::OtherDestination(_))
    ));
    let as_us = XMatrix {
        origin: server_name!("here.example").to_owned(),
        key_id: "ed25519:own".to_owned(),
        ..good.clone()
    };
    assert!(matches!(
        check(&as_us, REQUEST).await,
        Err(AuthenticationError::Ourselves)
    ));
    let none = world.federation.authenticate(&[], REQUEST).await;
    assert!(matches!(none, Err(AuthenticationError::Unsigned)));
    let (good, forged) = (good.to_header(), forged.to_header());
    let both = world.federation.authenticate(&[&good, &forged], REQUEST).await;
    assert!(
        matches!(both, Err(AuthenticationError::Mismatch(_))),
        "all of them have to be right"
    );
}

#[tokio::test]
async fn hostile_8_a_key_past_its_time_signs_no_request() {
    let world = World::new().await;
    let remote = world.remote().await;
    let key = signing("a", 9);
    remote.answers_at(PUBLISHED, document(&remote.name(), &key, NOW_MS + DAY_MS));
    let header = authorization(&remote, &key, REQUEST).to_header();
    assert!(world.federation.authenticate(&[&header], REQUEST).await.is_ok());
    world.later(DAY_MS + 1);
    let late = world.federation.authenticate(&[&header], REQUEST).await;
    assert!(matches!(late, Err(AuthenticationError::NoKey { .. })), "{late:?}");
}

#[tokio::test]
async fn a_request_goes_out_signed_for_its_destination() {
    let world = World::new().await;
    let remote = world.remote().await;
    remote.answers(|_| Some((200, "{\"a\":1}".to_owned())));
    let server = OwnedServerName::try_from(remote.name()).expect("a name");
    let target = "/_matrix/federation/v1/query/profile?user_id=%40a%3Ab";
    let answer = world
        .federation
        .send(Outgoing::get(&server, target.to_owned()))
        .await
        .expect("answered");
    assert_eq!(answer.body, "{\"a\":1}");
    let body = Outgoing::with_body(&server, Method::PUT, target.to_owned(), "{\"b\":2}");
    world.federation.send(body).await.expect("answered");
    let own = signing("own", 1).verify_key();
    for (received, content) in remote.received().iter().zip([None, Some(&b"{\"b\":2}"[..])]) {
        assert_eq!(received.target, target);
        let header = received.headers["authorization"].to_str().expect("text");
        let header = XMatrix::parse(header).expect("valid");
        assert_eq!(header.destination.as_ref(), Some(&server));
        let signed = Signed {
            method: received.method.as_str(),
            target,
            content,
        };
        assert!(signed.verify(&header, &own).expect("JSON"), "{received:?}");
        assert_eq!(received.body, content.unwrap_or_default());
    }
    let ourselves = Outgoing::get(server_name!("here.example"), target.to_owned());
    assert!(matches!(
        world.federation.send(ourselves).await,
        Err(RequestError::Ourselves)
    ));
}

#[tokio::test]
async fn seed_5335_failures_pause_those_who_ask_to_be_paused() {
    use BackOff::{Heed, Ignore, Respect};
    let world = World::new().await;
    let remote = world.remote().await;
    let server = OwnedServerName::try_from(remote.name()).expect("a name");
    let ask = async |back_off| {
        let request = Outgoing::get(&server, "/x".to_owned());
        world.federation.send(Outgoing { back_off, ..request }).await
    };
    let paused = async || {
        world
            .federation
            .destinations()
            .paused_until_ms(&server)
            .await
            .expect("known")
    };
    remote.answers(|_| Some((502, String::new())));
    for back_off in [Ignore, Heed] {
        assert!(matches!(ask(back_off).await, Err(RequestError::Refused { .. })));
        assert_eq!(paused().await, None, "{back_off:?} makes nobody wait");
    }
    assert!(matches!(ask(Respect).await, Err(RequestError::Refused { .. })));
    let first = paused().await.expect("paused");
    assert!((8 * 60_000..=12 * 60_000).contains(&(first - NOW_MS)), "{first}");
    for back_off in [Respect, Heed] {
        assert!(matches!(ask(back_off).await, Err(RequestError::NotNow { .. })));
    }
    assert!(matches!(ask(Ignore).await, Err(RequestError::Refused { .. })));
    assert_eq!(paused().await, Some(first), "and worsens nothing");
    assert_eq!(remote.count("/x"), 4);
    // Its time comes, and it fails again: five times as long.
    world.later(12 * 60_000);
    assert!(ask(Respect).await.is_err());
    let second = paused().await.expect("paused") - NOW_MS - 12 * 60_000;
    assert!((40 * 60_000..=60 * 60_000).contains(&second), "{second}");
    // It asks us something: it is back.
    let key = signing("a", 9);
    let document = document(&remote.name(), &key, NOW_MS + DAY_MS);
    remote.answers(move |request| {
        Some(if request.target == PUBLISHED {
            (200, document.clone())
        } else {
            (403, "{}".to_owned())
        })
    });
    let header = authorization(&remote, &key, REQUEST).to_header();
    world.federation.authenticate(&[&header], REQUEST).await.expect("right");
    assert_eq!(paused().await, None);
    assert!(matches!(ask(Respect).await, Err(RequestError::Refused { .. })));
    assert_eq!(paused().await, None, "a refusal is an answer");
}

#[tokio::test]
async fn p5_a_certificate_that_is_not_trusted_or_not_of_the_server_ends_it() {
    let world = World::new().await;
    let untrusted = Remote::start(&Authority::new(), &["127.0.0.1"]).await;
    let misnamed = Remote::start(&world.authority, &["a.example"]).await;
    for remote in [&untrusted, &misnamed] {
        remote.answers(|_| Some((200, "{}".to_owned())));
        let server = OwnedServerName::try_from(remote.name()).expect("a name");
        let refused = world.federation.send(Outgoing::get(&server, "/x".to_owned())).await;
        let error = refused.expect_err("refused").to_string();
        assert!(error.contains("invalid peer certificate"), "{error}");
        assert_eq!(remote.received().len(), 0, "nothing is said to who is not known");
    }
}
