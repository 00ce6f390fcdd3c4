//! `plexus routes`: the table that everything about an endpoint comes from.

use plexus_api::routes::{ROUTES, print};

use super::Outcome;
use crate::cli::RoutesFormat;

#[expect(clippy::unnecessary_wraps, reason = "every command has the same form")]
pub(super) fn run(format: RoutesFormat) -> Outcome {
    let text = match format {
        RoutesFormat::Table => print::table(ROUTES),
        RoutesFormat::Nginx => print::nginx(ROUTES),
        RoutesFormat::Json => print::json(ROUTES),
    };
    print!("{text}");
    Ok(())
}
