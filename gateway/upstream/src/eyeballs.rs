//! Connecting where there are several addresses: one after the other, a moment apart, the first that takes the
//! connection wins (Happy Eyeballs, RFC 8305).

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long an attempt has for itself before the next begins beside it (section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// How many addresses are tried.
const MOST: usize = 8;

/// Connects to one of these addresses, and says to which; the families take turns, beginning with the first one's. An
/// attempt that fails has the next begin at once.
///
/// # Errors
/// What the first attempt to fail met, where none succeeds.
pub(crate) async fn connect_first<T, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(T, SocketAddr), (SocketAddr, io::Error)>
where
    F: Future<Output = io::Result<T>>,
{
    let mut left = in_turns(addresses).into_iter();
    let mut race = Race { running: Vec::new(), failed: None };
    let mut timer = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| {
        loop {
            if let Some(won) = race.poll(cx) {
                return Poll::Ready(Ok(won));
            }
            let due = race.running.is_empty() || timer.as_mut().poll(cx).is_ready();
            match if due { left.next() } else { None } {
                Some(address) => {
                    race.running.push((address, Box::pin(connect(address))));
                    timer.as_mut().reset(Instant::now() + HEAD_START);
                }
                None if race.running.is_empty() => return Poll::Ready(Err(race.error())),
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// Attempts under way.
struct Race<F> {
    running: Vec<(SocketAddr, Pin<Box<F>>)>,
    failed: Option<(SocketAddr, io::Error)>,
}

impl<T, F: Future<Output = io::Result<T>>> Race<F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<(T, SocketAddr)> {
        let (mut won, failed) = (None, &mut self.failed);
        self.running.retain_mut(|(address, attempt)| match attempt.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok(stream)) => {
                won.get_or_insert((stream, *address));
                false
            }
            Poll::Ready(Err(error)) => {
                failed.get_or_insert((*address, error));
                false
            }
        });
        won
    }

    fn error(&mut self) -> (SocketAddr, io::Error) {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let none = || (nowhere, io::Error::from(io::ErrorKind::AddrNotAvailable));
        self.failed.take().unwrap_or_else(none)
    }
}

/// The addresses with the families in turns (section 4).
fn in_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let of = |same: bool| addresses.iter().filter(move |each| (each.is_ipv6() == first) == same);
    let (mut same, mut other) = (of(true), of(false));
    let turns = std::iter::from_fn(|| Some([same.next(), other.next()]));
    let turns = turns.take_while(|turn| turn.iter().any(Option::is_some));
    turns.flatten().flatten().copied().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn the_families_take_turns() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(at);
        let expected = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"].map(at);
        assert_eq!(in_turns(&addresses), expected);
        assert_eq!(in_turns(&[]), []);
    }

    /// What an attempt does: after so many milliseconds it succeeds or fails.
    async fn attempt(after: u64, succeeds: bool, port: u16) -> io::Result<u16> {
        tokio::time::sleep(Duration::from_millis(after)).await;
        if succeeds { Ok(port) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_a_quarter_of_a_second() {
        let begun = Instant::now();
        let addresses = ["[::1]:1", "1.1.1.1:2"].map(at);
        let won = connect_first(&addresses, |to| {
            attempt(if to.is_ipv6() { 60_000 } else { 5 }, true, to.port())
        });
        assert_eq!(won.await.unwrap(), (2, at("1.1.1.1:2")));
        assert_eq!(begun.elapsed().as_millis(), 255);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_costs_nothing() {
        let begun = Instant::now();
        let addresses = ["[::1]:1", "1.1.1.1:2"].map(at);
        let won = connect_first(&addresses, |to| attempt(1, to.port() == 2, to.port()));
        assert_eq!(won.await.unwrap().0, 2);
        assert_eq!(begun.elapsed().as_millis(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_preferred_one_still_wins_where_it_is_quicker() {
        let tried = RefCell::new(Vec::new());
        let addresses = ["1.1.1.1:1", "[::1]:2"].map(at);
        let won = connect_first(&addresses, |to| {
            tried.borrow_mut().push(to.port());
            attempt(if to.port() == 1 { 300 } else { 1_000 }, true, to.port())
        });
        assert_eq!(won.await.unwrap().0, 1);
        assert_eq!(*tried.borrow(), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_fail_the_first_failure_is_told() {
        let addresses = ["1.1.1.1:1", "1.1.1.1:2"].map(at);
        let lost = connect_first(&addresses, |to| attempt(1, false, to.port())).await;
        assert_eq!(lost.unwrap_err().0, at("1.1.1.1:1"));
        let none = connect_first(&[], |to| attempt(1, true, to.port())).await;
        assert_eq!(none.unwrap_err().1.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
