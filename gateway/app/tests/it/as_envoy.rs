//! The same VirtualServices, tokens and policies before a real Envoy, configured as Istio would configure it, and before the
//! gateway: what a client gets and an upstream sees is the same. Where it is not, the difference is listed with its reason,
//! and a difference that has gone has to leave its list.

mod actions;
mod matching;
mod pilot;
mod policies;
mod policy_pilot;
mod tokens;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

use portcullis_testkit::manifests::{http_gateway, join, virtual_service};
use portcullis_testkit::{Call, Client, Reply, Upstream};
use serde_json::{Value, json};

use crate::envoy::process::{Envoy, cluster, listener};
use crate::gateway::Gateway;
use crate::shop::backends;

/// Rules of one host, what is asked of it, and where the two differ.
struct Case {
    name: &'static str,
    /// What a VirtualService has under `http`.
    rules: Value,
    /// Requests as [`call`] reads them.
    asks: Vec<&'static str>,
    /// A request and why the gateway does otherwise.
    known: Vec<(&'static str, &'static str)>,
}

impl Case {
    fn new(name: &'static str, rules: Value, asks: &[&'static str]) -> Self {
        Case { name, rules, asks: asks.to_vec(), known: Vec::new() }
    }

    /// Asks this too, knowing that the two differ.
    fn except(mut self, ask: &'static str, why: &'static str) -> Self {
        self.asks.push(ask);
        self.known.push((ask, why));
        self
    }

    fn host(&self) -> String {
        format!("{}.example", self.name)
    }
}

/// Both, before the same upstreams.
struct Pair {
    envoy: Client,
    gateway: Gateway,
    ours: Client,
    blue: Upstream,
    green: Upstream,
    process: Envoy,
}

impl Pair {
    /// Envoy with these virtual hosts and filters before its router, the gateway with what
    /// [`Pair::manifests`] makes of these documents.
    async fn open(hosts: Value, filters: &[Value], documents: &[String]) -> Self {
        let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
        let manifests = join(&[documents, &[backends(&blue, &green)]].concat());
        let clusters = [&blue, &green].map(|up| cluster(up.name(), up.address(), &json!({})));
        let envoy = Envoy::start(&[as_a_gateway(hosts, filters)], &clusters).await;
        let arguments = ["--workers", "1", "--trusted-cidr", "127.0.0.0/8"];
        let gateway = Gateway::start_with(&manifests, &arguments).await;
        Pair {
            envoy: Client::http1(envoy.address("gateway")).await.unwrap(),
            ours: Client::http1(gateway.address("http")).await.unwrap(),
            gateway,
            blue,
            green,
            process: envoy,
        }
    }

    /// Replaces the gateway's manifests.
    async fn apply(&mut self, documents: &[String]) {
        let backends = backends(&self.blue, &self.green);
        self.gateway.apply(&join(&[documents, &[backends]].concat())).await;
    }

    /// What each does with a request.
    async fn ask(&mut self, host: &str, ask: &str) -> [Outcome; 2] {
        let addresses = [self.process.address("gateway"), self.gateway.address("http")];
        let theirs = outcome(&mut self.envoy, addresses[0], host, ask).await;
        let mut ours = outcome(&mut self.ours, addresses[1], host, ask).await;
        if theirs.said == Value::String(String::new()) {
            // Ours explains itself where Envoy says nothing.
            ours.said = theirs.said.clone();
        }
        [theirs, ours]
    }
}

/// Of a request on this connection; on another where this one was closed after the last.
async fn outcome(client: &mut Client, address: SocketAddr, host: &str, ask: &str) -> Outcome {
    if let Ok(reply) = client.try_call(call(host, ask)).await {
        return Outcome::of(&reply);
    }
    *client = Client::http1(address).await.unwrap();
    Outcome::of(&client.call(call(host, ask)).await)
}

