//! The sockets of a process, all bound before anything else starts, so that a port in use is the first thing that is said.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use crate::{config::Config, error::RunError};

/// The sockets of a process.
#[derive(Debug)]
pub(crate) struct Bound {
    /// For clients.
    pub(crate) public: TcpListener,
    /// The same over TLS, if it is spoken here.
    pub(crate) tls: Option<TcpListener>,
    /// For forwarded requests and the operator's pages.
    pub(crate) internal: TcpListener,
    /// For Commands from other processes, in a process that can be master beside others.
    pub(crate) grpc: Option<TcpListener>,
    /// For Prometheus, if it has a listener of its own.
    pub(crate) metrics: Option<TcpListener>,
}

impl Bound {
    /// Binds what the configuration names.
    pub(crate) fn bind(config: &Config, with_grpc: bool) -> Result<Self, RunError> {
        let grpc = with_grpc
            .then(|| bind("internal.grpc_address", config.internal.grpc_address))
            .transpose()?;
        let metrics = config
            .metrics_address()?
            .map(|address| bind("metrics.address", address))
            .transpose()?;
        let tls = config
            .tls_address()?
            .map(|address| bind("listen.tls_address", address))
            .transpose()?;
        Ok(Self {
            tls,
            public: bind("listen.address", config.listen.address)?,
            internal: bind("internal.address", config.internal.address)?,
            grpc,
            metrics,
        })
    }
}

/// How other processes reach a socket of this one: the advertised host, or the address itself.
pub(crate) fn advertised(config: &Config, listener: &TcpListener) -> io::Result<String> {
    let address = listener.local_addr()?;
    let host = &config.internal.advertise_host;
    Ok(if host.is_empty() {
        address.to_string()
    } else {
        format!("{host}:{}", address.port())
    })
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| RunError::Listen { key, address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_key() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut config = Config::default();
        config.listen.address = taken.local_addr().expect("bound");
        let error = Bound::bind(&config, false).expect_err("in use").to_string();
        assert!(
            error.starts_with(&format!("listen.address: cannot listen on {}", config.listen.address)),
            "{error}"
        );
        assert!(!error.contains('\n'));
    }

    #[test]
    fn an_advertised_host_keeps_the_real_port() {
        let mut config = Config::default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(
            advertised(&config, &listener).expect("bound"),
            format!("127.0.0.1:{port}")
        );
        config.internal.advertise_host = "sync1".to_owned();
        assert_eq!(advertised(&config, &listener).expect("bound"), format!("sync1:{port}"));
    }
}
