//! A page on `matrix-js-sdk` in headless Chromium (`tests/browser`): people log in, talk and exchange a picture, through nginx and every role.

use std::{path::Path, process::Command, sync::Arc};

use plexus_tests::{Cluster, Shared, Topology, repository};

static CLUSTER: Shared = Shared::new(Topology::Split);

/// Where the screenshots are left, for whoever wants to look.
const SHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/browser");

#[test]
fn split_people_talk_in_a_browser() {
    CLUSTER.run(people_talk_in_a_browser);
}

async fn people_talk_in_a_browser(cluster: Arc<Cluster>) {
    let setup = output(Command::new(repository().join("tests/browser/setup"))).await;
    let mut lines = setup.lines();
    let mut line = || lines.next().expect("setup names node, the driver and the browser");
    let (node, driver, browser) = (line(), line(), line());
    let mut drive = Command::new(node);
    drive.args([
        driver,
        "--server",
        cluster.http().url(),
        "--shots",
        SHOTS,
        "--browser",
        browser,
    ]);
    let printed = output(drive).await;
    assert_eq!(printed.lines().last(), Some("ok"), "{printed}");
    for shot in ["1-wrong-password", "2-rooms", "3-alice", "4-bob", "5-bob-again"] {
        let path = Path::new(SHOTS).join(format!("{shot}.png"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(bytes.starts_with(b"\x89PNG"), "{} is no PNG", path.display());
    }
}

/// What a program prints, if it succeeds.
async fn output(mut command: Command) -> String {
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = running.await.expect("it does not panic").expect("it can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout
}
