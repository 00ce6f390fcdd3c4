//! Frames as bytes: what the log stores and what transports carry.
//!
//! Both are a `proto::Frame`; the published one has event bodies. Reading is strict about rows, because a row that is not understood is a cache that is
//! not corrected, and forgiving about bodies, because a body that is not understood can be loaded.

use std::sync::Arc;

use bytes::Bytes;
use plexus_core::{
    position::{Sequence, WriterId},
    row::Frame,
};
use plexus_proto as proto;
use prost::Message;

mod body;
mod rows;
#[cfg(test)]
mod tests;

/// Largest event JSON that travels with its row. Larger ones are rare, and whoever needs one loads it.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Largest frame that is published.
pub const PUBLISHED_BYTES_MAX: usize = 256 * 1024;

/// Why bytes are no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not a protobuf message.
    #[error("the frame cannot be read")]
    Corrupt(#[from] prost::DecodeError),
    /// A row of a kind, or with a code, that this release does not know.
    #[error("row {sequence} of writer {writer} is of a kind this release does not know")]
    UnknownRow {
        /// Whose chain.
        writer: u16,
        /// Which row.
        sequence: Sequence,
    },
    /// A row that says what no writer says.
    #[error("the frame is not valid: {0}")]
    Invalid(&'static str),
}

/// The frame as the log stores it: without event bodies, which the tables have.
pub fn encode_stored(frame: &Frame) -> Bytes {
    to_proto(frame, false).encode_to_vec().into()
}

/// The frame as it is published: with the event bodies that fit, without any if the whole does not, and only as a heartbeat of its position if even
/// that is too large (readers then see a gap and fill it).
pub fn encode_published(frame: &Frame) -> Bytes {
    published(frame).encode_to_vec().into()
}

/// The message behind [`encode_published`].
pub fn published(frame: &Frame) -> proto::Frame {
    for bodies in [true, false] {
        let message = to_proto(frame, bodies);
        if message.encoded_len() <= PUBLISHED_BYTES_MAX {
            return message;
        }
    }
    to_proto(&heartbeat_of(frame), false)
}

/// Reads a stored or published frame.
pub fn decode(bytes: Bytes) -> Result<Arc<Frame>, FrameError> {
    from_proto(proto::Frame::decode(bytes)?).map(Arc::new)
}

/// Reads the message of a stored or published frame.
pub fn from_proto(message: proto::Frame) -> Result<Frame, FrameError> {
    let writer = u16::try_from(message.writer).map_err(|_| FrameError::Invalid("writer"))?;
    let count = message.position.checked_sub(message.previous);
    if message.previous < 0 || count.and_then(|count| usize::try_from(count).ok()) != Some(message.rows.len()) {
        return Err(FrameError::Invalid("the number of rows is not the distance it moves"));
    }
    let rows = (message.previous + 1..)
        .zip(message.rows)
        .map(|(sequence, row)| rows::from_proto(row).map_err(|error| error.at(writer, sequence)))
        .collect::<Result<_, _>>()?;
    Ok(Frame {
        writer: WriterId(writer),
        epoch: message.epoch,
        previous: message.previous,
        position: message.position,
        rows,
    })
}

/// A frame that moves nothing and says where `frame` led.
pub(crate) fn heartbeat_of(frame: &Frame) -> Frame {
    Frame {
        previous: frame.position,
        rows: Vec::new(),
        ..*frame
    }
}

fn to_proto(frame: &Frame, bodies: bool) -> proto::Frame {
    proto::Frame {
        writer: frame.writer.0.into(),
        epoch: frame.epoch,
        previous: frame.previous,
        position: frame.position,
        rows: frame.rows.iter().map(|row| rows::to_proto(row, bodies)).collect(),
    }
}
