//! Files: uploads, downloads, thumbnails.

mod hostile;
mod thumbnails;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use http::Method;
use plexus_tests::{Answer, Cluster, Http, Solo, User, free_port, run};
use serde_json::json;

use self::{
    hostile::{
        hostile_13_a_hundred_megabytes_pass_in_constant_memory, hostile_13_what_is_too_large_is_refused_at_once,
        hostile_14_what_could_run_is_saved_and_not_shown, hostile_15_bombs_are_refused_at_once,
        hostile_17_no_id_leads_out_of_the_store,
    },
    thumbnails::seed_5258_thumbnails_are_made_and_refused,
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
