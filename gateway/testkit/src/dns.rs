//! A fake DNS server, over UDP and TCP, whose answers a test scripts.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::dns_answer::DnsAnswer;
use crate::dns_message::{Question, Transport, read_question, write_reply};
use crate::patience::within;

/// How often the thread of UDP looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A fake DNS server. A name that it was told nothing of does not exist.
#[derive(Debug)]
pub struct DnsServer {
    /// Where it answers, over UDP and TCP.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    asked: Notify,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<String, DnsAnswer>,
    /// Questions by name, both families together.
    asked: BTreeMap<String, usize>,
    over_tcp: usize,
}

impl DnsServer {
    /// Starts one on a free port of 127.0.0.1.
    pub fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            // Another may have the same port of TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let (over_udp, over_tcp) = (shared.clone(), shared.clone());
        std::thread::spawn(move || serve_udp(&udp, &over_udp));
        std::thread::spawn(move || serve_tcp(&tcp, &over_tcp));
        DnsServer { address, shared }
    }

    /// What it says of a name from now on.
    pub fn answer(&self, name: &str, answer: DnsAnswer) {
        self.shared.state.lock().unwrap().answers.insert(name.to_lowercase(), answer);
    }

    /// How often it was asked about a name so far, both families together.
    pub fn asked(&self, name: &str) -> usize {
        self.shared.state.lock().unwrap().asked.get(name).copied().unwrap_or(0)
    }

    /// How many questions came over TCP.
    pub fn asked_over_tcp(&self) -> usize {
        self.shared.state.lock().unwrap().over_tcp
    }

    /// Awaits so many further questions about a name.
    pub async fn asked_again(&self, name: &str, times: usize) {
        let enough = self.asked(name) + times;
        let asking = async {
            loop {
                let asked = self.shared.asked.notified();
                if self.asked(name) >= enough {
                    return;
                }
                asked.await;
            }
        };
        within("a question to the DNS server", asking).await;
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Whoever waits for connections wakes up by one.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The reply to a message; `None` is silence.
    fn reply(&self, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let question = read_question(message)?;
        let answer = self.note(&question, transport);
        self.asked.notify_waiters();
        write_reply(&question, &answer, transport)
    }

    fn note(&self, question: &Question, transport: Transport) -> DnsAnswer {
        let mut state = self.state.lock().unwrap();
        *state.asked.entry(question.name.clone()).or_default() += 1;
        state.over_tcp += usize::from(transport == Transport::Tcp);
        state.answers.get(&question.name).cloned().unwrap_or(DnsAnswer::NoSuchName)
    }
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    socket.set_read_timeout(Some(LOOK)).unwrap();
    let mut message = [0; 4096];
    while !shared.ended() {
        let Ok((length, from)) = socket.recv_from(&mut message) else { continue };
        if let Some(reply) = shared.reply(&message[..length], Transport::Udp) {
            // Whoever asked may be gone.
            let _ = socket.send_to(&reply, from);
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept()
        && !shared.ended()
    {
        let shared = shared.clone();
        std::thread::spawn(move || serve_connection(stream, &shared));
    }
}

/// One question after the other, each with its length before it, until the client has enough.
fn serve_connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        let Some(reply) = shared.reply(&message, Transport::Tcp) else { continue };
        let length = u16::try_from(reply.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes()[..], &reply].concat())?;
    }
}
