//! The first message of a TLS connection, read without ending TLS: which server the client asks for.

use std::borrow::Cow;
use std::net::IpAddr;

/// No more than this many bytes of a connection are looked at, in whatever records they come.
pub const MOST_HELLO: usize = 16 * 1024;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// The beginning of a ClientHello, so far.
    NeedMore,
    /// No ClientHello, a broken one, or one longer than [`MOST_HELLO`].
    NotTls,
    /// A whole ClientHello, whatever follows it.
    Hello(ClientHello),
}

/// What a ClientHello says to whoever passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The server that the client asks for (SNI, RFC 6066 section 3) in lower case, without trailing dot; `None`
    /// where it names none, or an address, which is none.
    pub server_name: Option<Box<str>>,
}

/// Reads the first bytes of a connection: a ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2) in one
/// record or several. Asked again with more bytes, it never takes an answer back other than `NeedMore`.
pub fn read_client_hello(bytes: &[u8]) -> FirstBytes {
    let Some(looked_at) = bytes.get(..bytes.len().min(MOST_HELLO)) else {
        return FirstBytes::NotTls;
    };
    match whole_message(looked_at) {
        Some(Message::Whole(body)) => {
            read_body(&body).map_or(FirstBytes::NotTls, FirstBytes::Hello)
        }
        Some(Message::Begun) if looked_at.len() < MOST_HELLO => FirstBytes::NeedMore,
        Some(Message::Begun) | None => FirstBytes::NotTls,
    }
}

/// The record type of handshake messages.
const HANDSHAKE: u8 = 22;
/// The handshake message that a client begins with.
const CLIENT_HELLO: u8 = 1;
/// The most that one record may carry.
const MOST_RECORD: usize = 1 << 14;
/// Type and length of a handshake message.
const MESSAGE_HEAD: usize = 4;

/// How much of the handshake message is there.
enum Message<'b> {
    Begun,
    /// Its body.
    Whole(Cow<'b, [u8]>),
}

/// Puts the message together from its records; `None` where it cannot become a ClientHello.
fn whole_message(bytes: &[u8]) -> Option<Message<'_>> {
    let mut head: Vec<u8> = Vec::with_capacity(MESSAGE_HEAD);
    let mut come = 0;
    let mut end = None;
    for fragment in fragments(bytes) {
        let fragment = fragment?;
        head.extend(fragment.iter().take(MESSAGE_HEAD - head.len()));
        come += fragment.len();
        end = end_of(&head)?;
        if end.is_some_and(|end| come >= end) {
            // What follows is not looked at.
            break;
        }
    }
    let Some(end) = end.filter(|end| come >= *end) else { return Some(Message::Begun) };
    let first = fragments(bytes).next()??;
    let body = match first.get(MESSAGE_HEAD..end) {
        Some(body) => Cow::Borrowed(body),
        None => fragments(bytes)
            .flatten()
            .flatten()
            .take(end)
            .skip(MESSAGE_HEAD)
            .copied()
            .collect::<Vec<u8>>()
            .into(),
    };
    Some(Message::Whole(body))
}

/// Where the message ends, once its head says so; `None` where it cannot become a ClientHello.
fn end_of(head: &[u8]) -> Option<Option<usize>> {
    if head.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return None;
    }
    let Some([_, high, middle, low]) = head.first_chunk::<MESSAGE_HEAD>() else {
        return Some(None);
    };
    let length = u32::from_be_bytes([0, *high, *middle, *low]);
    let end = MESSAGE_HEAD + usize::try_from(length).ok()?;
    (end <= MOST_HELLO).then_some(Some(end))
}

/// What the records carry, the last one as far as it has come; `None` for a record that has no place here.
fn fragments(mut bytes: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut broken = false;
    std::iter::from_fn(move || {
        if bytes.is_empty() || broken {
            return None;
        }
        let fragment = next_fragment(&mut bytes);
        broken = fragment.is_none();
        Some(fragment)
    })
}

