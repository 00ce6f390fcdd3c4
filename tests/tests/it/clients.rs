//! Client libraries that we did not write hold a conversation (`tests/clients`).

use std::{process::Command, sync::Arc};

use plexus_tests::{Cluster, repository};

super::scenarios! {
    matrix_nio,
    matrix_js_sdk,
    one_of_each,
    through_a_wrong_proxy,
}

async fn matrix_nio(cluster: Arc<Cluster>) {
    converse("nio", cluster.http().url()).await;
}

async fn matrix_js_sdk(cluster: Arc<Cluster>) {
    converse("js", cluster.http().url()).await;
}

async fn one_of_each(cluster: Arc<Cluster>) {
    converse("nio-js", cluster.http().url()).await;
}

async fn through_a_wrong_proxy(cluster: Arc<Cluster>) {
    converse("js-nio", cluster.wrong_http().url()).await;
}

async fn converse(who: &str, url: &str) {
    let mut command = Command::new(repository().join("tests/clients/run"));
    command.args([who, "--url", url]);
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = running
        .await
        .expect("it does not panic")
        .expect("tests/clients/run can be started");
    assert!(
        output.status.success(),
        "{who}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
