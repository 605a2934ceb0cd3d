//! The gRPC library itself on both sides of the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::within;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::gateway::Gateway;
use crate::shop::{self, HOST, TO_BLUE};

/// A server of the gRPC library, with its health service.
pub struct GrpcServer {
    pub address: SocketAddr,
    /// Killed when this is dropped.
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl GrpcServer {
    pub async fn start() -> Self {
        let mut child = python("server.py").stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = within("the server's port", output.next_line()).await.unwrap().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        GrpcServer { address, _child: child, input, output }
    }

    /// Has it say this of a service's health, `-` being the server as a whole: `SERVING`, `NOT_SERVING`.
    pub async fn set_health(&mut self, service: &str, status: &str) {
        self.input.write_all(format!("{service} {status}\n").as_bytes()).await.unwrap();
        within("its health", self.output.next_line()).await.unwrap().unwrap();
    }
}

/// Every kind of call by a client of the gRPC library.
pub async fn calls_pass(gateway: SocketAddr) {
    let calling = python("client.py").args([&gateway.to_string(), HOST]).output();
    let calls = within("the client's calls", calling).await.unwrap();
    let (said, wrong) =
        (String::from_utf8_lossy(&calls.stdout), String::from_utf8_lossy(&calls.stderr));
    assert!(calls.status.success() && said.trim() == "all well", "{said}\n{wrong}");
}

fn python(script: &str) -> Command {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/peers/bin/python3");
    assert!(python.exists(), "run .ci/peers first");
    let mut command = Command::new(python);
    command.arg(root.join("tests/it/grpc_peer").join(script));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn every_kind_of_call_passes() {
    let server = GrpcServer::start().await;
    let entry = service_entry("blue", "blue.example", 80, &[server.address]);
    let entry = entry.replace("protocol: HTTP}", "protocol: GRPC}");
    let gateway = Gateway::start(&join(&[shop::manifests(TO_BLUE), entry])).await;
    calls_pass(gateway.address("http")).await;
}
