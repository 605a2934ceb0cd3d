//! Tests of the PROXY header's reader.

use proptest::prelude::*;

use super::*;

fn whole(length: usize, source: Option<&str>) -> Result<ProxyHeader, ProxyHeaderError> {
    let source = source.map(|source| source.parse().unwrap());
    Ok(ProxyHeader::Whole { length, source })
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = V2.to_vec();
    header.extend([0x20 | command, family]);
    header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    header.extend(rest);
    header
}

fn v4() -> Vec<u8> {
    vec![192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80]
}

fn v6() -> Vec<u8> {
    let addresses: [Ipv6Addr; 2] = ["2001:db8::1".parse().unwrap(), "::1".parse().unwrap()];
    let mut rest: Vec<u8> = addresses.iter().flat_map(Ipv6Addr::octets).collect();
    rest.extend([0x12, 0x67, 0, 80]);
    rest
}

#[test]
fn lines_of_version_1() {
    for (line, source) in [
        ("PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n", Some("192.0.2.1:4711")),
        ("PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", Some("[2001:db8::1]:4711")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 0 443\r\n", Some("[::ffff:192.0.2.1]:0")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN whatever 1 2 3\r\n", None),
    ] {
        assert_eq!(read_proxy_header(line.as_bytes()), whole(line.len(), source), "{line}");
        let followed = format!("{line}GET / HTTP/1.1\r\n");
        assert_eq!(read_proxy_header(followed.as_bytes()), whole(line.len(), source), "{line}");
    }
}

#[test]
fn lines_that_are_none() {
    for line in [
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY  TCP4 192.0.2.1 10.0.0.1 4711 80\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80 \r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n",
        "PROXY TCP4 192.0.2.01 10.0.0.1 4711 80\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 04711 80\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 +4711 80\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4711 \r\n",
        "PROXY TCP4 2001:db8::1 10.0.0.1 4711 80\r\n",
        "PROXY TCP6 192.0.2.1 ::1 4711 80\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 4711 80\r\n",
        "PROXY UDP4 192.0.2.1 10.0.0.1 4711 80\r\n",
        "PROXY tcp4 192.0.2.1 10.0.0.1 4711 80\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY UNKNOWN \u{7f}\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\rX",
        "PROXYTCP4 192.0.2.1 10.0.0.1 4711 80\r\n",
    ] {
        assert_eq!(read_proxy_header(line.as_bytes()), Err(ProxyHeaderError::Line), "{line:?}");
    }
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_LONGEST - 16));
    assert_eq!(read_proxy_header(longest.as_bytes()), whole(V1_LONGEST, None));
    let longer = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_LONGEST - 15));
    assert_eq!(read_proxy_header(longer.as_bytes()), Err(ProxyHeaderError::Line));
}

#[test]
fn headers_of_version_2() {
    let with = |mut addresses: Vec<u8>, tlvs: &[u8]| {
        addresses.extend(tlvs);
        addresses
    };
    for (header, source) in [
        (binary(1, 0x11, &v4()), Some("192.0.2.1:4711")),
        (binary(1, 0x21, &v6()), Some("[2001:db8::1]:4711")),
        // An NLB's VPC endpoint, and padding.
        (binary(1, 0x11, &with(v4(), b"\xEA\0\x02\x01x\x04\0\0")), Some("192.0.2.1:4711")),
        (binary(0, 0x00, &[]), None),
        (binary(0, 0x11, &v4()), None),
        (binary(0, 0x11, b"whatever"), None),
        (binary(1, 0x00, b"whatever"), None),
        (binary(1, 0x12, &v4()), None),
        (binary(1, 0x31, &[0; 216]), None),
    ] {
        assert_eq!(read_proxy_header(&header), whole(header.len(), source), "{header:?}");
        assert_eq!(read_proxy_header(&[&header[..], b"GET"].concat()), whole(header.len(), source));
    }
}

