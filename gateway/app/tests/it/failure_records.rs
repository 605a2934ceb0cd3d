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

/// Upstreams that fail, each in its way.
struct Failing {
    refusing: Refusing,
    blackhole: Blackhole,
    resetting: FaultyUpstream,
    stalling: FaultyUpstream,
    babbling: FaultyUpstream,
    busy: FaultyUpstream,
}

impl Failing {
    async fn open() -> Self {
        Failing {
            refusing: Refusing::open(),
            blackhole: Blackhole::open(),
            resetting: FaultyUpstream::always(Fault::Reset).await,
            stalling: FaultyUpstream::always(Fault::Stall).await,
            babbling: FaultyUpstream::always(Fault::Says("no HTTP\r\n\r\n")).await,
            busy: FaultyUpstream::always(Fault::Status(503)).await,
        }
    }

    /// Service, further fields of its rule, endpoint, what the line begins with, attempts, reason.
    #[rustfmt::skip]
    fn cases(&self) -> [Case; 8] {
        let (once, again) = ("retries: {attempts: 0}", "retries: {attempts: 1}");
        let busy = "retries: {attempts: 2, retryOn: 5xx}";
        let unreached = "503 UF upstream_reset_before_response_started{connection_failure}";
        let cut = "502 UC upstream_reset_before_response_started{connection_termination}";
        let spent = "502 UC,URX upstream_reset_before_response_started{connection_termination}";
        let wrong = "502 UPE upstream_reset_before_response_started{protocol_error}";
        let late = "504 UT upstream_response_timeout";
        [
            case("refuses", once, Some(self.refusing.address), unreached, 1, "connection refused"),
            case("silent", once, Some(self.blackhole.address), unreached, 1, "connect timeout"),
            case("empty", "timeout: 30s", None, "503 UH no_healthy_upstream", 0, ""),
            case("resets", once, Some(self.resetting.address), cut, 1, ""),
            case("again", again, Some(self.resetting.address), spent, 2, ""),
            case("stalls", "timeout: 300ms", Some(self.stalling.address), late, 1, ""),
            case("babbles", once, Some(self.babbling.address), wrong, 1, ""),
            case("fails", busy, Some(self.busy.address), "503 URX via_upstream", 3, ""),
        ]
    }
}

fn case(
    name: &'static str,
    rule: &'static str,
    endpoint: Option<SocketAddr>,
    told: &'static str,
    attempts: usize,
    reason: &'static str,
) -> Case {
    Case { name, rule, endpoint, told, attempts, reason }
}

#[tokio::test]
async fn each_failure_says_what_it_was_and_where() {
    let failing = Failing::open().await;
    let cases = failing.cases();
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
