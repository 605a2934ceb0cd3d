//! What each failure of an upstream leaves behind: the reply, the line of the access log, `/clusters`, `explain`.

use std::net::SocketAddr;

use portcullis_testkit::manifests::{join, service_entry};
use portcullis_testkit::{Blackhole, Call, Client, Fault, FaultyUpstream, Refusing};
use serde_json::Value;

use crate::gateway::Gateway;
use crate::shop::{self, HOST};

/// One line for each request.
const FORMAT: &str = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_HOST% \
                      %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n";

/// A service that fails in one way, and what is to be told of it.
struct Case {
    name: &'static str,
    /// Further fields of its rule.
    rule: &'static str,
    endpoint: Option<SocketAddr>,
    /// Status, flags and details.
    told: &'static str,
    attempts: usize,
    /// What the transport failure reason has to contain; nothing is `-`.
    reason: &'static str,
}

fn manifests(cases: &[Case]) -> String {
    let rule = |case: &Case| {
        format!(
            "- match: [{{uri: {{prefix: /{0}}}}}]\n  route: [{{destination: {{host: {0}.example}}}}]\n  {1}\n",
            case.name, case.rule
        )
    };
    let mut documents = vec![shop::manifests(&cases.iter().map(rule).collect::<String>())];
    documents.extend(cases.iter().map(|case| {
        service_entry(case.name, &format!("{}.example", case.name), 80, case.endpoint.as_slice())
    }));
    documents.push(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: all}\nspec:\n  \
         host: '*.example'\n  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 300ms}}}\n"
            .to_owned(),
    );
    join(&documents)
}

#[tokio::test]
async fn each_failure_says_what_it_was_and_where() {
    let (refusing, blackhole) = (Refusing::open(), Blackhole::open());
    let closing = FaultyUpstream::always(Fault::Reset).await;
    let stalling = FaultyUpstream::always(Fault::Stall).await;
    let babbling = FaultyUpstream::always(Fault::Says("no HTTP\r\n\r\n")).await;
    let failing = FaultyUpstream::always(Fault::Status(503)).await;
    let case = |name, rule, endpoint, told, attempts, reason| Case {
        name,
        rule,
        endpoint,
        told,
        attempts,
        reason,
    };
    let cases = [
        case(
            "refuses",
            "retries: {attempts: 0}",
            Some(refusing.address),
            "503 UF upstream_reset_before_response_started{connection_failure}",
            1,
            "connection refused",
        ),
        case(
            "silent",
            "retries: {attempts: 0}",
            Some(blackhole.address),
            "503 UF upstream_reset_before_response_started{connection_failure}",
            1,
            "connect timeout",
        ),
        case("empty", "timeout: 30s", None, "503 UH no_healthy_upstream", 0, ""),
        case(
            "resets",
            "retries: {attempts: 0}",
            Some(closing.address),
            "502 UC upstream_reset_before_response_started{connection_termination}",
            1,
            "",
        ),
        case(
            "again",
            "retries: {attempts: 1}",
            Some(closing.address),
            "502 UC,URX upstream_reset_before_response_started{connection_termination}",
            2,
            "",
        ),
        case(
            "stalls",
            "timeout: 300ms",
            Some(stalling.address),
            "504 UT upstream_response_timeout",
            1,
            "",
        ),
        case(
            "babbles",
            "retries: {attempts: 0}",
            Some(babbling.address),
            "502 UPE upstream_reset_before_response_started{protocol_error}",
            1,
            "",
        ),
        case(
            "fails",
            "retries: {attempts: 2, retryOn: 5xx}",
            Some(failing.address),
            "503 URX via_upstream",
            3,
            "",
        ),
    ];
    let mut gateway = Gateway::start_with(&manifests(&cases), &["--access-log", FORMAT]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for case in &cases {
        let reply = client.call(Call::get(HOST, &format!("/{}", case.name))).await;
        let line = gateway.access_line().await;
        assert!(line.starts_with(case.told), "{}: {line}", case.name);
        assert!(case.told.starts_with(reply.status.as_str()), "{reply:?}");
        let (host, behind) = match case.endpoint {
            Some(endpoint) => (endpoint.to_string(), case.reason),
            None => ("-".to_owned(), ""),
        };
        let cluster = format!("outbound|80||{}.example", case.name);
        let wanted = format!(" {host} {cluster} {} ", case.attempts);
        assert!(line.contains(&wanted), "{}: {wanted:?} in {line}", case.name);
        let reason = line.split(&wanted).nth(1).unwrap();
        assert!(reason.contains(behind), "{}: {reason}", case.name);
    }
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let clusters = admin.get("localhost", "/clusters").await.json();
    let of = |name: &str| {
        let label = format!("outbound|80||{name}.example");
        let mut all = clusters["clusters"].as_array().unwrap().iter();
        all.find(|cluster| cluster["name"] == label.as_str()).unwrap()["endpoints"].clone()
    };
    assert_eq!(of("empty"), Value::Array(Vec::new()));
    for (name, failed) in [("refuses", 1), ("silent", 1), ("resets", 1), ("fails", 3)] {
        let endpoint = &of(name)[0];
        assert_eq!(
            (&endpoint["failed"], &endpoint["succeeded"]),
            (&failed.into(), &0.into()),
            "{endpoint}"
        );
        assert_eq!(endpoint["active_requests"], 0, "{endpoint}");
    }
    let explained = tokio::process::Command::new(crate::gateway::binary())
        .args(["explain", "--output", "json", "--config"])
        .arg(gateway.config())
        .arg(format!("http://{HOST}/empty"))
        .output()
        .await
        .unwrap();
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert_eq!((&explained["outcome"], &explained["status"]), (&"forward".into(), &503.into()));
}
