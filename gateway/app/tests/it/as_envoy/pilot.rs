//! The routes that Istio's control plane gives Envoy for the rules of a VirtualService on a gateway.

use serde_json::{Value, json};

use crate::envoy::process::api;

/// One route for each match of each rule, in their order.
pub fn routes(rules: &Value) -> Value {
    let mut routes = Vec::new();
    for rule in items(rules) {
        if items(&rule["match"]).is_empty() {
            routes.push(route(rule, &Value::Null));
        }
        routes.extend(items(&rule["match"]).iter().map(|condition| route(rule, condition)));
    }
    routes.into()
}

/// A filter of HTTP that does nothing where no route says what.
pub fn filter(kind: &str) -> Value {
    let name = format!("envoy.filters.http.{}", kind.split('.').next().unwrap());
    let of_type = api(&format!("filters.http.{kind}"));
    json!({"name": name, "typed_config": {"@type": of_type}})
}

/// How Envoy writes an exact text, a prefix or an expression.
pub fn text(matched: &Value) -> Value {
    match matched["regex"].as_str() {
        Some(regex) => json!({"safe_regex": {"regex": regex}}),
        None => matched.clone(),
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn entries(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map.as_object().into_iter().flatten()
}

fn route(rule: &Value, condition: &Value) -> Value {
    let mut route = json!({"match": matching(condition), "typed_per_filter_config": filters(rule)});
    let authority = change_heads(&mut route, &rule["headers"]);
    if !rule["redirect"].is_null() {
        route["redirect"] = redirect(&rule["redirect"]);
    } else if !rule["directResponse"].is_null() {
        let answer = &rule["directResponse"];
        route["direct_response"] = json!({"status": answer["status"]});
        if let Some(body) = answer["body"]["string"].as_str() {
            route["direct_response"]["body"] = json!({"inline_string": body});
        }
    } else {
        let action = forward(rule, &mut route, authority);
        route["route"] = action;
    }
    route
}

fn matching(condition: &Value) -> Value {
    let mut headers = Vec::new();
    let mut claims = Vec::new();
    for (field, inverted) in [("headers", false), ("withoutHeaders", true)] {
        for (name, matched) in entries(&condition[field]) {
            if let Some(path) = name.strip_prefix("@request.auth.claims.") {
                claims.push(claim(path, matched, inverted));
                continue;
            }
            let mut header = named("name", name, matched);
            header["invert_match"] = inverted.into();
            header["treat_missing_header_as_empty"] = (inverted && !is_presence(matched)).into();
            headers.push(header);
        }
    }
    for field in ["method", "authority", "scheme"] {
        if !condition[field].is_null() {
            headers.push(named("name", &format!(":{field}"), &condition[field]));
        }
    }
    let parameters = entries(&condition["queryParams"]);
    let parameters: Vec<Value> =
        parameters.map(|(name, matched)| named("name", name, matched)).collect();
    let mut out = json!({
        "headers": headers,
        "query_parameters": parameters,
        "dynamic_metadata": claims,
        "case_sensitive": condition["ignoreUriCase"] != true,
    });
    let uri = &condition["uri"];
    match () {
        () if uri["exact"].is_string() => out["path"] = uri["exact"].clone(),
        () if uri["prefix"].is_string() => out["prefix"] = uri["prefix"].clone(),
        () if uri["regex"].is_string() => out["safe_regex"] = text(uri)["safe_regex"].clone(),
        () => out["prefix"] = "/".into(),
    }
    out
}

fn is_presence(matched: &Value) -> bool {
    entries(matched).next().is_none() || matched["regex"] == "*"
}

fn named(key: &str, name: &str, matched: &Value) -> Value {
    if is_presence(matched) {
        json!({key: name, "present_match": true})
    } else {
        json!({key: name, "string_match": text(matched)})
    }
}

/// What a claim of a verified token has to be: the text, or one of a list of texts.
pub fn claim(path: &str, matched: &Value, inverted: bool) -> Value {
    let keys: Vec<Value> =
        ["payload"].into_iter().chain(path.split('.')).map(|key| json!({"key": key})).collect();
    let value = json!({"string_match": text(matched)});
    json!({
        "filter": "envoy.filters.http.jwt_authn",
        "path": keys,
        "value": {"or_match": {"value_matchers": [value, {"list_match": {"one_of": value}}]}},
        "invert": inverted,
    })
}

/// Writes what is set, added and removed; the authority among what is set.
fn change_heads(to: &mut Value, headers: &Value) -> Option<Value> {
    let mut authority = None;
    for side in ["request", "response"] {
        let changes = &headers[side];
        let mut added = items(&to[format!("{side}_headers_to_add")]).to_vec();
        for (deed, action) in
            [("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD")]
        {
            for (key, value) in entries(&changes[deed]) {
                if key.eq_ignore_ascii_case("host") {
                    authority.get_or_insert(value.clone());
                } else {
                    let header = json!({"key": key, "value": value});
                    added.push(json!({"header": header, "append_action": action}));
                }
            }
        }
        to[format!("{side}_headers_to_add")] = added.into();
        let removed = format!("{side}_headers_to_remove");
        to[&removed] = [items(&to[&removed]), items(&changes["remove"])].concat().into();
    }
    authority
}

fn forward(rule: &Value, route: &mut Value, mut authority: Option<Value>) -> Value {
    let mut action = json!({"timeout": rule["timeout"].as_str().unwrap_or("0s")});
    let rewrite = &rule["rewrite"];
    let pattern = &rewrite["uriRegexRewrite"];
    if !pattern.is_null() {
        action["regex_rewrite"] =
            json!({"pattern": {"regex": pattern["match"]}, "substitution": pattern["rewrite"]});
    } else if rewrite["uri"].is_string() {
        action["prefix_rewrite"] = rewrite["uri"].clone();
    }
    if rewrite["authority"].is_string() {
        authority = Some(rewrite["authority"].clone());
    }
    match items(&rule["route"]) {
        [one] => {
            action["cluster"] = cluster(one);
            let own = change_heads(route, &one["headers"]);
            authority = authority.or(own);
        }
        several => {
            let weighted: Vec<Value> = several.iter().filter_map(weighted).collect();
            action["weighted_clusters"] = json!({"clusters": weighted});
        }
    }
    if let Some(authority) = authority {
        action["host_rewrite_literal"] = authority;
    }
    action
}

fn weighted(destination: &Value) -> Option<Value> {
    let weight = destination["weight"].as_u64().filter(|weight| *weight > 0)?;
    let mut weighted = json!({"name": cluster(destination), "weight": weight});
    if let Some(authority) = change_heads(&mut weighted, &destination["headers"]) {
        weighted["host_rewrite_literal"] = authority;
    }
    Some(weighted)
}

/// Upstreams are at `NAME.example`.
fn cluster(destination: &Value) -> Value {
    let host = destination["destination"]["host"].as_str().unwrap();
    host.trim_end_matches(".example").into()
}

fn redirect(written: &Value) -> Value {
    let mut action = json!({"response_code": match written["redirectCode"].as_u64() {
        None | Some(301) => "MOVED_PERMANENTLY",
        Some(302) => "FOUND",
        Some(303) => "SEE_OTHER",
        Some(307) => "TEMPORARY_REDIRECT",
        _ => "PERMANENT_REDIRECT",
    }});
    for (from, to) in
        [("authority", "host_redirect"), ("uri", "path_redirect"), ("scheme", "scheme_redirect")]
    {
        if written[from].is_string() {
            action[to] = written[from].clone();
        }
    }
    let scheme = written["scheme"].as_str().unwrap_or("http");
    let usual = if scheme == "https" { 443 } else { 80 };
    let derived = (written["derivePort"] == "FROM_REQUEST_PORT").then_some(80);
    if let Some(port) = written["port"].as_u64().or(derived).filter(|port| *port != usual) {
        action["port_redirect"] = port.into();
    }
    action
}

fn filters(rule: &Value) -> Value {
    let mut filters = json!({});
    if !rule["fault"].is_null() {
        filters["envoy.filters.http.fault"] = fault(&rule["fault"]["abort"]);
    }
    if !rule["corsPolicy"].is_null() {
        filters["envoy.filters.http.cors"] = cors(&rule["corsPolicy"]);
    }
    filters
}

fn fault(abort: &Value) -> Value {
    let percent = abort["percentage"]["value"].as_u64().unwrap_or(0);
    let mut out = json!({"percentage": {"numerator": percent, "denominator": "HUNDRED"}});
    if let Some(status) = abort["httpStatus"].as_u64() {
        out["http_status"] = status.into();
    } else {
        // Of the names that gRPC has for its codes, the one that cases use.
        assert_eq!(abort["grpcStatus"], "UNAVAILABLE");
        out["grpc_status"] = 14.into();
    }
    json!({"@type": api("filters.http.fault.v3.HTTPFault"), "abort": out})
}

fn cors(policy: &Value) -> Value {
    let joined = |field: &str| {
        let names = items(&policy[field]).iter().map(|name| name.as_str().unwrap());
        names.collect::<Vec<_>>().join(",")
    };
    let origins: Vec<Value> = items(&policy["allowOrigins"]).iter().map(text).collect();
    let mut out = json!({
        "@type": api("filters.http.cors.v3.CorsPolicy"),
        "allow_origin_string_match": origins,
        "allow_methods": joined("allowMethods"),
        "allow_headers": joined("allowHeaders"),
        "expose_headers": joined("exposeHeaders"),
        "forward_not_matching_preflights": policy["unmatchedPreflights"] != "IGNORE",
        "filter_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
    });
    if let Some(age) = policy["maxAge"].as_str() {
        out["max_age"] = age.trim_end_matches('s').into();
    }
    if policy["allowCredentials"].is_boolean() {
        out["allow_credentials"] = policy["allowCredentials"].clone();
    }
    out
}
