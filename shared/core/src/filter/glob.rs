//! Sets of names, some of them with `*` for any text.

use super::FilterError;

/// Most names with a wildcard in one list. Names without are looked up and cost nothing; these are tried in turn.
pub const GLOBS_MAX: usize = 50;

/// A set of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Those without a wildcard, sorted.
    exact: Vec<Box<str>>,
    globs: Vec<Glob>,
}

/// A name with at least one `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob {
    start: Box<str>,
    /// What has to come between `start` and `end`, in this order.
    middle: Vec<Box<str>>,
    end: Box<str>,
}

impl Names {
    /// Names in which `*` stands for any text.
    pub fn with_wildcards(names: &[String]) -> Result<Self, FilterError> {
        let globs: Vec<_> = names.iter().filter_map(|name| Glob::compile(name)).collect();
        if globs.len() > GLOBS_MAX {
            return Err(FilterError::Bad(format!(
                "more than {GLOBS_MAX} types with a wildcard in one list"
            )));
        }
        Ok(Self {
            globs,
            ..Self::exact(names.iter().filter(|name| !name.contains('*')))
        })
    }

    /// Ids that begin with `sigil`.
    pub fn ids(ids: &[String], sigil: char) -> Result<Self, FilterError> {
        match ids.iter().find(|id| !id.starts_with(sigil)) {
            Some(_) => Err(FilterError::Bad(format!(
                "a list of ids beginning with `{sigil}` has something else in it"
            ))),
            None => Ok(Self::exact(ids.iter())),
        }
    }

    fn exact<'a>(names: impl Iterator<Item = &'a String>) -> Self {
        let mut exact: Vec<Box<str>> = names.map(|name| name.as_str().into()).collect();
        exact.sort_unstable();
        Self {
            exact,
            globs: Vec::new(),
        }
    }

    /// Whether no name is in the set.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty()
    }

    /// Whether a name is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.exact.binary_search_by(|other| (**other).cmp(name)).is_ok()
            || self.globs.iter().any(|glob| glob.matches(name))
    }
}

impl Glob {
    fn compile(pattern: &str) -> Option<Self> {
        let (start, rest) = pattern.split_once('*')?;
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        let middle = middle
            .split('*')
            .filter(|part| !part.is_empty())
            .map(Box::from)
            .collect();
        Some(Self {
            start: start.into(),
            middle,
            end: end.into(),
        })
    }

    /// Takes each part where it comes first: if any choice matches, that one does, so nothing is tried twice.
    fn matches(&self, name: &str) -> bool {
        let Some(mut rest) = name
            .strip_prefix(&*self.start)
            .and_then(|rest| rest.strip_suffix(&*self.end))
        else {
            return false;
        };
        for part in &self.middle {
            match rest.find(&**part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}
