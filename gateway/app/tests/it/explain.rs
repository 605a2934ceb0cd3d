//! `/explain` of the admin port, and that it tells what the gateway then does.

use portcullis_testkit::manifests::{gateway, http_server, join, service_entry, virtual_service};
use portcullis_testkit::{Call, Client, Reply, Upstream};
use serde_json::Value;

use crate::gateway::Gateway;
use crate::shop::{self, HOST, Shop};

/// Asks the admin port.
pub struct Explainer(Client);

impl Explainer {
    pub async fn of(gateway: &Gateway) -> Explainer {
        Explainer(Client::http1(gateway.side_port("admin")).await.unwrap())
    }

    pub async fn ask(&mut self, parameters: &[(&str, &str)]) -> Reply {
        self.0.call(Call::get("localhost", &path(parameters))).await
    }

    pub async fn json(&mut self, parameters: &[(&str, &str)]) -> Value {
        let reply = self.ask(parameters).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

fn path(parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    format!("/explain?{}", pairs.join("&"))
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02x}"),
    };
    text.bytes().map(escape).collect()
}

#[tokio::test]
async fn the_admin_port_explains_what_serves() {
    let rules = "- name: cart\n  match:\n  - uri: {prefix: /cart}\n    headers: {x-team: {exact: red}}\n  headers: {request: {set: {x-set: rule}}, response: {remove: [server]}}\n  \
                 route:\n  - destination: {host: blue.example}\n    weight: 90\n  - destination: {host: green.example}\n    weight: 10\n\
                 - redirect: {uri: /gone, redirectCode: 302}\n";
    let mut shop = Shop::open(rules).await;
    let mut explainer = Explainer::of(&shop.gateway).await;
    let url = format!("http://{HOST}/cart?a=b");
    let told =
        explainer.json(&[("url", &url), ("header", "x-team: red"), ("method", "POST")]).await;
    assert_eq!(told["route"], "VirtualService/default/shop/http[cart]");
    assert_eq!(told["clusters"].as_array().unwrap().len(), 2);
    assert_eq!(told["upstream_request"]["method"], "POST");
    let change = serde_json::json!({
        "head": "request", "by": "VirtualService/default/shop/http[cart]", "operation": "set",
        "name": "x-set", "value": "rule",
    });
    assert_eq!(told["header_changes"][0], change);
    assert_eq!(told["header_changes"][1]["operation"], "remove");
    let told = explainer.json(&[("url", &url)]).await;
    assert_eq!(
        (&told["status"], &told["location"]),
        (&302.into(), &format!("http://{HOST}/gone?a=b").into())
    );
    assert!(told["considered"][0]["reason"].as_str().unwrap().contains("x-team"), "{told}");
    // A newer configuration is explained as soon as it serves.
    shop.apply("- directResponse: {status: 204}\n").await;
    assert_eq!(explainer.json(&[("url", &url)]).await["status"], 204);
}

#[tokio::test]
async fn the_admin_port_explains_in_text_where_that_is_asked_for() {
    let shop = Shop::open("- name: say\n  directResponse: {status: 418}\n").await;
    let mut admin = Client::http1(shop.gateway.side_port("admin")).await.unwrap();
    let path = path(&[("url", "http://shop.example/")]);
    let reply = admin.call(Call::get("localhost", &path).header("accept", "text/plain")).await;
    assert!(
        reply.text().starts_with("GET http://shop.example/\n  outcome    direct_response (418)\n"),
        "{}",
        reply.text()
    );
    let reply = admin.call(Call::get("localhost", &path)).await;
    assert_eq!(
        (reply.header("content-type"), &reply.json()["status"]),
        ("application/json", &418.into())
    );
    let index = admin.get("localhost", "/").await;
    assert!(index.text().contains("/explain?url=URL"));
}

