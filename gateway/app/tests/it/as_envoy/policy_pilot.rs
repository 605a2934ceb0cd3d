//! What Istio's control plane gives Envoy for AuthorizationPolicies.

use serde_json::{Map, Value, json};

use super::pilot::claim;
use crate::envoy::process::api;

/// The filters in whose settings of a route policies stand.
pub fn filters() -> Vec<Value> {
    let of_type = json!({"@type": api("filters.http.rbac.v3.RBAC")});
    ["DENY", "ALLOW"].map(|name| json!({"name": name, "typed_config": of_type})).into()
}

/// Those settings, for these specs.
pub fn settings(policies: &Value) -> Value {
    let mut settings = json!({});
    for action in ["DENY", "ALLOW"] {
        let of_action = items(policies)
            .iter()
            .filter(|policy| policy["action"].as_str().unwrap_or("ALLOW") == action);
        let written: Vec<&Value> = of_action.collect();
        if written.is_empty() {
            continue;
        }
        let rules = written.iter().flat_map(|policy| items(&policy["rules"]));
        let rules: Map<String, Value> =
            rules.enumerate().map(|(at, written)| (format!("rule[{at}]"), rule(written))).collect();
        settings[action] = json!({
            "@type": api("filters.http.rbac.v3.RBACPerRoute"),
            "rbac": {"rules": {"action": action, "policies": rules}},
        });
    }
    settings
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn rule(rule: &Value) -> Value {
    let conditions: Vec<Value> = items(&rule["when"]).iter().flat_map(condition).collect();
    let sources = alternatives(&rule["from"], "source");
    let principals = sources.map(|source| {
        let ids = [tests(source, "id", identity), conditions.clone()].concat();
        all("and_ids", "ids", ids)
    });
    let operations = alternatives(&rule["to"], "operation");
    let permissions =
        operations.map(|operation| all("and_rules", "rules", tests(operation, "rule", permission)));
    json!({"principals": principals.collect::<Vec<_>>(), "permissions": permissions.collect::<Vec<_>>()})
}

/// Each alternative of a list; one that asks for nothing where there is none.
fn alternatives<'a>(list: &'a Value, key: &'a str) -> impl Iterator<Item = &'a Value> {
    let none = items(list).is_empty().then_some(&Value::Null);
    items(list).iter().map(move |item| &item[key]).chain(none)
}

fn all(key: &str, list: &str, tests: Vec<Value>) -> Value {
    if tests.is_empty() { json!({"any": true}) } else { json!({key: {list: tests}}) }
}

/// One test for each field: any of its values, none of them where it is a `not…`.
fn tests(fields: &Value, kind: &str, test: fn(&str, &str) -> Value) -> Vec<Value> {
    let fields = fields.as_object().into_iter().flatten();
    fields.map(|(field, values)| one_field(field, values, kind, test)).collect()
}

fn one_field(field: &str, values: &Value, kind: &str, test: fn(&str, &str) -> Value) -> Value {
    let (negated, field) = match field.strip_prefix("not") {
        Some(rest) => (true, format!("{}{}", rest[..1].to_lowercase(), &rest[1..])),
        None => (false, field.to_owned()),
    };
    any_of(values, kind, negated, |value| test(&field, value))
}

fn any_of(values: &Value, kind: &str, negated: bool, test: impl Fn(&str) -> Value) -> Value {
    let tests: Vec<Value> =
        items(values).iter().map(|value| test(value.as_str().unwrap())).collect();
    let any = json!({format!("or_{kind}s"): {format!("{kind}s"): tests}});
    if negated { json!({format!("not_{kind}"): any}) } else { any }
}

fn condition(condition: &Value) -> Vec<Value> {
    let key = condition["key"].as_str().unwrap();
    let either = [("values", false), ("notValues", true)];
    let written = either.into_iter().filter(|(field, _)| !condition[field].is_null());
    written
        .map(|(field, negated)| {
            any_of(&condition[field], "id", negated, |value| identity(key, value))
        })
        .collect()
}

/// Who asks.
fn identity(field: &str, value: &str) -> Value {
    let claimed =
        |name: &str, value: &str| json!({"metadata": claim(name, &pattern(value), false)});
    let named = field.split_once('[').map(|(field, name)| (field, name.trim_end_matches(']')));
    match (field, named) {
        ("ipBlocks" | "source.ip", _) => json!({"direct_remote_ip": network(value)}),
        ("remoteIpBlocks" | "remote.ip", _) => json!({"remote_ip": network(value)}),
        ("requestPrincipals" | "request.auth.principal", _) => {
            let (issuer, subject) = value.rsplit_once('/').unwrap_or(("*", "*"));
            json!({"and_ids": {"ids": [claimed("iss", issuer), claimed("sub", subject)]}})
        }
        ("request.auth.audiences", _) => claimed("aud", value),
        ("request.auth.presenter", _) => claimed("azp", value),
        (_, Some(("request.auth.claims", name))) => claimed(&name.replace("][", "."), value),
        (_, Some(("request.headers", name))) if value == "*" => {
            json!({"header": {"name": name, "present_match": true}})
        }
        (_, Some(("request.headers", name))) => {
            json!({"header": {"name": name, "string_match": string_match(value)}})
        }
        _ => panic!("{field}"),
    }
}

/// What is asked for.
fn permission(field: &str, value: &str) -> Value {
    match field {
        "hosts" => {
            let mut host = string_match(value);
            host["ignore_case"] = true.into();
            json!({"header": {"name": ":authority", "string_match": host}})
        }
        "methods" => json!({"header": {"name": ":method", "string_match": string_match(value)}}),
        "paths" if value.contains('{') => {
            let template = value.replace("{*}", "*").replace("{**}", "**");
            json!({"uri_template": {"name": "uri-template", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                "path_template": template,
            }}})
        }
        "paths" => json!({"url_path": {"path": string_match(value)}}),
        _ => panic!("{field}"),
    }
}

fn network(block: &str) -> Value {
    let (address, length) = block.split_once('/').unwrap_or((block, "32"));
    json!({"address_prefix": address, "prefix_len": length.parse::<u8>().unwrap()})
}

/// As a VirtualService would write it.
fn pattern(value: &str) -> Value {
    match (value, value.strip_suffix('*'), value.strip_prefix('*')) {
        ("*", ..) => json!({"regex": ".+"}),
        (_, Some(prefix), _) => json!({"prefix": prefix}),
        (_, _, Some(suffix)) => json!({"suffix": suffix}),
        _ => json!({"exact": value}),
    }
}

fn string_match(value: &str) -> Value {
    super::pilot::text(&pattern(value))
}
