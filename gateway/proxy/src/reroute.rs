//! A request whose head a plugin changed: its route is chosen anew, and the plugins of the rule that it then goes to
//! run before it gets there.

use portcullis_snapshot::{ChainStep, SocketTable};
use portcullis_wasm::EndOfStream;

use crate::ProxyError;
use crate::canonicalise::canonicalise_again;
use crate::choose::choose_route;
use crate::flight::Flight;
use crate::running::Chain;
use crate::steps::{Passed, pass_request_head};

/// Chooses again where the head changed, and has it pass those plugins of the newly chosen rule that it has not
/// passed; `None` where there are none. It ends, as each plugin runs once.
pub(crate) fn choose_again(
    flight: &mut Flight,
    end: EndOfStream,
) -> Result<Option<Passed>, ProxyError> {
    let mut ran = None;
    while flight.choice.may_differ(flight.exchange.head_change) {
        let table = flight.table.clone().ok_or(ProxyError::NoRoute)?;
        choose(flight, &table)?;
        let Some((chain, from)) = with_missing(flight, &table) else { break };
        flight.chain = Some(chain.clone());
        match pass_request_head(flight, &chain, from, end)? {
            Passed::All => ran = Some(Passed::All),
            stopped => return Ok(Some(stopped)),
        }
    }
    Ok(ran)
}

/// The request stays with its listener: the plugins of another one have not seen it.
fn choose(flight: &mut Flight, table: &SocketTable) -> Result<(), ProxyError> {
    let rules = flight.head_rules();
    canonicalise_again(&mut flight.exchange.request, rules)?;
    let choice = choose_route(table, &mut flight.exchange);
    if choice.listener != flight.choice.listener {
        flight.choice.rule = None;
        return Err(ProxyError::NoRoute);
    }
    flight.choice = choice;
    Ok(())
}

/// The chain so far, and behind it what the rule that is chosen now has beside that; where that begins. Those that
/// ran for another rule have had their say, and see the reply. Policies are asked once more behind a plugin that
/// would have run before them.
fn with_missing(flight: &Flight, table: &SocketTable) -> Option<(Chain, usize)> {
    let listener = flight.choice.listener(table)?;
    let wanted = table.chain(listener, flight.choice.rule(table));
    let passed = flight.chain.as_deref().unwrap_or_default();
    let mut runs_more = false;
    let is_missing = |step: &&ChainStep| {
        let is_new = !passed.iter().any(|before| before.is_same_filter(step));
        runs_more |= is_new;
        is_new || (runs_more && matches!(step, ChainStep::Authorization(_)))
    };
    let mut missing = wanted.iter().filter(is_missing).peekable();
    missing.peek()?;
    Some((passed.iter().chain(missing).cloned().collect(), passed.len()))
}
