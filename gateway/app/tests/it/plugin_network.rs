//! Plugins on connections whose bytes are passed on: they see, change, hold and end them.

use portcullis_testkit::manifests::{
    gateway, join, server, service_entry, tcp_service, tls_secret, wasm_plugin,
};
use portcullis_testkit::{Authority, Client, Echo, Tls, Upstream, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, directory_with};
use crate::metrics::{metrics, sample};
use crate::small_guests::{map, on_configure, small_guest};

const TO_DB: &str = "tcp:\n- route: [{destination: {host: db.internal}}]\n";

fn on_new_connection(code: &str) -> String {
    format!(
        "(func (export \"proxy_on_new_connection\") (param $context i32) (result i32) {code} (i32.const 0))"
    )
}

/// A callback for data, which goes on at its end.
fn on_data(from: &str, code: &str) -> String {
    format!(
        "(func (export \"proxy_on_{from}_data\") (param $context i32) (param $size i32) (param $end i32) (result i32)
           {code} (i32.const 0))"
    )
}

fn on_close(side: &str, code: &str) -> String {
    format!(
        "(func (export \"proxy_on_{side}_connection_close\") (param $context i32) (param $peer i32) {code})"
    )
}

/// A gateway before an echo, with these plugins.
async fn start(db: &Echo, guests: &[(&str, Vec<u8>, &str)]) -> Gateway {
    start_with(db, guests, &[]).await
}

async fn start_with(db: &Echo, guests: &[(&str, Vec<u8>, &str)], more: &[String]) -> Gateway {
    let mut documents = vec![
        gateway("gw", &[server("tcp", 9000, "TCP", &["*"], "")]),
        tcp_service("db", "gw", &["*"], TO_DB),
        service_entry("db", "db.internal", 5432, &[db.address]),
    ];
    for (name, _, fields) in guests {
        let fields = format!("type: NETWORK\n{fields}");
        documents.push(wasm_plugin(name, &format!("./{name}.wasm"), &fields));
    }
    documents.extend_from_slice(more);
    let directory = directory_with(&join(&documents));
    for (name, module, _) in guests {
        std::fs::write(directory.path().join(format!("config/{name}.wasm")), module).unwrap();
    }
    let arguments = ["--port-map", "9000=0", "--workers", "1", "--access-log", "text"];
    Gateway::start_in(directory, &arguments).await
}

async fn connect(gateway: &Gateway) -> TcpStream {
    TcpStream::connect(gateway.address("tcp")).await.unwrap()
}

