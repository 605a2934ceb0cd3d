//! Why a head or a body was refused.

use http::StatusCode;

/// Why a head was refused. Nothing after it on the connection can be trusted: answer and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is not HTTP/1: a control byte, a folded line, a blank before a colon, HTTP/0.9.
    #[error("the head is malformed")]
    Malformed,
    /// A line ends without a carriage return.
    #[error("a line of the head ends in a bare line feed")]
    BareLineFeed,
    /// A version other than 1.0 and 1.1.
    #[error("the HTTP version is not supported")]
    Version,
    /// The request target is no URI.
    #[error("the request target is malformed")]
    Target,
    /// The request target has a fragment.
    #[error("the request target has a fragment")]
    Fragment,
    /// The request line is too long.
    #[error("the request line is too long")]
    LongLine,
    /// A field or the head as a whole is too large.
    #[error("the head is too large")]
    TooLarge,
    /// There are too many fields.
    #[error("the head has too many fields")]
    TooManyFields,
    /// `Content-Length` is not plain digits.
    #[error("Content-Length is not a plain number")]
    ContentLength,
    /// `Content-Length` is repeated.
    #[error("Content-Length is repeated")]
    RepeatedContentLength,
    /// `Transfer-Encoding` is anything else than one `chunked`, or HTTP/1.0 is spoken.
    #[error("Transfer-Encoding is not exactly `chunked`")]
    TransferEncoding,
    /// Both `Content-Length` and `Transfer-Encoding` are there.
    #[error("both Content-Length and Transfer-Encoding are given")]
    TwoLengths,
}

impl HeadError {
    /// The status that answers a request with such a head.
    pub fn status(self) -> StatusCode {
        match self {
            HeadError::LongLine => StatusCode::URI_TOO_LONG,
            HeadError::TooLarge | HeadError::TooManyFields => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            HeadError::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The response-code details for the access log.
    pub fn details(self) -> &'static str {
        match self {
            HeadError::Malformed => "http1.malformed_head",
            HeadError::BareLineFeed => "http1.bare_line_feed",
            HeadError::Version => "http1.unsupported_version",
            HeadError::Target => "http1.malformed_target",
            HeadError::Fragment => "path_fragment_refused",
            HeadError::LongLine => "http1.request_line_too_long",
            HeadError::TooLarge => "http1.head_too_large",
            HeadError::TooManyFields => "http1.too_many_fields",
            HeadError::ContentLength => "content_length_invalid",
            HeadError::RepeatedContentLength => "content_length_repeated",
            HeadError::TransferEncoding => "transfer_encoding_refused",
            HeadError::TwoLengths => "content_length_and_transfer_encoding",
        }
    }
}

/// Why a body broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A chunk does not begin with a plain hexadecimal size, or its line is malformed.
    #[error("a chunk's size line is malformed")]
    ChunkLine,
    /// A chunk is not followed by CRLF.
    #[error("a chunk is not where it should end")]
    ChunkEnd,
    /// Chunk extensions take more than their share.
    #[error("the chunk extensions are too large")]
    Extensions,
    /// The trailers are malformed.
    #[error("the trailers are malformed")]
    Trailers,
    /// The trailers are above the limits of a head.
    #[error("the trailers are too large")]
    LargeTrailers,
    /// The connection ended before the body did.
    #[error("the connection ended before the body")]
    Truncated,
}

impl FramingError {
    /// The status that answers a request with such a body while no answer is under way.
    pub fn status(self) -> StatusCode {
        match self {
            FramingError::LargeTrailers => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The response-code details for the access log.
    pub fn details(self) -> &'static str {
        match self {
            FramingError::ChunkLine => "http1.malformed_chunk_line",
            FramingError::ChunkEnd => "http1.malformed_chunk_end",
            FramingError::Extensions => "http1.chunk_extensions_too_large",
            FramingError::Trailers => "http1.malformed_trailers",
            FramingError::LargeTrailers => "http1.trailers_too_large",
            FramingError::Truncated => "http1.body_truncated",
        }
    }
}
