//! The author's loop at work: what is saved is served, what does not build changes nothing, a panic is told by its line.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use portcullis_testkit::{Client, Reply};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::gateway::binary;

/// A build compiles a standard library where none is installed.
const BUILDING: Duration = Duration::from_secs(400);

const FILTER: &str = r#"
use portcullis_sdk::prelude::*;

#[derive(Default)]
pub struct Loop;

#[filter]
impl Filter for Loop {
    async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
        BODY
        Ok(Flow::Continue)
    }
}
"#;

/// `plugin dev` on a project that was just begun.
struct Dev {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

fn portcullis() -> Command {
    Command::new(binary())
}

impl Dev {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let begun = portcullis().args(["plugin", "new", "loop-it"]).current_dir(&folder).output();
        assert!(begun.await.unwrap().status.success());
        save(folder.path(), "request.headers_mut().set(\"x-told\", \"one\")?;");
        let mut child = portcullis()
            .args(["plugin", "dev", "loop-it", "--port", "0"])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut dev = Dev { child, lines, address: nowhere, folder };
        let served = dev.until("is served on http://").await;
        let address = served.split("http://").nth(1).and_then(|rest| rest.split(';').next());
        dev.address = address.unwrap().parse().unwrap();
        dev
    }

    fn save(&self, body: &str) {
        save(self.folder.path(), body);
    }

    /// Its next line with this in it.
    async fn until(&mut self, text: &str) -> String {
        let mut heard = Vec::new();
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(text) {
                    return Some(line);
                }
                heard.push(line);
            }
            None
        };
        let found = tokio::time::timeout(BUILDING, found).await;
        found.ok().flatten().unwrap_or_else(|| panic!("no line has {text:?}: {heard:#?}"))
    }

    async fn hello(&self) -> Reply {
        Client::http1(self.address).await.unwrap().get("example.test", "/hello").await
    }

    /// What the upstream was told.
    async fn told(&self) -> String {
        let reply = self.hello().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["headers"]["x-told"].as_str().unwrap_or("nothing").to_owned()
    }
}

fn save(folder: &Path, body: &str) {
    let file = folder.join("loop-it/src/lib.rs");
    std::fs::write(file, FILTER.replace("BODY", body)).unwrap();
}

#[tokio::test]
async fn what_is_saved_is_served_and_what_fails_is_told_with_its_line() {
    let mut dev = Dev::start().await;
    assert_eq!(dev.told().await, "one");
    let line = dev.until("GET /hello").await;
    assert!(line.contains("-> 200") && line.contains(" ms"), "{line}");

    dev.save("request.headers_mut().set(\"x-told\", \"two\")?;");
    let line = dev.until("after it was saved").await;
    assert!(line.contains("built in") && line.contains("swapped in"), "{line}");
    assert_eq!(dev.told().await, "two");

    dev.save("this is no Rust");
    dev.until("the last good one serves on").await;
    assert_eq!(dev.told().await, "two");

    dev.save("let none: Option<u8> = None; let _ = request; none.expect(\"gone\");");
    dev.until("after it was saved").await;
    assert_eq!(dev.hello().await.status, 503);
    let line = dev.until("panicked at").await;
    assert!(line.contains("src/lib.rs:10:"), "{line}");

    end(dev).await;
}

/// Nothing serves any more, and nothing is left.
async fn end(mut dev: Dev) {
    let id = dev.child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success()
    );
    let ended = tokio::time::timeout(BUILDING, dev.child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    // The gateway is killed as the command ends, and its socket goes with it.
    let gone = async {
        while tokio::net::TcpStream::connect(dev.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    portcullis_testkit::within("the gateway's end", gone).await;
}
