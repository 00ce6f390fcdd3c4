//! Clusters of real processes, and clients for them.
//!
//! A scenario is written once and run on each [`Topology`]. It knows Plexus only as a user or an operator does: the built binary, its configuration,
//! HTTP, signals; and, where another server has its say, as a worker does: Commands to the master. Nothing here waits for a time to pass; [`eventually`] waits for a condition.

mod authority;
mod binary;
mod cluster;
mod compose;
mod deployment;
mod eventually;
mod http;
mod identity;
mod nginx;
mod peer;
mod ports;
mod process;
mod programs;
mod redis;
mod redis_proxy;
mod remote;
mod replicas;
mod shared;
mod solo;
mod synapse;
mod tally;
mod timeline;
mod user;
mod watchdog;
mod worker;

pub use self::{
    authority::authority,
    binary::{plexus, repository, run_plexus},
    cluster::{Cluster, Topology},
    compose::{Compose, Service},
    deployment::{Deployment, variable_names},
    eventually::{PATIENCE, eventually},
    http::{Answer, Http, NoAnswer},
    identity::{Identity, pending, tell},
    peer::{Peer, pdus},
    ports::free_port,
    process::{Process, Program},
    redis_proxy::{Mischief, RedisProxy},
    remote::Remote,
    shared::{Shared, run},
    solo::Solo,
    synapse::Synapse,
    tally::Tally,
    timeline::Timeline,
    user::{PASSWORD, User, encode, fresh_name},
    worker::Worker,
};