async fn read(stream: &mut TcpStream, expected: &str) {
    let mut bytes = vec![0; expected.len()];
    within("bytes", stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
}

async fn read_all(mut stream: TcpStream) -> std::io::Result<String> {
    let mut text = String::new();
    within("the end", stream.read_to_string(&mut text)).await.map(|_| text)
}

#[tokio::test]
async fn bytes_are_changed_on_the_way_there_and_back() {
    let db = Echo::plain("db").await;
    let stars = small_guest(
        &(on_data(
            "downstream",
            "(call $set_buffer (i32.const 2) (i32.const 0) (i32.const 0) $\"<\")
             (call $set_buffer (i32.const 2) (i32.const 2) (i32.const 1) $\"-\")
             (call $set_buffer (i32.const 2) (i32.const 1000) (i32.const 0) $\">\")",
        ) + &on_data(
            "upstream",
            "(call $set_buffer (i32.const 3) (i32.const 0) (i32.const 1) $\"\")",
        )),
    );
    let mut gateway = start(&db, &[("stars", stars, "")]).await;
    let mut stream = connect(&gateway).await;
    // The greeting is `db` and a line feed, without its first byte.
    read(&mut stream, "b\n").await;
    stream.write_all(b"hello").await.unwrap();
    read(&mut stream, "h-llo>").await;
    drop(stream);
    let line = gateway.access_line().await;
    assert!(line.contains("VirtualService/default/db/tcp[0]"), "{line}");
}

#[tokio::test]
async fn plugins_stand_in_order_there_and_in_reverse_order_back() {
    let db = Echo::plain("db").await;
    let signs = |name: &str| {
        let sign = |buffer: u32| {
            format!(
                "(call $set_buffer (i32.const {buffer}) (i32.const 1000) (i32.const 0) $\"{name}\")"
            )
        };
        small_guest(
            &(on_data("downstream", &format!("(if (local.get $size) (then {}))", sign(2)))
                + &on_data("upstream", &format!("(if (local.get $size) (then {}))", sign(3)))),
        )
    };
    let gateway = start(&db, &[("a", signs("a"), ""), ("b", signs("b"), "priority: 1\n")]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\nab").await;
    stream.write_all(b"-").await.unwrap();
    read(&mut stream, "-baab").await;
}

#[tokio::test]
async fn ends_are_told_and_passed_on() {
    let db = Echo::plain("db").await;
    let log = |what: &str| format!("(call $log $\"saw {what}\")");
    let guest = small_guest(
        &(on_new_connection(&log("new"))
            + &on_data(
                "downstream",
                &format!("(if (local.get $end) (then {}))", log("client ends")),
            )
            + &on_data(
                "upstream",
                &format!("(if (local.get $end) (then {}))", log("upstream ends")),
            )
            + &on_close(
                "upstream",
                &format!(
                    "(call $expect (local.get $peer) (i32.const 2)) {}",
                    log("upstream close")
                ),
            )
            + &on_close(
                "downstream",
                &format!(
                    "(call $expect (local.get $peer) (i32.const 2)) {}",
                    log("downstream close")
                ),
            )
            + &format!(
                "(func (export \"proxy_on_done\") (param i32) (result i32) {} (i32.const 1))",
                log("done")
            )
            + &format!("(func (export \"proxy_on_log\") (param i32) {})", log("log"))
            + &format!("(func (export \"proxy_on_delete\") (param i32) {})", log("delete"))),
    );
    let mut gateway = start(&db, &[("ends", guest, "")]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    stream.shutdown().await.unwrap();
    assert_eq!(read_all(stream).await.unwrap(), "bye\n");
    for what in [
        "new",
        "client ends",
        "upstream ends",
        "upstream close",
        "downstream close",
        "done",
        "log",
        "delete",
    ] {
        gateway.wait_for_log(&format!("saw {what}")).await;
    }
    assert!(!gateway.log.iter().any(|line| line.contains("failed and is replaced")));
}

#[tokio::test]
async fn inside_tls_that_ends_here_bytes_are_plain_and_passed_on_they_stay_sealed() {
    let authority = Authority::new();
    let (ours, theirs) = (authority.issue(&["plain.test"]), authority.issue(&["sealed.test"]));
    let (db, sealed) = (Echo::plain("db").await, Echo::tls("sealed", &theirs).await);
    // A ClientHello begins with 22; what is typed here does not.
    let looks = on_data(
        "downstream",
        "(if (local.get $size) (then
           (call $expect (call $host_get_buffer (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 512) (i32.const 516)) (i32.const 0))
           (if (i32.eq (i32.load8_u (i32.load (i32.const 512))) (i32.const 104)) (then (call $log $\"saw plain bytes\")))
           (if (i32.eq (i32.load8_u (i32.load (i32.const 512))) (i32.const 22)) (then (call $log $\"saw a hello\")))))",
    );
    let servers = [
        server("plain", 9000, "TLS", &["plain.test"], "tls: {mode: SIMPLE, credentialName: db}"),
        server("sealed", 9000, "TLS", &["sealed.test"], "tls: {mode: PASSTHROUGH}"),
    ];
    let rules = "tls:\n- match: [{sniHosts: [sealed.test]}]\n  route: [{destination: {host: sealed.internal}}]\n";
    let documents = [
        gateway("gw", &servers),
        tls_secret("db", &ours),
        tcp_service("db", "gw", &["plain.test"], TO_DB),
        tcp_service("sealed", "gw", &["sealed.test"], rules),
        service_entry("db", "db.internal", 5432, &[db.address]),
        service_entry("sealed", "sealed.internal", 443, &[sealed.address]),
        wasm_plugin("looks", "./looks.wasm", "type: NETWORK\n"),
    ];
    let directory = directory_with(&join(&documents));
    std::fs::write(directory.path().join("config/looks.wasm"), small_guest(&looks)).unwrap();
    let mut gateway =
        Gateway::start_in(directory, &["--port-map", "9000=0", "--workers", "1"]).await;
    for (name, certificates, greeting, said) in [
        ("plain.test", &ours, "db\n", "saw plain bytes"),
        ("sealed.test", &theirs, "sealed\n", "saw a hello"),
    ] {
        let stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
        let mut stream = Tls::new(name, certificates).without_alpn().connect(stream).await.unwrap();
        let mut bytes = vec![0; greeting.len()];
        within("a greeting", stream.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), greeting);
        stream.write_all(b"hello").await.unwrap();
        within("an echo", stream.read_exact(&mut bytes[..2])).await.unwrap();
        gateway.wait_for_log(said).await;
    }
}

#[tokio::test]
async fn what_is_held_comes_whole_and_goes_on_whole() {
    let db = Echo::plain("db").await;
    // Until there are ten bytes; then those, of which the plugin drops the first.
    let guest = small_guest(&on_data(
        "downstream",
        "(call $log $\"saw a piece\")
         (if (i32.lt_u (local.get $size) (i32.const 10)) (then (return (i32.const 1))))
         (call $set_buffer (i32.const 2) (i32.const 0) (i32.const 1) $\"\")",
    ));
    let mut gateway = start(&db, &[("holds", guest, "")]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    for piece in ["abcd", "efgh", "ij"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        gateway.wait_for_log("saw a piece").await;
    }
    read(&mut stream, "bcdefghij").await;
    let metrics = metrics(&gateway).await;
    let plugin = "plugin=\"default/holds\"";
    assert_eq!(sample(&metrics, "portcullis_plugin_pauses_total", &[plugin]), 1.0);
    let phase = "phase=\"on_downstream_data\"";
    assert!(sample(&metrics, "portcullis_plugin_duration_seconds_count", &[plugin, phase]) >= 2.0);
}

#[tokio::test]
async fn a_connection_waits_for_a_call_that_lets_it_go_or_ends_it() {
    let (db, auth) = (Echo::plain("db").await, Upstream::start("auth"));
    let head = |path: &str| map(&[(":method", "GET"), (":path", path), (":authority", "auth")]);
    let asks = |path: &str| {
        let call = format!(
            "(call $expect (call $host_http_call $\"auth.internal:80\" {} (i32.const 0) (i32.const 0)
               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 520)) (i32.const 0))",
            head(path)
        );
        // On any answer but 204 it ends the connection.
        small_guest(
            &(on_new_connection(&format!(
                "(global.set $first (local.get $context)) {call} (return (i32.const 1))"
            )) + "(func (export \"proxy_on_http_call_response\") (param i32 i32 i32 i32 i32)
                 (call $expect (call $host_get (i32.const 6) $\":status\" (i32.const 512) (i32.const 516)) (i32.const 0))
                 (call $expect (call $host_context (global.get $first)) (i32.const 0))
                 (if (i32.eq (i32.load8_u offset=2 (i32.load (i32.const 512))) (i32.const 52))
                   (then (call $resume (global.get $first) (i32.const 2)))
                   (else (call $expect (call $host_close (i32.const 2)) (i32.const 0)))))"),
        )
    };
    let auth_entry = service_entry("auth", "auth.internal", 80, &[auth.address()]);
    let let_go =
        start_with(&db, &[("asks", asks("/status/204"), "")], std::slice::from_ref(&auth_entry))
            .await;
    let mut stream = connect(&let_go).await;
    read(&mut stream, "db\n").await;
    let mut ended = start_with(&db, &[("asks", asks("/status/403"), "")], &[auth_entry]).await;
    // Where the answer is quick, the client's own connect may end with it.
    let is_served = match TcpStream::connect(ended.address("tcp")).await {
        Ok(stream) => read_all(stream).await.is_ok(),
        Err(_) => false,
    };
    assert!(!is_served, "it is broken off");
    let line = ended.access_line().await;
    assert!(line.contains("wasm_close_stream"), "{line}");
    assert_eq!(auth.seen().requests, 2);
}

#[tokio::test]
async fn held_bytes_are_changed_and_released_from_elsewhere() {
    let db = Echo::plain("db").await;
    let guest = small_guest(
        &(on_configure("(call $expect (call $host_set_tick (i32.const 20)) (i32.const 0))")
            + &on_data(
                "downstream",
                "(if (local.get $size) (then (global.set $first (local.get $context)) (return (i32.const 1))))",
            )
            + "(func (export \"proxy_on_tick\") (param i32)
                 (if (i32.eqz (global.get $first)) (then (return)))
                 (call $expect (call $host_context (global.get $first)) (i32.const 0))
                 (call $expect (call $host_get_buffer (i32.const 2) (i32.const 0) (i32.const -1) (i32.const 512) (i32.const 516)) (i32.const 0))
                 (call $set_buffer (i32.const 2) (i32.const 1000) (i32.const 0) $\" from the tick\")
                 (call $resume (global.get $first) (i32.const 2))
                 (global.set $first (i32.const 0)))"),
    );
    let gateway = start(&db, &[("ticks", guest, "")]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    stream.write_all(b"hello").await.unwrap();
    read(&mut stream, "hello from the tick").await;
}

#[tokio::test]
async fn properties_and_buffers_are_those_of_a_connection() {
    let db = Echo::plain("db").await;
    let property = |path: &str, status: u32| {
        format!(
            "(call $expect (call $host_property $\"{path}\" (i32.const 512) (i32.const 516)) (i32.const {status}))"
        )
    };
    let code = [
        property("source\\00address", 0),
        "(call $log_given)".to_owned(),
        property("destination\\00port", 0),
        property("connection\\00id", 0),
        property("upstream\\00address", 0),
        property("request\\00path", 1),
        // Neither headers nor bodies nor replies.
        "(call $expect (call $host_get (i32.const 0) $\":path\" (i32.const 512) (i32.const 516)) (i32.const 1))".to_owned(),
        "(call $expect (call $host_get_buffer (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 512) (i32.const 516)) (i32.const 1))".to_owned(),
        "(drop (call $host_reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))".to_owned(),
    ];
    let import = "(import \"env\" \"proxy_get_property\" (func $host_property (param i32 i32 i32 i32) (result i32)))";
    let text = format!("{import} {}", on_data("downstream", &code.concat()));
    let mut gateway =
        start(&db, &[("reads", crate::small_guests::small_guest_importing(&text), "")]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    stream.write_all(b"hello").await.unwrap();
    read(&mut stream, "hello").await;
    let address = stream.local_addr().unwrap();
    gateway.logged(&address.to_string()).await;
}

#[tokio::test]
async fn a_plugin_that_fails_closes_its_connections_unless_told() {
    let db = Echo::plain("db").await;
    let traps = || small_guest(&on_data("downstream", "(if (local.get $size) (then unreachable))"));
    let mut closed = start(&db, &[("traps", traps(), "")]).await;
    let mut stream = connect(&closed).await;
    read(&mut stream, "db\n").await;
    stream.write_all(b"hello").await.unwrap();
    assert!(read_all(stream).await.is_err(), "it is reset");
    let line = closed.access_line().await;
    assert!(line.contains("wasm_fail_stream"), "{line}");
    let open = start(&db, &[("traps", traps(), "failStrategy: FAIL_OPEN\n")]).await;
    let mut stream = connect(&open).await;
    read(&mut stream, "db\n").await;
    stream.write_all(b"hello").await.unwrap();
    read(&mut stream, "hello").await;
    let metrics = metrics(&open).await;
    let plugin = "plugin=\"default/traps\"";
    assert_eq!(sample(&metrics, "portcullis_plugin_fail_open_total", &[plugin]), 1.0);
    let labels = [plugin, "phase=\"on_downstream_data\"", "cause=\"trap\""];
    assert_eq!(sample(&metrics, "portcullis_plugin_faults_total", &labels), 1.0);
}

#[tokio::test]
async fn an_endless_loop_costs_the_connection_and_nobody_else() {
    let db = Echo::plain("db").await;
    let loops = small_guest(&on_data(
        "downstream",
        "(if (i32.eq (local.get $size) (i32.const 5)) (then (loop $forever (br $forever))))",
    ));
    let gateway = start(&db, &[("loops", loops, "")]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    stream.write_all(b"hello").await.unwrap();
    assert!(read_all(stream).await.is_err());
    let mut other = connect(&gateway).await;
    read(&mut other, "db\n").await;
    other.write_all(b"well").await.unwrap();
    read(&mut other, "well").await;
}

#[tokio::test]
async fn a_plugin_that_never_was_good_keeps_connections_out() {
    let db = Echo::plain("db").await;
    let broken = b"no module".to_vec();
    let gateway = start(&db, &[("broken", broken, "")]).await;
    let end = match TcpStream::connect(gateway.address("tcp")).await {
        Ok(stream) => read_all(stream).await,
        Err(error) => Err(error),
    };
    assert!(end.is_err());
}

#[tokio::test]
async fn much_passes_byte_for_byte_through_a_plugin_that_looks_on() {
    let db = Echo::plain("db").await;
    let looks = small_guest(&(on_data("downstream", "") + &on_data("upstream", "")));
    let gateway = start(&db, &[("looks", looks, "")]).await;
    let mut stream = connect(&gateway).await;
    read(&mut stream, "db\n").await;
    let sent: Vec<u8> =
        (0..4 << 20).map(|nth: u32| (nth.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
    let (mut from, mut to) = stream.split();
    let mut got = Vec::with_capacity(sent.len() + 4);
    let sending = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (_, read) = tokio::join!(sending, within("4 MiB", from.read_to_end(&mut got)));
    read.unwrap();
    assert!(got.ends_with(b"bye\n") && got[..sent.len()] == sent[..]);
}

#[tokio::test]
async fn what_is_held_for_too_long_ends_and_the_plugin_is_told_once() {
    let db = Echo::plain("db").await;
    let guest = small_guest(
        &(on_new_connection("(return (i32.const 1))")
            + &on_close("upstream", "unreachable")
            + &on_close(
                "downstream",
                "(call $expect (local.get $peer) (i32.const 1)) (call $log $\"saw the close\")",
            )
            + "(func (export \"proxy_on_log\") (param i32) (call $log $\"saw the end\"))"),
    );
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: db}\nspec:\n  host: db.internal\n  trafficPolicy: {connectionPool: {tcp: {idleTimeout: 50ms}}}\n";
    let mut gateway = start_with(&db, &[("holds", guest, "")], &[rule.to_owned()]).await;
    assert!(read_all(connect(&gateway).await).await.is_err(), "it is broken off");
    let line = gateway.access_line().await;
    assert!(line.contains("tcp_idle_timeout"), "{line}");
    gateway.wait_for_log("saw the end").await;
    let closes = gateway.log.iter().filter(|line| line.contains("saw the close")).count();
    assert_eq!(closes, 1, "{:#?}", gateway.log);
    assert!(!gateway.log.iter().any(|line| line.contains("failed and is replaced")));
}

#[tokio::test]
async fn the_admin_port_shows_what_connections_pass() {
    let db = Echo::plain("db").await;
    let gateway =
        start(&db, &[("looks", small_guest(&on_data("upstream", "")), "phase: STATS\n")]).await;
    let mut client = Client::http1(gateway.side_port("admin")).await.unwrap();
    let shown = client.get("localhost", "/plugins").await.json();
    let plugin = &shown["plugins"][0];
    assert_eq!((&plugin["type"], &plugin["phase"]), (&"NETWORK".into(), &"STATS".into()));
    assert_eq!(plugin["attached_to"][0], "Gateway/default/gw/tcp");
    assert_eq!(plugin["state"], "running");
}
