//! `retries` and `mirror` of a VirtualService's rule.

use std::time::Duration;

use http::StatusCode;
use portcullis_model::{PreviousEndpoints, RemoteLocalities, RetryOn, RetryPolicy, Rule};

use super::{GATEWAY, REVIEWS, convert, only_problem, problems, route};
use crate::convert::Conversion;

fn with(fields: &str) -> Conversion {
    let http = format!("[{{route: [{{destination: {{host: reviews.example.com}}}}], {fields}}}]");
    let route = route("shop", "shop.example.com", &http);
    convert(&[("gw.yaml", GATEWAY), ("a.yaml", REVIEWS), ("b.yaml", &route)])
}

fn rule(conversion: &Conversion) -> Rule {
    (*conversion.model.listeners[0].virtual_hosts[0].rules[0]).clone()
}

fn retries(fields: &str) -> RetryPolicy {
    rule(&with(&format!("retries: {{{fields}}}"))).retries.as_ref().clone()
}

#[test]
fn every_field_of_retries_reaches_the_model() {
    let conversion = with(
        "match: [{method: {exact: GET}}], retries: {attempts: 3, perTryTimeout: 2s, \
         retryOn: '5xx, connect-failure,503,retriable-status-codes,unavailable', \
         retryRemoteLocalities: true, retryIgnorePreviousHosts: false, backoff: 100ms}",
    );
    assert_eq!(problems(&conversion), [""; 0]);
    let expected = RetryPolicy {
        attempts: 3,
        per_try_timeout: Some(Duration::from_secs(2)),
        on: RetryOn {
            any_5xx: true,
            connect_failure: true,
            grpc_statuses: 1 << 14,
            ..RetryOn::NOTHING
        },
        statuses: vec![StatusCode::SERVICE_UNAVAILABLE],
        backoff: Duration::from_millis(100),
        remote_localities: RemoteLocalities::Allowed,
        previous: PreviousEndpoints::DrawnAgain,
    };
    assert_eq!(*rule(&conversion).retries, expected);
}

#[test]
fn what_is_not_written_is_the_default() {
    let conversion = with("timeout: 1s");
    assert_eq!(*rule(&conversion).retries, RetryPolicy::default());
    assert_eq!(retries("attempts: 5, retryOn: ''").on, RetryOn::DEFAULT);
    assert_eq!(retries("attempts: 0").attempts, 0);
    assert_eq!(retries("attempts: 1, perTryTimeout: 0s").per_try_timeout, None);
}

#[test]
fn retries_without_attempts_are_none_and_are_told() {
    let conversion = with("retries: {perTryTimeout: 2s}");
    let problem = only_problem(&conversion);
    assert!(problem.contains("warning[PC0217]"), "{problem}");
    assert!(problem.contains("spec.http[0].retries: `retries` without `attempts`"), "{problem}");
    assert_eq!(rule(&conversion).retries.attempts, 0);
}

#[test]
fn every_word_of_envoy_is_known() {
    for word in [
        "reset-before-request",
        "refused-stream",
        "connect-failure",
        "retriable-headers",
        "http3-post-connect-failure",
        "envoy-ratelimited",
        "retriable-status-codes",
    ] {
        let conversion = with(&format!("retries: {{attempts: 1, retryOn: {word}}}"));
        assert_eq!(problems(&conversion), [""; 0], "{word}");
    }
}

#[test]
fn what_would_replay_a_post_is_told() {
    for word in [
        "5xx",
        "gateway-error",
        "reset",
        "retriable-4xx",
        "503",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
        "connect-failure,500",
    ] {
        let conversion = with(&format!("retries: {{attempts: 1, retryOn: \"{word}\"}}"));
        let problem = only_problem(&conversion);
        assert!(problem.contains("warning[PC0220]"), "{problem}");
        assert!(problem.contains("spec.http[0].retries.retryOn"), "{problem}");
    }
    let posts = "match: [{method: {exact: GET}}, {method: {exact: POST}}]";
    let conversion = with(&format!("{posts}, retries: {{attempts: 1, retryOn: 5xx}}"));
    assert!(only_problem(&conversion).contains("PC0220"));
}

