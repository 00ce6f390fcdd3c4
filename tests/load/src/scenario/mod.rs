//! One module per scenario: each makes what it needs, opens a window, measures, and returns its line.

mod account;
mod crowd;
mod fanout;
mod incremental_sync;
mod initial_sync;
mod join;
mod members;
mod messages;
mod send;

use clap::ValueEnum;

use crate::{http::LoadError, report::Line, world::World};

/// Concurrent readers in the read scenarios whose answers are large.
const READERS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Scenario {
    Register,
    Login,
    Whoami,
    Create,
    Join,
    SendManyRooms,
    SendOneRoom,
    SendOneSender,
    #[value(name = "fanout_100")]
    Fanout100,
    #[value(name = "fanout_5000")]
    Fanout5000,
    FanoutMax,
    InitialSync,
    IncrementalSync,
    Messages,
    Members,
    State,
    FederationLatency,
    FederationMax,
    FederationJoin,
}

impl Scenario {
    /// Whether it is between two servers.
    pub(crate) fn needs_peer(self) -> bool {
        matches!(
            self,
            Self::FederationLatency | Self::FederationMax | Self::FederationJoin
        )
    }
}

/// Measures one scenario.
pub(crate) async fn run(scenario: Scenario, world: &mut World) -> Result<Line, LoadError> {
    match scenario {
        Scenario::Register => account::register(world).await,
        Scenario::Login => account::login(world).await,
        Scenario::Whoami => account::whoami(world).await,
        Scenario::Create => join::create(world).await,
        Scenario::Join => join::join(world).await,
        Scenario::SendManyRooms => send::many_rooms(world).await,
        Scenario::SendOneRoom => send::one_room(world).await,
        Scenario::SendOneSender => send::one_sender(world).await,
        Scenario::Fanout100 => fanout::run(world, fanout::SLOW).await,
        Scenario::Fanout5000 => fanout::run(world, fanout::BUSY).await,
        Scenario::FanoutMax => fanout::run(world, fanout::FULL).await,
        Scenario::InitialSync => initial_sync::run(world).await,
        Scenario::IncrementalSync => incremental_sync::run(world).await,
        Scenario::Messages => messages::run(world).await,
        Scenario::Members => members::members(world).await,
        Scenario::State => members::state(world).await,
        Scenario::FederationLatency => fanout::run(world, fanout::ACROSS).await,
        Scenario::FederationMax => fanout::run(world, fanout::ACROSS_FULL).await,
        Scenario::FederationJoin => crowd::join_crowd(world).await,
    }
}
