//! The usual scene: a gateway in front of two upstreams, `blue` and `green`.

use portcullis_testkit::manifests::{gateway, http_gateway, join, service_entry, virtual_service};
use portcullis_testkit::{Call, Client, Reply, Upstream};

use crate::gateway::Gateway;

/// The host that the shop's rules are for.
pub const HOST: &str = "shop.example";

/// A rule that sends everything to `blue`.
pub const TO_BLUE: &str = "- route:\n  - destination: {host: blue.example}\n";

/// A gateway with rules for [`HOST`], and upstreams at `blue.example` and `green.example`.
pub struct Shop {
    pub gateway: Gateway,
    pub client: Client,
    pub blue: Upstream,
    pub green: Upstream,
}

impl Shop {
    /// Opens with these rules, written as YAML from the first column.
    pub async fn open(rules: &str) -> Shop {
        Shop::open_with(rules, &[]).await
    }

    /// Opens with further arguments.
    pub async fn open_with(rules: &str, arguments: &[&str]) -> Shop {
        let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
        let manifests = join(&[manifests(rules), backends(&blue, &green)]);
        let gateway = Gateway::start_with(&manifests, arguments).await;
        let client = Client::http1(gateway.address("http")).await.unwrap();
        Shop { gateway, client, blue, green }
    }

    /// Replaces the rules; the new generation.
    pub async fn apply(&mut self, rules: &str) -> u64 {
        let manifests = self.manifests(rules);
        self.gateway.apply(&manifests).await
    }

    /// All its manifests, with these rules.
    pub fn manifests(&self, rules: &str) -> String {
        join(&[manifests(rules), backends(&self.blue, &self.green)])
    }

    /// A GET on its host.
    pub async fn get(&mut self, path: &str) -> Reply {
        self.client.get(HOST, path).await
    }

    /// A GET with one header.
    pub async fn get_with(&mut self, path: &str, name: &str, value: &str) -> Reply {
        self.client.call(Call::get(HOST, path).header(name, value)).await
    }

    /// Another connection, speaking HTTP/1.
    pub async fn connect(&self) -> Client {
        Client::http1(self.gateway.address("http")).await.unwrap()
    }
}

/// The Gateway and the VirtualService, both named `shop`.
pub fn manifests(rules: &str) -> String {
    join(&[http_gateway("shop", 80, &["*"]), virtual_service("shop", "shop", &[HOST], rules)])
}

/// A Gateway of these servers whose every host is served by `blue`, with these Secrets.
pub fn all_to_blue(blue: &Upstream, servers: &[String], secrets: &[String]) -> String {
    let mut all = vec![
        gateway("shop", servers),
        virtual_service("shop", "shop", &["*"], TO_BLUE),
        backends(blue, blue),
    ];
    all.extend_from_slice(secrets);
    join(&all)
}

/// Where `blue.example` and `green.example` are.
pub fn backends(blue: &Upstream, green: &Upstream) -> String {
    join(&[
        service_entry("blue", "blue.example", 80, &[blue.address()]),
        service_entry("green", "green.example", 80, &[green.address()]),
    ])
}
