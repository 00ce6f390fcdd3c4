//! `docker-compose.yml`, as far as it says what runs, with which arguments, environment and files.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::binary::repository;

/// The services of the file, by name.
#[derive(Debug)]
pub struct Compose {
    /// The whole file, its anchors put in place and nothing else changed.
    pub raw: Value,
    services: BTreeMap<String, Service>,
}

/// One service, its variables filled in.
#[derive(Clone, Debug)]
pub struct Service {
    /// The image's name.
    pub image: String,
    /// The arguments of the image's program.
    pub command: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// What it sees of the outside: here, and there.
    pub volumes: Vec<(String, String)>,
    /// What has to have ended well before it starts.
    pub after: Vec<String>,
    /// What has to be there before it starts.
    pub with: Vec<String>,
}

impl Compose {
    /// Reads the file at the root of the repository; `variables` is what `.env` would say.
    pub fn read(variables: &BTreeMap<&str, String>) -> Self {
        let text = fs::read_to_string(repository().join("docker-compose.yml")).expect("there is a docker-compose.yml");
        let raw: Value = serde_saphyr::from_str(&text).expect("docker-compose.yml is YAML");
        let services = raw["services"].as_object().expect("it has services");
        let service = |(name, service): (&String, &Value)| (name.clone(), Service::of(service, variables));
        Self {
            services: services.iter().map(service).collect(),
            raw,
        }
    }

    /// One service.
    pub fn service(&self, name: &str) -> &Service {
        let service = self.services.get(name);
        service.unwrap_or_else(|| panic!("docker-compose.yml has no service {name}"))
    }

    /// The services that run the server's own image, by name.
    pub fn plexus(&self) -> impl Iterator<Item = (&str, &Service)> {
        let all = self.services.iter();
        all.filter(|(_, service)| service.image == "plexus")
            .map(|(name, service)| (name.as_str(), service))
    }
}

impl Service {
    fn of(service: &Value, variables: &BTreeMap<&str, String>) -> Self {
        let fill = |text: &Value| fill_in(text.as_str().expect("a text"), variables);
        let list = |key: &str| service[key].as_array().cloned().unwrap_or_default();
        let environment = service["environment"].as_object().into_iter().flatten();
        let volumes = list("volumes").iter().map(fill).collect::<Vec<_>>();
        let depends = service["depends_on"].as_object().into_iter().flatten();
        let (after, with): (Vec<_>, Vec<_>) =
            depends.partition(|(_, how)| how["condition"] == "service_completed_successfully");
        let names = |of: Vec<(&String, &Value)>| of.into_iter().map(|(name, _)| name.clone()).collect();
        Self {
            image: service["image"]
                .as_str()
                .expect("every service has an image")
                .to_owned(),
            command: list("command").iter().map(fill).collect(),
            environment: environment.map(|(key, value)| (key.clone(), fill(value))).collect(),
            volumes: volumes.iter().map(|volume| mount(volume)).collect(),
            after: names(after),
            with: names(with),
        }
    }

    /// The value after an option of the command.
    pub fn option(&self, name: &str) -> Option<&str> {
        let at = self.command.iter().position(|word| word == name)?;
        self.command.get(at + 1).map(String::as_str)
    }
}

/// `here:there`, or `here:there:ro`.
fn mount(volume: &str) -> (String, String) {
    let mut parts = volume.split(':');
    let mut part = || parts.next().expect("a volume has two sides").to_owned();
    (part(), part())
}

/// Puts values in the place of `${NAME}`, `${NAME:-default}` and `${NAME:?why it is needed}`.
fn fill_in(text: &str, variables: &BTreeMap<&str, String>) -> String {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, after) = after.split_once('}').expect("a variable ends");
        let (name, default) = match variable.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (variable.split(":?").next().unwrap_or(variable), None),
        };
        let value = variables.get(name).cloned().or(default);
        filled.push_str(before);
        filled.push_str(&value.unwrap_or_else(|| panic!("docker-compose.yml needs {name}")));
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let variables = BTreeMap::from([("A", "1".to_owned())]);
        assert_eq!(
            fill_in("${A} and ${B:-2}, ${A:?needed}${A:-3}.", &variables),
            "1 and 2, 11."
        );
        assert_eq!(fill_in("nothing $A", &variables), "nothing $A");
    }
}
