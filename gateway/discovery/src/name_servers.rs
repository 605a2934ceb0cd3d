//! Asking name servers, by hickory, which is used here alone.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::ask::{Ask, Asking, Family, LookupFailure, Records};
use crate::search::Search;

/// How long one server may take, and how often each is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// What all of it may take.
const ALTOGETHER: Duration = Duration::from_secs(5);

/// What the system says of DNS.
pub(crate) type System = (ResolverConfig, ResolverOpts);

/// The name servers that are asked.
pub(crate) struct NameServers {
    /// Why there are none, where there are none.
    resolver: Result<TokioResolver, String>,
}

impl NameServers {
    /// These servers, or where there are none the system's, whose search domains and `ndots` count in any case.
    pub(crate) fn new(system: Result<System, String>, servers: &[SocketAddr]) -> (Self, Search) {
        let search = system.as_ref().map_or_else(
            |_| Search::default(),
            |(config, options)| {
                let domains = config.search().iter().map(ToString::to_string);
                Search { domains: domains.collect(), ndots: options.ndots }
            },
        );
        let edns0 = system.as_ref().is_ok_and(|(_, options)| options.edns0);
        let servers = match (servers, system) {
            ([], Ok((config, _))) => Ok(config.name_servers().to_vec()),
            ([], Err(why)) => Err(why),
            (servers, _) => Ok(servers.iter().copied().map(server_at).collect()),
        };
        (NameServers { resolver: servers.and_then(|servers| resolver(servers, edns0)) }, search)
    }
}

impl Ask for NameServers {
    fn ask<'a>(&'a self, name: &'a str, family: Family) -> Asking<'a> {
        Box::pin(async move {
            let resolver = self.resolver.as_ref();
            let resolver = resolver.map_err(|why| LookupFailure::Unasked(why.clone()))?;
            let name = Name::from_str_relaxed(name)
                .map_err(|error| LookupFailure::NotAName(error.to_string()))?;
            let asking = resolver.lookup(name.clone(), record_type(family));
            match tokio::time::timeout(ALTOGETHER, asking).await {
                Ok(Ok(lookup)) => records_of(&name, lookup.answers(), family),
                Ok(Err(error)) => Err(failure(error)),
                Err(_) => Err(LookupFailure::Timeout),
            }
        })
    }
}

fn resolver(servers: Vec<NameServerConfig>, edns0: bool) -> Result<TokioResolver, String> {
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    set_options(builder.options_mut(), edns0);
    builder.build().map_err(|error| error.to_string())
}

fn set_options(options: &mut ResolverOpts, edns0: bool) {
    options.timeout = TIMEOUT;
    options.attempts = ATTEMPTS;
    options.edns0 = edns0;
    // Who remembers an answer, and for how long, is our matter.
    options.cache_size = 0;
    // They tell which of the addresses are the name's own.
    options.preserve_intermediates = true;
}

fn server_at(address: SocketAddr) -> NameServerConfig {
    let at = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

fn record_type(family: Family) -> RecordType {
    match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    }
}

/// The addresses of the name, or of the one that it is another name of; what a reply says of others is not believed.
fn records_of(name: &Name, answers: &[Record], family: Family) -> Result<Records, LookupFailure> {
    let (mut of, mut ttl) = (name, u32::MAX);
    for record in answers {
        if let RData::CNAME(CNAME(target)) = &record.data
            && record.name == *of
        {
            (of, ttl) = (target, ttl.min(record.ttl));
        }
    }
    let mut addresses = Vec::new();
    for record in answers.iter().filter(|record| record.name == *of) {
        if let Some(address) = address_of(&record.data, family) {
            addresses.push(address);
            ttl = ttl.min(record.ttl);
        }
    }
    if addresses.is_empty() {
        let misled = answers.iter().any(|record| address_of(&record.data, family).is_some());
        return Err(if misled {
            LookupFailure::Useless("it is about another name")
        } else {
            LookupFailure::Empty
        });
    }
    Ok(Records { addresses, ttl: Duration::from_secs(ttl.into()) })
}

fn address_of(data: &RData, family: Family) -> Option<IpAddr> {
    match (data, family) {
        (RData::A(address), Family::V4) => Some(address.0.into()),
        (RData::AAAA(address), Family::V6) => Some(address.0.into()),
        _ => None,
    }
}

