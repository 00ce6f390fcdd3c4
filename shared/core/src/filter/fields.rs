//! `event_fields`: the parts of an event that a client wants to see.

use super::FilterError;
use crate::event::json;

/// Most paths in one filter.
const PATHS_MAX: usize = 100;

/// Most steps in one path.
const STEPS_MAX: usize = 10;

/// Dot-separated paths into an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(Vec<Vec<String>>);

impl Fields {
    /// Reads paths. A dot or a backslash that belongs to a name has a backslash before it.
    pub fn compile(paths: &[String]) -> Result<Self, FilterError> {
        let paths: Vec<_> = paths.iter().map(|path| steps(path)).collect();
        if paths.len() > PATHS_MAX || paths.iter().any(|path| path.len() > STEPS_MAX) {
            return Err(FilterError::Bad(format!(
                "`event_fields` has more than {PATHS_MAX} paths, or one of more than {STEPS_MAX} steps"
            )));
        }
        Ok(Self(paths))
    }

    /// Appends what the paths select of a JSON object.
    pub fn write_selected(&self, object: &str, out: &mut Vec<u8>) {
        let paths: Vec<&[String]> = self.0.iter().map(Vec::as_slice).collect();
        write_selected(object, &paths, out);
    }
}

fn write_selected(object: &str, paths: &[&[String]], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for member in json::members(object) {
        let key = json::unescape(member.raw_key);
        let below: Vec<&[String]> = paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(step, _)| **step == key)
            .map(|(_, rest)| rest)
            .collect();
        let whole = below.iter().any(|rest| rest.is_empty());
        if below.is_empty() || !whole && !json::is_object(member.value) {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        json::write_string(out, &key);
        out.push(b':');
        if whole {
            out.extend_from_slice(member.value.as_bytes());
        } else {
            write_selected(member.value, &below, out);
        }
    }
    out.push(b'}');
}

fn steps(path: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut rest = path.chars();
    while let Some(next) = rest.next() {
        match next {
            '.' => steps.push(String::new()),
            '\\' => push(&mut steps, rest.next().unwrap_or('\\')),
            other => push(&mut steps, other),
        }
    }
    steps
}

fn push(steps: &mut [String], character: char) {
    if let Some(last) = steps.last_mut() {
        last.push(character);
    }
}
