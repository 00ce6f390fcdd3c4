//! At home among other servers: what users see of each other across Plexus, Synapse and themselves.

mod joining;
mod synapse;
