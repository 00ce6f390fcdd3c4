//! Send-to-device messaging.

pub(super) mod send;
