//! Tables `directory_users`, `directory_words` and `open_rooms`: users as others find them. Free: derived from the log.

use plexus_core::ids::{RoomNid, UserNid};

use crate::{
    StoreError,
    db::{Database, DbRow, Statement, Value},
    derived,
    sql::{Int as _, opt_text, statement, text},
};

/// What the directory is called in `derived`.
pub const NAME: &str = "user_directory";

/// A user as others find him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Who.
    pub user: UserNid,
    /// How he is called.
    pub display_name: Option<String>,
    /// His picture.
    pub avatar_url: Option<String>,
    /// Whether he is in a room that anybody may join or read.
    pub is_open: bool,
}

/// Lists a user, or changes how he is listed. `words` are those of his names.
pub fn upsert(listed: &Listed, words: &[String]) -> Vec<Statement> {
    let sql = "-- user_directory::upsert
        INSERT INTO directory_users (user_nid, display_name, avatar_url, is_open) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_nid) DO UPDATE SET display_name = excluded.display_name, avatar_url = excluded.avatar_url, is_open = excluded.is_open";
    let names = [listed.display_name.as_deref(), listed.avatar_url.as_deref()];
    // PostgreSQL's TEXT has no NUL.
    let [display_name, avatar_url] = names.map(|name| opt_text(name.map(|name| name.replace('\0', " ")).as_deref()));
    let user = statement(
        sql,
        [listed.user.int(), display_name, avatar_url, Value::Bool(listed.is_open)],
    );
    let mut statements = vec![forget_words(listed.user), user];
    for word in words {
        let sql = "-- user_directory::insert_word
            INSERT INTO directory_words (user_nid, word, is_open) VALUES ($1, $2, $3) ON CONFLICT (user_nid, word) DO NOTHING";
        statements.push(statement(
            sql,
            [listed.user.int(), text(word), Value::Bool(listed.is_open)],
        ));
    }
    statements
}

/// Takes a user out.
pub fn delete(user: UserNid) -> Vec<Statement> {
    let sql = "-- user_directory::delete
        DELETE FROM directory_users WHERE user_nid = $1";
    vec![forget_words(user), statement(sql, [user.int()])]
}

fn forget_words(user: UserNid) -> Statement {
    let sql = "-- user_directory::forget_words
        DELETE FROM directory_words WHERE user_nid = $1";
    statement(sql, [user.int()])
}

/// Anybody may join or read a room from now on.
pub fn open_room(room: RoomNid) -> Statement {
    let sql = "-- user_directory::open_room
        INSERT INTO open_rooms (room_nid) VALUES ($1) ON CONFLICT (room_nid) DO NOTHING";
    statement(sql, [room.int()])
}

/// Not anybody may join or read a room any more.
pub fn close_room(room: RoomNid) -> Statement {
    let sql = "-- user_directory::close_room
        DELETE FROM open_rooms WHERE room_nid = $1";
    statement(sql, [room.int()])
}

/// Empties the directory; it is made anew from all that is there, by the server in the background.
pub async fn rebuild(db: &Database) -> Result<(), StoreError> {
    let forget = [
        "-- user_directory::forget_all_words
            DELETE FROM directory_words",
        "-- user_directory::forget_users
            DELETE FROM directory_users",
        "-- user_directory::forget_rooms
            DELETE FROM open_rooms",
    ];
    let forget = forget.map(|sql| statement(sql, [])).to_vec();
    derived::restart(db, NAME, forget).await
}

/// Those of these rooms that anybody may join or read.
pub async fn open_rooms(db: &Database, rooms: Vec<i64>) -> Result<Vec<RoomNid>, StoreError> {
    let sql = "-- user_directory::open_rooms
        SELECT room_nid FROM open_rooms WHERE room_nid = ANY($1)";
    let rows = db.query(sql, &[Value::Ints(rooms)]).await?;
    rows.iter().map(|row| Ok(RoomNid(row.int(0)?))).collect()
}

/// Users as they are listed; those who are not are left out.
pub async fn listed(db: &Database, users: Vec<i64>) -> Result<Vec<Listed>, StoreError> {
    let sql = "-- user_directory::listed
        SELECT user_nid, display_name, avatar_url, is_open FROM directory_users WHERE user_nid = ANY($1)";
    let rows = db.query(sql, &[Value::Ints(users)]).await?;
    rows.iter().map(read).collect()
}

/// Who has a word that begins so, in the order of the words: those in open rooms, or everybody.
pub async fn with_prefix(db: &Database, prefix: &str, only_open: bool, limit: i64) -> Result<Vec<UserNid>, StoreError> {
    let sql = if only_open {
        "-- user_directory::open_with_prefix
        SELECT user_nid FROM directory_words WHERE is_open AND word >= $1 AND word < $2 ORDER BY word, user_nid LIMIT $3"
    } else {
        "-- user_directory::with_prefix
        SELECT user_nid FROM directory_words WHERE word >= $1 AND word < $2 ORDER BY word, user_nid LIMIT $3"
    };
    users(db, sql, &[text(prefix), text(&end_of(prefix)), limit.int()]).await
}

/// Who of these users has a word that begins so.
pub async fn of_these_with_prefix(db: &Database, these: Vec<i64>, prefix: &str) -> Result<Vec<UserNid>, StoreError> {
    let sql = "-- user_directory::of_these_with_prefix
        SELECT user_nid FROM directory_words WHERE user_nid = ANY($1) AND word >= $2 AND word < $3";
    users(db, sql, &[Value::Ints(these), text(prefix), text(&end_of(prefix))]).await
}

/// After all words that begin so: words are letters and digits, and none of them is the last character there is.
fn end_of(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

async fn users(db: &Database, sql: &'static str, params: &[Value]) -> Result<Vec<UserNid>, StoreError> {
    let rows = db.query(sql, params).await?;
    rows.iter().map(|row| Ok(UserNid(row.int(0)?))).collect()
}

fn read(row: &DbRow) -> Result<Listed, StoreError> {
    Ok(Listed {
        user: UserNid(row.int(0)?),
        display_name: row.opt_text(1)?.map(str::to_owned),
        avatar_url: row.opt_text(2)?.map(str::to_owned),
        is_open: row.bool(3)?,
    })
}
