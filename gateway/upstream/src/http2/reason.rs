//! What the HTTP/2 library's errors mean.

use std::io;

use h2::Reason;
use portcullis_message::BodyError;

use crate::failure::UpstreamFailure;

/// Why a stream got no reply, or no more of it.
pub(crate) fn failure_of(error: &h2::Error) -> UpstreamFailure {
    if let Some(error) = error.get_io() {
        return of_io(error);
    }
    if is_unprocessed(error) {
        return UpstreamFailure::Refused;
    }
    let reason = error.reason().map_or("", name_of);
    if error.is_remote() {
        let what = if error.is_go_away() { "connection" } else { "stream" };
        return UpstreamFailure::Reset(format!("the upstream ended the {what} with {reason}"));
    }
    if error.is_library() {
        return UpstreamFailure::Protocol(format!("HTTP/2 {reason}"));
    }
    UpstreamFailure::Reset(error.to_string())
}

/// Whether the upstream says that it has not looked at the request: it refused the stream (RFC 9113 section 8.7), or
/// the stream is above the last that its GOAWAY names (section 6.8).
pub(crate) fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM)))
}

/// The same for the body of a reply.
pub(crate) fn body_error(error: &h2::Error) -> BodyError {
    BodyError::Io(io::Error::other(failure_of(error)))
}

fn of_io(error: &io::Error) -> UpstreamFailure {
    match error.kind() {
        // The library's word for the end of the stream.
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => UpstreamFailure::Closed,
        // What ended it was the guard of frames.
        io::ErrorKind::Other => UpstreamFailure::Protocol(error.to_string()),
        _ => UpstreamFailure::from_io(error),
    }
}

fn name_of(reason: Reason) -> &'static str {
    match reason {
        Reason::NO_ERROR => "NO_ERROR",
        Reason::PROTOCOL_ERROR => "PROTOCOL_ERROR",
        Reason::INTERNAL_ERROR => "INTERNAL_ERROR",
        Reason::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
        Reason::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
        Reason::STREAM_CLOSED => "STREAM_CLOSED",
        Reason::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
        Reason::REFUSED_STREAM => "REFUSED_STREAM",
        Reason::CANCEL => "CANCEL",
        Reason::COMPRESSION_ERROR => "COMPRESSION_ERROR",
        Reason::CONNECT_ERROR => "CONNECT_ERROR",
        Reason::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
        Reason::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
        Reason::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
        _ => "an unknown error",
    }
}
