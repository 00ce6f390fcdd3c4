use ruma::server_name;

use super::*;

fn parse(header: &str) -> Result<XMatrix, XMatrixError> {
    XMatrix::parse(header)
}

fn expected() -> XMatrix {
    XMatrix {
        origin: server_name!("origin.example:8448").to_owned(),
        destination: Some(server_name!("destination.example").to_owned()),
        key_id: "ed25519:key1".to_owned(),
        signature: "ABC/+def".to_owned(),
    }
}

#[test]
fn headers_of_every_form_are_read() {
    for header in [
        r#"X-Matrix origin="origin.example:8448",destination="destination.example",key="ed25519:key1",sig="ABC/+def""#,
        // Without quotes, as Synapse sent it; the colon and the slash are no token characters.
        "X-Matrix origin=origin.example:8448,destination=destination.example,key=ed25519:key1,sig=ABC/+def",
        // RFC 9110: any case, any order, space around commas, escapes, unknown parameters.
        "x-matrix   KEY=\"ed25519:key1\" ,\tSig=\"ABC\\/+def\", foo=bar,Origin=\"origin.example:8448\" , destination=destination.example",
        r#"X-Matrix origin="origin.example:8448",destination="destination.example",key="ed25519:key1",signature="ABC/+def""#,
    ] {
        assert_eq!(parse(header), Ok(expected()), "{header}");
    }
    let old = parse("X-Matrix origin=a.example,key=\"ed25519:1\",sig=\"x\"").expect("valid");
    assert_eq!(old.destination, None);
    assert_eq!(parse(&expected().to_header()), Ok(expected()));
}

#[test]
fn a_header_is_sent_so_that_older_servers_read_it() {
    let header = expected().to_header();
    assert_eq!(
        header,
        r#"X-Matrix origin="origin.example:8448",destination="destination.example",key="ed25519:key1",sig="ABC/+def""#
    );
}

#[test]
fn what_is_ambiguous_or_malformed_is_refused() {
    let good = r#"origin="a.example",key="ed25519:1",sig="x""#;
    for (header, error) in [
        ("Bearer abc".to_owned(), XMatrixError::Scheme),
        ("X-Matrix".to_owned(), XMatrixError::Scheme),
        ("X-MatrixFoo a=b".to_owned(), XMatrixError::Scheme),
        (format!("X-Matrix {good} x"), XMatrixError::Syntax),
        (format!("X-Matrix {good},x"), XMatrixError::Syntax),
        (format!("X-Matrix {good},=x"), XMatrixError::Syntax),
        (format!("X-Matrix {good},a b=x"), XMatrixError::Syntax),
        (format!("X-Matrix {good},a=\"x"), XMatrixError::Syntax),
        (format!("X-Matrix {good},a=\"x\\"), XMatrixError::Syntax),
        (format!("X-Matrix {good}{}", ",a=b".repeat(20)), XMatrixError::Syntax),
        (
            format!("X-Matrix {good},origin=b.example"),
            XMatrixError::Parameter("origin"),
        ),
        (format!("X-Matrix {good},sig=y"), XMatrixError::Parameter("sig")),
        (format!("X-Matrix {good},signature=y"), XMatrixError::Parameter("sig")),
        (
            "X-Matrix origin=a.example,key=b".to_owned(),
            XMatrixError::Parameter("sig"),
        ),
        (
            "X-Matrix origin=a.example,sig=b".to_owned(),
            XMatrixError::Parameter("key"),
        ),
        ("X-Matrix key=a,sig=b".to_owned(), XMatrixError::Parameter("origin")),
        (
            "X-Matrix origin=\"a b\",key=a,sig=b".to_owned(),
            XMatrixError::ServerName,
        ),
        (format!("X-Matrix {good},destination=\"\""), XMatrixError::ServerName),
    ] {
        assert_eq!(parse(&header), Err(error), "{header}");
    }
}

#[test]
fn a_signature_covers_everything_of_a_request() {
    let key = SigningKey::from_seed("1", &[7; 32]).expect("a key");
    let (origin, destination) = (server_name!("a.example"), server_name!("b.example"));
    let request = Signed {
        method: "PUT",
        target: "/_matrix/federation/v1/send/1?x=%20",
        content: Some(br#"{"pdus": [], "n": 1.5, "big": 9007199254740993}"#),
    };
    let header = request.sign(origin, destination, &key).expect("JSON");
    let verify_key = key.verify_key();
    let holds = |request: Signed<'_>, header: &XMatrix| request.verify(header, &verify_key).expect("JSON");
    assert!(holds(request, &header));
    let spaced = Signed {
        content: Some(br#"{"big":9007199254740993,"n":1.5,   "pdus":[]}"#),
        ..request
    };
    assert!(holds(spaced, &header), "only what the JSON says is signed");

    for other in [
        Signed {
            method: "GET",
            ..request
        },
        Signed {
            target: "/_matrix/federation/v1/send/1?x=+",
            ..request
        },
        Signed {
            content: None,
            ..request
        },
        Signed {
            content: Some(b"{}"),
            ..request
        },
    ] {
        assert!(!holds(other, &header), "{other:?}");
    }
    let for_another = XMatrix {
        destination: Some(server_name!("c.example").to_owned()),
        ..header.clone()
    };
    let for_anybody = XMatrix {
        destination: None,
        ..header.clone()
    };
    let from_another = XMatrix {
        origin: server_name!("c.example").to_owned(),
        ..header.clone()
    };
    for other in [for_another, for_anybody, from_another] {
        assert!(!holds(request, &other), "{other:?}");
    }
    let other_key = SigningKey::from_seed("1", &[8; 32]).expect("a key").verify_key();
    assert!(!request.verify(&header, &other_key).expect("JSON"));
}

#[test]
fn a_body_cannot_break_out_of_what_is_signed() {
    let key = SigningKey::from_seed("1", &[7; 32]).expect("a key");
    let (origin, destination) = (server_name!("a.example"), server_name!("b.example"));
    for content in [
        &br#"{},"uri":"/other""#[..],
        b"{",
        b"",
        br#"{"a":1,"a":2}"#,
        b"{\"a\":\"\xff\"}",
        b"{\"a\":NaN}",
    ] {
        let request = Signed {
            method: "PUT",
            target: "/x",
            content: Some(content),
        };
        assert!(
            request.sign(origin, destination, &key).is_err(),
            "{}",
            String::from_utf8_lossy(content)
        );
    }
}

/// The message is the canonical form of the object in the specification, which `sign_json` of the core signs as well.
#[test]
fn the_signed_object_is_the_specifications() {
    let key = SigningKey::from_seed("1", &[7; 32]).expect("a key");
    let (origin, destination) = (server_name!("a.example"), server_name!("b.example"));
    let object = br#"{"method":"POST","uri":"/target?q=\"1\"","origin":"a.example","destination":"b.example","content":{"b":1,"a":[]}}"#;
    let signed = plexus_core::event::sign::sign_json(object, origin, &key).expect("JSON");
    let request = Signed {
        method: "POST",
        target: "/target?q=\"1\"",
        content: Some(br#"{"a":[],"b":1}"#),
    };
    let header = request.sign(origin, destination, &key).expect("JSON");
    assert!(signed.contains(&header.signature), "{signed}");
}
