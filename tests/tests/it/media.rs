//! Files: uploads, downloads, thumbnails.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage};
use plexus_tests::{Answer, Cluster, Http, Solo, Topology, User, encode, free_port, run};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

super::scenarios! {
    a_file_comes_out_as_it_went_in,
    a_browser_is_told_what_it_may_do,
    ids_can_be_had_before_their_files,
    seed_5258_thumbnails_are_made_and_refused,
    hostile_13_what_is_too_large_is_refused_at_once,
    hostile_14_what_could_run_is_saved_and_not_shown,
    hostile_15_bombs_are_refused_at_once,
    hostile_17_no_id_leads_out_of_the_store,
}

/// Large transfers, on a cluster of their own: what others do there would count as theirs.
mod large {
    use super::hostile_13_a_hundred_megabytes_pass_in_constant_memory;

    crate::scenarios! { hostile_13_a_hundred_megabytes_pass_in_constant_memory }
}

const UPLOAD: &str = "/_matrix/media/v3/upload";
const DOWNLOAD: &str = "/_matrix/client/v1/media/download";
const THUMBNAIL: &str = "/_matrix/client/v1/media/thumbnail";
/// A transfer that is larger than any memory it may take.
const LARGE_BYTES: usize = 100 << 20;
/// What that may add to the memory of a process that has done the same with a small file before.
const GROWTH_MAX_BYTES: u64 = 24 << 20;

/// Uploads a file; `<server name>/<media id>` comes back.
async fn upload(user: &User, content_type: &str, query: &str, content: impl Into<Bytes>) -> String {
    let http = user.http.with_header("content-type", content_type);
    let answer = http.send(Method::POST, &format!("{UPLOAD}{query}"), content).await.ok();
    id_of(answer["content_uri"].as_str().expect("an upload gives a URI"))
}

fn id_of(uri: &str) -> String {
    uri.strip_prefix("mxc://").expect("a media URI").to_owned()
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers.get(name);
    let value = value.unwrap_or_else(|| panic!("{} has no {name}: {:?}", answer.request, answer.headers));
    value.to_str().expect("headers are text")
}

/// Every stored file.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

async fn a_file_comes_out_as_it_went_in(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    // Longer than what is read at once.
    let content: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    let id = upload(
        &alice,
        "image/png",
        "?filename=caf%C3%A9%20%22a%22.png",
        content.clone(),
    )
    .await;
    let again = upload(&alice.at(&cluster.wrong_http()), "text/plain", "", content.clone()).await;
    assert_ne!(id, again);
    let stored = blobs(&cluster.folder().join("data/media"));
    let same: Vec<_> = stored
        .iter()
        .filter(|path| fs::metadata(path).is_ok_and(|file| file.len() == content.len() as u64))
        .collect();
    assert_eq!(same.len(), 1, "the same content is stored once: {stored:?}");
    for (http, path) in [
        (&alice.http, format!("{DOWNLOAD}/{id}")),
        (&alice.at(&cluster.wrong_http()).http, format!("{DOWNLOAD}/{id}")),
        (&cluster.http(), format!("/_matrix/media/v3/download/{id}")),
        (&cluster.http(), format!("/_matrix/media/r0/download/{id}")),
        (&cluster.http(), format!("/_matrix/media/v1/download/{id}")),
    ] {
        let answer = http.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.body == content, "{path} gave {} bytes", answer.body.len());
        assert_eq!(header(&answer, "content-type"), "image/png");
        let disposition = "inline; filename*=UTF-8''caf%C3%A9%20%22a%22.png";
        assert_eq!(header(&answer, "content-disposition"), disposition);
    }
    let named = alice
        .http
        .get(&format!("{DOWNLOAD}/{again}/b%0d%0aset-cookie:%20a.txt"))
        .await;
    assert_eq!(
        header(&named, "content-disposition"),
        "inline; filename=\"b__set-cookie: a.txt\""
    );
    assert!(named.headers.get("set-cookie").is_none());
    cluster
        .http()
        .get(&format!("{DOWNLOAD}/{id}"))
        .await
        .expect_error(401, "M_MISSING_TOKEN");
    parts_are_given(&alice, &id, &content).await;
    for path in [
        "/_matrix/client/v1/media/config",
        "/_matrix/media/v3/config",
        "/_matrix/media/r0/config",
    ] {
        assert_eq!(alice.http.get(path).await.ok()["m.upload.size"], 100 << 20, "{path}");
    }
    let empty = upload(&alice, "text/plain", "", "").await;
    let answer = alice.http.get(&format!("{DOWNLOAD}/{empty}")).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

