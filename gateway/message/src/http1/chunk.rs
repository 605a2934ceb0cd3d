//! The chunked coding (RFC 9112 section 7.1), read strictly: CRLF only, plain sizes, bounded extensions.

use bytes::BytesMut;

use crate::http1::decoded::{Decoded, take};
use crate::http1::error::FramingError;
use crate::http1::limits::Limits;
use crate::http1::trailers::TrailerReader;

/// The longest line that begins a chunk.
const LINE: usize = 1024;
/// The most bytes of extensions that one body may have: they carry nothing.
const EXTENSIONS: usize = 16 << 10;

/// Where in a chunked body the reader is.
#[derive(Debug)]
pub(crate) struct Chunks {
    place: Place,
    extensions: usize,
    /// On the trailers.
    pub(crate) limits: Limits,
}

impl Default for Chunks {
    fn default() -> Self {
        Chunks { place: Place::Line, extensions: 0, limits: Limits::REQUEST }
    }
}

#[derive(Debug)]
enum Place {
    Line,
    Data(u64),
    End,
    Trailers(TrailerReader),
}

impl Chunks {
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, FramingError> {
        loop {
            match &mut self.place {
                Place::Line => match self.read_line(buffer)? {
                    Some(0) => self.place = Place::Trailers(TrailerReader::default()),
                    Some(size) => self.place = Place::Data(size),
                    None => return Ok(Decoded::NeedMore),
                },
                Place::Data(left) => {
                    let decoded = take(buffer, *left);
                    if let Decoded::Data(data) = &decoded {
                        *left -= data.len() as u64;
                    }
                    if *left == 0 {
                        self.place = Place::End;
                    }
                    return Ok(decoded);
                }
                Place::End => match skip_line_end(buffer)? {
                    Skipped::Yes => self.place = Place::Line,
                    Skipped::NotYet => return Ok(Decoded::NeedMore),
                },
                Place::Trailers(reader) => return reader.read(buffer, &self.limits),
            }
        }
    }

    /// The size of the next chunk; `None` where its line is not complete.
    fn read_line(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, FramingError> {
        let Some(end) = buffer.iter().take(LINE).position(|byte| *byte == b'\n') else {
            // What cannot become a line any more is refused now; nobody may wait for its end.
            let (digits, _) = split_size(buffer);
            let hopeless = buffer.len() >= LINE || digits.len() > MOST_DIGITS;
            return if hopeless { Err(FramingError::ChunkLine) } else { Ok(None) };
        };
        let line = buffer.split_to(end + 1);
        let line = line.strip_suffix(b"\r\n").ok_or(FramingError::ChunkLine)?;
        let (digits, rest) = split_size(line);
        let size = read_size(digits)?;
        check_extension(rest)?;
        self.extensions += rest.len();
        if self.extensions > EXTENSIONS { Err(FramingError::Extensions) } else { Ok(Some(size)) }
    }
}

/// Digits of the largest size.
const MOST_DIGITS: usize = 16;

fn split_size(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    line.split_at(end)
}

fn read_size(digits: &[u8]) -> Result<u64, FramingError> {
    if digits.is_empty() || digits.len() > MOST_DIGITS {
        return Err(FramingError::ChunkLine);
    }
    Ok(digits.iter().fold(0, |size, digit| {
        size << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or_default())
    }))
}

/// Extensions are ignored, but what could end a line for somebody else is not let pass.
fn check_extension(rest: &[u8]) -> Result<(), FramingError> {
    let plain = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    match rest {
        [] => Ok(()),
        [b';', extension @ ..] if extension.iter().all(plain) => Ok(()),
        _ => Err(FramingError::ChunkLine),
    }
}

enum Skipped {
    Yes,
    NotYet,
}

fn skip_line_end(buffer: &mut BytesMut) -> Result<Skipped, FramingError> {
    match **buffer {
        [b'\r', b'\n', ..] => {
            let _ = buffer.split_to(2);
            Ok(Skipped::Yes)
        }
        [] | [b'\r'] => Ok(Skipped::NotYet),
        _ => Err(FramingError::ChunkEnd),
    }
}
