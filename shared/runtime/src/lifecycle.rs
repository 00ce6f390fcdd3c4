//! From listening to the last answer: signals, and stopping within a bound.

use std::{io, sync::Arc, time::Duration};

use futures_util::future::{self, join_all};
use plexus_api::serve::Servers;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::tls::Certificate;

/// How long requests that are being answered may take once the process was told to stop. A little more than actix itself gives them.
const DRAIN_MAX: Duration = Duration::from_secs(8);

/// The signals that tell a process to stop. From when this exists, they no longer kill it.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes the signals over.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns the name of the signal once one has come.
    pub(crate) async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Reads the certificate again whenever SIGHUP comes, which from now on does not end the process.
pub(crate) fn reload_on_hangup(certificate: Option<Arc<Certificate>>) -> io::Result<impl Future<Output = ()> + Send> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            let Some(certificate) = &certificate else {
                tracing::info!("SIGHUP: there is nothing to read again");
                continue;
            };
            match certificate.reload() {
                Ok(()) => tracing::info!("SIGHUP: the certificate of the TLS listener was read again"),
                Err(error) => tracing::error!(error, "SIGHUP: the certificate stays what it is"),
            }
        }
    })
}

/// Serves until the process is told to stop, calls `stopping`, and lets requests that are being answered finish.
///
/// An error is a listener that ended by itself.
pub(crate) async fn serve_until_told(
    servers: Servers,
    mut signals: StopSignals,
    stopping: impl FnOnce(),
) -> io::Result<()> {
    let handles = servers.handles();
    let internal = async {
        match servers.internal {
            Some(server) => server.await,
            None => future::pending().await,
        }
    };
    let mut serving = Box::pin(future::try_join(servers.public, internal));
    tokio::select! {
        ended = &mut serving => {
            stopping();
            ended.map(|_| ())
        }
        signal = signals.received() => {
            stopping();
            tracing::info!(signal, "stopping");
            let stops = join_all(handles.iter().map(|handle| handle.stop(true)));
            // Stopping is done by the servers, so both have to be driven.
            let drained = tokio::time::timeout(DRAIN_MAX, future::join(stops, serving)).await;
            if drained.is_err() {
                tracing::warn!("some requests were cut off");
            }
            Ok(())
        }
    }
}
