//! Canonical JSON: one pass from any JSON text to the one form that is hashed and signed.
//!
//! The pass checks everything events from outside may get wrong (UTF-8, lone surrogates, duplicate keys, numbers,
//! depth) while it writes, and has no recursion: depth costs heap, not stack. See
//! <https://spec.matrix.org/v1.19/appendices/#canonical-json>.

use std::{borrow::Cow, cmp::Ordering, ops::Range};

use super::{json, number};
use crate::room_version::Numbers;

/// How deep arrays and objects may nest. `serde_json` stops at 128, but events deeper than that are accepted by
/// other servers (Python's parser ends a little below 1,000), and refusing them alone would split the room. Nothing here
/// builds trees of them, so deep content costs no more than shallow content.
pub const MAX_DEPTH: usize = 1_000;

/// Why a text is not acceptable JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Bytes that are no UTF-8.
    #[error("not valid UTF-8")]
    Utf8,
    /// Something JSON does not have at this place.
    #[error("not valid JSON at byte {0}")]
    Syntax(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The same key twice in one object.
    #[error("an object has the same key twice")]
    DuplicateKey,
    /// A number that is too large, too long or not an integer where only integers are allowed.
    #[error("a number that is not allowed here at byte {0}")]
    Number(usize),
    /// Half of a surrogate pair.
    #[error("half of a surrogate pair at byte {0}")]
    Surrogate(usize),
    /// Valid JSON, but something other than an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Appends the canonical form of `input` to `out`.
///
/// `-0` becomes `0`, as it does for every server that reads it as an integer. On an error `out` holds a part of the
/// text; the caller drops it.
pub fn canonicalize(input: &[u8], numbers: Numbers, out: &mut Vec<u8>) -> Result<(), JsonError> {
    std::str::from_utf8(input).map_err(|_| JsonError::Utf8)?;
    let mut writer = Writer {
        input,
        position: 0,
        out,
        numbers,
        open: Vec::new(),
        members: Vec::new(),
    };
    writer.run()
}

/// The canonical form of a JSON object.
pub fn canonical_object(input: &[u8], numbers: Numbers) -> Result<String, JsonError> {
    let mut out = Vec::with_capacity(input.len());
    canonicalize(input, numbers, &mut out)?;
    if out.first() != Some(&b'{') {
        return Err(JsonError::NotAnObject);
    }
    String::from_utf8(out).map_err(|_| JsonError::Utf8)
}

/// An array or object that is being written.
enum Open {
    Array,
    Object(OpenObject),
}

struct OpenObject {
    /// Where its first member starts in the output.
    start: usize,
    /// Where its first member is in the list of members.
    first: usize,
    /// Whether its keys came in order so far.
    sorted: bool,
}

/// A member of an object that is being written, as positions in the output.
struct Member {
    key: Range<usize>,
    end: usize,
}

struct Writer<'a> {
    input: &'a [u8],
    position: usize,
    out: &'a mut Vec<u8>,
    numbers: Numbers,
    open: Vec<Open>,
    /// Members of all open objects; those of the innermost one come last.
    members: Vec<Member>,
}

