//! Scenarios on real clusters, and the rules of the house that code can check.

mod account_life;
mod account_options;
mod accounts;
mod architecture;
mod bad_input;
mod browser;
mod chaos;
mod clients;
mod delivery;
mod deployment;
mod encryption;
mod failures;
mod federation;
mod federation_keys;
mod first_start;
mod graph;
mod history;
mod hostile;
mod media;
mod proxy;
mod push;
mod relations;
mod room_life;
mod rooms_admin;
mod rules;
mod social;
mod sync_shapes;
mod talk;
mod user_data;
mod visibility;

/// Runs scenarios on every topology, those of one group on one cluster of each: `scenarios! { group: scenario, scenario; }`.
macro_rules! scenarios {
    ($($scenario:ident),+ $(,)?) => {
        mod all_in_one {
            static CLUSTER: plexus_tests::Shared = plexus_tests::Shared::new(plexus_tests::Topology::AllInOne);
            $(#[test]
            fn $scenario() {
                CLUSTER.run(super::$scenario);
            })+
        }

        mod split {
            static CLUSTER: plexus_tests::Shared = plexus_tests::Shared::new(plexus_tests::Topology::Split);
            $(#[test]
            fn $scenario() {
                CLUSTER.run(super::$scenario);
            })+
        }
    };
}
use scenarios;

/// The same on clusters that other servers talk to.
macro_rules! federated_scenarios {
    ($($scenario:ident),+ $(,)?) => {
        mod all_in_one {
            static CLUSTER: plexus_tests::Shared = plexus_tests::Shared::federated(plexus_tests::Topology::AllInOne);
            $(#[test]
            fn $scenario() {
                CLUSTER.run(super::$scenario);
            })+
        }

        mod split {
            static CLUSTER: plexus_tests::Shared = plexus_tests::Shared::federated(plexus_tests::Topology::Split);
            $(#[test]
            fn $scenario() {
                CLUSTER.run(super::$scenario);
            })+
        }
    };
}
use federated_scenarios;
