//! Files between servers.

use std::{io::Cursor, sync::Arc};

use http::Method;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use plexus_tests::{
    Answer, Cluster, Http, PATIENCE, Peer, Shared, Solo, Topology, User, authority, encode, eventually, free_port, run,
};
use serde_json::json;
use tempfile::TempDir;

/// Two servers of ours, and doubles.
static SPLIT: Shared = Shared::federated(Topology::Split);

const DOWNLOAD: &str = "/_matrix/client/v1/media/download";
const LEGACY: &str = "/_matrix/media/v3/download";

/// A server of one process, with a small quota for files of others.
struct Small {
    folder: TempDir,
    name: String,
    http: Http,
    _solo: Solo,
}

/// Bytes of others' files that it keeps.
const QUOTA: u64 = 1 << 20;

impl Small {
    async fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (port, tls_port) = (free_port(), free_port());
        authority().write(folder.path());
        authority().issue(&["localhost"]).write(folder.path());
        let name = format!("localhost:{tls_port}");
        let configuration = format!(
            "server_name = \"{name}\"\ndata_dir = \"data\"\n\
             [listen]\naddress = \"127.0.0.1:{port}\"\ntls_address = \"127.0.0.1:{tls_port}\"\n\
             tls_certificate_file = \"cert.pem\"\ntls_key_file = \"key.pem\"\n\
             [outbound]\nallowed_ranges = \"127.0.0.0/8\"\n\
             [federation]\ncustom_ca_list = [\"ca.pem\"]\ntrusted_key_servers = []\n\
             [registration]\nopen = true\nallow_open_without_verification = true\n\
             [media]\nremote_cache_bytes = {QUOTA}\n{more}"
        );
        std::fs::write(folder.path().join("plexus.toml"), configuration).expect("the folder can be written to");
        let solo = Solo::start(folder.path(), &["serve", "--config", "plexus.toml"]);
        let http = Http::new(&format!("http://127.0.0.1:{port}"));
        solo.until_answers(&http).await;
        Self {
            folder,
            name,
            http,
            _solo: solo,
        }
    }

    /// Bytes of others' files on its disk.
    fn kept_bytes(&self) -> u64 {
        fn size(folder: &std::path::Path) -> u64 {
            let Ok(entries) = std::fs::read_dir(folder) else {
                return 0;
            };
            let entries = entries.map(|entry| entry.expect("the folder can be read"));
            entries
                .map(|entry| {
                    let metadata = entry.metadata().expect("it is there");
                    if metadata.is_dir() {
                        size(&entry.path())
                    } else {
                        metadata.len()
                    }
                })
                .sum()
        }
        size(&self.folder.path().join("data/media/remote"))
    }
}

async fn upload(user: &User, content_type: &str, name: &str, content: &[u8]) -> String {
    let http = user.http.with_header("content-type", content_type);
    let target = format!("/_matrix/media/v3/upload?filename={}", encode(name));
    let answer = http.send(Method::POST, &target, content.to_vec()).await.ok();
    let uri = answer["content_uri"].as_str().expect("an upload gives a URI");
    uri.strip_prefix("mxc://").expect("a media URI").to_owned()
}

fn picture() -> Vec<u8> {
    let picture = RgbImage::from_fn(200, 100, |x, y| Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 0]));
    let mut file = Cursor::new(Vec::new());
    let written = DynamicImage::from(picture).write_to(&mut file, ImageFormat::Png);
    written.expect("a picture can be written");
    file.into_inner()
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

#[test]
fn files_and_thumbnails_come_from_other_servers() {
    SPLIT.run(between_servers);
}

