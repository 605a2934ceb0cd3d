//! The configuration follows its files, however they are changed, and never half.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use portcullis_testkit::manifests::{gateway, http_server, join, virtual_service};
use portcullis_testkit::{Client, Upstream};

use crate::gateway::{Gateway, directory_with};
use crate::shop::{self, HOST, Shop, TO_BLUE, backends};

const TO_GREEN: &str = "- route:\n  - destination: {host: green.example}\n";

/// A VirtualService for a host of its own.
fn further(host: &str) -> String {
    let name = host.replace('.', "-");
    virtual_service(&name, "shop", &[host], TO_GREEN)
}

#[tokio::test]
async fn a_file_renamed_over_another_is_applied() {
    let mut shop = Shop::open(TO_BLUE).await;
    assert_eq!(shop.get("/").await.upstream(), "blue");
    assert_eq!(shop.apply(TO_GREEN).await, 2);
    let reply = shop.get("/").await;
    assert_eq!((reply.upstream(), reply.header("x-portcullis-generation")), ("green", "2"));
}

#[tokio::test]
async fn a_file_written_in_place_is_applied() {
    let mut shop = Shop::open(TO_BLUE).await;
    fs::write(shop.gateway.config().join("all.yaml"), shop.manifests(TO_GREEN)).unwrap();
    assert_eq!(shop.gateway.wait_for_generation().await, 2);
    assert_eq!(shop.get("/").await.upstream(), "green");
}

#[tokio::test]
async fn a_file_is_not_read_before_it_is_written_to_its_end() {
    let mut shop = Shop::open(TO_BLUE).await;
    let whole = join(&[shop.manifests(TO_GREEN), further("late.example")]);
    // What is cut here is itself a complete configuration, of fewer objects.
    let (first, second) = whole.split_at(whole.find("---\n").unwrap());
    let mut file = fs::File::create(shop.gateway.config().join("all.yaml")).unwrap();
    file.write_all(first.as_bytes()).unwrap();
    shop.gateway.write_file("more.yaml", further("more.example"));
    shop.gateway.wait_for_generation().await;
    assert_eq!(shop.get("/").await.upstream(), "blue", "the half-written file serves as before");
    assert_eq!(shop.client.get("more.example", "/").await.upstream(), "green");
    file.write_all(second.as_bytes()).unwrap();
    drop(file);
    shop.gateway.wait_for_generation().await;
    assert_eq!(shop.get("/").await.upstream(), "green");
    assert_eq!(shop.client.get("late.example", "/").await.upstream(), "green");
}

#[tokio::test]
async fn a_mounted_config_map_is_followed_through_its_links() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let write = |config: &std::path::Path, version: &str, rules: &str| {
        fs::create_dir(config.join(version)).unwrap();
        let manifests = join(&[shop::manifests(rules), backends(&blue, &green)]);
        fs::write(config.join(version).join("all.yaml"), manifests).unwrap();
        symlink(version, config.join("..data_tmp")).unwrap();
        fs::rename(config.join("..data_tmp"), config.join("..data")).unwrap();
    };
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    fs::create_dir(&config).unwrap();
    write(&config, "..2026_01", TO_BLUE);
    symlink("..data/all.yaml", config.join("all.yaml")).unwrap();
    let mut gateway = Gateway::start_in(directory, &[]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
    for (version, rules, upstream) in
        [("..2026_02", TO_GREEN, "green"), ("..2026_03", TO_BLUE, "blue")]
    {
        write(&config, version, rules);
        gateway.wait_for_generation().await;
        assert_eq!(client.get(HOST, "/").await.upstream(), upstream);
    }
}

#[tokio::test]
async fn a_deleted_file_deletes_its_objects() {
    let mut shop = Shop::open(TO_BLUE).await;
    shop.gateway.write_file("more.yaml", further("more.example"));
    shop.gateway.wait_for_generation().await;
    assert_eq!(shop.client.get("more.example", "/").await.upstream(), "green");
    fs::remove_file(shop.gateway.config().join("more.yaml")).unwrap();
    shop.gateway.wait_for_generation().await;
    assert_eq!(shop.client.get("more.example", "/").await.status, 404);
    assert_eq!(shop.get("/").await.upstream(), "blue");
}

#[tokio::test]
async fn a_truncated_file_keeps_the_last_good_state() {
    let mut shop = Shop::open(TO_BLUE).await;
    let whole = shop.manifests(TO_GREEN);
    let cut = whole.find("green.example}").unwrap();
    shop.gateway.write(&whole[..cut]);
    let problem = shop.gateway.wait_for_log("PC0102").await;
    assert!(problem.contains("all.yaml:"), "{problem}");
    shop.gateway.wait_for_generation().await;
    assert_eq!(shop.get("/").await.upstream(), "blue");
    shop.gateway.apply(&whole).await;
    assert_eq!(shop.get("/").await.upstream(), "green");
}

#[tokio::test]
async fn a_vanished_directory_changes_nothing() {
    let mut shop = Shop::open(TO_BLUE).await;
    let config = shop.gateway.config();
    let aside = config.with_file_name("aside");
    fs::rename(&config, &aside).unwrap();
    let problem = shop.gateway.wait_for_log("PC0106").await;
    assert!(problem.contains("config"), "{problem}");
    assert_eq!(shop.get("/").await.upstream(), "blue");
    fs::rename(&aside, &config).unwrap();
    let manifests = shop.manifests(TO_GREEN);
    shop.gateway.write(&manifests);
    while shop.get("/").await.upstream() != "green" {
        shop.gateway.wait_for_generation().await;
    }
}

