//! `portcullis.dev/strict: envoy`: one guest for each way in which a plugin is then treated otherwise.

use super::*;
use crate::tests::guest::module;

const HEAD: &str = r#"$"\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00""#;

/// The callbacks of a life, in its order.
const CALLBACKS: [&str; 8] = [
    "request_headers",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
    "log",
    "delete",
];

/// A guest that makes a call in one callback and notes its status; where `pauses`, at the request's head.
fn guest(callback: &str, call: &str, at_the_head: &str) -> String {
    let mut body = String::new();
    for name in CALLBACKS {
        let (arguments, result) = match name {
            "log" | "delete" => ("i32", ""),
            name if name.ends_with("trailers") => ("i32 i32", "(result i32)"),
            _ => ("i32 i32 i32", "(result i32)"),
        };
        let noted = match name == callback {
            true => format!(
                "(i32.store (i32.const 600) (i32.add (block (result i32) {call}) (i32.const 1)))"
            ),
            false => String::new(),
        };
        let value = match (result, name) {
            ("", _) => String::new(),
            (_, "request_headers") => format!("(i32.const {at_the_head})"),
            _ => "(i32.const 0)".to_owned(),
        };
        body += &format!(
            "(func (export \"proxy_on_{name}\") (param {arguments}) {result} {noted} {value})\n"
        );
    }
    module(&body)
}

/// What the call is answered with, where the plugin is treated so.
fn status(text: &str, strictness: model::Strictness) -> u32 {
    let mut settings = settings();
    settings.compatibility.strictness = strictness;
    let bench = Bench::try_start(text, settings).unwrap();
    let (instance, mut exchange) = (bench.instance(), exchange());
    let (hello, more) = (|| Bytes::from_static(b"hello"), EndOfStream::No);
    let stream = instance.open_stream();
    instance.on_request_headers(stream, &mut exchange, more).unwrap();
    instance.on_request_body(stream, &mut exchange, hello(), more).unwrap();
    exchange.request_trailers = Some(HeaderMap::new());
    instance.on_request_trailers(stream, &mut exchange, Bytes::new()).unwrap();
    exchange.response = answered().response;
    instance.on_response_headers(stream, &mut exchange, more).unwrap();
    instance.on_response_body(stream, &mut exchange, hello(), EndOfStream::Yes).unwrap();
    exchange.response.as_mut().unwrap().trailers = Some(HeaderMap::new());
    instance.on_response_trailers(stream, &mut exchange, Bytes::new()).unwrap();
    instance.close_stream(stream, &mut exchange);
    let noted = instance.with_vm(|vm| {
        let memory = vm.store.data().memory.unwrap().data(&vm.store);
        Ok(u32::from_le_bytes(memory[600..604].try_into().unwrap()))
    });
    noted.unwrap().checked_sub(1).expect("the callback came")
}

/// In which callback, which call, its status otherwise, its status as in Envoy.
fn differences() -> Vec<(&'static str, String, u32, u32)> {
    let get = |map: u32, name: &str| {
        format!("(call $get_header (i32.const {map}) $\"{name}\" (i32.const 512) (i32.const 516))")
    };
    let property =
        |path: &str| format!("(call $get_property $\"{path}\" (i32.const 512) (i32.const 516))");
    let splice = "(call $set_buffer (i32.const 0) (i32.const 1) (i32.const 2) $\"ab\")";
    let add = |map: u32| format!("(call $add_header (i32.const {map}) $\"x-b\" $\"c\")");
    let remove = "(call $remove_header (i32.const 0) $\"x-a\")".to_owned();
    let pairs =
        |map: u32| format!("(call $get_pairs (i32.const {map}) (i32.const 512) (i32.const 516))");
    let size = "(call $map_size (i32.const 0) (i32.const 512))".to_owned();
    let call = |cluster: &str| {
        format!("(call $http_call $\"{cluster}\" {HEAD} $\"\" $\"\" (i32.const 0) (i32.const 520))")
    };
    let foreign = |name: &str| {
        format!(
            "(call $foreign $\"{name}\" (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 516))"
        )
    };
    vec![
        ("request_body", splice.to_owned(), 0, 2),
        ("request_body", get(0, "x-a"), 0, 2),
        ("request_trailers", size, 0, 2),
        ("response_headers", get(0, ":path"), 0, 2),
        ("response_body", get(2, ":status"), 0, 2),
        ("request_body", remove, 0, 2),
        ("response_body", add(2), 0, 2),
        ("response_body", add(3), 0, 2),
        ("request_headers", call("auth"), 0, 2),
        ("request_headers", call("auth.shop.svc:80"), 0, 2),
        ("request_headers", foreign("portcullis_hash"), 2, 1),
        ("request_headers", property("node\\00id"), 1, 1),
        ("request_headers", property("listener_direction"), 0, 1),
        ("response_headers", format!("(drop {}) (i32.load (i32.const 516))", pairs(0)), 137, 0),
        // These are the same.
        ("response_headers", pairs(0), 0, 0),
        ("request_headers", pairs(2), 0, 0),
        ("request_headers", get(0, "x-a"), 0, 0),
        ("request_headers", add(0), 0, 0),
        ("response_headers", get(2, ":status"), 0, 0),
        ("request_trailers", add(1), 0, 0),
        ("log", get(0, "x-a"), 0, 0),
        ("log", get(2, ":status"), 0, 0),
        ("log", get(1, "x"), 1, 1),
        ("request_headers", call("outbound|80||auth.shop.svc"), 0, 0),
        ("request_headers", foreign("compress"), 0, 0),
        ("request_headers", property("plugin_root_id"), 0, 0),
        ("request_headers", property("request\\00path"), 0, 0),
        ("request_headers", property("nothing"), 1, 1),
        ("delete", get(0, "x-a"), 2, 2),
    ]
}

#[test]
fn as_strict_as_envoy_a_plugin_is_refused_what_envoy_refuses_and_nothing_else() {
    for (callback, call, lenient, strict) in differences() {
        let text = guest(callback, &call, "0");
        let found = [model::Strictness::Lenient, model::Strictness::Envoy];
        assert_eq!(found.map(|mode| status(&text, mode)), [lenient, strict], "{callback}: {call}");
    }
}

#[test]
fn what_was_held_back_is_at_hand_from_then_on_as_in_envoy() {
    let read = "(call $get_header (i32.const 0) $\"x-a\" (i32.const 512) (i32.const 516))";
    for (callback, wanted) in [("request_body", 0), ("response_body", 0), ("delete", 2)] {
        let text = guest(callback, read, "1");
        assert_eq!(status(&text, model::Strictness::Envoy), wanted, "{callback}");
    }
    let of_reply = "(call $get_header (i32.const 2) $\":status\" (i32.const 512) (i32.const 516))";
    let text = guest("response_body", of_reply, "1");
    assert_eq!(status(&text, model::Strictness::Envoy), 2, "only the request's head was held");
}

#[test]
fn what_a_stream_held_back_is_forgotten_with_it() {
    let mut settings = settings();
    settings.compatibility.strictness = model::Strictness::Envoy;
    let bench = Bench::try_start(&guest("log", "(i32.const 0)", "1"), settings).unwrap();
    let (instance, mut exchange) = (bench.instance(), exchange());
    let stream = begin(&instance, &mut exchange);
    let size = || instance.with_vm(|vm| Ok(vm.store.data().held_back.len())).unwrap();
    assert_eq!(size(), 1);
    instance.close_stream(stream, &mut exchange);
    assert_eq!(size(), 0);
}
