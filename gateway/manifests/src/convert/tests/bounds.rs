//! What one author may multiply at the expense of others.

use super::{Conversion, GATEWAY, REVIEWS, convert, convert_after, problems, route};

/// Of a regular expression that is matched without automaton, which counts for half a MiB; so many of them.
fn slow(matches: usize) -> String {
    // The more letters are told apart, the sooner it is seen that its automaton would be too large.
    let letters = "/abcdefghijklmnopqrstuvwxyz.ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let each = |n| format!("{{uri: {{regex: '/{n}{letters}[ab]*a[ab]{{20}}'}}}}");
    let all: Vec<String> = (0..matches).map(each).collect();
    format!("[{{match: [{}], directResponse: {{status: 200}}}}]", all.join(", "))
}

fn hosts(conversion: &Conversion) -> Vec<String> {
    let hosts = conversion.model.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
    hosts.map(|host| host.host.to_string()).collect()
}

#[test]
fn a_namespace_has_so_much_for_its_expressions_and_what_served_goes_on() {
    let (old, new) =
        (route("old", "old.example", &slow(100)), route("new", "new.example", &slow(40)));
    let other = new.replace("namespace: shop", "namespace: other").replace("new", "its");
    let small = route("new", "small.example", &slow(20));
    let first =
        convert(&[("gw.yaml", GATEWAY), ("1.yaml", &old), ("2.yaml", &new), ("3.yaml", &other)]);
    assert_eq!(hosts(&first), ["its.example", "old.example"]);
    let said = problems(&first);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("2.yaml:7:33: error[PC0224] VirtualService/shop/new spec.http[0].match[0].uri.regex: the expressions of namespace `shop` would take 71"), "{said:?}");
    assert!(said[0].ends_with("or fewer of them; until then the object is left out"), "{said:?}");
    // What was good serves on; it counts, whoever is older.
    let second =
        convert_after(&[("gw.yaml", GATEWAY), ("1.yaml", &old), ("2.yaml", &small)], &first.memory);
    assert_eq!(problems(&second), [""; 0]);
    let third =
        convert_after(&[("gw.yaml", GATEWAY), ("0.yaml", &new), ("1.yaml", &old)], &second.memory);
    assert_eq!(hosts(&third), ["old.example", "small.example"]);
    assert!(problems(&third)[0].ends_with("until then its last good version serves on"));
    // Room that one gives up in the same change is another's.
    let less = route("old", "old.example", &slow(50));
    let fourth =
        convert_after(&[("gw.yaml", GATEWAY), ("0.yaml", &new), ("1.yaml", &less)], &third.memory);
    assert_eq!(problems(&fourth), [""; 0]);
    assert_eq!(hosts(&fourth), ["new.example", "old.example"]);
}

#[test]
fn an_object_with_too_many_expressions_is_not_read_to_its_end() {
    let many = route("many", "many.example", &slow(200));
    let said = problems(&convert(&[("gw.yaml", GATEWAY), ("1.yaml", &many)]));
    assert_eq!(said.len(), 1, "{said:?}");
    let place = "error[PC0224] VirtualService/shop/many spec.http[0].match[128].uri.regex";
    assert!(said[0].contains(place), "{said:?}");
}

#[test]
fn one_text_makes_only_so_many_routes() {
    let hosts: Vec<String> = (0..500).map(|n| format!("h{n}.example")).collect();
    let rules = |many: usize| {
        let rule =
            |n| format!("{{match: [{{uri: {{exact: /{n}}}}}], directResponse: {{status: 200}}}}");
        let all: Vec<String> = (0..many).map(rule).collect();
        format!("[{}]", all.join(", "))
    };
    let service = |many| route("a", &hosts.join("', '"), &rules(many));
    let good = convert(&[("gw.yaml", GATEWAY), ("a.yaml", &service(400))]);
    assert_eq!(problems(&good), [""; 0]);
    let said = problems(&convert(&[("gw.yaml", GATEWAY), ("a.yaml", &service(401))]));
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("error[PC0225] VirtualService/shop/a spec.http: 500 hosts with 401 matches each make 200500 routes, where an object may have 200000"), "{said:?}");
    let one = route("a", "a.example", &rules(1000));
    assert_eq!(problems(&convert(&[("gw.yaml", GATEWAY), ("a.yaml", &one)])), [""; 0]);
}

#[test]
fn delegation_multiplies_only_so_much() {
    let hosts: Vec<String> = (0..20).map(|n| format!("h{n}.example")).collect();
    let delegating = |many: usize| {
        let rule = |n| {
            format!(
                "{{match: [{{uri: {{prefix: /}}, headers: {{x-n: {{exact: '{n}'}}}}}}], delegate: {{name: inner, namespace: shop}}}}"
            )
        };
        let all: Vec<String> = (0..many).map(rule).collect();
        route("root", &hosts.join("', '"), &format!("[{}]", all.join(", ")))
    };
    let rule =
        |n| format!("{{match: [{{uri: {{exact: /{n}}}}}], directResponse: {{status: 200}}}}");
    let rules: Vec<String> = (0..100).map(rule).collect();
    let inner = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: inner, namespace: shop}}\nspec:\n  http: [{}]\n",
        rules.join(", ")
    );
    let conversion =
        convert(&[("gw.yaml", GATEWAY), ("i.yaml", &inner), ("root.yaml", &delegating(102))]);
    let said = problems(&conversion);
    let fields: Vec<_> = said.iter().filter(|line| line.contains("PC0225")).collect();
    assert_eq!(fields.len(), 2, "{said:?}");
    assert!(fields[0].contains("VirtualService/shop/root spec.http[100].delegate"), "{fields:?}");
    assert_eq!(conversion.model.listeners[0].virtual_hosts[0].rules.len(), 100 * 100);
}

#[test]
fn a_rule_copies_requests_to_sixteen_places() {
    let to = "destination: {host: reviews.example.com}";
    let said = |many: usize| {
        let mirrors = vec![format!("{{{to}}}"); many].join(", ");
        let service =
            route("a", "a.example", &format!("[{{route: [{{{to}}}], mirrors: [{mirrors}]}}]"));
        problems(&convert(&[("gw.yaml", GATEWAY), ("r.yaml", REVIEWS), ("a.yaml", &service)]))
    };
    assert_eq!(said(16), [""; 0]);
    let refused = said(17);
    assert!(refused[0].contains("error[PC0210] VirtualService/shop/a spec.http[0].mirrors: 17 mirrors, where a rule may have 16"), "{refused:?}");
}
