//! From listening to the last answer: signals, and stopping within a bound.

use std::{io, time::Duration};

use futures_util::future::{self, join_all};
use plexus_api::serve::Servers;
use tokio::signal::unix::{SignalKind, signal};

/// How long requests that are being answered may take once the process was told to stop. A little more than actix itself gives them.
const DRAIN_MAX: Duration = Duration::from_secs(8);

/// Serves until the process is told to stop, calls `stopping`, and lets requests that are being answered finish.
///
/// An error is a listener that ended by itself.
pub(crate) async fn serve_until_told(servers: Servers, stopping: impl FnOnce()) -> io::Result<()> {
    let handles = servers.handles();
    let internal = async {
        match servers.internal {
            Some(server) => server.await,
            None => future::pending().await,
        }
    };
    let mut serving = Box::pin(future::try_join(servers.public, internal));
    let told = told_to_stop();
    tokio::select! {
        ended = &mut serving => {
            stopping();
            ended.map(|_| ())
        }
        told = told => {
            stopping();
            tracing::info!(signal = told?, "stopping");
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

/// Returns the name of the signal that tells the process to stop.
async fn told_to_stop() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
