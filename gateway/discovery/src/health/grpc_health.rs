//! The messages of `grpc.health.v1.Health/Check`: few enough to be written and read by hand.

use bytes::{BufMut, Bytes, BytesMut};

/// The prefix of a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// A longer answer is none.
const MOST: usize = 4096;

/// What a server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// It serves.
    Yes,
    /// It does not.
    No,
    /// It does not say, or does not know the service.
    Unknown,
}

/// The answer while it comes in.
#[derive(Debug, Default)]
pub struct CheckReply {
    bytes: BytesMut,
}

impl CheckReply {
    /// Takes in a piece of the body.
    ///
    /// # Errors
    /// It is longer than any answer.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), &'static str> {
        if self.bytes.len() + piece.len() > MOST {
            return Err("the answer is too long");
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// What the whole body says.
    ///
    /// # Errors
    /// It is not one `HealthCheckResponse`.
    pub fn read(&self) -> Result<Serving, &'static str> {
        let (prefix, message) = self.bytes.split_at_checked(PREFIX).ok_or("the answer is empty")?;
        let [compressed, length @ ..] = prefix else { return Err("the answer is empty") };
        if *compressed != 0 {
            return Err("the answer is compressed");
        }
        let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        if length != message.len() {
            return Err("the answer's length is wrong");
        }
        read_status(message).ok_or("the answer is no HealthCheckResponse")
    }
}

/// The body of a request about a service, empty for the server as a whole.
pub(crate) fn check_request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        // Field 1, a text.
        message.put_u8(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).unwrap_or(0));
    body.put_slice(&message);
    body.freeze()
}

/// Field 1, a number; others are passed over. Of several the last counts.
fn read_status(mut rest: &[u8]) -> Option<Serving> {
    let mut status = 0;
    while !rest.is_empty() {
        let (key, after) = varint(rest)?;
        rest = match (key >> 3, key & 7) {
            (1, 0) => {
                let (value, after) = varint(after)?;
                status = value;
                after
            }
            (0, _) => return None,
            (_, 0) => varint(after)?.1,
            (_, 1) => after.get(8..)?,
            (_, 2) => {
                let (length, after) = varint(after)?;
                after.get(usize::try_from(length).ok()?..)?
            }
            (_, 5) => after.get(4..)?,
            _ => return None,
        };
    }
    Some(match status {
        1 => Serving::Yes,
        2 => Serving::No,
        _ => Serving::Unknown,
    })
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (nth, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * nth);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(nth + 1..)?));
        }
    }
    None
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Serving, &'static str> {
        let mut reply = CheckReply::default();
        for piece in pieces {
            reply.push(piece)?;
        }
        reply.read()
    }

    #[test]
    fn a_status_is_read_whatever_stands_beside_it() {
        assert_eq!(read(&[b"\0\0\0\0\x02\x08\x01"]), Ok(Serving::Yes));
        assert_eq!(read(&[b"\0\0\0", b"\0\x02\x08", b"\x02"]), Ok(Serving::No));
        assert_eq!(read(&[b"\0\0\0\0\0"]), Ok(Serving::Unknown));
        assert_eq!(read(&[b"\0\0\0\0\x07\x12\x01x\x08\x01\x18\x05"]), Ok(Serving::Yes));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [
            &b""[..],
            b"\0\0\0\0",
            b"\x01\0\0\0\0",
            b"\0\0\0\0\x03\x08\x01",
            b"\0\xff\xff\xff\xff\x08\x01",
            b"\0\0\0\0\x01\x08",
            b"\0\0\0\0\x02\x0a\x7f",
            b"\0\0\0\0\x02\x0f\x01",
            b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ] {
            assert!(read(&[bytes]).is_err(), "{bytes:?}");
        }
        assert!(read(&[&[0; MOST], b"x"]).is_err());
    }

    #[test]
    fn a_request_names_its_service() {
        assert_eq!(&*check_request(""), b"\0\0\0\0\0");
        assert_eq!(&*check_request("shop"), b"\0\0\0\0\x06\x0a\x04shop");
        let long = check_request(&"x".repeat(200));
        assert_eq!(long.get(..8), Some(&b"\0\0\0\0\xcb\x0a\xc8\x01"[..]));
    }
}
