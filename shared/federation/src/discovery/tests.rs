//! The steps of the specification, each by its number.

use std::{
    collections::HashMap,
    io,
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, StatusCode};

use super::*;
use crate::flights::tests::spawn_here;

/// What the world answers, and how often it was asked.
#[derive(Default)]
struct World {
    /// Status, `Cache-Control` and body by host; a host that is not here does not answer.
    well_known: Mutex<HashMap<&'static str, (u16, &'static str, &'static str)>>,
    srv: Mutex<HashMap<&'static str, Vec<SrvRecord>>>,
    srv_broken: bool,
    fetches: AtomicUsize,
    look_ups: Mutex<Vec<String>>,
    now_ms: AtomicI64,
}

impl World {
    fn says(&self, host: &'static str, status: u16, cache: &'static str, body: &'static str) {
        self.well_known
            .lock()
            .expect("not poisoned")
            .insert(host, (status, cache, body));
    }

    fn is_silent(&self, host: &'static str) {
        self.well_known.lock().expect("not poisoned").remove(host);
    }

    fn has_srv(&self, name: &'static str, target: &str, port: u16) {
        let record = SrvRecord {
            priority: 1,
            weight: 1,
            target: target.to_owned(),
            port,
        };
        self.srv
            .lock()
            .expect("not poisoned")
            .entry(name)
            .or_default()
            .push(record);
    }

    fn fetch(&self, host: &str) -> Result<Answer, OutboundError> {
        self.fetches.fetch_add(1, SeqCst);
        let known = self.well_known.lock().expect("not poisoned");
        let (status, cache, body) = known.get(host).ok_or(OutboundError::TimedOut)?;
        let mut headers = HeaderMap::new();
        if !cache.is_empty() {
            headers.insert("cache-control", cache.parse().expect("a value"));
        }
        Ok(Answer {
            status: StatusCode::from_u16(*status).expect("a status"),
            headers,
            body: Bytes::from(*body),
        })
    }

    fn look_up(&self, name: String) -> io::Result<Vec<SrvRecord>> {
        if self.srv_broken {
            return Err(io::Error::other("SERVFAIL"));
        }
        let found = self.srv.lock().expect("not poisoned").get(name.as_str()).cloned();
        self.look_ups.lock().expect("not poisoned").push(name);
        Ok(found.unwrap_or_default())
    }

    fn discovery(self: &Arc<Self>) -> Discovery {
        let (fetching, looking, telling) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        Discovery::new(
            Arc::new(move |host| {
                let world = Arc::clone(&fetching);
                async move { world.fetch(&host) }.boxed()
            }),
            Arc::new(move |name| {
                let world = Arc::clone(&looking);
                async move { world.look_up(name) }.boxed()
            }),
            Arc::new(move || telling.now_ms.load(SeqCst)),
            spawn_here(),
        )
    }

    fn later(&self, duration: Duration) {
        let ms = i64::try_from(duration.as_millis()).expect("small");
        self.now_ms.fetch_add(ms, SeqCst);
    }
}

async fn route(discovery: &Discovery, server: &str) -> Route {
    let server = <&ServerName>::try_from(server).expect("a server name");
    discovery.route(server).await.expect("found")
}

/// `Host` header, certificate, targets.
fn summary(route: &Route) -> (String, String, String) {
    (
        route.host_header.clone(),
        route.certificate.to_string(),
        list(&route.targets),
    )
}

fn expected(host_header: &str, certificate: &str, targets: &str) -> (String, String, String) {
    (host_header.to_owned(), certificate.to_owned(), targets.to_owned())
}

