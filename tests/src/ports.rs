//! Ports that nobody uses.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

use rand::RngExt;

/// Below what the system gives out by itself, so that no outgoing connection takes a port between our choice and its use.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
const TRIES_MAX: usize = 1000;

/// A port of this machine that is free now. Processes keep theirs over restarts, so it has to be chosen before they start.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    (0..TRIES_MAX)
        .map(|_| rand::rng().random_range(RANGE))
        .find(|port| is_free(port) && given.insert(*port))
        .expect("one port in twelve thousand is free")
}

/// What has been given out: between the choice of a port and its use another scenario may choose.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
