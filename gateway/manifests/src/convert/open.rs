//! Which servers of which Gateways open: two on one socket have to speak the same protocol.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{ListenerProtocol, ObjectId};

use super::findings::{Findings, Spot};
use crate::codes;
use crate::kinds::{Gateway, Object, Server};
use crate::last_good::LastGood;

/// A port and bind address.
type Socket = (u16, Option<IpAddr>);

/// A Gateway and those of its servers that can be served.
#[derive(Debug)]
pub(crate) struct OpenGateway {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) servers: Vec<Server>,
}

/// Decides which servers open.
///
/// Who served before comes first, so that a newcomer's mistake takes nothing from it; among equals the
/// older one.
pub(crate) fn open_gateways(
    gateways: &[Arc<Gateway>],
    last_good: &LastGood,
    next: &mut LastGood,
    findings: &mut Findings,
) -> Vec<OpenGateway> {
    let mut order: Vec<(u8, usize, &Arc<Gateway>)> = gateways
        .iter()
        .enumerate()
        .map(|(index, gateway)| (standing(gateway, last_good), index, gateway))
        .collect();
    order.sort_by_key(|(standing, index, _)| (*standing, *index));
    let mut claims = Claims::default();
    let mut open = Vec::with_capacity(order.len());
    for (_, index, gateway) in order {
        let servers = claim(gateway, &mut claims, Some(&mut *findings));
        let gateway = match servers.len() < gateway.servers.len() {
            true => fall_back(gateway, last_good, next),
            false => None,
        }
        .map_or_else(
            || OpenGateway { gateway: gateway.clone(), servers },
            |old| OpenGateway { servers: claim(&old, &mut claims, None), gateway: old },
        );
        open.push((index, gateway));
    }
    open.sort_by_key(|(index, _)| *index);
    open.into_iter().map(|(_, gateway)| gateway).collect()
}

/// 0 for a Gateway that serves as it is, 1 for one that changed, 2 for a new one.
fn standing(gateway: &Gateway, last_good: &LastGood) -> u8 {
    match last_good.object(&gateway.metadata.id).map(|kept| &kept.object) {
        Some(Object::Gateway(old)) if old.servers == gateway.servers => 0,
        Some(_) => 1,
        None => 2,
    }
}

/// The last good version of a Gateway of which a server was refused.
fn fall_back(gateway: &Gateway, last_good: &LastGood, next: &mut LastGood) -> Option<Arc<Gateway>> {
    let id = &gateway.metadata.id;
    let kept = last_good.object(id)?;
    let Object::Gateway(old) = &kept.object else { return None };
    next.keep(id.clone(), kept.object.clone(), kept.file.clone());
    Some(old.clone())
}

/// Who has what of the sockets.
#[derive(Default)]
struct Claims {
    sockets: HashMap<Socket, (ListenerProtocol, Arc<str>)>,
    /// By socket and host, where TLS is spoken: the server name tells servers apart, unless it is the same.
    names: HashMap<(Socket, HostPattern), (Handling, Arc<str>)>,
}

/// What a server does with TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handling {
    PassesOn,
    EndsForBytes,
    EndsForHttp,
}

impl Handling {
    fn of(server: &Server) -> Self {
        match (server.protocol, server.ends_tls()) {
            (ListenerProtocol::Tls, false) => Handling::PassesOn,
            (ListenerProtocol::Tls, true) => Handling::EndsForBytes,
            _ => Handling::EndsForHttp,
        }
    }
}

/// Whether servers of two protocols can share a socket: those of TLS can.
fn can_share(one: ListenerProtocol, other: ListenerProtocol) -> bool {
    one == other || one.is_tls() && other.is_tls()
}

/// The servers of a Gateway that get their sockets; the others are reported where `findings` are given.
fn claim(
    gateway: &Gateway,
    claims: &mut Claims,
    mut findings: Option<&mut Findings>,
) -> Vec<Server> {
    let id = &gateway.metadata.id;
    let mut servers = Vec::with_capacity(gateway.servers.len());
    for server in &gateway.servers {
        let socket = (server.port, server.bind);
        let this = || format!("{} {} at {}", server.object(id), server.field, server.origin).into();
        let holder = claims.sockets.entry(socket).or_insert_with(|| (server.protocol, this()));
        if can_share(holder.0, server.protocol) {
            match claims.claim_names(socket, server, this()) {
                None => servers.push(server.clone()),
                Some((host, holder)) => {
                    if let Some(findings) = &mut findings {
                        report_name(id, server, &host, &holder, findings);
                    }
                }
            }
        } else if let Some(findings) = &mut findings {
            let message = format!(
                "port {} cannot speak {} here: {} speaks {} on it",
                server.port,
                server.protocol.as_str(),
                holder.1,
                holder.0.as_str()
            );
            let field = server.protocol_field();
            let spot = Spot { object: server.object(id), field, origin: &server.origin };
            let help = "use another port or bind address, or the same protocol; until then nothing new listens for this server";
            findings.error(codes::PROTOCOL_CONFLICT, spot, message, help);
        }
    }
    servers
}

impl Claims {
    /// Claims a server's hosts on a socket that it may share. Where another does something else with one of
    /// them: that host, and who it is.
    fn claim_names(
        &mut self,
        socket: Socket,
        server: &Server,
        this: Arc<str>,
    ) -> Option<(HostPattern, Arc<str>)> {
        if !server.protocol.is_tls() {
            return None;
        }
        let handling = Handling::of(server);
        for host in &server.hosts {
            match self.names.get(&(socket, host.pattern.clone())) {
                Some((other, holder)) if *other != handling => {
                    return Some((host.pattern.clone(), holder.clone()));
                }
                _ => {}
            }
        }
        for host in &server.hosts {
            let claim = self.names.entry((socket, host.pattern.clone()));
            claim.or_insert_with(|| (handling, this.clone()));
        }
        None
    }
}

fn report_name(
    id: &ObjectId,
    server: &Server,
    host: &HostPattern,
    holder: &str,
    findings: &mut Findings,
) {
    let message = format!(
        "port {} cannot do this with `{host}`: {holder} treats the TLS of that host otherwise",
        server.port
    );
    let field = server.hosts_field();
    let spot = Spot { object: server.object(id), field, origin: &server.origin };
    let help = "TLS for a host either ends at the gateway or is passed on: use another host, port or bind address; until then nothing new listens for this server";
    findings.error(codes::PROTOCOL_CONFLICT, spot, message, help);
}