#[tokio::test]
async fn steps_1_and_2_ask_nobody() {
    let world = Arc::new(World::default());
    let discovery = world.discovery();
    for (server, host, certificate, target) in [
        ("1.2.3.4", "1.2.3.4", "1.2.3.4", "1.2.3.4:8448"),
        ("1.2.3.4:443", "1.2.3.4:443", "1.2.3.4", "1.2.3.4:443"),
        ("[::5]", "[::5]", "[::5]", "[::5]:8448"),
        ("[::5]:1", "[::5]:1", "[::5]", "[::5]:1"),
        ("A.example:99", "A.example:99", "a.example", "a.example:99"),
    ] {
        let found = route(&discovery, server).await;
        assert_eq!(summary(&found), expected(host, certificate, target), "{server}");
    }
    assert_eq!(world.fetches.load(SeqCst), 0);
    assert!(world.look_ups.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn steps_3_1_and_3_2_delegate_to_an_address_or_a_port() {
    let world = Arc::new(World::default());
    world.says("ip.example", 200, "", r#"{"m.server": "1.2.3.4"}"#);
    world.says("ip6.example", 200, "", r#"{"m.server": "[::5]:443"}"#);
    world.says("port.example", 200, "", r#"{"m.server": "other.example:443"}"#);
    let discovery = world.discovery();
    for (server, host, certificate, target) in [
        ("ip.example", "1.2.3.4", "1.2.3.4", "1.2.3.4:8448"),
        ("ip6.example", "[::5]:443", "[::5]", "[::5]:443"),
        (
            "port.example",
            "other.example:443",
            "other.example",
            "other.example:443",
        ),
    ] {
        let found = route(&discovery, server).await;
        assert_eq!(summary(&found), expected(host, certificate, target), "{server}");
    }
    assert!(
        world.look_ups.lock().expect("not poisoned").is_empty(),
        "no SRV where there is a port"
    );
}

#[tokio::test]
async fn steps_3_3_to_3_5_look_up_the_delegated_name() {
    let world = Arc::new(World::default());
    for host in ["a.example", "b.example", "c.example"] {
        world.says(
            host,
            200,
            "",
            match host {
                "a.example" => r#"{"m.server": "new.example"}"#,
                "b.example" => r#"{"m.server": "old.example"}"#,
                _ => r#"{"m.server": "none.example"}"#,
            },
        );
    }
    world.has_srv("_matrix-fed._tcp.new.example", "x.example.", 1);
    world.has_srv("_matrix._tcp.new.example", "wrong.example.", 2);
    world.has_srv("_matrix._tcp.old.example", "y.example.", 3);
    // Of the name that delegates, nothing is looked up.
    world.has_srv("_matrix-fed._tcp.c.example", "wrong.example.", 4);
    let discovery = world.discovery();
    for (server, host, target) in [
        ("a.example", "new.example", "x.example:1"),
        ("b.example", "old.example", "y.example:3"),
        ("c.example", "none.example", "none.example:8448"),
    ] {
        let found = route(&discovery, server).await;
        assert_eq!(summary(&found), expected(host, host, target), "{server}");
    }
}

#[tokio::test]
async fn steps_4_to_6_do_without_a_delegation() {
    let world = Arc::new(World::default());
    world.says("a.example", 404, "", "");
    world.says("b.example", 200, "", "<html>");
    world.has_srv("_matrix-fed._tcp.a.example", "x.example.", 1);
    world.has_srv("_matrix._tcp.a.example", "wrong.example.", 2);
    world.has_srv("_matrix._tcp.b.example", "y.example.", 3);
    let discovery = world.discovery();
    for (server, target) in [
        ("a.example", "x.example:1"),
        ("b.example", "y.example:3"),
        ("silent.example", "silent.example:8448"),
    ] {
        let found = route(&discovery, server).await;
        // The certificate is for the name itself, wherever unsigned records point.
        assert_eq!(summary(&found), expected(server, server, target), "{server}");
    }
}

#[tokio::test]
async fn broken_name_servers_leave_the_usual_port_and_a_dot_leaves_nothing() {
    let broken = Arc::new(World {
        srv_broken: true,
        ..World::default()
    });
    let found = route(&broken.discovery(), "a.example").await;
    assert_eq!(list(&found.targets), "a.example:8448");
    assert!(
        found.steps.iter().any(|step| step.contains("SERVFAIL")),
        "{:?}",
        found.steps
    );

    let world = Arc::new(World::default());
    world.has_srv("_matrix-fed._tcp.a.example", ".", 0);
    let refused = world.discovery().route(ruma::server_name!("a.example")).await;
    assert_eq!(refused, Err(DiscoveryError::NoService("a.example".to_owned())));
}

#[tokio::test]
async fn answers_are_asked_for_once_while_they_count() {
    let world = Arc::new(World::default());
    world.says("a.example", 200, "max-age=3600", r#"{"m.server": "b.example:1"}"#);
    let discovery = world.discovery();
    let (one, two) = futures_util::join!(route(&discovery, "a.example"), route(&discovery, "A.EXAMPLE"));
    assert_eq!(list(&one.targets), "b.example:1");
    assert_eq!(list(&two.targets), "b.example:1");
    assert_eq!(world.fetches.load(SeqCst), 1, "at once, and of any case");
    world.says("a.example", 200, "max-age=3600", r#"{"m.server": "c.example:1"}"#);
    world.later(Duration::from_secs(53 * 60));
    assert_eq!(list(&route(&discovery, "a.example").await.targets), "b.example:1");
    world.later(Duration::from_secs(8 * 60));
    assert_eq!(list(&route(&discovery, "a.example").await.targets), "c.example:1");
    assert_eq!(world.fetches.load(SeqCst), 2);
}

#[tokio::test]
async fn failures_are_remembered_longer_each_time_and_move_no_server() {
    let world = Arc::new(World::default());
    world.says("a.example", 200, "max-age=3600", r#"{"m.server": "b.example:1"}"#);
    let discovery = world.discovery();
    route(&discovery, "a.example").await;
    world.is_silent("a.example");
    world.later(Duration::from_secs(3600));
    let targets = async || list(&route(&discovery, "a.example").await.targets);
    assert_eq!(targets().await, "b.example:1", "silence moves no server");
    assert_eq!(targets().await, "b.example:1");
    assert_eq!(world.fetches.load(SeqCst), 2);
    world.later(Duration::from_secs(61));
    targets().await;
    world.later(Duration::from_secs(61));
    targets().await;
    assert_eq!(
        world.fetches.load(SeqCst),
        3,
        "the second failure counts for two minutes"
    );
    world.says("a.example", 503, "", "");
    world.later(Duration::from_secs(5 * 60));
    assert_eq!(targets().await, "b.example:1");
    world.later(Duration::from_secs(48 * 3600));
    assert_eq!(targets().await, "a.example:8448", "but not for ever");
    world.says("a.example", 200, "", r#"{"m.server": "b.example:1"}"#);
    world.later(Duration::from_secs(3600));
    assert_eq!(targets().await, "b.example:1");
    world.says("a.example", 404, "", "");
    world.later(Duration::from_secs(24 * 3600));
    assert_eq!(
        targets().await,
        "a.example:8448",
        "a delegation that is withdrawn is gone at once"
    );
}
