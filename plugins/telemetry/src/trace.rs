//! The identity of a trace, read from whichever header carries it: `traceparent`, B3, or the load balancer's own.

use portcullis_sdk::Headers;

/// 128 bits in lower-case hex.
pub(crate) type TraceId = Hex<32>;
/// 64 bits in lower-case hex.
pub(crate) type SpanId = Hex<16>;

/// Hex digits in lower case, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    /// From exactly N hex digits in either case.
    pub(crate) fn read(digits: &[u8]) -> Option<Self> {
        let mut hex: [u8; N] = digits.try_into().ok()?;
        hex.make_ascii_lowercase();
        let is_hex = hex.iter().all(u8::is_ascii_hexdigit);
        (is_hex && hex.iter().any(|digit| *digit != b'0')).then_some(Hex(hex))
    }

    /// The last digits of a number; never all zero.
    pub(crate) fn write(number: u128) -> Self {
        let mut rest = if number == 0 { 1 } else { number };
        let mut hex = [b'0'; N];
        for digit in hex.iter_mut().rev() {
            *digit = b"0123456789abcdef".get((rest & 0xf) as usize).copied().unwrap_or(b'0');
            rest >>= 4;
        }
        Hex(hex)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a request says about its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) trace_id: TraceId,
    /// The caller's span.
    pub(crate) parent: Option<SpanId>,
    pub(crate) sampling: Sampling,
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampling {
    Sampled,
    NotSampled,
}

/// Where the identity was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Traceparent,
    OtherHeader,
    Begun,
}

impl TraceContext {
    /// Whether the upstream gets the identity without our help.
    pub(crate) fn is_in_traceparent(&self) -> bool {
        self.origin == Origin::Traceparent
    }

    /// The header of W3C Trace Context, version 00.
    pub(crate) fn traceparent(&self, parent: &SpanId) -> Vec<u8> {
        let flags: &[u8] = match self.sampling {
            Sampling::Sampled => b"-01",
            Sampling::NotSampled => b"-00",
        };
        [b"00-", self.trace_id.as_bytes(), b"-", parent.as_bytes(), flags].concat()
    }
}

/// The first good identity, `traceparent` before B3 before `x-amzn-trace-id`; a malformed header is as good as none.
pub(crate) fn read(headers: &Headers) -> Option<TraceContext> {
    let from = |name: &str, read: fn(&[u8]) -> Option<TraceContext>| {
        headers.first(name).and_then(|value| read(value.trim_ascii()))
    };
    from("traceparent", read_traceparent)
        .or_else(|| from("b3", read_b3))
        .or_else(|| read_b3_headers(headers))
        .or_else(|| from("x-amzn-trace-id", read_amazon))
}

