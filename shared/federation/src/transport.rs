//! Requests to servers by their names: found, connected to, sent. Unsigned as such.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{StatusCode, Uri, header};
use ruma::ServerName;

use crate::{
    Now, Spawn,
    discovery::{Discovery, DiscoveryError, FetchWellKnown, LookUpSrv, Route, system_srv, well_known},
    outbound::{AddressRules, Answer, Client, Limits, Opened, OutboundError, ToServer, Trust},
};

/// Most redirects of a `.well-known` file that are followed.
const REDIRECTS_MAX: usize = 5;
/// How long fetching a `.well-known` file may take, each hop.
const WELL_KNOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// It cannot be found.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// There is no connection, or no answer.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
}

/// The way to other servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Transport {
    client: Client,
    discovery: Discovery,
}

impl Transport {
    /// By these rules, with the name servers of this machine. The certificates to trust are read once.
    pub fn system(addresses: &AddressRules, trust: &Trust, now: Now, spawn: Spawn) -> Result<Self, OutboundError> {
        Self::new(addresses, trust, system_srv(), now, spawn)
    }

    fn new(
        addresses: &AddressRules,
        trust: &Trust,
        srv: LookUpSrv,
        now: Now,
        spawn: Spawn,
    ) -> Result<Self, OutboundError> {
        let client = Client::federation(addresses, trust)?;
        let discovery = Discovery::new(fetch_well_known(client.clone()), srv, now, spawn);
        Ok(Self { client, discovery })
    }

    /// Where servers are.
    pub fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// Asks a server and reads the answer, whatever it is.
    pub async fn exchange(
        &self,
        server: &ServerName,
        request: &ToServer<'_>,
        limits: Limits,
    ) -> Result<Answer, TransportError> {
        let exchange = async {
            let route = self.discovery.route(server).await?;
            Ok(self.client.to_server(&route, request, limits).await?)
        };
        // Finding the server counts as well.
        tokio::time::timeout(limits.timeout, exchange)
            .await
            .unwrap_or(Err(OutboundError::TimedOut.into()))
    }

    /// Asks a server and gives its answer as it comes. How long that takes is the caller's to bound.
    pub(crate) async fn open(
        &self,
        server: &ServerName,
        request: &ToServer<'_>,
        bytes_max: usize,
    ) -> Result<Opened, TransportError> {
        let route = self.discovery.route(server).await?;
        Ok(self.client.open_server(&route, request, bytes_max).await?)
    }

    /// Begins to get something from the address that an answer names, over HTTPS only.
    pub(crate) async fn open_web(&self, address: &str, bytes_max: usize) -> Result<Opened, TransportError> {
        let refused = || OutboundError::Address("a redirect to something else than HTTPS".to_owned());
        let uri: Uri = address.parse().map_err(|_| refused())?;
        let has_user = uri.authority().is_none_or(|authority| authority.as_str().contains('@'));
        if uri.scheme_str() != Some("https") || has_user {
            return Err(refused().into());
        }
        Ok(self.client.open(&uri, bytes_max).await?)
    }

    /// Sends a request to a place of the web, and reads the answer. The place is of HTTPS, as whoever calls this sees to.
    pub(crate) async fn ask_web(
        &self,
        request: http::request::Builder,
        body: Bytes,
        limits: Limits,
    ) -> Result<Answer, OutboundError> {
        self.client.exchange(request, body, limits).await
    }

    /// Asks at one place, whoever is there.
    pub(crate) async fn exchange_at(
        &self,
        route: &Route,
        request: &ToServer<'_>,
        limits: Limits,
    ) -> Result<Answer, OutboundError> {
        self.client.to_server(route, request, limits).await
    }
}

