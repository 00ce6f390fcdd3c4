//! `GET /versions`.

use ruma::api::client::discovery::get_supported_versions::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("versions", Auth::None, |call| Box::pin(typed(call, handle)));

/// The versions of the specification whose forms and rules this server speaks, as far as it has the endpoints.
/// Those of `r0` differ in what they lack, not in the form of what they have.
const VERSIONS: [&str; 20] = [
    "r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4",
    "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12",
];

async fn handle(_: Call, _: Request) -> Result<Response, Error> {
    Ok(Response::new(VERSIONS.map(str::to_owned).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_5360_p8_the_versions_are_those_there_were_and_oldest_first() {
        assert!(VERSIONS.contains(&"r0.5.0"), "what the announcement of 1.0 speaks");
        let rank = |version: &str| {
            let numbers = version.trim_start_matches(['r', 'v']).split('.');
            numbers
                .map(|number| number.parse().expect("a number"))
                .collect::<Vec<u32>>()
        };
        for pair in VERSIONS.windows(2) {
            assert!(rank(pair[0]) < rank(pair[1]), "{pair:?}");
        }
    }
}
