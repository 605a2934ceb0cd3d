//! What is taken over from the conversion before is what would be made anew, whatever changed meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_message::HeadRules;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{problems, route};
use crate::{Conversion, Draft, Memory, SourceFile, into_model};

/// Versions of one object each, one of which is written at a time. They see each other in every way that there is.
fn objects() -> Vec<Vec<String>> {
    let vs = |name: &str, hosts: &str, gateways: &str, http: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{hosts: {hosts}, gateways: {gateways}, http: {http}}}\n"
        )
    };
    let object = |kind: &str, name: &str, spec: &str| {
        format!("apiVersion: {kind}\nmetadata: {{{name}}}\nspec: {spec}\n")
    };
    let to = |host: &str| format!("route: [{{destination: {{host: {host}}}}}]");
    let rules = |text: &str| format!("[{text}]");
    let (a, b) = (to("reviews.example.com"), to("other.example.com"));
    let istio = "networking.istio.io/v1\nkind: ";
    let policy = "portcullis.dev/v1\nkind: EdgePolicy";
    let gateway = |servers: &str| {
        object(
            &format!("{istio}Gateway"),
            "name: gw, namespace: edge",
            &format!("{{servers: {servers}}}"),
        )
    };
    let http = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}";
    let narrow =
        "{port: {number: 81, name: narrow, protocol: HTTP}, hosts: ['shop/*.b.com', 'a.com']}";
    let tls =
        "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}";
    let particular = "networking.istio.io/v1\nkind: Gateway";
    let entry = |host: &str, more: &str| {
        let spec = format!(
            "{{hosts: [{host}], resolution: STATIC, ports: [{{number: 80, name: http, protocol: HTTP}}]{more}}}"
        );
        object(
            &format!("{istio}ServiceEntry"),
            &format!("name: {}, namespace: shop", &host[..5]),
            &spec,
        )
    };
    vec![
        vec![
            gateway(&format!("[{http}, {narrow}]")),
            gateway(&format!("[{http}, {narrow}, {tls}]")),
            gateway(&format!("[{narrow}]")),
            gateway("[{port: {number: nonsense}}]"),
        ],
        vec![
            object(particular, "name: fine, namespace: edge, annotations: {portcullis.dev/route-order: specificity}", &format!("{{servers: [{http}]}}")),
            object(particular, "name: fine, namespace: edge", &format!("{{servers: [{http}]}}")),
        ],
        vec![
            vs("one", "[a.com, '*.b.com']", "[edge/gw, edge/fine]", &rules(&format!("{{match: [{{uri: {{prefix: /x}}}}], {a}}}, {{{b}}}"))),
            vs("one", "[a.com, x.b.com]", "[edge/gw, edge/fine]", &rules(&format!("{{match: [{{uri: {{prefix: /x}}}}], {b}}}"))),
            vs("one", "['*']", "[edge/gw]", &rules(&format!("{{name: first, match: [{{uri: {{exact: /x}}}}, {{uri: {{prefix: /}}}}], {a}}}"))),
            vs("one", "['*']", "[edge/gw]", "[{match: nonsense}]"),
        ],
        vec![
            vs("two", "[a.com]", "[edge/fine, edge/gw]", &rules(&format!("{{match: [{{uri: {{prefix: /xy}}}}, {{headers: {{k: {{exact: v}}}}}}], {a}}}"))),
            vs("two", "[x.b.com, a.com]", "[edge/gw]", &rules(&format!("{{match: [{{uri: {{prefix: /x}}}}], {a}}}"))),
            vs("two", "[a.com]", "[edge/nowhere]", &rules(&format!("{{{a}}}"))),
            vs("two", "[]", "[]", &rules(&format!("{{match: [{{uri: {{prefix: /in}}}}], {a}}}"))),
        ],
        vec![
            route("root", "a.com", "[{match: [{uri: {prefix: /i}}], delegate: {name: leaf}}, {match: [{uri: {prefix: /j}}], delegate: {name: two}}]"),
            route("root", "c.com", &rules(&format!("{{match: [{{sourceLabels: {{app: gate}}}}], {a}}}"))),
        ],
        vec![
            vs("leaf", "[]", "[]", &rules(&format!("{{match: [{{uri: {{prefix: /in}}}}], {a}}}"))),
            vs("leaf", "[]", "[]", &rules(&format!("{{match: [{{uri: {{prefix: /out}}}}], {b}}}"))),
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: leaf, namespace: shop}\nspec: [\n".to_owned(),
        ],
        vec![
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: bytes, namespace: shop}\nspec: {hosts: ['*.b.com'], gateways: [edge/gw], tls: [{match: [{sniHosts: ['*.b.com']}], route: [{destination: {host: reviews.example.com}}]}]}\n".to_owned(),
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: bytes, namespace: shop, creationTimestamp: '2024-01-01T00:00:00Z'}\nspec: {hosts: ['*.b.com'], gateways: [edge/gw], http: [{directResponse: {status: 200}}]}\n".to_owned(),
        ],
        vec![entry("reviews.example.com", ", endpoints: [{address: 10.0.0.1}]"), entry("reviews.example.com", "")],
        vec![
            entry("other.example.com", ", endpoints: [{address: 10.0.0.2}]"),
            entry("other.example.com", ", endpoints: [{address: 10.0.0.3}]"),
        ],
        vec![
            object(policy, "name: some, namespace: shop", "{targetRefs: [{group: networking.istio.io, kind: VirtualService, name: one}], limits: {requestBody: 1}}"),
            object(policy, "name: some, namespace: shop", "{targetRefs: [{group: networking.istio.io, kind: VirtualService, name: two}], limits: {requestBody: 2}}"),
        ],
        vec![object(policy, "name: other, namespace: shop", "{targetRefs: [{group: networking.istio.io, kind: VirtualService, name: one}, {group: networking.istio.io, kind: VirtualService, name: two}], limits: {requestBody: 3}}")],
        vec![
            object("extensions.istio.io/v1alpha1\nkind: WasmPlugin", "name: p, namespace: shop", "{url: 'file:///p.wasm', targetRefs: [{group: networking.istio.io, kind: VirtualService, name: one}]}"),
            object("extensions.istio.io/v1alpha1\nkind: WasmPlugin", "name: p, namespace: shop", "{url: 'file:///p.wasm', targetRefs: [{group: networking.istio.io, kind: VirtualService, name: two, sectionName: first}]}"),
        ],
        vec![object("gateway.networking.k8s.io/v1\nkind: Gateway", "name: api, namespace: shop", "{gatewayClassName: x, listeners: [{name: http, port: 80, protocol: HTTP, hostname: a.com}]}")],
        vec![object("gateway.networking.k8s.io/v1\nkind: HTTPRoute", "name: r, namespace: shop", "{parentRefs: [{name: api}], rules: [{matches: [{path: {type: PathPrefix, value: /x}}]}]}")],
    ]
}

