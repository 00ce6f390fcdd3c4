//! Numbers in as few bytes as they need: groups of 7 bits, least significant first (LEB128).

/// The bytes begin with no number; says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoVarint(pub &'static str);

/// Appends a number.
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let group = value.to_le_bytes()[0] & 0x7F;
        value >>= 7;
        if value == 0 {
            return out.push(group);
        }
        out.push(group | 0x80);
    }
}

/// Takes a number from the front. Only the shortest form of it is one.
pub fn take(rest: &mut &[u8]) -> Result<u64, NoVarint> {
    let mut value = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(NoVarint("cut short"))?;
        *rest = after;
        let group = u64::from(byte & 0x7F);
        if shift == 63 && group > 1 {
            break;
        }
        value |= group << shift;
        if byte & 0x80 == 0 {
            if byte == 0 && shift > 0 {
                return Err(NoVarint("a number with a needless zero"));
            }
            return Ok(value);
        }
    }
    Err(NoVarint("a number above 64 bits"))
}