#[test]
fn what_is_nothing_to_retry_on_is_refused() {
    for (fields, said) in [
        ("attempts: 1, retryOn: 'connect-failure, 5xy'", "did you mean `5xx`?"),
        (
            "attempts: 1, retryOn: '999'",
            "`999` is nothing to retry on; write statuses from 100 to 599",
        ),
        ("attempts: 1, retryOn: 'every time'", "`every time` is nothing to retry on"),
        ("attempts: -1", "-1 is not from 0 to 100"),
        ("attempts: 1, backoff: 0s", "a pause is at least a millisecond"),
        ("attempts: 1, backoff: soon", "`soon` is no duration"),
        ("attempts: 1, perTryTimeout: 5", "this has to be a string"),
        ("attempts: 1, retryRemoteLocalities: maybe", "this has to be a boolean"),
        ("attempts: 1, tries: 2", "a retry policy has no field `tries`"),
    ] {
        let conversion = with(&format!("retries: {{{fields}}}"));
        let problems = problems(&conversion).join("\n");
        assert!(problems.contains("error[PC02") && problems.contains(said), "{fields}: {problems}");
    }
}

fn mirrors(fields: &str) -> Vec<(String, u32)> {
    let conversion = with(fields);
    let found = rule(&conversion).mirrors;
    found.iter().map(|mirror| (mirror.cluster.to_string(), mirror.parts_per_million)).collect()
}

#[test]
fn mirrors_reach_the_model_with_their_share() {
    let to = "{host: reviews.example.com, port: {number: 80}}";
    let cluster = "outbound|80||reviews.example.com";
    for (fields, parts) in [
        (String::new(), 1_000_000),
        (", mirrorPercentage: {value: 12.5}".into(), 125_000),
        (", mirrorPercentage: {value: 0.0001}".into(), 1),
        (", mirrorPercentage: {}".into(), 0),
        (", mirrorPercent: 50".into(), 500_000),
    ] {
        let found = mirrors(&format!("mirror: {to}{fields}"));
        assert_eq!(found, [(cluster.to_owned(), parts)], "{fields}");
    }
    let several = format!(
        "mirrors: [{{destination: {to}}}, {{destination: {to}, percentage: {{value: 1}}}}]"
    );
    let each = |parts| (cluster.to_owned(), parts);
    assert_eq!(mirrors(&several), [each(1_000_000), each(10_000)]);
}

#[test]
fn what_is_wrong_with_a_mirror_is_said_at_its_place() {
    for (fields, said) in [
        (
            "mirror: {host: gone.example.com}",
            "warning[PC0304] VirtualService/shop/shop spec.http[0].mirror.host: there is no service",
        ),
        (
            "mirrors: [{destination: {host: gone.example.com}}]",
            "warning[PC0304] VirtualService/shop/shop spec.http[0].mirrors[0].destination.host",
        ),
        ("mirrors: [{percentage: {value: 1}}]", "a mirror has no `destination`"),
        ("mirrorPercentage: {value: 1}", "an HTTP rule has no `mirror`"),
        ("mirror: {host: a}, mirrors: []", "only one of `mirror`, `mirrors` can be written"),
        ("mirror: {host: a}, mirrorPercentage: {value: 101}", "101 is not from 0 to 100"),
        ("mirror: {host: a}, mirrorPercent: 5", "warning[PC0216]"),
        (
            "mirror: {host: a}, mirrorPercent: 5, mirrorPercentage: {value: 1}",
            "only one of `mirrorPercentage`, `mirrorPercent` can be written",
        ),
    ] {
        let problems = problems(&with(fields)).join("\n");
        assert!(problems.contains(said), "{fields}: {problems}");
    }
}
