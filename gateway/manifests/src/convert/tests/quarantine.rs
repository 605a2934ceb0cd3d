//! What serves on when something is broken.

use super::{
    Conversion, GATEWAY, REVIEWS, convert, convert_after, only_problem, problems, rendered, route,
};

const ALL: &str = "[{directResponse: {status: 200}}]";

fn hosts(conversion: &Conversion) -> Vec<String> {
    let hosts = conversion.model.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
    hosts.map(|host| host.host.to_string()).collect()
}

#[test]
fn a_broken_object_is_replaced_by_its_last_good_version_alone() {
    let (a, b) = (route("a", "a.example.com", ALL), route("b", "b.example.com", ALL));
    let first = convert(&[("gw.yaml", GATEWAY), ("a.yaml", &a), ("b.yaml", &b)]);
    let broken = a.replace("a.example.com", "new.example.com").replace("http:", "htpp:");
    let changed = b.replace("b.example.com", "c.example.com");
    let mut memory = first.memory;
    // The last good version is kept over any number of reloads.
    for _ in 0..2 {
        let files = [("gw.yaml", GATEWAY), ("a.yaml", &broken), ("b.yaml", &changed)];
        let conversion = convert_after(&files, &memory);
        assert_eq!(hosts(&conversion), ["a.example.com", "c.example.com"]);
        let said = problems(&conversion).join("\n");
        assert!(said.contains("did you mean `http`?; until then its last good version serves on"));
        memory = conversion.memory;
    }
    // An object that is gone is gone.
    let conversion = convert_after(&[("gw.yaml", GATEWAY), ("b.yaml", &changed)], &memory);
    assert_eq!(hosts(&conversion), ["c.example.com"]);
}

#[test]
fn without_a_good_version_the_object_is_left_out_and_the_rest_serves() {
    let (a, b) = (route("a", "a.example.com", "7"), route("b", "b.example.com", ALL));
    let conversion = convert(&[("gw.yaml", GATEWAY), ("a.yaml", &a), ("b.yaml", &b)]);
    assert_eq!(hosts(&conversion), ["b.example.com"]);
    assert_eq!(
        only_problem(&conversion),
        "a.yaml:7:9: error[PC0208] VirtualService/shop/a spec.http: this has to be a list, but is a number; begin each item with `- `; until then the object is left out"
    );
}

#[test]
fn what_a_broken_document_hides_serves_on() {
    let (a, b) = (route("a", "a.example.com", ALL), route("b", "b.example.com", ALL));
    let file = format!("{a}---\n{b}");
    let first = convert(&[("gw.yaml", GATEWAY), ("r.yaml", &file)]);
    let changed = a.replace("a.example.com", "new.example.com");
    for broken in [
        "---\nkind: [\n",
        "---\nspec: {}\n",
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualServce\nmetadata: {name: b, namespace: shop}\n",
    ] {
        let file = format!("{changed}{broken}");
        let conversion = convert_after(&[("gw.yaml", GATEWAY), ("r.yaml", &file)], &first.memory);
        assert_eq!(hosts(&conversion), ["b.example.com", "new.example.com"], "{broken}");
        assert_eq!(conversion.problems.len(), 1);
    }
}

#[test]
fn truncation_anywhere_never_takes_a_route_away_unnoticed() {
    let text = format!("{GATEWAY}---{REVIEWS}---\n{}", route("a", "a.example.com", ALL));
    let first = convert(&[("r.yaml", &text)]);
    assert_eq!(problems(&first), [""; 0]);
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let conversion = convert_after(&[("r.yaml", &text[..end])], &first.memory);
        let whole = rendered(&conversion.model) == rendered(&first.model);
        let gone = text[end..].contains("\nkind:");
        assert!(whole || gone || !conversion.problems.is_empty(), "{}", &text[..end]);
    }
}

#[test]
fn the_second_of_two_with_one_name_is_an_error() {
    let (a, b) = (route("a", "a.example.com", ALL), route("a", "b.example.com", ALL));
    let conversion = convert(&[("gw.yaml", GATEWAY), ("1.yaml", &a), ("2.yaml", &b)]);
    assert_eq!(
        only_problem(&conversion),
        "2.yaml:1:1: error[PC0213] VirtualService/shop/a: VirtualService/shop/a is written twice; the first stands at 1.yaml:1:1; rename or remove one of them; the first serves"
    );
    assert_eq!(hosts(&conversion), ["a.example.com"]);
}

#[test]
fn equal_input_gives_an_equal_model_wherever_it_stands() {
    let a = route("a", "a.example.com", ALL);
    let first = convert(&[("gw.yaml", GATEWAY), ("a.yaml", &a)]);
    let moved = format!("# moved\n\n{a}");
    let second = convert_after(&[("gw.yaml", GATEWAY), ("a.yaml", &moved)], &first.memory);
    assert_eq!(first.model, second.model);
}
