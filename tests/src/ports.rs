//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener};

use rand::RngExt;

/// Below what the system gives out by itself, so that no outgoing connection takes a port between our choice and its use.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
const TRIES_MAX: usize = 1000;

/// A port of this machine that is free now. Processes keep theirs over restarts, so it has to be chosen before they start.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (0..TRIES_MAX)
        .map(|_| rand::rng().random_range(RANGE))
        .find(is_free)
        .expect("one port in twelve thousand is free")
}
