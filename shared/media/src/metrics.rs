//! Names of the metrics of this crate.

/// Bytes of files that have been taken in.
pub const RECEIVED_BYTES_TOTAL: &str = "plexus_media_received_bytes_total";
/// Bytes of files read to be sent.
pub const SENT_BYTES_TOTAL: &str = "plexus_media_sent_bytes_total";
/// Time to make one thumbnail: decode, resize, encode.
pub const THUMBNAIL_SECONDS: &str = "plexus_media_thumbnail_seconds";
