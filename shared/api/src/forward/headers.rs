//! Which headers go along with a forwarded message.

use ::http::{HeaderMap, HeaderName, header};

/// Headers of one connection, not of the message (RFC 9110, section 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// Headers that say where a request comes from. Nobody outside can be believed about that.
const OF_THE_CLIENT_ADDRESS: [&str; 5] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

/// The headers of a message without those of its connection, of client addresses, and of our own internal plane.
pub(super) fn to_pass_on(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let stays = |name: &HeaderName| {
        OF_THE_CONNECTION.contains(name)
            || name == "keep-alive"
            || OF_THE_CLIENT_ADDRESS.contains(&name.as_str())
            || name.as_str().starts_with("x-plexus-")
            || named.iter().any(|named| named == name.as_str())
    };
    headers
        .iter()
        .filter(|(name, _)| !stays(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .fold(
            HeaderMap::with_capacity(headers.len() + 2),
            |mut passed, (name, value)| {
                passed.append(name, value);
                passed
            },
        )
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    #[test]
    fn headers_of_hop_and_address_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-plexus-secret", "guess"),
            ("authorization", "Bearer t"),
            ("x-custom", "a"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.append("x-custom", HeaderValue::from_static("b"));
        let passed = to_pass_on(&headers);
        let names: Vec<&str> = passed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["authorization", "x-custom", "x-custom"]);
    }
}
