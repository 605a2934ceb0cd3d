//! `resolution` of a ServiceEntry, and what it asks of hosts and endpoints.

use portcullis_model::Discovery;

use super::entry_endpoint::{EntryAddress, EntryEndpoint, read_endpoint};
use super::entry_port::EntryPort;
use crate::codes;
use crate::reader::{Cursor, Fields};
use crate::report::Gravity;
use crate::scalars::choice;

const RESOLUTIONS: &[(&str, Discovery)] = &[
    ("STATIC", Discovery::Static),
    ("DNS", Discovery::Dns),
    ("DNS_ROUND_ROBIN", Discovery::DnsRoundRobin),
    ("DYNAMIC_DNS", Discovery::DynamicDns),
    ("NONE", Discovery::None),
];

/// Reads the resolution, which is NONE where none is written.
pub(super) fn read_resolution(spec: &Fields<'_>) -> Discovery {
    let field = spec.field("resolution");
    let resolution = field.as_ref().map_or(Some(Discovery::None), |f| choice(f, RESOLUTIONS));
    if resolution == Some(Discovery::None) {
        let cursor = field.as_ref().unwrap_or(spec.cursor());
        let message = "the resolution NONE sends requests where the client meant to go, which the client of a gateway does not say";
        let help = "write `resolution: STATIC` or DNS; until then its requests are answered with 503 (NONE is what counts where none is written)";
        cursor.not_served(Gravity::Warns, message, help);
    }
    resolution.unwrap_or(Discovery::None)
}

/// Reads the endpoints that the resolution allows.
pub(super) fn read_endpoints(
    spec: &Fields<'_>,
    resolution: Discovery,
    ports: &[EntryPort],
) -> Vec<EntryEndpoint> {
    let Some(field) = spec.field("endpoints") else { return Vec::new() };
    if matches!(resolution, Discovery::None | Discovery::DynamicDns) && !field.is_empty_list() {
        // Said already where the resolution could not be read.
        if spec.field("resolution").is_none_or(|field| is_known(&field)) {
            let help = "write STATIC for addresses or DNS for names, or leave the endpoints out";
            field.refuse("this resolution has no endpoints", help);
        }
        return Vec::new();
    }
    let mut endpoints = Vec::new();
    for item in field.items() {
        let Some(endpoint) = read_endpoint(&item) else { continue };
        for (name, _) in &endpoint.ports {
            if !ports.iter().any(|port| port.name == *name) {
                let help = "write the name of one of the ServiceEntry's ports";
                item.refuse(format!("the ServiceEntry has no port `{name}`"), help);
            }
        }
        check_address(&item, &endpoint.address, resolution);
        endpoints.push(endpoint);
    }
    if resolution == Discovery::DnsRoundRobin && endpoints.len() > 1 {
        let help =
            "keep one, or write `resolution: DNS`, where every address of each is an endpoint";
        field.refuse("DNS_ROUND_ROBIN has one endpoint", help);
    }
    endpoints
}

fn is_known(field: &Cursor<'_>) -> bool {
    field.node().text().is_some_and(|text| RESOLUTIONS.iter().any(|(word, _)| *word == text))
}

fn check_address(item: &Cursor<'_>, address: &EntryAddress, resolution: Discovery) {
    match (resolution, address) {
        (Discovery::Static, EntryAddress::Name(name)) => {
            let help = "with resolution STATIC every address is an IPv4 or IPv6 address, without a port; names need DNS";
            refuse_address(item, &format!("`{name}` is no IP address"), help);
        }
        (Discovery::Dns | Discovery::DnsRoundRobin, EntryAddress::Ip(address)) => {
            let message = format!("{address} needs no looking up");
            let help = "write `resolution: STATIC` where all endpoints are addresses";
            item.report(Gravity::Warns, codes::NO_EFFECT, message, help);
        }
        _ => {}
    }
}

fn refuse_address(item: &Cursor<'_>, message: &str, help: &str) {
    for (name, field) in item.entries() {
        if name == "address" {
            field.refuse(message, help);
        }
    }
}

/// Where the hosts themselves are looked up, they have to be names.
pub(super) fn check_hosts(spec: &Fields<'_>, resolution: Discovery) {
    let looked_up = matches!(resolution, Discovery::Dns | Discovery::DnsRoundRobin);
    let has_endpoints = spec.field("endpoints").is_some_and(|field| !field.is_empty_list());
    if !looked_up || has_endpoints || spec.field("workloadSelector").is_some() {
        return;
    }
    let Some(field) = spec.field("hosts") else { return };
    for item in field.items() {
        if item.node().text().is_some_and(|text| text.starts_with("*.")) {
            let help = "write endpoints, a name, or `resolution: DYNAMIC_DNS`, which looks up the request's own host";
            item.refuse("a wildcard cannot be looked up", help);
        }
    }
}