fn failure(error: NetError) -> LookupFailure {
    match error {
        error if error.is_nx_domain() => LookupFailure::NoSuchName,
        error if error.is_no_records_found() => LookupFailure::Empty,
        NetError::Dns(DnsError::ResponseCode(code)) => LookupFailure::ServerFailure(named(code)),
        NetError::Timeout => LookupFailure::Timeout,
        other => LookupFailure::ServerFailure(other.to_string()),
    }
}

/// The name that operators know.
fn named(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use portcullis_testkit::{DnsAnswer, DnsServer};

    use super::*;

    fn servers(server: &DnsServer) -> NameServers {
        NameServers::new(Ok(Default::default()), &[server.address]).0
    }

    async fn ask(server: &DnsServer, name: &str) -> Result<Records, LookupFailure> {
        servers(server).ask(name, Family::V4).await
    }

    fn addresses(records: &Records) -> Vec<String> {
        records.addresses.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn addresses_of_the_family_come_with_their_time() {
        let server = DnsServer::start();
        server.answer("a.example", DnsAnswer::addresses(7, &["10.0.0.2", "::1", "10.0.0.1"]));
        let records = ask(&server, "a.example.").await.unwrap();
        assert_eq!(addresses(&records), ["10.0.0.2", "10.0.0.1"]);
        assert_eq!(records.ttl, Duration::from_secs(7));
        let asker = servers(&server);
        let records = asker.ask("A.EXAMPLE.", Family::V6).await.unwrap();
        assert_eq!(addresses(&records), ["::1"]);
    }

    #[tokio::test]
    async fn another_name_is_followed_whether_its_addresses_come_along_or_not() {
        let server = DnsServer::start();
        let alias = |target: &str, addresses: &[IpAddr]| DnsAnswer::Alias {
            ttl: 3,
            target: target.to_owned(),
            addresses: addresses.to_vec(),
        };
        let address = IpAddr::from(Ipv4Addr::new(10, 0, 0, 9));
        server.answer("along.example", alias("b.example", &[address]));
        let records = ask(&server, "along.example.").await.unwrap();
        assert_eq!((addresses(&records), records.ttl.as_secs()), (vec!["10.0.0.9".to_owned()], 3));
        server.answer("apart.example", alias("c.example", &[]));
        server.answer("c.example", DnsAnswer::addresses(60, &["10.0.0.8"]));
        let records = ask(&server, "apart.example.").await.unwrap();
        assert_eq!((addresses(&records), records.ttl.as_secs()), (vec!["10.0.0.8".to_owned()], 3));
        // A circle ends.
        server.answer("x.example", alias("y.example", &[]));
        server.answer("y.example", alias("x.example", &[]));
        assert!(ask(&server, "x.example.").await.is_err());
    }

    #[tokio::test]
    async fn each_failure_is_told_apart() {
        let server = DnsServer::start();
        assert_eq!(ask(&server, "none.example.").await, Err(LookupFailure::NoSuchName));
        server.answer("empty.example", DnsAnswer::addresses(5, &[]));
        assert_eq!(ask(&server, "empty.example.").await, Err(LookupFailure::Empty));
        server.answer("ill.example", DnsAnswer::ServerFailure);
        let failed = LookupFailure::ServerFailure("SERVFAIL".to_owned());
        assert_eq!(ask(&server, "ill.example.").await, Err(failed));
        assert!(ask(&server, &"a".repeat(64)).await.is_err());
    }

    #[tokio::test]
    async fn lies_are_not_believed() {
        let server = DnsServer::start();
        let addresses = vec![IpAddr::from(Ipv4Addr::new(10, 6, 6, 6))];
        server.answer("a.example", DnsAnswer::AnotherName { addresses: addresses.clone() });
        assert!(ask(&server, "a.example.").await.is_err());
        server.answer("b.example", DnsAnswer::AnotherQuestion { addresses });
        assert!(ask(&server, "b.example.").await.is_err());
        server.answer("c.example", DnsAnswer::Garbage);
        assert!(ask(&server, "c.example.").await.is_err());
    }

    #[tokio::test]
    async fn a_long_answer_comes_over_tcp() {
        let server = DnsServer::start();
        let many = (0..1000_u32).map(|nth| Ipv4Addr::from(0x0a00_0000 + nth).into()).collect();
        server.answer("many.example", DnsAnswer::Addresses { ttl: 5, addresses: many });
        assert_eq!(ask(&server, "many.example.").await.unwrap().addresses.len(), 1000);
        assert!(server.asked_over_tcp() > 0);
    }
}
