//! Numbers in canonical JSON.

use crate::room_version::Numbers;

/// The largest integer canonical JSON allows, 2^53 - 1; the smallest is its negative.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// Longest number read in room versions that allow any, in bytes; as many digits as Python converts, so that events
/// of other servers are not lost over it.
const MAX_NUMBER_BYTES: usize = 4_300;

/// Largest decimal exponent that Python, which wrote most events with floats, prints without exponent.
const MAX_PLAIN_EXPONENT: i32 = 16;

/// Smallest decimal exponent that is printed without exponent.
const MIN_PLAIN_EXPONENT: i32 = -4;

/// Reads the number at the start of `text` and writes its canonical form; gives how many bytes it took, or `None` if
/// it is no number or not an allowed one.
pub(super) fn write_number(text: &[u8], numbers: Numbers, out: &mut Vec<u8>) -> Option<usize> {
    let length = text
        .iter()
        .take(MAX_NUMBER_BYTES + 1)
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
        .count();
    let number = std::str::from_utf8(text.get(..length)?).ok()?;
    if length > MAX_NUMBER_BYTES {
        return None;
    }
    let is_integer = check_grammar(number)?;
    match (numbers, is_integer) {
        (Numbers::Strict, true) => {
            let value: i64 = number.parse().ok()?;
            if !(-MAX_INTEGER..=MAX_INTEGER).contains(&value) {
                return None;
            }
            write_integer(number, out);
        }
        (Numbers::Strict, false) => return None,
        (Numbers::Lenient, true) => write_integer(number, out),
        (Numbers::Lenient, false) => write_float(number.parse().ok()?, out)?,
    }
    Some(length)
}

/// Checks the grammar of RFC 8259; gives whether the number is written as an integer.
fn check_grammar(number: &str) -> Option<bool> {
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(index) => (&unsigned[..index], Some(&unsigned[index + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = is_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(|exponent| is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    well_formed.then_some(fraction.is_none() && exponent.is_none())
}

/// Writes an integer as it is, but never as negative zero: that reads as 0 wherever integers are integers.
fn write_integer(number: &str, out: &mut Vec<u8>) {
    let number = if number == "-0" { "0" } else { number };
    out.extend_from_slice(number.as_bytes());
}

/// Writes a float as Python's `repr` does, the form in which the servers that made such events hashed them: the
/// shortest digits that read back as the same float, with an exponent of two digits outside of 1e-4..1e16.
fn write_float(value: f64, out: &mut Vec<u8>) -> Option<()> {
    if !value.is_finite() {
        return None;
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let text = if (MIN_PLAIN_EXPONENT..MAX_PLAIN_EXPONENT).contains(&exponent) {
        let plain = format!("{value}");
        if plain.contains('.') { plain } else { plain + ".0" }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
    };
    out.extend_from_slice(text.as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str, numbers: Numbers) -> Option<String> {
        let mut out = Vec::new();
        let length = write_number(text.as_bytes(), numbers, &mut out)?;
        (length == text.len()).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn strict_numbers_are_integers_within_the_bounds() {
        let cases = [
            ("0", Some("0")),
            ("-0", Some("0")),
            ("9007199254740991", Some("9007199254740991")),
            ("9007199254740992", None),
            ("-9007199254740991", Some("-9007199254740991")),
            ("-9007199254740992", None),
            ("9223372036854775807", None),
            ("9223372036854775808", None),
            ("1.0", None),
            ("1e3", None),
            ("-0.0", None),
        ];
        for (text, expected) in cases {
            assert_eq!(write(text, Numbers::Strict).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn lenient_numbers_are_written_as_python_does() {
        let cases = [
            ("-0", "0"),
            ("9223372036854775808", "9223372036854775808"),
            ("1000000000000000000000000000000", "1000000000000000000000000000000"),
            ("1.0", "1.0"),
            ("1e3", "1000.0"),
            ("1E+3", "1000.0"),
            ("-0.0", "-0.0"),
            ("0.1", "0.1"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("1.5e300", "1.5e+300"),
            ("1.25e-7", "1.25e-07"),
            ("123456.789", "123456.789"),
        ];
        for (text, expected) in cases {
            assert_eq!(write(text, Numbers::Lenient).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        let long = "1".repeat(MAX_NUMBER_BYTES + 1);
        for text in [
            "", "-", "01", "1.", ".5", "1e", "1e+", "--1", "+1", "1e999", "-1e999", "1.2.3", "1-2", &long,
        ] {
            assert_eq!(write(text, Numbers::Lenient), None, "{text}");
            assert_eq!(write(text, Numbers::Strict), None, "{text}");
        }
        assert!(write(&long[1..], Numbers::Lenient).is_some());
    }
}
