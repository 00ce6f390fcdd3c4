//! Which part of a file a client wants (RFC 9110, section 14).

use std::ops::Range;

use ::http::{HeaderMap, header};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it, as of those that ask for several parts, or not in a way we know.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// Bytes that the file does not have.
    None,
}

/// The part of a file of `size` bytes that the headers ask for. `If-Range` with another tag asks for all.
pub(super) fn part(headers: &HeaderMap, size: u64, etag: &str) -> Part {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|tag| tag != etag) {
        return Part::Whole;
    }
    text(header::RANGE)
        .and_then(|range| parse(range, size))
        .unwrap_or(Part::Whole)
}

fn parse(range: &str, size: u64) -> Option<Part> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |digits: &str| digits.parse::<u64>().ok();
    let (start, end) = match (first, last) {
        ("", last) => (size.saturating_sub(number(last)?), size),
        (first, "") => (number(first)?, size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            (first, last.saturating_add(1).min(size))
        }
    };
    Some(if start < end {
        Part::Bytes(start..end)
    } else {
        Part::None
    })
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn asked(range: &'static str) -> Part {
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]);
        part(&headers, 100, "\"tag\"")
    }

    #[test]
    fn single_ranges_are_understood_and_nothing_else() {
        assert_eq!(asked("bytes=0-9"), Part::Bytes(0..10));
        assert_eq!(asked("bytes=90-"), Part::Bytes(90..100));
        assert_eq!(asked("bytes=90-1000"), Part::Bytes(90..100));
        assert_eq!(asked("bytes=-10"), Part::Bytes(90..100));
        assert_eq!(asked("bytes=-1000"), Part::Bytes(0..100));
        assert_eq!(asked("bytes=0-18446744073709551615"), Part::Bytes(0..100));
        for none in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(asked(none), Part::None, "{none}");
        }
        for whole in [
            "bytes=9-0",
            "bytes=0-1,5-6",
            "lines=0-1",
            "bytes=a-",
            "bytes=",
            "bytes=-",
            "bytes=1--2",
        ] {
            assert_eq!(asked(whole), Part::Whole, "{whole}");
        }
    }

    #[test]
    fn a_range_of_another_file_is_not_given() {
        let range = (header::RANGE, HeaderValue::from_static("bytes=0-9"));
        let with = |tag| HeaderMap::from_iter([range.clone(), (header::IF_RANGE, HeaderValue::from_static(tag))]);
        assert_eq!(part(&with("\"tag\""), 100, "\"tag\""), Part::Bytes(0..10));
        assert_eq!(part(&with("\"other\""), 100, "\"tag\""), Part::Whole);
    }
}
