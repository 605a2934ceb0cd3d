//! What sslyze finds, held against Mozilla's intermediate profile.

use portcullis_testkit::Certificates;
use portcullis_testkit::manifests::{gateway, https_server, join, tls_secret, virtual_service};
use tokio::process::Command;

use crate::gateway::Gateway;

#[tokio::test]
#[ignore = "soak: needs sslyze"]
async fn soak_sslyze_finds_mozillas_intermediate_profile() {
    let certificates = Certificates::for_hosts(&["localhost"]);
    let gateway = Gateway::start(&join(&[
        gateway("shop", &[https_server("https", 443, &["*"], "shop")]),
        virtual_service("shop", "shop", &["*"], "- directResponse: {status: 204}\n"),
        tls_secret("shop", &certificates),
    ]))
    .await;
    let target = format!("localhost:{}", gateway.address("https").port());
    let sslyze = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/bin/sslyze");
    let arguments = ["--mozilla_config", "intermediate", &target];
    let scan = Command::new(sslyze).args(arguments).output().await.expect("run make soak");
    let report = String::from_utf8_lossy(&scan.stdout);
    let findings: Vec<&str> =
        report.lines().map(str::trim).filter(|line| line.starts_with("* ")).collect();
    assert!(report.contains("SCANS COMPLETED"), "{report}");
    // The verdict is a list of what is wrong, below this heading. A certificate made for a test has no
    // authority that sslyze knows, and is not renewed within a year.
    let (_, verdict) = report.split_once("COMPLIANCE AGAINST").expect("no verdict");
    let wrong: Vec<&str> = findings
        .into_iter()
        .filter(|finding| verdict.contains(finding))
        .filter(|finding| !finding.contains("certificate_path_validation"))
        .filter(|finding| !finding.contains("maximum_certificate_lifespan"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{report}");
}
