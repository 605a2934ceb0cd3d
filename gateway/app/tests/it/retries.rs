//! When a request is sent again, and when it is not.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Blackhole, Call, Client, Fault, FaultyUpstream, Reply};

use crate::gateway::Gateway;
use crate::metrics::{metrics, sample};
use crate::shop::{self, HOST};

/// A rule with these fields, that sends everything to `blue`.
fn rule(fields: &str) -> String {
    format!("- route:\n  - destination: {{host: blue.example}}\n  {fields}\n")
}

/// A gateway whose only rule has these fields, in front of these endpoints, and a client.
async fn in_front_of(fields: &str, endpoints: &[SocketAddr]) -> (Gateway, Client) {
    with_arguments(fields, endpoints, &[]).await
}

async fn with_arguments(
    fields: &str,
    endpoints: &[SocketAddr],
    arguments: &[&str],
) -> (Gateway, Client) {
    let rules = shop::manifests(&rule(fields));
    let manifests = join(&[rules, service_entry("blue", "blue.example", 80, endpoints)]);
    let gateway = Gateway::start_with(&manifests, arguments).await;
    let client = Client::http1(gateway.address("http")).await.unwrap();
    (gateway, client)
}

/// An upstream that breaks its first requests.
async fn breaking_first(fault: Fault, requests: usize) -> FaultyUpstream {
    FaultyUpstream::start(move |nth| if nth < requests { fault } else { Fault::None }).await
}

/// A DestinationRule for `blue` with this traffic policy.
fn policy(fields: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: blue}}\n\
         spec:\n  host: blue.example\n  trafficPolicy: {{{fields}}}\n"
    )
}

fn get() -> Call {
    Call::get(HOST, "/a")
}

fn post() -> Call {
    Call::post(HOST, "/a", "once")
}

/// The reply to one request through a rule with these fields, and how often the upstream was asked.
async fn asked(fields: &str, fault: Fault, times: usize, call: Call) -> (Reply, usize) {
    let upstream = breaking_first(fault, times).await;
    let (_gateway, mut client) = in_front_of(fields, &[upstream.address]).await;
    (client.call(call).await, upstream.requests())
}

#[tokio::test]
async fn an_idempotent_request_is_repeated_after_a_reset_twice_at_most() {
    for fault in [Fault::Close, Fault::Reset, Fault::ResetInHead] {
        let (reply, asked_for) = asked("timeout: 30s", fault, 2, get()).await;
        assert_eq!((reply.status.as_u16(), asked_for), (200, 3), "{fault:?}");
        let (reply, asked_for) = asked("timeout: 30s", fault, 3, get()).await;
        assert_eq!((reply.status.as_u16(), asked_for), (502, 3), "{fault:?}");
    }
}

#[tokio::test]
async fn a_body_that_was_kept_is_repeated_with_its_request() {
    for method in ["PUT", "DELETE"] {
        let upstream = breaking_first(Fault::Reset, 2).await;
        let (_gateway, mut client) = in_front_of("timeout: 30s", &[upstream.address]).await;
        let call = Call::new(method, HOST, "/a").body("kept whole");
        assert_eq!(client.call(call).await.status, 200);
        let lengths = upstream.heads();
        let lengths = lengths.iter().filter(|head| head.contains("content-length: 10\r\n"));
        assert_eq!(lengths.count(), 3, "{method}");
    }
    let large = vec![b'x'; 100 << 10];
    let put = Call::new("PUT", HOST, "/a").body(large);
    let (reply, asked_for) = asked("timeout: 30s", Fault::Reset, 1, put).await;
    assert_eq!((reply.status.as_u16(), asked_for), (502, 1), "more than is kept");
}

