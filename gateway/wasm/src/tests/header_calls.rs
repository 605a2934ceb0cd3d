//! Header maps, local replies, actions.

use http::StatusCode;

use super::*;
use crate::tests::guest::{module_of, on_response};
use crate::{Action, LocalReply};

#[test]
fn a_header_is_read_added_replaced_removed() {
    let (exchange, effects) = on_request(
        r#"
        (call $expect_header (i32.const 0) $"x-a" $"one")
        (call $expect_header (i32.const 0) $"X-A" $"one")
        (call $expect (call $get_header (i32.const 0) $"x-none" (i32.const 512) (i32.const 516)) (i32.const 1))
        (call $expect (call $add_header (i32.const 0) $"x-b" $"1") (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"x-b" $"2") (i32.const 0))
        (call $expect (call $replace_header (i32.const 0) $"x-a" $"three") (i32.const 0))
        (call $expect (call $replace_header (i32.const 0) $"x-new" $"yes") (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"x-gone" $"1") (i32.const 0))
        (call $expect (call $remove_header (i32.const 0) $"x-gone") (i32.const 0))
        (call $expect (call $remove_header (i32.const 0) $"x-never") (i32.const 0))"#,
    );
    assert_eq!(effects, Effects::none());
    assert!(exchange.is_head_changed());
    let headers = &exchange.request.headers;
    assert_eq!(headers.get_all("x-b").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["three"]);
    assert_eq!(headers["x-new"], "yes");
    assert!(!headers.contains_key("x-gone"));
}

