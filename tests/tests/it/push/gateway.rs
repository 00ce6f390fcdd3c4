//! A push gateway that remembers what it was told.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use plexus_tests::{PATIENCE, eventually};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Most bytes of a request, for a test that must not run away.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// A gateway on this machine. It ends when it is dropped.
pub(super) struct Gateway {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct State {
    /// The notifications it has taken.
    told: Vec<Value>,
    connections: usize,
    /// How many requests it answers with an error from now on.
    to_refuse: usize,
    refused: usize,
    /// The keys it does not know any more.
    rejects: BTreeSet<String>,
}

impl Gateway {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::<Mutex<State>>::default();
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            _serving: serving,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/_matrix/push/v1/notify", self.address)
    }

    /// Answers the next requests with an error.
    pub(super) fn refuse(&self, requests: usize) {
        lock(&self.state).to_refuse = requests;
    }

    pub(super) fn reject(&self, pushkey: &str) {
        lock(&self.state).rejects.insert(pushkey.to_owned());
    }

    pub(super) fn refused(&self) -> usize {
        lock(&self.state).refused
    }

    pub(super) fn connections(&self) -> usize {
        lock(&self.state).connections
    }

    pub(super) async fn until_refused(&self, times: usize) {
        eventually(PATIENCE, "a notification to be refused", async || {
            let refused = self.refused();
            (refused >= times)
                .then_some(())
                .ok_or_else(|| format!("{refused} were"))
        })
        .await;
    }

    /// Waits until it was told of an event; all that it was told so far comes back.
    pub(super) async fn until_told(&self, event: &str) -> Vec<Value> {
        eventually(PATIENCE, &format!("the gateway to be told of {event}"), async || {
            let told = lock(&self.state).told.clone();
            if told.iter().any(|told| told["event_id"] == event) {
                Ok(told)
            } else {
                Err(format!("{told:?}"))
            }
        })
        .await
    }

    /// Waits until it was told of the last of these events, and sees that it was told of all of them, in this order, once each, and of nothing else.
    pub(super) async fn until_told_just(&self, events: &[&str]) -> Vec<Value> {
        let told = self.until_told(events.last().expect("some event")).await;
        let ids: Vec<&str> = told.iter().filter_map(|told| told["event_id"].as_str()).collect();
        assert_eq!(ids, events, "{told:#?}");
        told
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        lock(&state).connections += 1;
        connections.spawn(serve(stream, Arc::clone(&state)));
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some((head, body)) = read(&mut stream).await else {
        return;
    };
    let (status, answer) = answer(&head, &body, &mut lock(&state));
    let answer = answer.to_string();
    let reply = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    );
    // Who is gone gets no answer.
    let _ = stream.write_all(reply.as_bytes()).await;
}

fn answer(head: &str, body: &[u8], state: &mut State) -> (u16, Value) {
    if !head.starts_with("POST /_matrix/push/v1/notify HTTP/1.1\r\n") {
        return (404, json!({}));
    }
    if state.to_refuse > 0 {
        state.to_refuse -= 1;
        state.refused += 1;
        return (500, json!({}));
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else {
        return (400, json!({}));
    };
    state.told.push(body["notification"].take());
    (200, json!({ "rejected": state.rejects }))
}

/// A request's head and body.
async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&bytes[..head + 2]).into_owned();
            let length = text
                .to_ascii_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())?;
            if bytes.len() >= head + 4 + length {
                return Some((text, bytes[head + 4..head + 4 + length].to_vec()));
            }
        }
        if bytes.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
