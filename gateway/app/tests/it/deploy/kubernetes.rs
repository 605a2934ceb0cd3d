//! The manifests for EKS: valid for Kubernetes, and true to the gateway.

use std::path::PathBuf;
use std::process::Command;

use super::{root, successful};
use crate::gateway::binary;

fn example() -> PathBuf {
    root().join("examples/eks/plain")
}

fn manifest(name: &str) -> String {
    std::fs::read_to_string(example().join(name)).unwrap()
}

/// The files that `kubectl apply -k` applies.
fn resources() -> Vec<String> {
    let text = manifest("kustomization.yaml");
    let list = text.split("resources:\n").nth(1).unwrap();
    list.lines().map_while(|line| line.strip_prefix("- ")).map(str::to_owned).collect()
}

#[test]
fn every_manifest_keeps_to_the_schemas_of_kubernetes() {
    let validator = root().join("target/peers/bin/kubernetes-validate");
    assert!(validator.exists(), "run .ci/peers first");
    let files = resources();
    assert_eq!(files.len(), 7);
    for file in &files {
        let mut command = Command::new(&validator);
        successful(command.arg("--strict").arg(example().join(file)));
    }
    // It can tell: a container is not a list of text.
    let broken = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let text = manifest("deployment.yaml").replace("replicas: 3", "replicas: three");
    std::fs::write(broken.path(), text).unwrap();
    let refused = Command::new(&validator).arg("--strict").arg(broken.path()).output().unwrap();
    assert!(!refused.status.success());
}

#[test]
fn the_configuration_of_the_config_map_is_valid() {
    let text = manifest("kustomization.yaml");
    let listed: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("  - config/")).collect();
    let mut present: Vec<String> = std::fs::read_dir(example().join("config"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    present.sort();
    assert_eq!(listed, present, "each file is part of the ConfigMap");
    let output = successful(Command::new(binary()).arg("validate").arg(example().join("config")));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0 errors, 0 warnings");
    // What the Secret's file would hold, and what its comment shows, is no error either.
    let secret = manifest("secret.yaml");
    let held: String = secret
        .split("certificates.yaml: |\n")
        .nth(1)
        .unwrap()
        .lines()
        .map(|line| format!("{}\n", line.trim_start()))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("certificates.yaml"), held).unwrap();
    std::fs::copy(example().join("config/gateway.yaml"), directory.path().join("g.yaml")).unwrap();
    successful(Command::new(binary()).arg("validate").arg(directory.path()));
}

/// The arguments of the container.
fn arguments(deployment: &str) -> Vec<&str> {
    let list = deployment.split("        args:\n").nth(1).unwrap();
    let lines =
        list.lines().take_while(|line| line.starts_with("        ") && !line.ends_with(':'));
    lines.filter_map(|line| line.trim_start().strip_prefix("- ")).collect()
}

#[test]
fn the_gateway_takes_the_arguments_of_the_deployment() {
    let deployment = manifest("deployment.yaml");
    let arguments = arguments(&deployment);
    assert_eq!(arguments[0], "serve");
    assert!(arguments.len() > 5, "{arguments:?}");
    // It reads all of them before it misses the directory.
    let output = Command::new(binary()).args(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/etc/portcullis: there is no such file or directory"), "{said}");
    assert!(deployment.contains("mountPath: /etc/portcullis, readOnly: true"));
}

fn seconds(arguments: &[&str], option: &str) -> u32 {
    let value = arguments.iter().find_map(|argument| argument.strip_prefix(option)).unwrap();
    value.trim_start_matches('=').trim_end_matches('s').parse().unwrap()
}

#[test]
fn grace_period_probes_and_ports_fit_the_gateway() {
    let (deployment, ingress) = (manifest("deployment.yaml"), manifest("ingress.yaml"));
    let arguments = arguments(&deployment);
    let grace = deployment.split("terminationGracePeriodSeconds: ").nth(1).unwrap();
    let grace: u32 = grace.lines().next().unwrap().parse().unwrap();
    let (delay, timeout) =
        (seconds(&arguments, "--drain-delay"), seconds(&arguments, "--drain-timeout"));
    assert!(grace > delay + timeout, "{grace} s of grace");
    // The load balancer notices a failing probe before nobody is accepted any more.
    let annotation = |name: &str| -> u32 {
        let value = ingress.split(&format!("{name}: '")).nth(1).unwrap();
        value.split('\'').next().unwrap().parse().unwrap()
    };
    let notices =
        annotation("healthcheck-interval-seconds") * annotation("unhealthy-threshold-count");
    assert!(notices < delay, "{notices} s until it notices");
    assert_eq!(annotation("healthcheck-port"), 15021);
    for wanted in [
        "{name: status, containerPort: 15021}",
        "httpGet: {path: /healthz/ready, port: status}",
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "drop: [ALL]",
        "seccompProfile: {type: RuntimeDefault}",
        "automountServiceAccountToken: false",
    ] {
        assert!(deployment.contains(wanted), "{wanted}");
    }
    for annotation in ["target-type: ip", "healthcheck-path: /healthz/ready", "ssl-redirect: '443'"]
    {
        assert!(ingress.contains(annotation), "{annotation}");
    }
    let service = manifest("service.yaml");
    assert!(
        ingress.contains("port: {number: 80}") && service.contains("port: 80, targetPort: http")
    );
}
