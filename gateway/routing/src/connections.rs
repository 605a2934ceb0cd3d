//! Where the connections of a socket go that are not all HTTP: by the server name that a client asks for.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_message::HostPattern;
use portcullis_model::{Listener, ListenerProtocol, TcpAddresses, TcpRule};

use crate::host_index::HostIndex;

/// What becomes of the connections of one socket on which bytes are passed on.
///
/// As with requests, the most specific listener host takes a connection, and in it the most specific name of
/// its routes: where none of them fits there is no route, even if a wider listener has one.
#[derive(Clone, Debug)]
pub struct ConnectionTable {
    rules: Vec<Arc<TcpRule>>,
    hosts: HostIndex<Place>,
    /// For connections that no listener host takes. Where TLS ends, the handshake decides on those: it has a
    /// certificate, or refuses.
    otherwise: Option<Otherwise>,
}

/// A listener that takes connections of any name.
#[derive(Clone, Debug)]
struct Otherwise {
    listener: usize,
    handling: Handling,
    rules: Candidates,
}

/// Who takes a connection, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionRoute {
    /// Index into the listeners that the table was built from.
    pub listener: usize,
    /// What is done with it.
    pub handling: Handling,
    /// Index into [`ConnectionTable::rules`]; `None` where no rule takes it, or HTTP is spoken.
    pub rule: Option<usize>,
}

/// What a listener does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// TLS ends here, and HTTP is spoken in it.
    Http,
    /// TLS ends here, and the bytes in it are passed on.
    EndTls,
    /// The bytes are passed on as they come.
    PassOn,
}

/// One listener host.
#[derive(Clone, Debug)]
struct Place {
    /// Those that have it, nearly always one; the first one's handling counts.
    listeners: Vec<usize>,
    handling: Handling,
    /// The rules by name, where TLS is passed on, or ends for routes that name hosts.
    names: HostIndex<Candidates>,
    /// The rules of every connection, where TLS ends.
    any: Candidates,
}

/// Rules of one name in their order: those that ask for addresses, up to the first that does not.
type Candidates = Vec<Candidate>;

#[derive(Clone, Debug)]
struct Candidate {
    addresses: Option<Arc<TcpAddresses>>,
    rule: usize,
}

/// The addresses of a connection: that it came to, and that it came from.
pub type ConnectionAddresses = (IpAddr, IpAddr);

fn choose(candidates: &[Candidate], addresses: Option<ConnectionAddresses>) -> Option<usize> {
    let holds = |candidate: &&Candidate| match (&candidate.addresses, addresses) {
        (None, _) => true,
        (Some(wanted), Some((local, remote))) => wanted.match_connection(local, remote),
        (Some(_), None) => false,
    };
    candidates.iter().find(holds).map(|candidate| candidate.rule)
}

fn add(candidates: &mut Candidates, new: &Candidate) {
    if candidates.last().is_none_or(|last| last.addresses.is_some()) {
        candidates.push(new.clone());
    }
}

impl ConnectionTable {
    /// Compiles the listeners of one socket; `None` where every one of them speaks HTTP.
    pub fn build(listeners: &[Arc<Listener>]) -> Option<Self> {
        if listeners.iter().all(|listener| listener.protocol.is_http()) {
            return None;
        }
        let mut table =
            ConnectionTable { rules: Vec::new(), hosts: HostIndex::default(), otherwise: None };
        for (index, listener) in listeners.iter().enumerate() {
            table.add_hosts(index, listener);
        }
        for (index, listener) in listeners.iter().enumerate() {
            table.add_routes(index, listener);
        }
        Some(table)
    }

    /// Who takes a connection whose client asks for this server, in lower case; `None` is for a client that
    /// names none, and for sockets without TLS. Where the addresses are not known, rules that ask for some are
    /// passed over.
    pub fn find(
        &self,
        server_name: Option<&str>,
        addresses: Option<ConnectionAddresses>,
    ) -> Option<ConnectionRoute> {
        let name = server_name.unwrap_or("");
        let Some(place) = self.hosts.find(name) else {
            let Otherwise { listener, handling, rules } = self.otherwise.as_ref()?;
            let rule = choose(rules, addresses);
            return Some(ConnectionRoute { listener: *listener, handling: *handling, rule });
        };
        let rule = match place.handling {
            Handling::Http => None,
            Handling::EndTls | Handling::PassOn => {
                let named = place.names.find(name);
                let named = named.and_then(|candidates| choose(candidates, addresses));
                named.or_else(|| choose(&place.any, addresses))
            }
        };
        let listener = place.listeners.first().copied().unwrap_or_default();
        Some(ConnectionRoute { listener, handling: place.handling, rule })
    }