#[tokio::test]
async fn a_directory_suddenly_empty_changes_nothing() {
    let mut shop = Shop::open(TO_BLUE).await;
    fs::remove_file(shop.gateway.config().join("all.yaml")).unwrap();
    shop.gateway.wait_for_log("PC0106").await;
    shop.gateway.wait_for_generation().await;
    assert_eq!(shop.get("/").await.upstream(), "blue");
    shop.apply(TO_GREEN).await;
    assert_eq!(shop.get("/").await.upstream(), "green");
}

#[tokio::test]
async fn what_does_not_change_makes_no_generation() {
    let mut shop = Shop::open(TO_BLUE).await;
    let same = shop.manifests(TO_BLUE);
    for manifests in [same.clone(), format!("# a comment, so every line moves\n{same}"), same] {
        shop.gateway.write(&manifests);
        shop.gateway.signal("HUP");
        shop.gateway.wait_for_log("reload asked for").await;
    }
    assert_eq!(shop.apply(TO_GREEN).await, 2);
}

#[tokio::test]
async fn a_storm_of_edits_ends_with_the_last_one() {
    let mut shop = Shop::open(TO_BLUE).await;
    for edit in 1..=200 {
        let manifests = shop.manifests(&format!("- directResponse: {{status: {}}}\n", 200 + edit));
        shop.gateway.write(&manifests);
        if edit % 50 == 0 {
            shop.get("/").await;
        }
    }
    while shop.get("/").await.status != 400 {
        shop.gateway.wait_for_generation().await;
    }
    let reply = shop.get("/").await;
    let generation: u64 = reply.header("x-portcullis-generation").parse().unwrap();
    assert!(generation <= 201, "generation {generation}");
}

#[tokio::test]
async fn sighup_reopens_the_access_log() {
    let directory = directory_with(&shop::manifests("- directResponse: {status: 204}\n"));
    let path = directory.path().join("access.log");
    let arguments = ["--access-log-path", path.to_str().unwrap()];
    let mut gateway = Gateway::start_in(directory, &arguments).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/first").await.status, 204);
    // As logrotate does it.
    let old = path.with_extension("log.1");
    fs::rename(&path, &old).unwrap();
    gateway.signal("HUP");
    gateway.wait_for_log("reload asked for").await;
    assert_eq!(client.get(HOST, "/second").await.status, 204);
    gateway.signal("INT");
    assert!(gateway.wait().await.success());
    let lines = fs::read_to_string(old).unwrap() + &fs::read_to_string(&path).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(fs::read_to_string(path).unwrap().contains("/second"));
}

#[tokio::test]
async fn sub_directories_and_json_are_read_and_dot_files_are_not() {
    let mut shop = Shop::open(TO_BLUE).await;
    let config = shop.gateway.config();
    fs::create_dir(config.join("deep")).unwrap();
    fs::write(config.join(".hidden.yaml"), further("hidden.example")).unwrap();
    fs::write(config.join("notes.txt"), "no manifest at all: {").unwrap();
    fs::write(config.join("deep/a.yml"), further("deep.example")).unwrap();
    let json = r#"{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "json"}, "spec": {"gateways": ["shop"], "hosts": ["json.example"],
        "http": [{"directResponse": {"status": 204}}]}}"#;
    shop.gateway.write_file("b.json", json);
    let mut client = shop.connect().await;
    while client.get("json.example", "/").await.status != 204
        || client.get("deep.example", "/").await.upstream() != "green"
    {
        shop.gateway.wait_for_generation().await;
    }
    assert_eq!(client.get("hidden.example", "/").await.status, 404);
    assert!(!shop.gateway.log.iter().any(|line| line.contains("notes.txt")));
}

#[tokio::test]
async fn a_single_file_is_watched_beside_a_directory() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let directory = directory_with(&join(&[shop::manifests(TO_BLUE), backends(&blue, &green)]));
    let file = directory.path().join("beside.yaml");
    fs::write(&file, further("one.example")).unwrap();
    let mut gateway = Gateway::start_in(directory, &["--config", file.to_str().unwrap()]).await;
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get("one.example", "/").await.upstream(), "green");
    fs::write(&file, further("two.example")).unwrap();
    gateway.wait_for_generation().await;
    assert_eq!(client.get("two.example", "/").await.upstream(), "green");
    assert_eq!(client.get("one.example", "/").await.status, 404);
    assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
}

#[tokio::test]
async fn servers_open_and_close_while_the_others_serve() {
    let (blue, green) = (Upstream::start("blue"), Upstream::start("green"));
    let manifests = |servers: &[String]| {
        join(&[
            gateway("shop", servers),
            virtual_service("shop", "shop", &["*"], TO_BLUE),
            backends(&blue, &green),
        ])
    };
    let (first, second) = (http_server("http", 80, &["*"]), http_server("second", 8081, &["*"]));
    let arguments = ["--port-map", "80=0,8081=0"];
    let mut gateway =
        Gateway::start_with(&manifests(std::slice::from_ref(&first)), &arguments).await;
    gateway.apply(&manifests(&[first.clone(), second])).await;
    let mut admin = Client::http1(gateway.side_port("admin")).await.unwrap();
    let listeners = admin.get("localhost", "/listeners").await.json();
    assert_eq!(listeners["listeners"][1]["server"], "second");
    let address = listeners["listeners"][1]["address"].as_str().unwrap().parse().unwrap();
    let mut client = Client::http1(address).await.unwrap();
    assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
    gateway.apply(&manifests(&[first])).await;
    assert!(Client::http1(address).await.is_err(), "the closed server still accepts");
    let mut client = Client::http1(gateway.address("http")).await.unwrap();
    assert_eq!(client.get(HOST, "/").await.upstream(), "blue");
}
