//! The first bytes of a TLS connection.

use portcullis_message::{FirstBytes, read_client_hello};

/// An answer is never taken back, however the bytes were cut; a name is in its one form.
pub(crate) fn run(input: &[u8]) {
    let answer = read_client_hello(input);
    let (half, quarter) = (input.len() / 2, input.len() / 4);
    for end in [half, quarter, half + quarter, input.len().saturating_sub(1)] {
        let early = input.get(..end).map_or(FirstBytes::NeedMore, read_client_hello);
        assert!(early == FirstBytes::NeedMore || early == answer, "{early:?}, then {answer:?}");
    }
    if let FirstBytes::Hello(hello) = answer
        && let Some(name) = hello.server_name
    {
        let plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
        assert!(!name.is_empty() && name.len() <= 253 && name.bytes().all(plain), "{name:?}");
    }
}
