//! Compiling, unless the machine code of the same module by the same engine was kept.
#![allow(
    unsafe_code,
    reason = "machine code is believed, not validated: it comes from a directory that nobody else can write, and proves by its SHA-256 that it is whole and that of this module"
)]

use std::hash::{DefaultHasher, Hash, Hasher};

use portcullis_store::Store;
use wasmtime::{Engine, Module};

use crate::linking::one_line;
use crate::load_error::LoadError;
use crate::module_limits::check_limits;

/// A compiled module, and whether the compiler had to work for it.
pub(crate) struct Compiled {
    pub(crate) module: Module,
    pub(crate) was_kept: bool,
}

/// Compiles the module with this SHA-256, in hex, or takes what is kept. What does not load is compiled anew.
pub(crate) fn compile(
    engine: &Engine,
    (bytes, digest): (&[u8], &str),
    kept: Option<&Store>,
) -> Result<Compiled, LoadError> {
    let name = name(engine, digest);
    if let Some(store) = kept
        && let Some(module) = load(engine, store, &name)
    {
        return Ok(Compiled { module, was_kept: true });
    }
    check_limits(bytes)?;
    let module =
        Module::from_binary(engine, bytes).map_err(|error| LoadError::Compile(one_line(&error)))?;
    if let Some(store) = kept {
        keep(store, &name, &module);
    }
    Ok(Compiled { module, was_kept: false })
}

/// Of a module, and of all that decides what the compiler makes of it: its version, its settings, the processor.
fn name(engine: &Engine, digest: &str) -> String {
    let mut engine_hash = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut engine_hash);
    format!("machine code {digest} {} {:016x}", env!("CARGO_PKG_VERSION"), engine_hash.finish())
}

fn load(engine: &Engine, store: &Store, name: &str) -> Option<Module> {
    let code = store.read(name)?;
    // SAFETY: the store reads only from a directory of this user's that nobody else can write, and gives only what has
    // the SHA-256 that was written with it under this name. So these are the bytes that `keep` wrote, made by
    // `Module::serialize`; wasmtime itself refuses those of another version or other settings.
    let loaded = unsafe { Module::deserialize(engine, &code) };
    loaded
        .inspect_err(|error| {
            tracing::warn!("kept machine code does not load, the module is compiled: {error:#}");
            store.remove(name);
        })
        .ok()
}

fn keep(store: &Store, name: &str, module: &Module) {
    let kept = module
        .serialize()
        .map_err(|error| one_line(&error))
        .and_then(|code| store.write(name, &code).map_err(|error| error.to_string()));
    if let Err(error) = kept {
        tracing::warn!("machine code is not kept for the next start: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use portcullis_crypto::{hex, sha256};

    use super::*;

    const TEXT: &str = r#"(module (func (export "seven") (result i32) i32.const 7))"#;

    fn digest(bytes: &[u8]) -> String {
        hex(&sha256(bytes))
    }

    fn compile_one(engine: &Engine, bytes: &[u8], store: &Store) -> Result<Compiled, LoadError> {
        compile(engine, (bytes, &digest(bytes)), Some(store))
    }

    fn seven(module: &Module) -> i32 {
        let mut store = wasmtime::Store::new(module.engine(), ());
        let instance = wasmtime::Instance::new(&mut store, module, &[]).unwrap();
        let seven = instance.get_typed_func::<(), i32>(&mut store, "seven").unwrap();
        seven.call(&mut store, ()).unwrap()
    }

    #[test]
    fn what_was_compiled_once_is_loaded_and_does_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("code"), 1 << 30).unwrap();
        let bytes = wat::parse_str(TEXT).unwrap();
        let engine = Engine::default();
        let first = compile_one(&engine, &bytes, &store).unwrap();
        let second = compile_one(&Engine::default(), &bytes, &store).unwrap();
        assert_eq!((first.was_kept, second.was_kept), (false, true));
        assert_eq!((seven(&first.module), seven(&second.module)), (7, 7));
        let other = wat::parse_str("(module (func))").unwrap();
        assert!(!compile_one(&engine, &other, &store).unwrap().was_kept);
        let mut settings = wasmtime::Config::new();
        settings.epoch_interruption(true);
        let stricter = Engine::new(&settings).unwrap();
        assert!(!compile_one(&stricter, &bytes, &store).unwrap().was_kept);
    }

    #[test]
    fn flipped_or_foreign_code_is_never_run() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("code"), 1 << 30).unwrap();
        let bytes = wat::parse_str(TEXT).unwrap();
        let engine = Engine::default();
        compile_one(&engine, &bytes, &store).unwrap();
        let path = store.path(&name(&engine, &digest(&bytes)));
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(good.len() / 50) {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            let compiled = compile_one(&engine, &bytes, &store).unwrap();
            assert!(!compiled.was_kept);
            assert_eq!(seven(&compiled.module), 7);
        }
        // Whole, but none of ours: wasmtime refuses it, and it is replaced.
        store.write(&name(&engine, &digest(&bytes)), b"no machine code").unwrap();
        assert!(!compile_one(&engine, &bytes, &store).unwrap().was_kept);
        assert!(compile_one(&engine, &bytes, &store).unwrap().was_kept);
    }
}