/// What a file is known by, and that less than all of it can be had.
async fn parts_are_given(alice: &User, id: &str, content: &[u8]) {
    let path = format!("{DOWNLOAD}/{id}");
    let all = alice.http.get(&path).await;
    let etag = header(&all, "etag").to_owned();
    assert!(header(&all, "cache-control").contains("immutable"));
    let known = alice.http.with_header("if-none-match", &etag).get(&path).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let other = alice.http.with_header("if-none-match", "\"other\"").get(&path).await;
    assert_eq!(other.status, 200);
    let part = alice.http.with_header("range", "bytes=400000-400009").get(&path).await;
    assert_eq!((part.status, &part.body[..]), (206, &content[400_000..400_010]));
    assert_eq!(
        header(&part, "content-range"),
        format!("bytes 400000-400009/{}", content.len())
    );
    let beyond = alice.http.with_header("range", "bytes=99999999-").get(&path).await;
    assert_eq!(
        (beyond.status, header(&beyond, "content-range")),
        (416, "bytes */2000000")
    );
    let head = alice.http.send(Method::HEAD, &path, "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(header(&head, "content-length"), content.len().to_string());
}

async fn a_browser_is_told_what_it_may_do(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let id = upload(&alice, "image/png", "", "x").await;
    for http in [cluster.http(), cluster.wrong_http()] {
        let download = format!("{DOWNLOAD}/{id}");
        let preflight = http.send(Method::OPTIONS, &download, "").await;
        let refused = http.get(&download).await;
        let missing = http.get("/_matrix/media/v3/download/localhost/nothing").await;
        let there = http.get(&format!("/_matrix/media/v3/download/{id}")).await;
        assert_eq!(
            (preflight.status, refused.status, missing.status, there.status),
            (204, 401, 404, 200)
        );
        for answer in [preflight, refused, missing, there] {
            assert_eq!(
                header(&answer, "access-control-allow-origin"),
                "*",
                "{}",
                answer.request
            );
            assert!(header(&answer, "access-control-allow-methods").contains("PUT"));
            assert!(header(&answer, "access-control-allow-headers").contains("Authorization"));
        }
    }
}

async fn ids_can_be_had_before_their_files(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let bob = User::register(&cluster.http(), "bob").await;
    let reserve = async || alice.http.post("/_matrix/media/v1/create", &json!({})).await;
    let given = reserve().await.ok();
    assert!(
        given["unused_expires_at"]
            .as_i64()
            .is_some_and(|ms| ms > 1_700_000_000_000)
    );
    let id = id_of(given["content_uri"].as_str().expect("a URI"));
    let to = format!("{UPLOAD}/{id}");
    let early = bob.http.get(&format!("{DOWNLOAD}/{id}?timeout_ms=0")).await;
    early.expect_error(504, "M_NOT_YET_UPLOADED");
    bob.http
        .send(Method::PUT, &to, "his")
        .await
        .expect_error(403, "M_FORBIDDEN");
    let waiting = format!("{DOWNLOAD}/{id}?timeout_ms=60000");
    let (waited, sent) = tokio::join!(bob.http.get(&waiting), async {
        // Sent once the other one waits, as far as can be seen from outside; he gets it in any case.
        bob.http
            .get(&format!("{DOWNLOAD}/{id}?timeout_ms=300"))
            .await
            .expect_error(504, "M_NOT_YET_UPLOADED");
        alice.http.send(Method::PUT, &to, "hers").await
    });
    sent.ok();
    assert_eq!((waited.status, &waited.body[..]), (200, &b"hers"[..]));
    alice
        .http
        .send(Method::PUT, &to, "other")
        .await
        .expect_error(409, "M_CANNOT_OVERWRITE_MEDIA");
    for unknown in ["localhost/nothing", "elsewhere.example/nothing"] {
        let answer = alice.http.send(Method::PUT, &format!("{UPLOAD}/{unknown}"), "x").await;
        answer.expect_error(404, "M_NOT_FOUND");
    }
    for _ in 0..20 {
        reserve().await.ok();
    }
    reserve().await.expect_error(429, "M_LIMIT_EXCEEDED");
}

/// A picture whose left half is red and whose right half is blue.
fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let colour = |x: u32| if x < width / 2 { [250, 0, 0] } else { [0, 0, 250] };
    let picture = DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, _| Rgb(colour(x))));
    let mut file = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut file), format)
        .expect("a picture can be encoded");
    file
}