/// Fetches `.well-known` files over HTTPS, also where they redirect to.
fn fetch_well_known(client: Client) -> FetchWellKnown {
    Arc::new(move |host| {
        let client = client.clone();
        async move {
            let limits = Limits {
                timeout: WELL_KNOWN_TIMEOUT,
                answer_bytes_max: well_known::BYTES_MAX,
            };
            let mut uri = format!("https://{host}{}", well_known::PATH);
            for _ in 0..=REDIRECTS_MAX {
                let parsed: Uri = uri.parse().map_err(|_| OutboundError::Address(uri.clone()))?;
                let answer = client.get(&parsed, limits).await?;
                match redirect(&parsed, &answer) {
                    Some(next) => uri = next?,
                    None => return Ok(answer),
                }
            }
            Err(OutboundError::Address(format!("{uri}: too many redirects")))
        }
        .boxed()
    })
}

/// Where an answer redirects to, if it does: to HTTPS only.
fn redirect(from: &Uri, answer: &Answer) -> Option<Result<String, OutboundError>> {
    let is_redirect = matches!(
        answer.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = answer.headers.get(header::LOCATION).filter(|_| is_redirect)?;
    let refused = || OutboundError::Address("a redirect to something else than HTTPS".to_owned());
    let Ok(location) = location.to_str() else {
        return Some(Err(refused()));
    };
    let absolute = match (location.strip_prefix('/'), from.authority()) {
        (Some(rest), _) if rest.starts_with('/') => format!("https:{location}"),
        (Some(_), Some(authority)) => format!("https://{authority}{location}"),
        (_, _) => location.to_owned(),
    };
    let parsed: Option<Uri> = absolute.parse().ok();
    let is_fine = parsed.is_some_and(|uri| {
        let authority = uri.authority().map_or("@", http::uri::Authority::as_str);
        uri.scheme_str() == Some("https") && !authority.contains('@')
    });
    Some(if is_fine { Ok(absolute) } else { Err(refused()) })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use plexus_testkit::{Authority, Remote};

    use super::*;

    fn redirected(status: u16, location: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("location", location.parse().expect("a value"));
        let answer = Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: Bytes::new(),
        };
        let from = "https://a.example/.well-known/matrix/server"
            .parse()
            .expect("an address");
        redirect(&from, &answer).map(|to| to.unwrap_or_else(|error| error.to_string()))
    }

    #[test]
    fn redirects_are_followed_to_https_only() {
        let refused = Some("not an http or https address: a redirect to something else than HTTPS");
        for (status, location, to) in [
            (301, "https://b.example/x", Some("https://b.example/x")),
            (302, "/x?y", Some("https://a.example/x?y")),
            (308, "//b.example/x", Some("https://b.example/x")),
            (307, "http://b.example/x", refused),
            (303, "https://10.0.0.1:22@b.example/", refused),
            (302, "relative", refused),
            (302, "file:///etc/passwd", refused),
            (200, "https://b.example/x", None),
            (304, "https://b.example/x", None),
        ] {
            assert_eq!(redirected(status, location).as_deref(), to, "{status} {location}");
        }
    }

    #[tokio::test]
    async fn well_known_files_come_over_https_and_are_small() {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
        let remote = Remote::start(&authority, &["127.0.0.1"]).await;
        let mut addresses = AddressRules::default();
        addresses.allowed.push("127.0.0.0/8".parse().expect("a range"));
        let trust = Trust {
            custom_ca_files: vec![authority.write(folder.path())],
            unverified: Vec::new(),
        };
        let fetch = fetch_well_known(Client::federation(&addresses, &trust).expect("the file is right"));
        let body = "{\"m.server\":\"a.example\"}".to_owned();
        remote.answers_at(well_known::PATH, body.clone());
        let answer = fetch(remote.name()).await.expect("answered");
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, body.as_bytes()));
        remote.answers_at(well_known::PATH, " ".repeat(well_known::BYTES_MAX + 1));
        let refused = fetch(remote.name()).await;
        assert!(matches!(refused, Err(OutboundError::TooLong)), "{refused:?}");
        let untrusting = Client::federation(&addresses, &Trust::default()).expect("the system has certificates");
        assert!(fetch_well_known(untrusting)(remote.name()).await.is_err());
    }
}
