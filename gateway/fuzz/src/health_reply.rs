//! What a gRPC server says of its health: the body of a reply to `grpc.health.v1.Health/Check`.

use portcullis_discovery::CheckReply;

/// A reply that comes in pieces says what the same bytes say at once; none is too much.
pub(crate) fn run(input: &[u8]) {
    let mut whole = CheckReply::default();
    let taken = whole.push(input);
    let mut pieces = CheckReply::default();
    let taken_in_pieces = input.chunks(3).try_for_each(|piece| pieces.push(piece));
    assert_eq!(taken.is_ok(), taken_in_pieces.is_ok());
    if taken.is_ok() {
        assert_eq!(whole.read(), pieces.read());
    }
}
