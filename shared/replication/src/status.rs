//! Errors of the master on their way to the client.
//!
//! A Matrix error that the master has decided on travels in the details of a gRPC status and comes out byte for byte as it went in.

use bytes::Bytes;
use plexus_proto as proto;
use prost::Message;
use tonic::{Code, Status};

/// Longest error text that travels; a status is sent in headers, whose size HTTP/2 peers bound.
pub(crate) const ERROR_BYTES_MAX: usize = 4096;

/// Why a Command, or a question to the master, has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasterError {
    /// The master refused, and this is exactly what the client is told.
    #[error("{status} {errcode}: {error}")]
    Matrix {
        /// HTTP status.
        status: u16,
        /// Matrix errcode.
        errcode: String,
        /// Text for people.
        error: String,
    },
    /// Nobody leads, or the leader cannot be reached. Worth trying again.
    #[error("the master is away")]
    Unavailable,
    /// The time is over. The Command may still be carried out; with the same id it can be sent again.
    #[error("the master did not answer in time")]
    Deadline,
}

/// A Matrix error as a gRPC status, for the master's handlers.
pub fn matrix_status(status: u16, errcode: &str, error: &str) -> Status {
    let error = cut(error, ERROR_BYTES_MAX);
    let details = proto::MatrixError {
        status: status.into(),
        errcode: errcode.into(),
        error: error.into(),
    };
    Status::with_details(Code::FailedPrecondition, errcode, Bytes::from(details.encode_to_vec()))
}

/// As many whole characters as fit.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What a status means to whoever called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Decided: trying again changes nothing.
    Final(MasterError),
    /// The master may not have heard of it, or has gone: the same id can be sent again.
    Retry,
}

/// Reads a status that came from the master or from the way to it.
pub(crate) fn refusal(status: &Status) -> Refusal {
    if let Some(error) = matrix_error(status) {
        return Refusal::Final(error);
    }
    // Only a status that was made on this side has a source: the connection broke, whatever code tonic gives that.
    let broken = std::error::Error::source(status).is_some();
    let away = matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded | Code::ResourceExhausted
    );
    if broken || away {
        return Refusal::Retry;
    }
    tracing::error!(grpc.code = ?status.code(), grpc.message = status.message(), "the master failed");
    Refusal::Final(MasterError::Matrix {
        status: 500,
        errcode: "M_UNKNOWN".into(),
        error: "Internal server error".into(),
    })
}

fn matrix_error(status: &Status) -> Option<MasterError> {
    if status.details().is_empty() {
        return None;
    }
    let details = proto::MatrixError::decode(status.details()).ok()?;
    let status = u16::try_from(details.status).ok()?;
    Some(MasterError::Matrix {
        status,
        errcode: details.errcode,
        error: details.error,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_matrix_error_comes_out_as_it_went_in(status in 400_u16..600, errcode in "M_[A-Z_]{1,20}", error in "\\PC{0,200}") {
            // Through the headers a gRPC response without a body is made of.
            let response = matrix_status(status, &errcode, &error).into_http::<tonic::body::Body>();
            let read = Status::from_header_map(response.headers()).expect("a status");
            prop_assert_eq!(refusal(&read), Refusal::Final(MasterError::Matrix { status, errcode, error }));
        }
    }

    #[test]
    fn too_long_a_text_is_cut_between_characters() {
        let error = "é".repeat(ERROR_BYTES_MAX);
        let Refusal::Final(MasterError::Matrix { error: cut, .. }) = refusal(&matrix_status(400, "M_BAD_JSON", &error))
        else {
            panic!("not a Matrix error");
        };
        assert_eq!(cut.len(), ERROR_BYTES_MAX);
        assert!(error.starts_with(&cut));
    }

    #[test]
    fn only_what_may_not_have_happened_is_tried_again() {
        for status in [
            Status::unavailable("x"),
            Status::cancelled("x"),
            Status::unknown("x"),
            Status::deadline_exceeded("x"),
        ] {
            assert_eq!(refusal(&status), Refusal::Retry, "{status}");
        }
        for status in [
            Status::internal("x"),
            Status::invalid_argument("x"),
            Status::unauthenticated("x"),
        ] {
            assert!(
                matches!(
                    refusal(&status),
                    Refusal::Final(MasterError::Matrix { status: 500, .. })
                ),
                "{status}"
            );
        }
        let broken = Status::from_error(Box::new(std::io::Error::other("connection reset")));
        assert_eq!(refusal(&broken), Refusal::Retry);
    }
}
