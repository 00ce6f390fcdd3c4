//! The deployment that the repository describes: `docker-compose.yml` and the files it mounts.

use std::{collections::BTreeSet, fs};

use http::Method;
use image::{DynamicImage, ImageFormat};
use plexus_tests::{
    Compose, Deployment, PATIENCE, User, encode, eventually, fresh_name, repository, run, run_plexus, variable_names,
};
use serde_json::{Value, json};

fn file(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json_file(path: &str) -> Value {
    serde_json::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose() -> Compose {
    let names = variable_names().into_iter();
    Compose::read(&names.map(|name| (name, "x".to_owned())).collect())
}

#[test]
fn docker_compose_keeps_to_the_compose_specification() {
    let schema = json_file("tests/schemas/compose-spec.json");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let compose = compose().raw;
    let errors: Vec<String> = validator
        .iter_errors(&compose)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // A validator that takes everything would say the same.
    let mut broken = compose;
    broken["services"]["master1"]["restarts"] = json!("always");
    assert!(!validator.is_valid(&broken));
}

#[test]
fn what_docker_compose_names_is_there() {
    let compose = compose();
    let services = compose.raw["services"].as_object().expect("services");
    let wanted = [
        "postgres",
        "redis",
        "master1",
        "master2",
        "reader1",
        "reader2",
        "sync1",
        "sync2",
        "media1",
        "sender1",
        "nginx",
        "prometheus",
        "grafana",
    ];
    for name in wanted {
        assert!(services.contains_key(name), "no service {name}");
    }
    let volumes = compose.raw["volumes"].as_object().expect("volumes");
    for name in services.keys() {
        let service = compose.service(name);
        for (here, _) in &service.volumes {
            let known = volumes.contains_key(here) || here.starts_with("./") && repository().join(here).exists();
            assert!(known, "{name} mounts {here}, which is not there");
        }
        for other in service.after.iter().chain(&service.with) {
            assert!(
                services.contains_key(other),
                "{name} waits for {other}, which is not there"
            );
        }
    }
    let example = file("deploy/compose/env.example");
    for name in variable_names() {
        assert!(example.contains(&format!("\n{name}=")), "env.example lacks {name}");
    }
    let dockerfile = file("deploy/Dockerfile");
    let user = dockerfile.lines().rfind(|line| line.starts_with("USER "));
    assert_eq!(user, Some("USER 10001"), "the image runs as a user without rights");
}

#[test]
fn the_proxys_map_is_the_printed_one() {
    let printed = run_plexus(repository(), &["routes", "--format", "nginx"]);
    assert_eq!(
        file("deploy/nginx/map.conf"),
        String::from_utf8_lossy(&printed.stdout),
        "write it anew: plexus routes --format nginx > deploy/nginx/map.conf"
    );
}

/// The words of a text that look like names of our metrics.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("plexus_"))
        .map(str::to_owned)
        .collect()
}

/// The labels that an expression groups by or selects with.
fn label_names(expression: &str) -> BTreeSet<String> {
    let grouped = expression
        .split("by (")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(labels, _)| labels);
    let selected = expression
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('='))
        .map(|(label, _)| label);
    let labels = grouped.chain(selected).flat_map(|labels| labels.split(','));
    labels.map(|label| label.trim().to_owned()).collect()
}

#[test]
fn the_described_deployment_works_without_docker() {
    run(async {
        let deployment = Deployment::start().await;
        let alice = log_in(&deployment).await;
        converse(&deployment, &alice).await;
        send_a_picture(&deployment, &alice).await;
        let metrics = scrape(&deployment).await;
        every_metric_of_the_dashboard_is_served(&metrics);
    });
}

/// The operator makes an account, as the README says, and its owner logs in through nginx.
async fn log_in(deployment: &Deployment) -> User {
    let (name, password) = (fresh_name("alice"), "correct horse battery staple");
    let file = deployment.folder().join("password");
    fs::write(&file, password).expect("the folder can be written to");
    let file = file.to_str().expect("the path is text");
    let arguments = [
        "register-user",
        "--config",
        "/etc/plexus/plexus.toml",
        "--password-file",
        file,
        &name,
    ];
    eventually(PATIENCE, "an account", async || deployment.exec("master1", &arguments)).await;
    let http = deployment.http();
    let body = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": name},
        "password": password,
    });
    let answer = eventually(PATIENCE, "nginx and the login", async || {
        match http
            .try_send(Method::POST, "/_matrix/client/v3/login", body.to_string())
            .await
        {
            Ok(answer) if answer.status == 200 => Ok(answer.json()),
            Ok(answer) => Err(answer.text()),
            Err(error) => Err(format!("{}\n{}", error.0, deployment.tails())),
        }
    })
    .await;
    let text = |key: &str| answer[key].as_str().expect("a login says who it is").to_owned();
    assert!(text("user_id").ends_with(":plexus.example"), "{answer}");
    User {
        id: text("user_id"),
        device: text("device_id"),
        http: http.with_token(&text("access_token")),
    }
}

