//! The PROXY header of whoever connects.

use portcullis_message::{ProxyHeader, read_proxy_header};

/// What is said of the first bytes is never taken back, and a header ends within what was read.
pub(crate) fn run(input: &[u8]) {
    let input = input.get(..5000).unwrap_or(input);
    let whole = read_proxy_header(input);
    if let Ok(ProxyHeader::Whole { length, .. }) = whole {
        assert!(length <= input.len(), "{length} bytes of {}", input.len());
        assert_eq!(read_proxy_header(input.get(..length).unwrap_or_default()), whole);
    }
    for end in 0..input.len().min(300) {
        let so_far = read_proxy_header(input.get(..end).unwrap_or_default());
        assert!(so_far == Ok(ProxyHeader::Incomplete) || so_far == whole, "{so_far:?} at {end}");
    }
}
