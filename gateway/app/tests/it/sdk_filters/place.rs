//! The SDK's test guests on every request: of the gateway, or of an Envoy, before the same upstreams.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use portcullis_testkit::manifests::{http_gateway, join, virtual_service, wasm_plugin};
use portcullis_testkit::{Call, Client, Reply, Upstream};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::envoy::process::{Envoy, api, cluster, listener};
use crate::gateway::Gateway;
use crate::guests::{guest, until_loaded};
use crate::shop::{TO_BLUE, backends};

const GREEN: &str = "outbound|80||green.example";
const BLUE: &str = "outbound|80||blue.example";

/// A module with its configuration.
#[derive(Clone, Copy)]
pub enum Module {
    Waiting,
    /// The same, with its background at work.
    Beating,
    Gathering,
    Pieces,
}

const MODULES: [Module; 4] = [Module::Waiting, Module::Beating, Module::Gathering, Module::Pieces];

impl Module {
    fn name(self) -> &'static str {
        match self {
            Module::Waiting => "waiting",
            Module::Beating => "beating",
            Module::Gathering => "gathering",
            Module::Pieces => "pieces",
        }
    }

    fn host(self) -> String {
        format!("{}.example", self.name())
    }

    fn url(self) -> String {
        guest(match self {
            Module::Waiting | Module::Beating => "sdk-waiting",
            Module::Gathering => "sdk-gathering",
            Module::Pieces => "sdk-pieces",
        })
    }

    fn configuration(self) -> Value {
        match self {
            Module::Waiting | Module::Gathering => json!({"cluster": GREEN}),
            Module::Beating => json!({"cluster": BLUE, "beats": true}),
            Module::Pieces => json!({}),
        }
    }
}

/// Where the modules run.
pub struct Place {
    pub green: Upstream,
    addresses: [SocketAddr; 4],
    blue: Upstream,
    _running: Running,
}

enum Running {
    Gateway { _gateway: Gateway },
    Envoy { _envoy: Envoy },
}

impl Place {
    /// A gateway of one worker, each module on a host of its own.
    pub async fn gateway() -> Self {
        let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
        let mut documents = vec![backends(&blue, &green)];
        documents.extend(MODULES.map(objects));
        let gateway = Gateway::start_with(&join(&documents), &["--workers", "1"]).await;
        until_loaded(&gateway).await;
        let addresses = [gateway.address("http"); 4];
        Place { green, addresses, blue, _running: Running::Gateway { _gateway: gateway } }
    }

    /// An Envoy, each module on a listener of its own.
    pub async fn envoy() -> Self {
        let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
        let clusters = [("blue", &blue), (BLUE, &blue), (GREEN, &green)];
        let clusters = clusters.map(|(name, up)| cluster(name, up.address(), &json!({})));
        let envoy = Envoy::start(&MODULES.map(filtered), &clusters).await;
        let addresses = MODULES.map(|module| envoy.address(module.name()));
        Place { green, addresses, blue, _running: Running::Envoy { _envoy: envoy } }
    }

    fn address(&self, module: Module) -> SocketAddr {
        self.addresses[module as usize]
    }

    /// The reply to a request to a module's host, on a connection of its own.
    pub async fn call(&self, module: Module, call: impl FnOnce(&str) -> Call) -> Reply {
        self.begin(module, call).await.unwrap()
    }

    /// The same beside others; whoever aborts it leaves.
    pub fn begin(&self, module: Module, call: impl FnOnce(&str) -> Call) -> JoinHandle<Reply> {
        let (address, call) = (self.address(module), call(&module.host()));
        tokio::spawn(async move { Client::http1(address).await.unwrap().call(call).await })
    }

    /// The first part of a body, and what follows when the upstream is told to go on.
    pub async fn stream(
        &self,
        module: Module,
        call: impl FnOnce(&str) -> Call,
    ) -> (String, String) {
        let mut client = Client::http1(self.address(module)).await.unwrap();
        let mut body = client.open(call(&module.host())).await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        self.blue.release();
        let rest = body.collect().await.unwrap().to_bytes();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&first), text(&rest))
    }
}

fn objects(module: Module) -> String {
    let (name, configuration) = (module.name(), module.configuration());
    let fields = format!(
        "pluginConfig: {configuration}\ntargetRefs:\n- {{group: networking.istio.io, kind: Gateway, name: {name}}}\n"
    );
    join(&[
        http_gateway(name, 80, &[&module.host()]),
        virtual_service(name, name, &["*"], TO_BLUE),
        wasm_plugin(name, &module.url(), &fields),
    ])
}

/// An Envoy's listener with the module before its router.
fn filtered(module: Module) -> Value {
    let configuration = json!({
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": module.configuration().to_string(),
    });
    let machine = json!({
        "vm_id": module.name(),
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": module.url().strip_prefix("file://").unwrap()}},
    });
    let filter = json!({"name": "envoy.filters.http.wasm", "typed_config": {
        "@type": api("filters.http.wasm.v3.Wasm"),
        "config": {"name": module.name(), "vm_config": machine, "configuration": configuration},
    }});
    let mut filtered = listener(module.name(), "blue");
    let filters = &mut filtered["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
    filters.as_array_mut().unwrap().insert(0, filter);
    filtered
}
