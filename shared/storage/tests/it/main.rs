//! Tests of storage on both engines.

mod database;
mod engines;
mod leases;
