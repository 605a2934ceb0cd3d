//! Small guests, each of a few callbacks in WebAssembly text, and gateways that run them.

use std::fmt::Write;

use portcullis_testkit::manifests::{join, wasm_plugin};
use portcullis_testkit::{Client, Upstream, module};

use crate::gateway::{Gateway, directory_with};
use crate::shop::{self, HOST, Shop, TO_BLUE, backends};

/// A module of these functions. In them `$"text"` stands for the two arguments address and length of that text, and
/// every host call that the preamble names can be called.
pub fn small_guest(functions: &str) -> Vec<u8> {
    let (functions, data) = place_texts(functions);
    module(&format!("(module {PREAMBLE}\n{functions}\n{data})"))
}

/// The same for a text that begins with further imports.
pub fn small_guest_importing(text: &str) -> Vec<u8> {
    let (imports, functions) = text.split_once(") (func (export").expect("imports, then functions");
    let (functions, data) = place_texts(&format!("(func (export{functions}"));
    module(&format!("(module {imports})\n{PREAMBLE}\n{functions}\n{data})"))
}

/// A function that the gateway calls with context, size or number of fields, and end of stream.
pub fn callback(name: &str, code: &str) -> String {
    format!(
        "(func (export \"proxy_{name}\") (param $context i32) (param $size i32) (param $end i32) (result i32)
           {code} (i32.const 0))"
    )
}

/// One for trailers.
pub fn trailers_callback(name: &str, code: &str) -> String {
    format!(
        "(func (export \"proxy_{name}\") (param $context i32) (param $size i32) (result i32) {code} (i32.const 0))"
    )
}

/// A shop of one worker, before which these plugins run: name, module, and further fields of the object.
pub async fn shop_with_guests(guests: &[(&str, Vec<u8>, &str)], spec: &[String]) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let mut documents = vec![shop::manifests(TO_BLUE), backends(&blue, &green)];
    for (name, _, fields) in guests {
        documents.push(wasm_plugin(name, &format!("./{name}.wasm"), fields));
    }
    documents.extend_from_slice(spec);
    open(&documents, guests, "text", [blue, green]).await
}

/// The same, with an access log of this format.
pub async fn shop_with_log(guests: &[(&str, Vec<u8>, &str)], format: &str) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let mut documents = vec![shop::manifests(TO_BLUE), backends(&blue, &green)];
    for (name, _, fields) in guests {
        documents.push(wasm_plugin(name, &format!("./{name}.wasm"), fields));
    }
    open(&documents, guests, format, [blue, green]).await
}

async fn open(
    documents: &[String],
    guests: &[(&str, Vec<u8>, &str)],
    log: &str,
    [blue, green]: [Upstream; 2],
) -> Shop {
    let directory = directory_with(&join(documents));
    for (name, module, _) in guests {
        std::fs::write(directory.path().join(format!("config/{name}.wasm")), module).unwrap();
    }
    let gateway = Gateway::start_in(directory, &["--workers", "1", "--access-log", log]).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    Shop { gateway, client, blue, green }
}

/// A shop of one worker with these objects, which name the modules of guests by their files.
pub async fn shop_with_objects(objects: &[String], guests: &[(&str, Vec<u8>, &str)]) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let mut documents = vec![shop::manifests(TO_BLUE), backends(&blue, &green)];
    documents.extend_from_slice(objects);
    open(&documents, guests, "text", [blue, green]).await
}

/// The same with one plugin.
pub async fn shop_with_guest(functions: &str) -> Shop {
    shop_with_guests(&[("guest", small_guest(functions), "")], &[]).await
}

/// A shop of one plugin, `guest`, with these annotations of its object (YAML on one line) and further fields.
pub async fn shop_with_annotated(functions: &str, annotations: &str, fields: &str) -> Shop {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let object = annotated("guest", annotations, fields);
    let documents = [shop::manifests(TO_BLUE), backends(&blue, &green), object];
    let directory = directory_with(&join(&documents));
    std::fs::write(directory.path().join("config/guest.wasm"), small_guest(functions)).unwrap();
    let gateway = Gateway::start_in(directory, &["--workers", "1", "--access-log", "text"]).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    Shop { gateway, client, blue, green }
}

/// A plugin object with annotations, whose module lies beside it.
pub fn annotated(name: &str, annotations: &str, fields: &str) -> String {
    let object = wasm_plugin(name, &format!("./{name}.wasm"), fields);
    let head = format!("  name: {name}\n");
    object.replace(&head, &format!("{head}  annotations: {{{annotations}}}\n"))
}

/// The two arguments address and length of these pairs in the format of header maps.
pub fn map(pairs: &[(&str, &str)]) -> String {
    let mut text = format!("$\"{}", number(pairs.len()));
    for (name, value) in pairs {
        write!(text, "{}{}", number(name.len()), number(value.len())).unwrap();
    }
    for (name, value) in pairs {
        write!(text, "{name}\\00{value}\\00").unwrap();
    }
    text + "\""
}

