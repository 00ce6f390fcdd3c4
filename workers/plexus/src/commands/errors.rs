//! `plexus errors`: every error a client can get.

use plexus_api::error::CATALOGUE;

use super::Outcome;

#[expect(clippy::unnecessary_wraps, reason = "every command has the same form")]
pub(super) fn run() -> Outcome {
    for code in CATALOGUE {
        println!("{:<32} {}  {}", code.errcode, code.status, code.when);
    }
    Ok(())
}
