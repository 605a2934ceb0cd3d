//! The heads of HTTP/2 frames as a client sends them, whole and cut into pieces, and as we send them.

use portcullis_message::{Flood, FrameGuard, FrameLimits};

/// A connection is judged the same whichever way its bytes arrive.
pub(crate) fn run(input: &[u8]) {
    let (size, bytes) = input.split_first().unwrap_or((&0, &[]));
    let mut whole = guard();
    let verdict = whole.receive(bytes, 0);
    let mut pieces = guard();
    let chunks = bytes.chunks(usize::from(*size).max(1));
    let verdicts: Vec<Result<(), Flood>> = chunks.map(|chunk| pieces.receive(chunk, 0)).collect();
    let first = verdicts.into_iter().find(Result::is_err).unwrap_or(Ok(()));
    assert_eq!(verdict, first, "in pieces of {size}");
    assert_eq!(whole.last_stream(), pieces.last_stream());
    sent(bytes, usize::from(*size).max(1));
}

/// The same streams are told, and the end of a frame is found.
fn sent(bytes: &[u8], size: usize) {
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let mut guard_of_whole = guard();
    guard_of_whole.send(bytes, |refused| whole.push(refused));
    let mut guard_of_pieces = guard();
    bytes
        .chunks(size)
        .for_each(|chunk| guard_of_pieces.send(chunk, |refused| pieces.push(refused)));
    assert_eq!(whole, pieces);
    assert_eq!(guard_of_whole.may_send_frame(), guard_of_pieces.may_send_frame());
}

fn guard() -> FrameGuard {
    FrameGuard::new(FrameLimits { control_frames: 10, header_block: 1 << 16 })
}
