//! What a browser may do with a file that somebody uploaded.
//!
//! The type is the uploader's word, if it is one; whether it is shown or only saved follows from the type that is sent, never from the content
//! (<https://spec.matrix.org/v1.19/client-server-api/#serving-inline-content>).

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The type of a file whose uploader said none, or none that is one.
pub const UNKNOWN_TYPE: &str = "application/octet-stream";
/// Keeps whatever is shown from running anything.
pub const CONTENT_SECURITY_POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';";

/// Longest type that is kept, in bytes.
const TYPE_BYTES_MAX: usize = 255;
/// Longest file name that is kept, in characters: what file systems take.
const FILE_NAME_CHARS_MAX: usize = 255;

/// What a browser may show; it cannot run any of it.
const INLINE: &[&str] = &[
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// Characters of RFC 8187's `attr-char`, which stand for themselves.
const NOT_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The type to keep of what an uploader said: his word if it is a media type, or else the unknown one.
pub fn content_type(said: &str) -> &str {
    let said = said.trim();
    if said.len() <= TYPE_BYTES_MAX && is_media_type(said) {
        said
    } else {
        UNKNOWN_TYPE
    }
}

/// The file name to keep: what was said, cut to what file systems take.
pub fn file_name(said: &str) -> Option<String> {
    let kept: String = said.chars().take(FILE_NAME_CHARS_MAX).collect();
    (!kept.trim().is_empty()).then_some(kept)
}

/// The file name in a `Content-Disposition`: the one in Unicode, if there is one.
pub fn name_in_disposition(disposition: &str) -> Option<String> {
    let parameters: Vec<(&str, &str)> = split_parameters(disposition)
        .into_iter()
        .filter_map(|parameter| parameter.trim().split_once('='))
        .collect();
    let value = |wanted: &str| {
        let found = parameters
            .iter()
            .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim())
    };
    let unicode = value("filename*").and_then(|value| {
        let (charset, rest) = value.split_once('\'')?;
        let (_language, escaped) = rest.split_once('\'')?;
        let name = percent_decode_str(escaped).decode_utf8().ok()?;
        charset.eq_ignore_ascii_case("utf-8").then(|| name.into_owned())
    });
    let name = unicode.or_else(|| value("filename").map(unquote))?;
    file_name(&name)
}

/// What a parameter's value stands for.
fn unquote(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    let kept = quoted.chars().filter(|c| {
        escaped = *c == '\\' && !escaped;
        !escaped
    });
    kept.collect()
}

/// The value of `Content-Disposition` for a file that is sent as `content_type`.
pub fn disposition(content_type: &str, file_name: Option<&str>) -> String {
    let mut value = kind(content_type).to_owned();
    let Some(name) = file_name else { return value };
    let safe: String = name.chars().map(in_a_file_name).collect();
    // Writing to a string cannot fail.
    let _infallible = if safe.is_ascii() {
        let quoted = safe.replace('\\', "\\\\").replace('"', "\\\"");
        write!(value, "; filename=\"{quoted}\"")
    } else {
        write!(
            value,
            "; filename*=UTF-8''{}",
            utf8_percent_encode(&safe, NOT_ATTR_CHAR)
        )
    };
    value
}

fn kind(content_type: &str) -> &'static str {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if INLINE.iter().any(|inline| inline.eq_ignore_ascii_case(essence)) {
        "inline"
    } else {
        "attachment"
    }
}

/// A character of a name as it goes into a header: nothing that ends a line, leaves a folder, or turns the reading direction to hide an ending.
fn in_a_file_name(c: char) -> char {
    match c {
        '/' | '\\' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
        c if c.is_control() => '_',
        c => c,
    }
}

/// RFC 9110, section 8.3.1: `type/subtype`, and parameters.
fn is_media_type(text: &str) -> bool {
    let mut parts = split_parameters(text).into_iter();
    let essence = parts.next().unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else {
        return false;
    };
    is_token(kind) && is_token(subtype) && parts.all(|parameter| is_parameter(parameter.trim()))
}

