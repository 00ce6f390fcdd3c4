//! The one event type.

/// A placeholder of the skeleton: helper "core" owns this file.
#[derive(Clone, Debug, PartialEq)]
pub struct EventBody;