/// What is done to the files in one step.
#[derive(Clone, Debug)]
enum Edit {
    /// An object is written in this version, at this place of this file.
    Write {
        object: Index,
        version: Index,
        file: u8,
        place: Index,
    },
    Remove {
        object: Index,
    },
    /// A line comes at the beginning of a file.
    Comment {
        file: u8,
    },
}

fn edit() -> impl Strategy<Value = Edit> {
    let write = (any::<Index>(), any::<Index>(), 0u8..3, any::<Index>());
    prop_oneof![
        5 => write.prop_map(|(object, version, file, place)| Edit::Write { object, version, file, place }),
        2 => any::<Index>().prop_map(|object| Edit::Remove { object }),
        1 => (0u8..3).prop_map(|file| Edit::Comment { file }),
    ]
}

/// The documents of each file, with the object that each is.
type Files = BTreeMap<u8, Vec<(usize, String)>>;

fn apply(files: &mut Files, edit: &Edit, objects: &[Vec<String>]) {
    match edit {
        Edit::Write { object, version, file, place } => {
            let number = object.index(objects.len());
            let text = version.get(&objects[number]).clone();
            let stays =
                files.get_mut(file).and_then(|all| all.iter_mut().find(|(n, _)| *n == number));
            if let Some((_, before)) = stays {
                *before = text;
                return;
            }
            files.values_mut().for_each(|all| all.retain(|(other, _)| *other != number));
            let all = files.entry(*file).or_default();
            all.insert(place.index(all.len() + 1), (number, text));
        }
        Edit::Remove { object } => {
            let number = object.index(objects.len());
            files.values_mut().for_each(|all| all.retain(|(other, _)| *other != number));
        }
        Edit::Comment { file } => {
            files.entry(*file).or_default().insert(0, (usize::MAX, "# nothing\n".to_owned()))
        }
    }
}

