//! A small HTTP client.

use std::{sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::replicas::Replicas;

/// Longer than any long poll of a test.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Requests to one address, as one user or as nobody.
#[derive(Clone, Debug)]
pub struct Http {
    url: String,
    headers: Vec<(String, String)>,
    /// The processes behind it, if there are many, and whether requests wait for them.
    replicas: Option<(Replicas, Waits)>,
}

/// Whether a request waits until what was written before is known to every process it could come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// It does: the scenario is not about that moment.
    Yes,
    /// It does not: the scenario has chosen the process.
    No,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Method and target of the request, for messages.
    pub request: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

/// The server could not be reached, or went away before it had answered.
#[derive(Clone, Debug)]
pub struct NoAnswer(pub String);

impl Http {
    /// Requests without an access token.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            headers: Vec::new(),
            replicas: None,
        }
    }

    /// Requests to one of many processes.
    #[must_use]
    pub(crate) fn among(self, replicas: Replicas, waits: Waits) -> Self {
        Self {
            replicas: Some((replicas, waits)),
            ..self
        }
    }

    /// Waits until every process knows what any of them knows.
    pub async fn settled(&self) {
        if let Some((replicas, _)) = &self.replicas {
            replicas.settle().await;
        }
    }

    /// The same address with an access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        self.with_header(header::AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// The same with a header, instead of one of that name.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.retain(|(other, _)| other != name);
        headers.push((name.to_owned(), value.to_owned()));
        Self {
            headers,
            ..self.clone()
        }
    }

    /// The same user at another address.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// The value of a header that every request gets.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }

    /// Where requests go.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request with any body.
    pub async fn try_send(&self, method: Method, target: &str, body: impl Into<Bytes>) -> Result<Answer, NoAnswer> {
        let request = format!("{method} {}{target}", self.url);
        let is_read = method == Method::GET;
        // Where a message goes, the master knows.
        if let Some((replicas, Waits::Yes)) = &self.replicas
            && !target.contains("/send/")
        {
            replicas.settle_written().await;
        }
        let mut builder = Request::builder().method(method).uri(format!("{}{target}", self.url));
        if !self.headers.iter().any(|(name, _)| name == "content-type") {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        let sent = builder.body(Full::new(body.into())).expect("tests make valid requests");
        let no_answer = |why: &dyn std::fmt::Display| NoAnswer(format!("{request}: {why}"));
        let exchange = async {
            let response = client().request(sent).await.map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                no_answer(&format!("{error} ({})", cause.unwrap_or_default()))
            })?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| no_answer(&error))?;
            Ok((head, body.to_bytes()))
        };
        let (head, body) = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|_| no_answer(&"no answer in time"))??;
        if let Some((replicas, _)) = self.replicas.as_ref().filter(|_| !is_read) {
            replicas.wrote();
        }
        Ok(Answer {
            request,
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    /// Sends a request with any body to a server that must be there.
    pub async fn send(&self, method: Method, target: &str, body: impl Into<Bytes>) -> Answer {
        match self.try_send(method, target, body).await {
            Ok(answer) => answer,
            Err(NoAnswer(why)) => panic!("{why}"),
        }
    }

    /// GET.
    pub async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, Bytes::new()).await
    }

    /// POST with JSON.
    pub async fn post(&self, target: &str, body: &Value) -> Answer {
        self.send(Method::POST, target, body.to_string()).await
    }

    /// PUT with JSON.
    pub async fn put(&self, target: &str, body: &Value) -> Answer {
        self.send(Method::PUT, target, body.to_string()).await
    }
}

impl Answer {
    /// The body of a success; panics with the error otherwise.
    pub fn ok(&self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{} answered {}: {}",
            self.request,
            self.status,
            self.text()
        );
        self.json()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} answered no JSON ({error}): {}", self.request, self.text()))
    }

    /// Panics unless this is the given error, with a sentence in it.
    pub fn expect_error(&self, status: u16, errcode: &str) {
        let wanted = format!(
            "{} should answer {status} {errcode}, not {}: {}",
            self.request,
            self.status,
            self.text()
        );
        assert_eq!(self.status, status, "{wanted}");
        let body = self.json();
        assert_eq!(body["errcode"], errcode, "{wanted}");
        assert!(
            body["error"].as_str().is_some_and(|error| !error.is_empty()),
            "{wanted}"
        );
    }

    /// Whether a client should send the same request again: the server was not there, or says that it is not ready.
    pub fn is_retryable(&self) -> bool {
        matches!(self.status, 429 | 502 | 503 | 504)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One pool of connections: every test runs on the one runtime of [`crate::run`].
fn client() -> &'static Client<HttpConnector, Full<Bytes>> {
    static CLIENT: OnceLock<Client<HttpConnector, Full<Bytes>>> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Client::builder(TokioExecutor::new()).build(connector)
    })
}
