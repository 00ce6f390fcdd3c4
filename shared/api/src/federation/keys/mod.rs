//! Retrieving server keys.

pub(super) mod publish;
pub(super) mod query;
pub(super) mod query_many;

use plexus_federation::keys::DocumentsWanted;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
};

/// What a notary answers.
async fn answer(call: &Call, wanted: DocumentsWanted) -> Result<Reply, Error> {
    let documents = call.ctx().federation.keys().documents(wanted).await;
    let documents = documents.map_err(Error::internal)?;
    Ok(json_reply(format!("{{\"server_keys\":[{}]}}", documents.join(","))))
}
