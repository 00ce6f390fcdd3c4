//! Making connections, always on the one multi-threaded runtime.
//!
//! The HTTP server's threads have runtimes of their own; a connection made on one of them would die with it and be served by it alone.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use deadpool_postgres::{ClientWrapper, Connect};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_postgres::{Client, Config, NoTls};

use super::{super::DbError, transaction::Prepared};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server lets us be silent inside of a transaction. A master that is stopped there would keep `log_head` locked, and no other could
/// take over; so this is less than a lease lasts.
const IDLE_IN_TRANSACTION: &str = "-c idle_in_transaction_session_timeout=2s";
/// When a silent connection is asked whether it still lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// How long sent data may stay unacknowledged before the connection counts as lost.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes connections to one database.
#[derive(Clone, Debug)]
pub(in crate::db) struct Connector {
    config: Arc<Config>,
    runtime: Handle,
}

impl Connector {
    pub(super) fn new(url: &str, runtime: Handle) -> Result<Self, DbError> {
        let mut config: Config = url
            .parse()
            .map_err(|error| DbError::Unsuitable(format!("its url is wrong: {error}")))?;
        let options = match config.get_options() {
            Some(own) => format!("{IDLE_IN_TRANSACTION} {own}"),
            None => IDLE_IN_TRANSACTION.to_owned(),
        };
        config
            .options(options)
            .application_name("plexus")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .tcp_user_timeout(ACKNOWLEDGE_TIMEOUT);
        Ok(Self {
            config: Arc::new(config),
            runtime,
        })
    }

    pub(super) fn settings(&self) -> Config {
        (*self.config).clone()
    }

    async fn client(&self) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let (config, runtime) = (Arc::clone(&self.config), self.runtime.clone());
        let connecting = self.runtime.spawn(async move {
            let (client, connection) = config.connect(NoTls).await?;
            let serving = runtime.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::warn!(%error, "connection to the database lost");
                }
            });
            Ok((client, serving))
        });
        connecting.await.unwrap_or_else(|ended| {
            // Only a panic or the end of the runtime gets here, and neither leaves anything to connect for.
            std::panic::resume_unwind(Box::new(ended.to_string()))
        })
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        _config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>> {
        Box::pin(self.client())
    }
}

/// A connection of one writer, with the statements prepared on it.
#[derive(Debug)]
pub(in crate::db) struct Session {
    pub(super) client: ClientWrapper,
    pub(super) prepared: Prepared,
}

impl Session {
    pub(in crate::db) async fn connect(connector: &Connector) -> Result<Self, DbError> {
        let (client, serving) = connector
            .client()
            .await
            .map_err(|error| DbError::Unavailable(Arc::new(error)))?;
        Ok(Self {
            client: ClientWrapper::new(client, serving),
            prepared: Prepared::new(),
        })
    }

    /// The bare connection, which ends when it is dropped.
    pub(in crate::db) fn into_client(self) -> ClientWrapper {
        self.client
    }
}