async fn seed_5258_thumbnails_are_made_and_refused(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let large = upload(
        &alice,
        "application/octet-stream",
        "",
        picture(500, 250, ImageFormat::Jpeg),
    )
    .await;
    let text = upload(&alice, "image/png", "", "no picture").await;
    for (query, errcode) in [
        ("", "M_MISSING_PARAM"),
        ("?width=32", "M_MISSING_PARAM"),
        ("?height=32", "M_MISSING_PARAM"),
        ("?width=0&height=32", "M_INVALID_PARAM"),
        ("?width=-1&height=32", "M_INVALID_PARAM"),
        ("?width=1.5&height=32", "M_INVALID_PARAM"),
        ("?width=x&height=32", "M_INVALID_PARAM"),
        ("?width=99999999999999999999&height=32", "M_INVALID_PARAM"),
        ("?width=100000&height=32", "M_INVALID_PARAM"),
        ("?width=32&height=32&method=stretch", "M_INVALID_PARAM"),
    ] {
        alice
            .http
            .get(&format!("{THUMBNAIL}/{large}{query}"))
            .await
            .expect_error(400, errcode);
    }
    let size = "?width=32&height=32&method=crop";
    alice
        .http
        .get(&format!("{THUMBNAIL}/{text}{size}"))
        .await
        .expect_error(400, "M_UNKNOWN");
    for missing in ["localhost/nothing", "elsewhere.example/nothing"] {
        alice
            .http
            .get(&format!("{THUMBNAIL}/{missing}{size}"))
            .await
            .expect_error(404, "M_NOT_FOUND");
    }
    for (query, dimensions) in [
        ("width=32&height=32&method=crop", (32, 32)),
        ("width=30&height=20&method=crop", (32, 22)),
        ("width=320&height=240&method=scale", (320, 160)),
        ("width=300&height=200", (320, 160)),
        ("width=640&height=480&method=scale", (500, 250)),
        ("width=5000&height=5000&method=crop&animated=true", (500, 250)),
    ] {
        let target = format!("{large}?{query}");
        for path in [
            format!("{THUMBNAIL}/{target}"),
            format!("/_matrix/media/r0/thumbnail/{target}"),
        ] {
            let answer = alice.http.get(&path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(header(&answer, "content-type"), "image/jpeg");
            assert_eq!(
                header(&answer, "content-disposition"),
                "inline; filename=\"thumbnail.jpg\""
            );
            let small = image::load_from_memory(&answer.body).expect("a picture");
            assert_eq!(small.dimensions(), dimensions, "{path}");
        }
    }
    // Many at once are made once, and are the same file.
    let wanted = format!("{THUMBNAIL}/{large}?width=96&height=96");
    let (one, two, three) = tokio::join!(
        alice.http.get(&wanted),
        alice.http.get(&wanted),
        alice.http.get(&wanted)
    );
    assert_eq!((one.status, header(&one, "etag")), (200, header(&two, "etag")));
    assert_eq!(header(&one, "etag"), header(&three, "etag"));
}

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

async fn hostile_13_what_is_too_large_is_refused_at_once(cluster: Arc<Cluster>) {
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

async fn hostile_14_what_could_run_is_saved_and_not_shown(cluster: Arc<Cluster>) {
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

async fn hostile_15_bombs_are_refused_at_once(cluster: Arc<Cluster>) {
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

async fn hostile_17_no_id_leads_out_of_the_store(cluster: Arc<Cluster>) {
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

async fn hostile_13_a_hundred_megabytes_pass_in_constant_memory(cluster: Arc<Cluster>) {
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

#[test]
fn files_of_a_server_that_asks_for_tokens_need_one() {
    let here = tempfile::tempdir().expect("a temporary folder can be made");
    let port = free_port();
    let address = format!("listen.address=127.0.0.1:{port}");
    let start = |setting: &str| Solo::start(here.path(), &["serve", "--set", &address, "--set", setting]);
    run(async {
        let http = Http::new(&format!("http://127.0.0.1:{port}"));
        let server = start("media.require_token=false");
        server.until_answers(&http).await;
        let alice = User::register(&http, "alice").await;
        let old = upload(&alice, "text/plain", "", "old").await;
        assert!(server.process().stop().await.success());
        // The first one is kept, as the folder goes with it.
        let again = start("media.require_token=true");
        again.until_answers(&http).await;
        let new = upload(&alice, "text/plain", "", "new").await;
        let without = async |id: &str| http.get(&format!("/_matrix/media/v3/download/{id}")).await;
        assert_eq!(without(&old).await.status, 200);
        without(&new).await.expect_error(404, "M_NOT_FOUND");
        assert_eq!(alice.http.get(&format!("{DOWNLOAD}/{new}")).await.status, 200);
    });
}