fn sources(files: &Files) -> Vec<SourceFile> {
    let source = |(file, all): (&u8, &Vec<(usize, String)>)| {
        let texts: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
        SourceFile {
            path: format!("{file}.yaml").into(),
            directory: "/".into(),
            text: texts.join("---\n").into(),
        }
    };
    files.iter().map(source).collect()
}

fn convert(draft: &Draft, memory: &Memory) -> Conversion {
    into_model(draft, memory, HeadRules::default())
}

/// All that came of it, with the places in the files.
fn shown(conversion: &Conversion) -> String {
    format!("{:#?}\n{:#?}\n{:#?}", problems(conversion), conversion.status, conversion.model)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_over_is_what_would_be_made(steps in prop::collection::vec(prop::collection::vec(edit(), 1..4), 1..12)) {
        let objects = objects();
        let (mut files, mut draft, mut memory) = (Files::new(), Draft::default(), Memory::default());
        // All of them are there at first.
        for (number, versions) in objects.iter().enumerate() {
            files.entry((number % 3) as u8).or_default().push((number, versions[0].clone()));
        }
        for edits in std::iter::once(Vec::new()).chain(steps) {
            edits.iter().for_each(|edit| apply(&mut files, edit, &objects));
            draft = Draft::read_with(sources(&files), &draft);
            let carried = convert(&draft, &memory);
            let anew = convert(&Draft::read(sources(&files)), &memory.of_what_was_good());
            prop_assert_eq!(shown(&carried), shown(&anew));
            prop_assert!(carried.model == anew.model);
            memory = carried.memory;
        }
    }
}

fn many(changed: &str) -> Vec<SourceFile> {
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: edge}\nspec: {servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}, {port: {number: 81, name: b, protocol: HTTP}, hosts: ['*']}]}\n";
    let of = |number| {
        let prefix = if number == 250 { changed } else { "/x" };
        route(
            &format!("r{number}"),
            &format!("h{number}.com"),
            &format!(
                "[{{match: [{{uri: {{prefix: {prefix}}}}}], directResponse: {{status: 200}}}}]"
            ),
        )
    };
    let texts: Vec<String> = std::iter::once(gateway.to_owned()).chain((0..500).map(of)).collect();
    vec![SourceFile {
        path: "a.yaml".into(),
        directory: "/".into(),
        text: texts.join("---\n").into(),
    }]
}

#[test]
fn one_that_changed_leaves_the_others_as_they_are_in_memory() {
    let draft = Draft::read(many("/x"));
    let first = convert(&draft, &Memory::default());
    let second = convert(&Draft::read_with(many("/y"), &draft), &first.memory);
    for (before, now) in first.model.listeners.iter().zip(&second.model.listeners) {
        let pairs = before.virtual_hosts.iter().zip(&now.virtual_hosts);
        let other: Vec<_> = pairs.filter(|(one, other)| !Arc::ptr_eq(one, other)).collect();
        assert_eq!(other.len(), 1);
        assert_eq!(other[0].1.host.to_string(), "h250.com");
        assert_eq!(now.virtual_hosts.changes_since(&before.virtual_hosts).len(), 1);
    }
    let [one, other] =
        [0, 1].map(|listener| second.model.listeners[listener].virtual_hosts.clone());
    assert!(one.iter().zip(&other).all(|(one, other)| Arc::ptr_eq(one, other)));
}
