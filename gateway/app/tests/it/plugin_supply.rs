//! Where plugins come from: registries and servers, with all that these may do wrong, and what is kept of them.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_testkit::manifests::join;
use portcullis_testkit::{
    Authority, Client, HttpsAnswer, HttpsServer, ImageRegistry, Layout, Login, Upstream, gzip,
    image_digest, tar, within,
};
use tempfile::TempDir;

use crate::gateway::{Gateway, directory_with};
use crate::metrics::{find_sample, metrics};
use crate::shop::{self, HOST, TO_BLUE, backends};
use crate::small_guests::{callback, small_guest};

/// A module that says who it is in a header of the request.
pub fn marking(mark: &str) -> Vec<u8> {
    let code = format!("(call $add (i32.const 0) $\"x-mark\" $\"{mark}\")");
    small_guest(&callback("on_request_headers", &code))
}

/// A gateway with plugins from elsewhere, and who vouches for that.
pub struct Supplied {
    pub gateway: Gateway,
    blue: Upstream,
}

/// What starts one.
pub struct Scene {
    pub authority: Authority,
    pub directory: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        Scene { authority: Authority::new(), directory: tempfile::tempdir().unwrap() }
    }

    pub async fn registry(&self) -> ImageRegistry {
        ImageRegistry::start(&self.authority.issue(&["localhost"])).await
    }

    /// Writes a file beside the configuration.
    pub fn file(&self, name: &str, contents: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Starts with these objects and further arguments.
    pub async fn start(&self, objects: &[String], arguments: &[&str]) -> Supplied {
        let blue = Upstream::start("blue");
        let directory = directory_with(&manifests(&blue, objects));
        let ca = self.file("ca.pem", &self.authority.issue(&["localhost"]).ca_pem);
        let mut all = vec!["--workers", "1", "--access-log", "text", "--plugin-ca", &ca];
        all.extend_from_slice(arguments);
        Supplied { gateway: Gateway::start_in(directory, &all).await, blue }
    }

    pub fn state_dir(&self) -> String {
        self.directory.path().join("state").to_str().unwrap().to_owned()
    }
}

impl Supplied {
    pub async fn apply(&mut self, objects: &[String]) {
        let manifests = manifests(&self.blue, objects);
        self.gateway.apply(&manifests).await;
    }

    /// What the upstream sees of the plugin's mark, or the status where it sees nothing.
    pub async fn mark(&self) -> String {
        let mut client = Client::http1(self.gateway.address("http")).await.unwrap();
        let reply = client.get(HOST, "/").await;
        if reply.status != 200 {
            return reply.status.as_u16().to_string();
        }
        reply.json()["headers"]["x-mark"].as_str().unwrap_or("none").to_owned()
    }

    pub async fn wait_for_mark(&self, wanted: &str) {
        within(wanted, async { while self.mark().await != wanted {} }).await;
    }
}

fn manifests(blue: &Upstream, objects: &[String]) -> String {
    let mut all = vec![shop::manifests(TO_BLUE), backends(blue, blue)];
    all.extend_from_slice(objects);
    join(&all)
}

/// A plugin object `p`.
pub fn plugin(url: &str, fields: &str) -> String {
    portcullis_testkit::manifests::wasm_plugin("p", url, fields)
}

#[tokio::test]
async fn every_layout_of_an_image_is_pulled() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    let layouts = [Layout::Docker, Layout::Archive, Layout::Artifact, Layout::Bare];
    for (nth, layout) in layouts.into_iter().enumerate() {
        registry.push("team/p", &format!("v{nth}"), &marking(&format!("m{nth}")), layout);
    }
    let mut supplied = scene.start(&[plugin(&registry.url("team/p:v0"), "")], &[]).await;
    assert_eq!(supplied.mark().await, "m0");
    for nth in 1..layouts.len() {
        supplied.apply(&[plugin(&registry.url(&format!("team/p:v{nth}")), "")]).await;
        supplied.wait_for_mark(&format!("m{nth}")).await;
    }
    let metrics = metrics(&supplied.gateway).await;
    let fetched = find_sample(&metrics, "portcullis_plugin_fetches_total", &["result=\"fetched\""]);
    assert_eq!(fetched, Some(4.0));
}

