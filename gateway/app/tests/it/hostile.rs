//! Hostile plugins, each beside a neighbour that has none: the process lives, the neighbours are answered, memory stays
//! within bounds. Faults 18 to 23 and 27.

mod asking;
mod budgets;
mod guests;
mod preamble;
mod shapes;
mod soak;

use std::path::Path;

use portcullis_testkit::manifests::{http_gateway, join, virtual_service, wasm_plugin};
use portcullis_testkit::{Call, Client, Reply, Upstream};

use crate::gateway::{Gateway, directory_with};
use crate::guests::until_loaded;
use crate::shop::{TO_BLUE, backends};
use guests::{Hostile, Outcome};

const NEIGHBOUR: &str = "neighbour.example";

/// Small budgets, so that a hundred guests that use them up take little time.
const LIMITS: &str =
    "metadata:\n  annotations:\n    portcullis.dev/limits: memory=4Mi,callback=10ms,start=300ms\n";

/// Every guest, by what it tries.
fn all() -> Vec<Hostile> {
    let [loops, memory] = [budgets::loops(), budgets::memory()];
    let [floods, pointers] = [asking::floods(), asking::pointers()];
    let [contexts, starts, exports, files] =
        [shapes::contexts(), shapes::starts(), shapes::exports(), shapes::files()];
    [loops, memory, floods, pointers, contexts, starts, exports, files].concat()
}

/// A gateway with every guest on a host of its own, and a neighbour.
struct Scene {
    gateway: Gateway,
    blue: Upstream,
    _green: Upstream,
}

impl Scene {
    async fn open(guests: &[Hostile]) -> Self {
        let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
        let mut documents = vec![
            http_gateway("neighbour", 80, &[NEIGHBOUR]),
            virtual_service("neighbour", "neighbour", &["*"], TO_BLUE),
            backends(&blue, &green),
        ];
        documents.extend(guests.iter().map(|guest| documents_of(guest.name)));
        let directory = directory_with(&join(&documents));
        for guest in guests {
            write(directory.path(), guest);
        }
        let gateway = Gateway::start_in(directory, &[]).await;
        until_loaded(&gateway).await;
        Scene { gateway, blue, _green: green }
    }

    async fn client(&self) -> Client {
        Client::http1(self.gateway.address("http")).await.unwrap()
    }

    /// One answer of each worker, or nearly so: connections are spread.
    async fn neighbours_are_served(&self, beside: &str) {
        for _ in 0..3 {
            let reply = self.client().await.try_call(Call::get(NEIGHBOUR, "/")).await;
            let reply = reply.unwrap_or_else(|error| panic!("beside {beside}: {error}"));
            assert_eq!(reply.status, 200, "beside {beside}: {reply:?}");
        }
    }

    /// A GET and a POST on connections of their own. What comes of the first is returned.
    async fn attack(&self, guest: &Hostile) -> Option<Reply> {
        let host = host_of(guest.name);
        let mut client = self.client().await;
        let get = soon(client.try_call(Call::get(&host, "/"))).await;
        let mut client = self.client().await;
        let post = Call::post(&host, "/", "x".repeat(3000)).trailer("x-sum", "1");
        let _whatever = soon(client.try_call(post)).await;
        get
    }
}

/// A plugin may hold its request; the client does not wait for ever, and leaves.
async fn soon<E>(call: impl Future<Output = Result<Reply, E>>) -> Option<Reply> {
    tokio::time::timeout(std::time::Duration::from_secs(3), call).await.ok()?.ok()
}

fn host_of(name: &str) -> String {
    format!("{name}.example")
}

fn documents_of(name: &str) -> String {
    let target =
        format!("targetRefs:\n- {{group: networking.istio.io, kind: Gateway, name: {name}}}\n");
    let plugin = wasm_plugin(name, &format!("./{name}.wasm"), &target);
    join(&[
        plugin.replacen("metadata:\n", LIMITS, 1),
        http_gateway(name, 80, &[&host_of(name)]),
        virtual_service(name, name, &["*"], TO_BLUE),
    ])
}

fn write(directory: &Path, guest: &Hostile) {
    std::fs::write(directory.join(format!("config/{}.wasm", guest.name)), &guest.module).unwrap();
}

/// What of a reply is not as expected.
fn surprise(guest: &Hostile, reply: Option<&Reply>) -> Option<String> {
    let status = reply.map(|reply| reply.status.as_u16());
    let wanted = match guest.outcome {
        Outcome::Refused | Outcome::Fails => status == Some(503),
        Outcome::Serves => status == Some(200),
        Outcome::Any => true,
    };
    let splits = reply.is_some_and(|reply| reply.headers.contains_key("set-cookie"));
    let text = || format!("{}: {:?}, but {reply:?}", guest.name, guest.outcome);
    (!wanted || splits).then(text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_hundred_hostile_guests_hurt_nobody() {
    let guests = all();
    assert!(guests.len() >= 100, "{} guests", guests.len());
    let mut scene = Scene::open(&guests).await;
    scene.neighbours_are_served("all").await;
    let before = scene.gateway.resident_kib();
    let mut surprises = Vec::new();
    for guest in &guests {
        let reply = scene.attack(guest).await;
        scene.neighbours_are_served(guest.name).await;
        surprises.extend(surprise(guest, reply.as_ref()));
    }
    let grown = scene.gateway.resident_kib().saturating_sub(before) >> 10;
    assert!(grown < 256, "{grown} MiB more than before");
    assert!(scene.blue.seen().requests > guests.len());
    scene.gateway.signal("INT");
    assert!(scene.gateway.wait().await.success(), "it ends as any other");
    told(&scene.gateway.log, &guests);
    assert_eq!(surprises, Vec::<String>::new());
}

/// Each plugin that never started is named with its reason, and no guest writes lines of its own into the log.
fn told(log: &[String], guests: &[Hostile]) {
    for guest in guests.iter().filter(|guest| guest.outcome == Outcome::Refused) {
        let object = format!("WasmPlugin/default/{}", guest.name);
        let told = log.iter().any(|line| line.contains("error[PC04") && line.contains(&object));
        assert!(told, "nothing is said of {}", guest.name);
    }
    for line in log {
        assert!(!line.contains('\u{1b}') && !line.starts_with("forged"), "{line:?}");
        assert!(!line.contains("panicked"), "{line}");
    }
}