/// Splits at semicolons that are not in quotes.
fn split_parameters(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn is_parameter(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else {
        return text.is_empty();
    };
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    is_token(name) && (is_token(value) || quoted.is_some_and(is_quotable))
}

fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Printable ASCII whose quotes are escaped.
fn is_quotable(text: &str) -> bool {
    let mut escaped = false;
    let fits = text.bytes().all(|byte| {
        let fits = (b' '..=b'~').contains(&byte) && (escaped || byte != b'"');
        escaped = byte == b'\\' && !escaped;
        fits
    });
    fits && !escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_of_dispositions_as_they_went_in() {
        for name in [
            "a.png",
            "a \"quoted\" name.txt",
            "ünïcode ♥.txt",
            "semi;colon",
            "back\\slash",
        ] {
            let shown: String = name.chars().map(in_a_file_name).collect();
            let value = disposition("text/plain", Some(name));
            assert_eq!(name_in_disposition(&value).as_deref(), Some(&*shown), "{value}");
        }
        assert_eq!(
            name_in_disposition("attachment; filename=plain").as_deref(),
            Some("plain")
        );
        let both = "inline; filename=\"ascii\"; filename*=utf-8'en'%E2%99%A5";
        assert_eq!(name_in_disposition(both).as_deref(), Some("♥"));
        for none in ["", "attachment", "attachment; filename=\"\"", "attachment; x=y"] {
            assert_eq!(name_in_disposition(none), None, "{none}");
        }
    }

    #[test]
    fn hostile_14_a_type_is_one_or_unknown() {
        for good in [
            "image/png",
            "text/plain; charset=utf-8",
            "text/plain;charset=\"utf-8\"",
            "application/vnd.api+json",
            "TEXT/HTML",
            "video/mp4; codecs=\"avc1, mp4a; x\"",
            "text/plain;",
        ] {
            assert_eq!(content_type(good), good);
        }
        let long = format!("image/{}", "x".repeat(300));
        for bad in [
            "",
            "png",
            "image/",
            "/png",
            "image/png/x",
            "image/png, text/html",
            "image/png\r\nset-cookie: a=b",
            "image/png; a",
            "image/png; a=\"b\" c",
            "image/png; a=\"b\\\"",
            "bild/grün",
            "image/p\0ng",
            long.as_str(),
        ] {
            assert_eq!(content_type(bad), UNKNOWN_TYPE, "{bad:?}");
        }
        assert_eq!(content_type("  image/gif "), "image/gif");
    }

    #[test]
    fn hostile_14_only_what_cannot_run_is_inline() {
        for inline in ["image/png", "IMAGE/JPEG", "text/plain; charset=utf-8", "audio/x-flac"] {
            assert_eq!(disposition(inline, None), "inline", "{inline}");
        }
        for attached in [
            "text/html",
            "image/svg+xml",
            "application/xml",
            "text/xml",
            "application/xhtml+xml",
            "application/pdf",
            "application/octet-stream",
            "text/javascript",
            "image/png x",
            "multipart/mixed",
            "",
        ] {
            assert_eq!(disposition(attached, None), "attachment", "{attached}");
        }
    }

    #[test]
    fn hostile_14_a_file_name_stays_in_its_place() {
        let named = |name: &str| disposition("image/png", Some(name));
        assert_eq!(named("a b.png"), "inline; filename=\"a b.png\"");
        assert_eq!(named("a\"b;c.png"), "inline; filename=\"a\\\"b;c.png\"");
        assert_eq!(
            named("x\r\nset-cookie: a=b\0"),
            "inline; filename=\"x__set-cookie: a=b_\""
        );
        assert_eq!(named("../..\\passwd"), "inline; filename=\".._.._passwd\"");
        assert_eq!(named("☕ é.png"), "inline; filename*=UTF-8''%E2%98%95%20%C3%A9.png");
        // A right-to-left override would make "exe.gnp" look like "png.exe".
        assert_eq!(named("a\u{202e}gnp.exe"), "inline; filename=\"a_gnp.exe\"");
        assert_eq!(file_name(&"é".repeat(1000)).map(|name| name.chars().count()), Some(255));
        assert_eq!(file_name("  "), None);
        assert_eq!(file_name("a.png").as_deref(), Some("a.png"));
    }
}