fn next_fragment<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    // As soon as a byte is wrong, waiting for the others is no use.
    let wrong = |at: usize, is_right: fn(u8) -> bool| bytes.get(at).is_some_and(|b| !is_right(*b));
    if wrong(0, |kind| kind == HANDSHAKE) || wrong(1, |major| major == 3) {
        return None;
    }
    let Some(([_, _, _, high, low], rest)) = bytes.split_first_chunk() else {
        *bytes = &[];
        return Some(&[]);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length == 0 || length > MOST_RECORD {
        return None;
    }
    let (fragment, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
    *bytes = rest;
    Some(fragment)
}

/// The extension that names the server.
const SERVER_NAME: u16 = 0;

fn read_body(body: &[u8]) -> Option<ClientHello> {
    let mut rest = Bytes(body);
    // Version and random.
    rest.take(2 + 32)?;
    let session = rest.short_list()?;
    let suites = rest.list()?;
    let compressions = rest.short_list()?;
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compressions.is_empty() {
        return None;
    }
    let mut server_name = None;
    if !rest.0.is_empty() {
        let mut extensions = Bytes(rest.list()?);
        let mut named = false;
        while !extensions.0.is_empty() {
            let (kind, value) = (extensions.number()?, extensions.list()?);
            if kind == SERVER_NAME {
                // Which of two would count is a matter of taste, so neither does.
                if std::mem::replace(&mut named, true) {
                    return None;
                }
                server_name = read_server_name(value)?;
            }
        }
    }
    rest.0.is_empty().then_some(ClientHello { server_name })
}

/// The only name of the list; `Some(None)` where it is an address.
fn read_server_name(value: &[u8]) -> Option<Option<Box<str>>> {
    let mut value = Bytes(value);
    let mut names = Bytes(value.list()?);
    let host_name = names.byte()? == 0;
    let name = names.list()?;
    if !host_name || !names.0.is_empty() || !value.0.is_empty() {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?;
    if name.parse::<IpAddr>().is_ok() {
        return Some(None);
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    is_dns_name(&name).then(|| Some(name.into()))
}

fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Bytes that are read from the front; `None` where they end too soon.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// What follows its own length of one byte.
    fn short_list(&mut self) -> Option<&'b [u8]> {
        let length = self.byte()?;
        self.take(length.into())
    }

    /// What follows its own length of two bytes.
    fn list(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    /// What rustls says first to a server of this name.
    fn hello(server_name: &str, sends_name: bool) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.enable_sni = sends_name;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from(server_name.to_owned()).unwrap();
        let mut sent = Vec::new();
        ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut sent).unwrap();
        sent
    }

    fn named(name: &str) -> FirstBytes {
        FirstBytes::Hello(ClientHello { server_name: Some(name.into()) })
    }

    /// The same message in records of these lengths.
    fn in_records(hello: &[u8], mut length: impl FnMut() -> usize) -> Vec<u8> {
        let mut rest = &hello[5..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (fragment, later) = rest.split_at(length().clamp(1, rest.len()));
            records.extend_from_slice(&[22, 3, 1]);
            records.extend_from_slice(&u16::try_from(fragment.len()).unwrap().to_be_bytes());
            records.extend_from_slice(fragment);
            rest = later;
        }
        records
    }

    #[test]
    fn the_server_name_is_read_in_one_form() {
        assert_eq!(read_client_hello(&hello("Shop.Example.com", true)), named("shop.example.com"));
        let nameless = FirstBytes::Hello(ClientHello { server_name: None });
        assert_eq!(read_client_hello(&hello("shop.example.com", false)), nameless);
        assert_eq!(read_client_hello(&hello("192.0.2.1", true)), nameless);
    }

    #[test]
    fn nonsense_is_known_by_its_first_wrong_byte() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x02",
            b"\x17",
            b"\x16\x03\x01\0\0",
            b"\x16\x03\x01\x40\x01",
            b"\x16\x03\x01\0\x04\x02",
            b"\x16\x03\x01\0\x04\x01\xff\xff\xff",
        ] {
            assert_eq!(read_client_hello(bytes), FirstBytes::NotTls, "{bytes:?}");
        }
        assert_eq!(read_client_hello(b""), FirstBytes::NeedMore);
    }

    #[test]
    fn a_hello_that_never_ends_is_given_up() {
        let mut endless = vec![22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc];
        endless.resize(MOST_HELLO - 1, 0);
        assert_eq!(read_client_hello(&endless), FirstBytes::NeedMore);
        endless.push(0);
        assert_eq!(read_client_hello(&endless), FirstBytes::NotTls);
    }

    #[test]
    fn two_server_names_are_refused() {
        let once = hello("a.test", true);
        let at = once.windows(6).position(|window| window == b"a.test").unwrap();
        // Type, length, length of the list, type and length of the name come before it.
        let extension = once[at - 9..at + 6].to_vec();
        assert_eq!(extension[..2], [0, 0]);
        let mut twice = once.clone();
        twice.splice(at - 9..at - 9, extension.iter().copied());
        let body = &twice[5 + 4 + 34..];
        let session = 1 + usize::from(body[0]);
        let suites = 2 + usize::from(u16::from_be_bytes([body[session], body[session + 1]]));
        let compressions = 1 + usize::from(body[session + suites]);
        for (at, more) in [(3, 15), (7, 15), (5 + 4 + 34 + session + suites + compressions, 15)] {
            let longer = u16::from_be_bytes([twice[at], twice[at + 1]]) + more;
            twice[at..at + 2].copy_from_slice(&longer.to_be_bytes());
        }
        assert_eq!(read_client_hello(&once), named("a.test"));
        assert_eq!(read_client_hello(&twice), FirstBytes::NotTls);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_answer_is_the_same(
            lengths in prop::collection::vec(1usize..600, 1..40),
            behind in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut next = lengths.iter().cycle();
            let mut sent = in_records(&hello("a.b.test", true), || *next.next().unwrap());
            let whole = sent.len();
            sent.extend(behind);
            for end in 0..sent.len() {
                let expected =
                    if end < whole { FirstBytes::NeedMore } else { named("a.b.test") };
                prop_assert_eq!(read_client_hello(&sent[..end]), expected, "{} of {}", end, whole);
            }
        }

        #[test]
        fn whatever_comes_is_read(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..400) {
            read_client_hello(&bytes);
            let mut changed = hello("a.test", true);
            let at = cut.min(changed.len() - 1);
            changed.splice(at..at, bytes);
            read_client_hello(&changed);
        }
    }
}
