use std::collections::HashSet;

use super::*;
use crate::routes::{Auth, BODY_CAP, BodyKind, Family, ROUTES};

fn find(router: &Router, method: &Method, path: &str) -> Result<(&'static str, Vec<String>), &'static str> {
    match router.find(method, path) {
        Found::Route { route, segments, .. } => Ok((route.name, segments)),
        Found::OtherMethods(_) => Err("405"),
        Found::Nothing => Err("404"),
        Found::BadSegment => Err("400"),
    }
}

#[test]
fn every_path_of_every_route_leads_to_it() {
    let router = Router::new(ROUTES).expect("no two routes take the same path and method");
    let mut names = HashSet::new();
    for route in ROUTES {
        assert!(names.insert(route.name), "{} is there twice", route.name);
        assert!(!route.all_paths().is_empty(), "{} has no path", route.name);
        assert!(route.body_cap >= BODY_CAP);
        for path in route.all_paths() {
            let filled: Vec<&str> = path
                .split('/')
                .map(|segment| if segment.starts_with('{') { "value" } else { segment })
                .collect();
            let found = find(&router, &route.method(), &filled.join("/"));
            assert_eq!(found.map(|(name, _)| name), Ok(route.name), "{path}");
        }
    }
}

#[test]
fn methods_and_paths_that_are_not_there() {
    let router = Router::new(ROUTES).expect("a valid table");
    let cases = [
        (Method::GET, "/_matrix/client/v3/createRoom", Err("405")),
        (Method::DELETE, "/_matrix/client/v3/sync", Err("405")),
        (Method::PATCH, "/_matrix/client/versions", Err("405")),
        (Method::GET, "/_matrix/client/v3/nothing", Err("404")),
        (Method::GET, "/_matrix/client/v3/sync/", Err("404")),
        (Method::GET, "/_matrix/client/v4/sync", Err("404")),
        (Method::GET, "/", Err("404")),
        (Method::GET, "/_matrix/client/v3/rooms//members", Err("404")),
        (Method::GET, "/_matrix/client/v3/rooms/%ff/members", Err("400")),
        (Method::GET, "/_matrix/client/v3/rooms/a%00b/members", Err("400")),
        (Method::GET, "/_matrix/client/v3/login", Ok(("login_flows", vec![]))),
        (Method::POST, "/_matrix/client/r0/login", Ok(("login", vec![]))),
    ];
    for (method, path, expected) in cases {
        assert_eq!(find(&router, &method, path), expected, "{method} {path}");
    }
}

#[test]
fn a_path_says_which_methods_it_takes() {
    let router = Router::new(ROUTES).expect("a valid table");
    let state = "/_matrix/client/v3/rooms/!r:h/state/m.x/";
    let Found::OtherMethods(allowed) = router.find(&Method::DELETE, state) else {
        panic!("nothing of a room's state can be deleted")
    };
    assert_eq!(HashSet::from_iter(allowed), HashSet::from([Method::GET, Method::PUT]));
}

#[test]
fn segments_are_decoded_once_and_after_the_match() {
    let router = Router::new(ROUTES).expect("a valid table");
    let segments = |path: &str| find(&router, &Method::GET, path).map(|(_, segments)| segments);
    let state = "/_matrix/client/v3/rooms/!r:h/state";
    assert_eq!(
        segments(&format!("{state}/m.x/a%2Fb")),
        Ok(vec!["!r:h".into(), "m.x".into(), "a/b".into()])
    );
    assert_eq!(
        segments(&format!("{state}/m.x/a%252Fb")),
        Ok(vec!["!r:h".into(), "m.x".into(), "a%2Fb".into()])
    );
    assert_eq!(
        segments(&format!("{state}/m.x/")),
        Ok(vec!["!r:h".into(), "m.x".into()])
    );
    assert_eq!(segments(&format!("{state}/m.x")), Ok(vec!["!r:h".into(), "m.x".into()]));
    assert_eq!(
        segments("/_matrix/client/v3/rooms/%21r%3Ah/members"),
        Ok(vec!["!r:h".into()])
    );
    assert_eq!(
        segments("/_matrix/client/v3/profile/%40%C3%A4%3Ah/displayname").map(|s| s[0].clone()),
        Ok("@ä:h".into())
    );
}

#[test]
fn families_and_authentication_are_as_intended() {
    let of = |name: &str| ROUTES.iter().find(|route| route.name == name).expect("there");
    assert_eq!(of("sync").family, Family::Sync);
    assert_eq!(of("admin_register").family, Family::Admin);
    assert_eq!(of("send").family, Family::Client);
    let open: Vec<&str> = ROUTES
        .iter()
        .filter(|route| route.auth == Auth::None)
        .map(|route| route.name)
        .collect();
    let expected = [
        "versions",
        "well_known_client",
        "well_known_support",
        "login_flows",
        "login",
        "refresh",
        "register",
        "register_available",
        "registration_token",
        "openid_user_info",
        "alias",
        "listed",
        "legacy_download",
        "legacy_download_as",
        "legacy_thumbnail",
        "admin_register_nonce",
        "admin_register",
        "federation_version",
        "well_known_server",
        "server_keys",
        "query_server_keys",
        "query_many_server_keys",
        // What shows that it is true is signed in each invite.
        "third_party_on_bind",
    ];
    assert_eq!(open, expected, "everything else needs a token or a signature");
    let signed = ROUTES.iter().filter(|route| route.auth == Auth::Server);
    assert!(signed.clone().count() > 0);
    for route in signed {
        // Files are where the files are.
        let is_file = matches!(route.name, "federation_download" | "federation_thumbnail");
        let family = if is_file { Family::Media } else { Family::Federation };
        assert_eq!(route.family, family, "{}", route.name);
        assert_eq!(
            route.body,
            BodyKind::Whole,
            "{}: a signature covers the body",
            route.name
        );
    }
}
