//! `--access-log 'FORMAT'`.

use portcullis_exchange::Exchange;
use portcullis_telemetry::AccessLogFormat;

/// A format is refused, or writes a line that ends once.
pub(crate) fn run(input: &[u8]) {
    let format = String::from_utf8_lossy(input);
    let Ok(compiled) = AccessLogFormat::compile(&format) else { return };
    let mut line = Vec::new();
    compiled.write(&Exchange::for_test(), &mut line);
    assert!(line.ends_with(b"\n"), "{format:?} writes an unfinished line");
    let written = format.bytes().filter(|byte| *byte == b'\n').count();
    let breaks = line.iter().filter(|byte| **byte == b'\n').count();
    assert!(breaks <= written + 1, "{format:?} writes line breaks that nobody asked for");
    assert!(std::str::from_utf8(&line).is_ok(), "{format:?} writes what is no text");
}
