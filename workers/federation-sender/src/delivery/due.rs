//! Destinations that lag, whose time to be tried again has come: or sooner, because they have asked this server something and so are back.

use std::{sync::Arc, time::Duration};

use plexus_service::ServiceError;
use ruma::OwnedServerName;
use tokio::time::sleep;

use super::sender::Sender;

/// How often the database is asked. Whichever process a destination speaks to, the row of its failures is gone, and that is seen here.
const EVERY: Duration = Duration::from_secs(2);
/// Destinations on one page.
const PAGE: i64 = 1_000;

/// Wakes those whose time has come.
pub(super) async fn watch(sender: &Arc<Sender>) {
    loop {
        sleep(EVERY).await;
        if let Err(error) = look(sender).await {
            tracing::warn!(%error, "servers that are to be tried again cannot be read");
        }
    }
}

async fn look(sender: &Arc<Sender>) -> Result<(), ServiceError> {
    let ctx = sender.ctx();
    let mut after: Option<OwnedServerName> = None;
    loop {
        let now_ms = ctx.clock.now_ms();
        let page = ctx.store.due_deliveries(after.as_deref(), now_ms, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        for server in &page {
            if sender.board().due(server) {
                // What this process remembers of its failures may be older than what the database says.
                ctx.federation.destinations().look_again(server);
                sender.begin(server);
            }
        }
        after = Some(last.clone());
    }
}
