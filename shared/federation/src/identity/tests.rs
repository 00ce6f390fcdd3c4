use super::*;

#[test]
fn addresses_are_hashed_as_in_the_specification() {
    for (medium, address, hash) in [
        (
            "email",
            "alice@example.com",
            "4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc",
        ),
        (
            "email",
            "bob@example.com",
            "LJwSazmv46n0hlMlsb_iYxI0_HXEqy_yj6Jm636cdT8",
        ),
        ("msisdn", "18005552067", "nlo35_T5fzSGZzJApqu8lgIudJvmOQtDaHtr-I4rU7I"),
    ] {
        let address = Address {
            medium: medium.to_owned(),
            address: address.to_owned(),
        };
        assert_eq!(hashed(&address, "matrixrocks"), hash);
    }
}

#[test]
fn keys_are_asked_after_over_https_only() {
    let server = |url| KeyUrl::parse(url).map(|url| url.server);
    for (url, expected) in [
        (
            "https://ID.example/_matrix/identity/v2/pubkey/isvalid",
            Some("id.example"),
        ),
        ("https://id.example:8090/x?y=z", Some("id.example:8090")),
        ("http://id.example/x", None),
        ("https://id.example@10.0.0.1/x", None),
        ("/x", None),
        ("", None),
        ("file:///etc/passwd", None),
    ] {
        assert_eq!(server(url).as_deref(), expected, "{url}");
    }
}

#[test]
fn what_is_stored_is_checked_before_it_goes_into_a_room() {
    let key = |text: &str| PublicKey {
        public_key: text.to_owned(),
        key_validity_url: None,
    };
    let answer = |token: &str, name: &str, keys: usize| StoreAnswer {
        token: token.to_owned(),
        display_name: name.to_owned(),
        public_keys: (0..keys).map(|_| key("k")).collect(),
    };
    assert!(check_stored(answer("a.Z_9=-", "a...", 2)).is_ok());
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    for wrong in [
        answer("", "a", 1),
        answer("a b", "a", 1),
        answer("ä", "a", 1),
        answer(&"x".repeat(INVITE_TOKEN_BYTES_MAX + 1), "a", 1),
        answer("a", &long, 1),
        answer("a", "a", 0),
        answer("a", "a", KEYS_MAX + 1),
        StoreAnswer {
            public_keys: vec![key(&long)],
            ..answer("a", "a", 0)
        },
    ] {
        assert!(check_stored(wrong).is_err());
    }
}
