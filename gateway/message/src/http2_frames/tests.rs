//! What is a flood, and what is not.

use super::*;

const PRIORITY: u8 = 2;
const WINDOW_UPDATE: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn guard() -> FrameGuard {
    let mut guard = FrameGuard::new(FrameLimits { control_frames: 10, header_block: 1000 });
    guard.receive(&[0; PREFACE as usize], 0).unwrap();
    guard
}

/// How many of a frame are let through within one second.
fn allowed(guard: &mut FrameGuard, bytes: &[u8], second: u32) -> usize {
    (0..100_000).take_while(|_| guard.receive(bytes, second).is_ok()).count()
}

#[test]
fn a_hundred_control_frames_and_ten_a_second() {
    for bytes in [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(DATA, 0, 1, &[]),
        frame(DATA, 8, 1, &[2, 0, 0]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(PRIORITY, 0, 1, &[0; 5]),
        frame(0xfa, 0, 0, b"unknown"),
    ] {
        let mut guard = guard();
        assert_eq!(allowed(&mut guard, &bytes, 0), 100, "{bytes:?}");
        assert_eq!(allowed(&mut guard, &bytes, 1), 10, "{bytes:?}");
        assert_eq!(allowed(&mut guard, &bytes, 4), 30, "{bytes:?}");
    }
}

#[test]
fn small_frames_of_data_are_counted() {
    let mut guard = guard();
    for size in [1, 255, 256, 1000, 5] {
        guard.receive(&frame(DATA, 0, 1, &vec![0; size]), 0).unwrap();
    }
    assert_eq!((guard.take_small_data(), guard.take_small_data()), (3, 0));
}

#[test]
fn acknowledged_settings_cost_nothing() {
    assert_eq!(allowed(&mut guard(), &frame(SETTINGS, ACK, 0, &[]), 0), 100_000);
}

#[test]
fn data_that_we_send_earns_pings_and_windows() {
    let mut guard = guard();
    assert_eq!(allowed(&mut guard, &frame(PING, 0, 0, &[0; 8]), 0), 100);
    for _ in 0..1000 {
        guard.send(&frame(DATA, 0, 1, b"x"), |_| {});
        guard.receive(&frame(PING, 0, 0, &[0; 8]), 0).unwrap();
        for _ in 0..10 {
            guard.receive(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), 0).unwrap();
        }
    }
}

#[test]
fn a_header_block_has_an_end() {
    let mut guard = guard();
    guard.receive(&frame(HEADERS, 0, 1, &[]), 0).unwrap();
    assert_eq!(allowed(&mut guard, &frame(CONTINUATION, 0, 1, b"x"), 0), 16);
    guard.receive(&frame(HEADERS, 0, 3, &[0; 600]), 0).unwrap();
    let rest = frame(CONTINUATION, 0, 3, &[0; 401]);
    assert_eq!(guard.receive(&rest, 0), Err(Flood::HeaderBlock));
}

#[test]
fn most_of_many_streams_reset_is_an_attack() {
    let mut guard = guard();
    let mut streams = 0;
    let flood = loop {
        let stream = streams * 2 + 1;
        let pair = [frame(HEADERS, 5, stream, b"x"), frame(RST_STREAM, 0, stream, &[0; 4])];
        streams += 1;
        if let Err(flood) = guard.receive(&pair.concat(), 0) {
            break flood;
        }
    };
    assert_eq!((flood, streams), (Flood::Resets, 500));
}

#[test]
fn some_of_many_streams_reset_is_not() {
    let mut guard = guard();
    for nth in 0..5000 {
        let stream = nth * 2 + 1;
        guard.receive(&frame(HEADERS, 5, stream, b"x"), 0).unwrap();
        if nth % 3 == 0 {
            guard.receive(&frame(RST_STREAM, 0, stream, &[0; 4]), 0).unwrap();
        }
    }
    // And few, all of them reset, second for second.
    for nth in 5000..20_000 {
        let stream = nth * 2 + 1;
        let second = nth / 400;
        guard.receive(&frame(HEADERS, 5, stream, b"x"), second).unwrap();
        guard.receive(&frame(RST_STREAM, 0, stream, &[0; 4]), second).unwrap();
    }
}

#[test]
fn resets_that_were_provoked_count_too() {
    let mut guard = guard();
    let mut refused = 0;
    let outcome = (0..1000).try_for_each(|nth| {
        let stream = nth * 2 + 1;
        guard.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 1]), |_| refused += 1);
        guard.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]), |_| refused += 1);
        guard.receive(&frame(HEADERS, 5, stream, b"x"), 0)
    });
    assert_eq!((outcome, refused), (Err(Flood::Resets), 500));
}
