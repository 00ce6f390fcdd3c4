//! A look at JSON before anything parses it.

use crate::error::Error;

/// Deepest nesting of arrays and objects. `serde_json` stops at 128 for values of its own, never for those it skips.
pub const DEPTH_MAX: usize = 100;

/// Refuses JSON that is nested too deeply, without parsing it.
pub fn check_depth(json: &[u8]) -> Result<(), Error> {
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(Error::bad_json("the JSON is nested too deeply"));
        }
    }
    Ok(())
}

/// Refuses an array: serde would take its elements for the fields of a struct, in order.
pub fn check_object(json: &[u8]) -> Result<(), Error> {
    match json.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => Err(Error::bad_json("the JSON is an array and should be an object")),
        Some(_) | None => Ok(()),
    }
}

fn skip_string<'a>(bytes: &mut impl Iterator<Item = &'a u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_no_object() {
        assert!(check_object(b" \n[\"@a:b\", \"reason\"]").is_err());
        assert!(check_object(b" {\"a\": [1]}").is_ok());
        assert!(check_object(b"").is_ok());
    }

    #[test]
    fn depth_is_bounded_outside_of_strings_only() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(check_depth(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert!(check_depth(nested(DEPTH_MAX + 1).as_bytes()).is_err());
        assert!(check_depth("{\"a\":".repeat(DEPTH_MAX + 1).as_bytes()).is_err());
        let text = format!(r#"{{"a":"\"{}"}}"#, "[".repeat(1000));
        assert!(check_depth(text.as_bytes()).is_ok());
        assert!(check_depth("[],".repeat(1000).as_bytes()).is_ok());
        assert!(check_depth(b"\"\\").is_ok());
    }
}