#[tokio::test]
async fn what_asks_wrongly_or_from_elsewhere_is_refused() {
    let shop = Shop::open("- directResponse: {status: 204}\n").await;
    let mut explainer = Explainer::of(&shop.gateway).await;
    for (parameters, part) in [
        (&[][..], "`url` is missing"),
        (&[("url", "shop.example/a")], "`shop.example/a` is not a URL"),
        (&[("url", "ftp://shop.example/")], "has to begin with http:// or https://"),
        (&[("url", "http://a/"), ("header", "none")], "`none` is not a header field"),
        (&[("url", "http://a/"), ("method", "G T")], "`G T` is not a method"),
        (&[("url", "http://a/"), ("client", "me")], "`me` is not an address"),
        (&[("url", "http://a/"), ("hedaer", "a: b")], "there is no parameter `hedaer`"),
    ] {
        let reply = explainer.ask(parameters).await;
        assert_eq!(reply.status, 400, "{parameters:?}");
        assert!(reply.text().contains(part), "{}", reply.text());
    }
    let path = path(&[("url", "http://shop.example/")]);
    let mut admin = Client::http1(shop.gateway.side_port("admin")).await.unwrap();
    assert_eq!(admin.get("evil.example", &path).await.status, 403);
    let call = Call::get("localhost", &path).header("origin", "http://evil.example");
    assert_eq!(admin.call(call).await.status, 403);
    assert_eq!(admin.call(Call::post("localhost", &path, "")).await.status, 405);
}

#[tokio::test]
async fn endpoints_are_told_as_they_are_at_this_moment() {
    let blue = Upstream::start("blue");
    let gone = portcullis_testkit::Refusing::open();
    let entry = service_entry("blue", "blue.example", 80, &[blue.address(), gone.address]);
    let manifests = join(&[shop::manifests(shop::TO_BLUE), entry]);
    let mut gateway = Gateway::start_with(&manifests, &["--workers", "1"]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    for _ in 0..20 {
        client.get(HOST, "/").await;
    }
    gateway.wait_for_log("endpoint ejected").await;
    let told = Explainer::of(&gateway).await.json(&[("url", "http://shop.example/")]).await;
    let endpoints = told["clusters"][0]["endpoints"].as_array().unwrap();
    let of = |address: String| {
        endpoints.iter().find(|each| each["address"] == address.as_str()).unwrap()
    };
    assert_eq!(of(blue.address().to_string())["state"], "healthy");
    let ejected = of(gone.address.to_string());
    assert_eq!(ejected["state"], "ejected");
    assert!(ejected["reason"].as_str().unwrap().starts_with("no_connection"), "{ejected}");
}

#[tokio::test]
async fn a_very_long_list_of_rules_is_bounded_and_has_the_one_that_took_the_request() {
    let rule = |number| {
        format!("- match: [{{uri: {{exact: /r{number}}}}}]\n  directResponse: {{status: 204}}\n")
    };
    let rules: String = (0..10_050).map(rule).collect();
    let shop = Shop::open(&rules).await;
    let mut explainer = Explainer::of(&shop.gateway).await;
    let told = explainer.json(&[("url", "http://shop.example/r10040")]).await;
    let considered = told["considered"].as_array().unwrap();
    assert_eq!((considered.len(), &told["considered_left_out"]), (10_001, &49.into()));
    assert_eq!(considered[10_000]["route"], told["route"]);
    let mut admin = Client::http1(shop.gateway.side_port("admin")).await.unwrap();
    let path = path(&[("url", "http://shop.example/r7000")]);
    let reply = admin.call(Call::get("localhost", &path).header("accept", "text/plain")).await;
    assert!(reply.text().contains("… 6 980 more\n"), "{}", reply.text());
    assert!(reply.text().contains("http[7000]  took it"), "{}", reply.text());
    assert!(reply.text().lines().count() < 60, "{}", reply.text());
}

/// Numbers that look drawn by chance, and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.roll(words.len())]
    }

    fn sometimes(&mut self) -> bool {
        self.roll(3) == 0
    }
}

const PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/A/b", "/x"];
const HOSTS: [&str; 4] = ["a.example", "b.example", "c.b.example", "other.test"];
const TEAMS: [&str; 3] = ["red", "blue", "redder"];
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];

