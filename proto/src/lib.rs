//! The messages of `proto/plexus.proto`, with the client and the service tonic makes of them.
#![expect(clippy::all, clippy::pedantic, reason = "generated")]

tonic::include_proto!("plexus.v1");