#[tokio::test]
async fn an_index_leads_to_the_image_without_a_platform() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    let image = registry.push("p", "image", &marking("one"), Layout::Bare);
    let manifest =
        |digest: &str| serde_json::json!({"mediaType": "m", "digest": digest, "size": 1});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest(&image)]});
    let digest = registry.put_manifest("p", "index", &index);
    let url = format!("{}@{digest}", registry.url("p:index"));
    let supplied = scene.start(&[plugin(&url, "")], &[]).await;
    assert_eq!(supplied.mark().await, "one");
}

fn pull_secret(authority: &str, name: &str, password: &str) -> String {
    let auth = STANDARD.encode(format!("{name}:{password}"));
    let config = serde_json::json!({"auths": {authority: {"auth": auth}}}).to_string();
    let data = STANDARD.encode(config);
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: pull\ntype: kubernetes.io/dockerconfigjson\ndata:\n  .dockerconfigjson: {data}\n"
    )
}

#[tokio::test]
async fn private_images_are_pulled_with_their_secret_alone() {
    for login in [Login::Basic, Login::Bearer] {
        let scene = Scene::new();
        let registry = scene.registry().await;
        registry.push("p", "1", &marking("private"), Layout::Archive);
        registry.ask_for(login, "me", "secret");
        registry.give_tokens_at(&registry.authority());
        let url = registry.url("p:1");
        let with = |password: &str| {
            [
                plugin(&url, "imagePullSecret: pull\n"),
                pull_secret(&registry.authority(), "me", password),
            ]
        };
        let mut supplied = scene.start(&[plugin(&url, "")], &[]).await;
        assert_eq!(supplied.mark().await, "503");
        let refused = supplied.gateway.logged("PC0408").await;
        assert!(refused.contains("answers 401"), "{refused}");
        supplied.apply(&with("wrong")).await;
        assert_eq!(supplied.mark().await, "503");
        supplied.apply(&with("secret")).await;
        supplied.wait_for_mark("private").await;
        let log = supplied.gateway.log.join("\n");
        assert!(!log.contains("secret\n") && !log.contains(&STANDARD.encode("me:secret")));
    }
}

#[tokio::test]
async fn a_secret_that_is_missing_is_a_problem_and_nothing_is_pulled() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    registry.push("p", "1", &marking("m"), Layout::Bare);
    let object = plugin(&registry.url("p:1"), "imagePullSecret: pull\n");
    let mut supplied = scene.start(&[object], &[]).await;
    assert_eq!(supplied.mark().await, "503");
    let problem = supplied.gateway.logged("PC0301").await;
    assert!(problem.contains("spec.imagePullSecret") && problem.contains("Secret/default/pull"));
    assert_eq!(registry.seen(), []);
}

#[tokio::test]
async fn tokens_are_not_fetched_from_where_nobody_should_be_sent() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    let elsewhere = HttpsServer::start(&scene.authority.issue(&["localhost"]), |_| {
        HttpsAnswer::ok(r#"{"token":"let-me-in"}"#)
    })
    .await;
    registry.push("p", "1", &marking("m"), Layout::Bare);
    registry.ask_for(Login::Bearer, "me", "secret");
    registry.give_tokens_at(&elsewhere.authority());
    let mut supplied = scene.start(&[plugin(&registry.url("p:1"), "")], &[]).await;
    let refused = supplied.gateway.logged("PC0408").await;
    assert!(refused.contains("may not lead to this machine"), "{refused}");
    assert_eq!(elsewhere.seen(), []);
}

#[tokio::test]
async fn whatever_lies_is_refused_and_what_serves_goes_on() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    registry.push("p", "good", &marking("good"), Layout::Archive);
    let module = marking("bad");
    let layer = image_digest(&module);
    let blob = format!("p/blobs/{layer}");
    registry.push("p", "bad", &module, Layout::Bare);
    let mut supplied = scene.start(&[plugin(&registry.url("p:good"), "")], &[]).await;
    assert_eq!(supplied.mark().await, "good");
    let flipped = {
        let mut flipped = module.clone();
        *flipped.last_mut().unwrap() ^= 1;
        flipped
    };
    let cases = [
        (HttpsAnswer::ok(flipped), "PC0403", "has the SHA-256"),
        (HttpsAnswer::ok(module.clone()).claiming(module.len() + 1), "PC0408", "cannot be fetched"),
        (HttpsAnswer::status(500), "PC0408", "answers 500"),
        (HttpsAnswer::status(404), "PC0408", "answers 404"),
        (HttpsAnswer::status(403), "PC0408", "who asks may not have it"),
        (HttpsAnswer::redirect("http://localhost/x"), "PC0408", "another scheme"),
        (HttpsAnswer::redirect("https://127.0.0.1:1/x"), "PC0408", "to this machine"),
        (HttpsAnswer::redirect("https://169.254.169.254/x"), "PC0408", "metadata"),
        (HttpsAnswer::redirect(&format!("/v2/{blob}")), "PC0408", "more than five times"),
    ];
    for (nth, (answer, code, why)) in cases.into_iter().enumerate() {
        registry.put(&blob, answer);
        let url = registry.url("p:bad");
        supplied.apply(&[plugin(&url, &format!("pluginName: n{nth}\n"))]).await;
        let problem = supplied.gateway.logged(why).await;
        assert!(problem.contains(code), "{problem}");
        assert!(problem.contains("the last good version serves on"), "{problem}");
        assert_eq!(supplied.mark().await, "good");
    }
    // It is tried again, and comes up with nobody's help.
    registry.put(&blob, HttpsAnswer::ok(module));
    supplied.wait_for_mark("bad").await;
}