    /// Every rule of the socket; [`ConnectionRoute::rule`] indexes it.
    pub fn rules(&self) -> &[Arc<TcpRule>] {
        &self.rules
    }

    fn add_hosts(&mut self, index: usize, listener: &Listener) {
        let handling = handling(listener);
        for host in &listener.hosts {
            let place = self.hosts.entry(host, || Place {
                listeners: Vec::new(),
                handling,
                names: HostIndex::default(),
                any: Vec::new(),
            });
            if let Some(place) = place.filter(|place| !place.listeners.contains(&index)) {
                place.listeners.push(index);
            }
        }
    }

    fn add_routes(&mut self, index: usize, listener: &Listener) {
        let handling = handling(listener);
        let mut own = Candidates::new();
        for route in &listener.tcp_routes {
            let candidate =
                Candidate { addresses: route.addresses.clone(), rule: self.rules.len() };
            self.rules.push(route.rule.clone());
            if route.server_names.is_empty() {
                add(&mut own, &candidate);
            }
            for name in &route.server_names {
                self.add_name(index, name, &candidate);
            }
        }
        if listener.protocol == ListenerProtocol::Tcp {
            // No name comes with these: the rules of the socket's first listener that has some take them all.
            if self.otherwise.as_ref().is_none_or(|otherwise| otherwise.rules.is_empty()) {
                self.otherwise = Some(Otherwise { listener: index, handling, rules: own });
            }
            self.hosts = HostIndex::default();
            return;
        }
        if handling == Handling::PassOn {
            return;
        }
        for host in &listener.hosts {
            if let Some(place) = self.place_of(index, host) {
                own.iter().for_each(|candidate| add(&mut place.any, candidate));
            }
        }
        if self.otherwise.is_none() {
            let rules = if handling == Handling::EndTls { own } else { Vec::new() };
            self.otherwise = Some(Otherwise { listener: index, handling, rules });
        }
    }

    /// Puts a name under the narrowest listener host that holds all of it. If that one belongs to another
    /// listener alone, it takes every connection that the name could get.
    fn add_name(&mut self, listener: usize, name: &HostPattern, candidate: &Candidate) {
        if let Some(place) = self.place_of(listener, name)
            && place.handling != Handling::Http
        {
            place.names.entry(name, Vec::new).into_iter().for_each(|all| add(all, candidate));
        }
    }

    fn place_of(&mut self, listener: usize, host: &HostPattern) -> Option<&mut Place> {
        let place = self.hosts.find_containing_mut(host)?;
        place.listeners.contains(&listener).then_some(place)
    }
}

