//! Logs: structured, to standard error, as text or JSON. The spans that carry request ids are opened where requests come in (api).

use std::{backtrace::Backtrace, io::IsTerminal as _, panic::PanicHookInfo};

use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{ConfigError, Log, LogFormat};

/// What is quieter than the rest unless the configuration says otherwise: its news is ours already.
const QUIET: &str = "actix_server=warn";

/// Starts logging for the whole process.
pub fn start(config: &Log) -> Result<(), ConfigError> {
    let registry = tracing_subscriber::registry().with(parse_level(config)?);
    let output = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => registry
            .with(output.with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
        LogFormat::Json => registry
            .with(output.json().flatten_event(true).with_span_list(false))
            .try_init(),
    };
    started.map_err(|error| ConfigError::Rule(format!("cannot start logging: {error}")))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// A panic is a log line like any other, with the id of the request it happened in; the backtrace is there if `RUST_BACKTRACE` asks for it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    tracing::error!(panic.place = place, %backtrace, "panicked: {}", message.unwrap_or("without a message"));
}

/// Whether logging would start.
pub(crate) fn check(config: &Log) -> Result<(), ConfigError> {
    parse_level(config).map(drop)
}

fn parse_level(config: &Log) -> Result<EnvFilter, ConfigError> {
    EnvFilter::builder()
        .parse(format!("{QUIET},{}", config.level))
        .map_err(|error| {
            let example = "it is for example info, or info,plexus_master=debug";
            ConfigError::Rule(format!("log.level is {:?}: {error}; {example}", config.level))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        let with = |level: &str| {
            check(&Log {
                level: level.to_owned(),
                format: LogFormat::Text,
            })
        };
        with("info,plexus_master=debug").expect("valid");
        let error = with("plexus_master=loud").expect_err("no level").to_string();
        assert!(error.starts_with("log.level"), "{error}");
    }
}
