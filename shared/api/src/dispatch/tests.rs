use ::http::Method;
use futures_util::future::{Ready, ready};

use crate::{
    call::Call,
    error::Error,
    forward::SECRET_HEADER,
    http::{Reply, json_reply},
    routes::{Auth, Family, ROUTES, Route},
    testing::{SECRET, exchange, request, start},
};

type Headers = &'static [(&'static str, &'static str)];

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

#[tokio::test]
async fn what_comes_before_a_handler() {
    let process = start(&Family::ALL, None, ROUTES).await;
    let cases: [(&str, &str, Headers, u16, &str); 8] = [
        ("GET", "/_matrix/client/v3/nothing", &[], 404, "M_UNRECOGNIZED"),
        ("DELETE", WHOAMI, &[], 405, "M_UNRECOGNIZED"),
        ("GET", WHOAMI, &[], 401, "M_MISSING_TOKEN"),
        ("GET", WHOAMI, &[("authorization", "Bearer")], 401, "M_MISSING_TOKEN"),
        (
            "GET",
            WHOAMI,
            &[("authorization", "Bearer nobody")],
            401,
            "M_UNKNOWN_TOKEN",
        ),
        (
            "GET",
            "/_matrix/client/v3/account/whoami?access_token=nobody",
            &[],
            401,
            "M_UNKNOWN_TOKEN",
        ),
        (
            "GET",
            "/_matrix/client/v3/profile/%ff/displayname",
            &[],
            400,
            "M_INVALID_PARAM",
        ),
        (
            "GET",
            "/_matrix/client/v3/profile/%40nobody%3Ahere/displayname",
            &[],
            404,
            "M_NOT_FOUND",
        ),
    ];
    for (method, target, headers, status, errcode) in cases {
        let answer = request(process.public, method, target, headers).await;
        assert_eq!(
            (answer.status, answer.errcode().as_str()),
            (status, errcode),
            "{method} {target}"
        );
        assert!(
            answer.head.contains("access-control-allow-origin: *"),
            "{}",
            answer.head
        );
        assert!(answer.head.contains("content-type: application/json"));
    }
    let soft = request(process.public, "GET", WHOAMI, &[("authorization", "Bearer nobody")]).await;
    assert!(soft.body.contains("\"soft_logout\":false"));
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let process = start(&Family::ALL, None, ROUTES).await;
    for (target, allow) in [(WHOAMI, "get"), ("/_matrix/client/v3/login", "get, post")] {
        let answer = request(process.public, "DELETE", target, &[]).await;
        assert_eq!((answer.status, answer.errcode().as_str()), (405, "M_UNRECOGNIZED"));
        assert!(
            answer.head.contains(&format!("\r\nallow: {allow}\r\n")),
            "{}",
            answer.head
        );
    }
    let there = request(process.public, "GET", "/_matrix/client/v3/login", &[]).await;
    assert!(!there.head.contains("\r\nallow:"), "{}", there.head);
}

#[tokio::test]
async fn preflights_and_simple_answers() {
    let process = start(&Family::ALL, None, ROUTES).await;
    let preflight = request(process.public, "OPTIONS", "/_matrix/client/v3/createRoom", &[]).await;
    assert_eq!((preflight.status, preflight.body.as_str()), (204, ""));
    assert!(
        preflight
            .head
            .contains("access-control-allow-headers: x-requested-with, content-type, authorization")
    );
    let versions = request(process.public, "GET", "/_matrix/client/versions", &[]).await;
    assert_eq!(versions.status, 200);
    assert!(versions.body.contains("\"v1.1\""));
    let head = request(process.public, "HEAD", "/_matrix/client/versions", &[]).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn bodies_too_large_are_refused_early_and_late() {
    let process = start(&Family::ALL, None, ROUTES).await;
    let head = "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: here\r\nconnection: close\r\n";
    let announced = exchange(process.public, &format!("{head}content-length: 99999999\r\n\r\n")).await;
    assert_eq!((announced.status, announced.errcode().as_str()), (413, "M_TOO_LARGE"));
    let chunk = "x".repeat(300 * 1024);
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n",
        chunk.len()
    );
    let unannounced = exchange(process.public, &chunked).await;
    assert_eq!(
        (unannounced.status, unannounced.errcode().as_str()),
        (413, "M_TOO_LARGE")
    );
    let broken = exchange(process.public, &format!("{head}content-length: 1\r\n\r\n{{")).await;
    assert_eq!((broken.status, broken.errcode().as_str()), (400, "M_NOT_JSON"));
    let empty = exchange(process.public, &format!("{head}content-length: 2\r\n\r\n{{}}")).await;
    assert_eq!((empty.status, empty.errcode().as_str()), (400, "M_MISSING_PARAM"));
}

#[tokio::test]
async fn the_internal_listener_has_pages_and_wants_the_secret() {
    let process = start(&[Family::Client], None, ROUTES).await;
    let ready = request(process.internal, "GET", "/ready", &[]).await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "/ready"));
    assert_eq!(request(process.public, "GET", "/health", &[]).await.status, 200);
    assert_eq!(request(process.public, "GET", "/ready", &[]).await.status, 404);
    let versions = "/_matrix/client/versions";
    assert_eq!(request(process.internal, "GET", versions, &[]).await.status, 403);
    assert_eq!(
        request(process.internal, "GET", versions, &[(SECRET_HEADER, "guess")])
            .await
            .status,
        403
    );
    assert_eq!(
        request(process.internal, "GET", versions, &[(SECRET_HEADER, SECRET)])
            .await
            .status,
        200
    );
    let sync = request(
        process.internal,
        "GET",
        "/_matrix/client/v3/sync",
        &[(SECRET_HEADER, SECRET)],
    )
    .await;
    assert_eq!(
        sync.status, 503,
        "a forwarded request is handled here or refused, never forwarded"
    );
}

#[tokio::test]
async fn a_handler_that_panics_is_an_internal_error() {
    static PANICS: &[Route] = &[Route::own(
        "panics",
        || Method::GET,
        &["/panics"],
        Auth::None,
        |call| Box::pin(async move { panics(&call).await }),
    )];
    let process = start(&Family::ALL, None, PANICS).await;
    let answer = request(process.public, "GET", "/panics", &[]).await;
    assert_eq!((answer.status, answer.errcode().as_str()), (500, "M_UNKNOWN"));
    assert!(!answer.body.contains("on purpose"));
    assert!(answer.head.contains("x-request-id: "), "{}", answer.head);
}

fn panics(call: &Call) -> Ready<Result<Reply, Error>> {
    assert!(call.query() == "never", "on purpose");
    ready(Ok(json_reply("{}")))
}