fn handling(listener: &Listener) -> Handling {
    match (listener.protocol, &listener.tls) {
        (ListenerProtocol::Tls, Some(_)) => Handling::EndTls,
        (ListenerProtocol::Tls, None) | (ListenerProtocol::Tcp, _) => Handling::PassOn,
        (ListenerProtocol::Http | ListenerProtocol::Https, _) => Handling::Http,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_crypto::TlsParameters;
    use portcullis_model::{ByHost, ClientAuth, Origin, RequestPolicy, TcpRoute, TlsSettings};

    use super::*;

    fn patterns(texts: &[&str]) -> Vec<HostPattern> {
        texts.iter().map(|text| HostPattern::parse(text).unwrap()).collect()
    }

    /// A listener with these hosts and, for each list of names, a rule of the same name.
    fn listener(
        protocol: ListenerProtocol,
        hosts: &[&str],
        routes: &[(&str, &[&str])],
    ) -> Arc<Listener> {
        let route = |(id, names): &(&str, &[&str])| TcpRoute {
            server_names: patterns(names),
            addresses: None,
            rule: Arc::new(TcpRule {
                id: (*id).into(),
                origin: Origin::for_test(),
                destinations: Vec::new(),
            }),
        };
        Arc::new(Listener {
            origin: Origin::for_test(),
            gateway: "default/gw".into(),
            server: "server".into(),
            port: 443,
            bind: None,
            protocol,
            hosts: patterns(hosts),
            https_redirect: false,
            tls: None,
            connections: Arc::default(),
            requests: RequestPolicy::default(),
            virtual_hosts: ByHost::default(),
            tcp_routes: routes.iter().map(route).collect(),
            plugins: Vec::new(),
            filters: None,
            authentication: None,
            authorization: None,
            access_log: None,
        })
    }

    /// Listener, handling and rule of a connection.
    fn found<'t>(table: &'t ConnectionTable, name: &str) -> Option<(usize, Handling, &'t str)> {
        let route = table.find(Some(name).filter(|name| !name.is_empty()), None)?;
        let rule = route.rule.map_or("", |rule| &table.rules()[rule].id);
        Some((route.listener, route.handling, rule))
    }

    #[test]
    fn a_socket_of_http_alone_has_no_table() {
        let listeners = [listener(ListenerProtocol::Https, &["*"], &[])];
        assert!(ConnectionTable::build(&listeners).is_none());
    }

    #[test]
    fn the_most_specific_name_wins() {
        use Handling::{Http, PassOn};
        let listeners = [
            listener(ListenerProtocol::Https, &["*", "www.a.test"], &[]),
            listener(
                ListenerProtocol::Tls,
                &["*.a.test", "b.test"],
                &[
                    ("wide", &["*.a.test"]),
                    ("one", &["x.a.test"]),
                    ("twice", &["x.a.test"]),
                    ("stolen", &["www.a.test"]),
                ],
            ),
        ];
        let table = ConnectionTable::build(&listeners).unwrap();
        assert_eq!(found(&table, "x.a.test"), Some((1, PassOn, "one")));
        assert_eq!(found(&table, "y.a.test"), Some((1, PassOn, "wide")));
        assert_eq!(found(&table, "www.a.test"), Some((0, Http, "")));
        assert_eq!(found(&table, "b.test"), Some((1, PassOn, "")), "no route, and no fallback");
        assert_eq!(found(&table, "c.test"), Some((0, Http, "")));
        assert_eq!(found(&table, ""), Some((0, Http, "")));
    }

    #[test]
    fn without_a_server_for_every_host_the_nameless_find_none() {
        let routes: &[(&str, &[&str])] = &[("a", &["a.test"])];
        let passes_on = listener(ListenerProtocol::Tls, &["a.test"], routes);
        let table = ConnectionTable::build(std::slice::from_ref(&passes_on)).unwrap();
        assert_eq!(found(&table, ""), None);
        assert_eq!(found(&table, "b.test"), None);
        let https = listener(ListenerProtocol::Https, &["b.test"], &[]);
        let table = ConnectionTable::build(&[passes_on, https]).unwrap();
        assert_eq!(found(&table, ""), Some((1, Handling::Http, "")), "the handshake decides");
    }

    #[test]
    fn every_connection_of_a_tcp_socket_takes_the_first_rule() {
        let listeners = [
            listener(ListenerProtocol::Tcp, &["nothing.test"], &[]),
            listener(ListenerProtocol::Tcp, &["db.test"], &[("db", &[]), ("later", &[])]),
            listener(ListenerProtocol::Tcp, &["*"], &[("other", &[])]),
        ];
        let table = ConnectionTable::build(&listeners).unwrap();
        assert_eq!(found(&table, ""), Some((1, Handling::PassOn, "db")));
        let table = ConnectionTable::build(&listeners[..1]).unwrap();
        assert_eq!(found(&table, ""), Some((0, Handling::PassOn, "")));
    }

    #[test]
    fn where_tls_ends_routes_may_name_hosts_too() {
        let mut ends_tls = (*listener(
            ListenerProtocol::Tls,
            &["*.a.test"],
            &[("one", &["x.a.test"]), ("rest", &["*.a.test"])],
        ))
        .clone();
        ends_tls.tls = Some(TlsSettings {
            apart: None,
            credentials: Vec::new(),
            client_auth: ClientAuth::NotAsked,
            parameters: TlsParameters::default(),
        });
        let table = ConnectionTable::build(&[Arc::new(ends_tls)]).unwrap();
        assert_eq!(found(&table, "x.a.test"), Some((0, Handling::EndTls, "one")));
        assert_eq!(found(&table, "y.a.test"), Some((0, Handling::EndTls, "rest")));
    }

    #[test]
    fn a_rule_for_some_addresses_lets_others_pass_to_the_next() {
        let mut passes_on =
            (*listener(ListenerProtocol::Tcp, &["*"], &[("near", &[]), ("all", &[]), ("x", &[])]))
                .clone();
        let net = |text: &str| vec![text.parse().unwrap()];
        let addresses = TcpAddresses { local: net("10.0.0.0/8"), remote: net("fd00::/8") };
        passes_on.tcp_routes[0].addresses = Some(Arc::new(addresses));
        let table = ConnectionTable::build(&[Arc::new(passes_on)]).unwrap();
        let rule = |addresses: Option<(&str, &str)>| {
            let addresses =
                addresses.map(|(local, remote)| (local.parse().unwrap(), remote.parse().unwrap()));
            table.find(None, addresses).unwrap().rule.unwrap()
        };
        assert_eq!(rule(Some(("10.1.2.3", "fd00::1"))), 0);
        assert_eq!(rule(Some(("::ffff:10.1.2.3", "fd00::1"))), 0);
        assert_eq!(rule(Some(("10.1.2.3", "192.0.2.1"))), 1);
        assert_eq!(rule(Some(("192.0.2.1", "fd00::1"))), 1);
        assert_eq!(rule(None), 1);
    }
}