#[tokio::test]
async fn a_post_that_was_sent_is_not_repeated_whatever_is_written() {
    let all = "retries: {attempts: 5, retryOn: '5xx,reset,gateway-error,503', perTryTimeout: 1s}";
    for (fault, status) in [
        (Fault::Close, 502),
        (Fault::Reset, 502),
        (Fault::Status(503), 503),
        (Fault::Stall, 504),
        (Fault::Says("no HTTP\r\n\r\n"), 502),
    ] {
        let (reply, asked_for) = asked(all, fault, 5, post()).await;
        assert_eq!((reply.status.as_u16(), asked_for), (status, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn a_post_with_a_key_is_repeated() {
    let call = || post().header("idempotency-key", "\"8e03978e\"");
    let (reply, asked_for) = asked("timeout: 30s", Fault::Reset, 1, call()).await;
    assert_eq!((reply.status.as_u16(), asked_for), (200, 2));
}

#[tokio::test]
async fn istio_repeats_a_post_where_that_is_written() {
    for (fields, status, times) in [
        ("retries: {attempts: 2, retryOn: '5xx'}", 200, 2),
        // Its own default names no reset.
        ("timeout: 30s", 502, 1),
    ] {
        let upstream = breaking_first(Fault::Reset, 1).await;
        let arguments = ["--compat", "istio"];
        let (_gateway, mut client) = with_arguments(fields, &[upstream.address], &arguments).await;
        assert_eq!(client.call(post()).await.status, status, "{fields}");
        assert_eq!(upstream.requests(), times, "{fields}");
    }
}

#[tokio::test]
async fn without_attempts_nothing_is_repeated() {
    for fields in ["retries: {attempts: 0}", "retries: {attempts: 0, retryOn: 5xx}"] {
        let (reply, asked_for) = asked(fields, Fault::Close, 1, get()).await;
        assert_eq!((reply.status.as_u16(), asked_for), (502, 1), "{fields}");
    }
}

#[tokio::test]
async fn replies_are_repeated_where_their_status_is_named() {
    for (on, status, repeated) in [
        ("5xx", 500, true),
        ("gateway-error", 503, true),
        ("gateway-error", 500, false),
        ("retriable-4xx", 409, true),
        ("'418,connect-failure'", 418, true),
        ("connect-failure", 503, false),
    ] {
        let fields = format!("retries: {{attempts: 1, retryOn: {on}}}");
        let (reply, asked_for) = asked(&fields, Fault::Status(status), 1, get()).await;
        let expected = if repeated { (200, 2) } else { (status, 1) };
        assert_eq!((reply.status.as_u16(), asked_for), expected, "{on} {status}");
    }
    // Where nothing is written, a reply is a reply.
    let (reply, asked_for) = asked("timeout: 30s", Fault::Status(503), 1, get()).await;
    assert_eq!((reply.status.as_u16(), asked_for), (503, 1));
}

#[tokio::test]
async fn who_asks_for_time_gets_it_or_is_left_alone() {
    let fields = "retries: {attempts: 1, retryOn: 5xx}";
    let (reply, asked_for) = asked(fields, Fault::RetryAfter(503, "0"), 1, get()).await;
    assert_eq!((reply.status.as_u16(), asked_for), (200, 2));
    let (reply, asked_for) = asked(fields, Fault::RetryAfter(503, "60"), 1, get()).await;
    assert_eq!((reply.status.as_u16(), asked_for), (503, 1));
}

#[tokio::test]
async fn an_attempt_that_is_late_is_cut_and_repeated() {
    let fields = "retries: {attempts: 2, perTryTimeout: 300ms}";
    let (reply, asked_for) = asked(fields, Fault::Stall, 1, get()).await;
    assert_eq!((reply.status.as_u16(), asked_for), (200, 2));
    let upstream = FaultyUpstream::always(Fault::Stall).await;
    let fields = "retries: {attempts: 1, perTryTimeout: 100ms}";
    let (mut gateway, mut client) = in_front_of(fields, &[upstream.address]).await;
    assert_eq!(client.call(get()).await.status, 504);
    let line = gateway.access_line().await;
    assert!(line.contains(" 504 UT,URX upstream_per_try_timeout"), "{line}");
    assert_eq!(upstream.requests(), 2);
}

#[tokio::test]
async fn another_endpoint_is_taken_where_there_is_one() {
    let breaking = FaultyUpstream::always(Fault::Status(503)).await;
    let well = FaultyUpstream::always(Fault::None).await;
    let fields = "retries: {attempts: 1, retryOn: 5xx}";
    let (_gateway, mut client) = in_front_of(fields, &[breaking.address, well.address]).await;
    // No more than the three repeats that are always allowed.
    for _ in 0..3 {
        assert_eq!(client.call(get()).await.status, 200);
    }
    assert_eq!(well.requests(), 3);
}

/// As in Istio, the third attempt goes elsewhere, where that is asked for.
#[tokio::test]
async fn further_attempts_go_to_another_locality_where_that_is_asked_for() {
    for (remote, expected) in [("", 503), (", retryRemoteLocalities: true", 200)] {
        let near = [
            FaultyUpstream::always(Fault::Status(503)).await,
            FaultyUpstream::always(Fault::Status(503)).await,
        ];
        let far = FaultyUpstream::always(Fault::None).await;
        let endpoint = |upstream: &FaultyUpstream, locality: &str| {
            format!(
                "  - {{address: 127.0.0.1, ports: {{http: {}}}, locality: {locality}}}\n",
                upstream.address.port()
            )
        };
        let endpoints =
            [endpoint(&near[0], "eu/a"), endpoint(&near[1], "eu/a"), endpoint(&far, "us/a")]
                .concat();
        let manifests = join(&[
            shop::manifests(&rule(&format!("retries: {{attempts: 2, retryOn: 5xx{remote}}}"))),
            format!(
                "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: blue}}\nspec:\n  \
                 hosts: [blue.example]\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
                 location: MESH_INTERNAL\n  resolution: STATIC\n  endpoints:\n{endpoints}"
            ),
            policy("outlierDetection: {consecutive5xxErrors: 100}"),
        ]);
        let gateway = Gateway::start_with(&manifests, &["--locality", "eu/a"]).await;
        let mut client = Client::http1(gateway.address("http")).await.unwrap();
        assert_eq!(client.call(get()).await.status, expected, "{remote}");
        let near = near[0].requests() + near[1].requests();
        assert_eq!((near, far.requests()), if expected == 200 { (2, 1) } else { (3, 0) });
    }
}

#[tokio::test]
async fn a_repeat_says_which_attempt_it_is_and_so_does_the_log() {
    let upstream = breaking_first(Fault::Reset, 1).await;
    let format = "%UPSTREAM_REQUEST_ATTEMPT_COUNT% %RESPONSE_FLAGS% %REQ(:PATH)%\n";
    let arguments = ["--access-log", format];
    let (mut gateway, mut client) =
        with_arguments("timeout: 30s", &[upstream.address], &arguments).await;
    let call = get().header("x-envoy-attempt-count", "7");
    assert_eq!(client.call(call).await.status, 200);
    let said = |head: &String| {
        let line = head.lines().find_map(|line| line.strip_prefix("x-envoy-attempt-count: "));
        line.map(str::to_owned)
    };
    let said: Vec<_> = upstream.heads().iter().map(said).collect();
    assert_eq!(said, [None, Some("2".to_owned())]);
    assert_eq!(gateway.access_line().await.trim_end(), "2 - /a");
}

#[tokio::test]
async fn what_was_not_worth_another_attempt_is_in_the_record() {
    let upstream = FaultyUpstream::always(Fault::Reset).await;
    let (mut gateway, mut client) = in_front_of("timeout: 30s", &[upstream.address]).await;
    assert_eq!(client.call(get()).await.status, 502);
    let line = gateway.access_line().await;
    assert!(line.contains(" 502 UC,URX upstream_reset_before_response_started"), "{line}");
    // Three a second are always allowed, and no more of so few requests.
    for _ in 0..5 {
        assert_eq!(client.call(get()).await.status, 502);
    }
    gateway.access_line_with("UC,UO").await;
    let metrics = metrics(&gateway).await;
    let count = |result| {
        let label = format!("result=\"{result}\"");
        sample(&metrics, "portcullis_upstream_repeats_total", &[&label]) as usize
    };
    assert_eq!(count("sent") + 6, upstream.requests());
    assert!(count("exhausted") >= 1 && count("over_budget") >= 1, "{metrics}");
}

#[tokio::test]
async fn a_retry_budget_of_the_cluster_applies_besides() {
    let upstream = FaultyUpstream::always(Fault::Status(503)).await;
    let budget = "retryBudget: {percent: 0, minRetryConcurrency: 0}";
    let rules = shop::manifests(&rule("retries: {attempts: 3, retryOn: 5xx}"));
    let entry = service_entry("blue", "blue.example", 80, &[upstream.address]);
    let mut gateway = Gateway::start(&join(&[rules, entry, policy(budget)])).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.call(get()).await.status, 503);
    let line = gateway.access_line().await;
    assert!(line.contains(" 503 UO via_upstream"), "{line}");
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn a_blackhole_costs_the_connect_timeout_and_no_request() {
    let (blackhole, well) = (Blackhole::open(), FaultyUpstream::always(Fault::None).await);
    let pool = "connectionPool: {tcp: {connectTimeout: 200ms}}";
    let rules = shop::manifests(&rule("timeout: 30s"));
    let endpoints = [blackhole.address, well.address];
    let entry = service_entry("blue", "blue.example", 80, &endpoints);
    let gateway = Gateway::start(&join(&[rules, entry, policy(pool)])).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for _ in 0..6 {
        assert_eq!(client.call(post()).await.status, 200);
    }
    assert_eq!(well.requests(), 6);
}

#[tokio::test]
async fn the_routes_timeout_counts_while_nobody_takes_the_connection() {
    let blackhole = Blackhole::open();
    let (_gateway, mut client) = in_front_of("timeout: 300ms", &[blackhole.address]).await;
    for call in [get(), post()] {
        assert_eq!(client.call(call).await.status, 504);
    }
}
