//! Files and requests that would do harm (HOSTILE 13 to 17).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use image::ImageFormat;
use plexus_tests::{Cluster, Http, Topology, User, encode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{DOWNLOAD, THUMBNAIL, UPLOAD, header, thumbnails::picture, upload};

/// A transfer that is larger than any memory it may take.
const LARGE_BYTES: usize = 100 << 20;
/// What that may add to the memory of a process that has done the same with a small file before.
const GROWTH_MAX_BYTES: u64 = 24 << 20;

/// Sends the head of an upload that claims to be long, without its body.
async fn claim(http: &Http, token: &str, length: &str) -> String {
    let address = http.url().strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("the process is there");
    let head =
        format!("POST {UPLOAD} HTTP/1.1\r\nhost: here\r\nauthorization: {token}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("it can be sent");
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut answer)).await;
    let read = read
        .expect("an answer, though nothing was sent")
        .expect("it can be read");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

pub(super) async fn hostile_13_what_is_too_large_is_refused_at_once(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let token = alice.token();
    for name in cluster.names() {
        if name.starts_with("master") {
            continue;
        }
        let answer = claim(&cluster.direct(name), &token, "104857601").await;
        assert!(
            answer.starts_with("HTTP/1.1 413") && answer.contains("M_TOO_LARGE"),
            "{name}: {answer}"
        );
    }
}

pub(super) async fn hostile_14_what_could_run_is_saved_and_not_shown(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let page = "<html><script>alert(1)</script>";
    for (said, sent, kind) in [
        ("text/html", "text/html", "attachment"),
        ("image/svg+xml", "image/svg+xml", "attachment"),
        ("application/xhtml+xml", "application/xhtml+xml", "attachment"),
        ("text/xml", "text/xml", "attachment"),
        ("application/pdf", "application/pdf", "attachment"),
        ("nonsense", "application/octet-stream", "attachment"),
        ("text/html, image/png", "application/octet-stream", "attachment"),
        ("image/png", "image/png", "inline"),
    ] {
        let id = upload(&alice, said, "?filename=a.html", page).await;
        for path in [
            format!("{DOWNLOAD}/{id}"),
            format!("/_matrix/media/v3/download/{id}/b.html"),
        ] {
            let answer = alice.http.get(&path).await;
            assert_eq!((answer.status, header(&answer, "content-type")), (200, sent));
            assert!(header(&answer, "content-disposition").starts_with(kind), "{said}");
            assert!(header(&answer, "content-security-policy").starts_with("sandbox; default-src 'none';"));
            assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
            assert_eq!(header(&answer, "cross-origin-resource-policy"), "cross-origin");
        }
    }
}

pub(super) async fn hostile_15_bombs_are_refused_at_once(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    // A frame of 65,535 x 65,535 pixels, in a JPEG of a few hundred bytes.
    let mut bomb = picture(16, 16, ImageFormat::Jpeg);
    let frame = bomb
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .expect("a JPEG has a frame");
    bomb[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    let id = upload(&alice, "image/jpeg", "", bomb).await;
    let started = Instant::now();
    let answer = alice.http.get(&format!("{THUMBNAIL}/{id}?width=32&height=32")).await;
    answer.expect_error(413, "M_TOO_LARGE");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let postscript = upload(&alice, "image/png", "", "%!PS-Adobe-3.0 EPSF-3.0").await;
    let answer = alice
        .http
        .get(&format!("{THUMBNAIL}/{postscript}?width=32&height=32"))
        .await;
    answer.expect_error(400, "M_UNKNOWN");
}

pub(super) async fn hostile_17_no_id_leads_out_of_the_store(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    // nginx refuses some of these itself, and not as JSON.
    let keeper = match cluster.topology {
        Topology::AllInOne => "plexus",
        Topology::Split => "media1",
    };
    let alice = alice.at(&cluster.direct(keeper));
    let long = "a".repeat(300);
    let ids = [
        "..",
        "%2e%2e",
        "%2e%2e%2fplexus.db",
        "..%5c..",
        "a%00",
        "%ff",
        "%C3%A4",
        "a.png",
        "%20",
        &long,
    ];
    let servers = [
        "localhost",
        "%2e%2e",
        "..",
        "localhost%2f..",
        "a%00",
        "%E2%98%95",
        "[::1]:8448",
        "1.2.3.4:1",
    ];
    for server in servers {
        for id in ids {
            for path in [
                format!("{DOWNLOAD}/{server}/{id}"),
                format!("/_matrix/media/v3/download/{server}/{id}/name"),
                format!("{THUMBNAIL}/{server}/{id}?width=32&height=32"),
            ] {
                let answer = alice.http.get(&path).await;
                assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.text());
                assert!(
                    answer.status == 404 || answer.json()["errcode"].is_string(),
                    "{path}: {}",
                    answer.text()
                );
            }
        }
    }
    let name = encode("../../../etc/passwd");
    let id = upload(&alice, "image/png", &format!("?filename={name}"), "x").await;
    let answer = alice.http.get(&format!("{DOWNLOAD}/{id}")).await;
    assert_eq!(
        header(&answer, "content-disposition"),
        "inline; filename=\".._.._.._etc_passwd\""
    );
}

pub(super) async fn hostile_13_a_hundred_megabytes_pass_in_constant_memory(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let names: Vec<&str> = cluster.names();
    let peaks = || {
        names
            .iter()
            .map(|name| cluster.process(name).peak_memory_bytes())
            .collect::<Vec<_>>()
    };
    // Directly to the process that keeps the files, and by way of one that passes them on.
    let ways = match cluster.topology {
        Topology::AllInOne => vec![cluster.direct("plexus")],
        Topology::Split => vec![cluster.direct("media1"), cluster.direct("sync1")],
    };
    for way in &ways {
        let alice = alice.at(way);
        let id = upload(&alice, "video/mp4", "", vec![1; 1 << 20]).await;
        alice.http.get(&format!("{DOWNLOAD}/{id}")).await;
    }
    let before = peaks();
    for (round, way) in ways.iter().enumerate() {
        let alice = alice.at(way);
        let content = Bytes::from(vec![u8::try_from(round).expect("few ways") + 2; LARGE_BYTES]);
        let id = upload(&alice, "video/mp4", "", content.clone()).await;
        let answer = alice.http.get(&format!("{DOWNLOAD}/{id}")).await;
        assert!(answer.body == content, "{} bytes came back", answer.body.len());
    }
    for ((name, before), after) in names.iter().zip(before).zip(peaks()) {
        // The kernel counts roughly, so that a height can seem to sink.
        let growth = after.saturating_sub(before);
        assert!(growth < GROWTH_MAX_BYTES, "{name} took {growth} bytes more for 100 MiB");
        println!("{name}: {before} bytes before, {growth} more at the height of 100 MiB up and down");
    }
}
