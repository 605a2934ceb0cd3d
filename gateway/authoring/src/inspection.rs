//! `plugin inspect`: what a module is, what it needs, and whether the gateway takes it.

use std::collections::BTreeSet;

use portcullis_model::{Capabilities, Capability};
use portcullis_wasm::{Engine, MODULE_LIMIT, read_capability_manifest};
use wasmparser::{Parser, Payload};

use crate::capabilities::{SECTION, needed};
use crate::file_kind::{FileKind, kind_of};
use crate::sections::custom_sections;

/// The section in which a filter of the SDK keeps the schema of its configuration.
const SCHEMA_SECTION: &str = "portcullis.schema";

/// What can be told of a module without running it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    /// Its size in bytes.
    pub size: usize,
    /// The Proxy-Wasm version that it declares: the rest of the export's name, as `0_2_1`.
    pub abi: Option<String>,
    /// What it imports, as `env.proxy_log`.
    pub imports: Vec<String>,
    /// The functions that it exports.
    pub exports: Vec<String>,
    /// The pages of 64 KiB that its memory begins with.
    pub memory_pages: u64,
    /// Its custom sections with their sizes in bytes.
    pub sections: Vec<(String, usize)>,
    /// What it can use, by its imports.
    pub needed: BTreeSet<Capability>,
    /// What its manifest says that it touches.
    pub declared: Option<Capabilities>,
    /// The JSON schema of its configuration.
    pub schema: Option<serde_json::Value>,
    /// Why the gateway would refuse it, and what to do; `None` where it would not.
    pub refused: Option<String>,
}

impl Inspection {
    /// The callbacks among its exports.
    pub fn callbacks(&self) -> impl Iterator<Item = &str> {
        self.exports.iter().map(String::as_str).filter(|name| name.starts_with("proxy_on_"))
    }
}

/// Looks into a module, and has the engine that serves compile and link it. It is not started: what that needs,
/// `portcullis validate` has.
pub fn inspect(module: &[u8], engine: &Engine) -> Inspection {
    let mut found = Inspection { size: module.len(), ..Inspection::default() };
    if let Some(reason) = other_kind(module) {
        found.refused = Some(reason);
        return found;
    }
    read_sections(module, &mut found);
    found.abi = found
        .exports
        .iter()
        .find_map(|name| name.strip_prefix("proxy_abi_version_"))
        .map(str::to_owned);
    let calls = found
        .imports
        .iter()
        .map(|import| import.split_once('.').map_or(import.as_str(), |(_, name)| name));
    found.needed = needed(calls, found.exports.iter().map(String::as_str));
    found.declared = read_capability_manifest(module).ok().flatten();
    found.sections = custom_sections(module)
        .into_iter()
        .map(|(name, data)| (name.to_owned(), data.len()))
        .collect();
    found.schema = custom_sections(module)
        .into_iter()
        .find(|(name, _)| *name == SCHEMA_SECTION)
        .and_then(|(_, data)| serde_json::from_slice(data).ok());
    found.refused =
        engine.compile_within(module, MODULE_LIMIT).err().map(|error| error.to_string());
    found
}

fn other_kind(bytes: &[u8]) -> Option<String> {
    let remedy =
        "build it for wasm32-unknown-unknown or wasm32-wasip1, as `portcullis plugin build` does";
    match kind_of(bytes) {
        FileKind::Module => None,
        kind => Some(format!("it is {kind}, not a WebAssembly module; {remedy}")),
    }
}

/// Imports, exports and memory, as far as the module can be read; what stops that, the compiler says.
fn read_sections(module: &[u8], found: &mut Inspection) {
    for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
        match payload {
            Payload::ImportSection(section) => {
                let imports = section.into_imports().map_while(Result::ok);
                found
                    .imports
                    .extend(imports.map(|import| format!("{}.{}", import.module, import.name)));
            }
            Payload::ExportSection(section) => {
                let exports = section.into_iter().map_while(Result::ok);
                let functions =
                    exports.filter(|export| export.kind == wasmparser::ExternalKind::Func);
                found.exports.extend(functions.map(|export| export.name.to_owned()));
            }
            Payload::MemorySection(section) => {
                found.memory_pages =
                    section.into_iter().map_while(Result::ok).map(|memory| memory.initial).sum();
            }
            _ => {}
        }
    }
}

/// The sections that say more than names and producers.
pub(crate) fn is_ours(name: &str) -> bool {
    [SECTION, SCHEMA_SECTION].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn engine() -> Arc<Engine> {
        Engine::new().unwrap()
    }

    #[test]
    fn a_module_is_told_by_what_it_imports_and_exports() {
        let module = wat::parse_str(
            r#"(module
                (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
                (memory (export "memory") 2)
                (func (export "proxy_abi_version_0_2_1"))
                (func (export "malloc") (param i32) (result i32) (i32.const 0))
                (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0)))"#,
        )
        .unwrap();
        let found = inspect(&module, &engine());
        assert_eq!(found.refused, None);
        assert_eq!(found.abi.as_deref(), Some("0_2_1"));
        assert_eq!(found.imports, ["env.proxy_log"]);
        assert_eq!(found.callbacks().collect::<Vec<_>>(), ["proxy_on_request_body"]);
        assert_eq!(Vec::from_iter(found.needed), [Capability::Body, Capability::Log]);
        assert_eq!((found.memory_pages, found.size), (2, module.len()));
    }

    #[test]
    fn what_the_gateway_would_refuse_says_why_and_what_to_do() {
        let engine = engine();
        let refused = |bytes: &[u8]| inspect(bytes, &engine).refused.unwrap();
        let bare = wat::parse_str("(module)").unwrap();
        assert!(refused(&bare).contains("no Proxy-Wasm ABI"), "{}", refused(&bare));
        assert!(refused(b"\x7fELF\x02\x01\x01").contains("wasm32"), "{}", refused(b"\x7fELF"));
        assert!(refused(b"(module)").contains("text"));
        assert!(refused(b"\0asm\x0d\0\x01\0").contains("component"));
        assert!(refused(&bare[..7]).contains("empty") || refused(&bare[..7]).contains("cut"));
    }
}
