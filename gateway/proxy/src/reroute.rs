//! A request whose head a plugin changed: its route is chosen anew, and the plugins of the rule that it then goes to
//! run before it gets there.

use portcullis_exchange::RequestHead;
use portcullis_message::{Canonical, HeadRules, canonical_path_for, check_authority};
use portcullis_snapshot::{ChainStep, SocketTable};
use portcullis_wasm::EndOfStream;

use crate::ProxyError;
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
    while flight.exchange.request_changed {
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
/// ran for another rule have had their say, and see the reply.
fn with_missing(flight: &Flight, table: &SocketTable) -> Option<(Chain, usize)> {
    let listener = flight.choice.listener(table)?;
    let wanted = table.chain(listener, flight.choice.rule(table));
    let passed = flight.chain.as_deref().unwrap_or_default();
    let is_missing = |step: &&ChainStep| !passed.iter().any(|before| before.is_same_filter(step));
    let mut missing = wanted.iter().filter(is_missing).peekable();
    missing.peek()?;
    Some((passed.iter().chain(missing).cloned().collect(), passed.len()))
}

/// What a plugin set is held to the same rules as what a client sends to the listener.
fn canonicalise_again(request: &mut RequestHead, rules: HeadRules) -> Result<(), ProxyError> {
    match canonical_path_for(&request.method, &request.path, rules) {
        Ok(Canonical::AsSent) => {}
        Ok(Canonical::Changed(path)) => request.path = path,
        Err(_) => return Err(ProxyError::ChangedHeadRefused("plugin_path_refused")),
    }
    // HTTP/1.0 may have none.
    if !request.authority.is_empty() && check_authority(request.authority.as_bytes()).is_err() {
        return Err(ProxyError::ChangedHeadRefused("plugin_host_refused"));
    }
    Ok(())
}