#[test]
fn reading_changes_nothing() {
    let (exchange, _) = on_request(r#"(call $expect_header (i32.const 0) $":path" $"/shop?q=1")"#);
    assert!(!exchange.is_head_changed());
}

#[test]
fn pseudo_headers_are_readable_and_writable() {
    let (exchange, _) = on_request(
        r#"
        (call $expect_header (i32.const 0) $":method" $"GET")
        (call $expect_header (i32.const 0) $":authority" $"shop.example.com")
        (call $expect_header (i32.const 0) $"host" $"shop.example.com")
        (call $expect_header (i32.const 0) $":scheme" $"http")
        (call $expect (call $replace_header (i32.const 0) $":method" $"POST") (i32.const 0))
        (call $expect (call $replace_header (i32.const 0) $":path" $"/other") (i32.const 0))
        (call $expect (call $replace_header (i32.const 0) $":authority" $"other.example.com:81") (i32.const 0))
        (call $expect (call $replace_header (i32.const 0) $":scheme" $"https") (i32.const 0))
        (call $expect (call $remove_header (i32.const 0) $":path") (i32.const 0))
        (call $expect (call $replace_header (i32.const 0) $":path" $"no path") (i32.const 2))
        (call $expect (call $replace_header (i32.const 0) $":path" $"/a#b") (i32.const 2))
        (call $expect (call $replace_header (i32.const 0) $":method" $"A B") (i32.const 2))
        (call $expect (call $replace_header (i32.const 0) $":scheme" $"ftp") (i32.const 2))
        (call $expect (call $replace_header (i32.const 0) $":authority" $"a@b") (i32.const 2))
        (call $expect (call $replace_header (i32.const 0) $":status" $"200") (i32.const 2))"#,
    );
    assert_eq!(exchange.request.method, "POST");
    assert_eq!(exchange.request.path, "/other");
    assert_eq!(exchange.request.authority, "other.example.com:81");
    assert_eq!(exchange.request.scheme, "https");
    assert!(exchange.is_head_changed());
}

#[test]
fn the_host_header_is_the_authority() {
    let (exchange, _) = on_request(
        r#"(call $expect (call $replace_header (i32.const 0) $"Host" $"other.example.com") (i32.const 0))"#,
    );
    assert_eq!(exchange.request.authority, "other.example.com");
    assert!(!exchange.request.headers.contains_key("host"));
}

#[test]
fn line_breaks_and_nul_are_refused() {
    let (exchange, _) = on_request(
        r#"
        (call $expect (call $add_header (i32.const 0) $"x-b" $"a\0d\0ab") (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"x-b" $"a\0ab") (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"x-b" $"a\00b") (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"x\0ab" $"1") (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"x b" $"1") (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"" $"1") (i32.const 0))"#,
    );
    assert_eq!(exchange.request.headers.len(), 2);
}

#[test]
fn what_a_refused_value_should_replace_is_gone() {
    let (exchange, _) = on_request(
        r#"(call $expect (call $replace_header (i32.const 0) $"x-a" $"a\0d\0ab") (i32.const 0))"#,
    );
    assert!(!exchange.request.headers.contains_key("x-a"));
}

#[test]
fn framing_stays_the_gateways() {
    let bench = Bench::start(&guest::on_request(
        r#"
        (call $expect (call $add_header (i32.const 0) $"transfer-encoding" $"chunked") (i32.const 0))
        (call $expect (call $replace_header (i32.const 0) $"content-length" $"0") (i32.const 0))
        (call $expect (call $remove_header (i32.const 0) $"content-length") (i32.const 0))
        (call $expect (call $set_pairs (i32.const 0) $"") (i32.const 0))"#,
    ));
    let mut exchange = exchange();
    exchange.request.headers.insert("content-length", "5".parse().unwrap());
    bench.request(&mut exchange).unwrap();
    assert_eq!(exchange.request.headers.len(), 1);
    assert_eq!(exchange.request.headers["content-length"], "5");
}

#[test]
fn all_pairs_go_out_and_in() {
    // ":authority" "shop.example.com", ":path" "/shop?q=1", ":method" "GET", ":scheme" "http", twice "x-a".
    let (exchange, _) = on_request(
        r#"
        (call $expect (call $map_size (i32.const 0) (i32.const 512)) (i32.const 0))
        (call $expect (i32.load (i32.const 512)) (i32.const 73))
        (call $expect (call $get_pairs (i32.const 0) (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect (call $out_length) (i32.const 137))
        (call $expect (i32.load (i32.load (i32.const 512))) (i32.const 6))
        (call $expect (call $set_pairs (i32.const 0) (i32.load (i32.const 512)) (call $out_length)) (i32.const 0))
        (call $expect (call $set_pairs (i32.const 0)
          $"\02\00\00\00\03\00\00\00\01\00\00\00\05\00\00\00\02\00\00\00x-c\001\00:path\00/p\00")
          (i32.const 0))
        (call $expect (call $set_pairs (i32.const 0) $"\ff\ff\ff\ff") (i32.const 4))"#,
    );
    assert_eq!(exchange.request.headers.len(), 1);
    assert_eq!(exchange.request.headers["x-c"], "1");
    assert_eq!(exchange.request.path, "/p");
    assert_eq!(exchange.request.method, "GET");
}

#[test]
fn maps_that_are_not_there_are_empty_and_cannot_be_changed() {
    let (exchange, _) = on_request(
        r#"
        (call $expect (call $get_pairs (i32.const 2) (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect (call $out_length) (i32.const 0))
        (call $expect (call $get_header (i32.const 2) $":status" (i32.const 512) (i32.const 516)) (i32.const 1))
        (call $expect (call $add_header (i32.const 2) $"x-b" $"1") (i32.const 2))
        (call $expect (call $add_header (i32.const 1) $"x-b" $"1") (i32.const 2))
        (call $expect (call $add_header (i32.const 99) $"x-b" $"1") (i32.const 2))
        (call $expect (call $map_size (i32.const 99) (i32.const 512)) (i32.const 2))"#,
    );
    assert!(!exchange.is_head_changed());
}

#[test]
fn a_missing_header_is_empty_in_the_oldest_version() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32)
        (call $expect (call $get_header (i32.const 0) $"x-none" (i32.const 512) (i32.const 516)) (i32.const 0))
        (call $expect (call $out_length) (i32.const 0))
        (call $continue_request)
        (i32.const 1))"#;
    let bench = Bench::try_start(&module_of("proxy_abi_version_0_1_0", body), settings()).unwrap();
    let effects = bench.request(&mut exchange()).unwrap();
    assert_eq!(effects, Effects::none(), "the callback resumed the stream that it paused");
}

#[test]
fn the_replys_head_is_changed_and_the_requests_stays_readable() {
    let bench = Bench::start(&on_response(
        r#"
        (call $expect_header (i32.const 2) $":status" $"200")
        (call $expect_header (i32.const 2) $"server" $"upstream")
        (call $expect_header (i32.const 0) $":path" $"/shop?q=1")
        (call $expect (call $add_header (i32.const 0) $"x-b" $"1") (i32.const 2))
        (call $expect (call $replace_header (i32.const 2) $":status" $"404") (i32.const 0))
        (call $expect (call $replace_header (i32.const 2) $":status" $"100") (i32.const 2))
        (call $expect (call $replace_header (i32.const 2) $":status" $"x") (i32.const 2))
        (call $expect (call $remove_header (i32.const 2) $":status") (i32.const 0))
        (call $expect (call $remove_header (i32.const 2) $"server") (i32.const 0))
        (call $expect (local.get $fields) (i32.const 2))
        (call $expect (local.get $end) (i32.const 0))"#,
    ));
    let (instance, mut exchange) = (bench.instance(), answered());
    let stream = begin(&instance, &mut exchange);
    instance.on_response_headers(stream, &mut exchange, EndOfStream::No).unwrap();
    let response = exchange.response.as_ref().unwrap();
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert!(response.headers.is_empty());
    assert!(!exchange.is_head_changed());
}

#[test]
fn a_local_reply_is_data_and_the_first_one_stands() {
    let (_, effects) = on_request(
        r#"
        (call $expect (call $reply (i32.const 401) $"no_token" $"go away"
          $"\02\00\00\00\03\00\00\00\01\00\00\00\0e\00\00\00\01\00\00\00x-w\001\00content-length\009\00"
          (i32.const -1)) (i32.const 0))
        (call $expect (call $reply (i32.const 200) $"" $"" $"" (i32.const -1)) (i32.const 0))"#,
    );
    assert_eq!(effects.action, Action::Pause);
    let LocalReply { reply, details, .. } = *effects.reply.unwrap();
    assert_eq!(details, "no_token");
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(&reply.body[..], b"go away");
    assert_eq!(reply.headers["x-w"], "1");
    assert_eq!(reply.headers["content-type"], "text/plain");
    assert_eq!(reply.headers.len(), 2);
}

#[test]
fn the_details_of_a_local_reply_are_one_printable_word() {
    let details = |given: &str| {
        let body = format!(
            "(call $expect (call $reply (i32.const 403) {given} $\"\" $\"\" (i32.const -1)) (i32.const 0))"
        );
        on_request(&body).1.reply.unwrap().details
    };
    assert_eq!(details(r#"$"""#), "wasm_local_response");
    assert_eq!(details(r#"$" \09 ""#), "wasm_local_response");
    assert_eq!(details(r#"$"not now\0a\22x\22 \ff""#), "not_now_\"x\"__");
    assert_eq!(details("(i32.const 1024) (i32.const 9999)").len(), 256);
}

#[test]
fn a_local_reply_needs_a_final_status() {
    let (_, effects) = on_request(
        r#"
        (call $expect (call $reply (i32.const 100) $"" $"" $"" (i32.const -1)) (i32.const 2))
        (call $expect (call $reply (i32.const 1000) $"" $"" $"" (i32.const -1)) (i32.const 2))
        (call $expect (call $reply (i32.const -1) $"" $"" $"" (i32.const -1)) (i32.const 2))
        (call $expect (call $reply (i32.const 200) $"" $"" $"\09" (i32.const -1)) (i32.const 4))"#,
    );
    assert_eq!(effects, Effects::none());
}

#[test]
fn a_pause_is_returned_as_it_is() {
    let pause = |before: &str| {
        on_request(&format!("{before} (drop (i32.const 0)) (return (i32.const 1))")).1.action
    };
    assert_eq!(pause(""), Action::Pause);
    assert_eq!(
        pause("(call $expect (call $continue (i32.const 0)) (i32.const 0))"),
        Action::Continue
    );
    assert_eq!(pause("(call $expect (call $continue (i32.const 9)) (i32.const 2))"), Action::Pause);
}

#[test]
fn a_map_cannot_be_filled_without_end() {
    let (exchange, _) = on_request(
        r#"
        (local $more i32)
        (local.set $more (i32.const 5000))
        (loop $next
          (call $expect (call $add_header (i32.const 0) $"x-many" $"1") (i32.const 0))
          (br_if $next (local.tee $more (i32.sub (local.get $more) (i32.const 1)))))
        (call $expect (call $replace_header (i32.const 0) $"x-new" $"1") (i32.const 0))
        (call $expect (call $replace_header (i32.const 0) $"x-a" $"last") (i32.const 0))"#,
    );
    assert_eq!(exchange.request.headers.len(), 1023, "one of two values was replaced");
    assert_eq!(exchange.request.headers["x-a"], "last");
}

/// Heads lie outside of the guest's memory: its limit does not hold them.
#[test]
fn a_head_cannot_be_made_to_weigh_gigabytes() {
    let (exchange, _) = on_request(
        r#"(local $n i32)
        (memory.fill (i32.const 2048) (i32.const 97) (i32.const 60000))
        (loop $next
          (call $expect (call $add_header (i32.const 0) $"x-big" (i32.const 2048) (i32.const 60000)) (i32.const 0))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $n) (i32.const 100))))
        (call $expect (call $replace_header (i32.const 0) $"x-a" (i32.const 2048) (i32.const 60000)) (i32.const 0))
        (call $expect (call $add_header (i32.const 0) $"x-small" $"fits") (i32.const 0))"#,
    );
    let headers = &exchange.request.headers;
    assert_eq!(headers.get_all("x-big").iter().count(), 17);
    assert!(!headers.contains_key("x-a"), "none of a client's is left in its place");
    assert_eq!(headers["x-small"], "fits");
}
