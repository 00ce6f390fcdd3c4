//! RESP, as far as a proxy needs it: where a frame ends, and whether it carries a published message.

/// The length of the first whole frame in `bytes`; nothing while it is incomplete.
pub(crate) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let line_end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let number = || -> i64 {
        let digits = std::str::from_utf8(&bytes[1..line_end - 2]).unwrap_or_default();
        digits.parse().expect("Redis speaks RESP")
    };
    let mut end = line_end;
    match bytes[0] {
        b'$' | b'=' | b'!' => {
            if let Ok(length) = usize::try_from(number()) {
                end += length + 2;
            }
            (bytes.len() >= end).then_some(end)
        }
        kind @ (b'*' | b'~' | b'>' | b'%') => {
            let pairs = if kind == b'%' { 2 } else { 1 };
            for _ in 0..number().max(0) * pairs {
                end += frame_length(&bytes[end..])?;
            }
            Some(end)
        }
        _ => Some(line_end),
    }
}

/// Whether a frame brings a published message to a subscriber.
pub(crate) fn is_message(frame: &[u8]) -> bool {
    [b"*3\r\n$7\r\nmessage\r\n", b">3\r\n$7\r\nmessage\r\n"]
        .iter()
        .any(|start| frame.starts_with(*start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_end_where_they_end() {
        let message = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\na\r\nb\r\n";
        assert!(is_message(message));
        for (bytes, length) in [
            (&b"+OK\r\n:1\r\n"[..], Some(5)),
            (b"$-1\r\n", Some(5)),
            (b"$3\r\nab", None),
            (b"%1\r\n+a\r\n:1\r\nrest", Some(12)),
            (b"*2\r\n:1\r\n", None),
            (&message[..], Some(message.len())),
            (b"", None),
        ] {
            assert_eq!(frame_length(bytes), length, "{}", String::from_utf8_lossy(bytes));
        }
        assert!(!is_message(b"*3\r\n$9\r\nsubscribe\r\n"));
    }
}