async fn between_servers(cluster: Arc<Cluster>) {
    let there = Small::start("").await;
    let bob = User::register(&there.http, "bob").await;
    let alice = User::register(&cluster.http(), "alice").await;
    let name = "prüfung \"1\".txt";
    let content = vec![b'x'; 300_000];
    let text = upload(&bob, "text/plain; charset=utf-8", name, &content).await;
    let picture_id = upload(&bob, "image/png", "p.png", &picture()).await;
    for _ in 0..2 {
        let file = alice.http.get(&format!("{DOWNLOAD}/{text}")).await;
        assert_eq!(file.status, 200, "{}", file.text());
        assert_eq!(file.body, content);
        assert_eq!(header(&file, "content-type"), "text/plain; charset=utf-8");
        let shown = bob.http.get(&format!("{DOWNLOAD}/{text}")).await;
        assert_eq!(
            header(&file, "content-disposition"),
            header(&shown, "content-disposition")
        );
        let thumbnail = format!("/_matrix/client/v1/media/thumbnail/{picture_id}?width=32&height=32&method=scale");
        let thumbnail = alice.http.get(&thumbnail).await;
        assert_eq!(
            (thumbnail.status, header(&thumbnail, "content-type")),
            (200, "image/png"),
            "{}",
            thumbnail.text()
        );
    }
    let unknown = format!("{DOWNLOAD}/{}/unknown", there.name);
    alice.http.get(&unknown).await.expect_error(404, "M_NOT_FOUND");
    // The old path gives what its server gives to anybody.
    assert_eq!(cluster.http().get(&format!("{LEGACY}/{text}")).await.body, content);
    let local_only = format!("{LEGACY}/{text}?allow_remote=false");
    cluster.http().get(&local_only).await.expect_error(404, "M_NOT_FOUND");
}

#[test]
fn what_needs_a_token_there_needs_one_here() {
    SPLIT.run(closed_files);
}

async fn closed_files(cluster: Arc<Cluster>) {
    let there = Small::start("require_token = true\n").await;
    let bob = User::register(&there.http, "bob").await;
    let alice = User::register(&cluster.http(), "alice").await;
    let id = upload(&bob, "text/plain", "secret.txt", b"a secret").await;
    let legacy = format!("{LEGACY}/{id}");
    cluster.http().get(&legacy).await.expect_error(404, "M_NOT_FOUND");
    assert_eq!(alice.http.get(&format!("{DOWNLOAD}/{id}")).await.body, "a secret");
    // Also once it is here.
    cluster.http().get(&legacy).await.expect_error(404, "M_NOT_FOUND");
}

#[test]
fn servers_from_before_there_were_tokens_are_asked_in_the_old_way() {
    SPLIT.run(old_servers);
}

async fn old_servers(cluster: Arc<Cluster>) {
    let peer = Peer::start().await;
    let prefix = format!(
        "/_matrix/media/r0/download/{}/old",
        plexus_federation::request::encode(&peer.name())
    );
    peer.answers(move |request| {
        let unrecognized = json!({"errcode": "M_UNRECOGNIZED", "error": "no such endpoint"});
        Some(if request.target.starts_with(&prefix) {
            (200, json!({"a": "file"}))
        } else {
            (404, unrecognized)
        })
    });
    let alice = User::register(&cluster.http(), "alice").await;
    let file = alice.http.get(&format!("{DOWNLOAD}/{}/old", peer.name())).await;
    assert_eq!((file.status, file.text().as_str()), (200, "{\"a\":\"file\"}"));
}

#[test]
fn hostile_16_files_of_others_keep_to_their_quota() {
    run(async {
        let (here, there) = (
            Small::start("").await,
            Small::start("max_upload_bytes = 10000000\n").await,
        );
        let (alice, bob) = (
            User::register(&here.http, "alice").await,
            User::register(&there.http, "bob").await,
        );
        let own = upload(&alice, "text/plain", "own", &vec![b'o'; 500_000]).await;
        let mut files = Vec::new();
        for letter in b'a'..b'h' {
            files.push((upload(&bob, "text/plain", "file", &vec![letter; 300_000]).await, letter));
        }
        for (id, letter) in &files {
            let file = alice.http.get(&format!("{DOWNLOAD}/{id}")).await;
            assert_eq!(file.body, vec![*letter; 300_000]);
            assert!(here.kept_bytes() <= QUOTA, "{}", here.kept_bytes());
        }
        // What has gone comes again; what is larger than all there may be does not come at all.
        assert_eq!(alice.http.get(&format!("{DOWNLOAD}/{}", files[0].0)).await.status, 200);
        let large = upload(&bob, "text/plain", "large", &vec![b'l'; 2_000_000]).await;
        alice
            .http
            .get(&format!("{DOWNLOAD}/{large}"))
            .await
            .expect_error(413, "M_TOO_LARGE");
        eventually(PATIENCE, "what was refused to be gone", async || {
            let kept = here.kept_bytes();
            if kept <= QUOTA { Ok(()) } else { Err(kept.to_string()) }
        })
        .await;
        // Uploads have their own place.
        assert_eq!(
            alice.http.get(&format!("{DOWNLOAD}/{own}")).await.body,
            vec![b'o'; 500_000]
        );
        assert_eq!(
            alice.http.get(&format!("{DOWNLOAD}/{}/own", here.name)).await.status,
            404
        );
    });
}
