//! From a raw path and a method to a route.

use std::borrow::Cow;

use ::http::Method;
use percent_encoding::percent_decode_str;

use super::Route;

/// Finds routes by path and method.
#[derive(Debug)]
pub struct Router {
    paths: matchit::Router<Vec<(Method, usize)>>,
    routes: &'static [Route],
}

/// What a path and a method lead to.
#[derive(Debug)]
pub enum Found {
    /// The route, its place in the table, and the variable segments of the path, decoded.
    Route {
        route: &'static Route,
        index: usize,
        segments: Vec<String>,
    },
    /// The path takes these methods only.
    OtherMethods(Vec<Method>),
    /// No such path.
    Nothing,
    /// The path fits, but one of its segments is not percent-encoded UTF-8, or has a NUL.
    BadSegment,
}

/// The methods a path takes, and the route of each.
type Taken = Vec<(Method, usize)>;

impl Router {
    /// Indexes a table. Two routes may share a path if their methods differ.
    pub fn new(routes: &'static [Route]) -> Result<Self, matchit::InsertError> {
        let mut by_path: Vec<(Cow<'static, str>, Taken)> = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            for path in route.all_paths() {
                match by_path.iter_mut().find(|(known, _)| same_shape(known, &path)) {
                    Some((_, taken)) => taken.push((route.method(), index)),
                    None => by_path.push((path, vec![(route.method(), index)])),
                }
            }
        }
        let mut paths = matchit::Router::new();
        for (path, taken) in by_path {
            paths.insert(path.into_owned(), taken)?;
        }
        Ok(Self { paths, routes })
    }

    /// Matches a path as it came over the wire. Segments are decoded after the match, so that an encoded slash stays in its segment.
    pub fn find(&self, method: &Method, raw_path: &str) -> Found {
        let Ok(matched) = self.paths.at(raw_path) else {
            return Found::Nothing;
        };
        let with_method = matched.value.iter().find(|(taken, _)| taken == method);
        let Some(&(_, index)) = with_method else {
            let taken = matched.value.iter().map(|(taken, _)| taken.clone());
            return Found::OtherMethods(taken.collect());
        };
        let mut segments = Vec::with_capacity(matched.params.len());
        for (_, segment) in matched.params.iter() {
            match percent_decode_str(segment).decode_utf8() {
                // No id or name has a NUL, and PostgreSQL stores none.
                Ok(segment) if !segment.contains('\0') => segments.push(segment.into_owned()),
                Ok(_) | Err(_) => return Found::BadSegment,
            }
        }
        Found::Route {
            route: &self.routes[index],
            index,
            segments,
        }
    }
}

/// Whether two templates match the same paths, whatever they call their variables.
fn same_shape(left: &str, right: &str) -> bool {
    let mut left = left.split('/');
    let mut right = right.split('/');
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(left), Some(right)) if left == right || (left.starts_with('{') && right.starts_with('{')) => {}
            (_, _) => return false,
        }
    }
}

#[cfg(test)]
mod tests;