async fn converse(deployment: &Deployment, alice: &User) {
    let room = alice.create_public_room().await;
    let event = alice.say(&room, "by way of nginx").await;
    let synced = alice.sync(None, 0, "").await.ok();
    assert!(
        synced["rooms"]["join"][&room]["timeline"]["events"]
            .to_string()
            .contains(&event),
        "{synced}"
    );
    // What comes to the wrong process is passed on.
    let path = format!("/_matrix/client/v3/rooms/{}/event/{}", encode(&room), encode(&event));
    let at_sync = alice.at(&deployment.direct("sync1"));
    // A process that has just started may not know the others yet.
    let there = eventually(PATIENCE, "the event by way of sync1", async || {
        let answer = at_sync.http.get(&path).await;
        if answer.is_retryable() {
            Err(answer.text())
        } else {
            Ok(answer.ok())
        }
    })
    .await;
    assert_eq!(there["content"]["body"], "by way of nginx");
}

async fn send_a_picture(deployment: &Deployment, alice: &User) {
    let mut picture = std::io::Cursor::new(Vec::new());
    DynamicImage::new_rgb8(400, 300)
        .write_to(&mut picture, ImageFormat::Png)
        .expect("a picture can be encoded");
    let picture = picture.into_inner();
    let http = alice.http.with_header("content-type", "image/png");
    let uploaded = http
        .send(Method::POST, "/_matrix/media/v3/upload", picture.clone())
        .await
        .ok();
    let id = uploaded["content_uri"]
        .as_str()
        .and_then(|uri| uri.strip_prefix("mxc://"))
        .expect("a media URI");
    let downloaded = alice.http.get(&format!("/_matrix/client/v1/media/download/{id}")).await;
    assert_eq!((downloaded.status, downloaded.body == picture), (200, true));
    let path = format!("/_matrix/client/v1/media/thumbnail/{id}?width=32&height=32&method=crop");
    assert_eq!(alice.http.get(&path).await.status, 200);
    // The files are in the volume that docker-compose.yml names.
    let kept = deployment.folder().join("volume-media");
    assert!(kept.is_dir(), "no files in {}", kept.display());
}

/// Everything that Prometheus would get, from where its configuration says.
async fn scrape(deployment: &Deployment) -> String {
    let prometheus: Value = serde_saphyr::from_str(&file("deploy/prometheus/prometheus.yml")).expect("it is YAML");
    let mut scraped = BTreeSet::new();
    let mut metrics = String::new();
    for group in prometheus["scrape_configs"][0]["static_configs"]
        .as_array()
        .expect("targets")
    {
        for target in group["targets"].as_array().expect("targets") {
            let target = target.as_str().expect("a text");
            let name = target
                .strip_suffix(":8009")
                .expect("metrics are on the internal address");
            let (_, service) = deployment
                .members()
                .find(|(known, _)| *known == name)
                .expect("a service");
            assert_eq!(group["labels"]["role"].as_str(), service.option("--role"), "{name}");
            let answer = deployment.internal(name).get("/metrics").await;
            assert_eq!(answer.status, 200, "{name}");
            metrics.push_str(&answer.text());
            scraped.insert(name.to_owned());
        }
    }
    let members: BTreeSet<String> = deployment.members().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(scraped, members, "Prometheus scrapes every process");
    metrics
}

fn every_metric_of_the_dashboard_is_served(metrics: &str) {
    let served = metric_names(metrics);
    // These are Prometheus's own.
    let mut labels = BTreeSet::from(["instance", "role", "le"].map(str::to_owned));
    for line in metrics.lines().filter_map(|line| line.split_once('{')) {
        labels.extend(
            line.1
                .split("=\"")
                .map(|part| part.rsplit([',', '{']).next().unwrap_or(part).to_owned()),
        );
    }
    let dashboard = json_file("deploy/grafana/dashboards/plexus.json");
    let panels = dashboard["panels"].as_array().expect("a dashboard has panels");
    assert!(panels.len() > 10);
    for panel in panels {
        for target in panel["targets"].as_array().expect("a panel asks for something") {
            let expression = target["expr"].as_str().expect("a text");
            let names = metric_names(expression);
            assert!(!names.is_empty(), "{expression}");
            for name in names {
                assert!(
                    served.contains(&name),
                    "{} asks for {name}, which no process serves",
                    panel["title"]
                );
            }
            for label in label_names(expression) {
                assert!(
                    labels.contains(&label),
                    "{} asks for the label {label}, which nothing has",
                    panel["title"]
                );
            }
        }
    }
}
