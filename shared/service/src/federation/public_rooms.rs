//! Directories of rooms between servers: ours for others, and theirs for our users.

use plexus_federation::queries::{DirectoryFilter, DirectoryWish};
use ruma::ServerName;
use serde_json::{Map, Value};

use super::told_rooms::clean;
use crate::{
    Ctx, ServiceError,
    rooms::directory::{Search, list_public_rooms},
};

/// Most rooms of one answer that are passed on.
const ROOMS_MAX: usize = 1_000;

/// A page of this server's directory, for another server, as JSON.
pub async fn list_public_rooms_for_server(ctx: &Ctx, search: &Search) -> Result<Value, ServiceError> {
    if !ctx.config.rooms.directory_for_servers {
        return Err(ServiceError::forbidden(
            "this server shows its directory to its own users only",
        ));
    }
    list_public_rooms(ctx, search).await
}

/// A page of another server's directory, as JSON.
pub async fn list_public_rooms_elsewhere(
    ctx: &Ctx,
    server: &ServerName,
    search: Search,
) -> Result<Value, ServiceError> {
    let wish = DirectoryWish {
        limit: search.limit,
        since: search.since,
        filter: DirectoryFilter {
            term: search.term,
            room_types: search.room_types,
        },
        network: search.network,
    };
    let told = ctx.federation.fetch_public_rooms(server, &wish).await?;
    let chunk = told["chunk"].as_array();
    let chunk = chunk.ok_or_else(|| ServiceError::Unavailable(format!("{server} gives no directory")))?;
    let rooms = chunk.iter().take(ROOMS_MAX).filter_map(clean).map(Value::Object);
    let mut answer = Map::new();
    answer.insert("chunk".to_owned(), rooms.collect());
    for (key, value) in [
        ("next_batch", told["next_batch"].as_str().map(Value::from)),
        ("prev_batch", told["prev_batch"].as_str().map(Value::from)),
        (
            "total_room_count_estimate",
            told["total_room_count_estimate"].as_u64().map(Value::from),
        ),
    ] {
        answer.extend(value.map(|value| (key.to_owned(), value)));
    }
    Ok(Value::Object(answer))
}
