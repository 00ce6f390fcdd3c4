//! At home among other servers: what users see of each other across Plexus, Synapse and themselves.

mod addresses;
mod admission;
mod inbound;
mod inviting;
mod joining;
mod keys;
mod kills;
mod lookups;
mod media;
mod proposals;
mod resident;
mod sending;
mod synapse;
mod visited;