/// `00-TRACE-PARENT-FLAGS`; a later version may have more behind it.
fn read_traceparent(value: &[u8]) -> Option<TraceContext> {
    let (version, rest) = split_hex::<2>(value)?;
    let (trace_id, rest) = rest.strip_prefix(b"-")?.split_at_checked(32)?;
    let (parent, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    let (flags, rest) = split_hex::<2>(rest.strip_prefix(b"-")?)?;
    let is_complete = match version {
        b"ff" => false,
        b"00" => rest.is_empty(),
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    let is_lower = !value.iter().any(u8::is_ascii_uppercase);
    (is_complete && is_lower).then_some(())?;
    let sampled = flags.last().is_some_and(|digit| (*digit & 1 == 1) ^ digit.is_ascii_alphabetic());
    Some(TraceContext {
        trace_id: Hex::read(trace_id)?,
        parent: Some(Hex::read(parent)?),
        sampling: sampling(sampled),
        origin: Origin::Traceparent,
    })
}

fn split_hex<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (digits, rest) = bytes.split_at_checked(N)?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some((digits, rest))
}

/// `TRACE-SPAN[-SAMPLED[-PARENT]]`; a lone sampling decision has no identity.
fn read_b3(value: &[u8]) -> Option<TraceContext> {
    let mut parts = value.split(|byte| *byte == b'-');
    let trace_id = read_b3_trace_id(parts.next()?)?;
    let parent = Hex::read(parts.next()?)?;
    let sampled = matches!(parts.next(), Some(b"1" | b"d"));
    Some(TraceContext {
        trace_id,
        parent: Some(parent),
        sampling: sampling(sampled),
        origin: Origin::OtherHeader,
    })
}

fn read_b3_headers(headers: &Headers) -> Option<TraceContext> {
    let trace_id = read_b3_trace_id(headers.first("x-b3-traceid")?.trim_ascii())?;
    let parent = headers.first("x-b3-spanid").and_then(|value| Hex::read(value.trim_ascii()));
    let sampled =
        headers.first("x-b3-sampled").is_some_and(|value| matches!(&*value, b"1" | b"true"));
    Some(TraceContext {
        trace_id,
        parent,
        sampling: sampling(sampled),
        origin: Origin::OtherHeader,
    })
}

/// 128 bits, or 64 that are padded.
fn read_b3_trace_id(digits: &[u8]) -> Option<TraceId> {
    match digits.len() {
        16 => Hex::read(&[b"0000000000000000", digits].concat()),
        _ => Hex::read(digits),
    }
}

/// `Root=1-TIME-RANDOM;Parent=…;Sampled=…`: time and random part together are the identity.
fn read_amazon(value: &[u8]) -> Option<TraceContext> {
    let field = |name: &[u8]| {
        let mut fields = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        fields.find_map(|field| field.strip_prefix(name))
    };
    let (time, random) = field(b"Root=1-")?.split_at_checked(8)?;
    let trace_id = Hex::read(&[time, random.strip_prefix(b"-")?].concat())?;
    Some(TraceContext {
        trace_id,
        parent: field(b"Parent=").and_then(Hex::read),
        sampling: sampling(field(b"Sampled=") == Some(b"1")),
        origin: Origin::OtherHeader,
    })
}

fn sampling(sampled: bool) -> Sampling {
    if sampled { Sampling::Sampled } else { Sampling::NotSampled }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn text<const N: usize>(hex: Hex<N>) -> String {
        String::from_utf8(hex.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_traceparent_is_read_and_written_alike() {
        for flags in ["00", "01"] {
            let value = format!("00-{TRACE}-{SPAN}-{flags}");
            let context = read_traceparent(value.as_bytes()).unwrap();
            assert_eq!(context.traceparent(&context.parent.unwrap()), value.as_bytes());
        }
    }

    #[test]
    fn the_lowest_bit_of_the_flags_is_the_sampling() {
        for (flags, expected) in [
            ("0b", Sampling::Sampled),
            ("0a", Sampling::NotSampled),
            ("ff", Sampling::Sampled),
            ("03", Sampling::Sampled),
            ("fe", Sampling::NotSampled),
        ] {
            let value = format!("00-{TRACE}-{SPAN}-{flags}");
            assert_eq!(read_traceparent(value.as_bytes()).unwrap().sampling, expected, "{flags}");
        }
    }

    #[test]
    fn malformed_traceparents_are_none() {
        let zero = "0".repeat(32);
        for value in [
            String::new(),
            "00".into(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-x"),
            format!("00-{TRACE}-{SPAN}-01x"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{}g-{SPAN}-01", &TRACE[..31]),
        ] {
            assert_eq!(read_traceparent(value.as_bytes()), None, "{value}");
        }
        assert!(read_traceparent(format!("01-{TRACE}-{SPAN}-01-later").as_bytes()).is_some());
    }

    #[test]
    fn b3_has_long_and_short_identities() {
        let long = read_b3(format!("{TRACE}-{SPAN}-1-{SPAN}").as_bytes()).unwrap();
        assert_eq!((text(long.trace_id), long.sampling), (TRACE.to_owned(), Sampling::Sampled));
        let short = read_b3(format!("{SPAN}-{SPAN}-0").as_bytes()).unwrap();
        assert_eq!(text(short.trace_id), format!("0000000000000000{SPAN}"));
        for value in ["0", "1", "", "d", "xyz-abc", TRACE] {
            assert_eq!(read_b3(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn amazons_root_is_found_among_its_fields() {
        let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
        for value in [root.to_owned(), format!("Self=1-67891234-12456789abcdef012345678;{root}")] {
            let context = read_amazon(value.as_bytes()).unwrap();
            assert_eq!(text(context.trace_id), "5759e988bd862e3fe1be46a994272793");
            assert_eq!((context.parent, context.sampling), (None, Sampling::NotSampled));
        }
        let full = format!("{root};Parent=53995c3f42cd8ad8;Sampled=1");
        let context = read_amazon(full.as_bytes()).unwrap();
        assert_eq!(text(context.parent.unwrap()), "53995c3f42cd8ad8");
        assert_eq!(context.sampling, Sampling::Sampled);
        for value in [
            "",
            "Root=",
            "Root=1-",
            "Root=1-5759e988",
            "Root=1-5759e988-zz",
            "Root=2-5759e988-bd86",
        ] {
            assert_eq!(read_amazon(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn numbers_are_written_in_full_and_never_as_zero() {
        assert_eq!(text(Hex::<16>::write(0xab)), "00000000000000ab");
        assert_eq!(text(Hex::<32>::write(0)), format!("{}1", "0".repeat(31)));
    }
}
