//! How the options say that plugins are got, checked and kept.

use std::path::Path;
use std::sync::Arc;

use portcullis_crypto::PublicKey;
use portcullis_snapshot::{News, PluginHost};
use portcullis_store::Store;
use portcullis_supply::{Supply, SupplySettings, UnsignedModules, system_bundle};
use portcullis_telemetry::Registry;
use portcullis_wasm::Engine;

use crate::args::ServeArguments;
use crate::builtin::builtin;
use crate::command_error::CommandError;

/// All machine code that is kept, in bytes.
const MOST_MACHINE_CODE: u64 = 2 << 30;

/// What brings plugins up for serving.
pub(crate) fn plugin_host(
    arguments: &ServeArguments,
    registry: &Arc<Registry>,
    workers: usize,
    news: News,
) -> Result<PluginHost, CommandError> {
    let engine = engine(arguments.state_dir.as_deref())?;
    let settings = SupplySettings {
        state_dir: arguments.state_dir.clone(),
        authorities: authorities("--plugin-ca", arguments.plugin_ca.as_deref())?,
        keys: keys(&arguments.plugin_key)?,
        unsigned: match arguments.require_signed_plugins {
            true => UnsignedModules::Refused,
            false => UnsignedModules::Allowed,
        },
    };
    let supply = supply(settings, registry)?;
    let host = PluginHost::new(engine, registry.clone(), builtin, workers);
    Ok(host.serving(supply, news))
}

/// What looks whether plugins would come up, each on one imagined worker. It fetches nothing.
pub(crate) fn checking_host(
    state_dir: Option<&Path>,
    registry: &Arc<Registry>,
) -> Result<PluginHost, CommandError> {
    let engine = engine(state_dir)?;
    let settings =
        SupplySettings { state_dir: state_dir.map(Path::to_owned), ..SupplySettings::default() };
    let supply = supply(settings, registry)?;
    Ok(PluginHost::new(engine, registry.clone(), builtin, 1).with_kept(supply))
}

fn engine(state_dir: Option<&Path>) -> Result<Arc<Engine>, CommandError> {
    let engine = Engine::new()
        .map_err(|error| CommandError::failure("the Wasm engine does not start", error))?;
    if let Some(directory) = state_dir {
        match Store::open(&directory.join("machine-code"), MOST_MACHINE_CODE) {
            Ok(store) => engine.keep_machine_code(store),
            Err(error) => tracing::warn!("machine code of plugins is not kept: {error}"),
        }
    }
    Ok(engine)
}

fn supply(settings: SupplySettings, registry: &Arc<Registry>) -> Result<Arc<Supply>, CommandError> {
    Supply::new(settings, registry.plugin_supply_counts().clone())
        .map_err(|error| CommandError::failure("modules cannot be fetched", error))
}

/// Those of the operating system, and those of an option.
pub(crate) fn authorities(option: &str, own: Option<&Path>) -> Result<Vec<u8>, CommandError> {
    let mut bundle = system_bundle();
    if let Some(path) = own {
        bundle.push(b'\n');
        bundle.extend(read(option, path)?);
    }
    Ok(bundle)
}

fn keys(paths: &[std::path::PathBuf]) -> Result<Vec<PublicKey>, CommandError> {
    let mut keys = Vec::new();
    for path in paths {
        let read = PublicKey::all_from_pem(&read("--plugin-key", path)?);
        keys.extend(read.map_err(|_| {
            let path = path.display();
            CommandError::Usage(format!("--plugin-key {path}: this is no PEM of public keys"))
        })?);
    }
    Ok(keys)
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, CommandError> {
    std::fs::read(path)
        .map_err(|error| CommandError::Usage(format!("{option} {}: {error}", path.display())))
}