/// A listener as Istio gives it to a gateway whose mesh normalises paths as far as ours does by itself.
fn as_a_gateway(hosts: Value, filters: &[Value]) -> Value {
    let mut listener = listener("gateway", "blue");
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["normalize_path"] = true.into();
    manager["merge_slashes"] = true.into();
    manager["path_with_escaped_slashes_action"] = "REJECT_REQUEST".into();
    manager["use_remote_address"] = true.into();
    manager["xff_num_trusted_hops"] = 1.into();
    manager["route_config"] = json!({"virtual_hosts": hosts, "ignore_port_in_host_matching": true});
    let router = manager["http_filters"][0].take();
    manager["http_filters"] = [filters, &[router]].concat().into();
    listener
}

/// Holds Envoy and the gateway to the same outcomes in every case.
async fn agree(cases: &[Case]) {
    let hosts: Vec<Value> = cases.iter().map(|case| host(case, &json!({}))).collect();
    let mut documents = vec![http_gateway("shop", 80, &["*"])];
    documents.extend(cases.iter().map(service));
    let filters = ["cors.v3.Cors", "fault.v3.HTTPFault"].map(pilot::filter);
    let mut pair = Pair::open(hosts.into(), &filters, &documents).await;
    let mut wrong = String::new();
    for case in cases {
        for ask in &case.asks {
            let [theirs, ours] = pair.ask(&case.host(), ask).await;
            let known = case.known.iter().find(|(known, _)| known == ask);
            match (theirs == ours, known) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(_)) => {
                    writeln!(wrong, "{}: {ask}: no longer differs", case.name).unwrap()
                }
                (false, None) => {
                    writeln!(wrong, "{}: {ask}\n  Envoy {theirs:?}\n  ours  {ours:?}", case.name)
                        .unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// A case's virtual host of Envoy, with settings of filters.
fn host(case: &Case, settings: &Value) -> Value {
    json!({
        "name": case.name,
        "domains": [case.host()],
        "routes": pilot::routes(&case.rules),
        "typed_per_filter_config": settings,
    })
}

/// A case's VirtualService. JSON is YAML.
fn service(case: &Case) -> String {
    let rules = case.rules.as_array().unwrap();
    let rules: String = rules.iter().map(|rule| format!("- {rule}\n")).collect();
    virtual_service(case.name, "shop", &[&case.host()], &rules)
}

/// Reads `GET /path | name: value | name: value`; a `host` among the fields is the one that is asked.
fn call(host: &str, ask: &str) -> Call {
    let mut parts = ask.split(" | ");
    let (method, path) = parts.next().unwrap().split_once(' ').unwrap();
    let fields: Vec<(&str, &str)> = parts.map(|part| part.split_once(": ").unwrap()).collect();
    let host = fields.iter().find(|(name, _)| *name == "host").map_or(host, |(_, value)| value);
    let others = fields.iter().filter(|(name, _)| *name != "host");
    others.fold(Call::new(method, host, path), |call, (name, value)| call.header(name, value))
}

/// What came of a request, without what each says of itself.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u16,
    fields: BTreeMap<String, Vec<String>>,
    /// What the upstream saw, or the body.
    said: Value,
}

/// Fields of replies that routes and filters decide on.
const REPLIED: [&str; 5] =
    ["location", "access-control-", "x-t-", "x-upstream", "www-authenticate"];
/// Fields of requests that each proxy adds in its own way.
const OWN: [&str; 7] = [
    "x-forwarded-",
    "x-envoy-",
    "x-request-id",
    "via",
    "content-length",
    "transfer-encoding",
    "x-real-ip",
];

impl Outcome {
    fn of(reply: &Reply) -> Self {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &reply.headers {
            if REPLIED.iter().any(|replied| name.as_str().starts_with(replied)) {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                fields.entry(name.to_string()).or_default().push(value);
            }
        }
        Outcome { status: reply.status.as_u16(), fields, said: said(reply) }
    }
}

fn said(reply: &Reply) -> Value {
    let Ok(mut echo) = serde_json::from_slice::<Value>(&reply.body) else {
        return reply.text().into();
    };
    if let Some(headers) = echo.get_mut("headers").and_then(Value::as_object_mut) {
        headers.retain(|name, _| !OWN.iter().any(|own| name.starts_with(own)));
    }
    echo
}
