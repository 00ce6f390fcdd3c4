//! The query of a request, where ruma's types are stricter than the specification: a key may be repeated, and then its first value counts.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::Error;

/// Most pairs that are looked at.
const PAIRS_MAX: usize = 100;

/// The decoded pairs of a query.
#[derive(Debug)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads the pairs of a raw query.
    pub fn parse(raw: &'a str) -> Result<Self, Error> {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty()).take(PAIRS_MAX);
        let decoded = pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key)?, decode(value)?))
        });
        decoded.collect::<Result<_, Error>>().map(Self)
    }

    /// The first value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_ref())
    }

    /// Every value of a key.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(known, _)| known == key);
        pairs.map(|(_, value)| value.as_ref())
    }

    /// A boolean; absent is false.
    pub fn flag(&self, key: &str) -> Result<bool, Error> {
        match self.get(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Error::invalid_param(format!("{key} is neither true nor false"))),
        }
    }

    /// A number that is not negative.
    pub fn number(&self, key: &str) -> Result<Option<u64>, Error> {
        let number = self.get(key).map(str::parse).transpose();
        number.map_err(|_| Error::invalid_param(format!("{key} is no number, or negative, or too large")))
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, Error> {
    let broken = |_| Error::invalid_param("the query is not percent-encoded UTF-8");
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Ok(Cow::Owned(
            percent_decode_str(&spaced).decode_utf8().map_err(broken)?.into_owned(),
        ));
    }
    percent_decode_str(text).decode_utf8().map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_the_first_counts() {
        let query = Query::parse("a=1&a=2&b=x%20y+z&%C3%A4=%2B&flag=true&&empty").expect("well encoded");
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.get("b"), Some("x y z"));
        assert_eq!(query.get("ä"), Some("+"));
        assert_eq!(query.get("empty"), Some(""));
        assert_eq!(query.get("c"), None);
        assert_eq!(query.number("a").ok(), Some(Some(1)));
        assert!(query.number("b").is_err());
        assert_eq!(query.flag("flag").ok(), Some(true));
        assert_eq!(query.flag("c").ok(), Some(false));
        assert!(query.flag("a").is_err());
        assert!(Query::parse("a=%ff").is_err());
    }
}