#[tokio::test]
async fn bombs_and_giants_are_refused_by_size() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    let bomb = gzip(&tar("plugin.wasm", &vec![0; 64 << 20]));
    assert!(bomb.len() < 1 << 20);
    let image = |bytes: &[u8], size: usize| {
        let digest = registry.put_blob("p", bytes);
        serde_json::json!({"schemaVersion": 2, "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size}
        ]})
    };
    registry.put_manifest("p", "bomb", &image(&bomb, bomb.len()));
    registry.put_manifest("p", "giant", &image(b"small", 1 << 30));
    let mut supplied = scene.start(&[plugin(&registry.url("p:bomb"), "")], &[]).await;
    let bomb = supplied.gateway.logged("PC0408").await;
    assert!(bomb.contains("decompressed, is larger than"), "{bomb}");
    supplied.apply(&[plugin(&registry.url("p:giant"), "")]).await;
    supplied.gateway.logged("the layer is larger than").await;
    assert_eq!(supplied.mark().await, "503");
}

#[tokio::test]
async fn a_registry_that_never_answers_holds_up_nothing_else() {
    let scene = Scene::new();
    let silent =
        HttpsServer::start(&scene.authority.issue(&["localhost"]), |_| HttpsAnswer::silent()).await;
    let object = |mark: &str| {
        plugin(
            &format!("oci://{}/p:1", silent.authority()),
            &format!("failStrategy: FAIL_OPEN\npluginName: {mark}\n"),
        )
    };
    let mut supplied = scene.start(&[], &[]).await;
    supplied.apply(&[object("a")]).await;
    assert_eq!(supplied.mark().await, "none");
    assert!(supplied.gateway.logged("PC0407").await.contains("pass without it"));
    // A further configuration, while the first plugin still waits.
    supplied.apply(&[object("b")]).await;
    assert_eq!(supplied.mark().await, "none");
}

#[tokio::test]
async fn modules_come_over_https_with_redirects_on_the_same_host() {
    let scene = Scene::new();
    let module = marking("web");
    let served = module.clone();
    let server = HttpsServer::start(&scene.authority.issue(&["localhost"]), move |request| {
        match request.path.as_str() {
            "/p.wasm" => HttpsAnswer::ok(served.clone()),
            "/moved?x=1" => HttpsAnswer::redirect("/p.wasm"),
            _ => HttpsAnswer::status(404),
        }
    })
    .await;
    let url = format!("https://{}/moved?x=1", server.authority());
    let sha256 = image_digest(&module);
    let supplied = scene.start(&[plugin(&url, &format!("sha256: {sha256}\n"))], &[]).await;
    assert_eq!(supplied.mark().await, "web");
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_believed() {
    let scene = Scene::new();
    let stranger = Authority::new();
    let module = marking("web");
    let server = HttpsServer::start(&stranger.issue(&["localhost"]), move |_| {
        HttpsAnswer::ok(module.clone())
    })
    .await;
    let url = format!("https://{}/p.wasm", server.authority());
    let mut supplied = scene.start(&[plugin(&url, "")], &[]).await;
    assert!(supplied.gateway.logged("PC0408").await.contains("TLS"));
    assert_eq!((supplied.mark().await.as_str(), server.seen().len()), ("503", 0));
}

#[tokio::test]
async fn what_was_pulled_serves_across_a_restart_without_the_registry() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    registry.push("p", "1", &marking("kept"), Layout::Archive);
    registry.push("p", "latest", &marking("newest"), Layout::Archive);
    let (url, latest) = (registry.url("p:1"), registry.url("p"));
    let state = scene.state_dir();
    let mut first = scene.start(&[plugin(&url, "")], &["--state-dir", &state]).await;
    assert_eq!(first.mark().await, "kept");
    first.apply(&[plugin(&latest, "")]).await;
    first.wait_for_mark("newest").await;
    registry.put("p/manifests/1", HttpsAnswer::status(500));
    registry.put("p/manifests/latest", HttpsAnswer::status(500));
    // IfNotPresent does not ask; Always asks, and takes what is kept where nobody answers well.
    for (url, mark) in [(&url, "kept"), (&latest, "newest")] {
        let asked = registry.seen().len();
        let again = scene.start(&[plugin(url, "")], &["--state-dir", &state]).await;
        assert_eq!(again.mark().await, mark);
        assert_eq!(registry.seen().len() > asked, url == &latest);
        let metrics = metrics(&again.gateway).await;
        let name = "portcullis_plugin_compiles_total";
        assert_eq!(find_sample(&metrics, name, &["result=\"cached\""]), Some(1.0));
    }
}

