//! The program's own log: standard error, one line a message, its level changeable while it runs.

use std::fmt::Write as _;
use std::sync::Arc;

use portcullis_admin::SetLogLevel;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, reload};

/// Starts logging from a level on.
///
/// # Errors
/// Names the levels where `level` is none of them.
pub(crate) fn start(level: &str) -> Result<SetLogLevel, String> {
    let (filter, handle) = reload::Layer::new(parse(level)?);
    let format = OneLine(fmt::format().with_ansi(false).with_target(false));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false).event_format(format);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| format!("the log is started already: {error}"))?;
    Ok(Arc::new(move |level| {
        handle.reload(parse(level)?).map_err(|error| format!("the level was not changed: {error}"))
    }))
}

fn parse(level: &str) -> Result<LevelFilter, String> {
    level.parse().map_err(|_| {
        format!("`{level}` is no log level; the levels are off, error, warn, info, debug and trace")
    })
}

/// Writes as another format does, but a message on one line: some come with a trap's backtrace, or with what
/// a plugin or a file says.
struct OneLine<F>(F);

impl<S, N, F> FormatEvent<S, N> for OneLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{}", escaped(line.trim_end_matches('\n')))
    }
}

/// A text whose control characters cannot be mistaken for the end of a line or a terminal's orders.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            // Writing to a String does not fail.
            let _ = write!(escaped, "{}", character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(escaped("a\nb\u{1b}[31mc"), "a\\nb\\u{1b}[31mc");
        assert_eq!(escaped("plain, with ü"), "plain, with ü");
    }
}
