//! `/pushrules/`: all rules, those of a kind, one of them, and what can be set of one.
//!
//! The paths are our own: ruma's types take fewer rule ids than clients have always used, and clients expect 400 for scopes, kinds and attributes that do not
//! exist, not 404.

mod read;
mod write;

use plexus_core::push_rules::Kind;

pub(in crate::client) use self::{
    read::{ALL, ATTRIBUTE, OF_KIND, OF_SCOPE, ONE},
    write::{DELETE, INCOMPLETE, PUT, SET_ATTRIBUTE},
};
use crate::{call::Call, error::Error};

/// A variable segment of the path.
fn segment(call: &Call, index: usize) -> &str {
    call.path.get(index).map(String::as_str).unwrap_or_default()
}

/// The one scope there is.
fn check_scope(call: &Call) -> Result<(), Error> {
    match segment(call, 0) {
        "global" => Ok(()),
        other => Err(Error::invalid_param(format!("there is no scope `{other}`"))),
    }
}

/// The kind that the path names, in the one scope there is.
fn kind(call: &Call) -> Result<Kind, Error> {
    check_scope(call)?;
    let word = segment(call, 1);
    Kind::parse(word).ok_or_else(|| Error::invalid_param(format!("there is no kind `{word}` of push rules")))
}
