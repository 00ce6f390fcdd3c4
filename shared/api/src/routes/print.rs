//! The route table for people, for nginx and for programs.

use std::fmt::Write as _;

use serde_json::json;

use super::{Family, Route};

/// One line for each path, aligned.
pub fn table(routes: &[Route]) -> String {
    let mut rows: Vec<[String; 4]> = vec![["METHOD", "PATH", "FAMILY", "AUTH"].map(str::to_owned)];
    for route in routes {
        let method = route.method();
        for path in route.all_paths() {
            let words = [method.as_str(), &path, route.family.as_str(), route.auth.as_str()];
            rows.push(words.map(str::to_owned));
        }
    }
    let widths: [usize; 4] = std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// The whole table as one JSON array.
pub fn json(routes: &[Route]) -> String {
    let rows = routes.iter().map(|route| {
        json!({
            "name": route.name,
            "method": route.method().as_str(),
            "paths": route.all_paths(),
            "family": route.family.as_str(),
            "auth": route.auth.as_str(),
            "body_cap": route.body_cap,
        })
    });
    format!("{:#}\n", serde_json::Value::Array(rows.collect()))
}

/// What goes into the `http` section of nginx: which upstream takes a request, and the key that pins it to one process of that upstream.
///
/// The processes work without it, as each forwards what it does not serve; the map saves that hop.
pub fn nginx(routes: &[Route]) -> String {
    let mut out = String::from(NGINX_HEAD);
    out.push_str("map $request_uri $plexus_upstream {\n    default plexus_client;\n");
    for family in Family::ALL {
        // What is not named goes to the client readers, who also serve federation and administration.
        let Some(upstream) = upstream(family) else { continue };
        let mut patterns: Vec<String> = Vec::new();
        for route in routes.iter().filter(|route| route.family == family) {
            patterns.extend(route.all_paths().iter().map(|path| pattern(path)));
        }
        patterns.sort_unstable();
        patterns.dedup();
        for pattern in patterns {
            let _infallible = writeln!(out, "    \"{pattern}\" {upstream};");
        }
    }
    out.push_str("}\n");
    out
}

const NGINX_HEAD: &str = r#"# Printed by `plexus routes --format nginx`. Define the upstreams plexus_client, plexus_sync and plexus_media, each with
# `hash $plexus_pin consistent;`, and use `proxy_pass http://$plexus_upstream;` with `proxy_http_version 1.1`.

# Requests of one access token go to one process, whose caches know the user. Without a token: by address.
map $http_authorization $plexus_pin {
    default $http_authorization;
    "" $plexus_pin_by_query;
}
map $arg_access_token $plexus_pin_by_query {
    default "Bearer $arg_access_token";
    "" $remote_addr;
}

"#;

fn upstream(family: Family) -> Option<&'static str> {
    match family {
        Family::Sync => Some("plexus_sync"),
        Family::Media => Some("plexus_media"),
        Family::Client | Family::Federation | Family::Admin => None,
    }
}

/// A template as a regular expression on the raw request target.
fn pattern(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.starts_with('{') {
            "[^/?]+".to_owned()
        } else {
            segment.replace('.', "\\.")
        }
    });
    format!("~^{}(\\?|$)", segments.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::ROUTES;

    #[test]
    fn the_nginx_map_names_sync_and_pins_by_token() {
        let map = nginx(ROUTES);
        assert!(
            map.contains("\"~^/_matrix/client/v3/sync(\\?|$)\" plexus_sync;"),
            "{map}"
        );
        assert!(map.contains("\"~^/_matrix/client/r0/sync(\\?|$)\" plexus_sync;"));
        assert!(map.contains("map $http_authorization $plexus_pin"));
        assert!(map.contains("$arg_access_token"));
        assert!(!map.contains("/createRoom"), "what goes to the default is not listed");
        assert_eq!(map.matches('{').count(), map.matches('}').count());
    }

    #[test]
    fn a_template_becomes_a_pattern_of_the_raw_target() {
        assert_eq!(pattern("/a.b/{x}/c"), "~^/a\\.b/[^/?]+/c(\\?|$)");
    }

    #[test]
    fn the_table_has_a_line_for_every_path_and_json_is_json() {
        let paths: usize = ROUTES.iter().map(|route| route.all_paths().len()).sum();
        assert_eq!(table(ROUTES).lines().count(), paths + 1);
        let json: serde_json::Value = serde_json::from_str(&json(ROUTES)).expect("JSON");
        assert_eq!(json.as_array().map(Vec::len), Some(ROUTES.len()));
    }
}
