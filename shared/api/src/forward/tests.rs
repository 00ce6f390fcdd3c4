use std::{net::SocketAddr, sync::Arc};

use ::http::Method;
use futures_util::future::{Ready, ready};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{REQUEST_ID_HEADER, SECRET_HEADER, Target, Targets};
use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Family, ROUTES, Route},
    testing::{Answer, DEADLINE, SECRET, exchange, request, start},
};

const VERSIONS: &str = "/_matrix/client/versions";
/// More than may ever be held in memory at once.
const LARGE_BYTES: usize = 100 * 1024 * 1024;
/// What forwarding that much may add to the memory of the process, both ends and the test's own buffers included.
const MEMORY_GROWTH_MAX_KIB: u64 = 24 * 1024;

/// A route that takes large bodies, of a family that no process here serves itself.
static LARGE: &[Route] = &[Route {
    family: Family::Media,
    body_cap: LARGE_BYTES,
    ..Route::own(
        "large",
        || Method::POST,
        &["/large/{name}"],
        Auth::None,
        |call| Box::pin(never(&call)),
    )
}];

fn never(_: &Call) -> Ready<Result<Reply, Error>> {
    ready(Ok(json_reply("{\"handled\":\"here\"}")))
}

fn to(addresses: &[SocketAddr]) -> Targets {
    let target = |(i, address): (usize, &SocketAddr)| Target {
        name: format!("p{i}"),
        address: address.to_string(),
    };
    let targets: Vec<Target> = addresses.iter().enumerate().map(target).collect();
    Arc::new(move |_| targets.clone())
}

/// A process that never answers by itself: the test does.
async fn fake_target() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    timeout(DEADLINE, listener.accept())
        .await
        .expect("in time")
        .expect("accepts")
        .0
}

async fn read_head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut read = Vec::new();
    loop {
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = read.split_off(at + 4);
            return (String::from_utf8(read).expect("text"), rest);
        }
        let mut piece = [0; 4096];
        let length = timeout(DEADLINE, stream.read(&mut piece))
            .await
            .expect("in time")
            .expect("reads");
        assert!(length > 0, "the connection ended in the head");
        read.extend_from_slice(&piece[..length]);
    }
}

#[tokio::test]
async fn a_request_goes_one_hop_and_never_in_a_circle() {
    let serving = start(&[Family::Client], None, ROUTES).await;
    let first = start(&[Family::Sync], Some(to(&[serving.internal])), ROUTES).await;
    let answer = request(first.public, "GET", VERSIONS, &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("\"v1.1\"") && answer.head.contains("access-control-allow-origin: *"));

    // A stale registry: the target does not serve the family either, and knows somebody who seems to.
    let stale = start(&[Family::Sync], Some(to(&[first.internal])), ROUTES).await;
    assert_eq!(request(stale.public, "GET", VERSIONS, &[]).await.status, 503);
    // Nobody at all.
    let alone = start(&[Family::Sync], None, ROUTES).await;
    assert_eq!(request(alone.public, "GET", VERSIONS, &[]).await.status, 503);
}

#[tokio::test]
async fn an_unreachable_process_is_passed_over() {
    let serving = start(&[Family::Client], None, ROUTES).await;
    let (gone, dead) = fake_target().await;
    drop(gone);
    let first = start(&[Family::Sync], Some(to(&[dead, serving.internal])), ROUTES).await;
    // Whichever process a token prefers, the one that is there answers.
    for token in ["a", "b", "c", "d", "e", "f"] {
        let target = format!("/_matrix/client/v3/account/whoami?access_token={token}");
        let answer = request(first.public, "GET", &target, &[]).await;
        assert_eq!((answer.status, answer.errcode().as_str()), (401, "M_UNKNOWN_TOKEN"));
    }
    let login =
        "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(exchange(first.public, login).await.status, 400);
    let nobody = start(&[Family::Sync], Some(to(&[dead])), ROUTES).await;
    assert_eq!(request(nobody.public, "GET", VERSIONS, &[]).await.status, 503);
}