impl Writer<'_> {
    fn run(&mut self) -> Result<(), JsonError> {
        loop {
            if self.value()? {
                continue;
            }
            // A value is complete: go on in what holds it, closing what ends here.
            loop {
                let Some(holder) = self.open.last() else {
                    return self.end();
                };
                let close = match holder {
                    Open::Array => b']',
                    Open::Object(_) => b'}',
                };
                if let Open::Object(_) = holder
                    && let Some(member) = self.members.last_mut()
                {
                    member.end = self.out.len();
                }
                let byte = self.next_byte()?;
                if byte == close {
                    self.close()?;
                } else if byte == b',' {
                    self.out.push(b',');
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                } else {
                    return Err(JsonError::Syntax(self.position - 1));
                }
            }
        }
    }

    /// Reads a value; for a non-empty array or object only its start, and then gives true.
    fn value(&mut self) -> Result<bool, JsonError> {
        let byte = self.next_byte()?;
        match byte {
            b'{' => {
                self.enter(byte)?;
                let start = self.out.len();
                let first = self.members.len();
                self.open.push(Open::Object(OpenObject {
                    start,
                    first,
                    sorted: true,
                }));
                if self.peek() == Some(b'}') {
                    self.position += 1;
                    self.close()?;
                    return Ok(false);
                }
                self.key()?;
                Ok(true)
            }
            b'[' => {
                self.enter(byte)?;
                self.open.push(Open::Array);
                if self.peek() == Some(b']') {
                    self.position += 1;
                    self.close()?;
                    return Ok(false);
                }
                Ok(true)
            }
            b'"' => self.string().map(|()| false),
            b'-' | b'0'..=b'9' => {
                let start = self.position - 1;
                let length = number::write_number(&self.input[start..], self.numbers, self.out)
                    .ok_or(JsonError::Number(start))?;
                self.position = start + length;
                Ok(false)
            }
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => Err(JsonError::Syntax(self.position - 1)),
        }
    }

    fn enter(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.open.len() == MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.out.push(byte);
        Ok(())
    }

    /// Ends the innermost array or object.
    fn close(&mut self) -> Result<(), JsonError> {
        match self.open.pop() {
            Some(Open::Object(object)) => {
                if !object.sorted {
                    self.sort(&object)?;
                }
                self.members.truncate(object.first);
                self.out.push(b'}');
            }
            Some(Open::Array) => self.out.push(b']'),
            None => return Err(JsonError::Syntax(self.position)),
        }
        Ok(())
    }

    /// Puts the members of an object in order, in place.
    fn sort(&mut self, object: &OpenObject) -> Result<(), JsonError> {
        let members = &mut self.members[object.first..];
        let out = &mut *self.out;
        members.sort_by(|a, b| compare_keys(&out[a.key.clone()], &out[b.key.clone()]));
        let repeated = members
            .windows(2)
            .any(|pair| compare_keys(&out[pair[0].key.clone()], &out[pair[1].key.clone()]).is_eq());
        if repeated {
            return Err(JsonError::DuplicateKey);
        }
        let mut sorted = Vec::with_capacity(out.len() - object.start);
        for member in members {
            if !sorted.is_empty() {
                sorted.push(b',');
            }
            // One before the key is its quote.
            sorted.extend_from_slice(&out[member.key.start - 1..member.end]);
        }
        out.truncate(object.start);
        out.extend_from_slice(&sorted);
        Ok(())
    }

    /// Reads a key and its colon, and notes whether it comes in order.
    fn key(&mut self) -> Result<(), JsonError> {
        if self.next_byte()? != b'"' {
            return Err(JsonError::Syntax(self.position - 1));
        }
        let start = self.out.len() + 1;
        self.string()?;
        let key = start..self.out.len() - 1;
        if self.next_byte()? != b':' {
            return Err(JsonError::Syntax(self.position - 1));
        }
        if let Some(Open::Object(object)) = self.open.last_mut()
            && object.sorted
            && self.members.len() > object.first
            && let Some(previous) = self.members.last()
        {
            match compare_keys(&self.out[previous.key.clone()], &self.out[key.clone()]) {
                Ordering::Less => {}
                Ordering::Equal => return Err(JsonError::DuplicateKey),
                Ordering::Greater => object.sorted = false,
            }
        }
        self.out.push(b':');
        self.members.push(Member { key, end: 0 });
        Ok(())
    }

    /// Reads a string behind its opening quote.
    fn string(&mut self) -> Result<(), JsonError> {
        self.out.push(b'"');
        loop {
            let rest = &self.input[self.position..];
            let plain = rest.iter().position(|&byte| !json::is_plain(byte));
            let plain = plain.ok_or(JsonError::Syntax(self.input.len()))?;
            self.out.extend_from_slice(&rest[..plain]);
            self.position += plain + 1;
            match rest[plain] {
                b'"' => {
                    self.out.push(b'"');
                    return Ok(());
                }
                b'\\' => self.escape()?,
                _ => return Err(JsonError::Syntax(self.position - 1)),
            }
        }
    }

    /// Reads an escape behind its backslash, and writes the shortest form of what it stands for.
    fn escape(&mut self) -> Result<(), JsonError> {
        let at = self.position;
        let byte = *self.input.get(at).ok_or(JsonError::Syntax(at))?;
        self.position += 1;
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode_escape(at)?,
            _ => return Err(JsonError::Syntax(at)),
        };
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() && !json::is_plain(byte) => {
                json::write_escape(self.out, byte);
            }
            _ => self
                .out
                .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        Ok(())
    }

    /// Reads the digits of a `\u` escape, and the second half if it is a surrogate.
    fn unicode_escape(&mut self, at: usize) -> Result<char, JsonError> {
        let first = self.hex_digits()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or(JsonError::Surrogate(at));
        }
        if first >= 0xdc00 || self.input.get(self.position..self.position + 2) != Some(b"\\u") {
            return Err(JsonError::Surrogate(at));
        }
        self.position += 2;
        let second = self.hex_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(JsonError::Surrogate(at));
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(JsonError::Surrogate(at))
    }

    fn hex_digits(&mut self) -> Result<u32, JsonError> {
        let at = self.position;
        let digits = self.input.get(at..at + 4).ok_or(JsonError::Syntax(at))?;
        self.position += 4;
        digits.iter().try_fold(0, |code, &digit| {
            let value = char::from(digit).to_digit(16).ok_or(JsonError::Syntax(at))?;
            Ok(code << 4 | value)
        })
    }

    fn literal(&mut self, literal: &[u8]) -> Result<bool, JsonError> {
        let start = self.position - 1;
        if !self.input[start..].starts_with(literal) {
            return Err(JsonError::Syntax(start));
        }
        self.position = start + literal.len();
        self.out.extend_from_slice(literal);
        Ok(false)
    }

    /// The next byte that is no white space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.input.get(self.position) {
            self.position += 1;
        }
        self.input.get(self.position).copied()
    }

    /// Takes the next byte that is no white space.
    fn next_byte(&mut self) -> Result<u8, JsonError> {
        let byte = self.peek().ok_or(JsonError::Syntax(self.position))?;
        self.position += 1;
        Ok(byte)
    }

    fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(JsonError::Syntax(self.position)),
        }
    }
}

/// Compares two keys by code points, which is the order of their unescaped UTF-8.
fn compare_keys(a: &[u8], b: &[u8]) -> Ordering {
    if !a.contains(&b'\\') && !b.contains(&b'\\') {
        return a.cmp(b);
    }
    unescaped(a).as_bytes().cmp(unescaped(b).as_bytes())
}

fn unescaped(raw: &[u8]) -> Cow<'_, str> {
    json::unescape(std::str::from_utf8(raw).unwrap_or_default())
}

#[cfg(test)]
mod tests;
