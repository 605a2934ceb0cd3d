//! `Telemetry` as its users meet it.

use portcullis_telemetry::LogRule;

use super::{GATEWAY, convert, only_problem, problems};

fn telemetry(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn logged(filter: &str) -> String {
    format!("{{accessLogging: [{{filter: {{expression: {filter}}}}}]}}")
}

/// What the only listener logs: everything, nothing, or the expression.
fn rule(telemetries: &[String]) -> String {
    let conversion = convert(&[("t.yaml", &format!("{GATEWAY}{}", telemetries.concat()))]);
    assert_eq!(problems(&conversion), [""; 0]);
    match conversion.model.listeners[0].access_log.as_deref() {
        None => "everything".to_owned(),
        Some(LogRule::Never) => "nothing".to_owned(),
        Some(LogRule::When(expression)) => expression.as_str().to_owned(),
    }
}

fn problem(spec: &str) -> String {
    only_problem(&convert(&[("t.yaml", &format!("{GATEWAY}{}", telemetry("t", "edge", spec)))]))
}

#[test]
fn a_filter_says_what_is_logged() {
    assert_eq!(rule(&[]), "everything");
    assert_eq!(
        rule(&[telemetry("t", "edge", &logged("response.code >= 400"))]),
        "response.code >= 400"
    );
    assert_eq!(rule(&[telemetry("t", "edge", "{accessLogging: [{disabled: true}]}")]), "nothing");
    assert_eq!(
        rule(&[telemetry("t", "edge", "{accessLogging: [{disabled: false}]}")]),
        "everything"
    );
    let own =
        "{accessLogging: [{providers: [{name: envoy}], match: {mode: CLIENT}, disabled: true}]}";
    assert_eq!(rule(&[telemetry("t", "edge", own)]), "nothing");
}

#[test]
fn the_narrower_object_counts_and_of_equal_ones_the_older() {
    let root = telemetry("root", "istio-system", &logged("1 == 1"));
    let namespace = telemetry("namespace", "edge", &logged("2 == 2"));
    let selected =
        "{selector: {matchLabels: {istio: ingressgateway}}, accessLogging: [{disabled: true}]}";
    let workload = telemetry("workload", "edge", selected);
    assert_eq!(rule(std::slice::from_ref(&root)), "1 == 1");
    assert_eq!(rule(&[namespace.clone(), root.clone()]), "2 == 2");
    assert_eq!(rule(&[workload, namespace.clone(), root.clone()]), "nothing");
    let enabled = telemetry("namespace", "edge", "{accessLogging: [{}]}");
    assert_eq!(rule(&[enabled, root]), "everything");
    let target = "{targetRefs: [{kind: Gateway, name: gw, group: networking.istio.io}], accessLogging: [{disabled: true}]}";
    assert_eq!(rule(&[telemetry("t", "edge", target), namespace]), "nothing");
}

#[test]
fn what_has_no_effect_is_said() {
    for (spec, wanted) in [
        ("{accessLogging: [{match: {mode: SERVER}, disabled: true}]}", "warning[PC0217]"),
        ("{accessLogging: [{providers: [{name: otel}], disabled: true}]}", "warning[PC0211]"),
        (
            "{selector: {matchLabels: {app: other}}, accessLogging: [{disabled: true}]}",
            "warning[PC0217]",
        ),
        (
            "{metrics: [{providers: [{name: prometheus}]}]}",
            "spec.metrics[0].providers: `providers` is known",
        ),
        ("{metrics: [{overrides: []}]}", "spec.metrics[0].overrides"),
        ("{metrics: [{reportingInterval: 5s}]}", "spec.metrics[0].reportingInterval"),
        ("{tracing: [{randomSamplingPercentage: 10}]}", "spec.tracing[0].randomSamplingPercentage"),
        ("{tracing: [{customTags: {}}]}", "spec.tracing[0].customTags"),
    ] {
        let told = problem(spec);
        assert!(told.contains(wanted) && told.contains("warning["), "{told}");
    }
    let two = [
        telemetry("a", "edge", "{accessLogging: [{}]}"),
        telemetry("b", "edge", "{accessLogging: [{}]}"),
    ];
    let conversion = convert(&[("t.yaml", &format!("{GATEWAY}{}", two.concat()))]);
    let told = only_problem(&conversion);
    assert!(
        told.contains("Telemetry/edge/b: Telemetry/edge/a (t.yaml:") && told.contains("is older"),
        "{told}"
    );
}

#[test]
fn every_wrong_telemetry_is_said_at_its_place() {
    for (spec, wanted) in [
        (
            &*logged("response.code >= '400'"),
            "error[PC0223] Telemetry/edge/t spec.accessLogging[0].filter.expression: the expression is refused: a whole number cannot be compared with a text (at character 18)",
        ),
        ("{accessLogging: [{filter: {expression: ''}}]}", "PC0223"),
        ("{accessLogging: [{filter: {expression: 7}}]}", "PC0208"),
        ("{accessLogging: [{filter: {}}]}", "PC0209"),
        ("{accessLogging: [{filter: {expresion: a}}]}", "did you mean `expression`?"),
        ("{accessLogging: [{match: {mode: BOTH}}]}", "PC0210"),
        ("{accessLogging: [{match: {mod: CLIENT}}]}", "PC0206"),
        ("{accessLogging: [{disabled: 'yes'}]}", "PC0208"),
        ("{accessLogging: [{providers: [{}]}]}", "PC0209"),
        ("{accessLogging: [{providers: [{nme: envoy}]}]}", "PC0206"),
        ("{accessLogging: {}}", "PC0208"),
        ("{acessLogging: []}", "did you mean `accessLogging`?"),
        ("{tracing: [{sampling: 1}]}", "PC0206"),
        ("{metrics: [{disabled: true}]}", "PC0206"),
        ("{selector: {matchLabel: {}}}", "PC0206"),
    ] {
        let text = format!("{GATEWAY}{}", telemetry("t", "edge", spec));
        let told = problems(&convert(&[("t.yaml", &text)]));
        assert!(told.iter().any(|told| told.contains(wanted)), "{spec}: {told:#?}");
        assert!(
            told.iter().all(|told| told.starts_with("t.yaml:15:") || told.starts_with("t.yaml:1")),
            "{told:#?}"
        );
    }
}