#[tokio::test]
async fn target_headers_and_body_arrive_byte_equal() {
    let (listener, address) = fake_target().await;
    let first = start(&[Family::Sync], Some(to(&[address])), LARGE).await;
    let raw = "/large/a%2Fb%20%C3%A4?x=%2B+&x=2&access_token=t";
    let text = format!(
        "POST {raw} HTTP/1.1\r\nhost: matrix.example:8448\r\nauthorization: X-Matrix origin=\"a\",key=\"k\",sig=\"s\"\r\n\
         x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\nx-plexus-secret: guess\r\nx-plexus-request-id: mine\r\n\
         te: trailers\r\nx-hop: 1\r\nconnection: close, x-hop\r\ncontent-length: 11\r\n\r\n{{\"a\": \"\u{e9}\"}}"
    );
    let client = TaskTracker::new().spawn(exchange_owned(first.public, text));
    let mut stream = accept(&listener).await;
    let (head, mut body) = read_head(&mut stream).await;
    while body.len() < 11 {
        let mut piece = [0; 64];
        let length = timeout(DEADLINE, stream.read(&mut piece))
            .await
            .expect("in time")
            .expect("reads");
        body.extend_from_slice(&piece[..length]);
    }
    assert_eq!(body, "{\"a\": \"\u{e9}\"}".as_bytes());
    assert!(head.starts_with(&format!("POST {raw} HTTP/1.1\r\n")), "{head}");
    for expected in [
        "host: matrix.example:8448\r\n",
        "authorization: X-Matrix origin=\"a\",key=\"k\",sig=\"s\"\r\n",
        "content-length: 11\r\n",
        &format!("{SECRET_HEADER}: {SECRET}\r\n"),
    ] {
        assert!(head.contains(expected), "{expected} in {head}");
    }
    for stripped in ["6.6.6.6", "guess", "mine", "te:", "x-hop", "transfer-encoding"] {
        assert!(!head.contains(stripped), "{stripped} in {head}");
    }
    assert!(head.contains(REQUEST_ID_HEADER));
    let reply = "HTTP/1.1 418 I'm a teapot\r\ncontent-length: 3\r\nx-answer: yes\r\nkeep-alive: 5\r\n\r\nabc";
    stream.write_all(reply.as_bytes()).await.expect("writes");
    let answer = client.await.expect("ends");
    assert_eq!((answer.status, answer.body.as_str()), (418, "abc"));
    assert!(
        answer.head.contains("x-answer: yes") && !answer.head.contains("keep-alive: 5"),
        "{}",
        answer.head
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_the_forwarded_request() {
    let (listener, address) = fake_target().await;
    let first = start(&[Family::Sync], Some(to(&[address])), ROUTES).await;
    let mut client = TcpStream::connect(first.public).await.expect("connects");
    let text = format!("GET {VERSIONS} HTTP/1.1\r\nhost: here\r\n\r\n");
    client.write_all(text.as_bytes()).await.expect("writes");
    let mut stream = accept(&listener).await;
    read_head(&mut stream).await;
    drop(client);
    let mut rest = [0; 16];
    let ended = timeout(DEADLINE, stream.read(&mut rest)).await.expect("in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "the hop's connection ends");
}

#[tokio::test]
async fn a_hundred_megabytes_pass_both_ways_in_constant_memory() {
    let (listener, address) = fake_target().await;
    let first = start(&[Family::Sync], Some(to(&[address])), LARGE).await;
    let before = peak_memory_kib();
    let client = TaskTracker::new().spawn(upload_and_download(first.public));
    let mut stream = accept(&listener).await;
    let (_, rest) = read_head(&mut stream).await;
    let mut buffer = vec![0; 64 * 1024];
    let mut received = rest.len();
    while received < LARGE_BYTES {
        received += timeout(DEADLINE, stream.read(&mut buffer))
            .await
            .expect("in time")
            .expect("reads");
    }
    assert_eq!(received, LARGE_BYTES);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE_BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("writes");
    for _ in 0..LARGE_BYTES / buffer.len() {
        timeout(DEADLINE, stream.write_all(&buffer))
            .await
            .expect("in time")
            .expect("writes");
    }
    assert_eq!(client.await.expect("ends"), LARGE_BYTES);
    let growth = peak_memory_kib().saturating_sub(before);
    assert!(growth < MEMORY_GROWTH_MAX_KIB, "memory grew by {growth} KiB");
}

#[tokio::test]
async fn a_body_over_the_limit_of_its_route_ends_at_the_first_process() {
    let (listener, address) = fake_target().await;
    let first = start(&[Family::Sync], Some(to(&[address])), ROUTES).await;
    let chunk = "x".repeat(300 * 1024);
    let text = format!(
        "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: here\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{chunk}\r\n0\r\n\r\n",
        chunk.len()
    );
    let client = TaskTracker::new().spawn(exchange_owned(first.public, text));
    let mut stream = accept(&listener).await;
    let mut buffer = vec![0; 64 * 1024];
    while !matches!(
        timeout(DEADLINE, stream.read(&mut buffer)).await.expect("in time"),
        Ok(0) | Err(_)
    ) {}
    drop(stream);
    let answer = client.await.expect("ends");
    assert_eq!((answer.status, answer.errcode().as_str()), (413, "M_TOO_LARGE"));
}

async fn exchange_owned(address: SocketAddr, text: String) -> Answer {
    exchange(address, &text).await
}

/// Sends a large body, then counts the bytes of the answer's.
async fn upload_and_download(address: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let head =
        format!("POST /large/x HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {LARGE_BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("writes");
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..LARGE_BYTES / piece.len() {
        timeout(DEADLINE, stream.write_all(&piece))
            .await
            .expect("in time")
            .expect("writes");
    }
    let (head, rest) = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut received = rest.len();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match timeout(DEADLINE, stream.read(&mut buffer))
            .await
            .expect("in time")
            .expect("reads")
        {
            0 => return received,
            length => received += length,
        }
    }
}

/// The most memory this process has had so far.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("there");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}
