//! Envoy's `envoy.config.core.v3.GrpcService`, as far as it names a cluster.

use super::protobuf::fields;

/// The cluster of a message with `envoy_grpc.cluster_name`; `None` where the bytes are no such message, and then
/// perhaps a name.
pub(super) fn cluster_name(message: &[u8]) -> Option<&[u8]> {
    let envoy = field(message, 1)?;
    field(envoy, 1).filter(|name| !name.is_empty())
}

fn field(message: &[u8], number: u64) -> Option<&[u8]> {
    let mut found = None;
    for field in fields(message) {
        let field = field.ok()?;
        if field.number == number {
            found = field.bytes;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_cluster_and_a_name_is_no_message() {
        assert_eq!(cluster_name(b"\x0a\x06\x0a\x04auth"), Some(&b"auth"[..]));
        assert_eq!(cluster_name(b"outbound|80||auth.shop.svc"), None);
        assert_eq!(cluster_name(b"auth"), None);
        assert_eq!(cluster_name(b""), None);
    }
}