fn number(number: usize) -> String {
    format!("\\{number:02x}\\00\\00\\00")
}

/// A function that takes the start of the root context, to be given what it does then.
pub fn on_configure(code: &str) -> String {
    format!(
        "(func (export \"proxy_on_configure\") (param i32 i32) (result i32) {code} (i32.const 1))"
    )
}

/// Clients of both protocols.
pub async fn clients(shop: &Shop) -> [Client; 2] {
    let address = shop.gateway.address("http");
    [Client::http1(address).await.unwrap(), Client::h2c(address).await.unwrap()]
}

/// The host of the shop, for calls.
pub const SHOP: &str = HOST;

fn place_texts(functions: &str) -> (String, String) {
    let (mut placed, mut data) = (String::new(), String::new());
    let (mut address, mut rest) = (1024, functions);
    while let Some((before, after)) = rest.split_once("$\"") {
        let (text, after) = after.split_once('"').expect("a text ends");
        let length = text.len() - 2 * text.matches('\\').count();
        write!(placed, "{before}(i32.const {address}) (i32.const {length})").unwrap();
        writeln!(data, "(data (i32.const {address}) \"{text}\")").unwrap();
        address += length;
        rest = after;
    }
    placed.push_str(rest);
    (placed, data)
}

const PREAMBLE: &str = r#"
 (import "env" "proxy_set_buffer_bytes" (func $host_set_buffer (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_add_header_map_value" (func $host_add (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_replace_header_map_value" (func $host_replace (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_get_header_map_value" (func $host_get (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_send_local_response" (func $host_reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_continue_stream" (func $host_continue (param i32) (result i32)))
 (import "env" "proxy_close_stream" (func $host_close (param i32) (result i32)))
 (import "env" "proxy_set_effective_context" (func $host_context (param i32) (result i32)))
 (import "env" "proxy_log" (func $host_log (param i32 i32 i32) (result i32)))
 (import "env" "proxy_http_call" (func $host_http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_grpc_call" (func $host_grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_grpc_stream" (func $host_grpc_stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_grpc_send" (func $host_grpc_send (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_get_buffer_bytes" (func $host_get_buffer (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_get_shared_data" (func $host_get_shared (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_shared_data" (func $host_set_shared (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_register_shared_queue" (func $host_register (param i32 i32 i32) (result i32)))
 (import "env" "proxy_resolve_shared_queue" (func $host_resolve (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_enqueue_shared_queue" (func $host_enqueue (param i32 i32 i32) (result i32)))
 (import "env" "proxy_dequeue_shared_queue" (func $host_dequeue (param i32 i32 i32) (result i32)))
 (import "env" "proxy_set_tick_period_milliseconds" (func $host_set_tick (param i32) (result i32)))
 (memory (export "memory") 64)
 (global $next (mut i32) (i32.const 65536))
 (global $first (mut i32) (i32.const 0))
 (func (export "proxy_abi_version_0_2_1"))
 (func (export "malloc") (param $size i32) (result i32)
   (global.get $next)
   (global.set $next (i32.add (i32.const 65536)
     (i32.rem_u (i32.add (global.get $next) (local.get $size)) (i32.const 2000000)))))
 (func $set_buffer (param i32 i32 i32 i32 i32)
   (if (call $host_set_buffer (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))
     (then unreachable)))
 (func $add (param i32 i32 i32 i32 i32)
   (if (call $host_add (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))
     (then unreachable)))
 (func $replace (param i32 i32 i32 i32 i32)
   (if (call $host_replace (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))
     (then unreachable)))
 ;; whether the request has this field
 (func $asks (param i32 i32) (result i32)
   (i32.eqz (call $host_get (i32.const 0) (local.get 0) (local.get 1) (i32.const 512) (i32.const 516))))
 (func $reply (param $status i32) (param i32 i32)
   (if (call $host_reply (local.get $status) (i32.const 0) (i32.const 0) (local.get 1) (local.get 2)
       (i32.const 0) (i32.const 0) (i32.const -1))
     (then unreachable)))
 (func $log (param i32 i32)
   (drop (call $host_log (i32.const 2) (local.get 0) (local.get 1))))
 ;; logs what the last host call gave at 512 and 516
 (func $log_given
   (drop (call $host_log (i32.const 2) (i32.load (i32.const 512)) (i32.load (i32.const 516)))))
 (func $expect (param $got i32) (param $wanted i32)
   (if (i32.ne (local.get $got) (local.get $wanted)) (then unreachable)))
 (func $resume (param $context i32) (param $stream i32)
   (if (call $host_context (local.get $context)) (then unreachable))
   (if (call $host_continue (local.get $stream)) (then unreachable)))
"#;
