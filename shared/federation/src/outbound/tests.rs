//! HOSTILE 11 and 12, as far as a client can show them alone.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use futures_util::FutureExt as _;
use ipnet::IpNet;
use plexus_testkit::{Authority, Remote};

use super::*;
use crate::{address::Host, discovery::Target};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn allowing_loopback() -> OutboundConfig {
    let mut config = OutboundConfig::default();
    config.addresses.allowed.push(IpNet::from(LOOPBACK));
    config
}

fn uri(port: u16, host: &str) -> Uri {
    format!("http://{host}:{port}/_matrix/push/v1/notify")
        .parse()
        .expect("an address")
}

/// A server that answers every request with the same bytes, and how many connections it took.
fn server(answer: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            counted.fetch_add(1, SeqCst);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&answer);
        }
    });
    (port, taken)
}

#[tokio::test]
async fn an_answer_comes_back_with_its_status() {
    let (port, _) = server(b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 2\r\n\r\n{}".to_vec());
    let client = Client::new(&allowing_loopback()).expect("trust roots");
    let answer = client
        .post_json(&uri(port, "127.0.0.1"), Bytes::from("{}"))
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status, &answer.body[..]),
        (StatusCode::FOUND, &b"{}"[..]),
        "a redirect is not followed"
    );
}

#[tokio::test]
async fn a_denied_address_is_never_connected_to() {
    let (port, taken) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
    let client = Client::new(&OutboundConfig::default()).expect("trust roots");
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"] {
        let refused = client.post_json(&uri(port, host), Bytes::new()).await;
        assert!(
            matches!(refused, Err(OutboundError::Connection(_))),
            "{host}: {refused:?}"
        );
    }
    assert_eq!(taken.load(SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let (port, taken) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let rebinding: Resolver = Arc::new(move |_| {
        let first = count.fetch_add(1, SeqCst) == 0;
        let answer = if first { IpAddr::from([192, 0, 2, 1]) } else { LOOPBACK };
        async move { Ok(vec![answer]) }.boxed()
    });
    let client = Client::with(&OutboundConfig::default(), rebinding, EXCHANGE_TIMEOUT).expect("trust roots");
    for _ in 0..3 {
        client
            .post_json(&uri(port, "rebind.example"), Bytes::new())
            .await
            .expect_err("denied");
    }
    assert_eq!((asked.load(SeqCst), taken.load(SeqCst)), (3, 0));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let mut endless = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n".to_vec();
    endless.resize(ANSWER_BYTES_MAX + 4096, b' ');
    let (port, _) = server(endless);
    let client = Client::new(&allowing_loopback()).expect("trust roots");
    let refused = client.post_json(&uri(port, "127.0.0.1"), Bytes::new()).await;
    assert!(matches!(refused, Err(OutboundError::TooLong)), "{refused:?}");
}

#[tokio::test]
async fn a_silent_server_costs_a_bounded_time() {
    let listener = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let client = Client::with(
        &allowing_loopback(),
        connect::system_resolver(),
        Duration::from_millis(50),
    )
    .expect("trust roots");
    let refused = client.post_json(&uri(port, "127.0.0.1"), Bytes::new()).await;
    assert!(matches!(refused, Err(OutboundError::TimedOut)), "{refused:?}");
    drop(listener);
}

/// A client that finds every name on loopback.
fn federation(authority: &Authority, folder: &std::path::Path) -> Client {
    let trust = Trust {
        custom_ca_files: vec![authority.write(folder)],
        unverified: Vec::new(),
    };
    let resolver: Resolver = Arc::new(|_| async { Ok(vec![LOOPBACK]) }.boxed());
    Client::federation_with(&allowing_loopback().addresses, &trust, resolver).expect("the file is right")
}

const LIMITS: Limits = Limits {
    timeout: EXCHANGE_TIMEOUT,
    answer_bytes_max: 1024,
};

const VERSION: ToServer<'static> = ToServer {
    method: Method::GET,
    target: "/_matrix/federation/v1/version",
    authorization: None,
    content: None,
};

fn route(certificate: &str, ports: &[u16]) -> Route {
    let target = |port: &u16| Target {
        host: Host::parse("srv.example"),
        port: *port,
    };
    Route {
        host_header: certificate.to_owned(),
        certificate: Host::parse(certificate),
        targets: ports.iter().map(target).collect(),
        steps: Vec::new(),
    }
}

#[tokio::test]
async fn a_server_found_elsewhere_shows_the_certificate_of_its_name() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let client = federation(&authority, folder.path());
    let remote = Remote::start(&authority, &["a.example"]).await;
    remote.answers(|_| Some((200, "{}".to_owned())));
    let gone = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    let closed = gone.local_addr().expect("bound").port();
    drop(gone);
    // The first place takes no connection, the second does.
    let answer = client
        .to_server(&route("a.example", &[closed, remote.port]), &VERSION, LIMITS)
        .await;
    assert_eq!(answer.expect("answered").status, StatusCode::OK);
    let received = &remote.received()[0];
    assert_eq!(received.sni.as_deref(), Some("a.example"));
    assert_eq!(received.headers["host"], "a.example");
    assert_eq!(received.target, VERSION.target);
    // The same place under another name is another connection, and another certificate.
    for name in ["b.example", "srv.example", "127.0.0.1"] {
        let refused = client.to_server(&route(name, &[remote.port]), &VERSION, LIMITS).await;
        let error = refused.expect_err("refused").to_string();
        assert!(error.contains("invalid peer certificate"), "{name}: {error}");
    }
    assert_eq!(remote.received().len(), 1);
}

#[tokio::test]
async fn hostile_11_where_a_name_leads_is_filtered_however_it_was_found() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let remote = Remote::start(&authority, &["a.example"]).await;
    let trust = Trust {
        custom_ca_files: vec![authority.write(folder.path())],
        unverified: vec!["*".to_owned()],
    };
    let resolver: Resolver = Arc::new(|_| async { Ok(vec![LOOPBACK]) }.boxed());
    let client = Client::federation_with(&AddressRules::default(), &trust, resolver).expect("the file is right");
    let mut direct = route("a.example", &[remote.port]);
    direct.targets[0].host = Host::Ip(LOOPBACK);
    for route in [route("a.example", &[remote.port]), direct] {
        let refused = client.to_server(&route, &VERSION, LIMITS).await;
        let error = refused.expect_err("refused").to_string();
        assert!(error.contains("no address that may be connected to"), "{error}");
    }
    assert_eq!(remote.received().len(), 0);
}

#[tokio::test]
async fn a_web_address_says_where_it_is_by_its_host_only() {
    let (port, taken) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
    let client = Client::new(&allowing_loopback()).expect("trust roots");
    // What leads federation elsewhere is, in an address that a user gave, no more than a user's name.
    let address = format!("http://127.0.0.1:{port}@10.0.0.1:{port}/")
        .parse()
        .expect("an address");
    client.post_json(&address, Bytes::new()).await.expect_err("denied");
    assert_eq!(taken.load(SeqCst), 0);
}