#[test]
fn binary_headers_that_are_none() {
    use ProxyHeaderError::{Binary, TooLong};
    let of_version_1 = [&V2[..], &[0x11, 0x11, 0, 0]].concat();
    let too_long = [&V2[..], &[0x21, 0x11, 0x10, 0]].concat();
    for (header, error) in [
        (of_version_1, Binary),
        (binary(2, 0x11, &v4()), Binary),
        (binary(1, 0x41, &v4()), Binary),
        (binary(0, 0x13, &v4()), Binary),
        (binary(1, 0x11, &v4()[..11]), Binary),
        (binary(1, 0x21, &v4()), Binary),
        (binary(1, 0x11, &[&v4()[..], b"\x01\0\x05x"].concat()), Binary),
        (binary(1, 0x11, &[&v4()[..], b"\x01"].concat()), Binary),
        (binary(1, 0x11, &[&v4()[..], b"\x03\0\x01x"].concat()), Binary),
        (too_long, TooLong),
    ] {
        assert_eq!(read_proxy_header(&header), Err(error), "{header:?}");
    }
}

#[test]
fn a_checksum_is_checked() {
    let mut header = binary(1, 0x11, &[&v4()[..], b"\x03\0\x04\0\0\0\0\x04\0\x01x"].concat());
    let sum = crc32c_without(&header, 31..35);
    header[31..35].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(read_proxy_header(&header), whole(header.len(), Some("192.0.2.1:4711")));
    header[17] ^= 1;
    assert_eq!(read_proxy_header(&header), Err(ProxyHeaderError::Checksum));
}

#[test]
fn what_else_a_connection_begins_with() {
    for bytes in
        [&b"GET / HTTP/1.1"[..], b"PROPFIND / ", b"PRI * HTTP/2.0", b"\x16\x03\x01", b"\r\n\r\nG"]
    {
        assert_eq!(read_proxy_header(bytes), Ok(ProxyHeader::Absent), "{bytes:?}");
    }
    assert_eq!(read_proxy_header(b""), Ok(ProxyHeader::Incomplete));
}

fn any_header() -> impl Strategy<Value = Vec<u8>> {
    let v4 = (any::<Ipv4Addr>(), any::<Ipv4Addr>(), any::<u16>(), any::<u16>());
    let v6 = (any::<Ipv6Addr>(), any::<Ipv6Addr>(), any::<u16>(), any::<u16>());
    prop_oneof![
        v4.prop_map(|(a, b, c, d)| format!("PROXY TCP4 {a} {b} {c} {d}\r\n").into_bytes()),
        v6.prop_map(|(a, b, c, d)| format!("PROXY TCP6 {a} {b} {c} {d}\r\n").into_bytes()),
        proptest::collection::vec(any::<u8>(), 12).prop_map(|rest| binary(1, 0x11, &rest)),
        proptest::collection::vec(any::<u8>(), 36).prop_map(|rest| binary(1, 0x21, &rest)),
        proptest::collection::vec(any::<u8>(), 0..60).prop_map(|rest| binary(0, 0x00, &rest)),
    ]
}

proptest! {
    /// Whatever a header is cut into, all but the last piece say that more is needed, and what follows it is
    /// never touched.
    #[test]
    fn a_header_may_come_in_any_pieces(header in any_header(), follows in any::<Vec<u8>>()) {
        let whole = read_proxy_header(&header).unwrap();
        let ProxyHeader::Whole { length, .. } = whole else { panic!("{whole:?}") };
        prop_assert_eq!(length, header.len());
        for end in 0..header.len() {
            prop_assert_eq!(read_proxy_header(&header[..end]), Ok(ProxyHeader::Incomplete));
        }
        prop_assert_eq!(read_proxy_header(&[header, follows].concat()), Ok(whole));
    }

    /// What is said of the first bytes is never taken back.
    #[test]
    fn a_verdict_is_final(bytes in proptest::collection::vec(prop_oneof![
        Just(b'P'), Just(b'R'), Just(b'O'), Just(b'X'), Just(b'Y'), Just(b' '), Just(b'\r'), Just(b'\n'), any::<u8>(),
    ], 0..200)) {
        let mut verdict = Ok(ProxyHeader::Incomplete);
        for end in 0..=bytes.len() {
            let next = read_proxy_header(&bytes[..end]);
            if verdict != Ok(ProxyHeader::Incomplete) {
                prop_assert_eq!(next, verdict);
            }
            verdict = next;
        }
    }
}
