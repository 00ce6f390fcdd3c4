//! Server access control lists: which servers may take part in a room.
//!
//! They are applied to servers that ask something of this one, not to events; so they are no authorization rule. See
//! <https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms>.

use ruma::ServerName;

use crate::{event::json, push_rules::glob::Glob};

/// What `m.room.server_acl` says. Compiled once for an event: its lists are bounded by the event's size only, which allows for 10,000 entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAcl {
    allow: Patterns,
    deny: Patterns,
    allow_ip_literals: bool,
}

/// A list of patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Patterns {
    /// Those without `*` and `?`, in lower case and in order: looked up, however many there are.
    exact: Vec<Box<str>>,
    /// The others, tried in turn.
    globs: Vec<Glob>,
}

impl ServerAcl {
    /// Reads the content of the event, canonical JSON. What is not of the type it should be counts as not given.
    pub fn read(content: &str) -> Self {
        Self {
            allow: Patterns::read(json::get(content, "allow")),
            deny: Patterns::read(json::get(content, "deny")),
            allow_ip_literals: json::get(content, "allow_ip_literals") != Some("false"),
        }
    }

    /// Whether a server may take part. Its port does not count.
    pub fn allows(&self, server: &ServerName) -> bool {
        if server.is_ip_literal() && !self.allow_ip_literals {
            return false;
        }
        let host = server.host().to_lowercase();
        !self.deny.match_any(&host) && self.allow.match_any(&host)
    }
}

impl Patterns {
    fn read(list: Option<&str>) -> Self {
        let mut patterns = Self::default();
        for pattern in json::elements(list.unwrap_or("[]")).filter_map(json::string) {
            if pattern.contains(['*', '?']) {
                patterns.globs.push(Glob::compile(&pattern));
            } else {
                patterns.exact.push(pattern.to_lowercase().into());
            }
        }
        patterns.exact.sort_unstable();
        patterns
    }

    fn match_any(&self, host: &str) -> bool {
        if self.exact.binary_search_by(|exact| (**exact).cmp(host)).is_ok() {
            return true;
        }
        let host: Vec<char> = host.chars().collect();
        self.globs.iter().any(|glob| glob.matches(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(content: &str, server: &str) -> bool {
        ServerAcl::read(content).allows(server.try_into().unwrap())
    }

    #[test]
    fn deny_comes_before_allow_and_nothing_is_allowed_by_itself() {
        let acl = r#"{"allow":["*"],"deny":["*.evil.com","evil.com"]}"#;
        for (server, is_allowed) in [
            ("good.com", true),
            ("evil.com", false),
            ("a.evil.com", false),
            ("EVIL.com", false),
            ("evil.com:8448", false),
            ("evil.com.org", true),
            ("notevil.com", true),
        ] {
            assert_eq!(allows(acl, server), is_allowed, "{server}");
        }
        assert!(!allows("{}", "good.com"));
        assert!(!allows(r#"{"deny":[]}"#, "good.com"));
        assert!(!allows(r#"{"allow":[]}"#, "good.com"));
        assert!(allows(r#"{"allow":["good.com"]}"#, "good.com:1"));
        assert!(!allows(r#"{"allow":["good.com:1"]}"#, "good.com:1"));
        assert!(allows(r#"{"allow":["g??d.*"]}"#, "GOOD.com"));
        assert!(!allows(r#"{"allow":["g??d.*"]}"#, "god.com"));
        // A pattern is no regular expression.
        assert!(!allows(r#"{"allow":["g.od[.]com",".*"]}"#, "good.com"));
    }

    #[test]
    fn ip_literals_are_a_matter_of_their_own() {
        for server in ["127.0.0.1", "127.0.0.1:8448", "[::1]", "[2001:DB8::1]:8448"] {
            assert!(allows(r#"{"allow":["*"]}"#, server), "{server}");
            assert!(
                !allows(r#"{"allow":["*"],"allow_ip_literals":false}"#, server),
                "{server}"
            );
            assert!(
                allows(r#"{"allow":["*"],"allow_ip_literals":"false"}"#, server),
                "{server}"
            );
        }
        assert!(allows(r#"{"allow":["*"],"allow_ip_literals":false}"#, "1.2.3.4.com"));
        assert!(!allows(r#"{"allow":["*"],"deny":["[2001:db8::*"]}"#, "[2001:DB8::1]"));
    }

    #[test]
    fn what_is_of_another_type_is_not_there() {
        assert!(!allows(r#"{"allow":"*"}"#, "good.com"));
        assert!(allows(r#"{"allow":[1,null,"*",["x"]],"deny":{"x":"*"}}"#, "good.com"));
        assert!(allows(r#"{"allow":["*"],"deny":"good.com"}"#, "good.com"));
    }
}
