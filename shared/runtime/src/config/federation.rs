//! The section `federation`: what its texts mean, and what goes together.

use std::collections::BTreeMap;

use plexus_core::{event::VerifyKey, filter::Names};
use plexus_federation::{keys::Notary, outbound::Trust};
use ruma::OwnedServerName;

use super::{ConfigError, sections::Federation};

/// Most trusted key servers: each is asked for every key that is missing.
const NOTARIES_MAX: usize = 10;
/// Most identity servers: each is compared with whatever a client names.
const IDENTITY_SERVERS_MAX: usize = 50;
/// How long published keys may count: not so short that everybody keeps asking, nor longer than others believe.
const KEY_VALIDITY_S: std::ops::RangeInclusive<i64> = 3600..=604_800;

/// A public key: its id, the key itself, and since when it is old.
pub(crate) type OldKeys = BTreeMap<String, (VerifyKey, i64)>;

impl Federation {
    /// Which certificates are believed.
    pub(crate) fn trust(&self) -> Trust {
        let unverified = if self.verify_certificates {
            self.unverified_servers.clone()
        } else {
            vec!["*".to_owned()]
        };
        Trust {
            custom_ca_files: self.custom_ca_list.clone(),
            unverified,
        }
    }

    /// Which identity servers are asked. A list that is too long has been refused before.
    pub(crate) fn identity_servers(&self) -> Names {
        let names: Vec<String> = self
            .identity_servers
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        Names::with_wildcards(&names).unwrap_or_default()
    }

    /// Who is asked for others' keys.
    pub(crate) fn notaries(&self) -> Result<Vec<Notary>, ConfigError> {
        let mut notaries: Vec<Notary> = Vec::new();
        for text in self.trusted_key_servers.iter().chain(&self.perspectives) {
            let notary = notary(text).ok_or_else(|| {
                ConfigError::Rule(format!(
                    "federation.trusted_key_servers has {text:?}, which is neither a server name nor a server name, a key's id and a public key"
                ))
            })?;
            match notaries.iter_mut().find(|known| known.server == notary.server) {
                Some(known) => known.keys.extend(notary.keys),
                None => notaries.push(notary),
            }
        }
        Ok(notaries)
    }

    /// The keys that the configuration says this server signed with.
    pub(crate) fn old_keys(&self) -> Result<OldKeys, ConfigError> {
        let old_key = |text: &String| {
            old_key(text).ok_or_else(|| {
                ConfigError::Rule(format!(
                    "federation.old_signing_keys has {text:?}, which is not a key's id, a public key and a time in milliseconds"
                ))
            })
        };
        self.old_signing_keys.iter().map(old_key).collect()
    }
}

/// The rules that are broken: of which key, and in what words.
pub(super) fn broken(federation: &Federation) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    let validity = federation.key_validity_s;
    if !KEY_VALIDITY_S.contains(&validity) {
        let (start, end) = KEY_VALIDITY_S.into_inner();
        let sentence = format!("federation.key_validity_s is {validity}, but it has to be between {start} and {end}");
        broken.push(("federation.key_validity_s", sentence));
    }
    if federation.identity_servers.len() > IDENTITY_SERVERS_MAX {
        let sentence = format!("federation.identity_servers has more than {IDENTITY_SERVERS_MAX} servers");
        broken.push(("federation.identity_servers", sentence));
    }
    if let Err(error) = federation.old_keys() {
        broken.push(("federation.old_signing_keys", error.to_string()));
    }
    match federation.notaries() {
        Err(error) => broken.push(("federation.trusted_key_servers", error.to_string())),
        Ok(notaries) if notaries.len() > NOTARIES_MAX => {
            let sentence = format!("federation.trusted_key_servers has more than {NOTARIES_MAX} servers");
            broken.push(("federation.trusted_key_servers", sentence));
        }
        Ok(notaries) => {
            let is_open = |notary: &&Notary| {
                // The key that matrix.org used everywhere is known to everybody.
                let ids: Vec<&str> = notary.keys.keys().map(String::as_str).collect();
                ids.is_empty() || (notary.server == "matrix.org" && ids == ["ed25519:auto"])
            };
            let open = notaries.iter().find(is_open);
            if let Some(notary) = open
                && !federation.verify_certificates
                && !federation.accept_keys_insecurely
            {
                let sentence = format!(
                    "federation.verify_certificates is false, so that nothing shows that what {} says of others' keys is true: give its key in \
                     federation.trusted_key_servers, or set federation.accept_keys_insecurely = true if that is what you want",
                    notary.server
                );
                broken.push(("federation.verify_certificates", sentence));
            }
        }
    }
    broken
}

