//! DNS messages (RFC 1035) as far as a fake server needs them: a question read, a reply written.

use std::net::IpAddr;

use crate::dns_answer::DnsAnswer;

/// What a reply over UDP may take up; longer ones say that they are cut.
const MOST_OVER_UDP: usize = 512;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
const SERVER_FAILURE: u16 = 2;
const NO_SUCH_NAME: u16 = 3;
/// A reply, recursion wanted and available.
const REPLY: u16 = 0x8180;
const TRUNCATED: u16 = 0x0200;

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    id: u16,
    /// In lower case, without the last dot.
    pub name: String,
    kind: u16,
}

/// The first question of a message.
pub(crate) fn read_question(message: &[u8]) -> Option<Question> {
    let id = u16::from_be_bytes(message.get(..2)?.try_into().ok()?);
    let mut rest = message.get(12..)?;
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first()?;
        let (label, after) = after.split_at_checked(usize::from(*length))?;
        rest = after;
        if label.is_empty() {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
    let kind = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
    Some(Question { id, name: labels.join("."), kind })
}

/// The reply to a question; `None` is silence.
pub(crate) fn write_reply(
    question: &Question,
    answer: &DnsAnswer,
    transport: Transport,
) -> Option<Vec<u8>> {
    let mut reply = Reply { question, code: 0, records: Vec::new() };
    match answer {
        DnsAnswer::Addresses { ttl, addresses } => {
            reply.add_addresses(&question.name, *ttl, addresses);
        }
        DnsAnswer::Alias { ttl, target, addresses } => {
            reply.records.push(record(&question.name, TYPE_CNAME, *ttl, &name_bytes(target)));
            reply.add_addresses(target, *ttl, addresses);
        }
        DnsAnswer::NoSuchName => reply.code = NO_SUCH_NAME,
        DnsAnswer::ServerFailure => reply.code = SERVER_FAILURE,
        DnsAnswer::Silence => return None,
        DnsAnswer::AnotherName { addresses } => {
            reply.add_addresses("another.example", 60, addresses);
        }
        DnsAnswer::AnotherQuestion { addresses } => {
            let other = Question { name: "another.example".to_owned(), ..question.clone() };
            let mut reply = Reply { question: &other, code: 0, records: Vec::new() };
            reply.add_addresses(&other.name, 60, addresses);
            return Some(reply.bytes(transport));
        }
        DnsAnswer::Garbage => {
            return Some([&question.id.to_be_bytes()[..], &[0xff; 40]].concat());
        }
    }
    Some(reply.bytes(transport))
}

struct Reply<'a> {
    question: &'a Question,
    code: u16,
    records: Vec<Vec<u8>>,
}

impl Reply<'_> {
    /// Those of the question's family.
    fn add_addresses(&mut self, name: &str, ttl: u32, addresses: &[IpAddr]) {
        for address in addresses {
            match (address, self.question.kind) {
                (IpAddr::V4(address), TYPE_A) => {
                    self.records.push(record(name, TYPE_A, ttl, &address.octets()));
                }
                (IpAddr::V6(address), TYPE_AAAA) => {
                    self.records.push(record(name, TYPE_AAAA, ttl, &address.octets()));
                }
                _ => {}
            }
        }
    }

    fn bytes(&self, transport: Transport) -> Vec<u8> {
        let whole = self.message(REPLY | self.code, &self.records);
        if transport == Transport::Udp && whole.len() > MOST_OVER_UDP {
            return self.message(REPLY | self.code | TRUNCATED, &[]);
        }
        whole
    }

    fn message(&self, flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let counts = [self.question.id, flags, 1, u16::try_from(records.len()).unwrap(), 0, 0];
        let mut message: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        message.extend(name_bytes(&self.question.name));
        message.extend(self.question.kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        message.extend(records.iter().flatten());
        message
    }
}

fn record(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut record = name_bytes(name);
    record.extend(kind.to_be_bytes());
    record.extend(CLASS_IN.to_be_bytes());
    record.extend(ttl.to_be_bytes());
    record.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    record.extend(data);
    record
}

fn name_bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.trim_end_matches('.').split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