/// One condition, written in flow style.
fn random_match(dice: &mut Dice) -> String {
    let mut parts = Vec::new();
    if !dice.sometimes() {
        let path = dice.pick(&PATHS);
        parts.push(match dice.roll(4) {
            0 => format!("uri: {{exact: '{path}'}}"),
            1 => format!("uri: {{regex: '{path}.*'}}"),
            _ => format!("uri: {{prefix: '{path}'}}"),
        });
        if dice.sometimes() && !parts[0].contains("regex") {
            parts.push("ignoreUriCase: true".to_owned());
        }
    }
    if dice.sometimes() {
        parts.push(format!("method: {{exact: {}}}", dice.pick(&METHODS)));
    }
    for field in ["headers", "withoutHeaders"] {
        if dice.sometimes() {
            let team = dice.pick(&TEAMS);
            let how = dice.pick(&["exact", "prefix"]);
            parts.push(format!("{field}: {{x-team: {{{how}: {team}}}}}"));
        }
    }
    if dice.sometimes() {
        parts.push(format!("queryParams: {{q: {{exact: '{}'}}}}", dice.roll(2)));
    }
    if parts.is_empty() {
        parts.push("uri: {prefix: /a}".to_owned());
    }
    format!("{{{}}}", parts.join(", "))
}

fn random_rules(dice: &mut Dice) -> String {
    let mut rules = String::new();
    for number in 0..dice.roll(12) + 3 {
        let matches: Vec<String> = (0..=dice.roll(2)).map(|_| random_match(dice)).collect();
        let status = 200 + number;
        rules +=
            &format!("- match: [{}]\n  directResponse: {{status: {status}}}\n", matches.join(", "));
    }
    rules
}

fn random_table(dice: &mut Dice) -> String {
    let redirected = if dice.sometimes() { "  tls: {httpsRedirect: true}\n" } else { "" };
    let servers =
        [http_server("http", 80, &["*.example"]), http_server("rest", 80, &["*"]) + redirected];
    let mut objects = vec![gateway("shop", &servers)];
    for (number, hosts) in
        [&["a.example"][..], &["*.b.example", "b.example"], &["a.example", "b.example"], &["*"]]
            .iter()
            .enumerate()
    {
        let rules = random_rules(dice);
        objects.push(virtual_service(&format!("v{number}"), "shop", hosts, &rules));
    }
    join(&objects)
}

#[tokio::test]
async fn explain_names_the_rule_that_the_gateway_then_uses() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut gateway = Gateway::start(&random_table(&mut dice)).await;
    let (mut routed, mut lost) = (0, 0);
    for _ in 0..6 {
        let mut client = Client::http1(gateway.address("http")).await.unwrap();
        let mut explainer = Explainer::of(&gateway).await;
        for _ in 0..80 {
            let (host, method) = (dice.pick(&HOSTS), dice.pick(&METHODS));
            let query =
                if dice.sometimes() { format!("?q={}", dice.roll(3)) } else { String::new() };
            let path = format!("{}{query}", dice.pick(&PATHS));
            let mut call = Call::new(method, host, &path);
            let url = format!("http://{host}{path}");
            let mut asked = vec![("method", method), ("url", url.as_str())];
            let team = format!("x-team: {}", dice.pick(&TEAMS));
            if dice.sometimes() {
                call = call.header("x-team", &team[8..]);
                asked.push(("header", &team));
            }
            let reply = client.call(call).await;
            let told = explainer.json(&asked).await;
            let route = told["route"].as_str().unwrap_or("");
            assert_eq!(route, reply.header("x-portcullis-route"), "{asked:?}: {told:#}");
            assert_eq!(told["status"], reply.status.as_u16(), "{asked:?}");
            let took = told["considered"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|rule| rule["matched"] == true);
            assert_eq!(took.count(), usize::from(!route.is_empty()), "{told:#}");
            *(if route.is_empty() { &mut lost } else { &mut routed }) += 1;
        }
        gateway.apply(&random_table(&mut dice)).await;
    }
    // Otherwise it would prove little.
    assert!(routed > 100 && lost > 30, "{routed} routed, {lost} not");
}
