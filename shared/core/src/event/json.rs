//! Reading JSON that is already canonical, as text: members of an object, elements of an array, strings, integers.
//!
//! No tree is built and nothing is parsed twice: a reader walks over the text and gets slices of it. The text was
//! written by [`canonical`](super::canonical), here or when it was stored; on anything else the walk ends early, but
//! never panics.

use std::{borrow::Cow, cmp::Ordering, ops::Range};

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key between its quotes, still escaped.
    pub raw_key: &'a str,
    /// The value.
    pub value: &'a str,
    /// Where the whole member, `"key":value`, is in the object's text.
    pub span: Range<usize>,
    /// Where the value is in the object's text.
    pub value_span: Range<usize>,
}

/// The members of a canonical object, in order; empty if `object` is no object.
pub fn members(object: &str) -> Members<'_> {
    Members {
        object,
        position: 1,
        open: is_object(object),
    }
}

/// Iterator over the members of an object.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    object: &'a str,
    position: usize,
    open: bool,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        if !self.open {
            return None;
        }
        let bytes = self.object.as_bytes();
        let start = self.position;
        let key_end = skip_string(bytes, start)?;
        if bytes.get(key_end) != Some(&b':') {
            return None;
        }
        let value_end = skip_value(bytes, key_end + 1)?;
        self.open = bytes.get(value_end) == Some(&b',');
        self.position = value_end + 1;
        Some(Member {
            raw_key: self.object.get(start + 1..key_end - 1)?,
            value: self.object.get(key_end + 1..value_end)?,
            span: start..value_end,
            value_span: key_end + 1..value_end,
        })
    }
}

/// The elements of a canonical array, in order; empty if `array` is no array.
pub fn elements(array: &str) -> Elements<'_> {
    Elements {
        array,
        position: 1,
        open: is_array(array),
    }
}

/// Iterator over the elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    array: &'a str,
    position: usize,
    open: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if !self.open {
            return None;
        }
        let bytes = self.array.as_bytes();
        let start = self.position;
        let end = skip_value(bytes, start)?;
        self.open = bytes.get(end) == Some(&b',');
        self.position = end + 1;
        self.array.get(start..end).filter(|element| !element.is_empty())
    }
}

/// The value of one member of an object. The walk ends where the key would have been: keys are in order.
pub fn get<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    for member in members(object) {
        match (*unescape(member.raw_key)).cmp(key) {
            Ordering::Less => {}
            Ordering::Equal => return Some(member.value),
            Ordering::Greater => return None,
        }
    }
    None
}

/// Whether the value is an object.
pub fn is_object(value: &str) -> bool {
    value.starts_with('{')
}

/// Whether the value is an array.
pub fn is_array(value: &str) -> bool {
    value.starts_with('[')
}

/// The text of a string value.
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    Some(unescape(value.strip_prefix('"')?.strip_suffix('"')?))
}

/// The integer a value is.
pub fn integer(value: &str) -> Option<i64> {
    value.parse().ok()
}

/// What a key or string between its quotes stands for.
pub fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut parts = raw.split('\\');
    text.push_str(parts.next().unwrap_or_default());
    while let Some(part) = parts.next() {
        let mut rest = part.chars();
        match rest.next() {
            // Two backslashes: split found nothing between them, and the next part is plain text.
            None => {
                text.push('\\');
                text.push_str(parts.next().unwrap_or_default());
                continue;
            }
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let code = part.get(1..5).and_then(|digits| u32::from_str_radix(digits, 16).ok());
                text.extend(code.and_then(char::from_u32));
                rest = part.get(5..).unwrap_or_default().chars();
            }
            Some(other) => text.push(other),
        }
        text.push_str(rest.as_str());
    }
    Cow::Owned(text)
}

/// Writes a string with its quotes.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if is_plain(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[plain..index]);
        write_escape(out, byte);
        plain = index + 1;
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

/// Whether a byte stands for itself within a string.
pub(super) fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Writes the shortest escape of a byte that does not stand for itself.
pub(super) fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 0xf)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// The position behind the string that starts at `start`.
fn skip_string(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let mut position = start + 1;
    loop {
        let offset = bytes
            .get(position..)?
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\'))?;
        position += offset;
        if bytes[position] == b'"' {
            return Some(position + 1);
        }
        position += 2;
    }
}

/// The position behind the value that starts at `start`.
fn skip_value(bytes: &[u8], start: usize) -> Option<usize> {
    match bytes.get(start)? {
        b'"' => skip_string(bytes, start),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            let mut position = start;
            loop {
                match bytes.get(position)? {
                    b'"' => {
                        position = skip_string(bytes, position)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                position += 1;
                if depth == 0 {
                    return Some(position);
                }
            }
        }
        _ => {
            let rest = bytes.get(start..)?;
            let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']'));
            Some(start + length.unwrap_or(rest.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_slices_of_the_object() {
        let object = r#"{"a":1,"b":{"c":"}\"]"},"d\"":[1,"x"]}"#;
        let found: Vec<_> = members(object).collect();
        assert_eq!(found[0].value, "1");
        assert_eq!(found[1].value, r#"{"c":"}\"]"}"#);
        assert_eq!(&object[found[2].span.clone()], r#""d\"":[1,"x"]"#);
        assert_eq!(get(object, "d\""), Some(r#"[1,"x"]"#));
        assert_eq!(get(object, "e"), None);
        assert_eq!(members("{}").count(), 0);
        assert_eq!(members("[1]").count(), 0);
    }

    #[test]
    fn elements_of_arrays() {
        assert_eq!(elements("[]").count(), 0);
        assert_eq!(
            elements(r#"[1,[2,3],"a,b",{}]"#).collect::<Vec<_>>(),
            ["1", "[2,3]", r#""a,b""#, "{}"]
        );
    }

    #[test]
    fn damaged_text_ends_the_walk() {
        for text in [
            r#"{"a"#,
            r#"{"a""#,
            r#"{"a":"#,
            r#"{"a":{"b""#,
            "{",
            r#"{"a\"#,
            r#"{"a":"\"#,
        ] {
            assert_eq!(
                members(text).filter(|member| !member.value.is_empty()).count(),
                0,
                "{text}"
            );
        }
        assert_eq!(elements("[").count(), 0);
    }

    #[test]
    fn strings_survive_escaping_and_unescaping() {
        for text in [
            "",
            "plain",
            "\\",
            "\\\\n",
            "a\"b",
            "\u{0}\u{1f}\n\t\u{8}\u{c}\r",
            "é\\u\\",
            "\u{7f}",
        ] {
            let mut out = Vec::new();
            write_string(&mut out, text);
            let written = String::from_utf8(out).unwrap();
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            assert_eq!(string(&written).unwrap(), text);
        }
    }
}
