//! Device management: the lists of the devices of this server's users.

pub(super) mod devices;
