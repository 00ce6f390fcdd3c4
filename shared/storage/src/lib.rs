//! What the database holds, with caches in front: all SQL, and nothing but SQL and caches.

pub mod db;