#[tokio::test]
async fn what_is_kept_and_broken_is_fetched_and_compiled_anew() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    registry.push("p", "1", &marking("kept"), Layout::Archive);
    let state = scene.state_dir();
    let objects = [plugin(&registry.url("p:1"), "")];
    drop(scene.start(&objects, &["--state-dir", &state]).await);
    for spoil in [
        |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1,
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
    ] {
        for cache in ["modules", "machine-code"] {
            spoil_all(&Path::new(&state).join(cache), spoil);
        }
        let mut again = scene.start(&objects, &["--state-dir", &state]).await;
        assert_eq!(again.mark().await, "kept");
        again.gateway.logged("a file of the cache is broken").await;
        let metrics = metrics(&again.gateway).await;
        let name = "portcullis_plugin_compiles_total";
        assert_eq!(find_sample(&metrics, name, &["result=\"compiled\""]), Some(1.0));
    }
}

fn spoil_all(directory: &Path, spoil: fn(&mut Vec<u8>)) {
    let mut spoilt = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        spoil(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        spoilt += 1;
    }
    assert!(spoilt > 0, "{directory:?}");
}

#[tokio::test]
async fn a_cache_that_others_can_write_is_done_without() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    let registry = scene.registry().await;
    registry.push("p", "1", &marking("m"), Layout::Archive);
    let state = scene.state_dir();
    let objects = [plugin(&registry.url("p:1"), "")];
    drop(scene.start(&objects, &["--state-dir", &state]).await);
    for cache in ["modules", "machine-code"] {
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(Path::new(&state).join(cache), open).unwrap();
    }
    let mut again = scene.start(&objects, &["--state-dir", &state]).await;
    assert_eq!(again.mark().await, "m");
    again.gateway.logged("modules of plugins are not kept").await;
    again.gateway.logged("machine code of plugins is not kept").await;
}

#[tokio::test]
async fn a_reload_by_signal_pulls_what_is_always_pulled() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    registry.push("p", "latest", &marking("old"), Layout::Archive);
    let supplied = scene.start(&[plugin(&registry.url("p"), "")], &[]).await;
    assert_eq!(supplied.mark().await, "old");
    registry.push("p", "latest", &marking("new"), Layout::Archive);
    supplied.gateway.signal("HUP");
    supplied.wait_for_mark("new").await;
}

#[tokio::test]
async fn validate_fetches_nothing_and_checks_what_is_kept() {
    let scene = Scene::new();
    let registry = scene.registry().await;
    registry.push("p", "1", &marking("m"), Layout::Archive);
    let objects = [plugin(&registry.url("p:1"), "")];
    let blue = Upstream::start("blue");
    let directory = directory_with(&manifests(&blue, &objects));
    let config = directory.path().join("config");
    let validate = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::gateway::binary());
        command.arg("validate").arg(&config).args(arguments);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (good, report) = validate(&[]);
    assert!(good && report.contains("PC0411"), "{report}");
    assert_eq!(registry.seen(), []);
    let state = scene.state_dir();
    drop(scene.start(&objects, &["--state-dir", &state]).await);
    let (good, report) = validate(&["--state-dir", &state]);
    assert!(good && !report.contains("PC0411"), "{report}");
}
