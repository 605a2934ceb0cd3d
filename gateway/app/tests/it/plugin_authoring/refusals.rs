//! What authors hear of names, files, suites and configurations that cannot be.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{begin, foreign, plugin, said};
use crate::gateway::binary;

/// It failed, and said each of these.
fn refused(output: &Output, texts: &[&str]) {
    let said = said(output);
    assert!(!output.status.success(), "{said}");
    for text in texts {
        assert!(said.contains(text), "no {text:?} in: {said}");
    }
}

#[test]
fn a_name_that_is_taken_or_none_is_refused() {
    let (directory, _) = begin("team", "blank");
    refused(&plugin(directory.path(), ["new", "team"]), &["there already", "another name"]);
    for name in ["../up", "Team", "", "a b", "std"] {
        refused(&plugin(directory.path(), ["new", name]), &["cannot be the name", "lower-case"]);
    }
    refused(&plugin(directory.path(), ["new", "x", "--template", "soap"]), &["callout"]);
}

#[test]
fn a_suite_with_an_unknown_key_or_an_impossible_wish_names_its_line() {
    let (_directory, folder) = begin("team", "blank");
    let suite = |text: &str| {
        std::fs::write(folder.join("tests/suite.yaml"), text).unwrap();
        let module = foreign("robots");
        plugin(&folder, ["test".as_ref(), "--module".as_ref(), module.as_os_str()])
    };
    let unknown = "cases:\n- name: a\n  requets: {}\n  expect: { calls: 0 }\n";
    refused(&suite(unknown), &["suite.yaml:3:", "requets"]);
    let impossible = "cases:\n- name: a\n  expect: { response: { status: 200, path: / } }\n";
    refused(&suite(impossible), &["suite.yaml:2:", "neither"]);
}

/// A file that is no module for this gateway, and what is said of it.
fn no_modules() -> [(&'static str, Vec<u8>, &'static [&'static str]); 6] {
    let text = portcullis_testkit::module;
    let mut large = text("(module)");
    large.resize(11 << 20, 0);
    [
        ("an ELF file", b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec(), &["program", "wasm32"]),
        ("a component", b"\0asm\x0d\0\x01\0".to_vec(), &["component", "plugin build"]),
        ("text", b"(module)".to_vec(), &["as text", "plugin build"]),
        ("no ABI", text("(module)"), &["no Proxy-Wasm ABI"]),
        (
            "another ABI",
            text(
                "(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_3_0\")))",
            ),
            &["0_3_0"],
        ),
        ("too large", large, &["10485760", "strip"]),
    ]
}

#[test]
fn what_is_no_module_is_named_with_what_to_do() {
    let (_directory, folder) = begin("team", "blank");
    for (_, bytes, texts) in no_modules() {
        let module = folder.join("some.wasm");
        std::fs::write(&module, bytes).unwrap();
        for output in [
            plugin(&folder, ["inspect", "some.wasm"]),
            plugin(&folder, ["test", "--module", "some.wasm"]),
        ] {
            refused(&output, texts);
        }
    }
}

#[test]
fn without_a_toolchain_the_command_that_installs_one_is_named() {
    let (directory, folder) = begin("team", "blank");
    let empty = directory.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut command = Command::new(binary());
    let output = command.args(["plugin", "build"]).current_dir(&folder).env("PATH", empty).output();
    refused(&output.unwrap(), &["install Rust", "rustup"]);
}

/// `validate` of a plugin object with this configuration.
fn validate(directory: &Path, module: &Path, configuration: &str) -> Output {
    let object: PathBuf = directory.join("plugin.yaml");
    let text = format!(
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{ name: robots, namespace: istio-system }}\n\
         spec:\n  selector: {{ matchLabels: {{ istio: ingressgateway }} }}\n  url: file://{}\n  pluginConfig: {configuration}\n",
        module.display()
    );
    std::fs::write(&object, text).unwrap();
    Command::new(binary()).arg("validate").arg(object).output().unwrap()
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_with_the_path_of_the_field() {
    let directory = tempfile::tempdir().unwrap();
    let module = foreign("hello");
    let output = validate(directory.path(), &module, "{ greeting: [1] }");
    refused(&output, &["pluginConfig.greeting", "invalid type"]);
    let output = validate(directory.path(), &module, "{ greting: hello }");
    refused(&output, &["pluginConfig.greting", "unknown field"]);
}