fn notary(text: &str) -> Option<Notary> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (server, keys) = match words[..] {
        [server] => (server, BTreeMap::new()),
        [server, key_id, key] => (
            server,
            BTreeMap::from([(key_id.to_owned(), VerifyKey::from_base64(key).ok()?)]),
        ),
        _ => return None,
    };
    Some(Notary {
        server: OwnedServerName::try_from(server).ok()?,
        keys,
    })
}

fn old_key(text: &str) -> Option<(String, (VerifyKey, i64))> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [key_id, key, expired_ms] = words[..] else {
        return None;
    };
    let is_id = key_id
        .strip_prefix("ed25519:")
        .is_some_and(|version| !version.is_empty());
    let key = (VerifyKey::from_base64(key).ok()?, expired_ms.parse().ok()?);
    is_id.then(|| (key_id.to_owned(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw";

    fn with_notaries(texts: &[&str]) -> Federation {
        Federation {
            trusted_key_servers: texts.iter().map(|&text| text.to_owned()).collect(),
            ..Federation::default()
        }
    }

    #[test]
    fn seed_5374_trusted_key_servers_have_keys_or_not() {
        let default = Federation::default().notaries().expect("valid");
        assert_eq!(default.len(), 1);
        assert_eq!((default[0].server.as_str(), default[0].keys.len()), ("matrix.org", 0));
        let mut federation = with_notaries(&["a.example", &format!("b.example ed25519:1 {KEY}")]);
        federation.perspectives = vec![format!("b.example ed25519:2 {KEY}")];
        let notaries = federation.notaries().expect("valid");
        let found: Vec<(&str, usize)> = notaries
            .iter()
            .map(|notary| (notary.server.as_str(), notary.keys.len()))
            .collect();
        assert_eq!(found, [("a.example", 0), ("b.example", 2)]);
        for wrong in [
            "",
            "a b",
            "a.example ed25519:1",
            "a.example ed25519:1 x",
            "https://a.example",
        ] {
            let broken = broken(&with_notaries(&[wrong]));
            assert_eq!(broken.len(), 1, "{wrong:?}");
            assert_eq!(broken[0].0, "federation.trusted_key_servers");
        }
        assert_eq!(
            broken(&with_notaries(&["a.example"; 11])),
            [],
            "one server, however often"
        );
    }

    #[test]
    fn seed_5392_keys_are_not_taken_from_whoever_is_on_the_way() {
        let pinned = format!("matrix.org ed25519:a_RXGa {KEY}");
        let auto = format!("matrix.org ed25519:auto {KEY}");
        for (notary, is_open) in [("a.example", true), (auto.as_str(), true), (pinned.as_str(), false)] {
            let mut federation = with_notaries(&[notary]);
            assert_eq!(broken(&federation), [], "{notary}: certificates are enough");
            federation.verify_certificates = false;
            assert_eq!(broken(&federation).len(), usize::from(is_open), "{notary}");
            federation.accept_keys_insecurely = true;
            assert_eq!(broken(&federation), [], "{notary}");
        }
    }

    #[test]
    fn certificates_are_verified_unless_the_configuration_says_otherwise() {
        let mut federation = Federation::default();
        assert_eq!(federation.trust(), Trust::default());
        federation.unverified_servers = vec!["*.onion".to_owned()];
        assert_eq!(federation.trust().unverified, ["*.onion"]);
        federation.verify_certificates = false;
        assert_eq!(federation.trust().unverified, ["*"]);
    }

    #[test]
    fn identity_servers_are_those_of_the_list() {
        let federation = Federation {
            identity_servers: vec!["ID.example.org".to_owned(), "*.example.com:8090".to_owned()],
            ..Federation::default()
        };
        let servers = federation.identity_servers();
        for (name, is_in) in [
            ("id.example.org", true),
            ("id.example.org:8090", false),
            ("a.example.com:8090", true),
            ("a.example.com", false),
        ] {
            assert_eq!(servers.contains(name), is_in, "{name}");
        }
        assert!(Federation::default().identity_servers().is_empty());
        let many = Federation {
            identity_servers: vec!["*".to_owned(); IDENTITY_SERVERS_MAX + 1],
            ..Federation::default()
        };
        assert_eq!(broken(&many).len(), 1);
    }

    #[test]
    fn old_keys_have_an_id_a_key_and_a_time() {
        let with = |text: &str| Federation {
            old_signing_keys: vec![text.to_owned()],
            ..Federation::default()
        };
        let keys = with(&format!("ed25519:old {KEY} 1576767829750"))
            .old_keys()
            .expect("valid");
        assert_eq!(keys["ed25519:old"].1, 1_576_767_829_750);
        for wrong in [
            String::new(),
            format!("ed25519: {KEY} 1"),
            format!("rsa:1 {KEY} 1"),
            format!("ed25519:1 {KEY}"),
            format!("ed25519:1 {KEY} x"),
        ] {
            assert!(with(&wrong).old_keys().is_err(), "{wrong:?}");
        }
    }
}
