//! Why a plugin did not come up, as a problem that says what to do.

use portcullis_model::{Code, FailStrategy, Plugin as Settings, Problem, Severity};
use portcullis_supply::SupplyError;
use portcullis_wasm::LoadError;

/// Why a plugin did not come up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// Its file cannot be read.
    Unreadable(String),
    /// There is no shipped plugin of this name.
    NoBuiltin(String),
    /// Its file is another one.
    Digest { wanted: String, found: String },
    /// It cannot be fetched.
    Supply(SupplyError),
    /// It cannot be compiled, linked or started.
    Load(LoadError),
    /// Nothing is wrong yet: it is on its way.
    OnItsWay,
    /// The system gives no thread for it.
    NoThread(String),
}

/// What serves meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// The last good version.
    LastGood,
    /// Nothing: the fail strategy answers.
    Nothing,
}

/// The problem of a plugin object.
pub(crate) fn problem(settings: &Settings, failure: &Failure, meanwhile: Meanwhile) -> Problem {
    let told = told(failure);
    let consequence = match (meanwhile, settings.fail_strategy) {
        (Meanwhile::LastGood, _) => "the last good version serves on",
        (Meanwhile::Nothing, FailStrategy::Close) => {
            "until then its requests are refused with 503 (failStrategy FAIL_CLOSE)"
        }
        (Meanwhile::Nothing, FailStrategy::Open) => {
            "until then its requests pass without it (failStrategy FAIL_OPEN)"
        }
    };
    let severity = match failure {
        Failure::OnItsWay | Failure::Supply(SupplyError::NotCached) => Severity::Warning,
        _ => Severity::Error,
    };
    Problem {
        code: Code(told.code),
        severity,
        object: Some(settings.id.clone()),
        field: told.field.to_owned(),
        origin: settings.origin.clone(),
        message: format!("{} ({})", told.message, settings.module),
        help: format!("{}; {consequence}", told.help),
    }
}

struct Told {
    code: &'static str,
    field: &'static str,
    message: String,
    help: &'static str,
}

fn told(failure: &Failure) -> Told {
    let url = |code, message, help| Told { code, field: "spec.url", message, help };
    match failure {
        Failure::Unreadable(error) => url(
            "PC0401",
            format!("the module cannot be read: {error}"),
            "put the module there, or correct the url; a relative path starts at the manifest's directory",
        ),
        Failure::NoBuiltin(name) => url(
            "PC0402",
            format!("there is no shipped plugin `{name}`"),
            "the shipped plugins are `builtin:jwt-auth` and `builtin:telemetry`",
        ),
        Failure::Digest { wanted, found } => Told {
            field: "spec.sha256",
            ..url(
                "PC0403",
                format!("the module's SHA-256 is {found}, not {wanted}"),
                "correct sha256, or find out who changed the module",
            )
        },
        Failure::OnItsWay => url(
            "PC0407",
            "the module is still being fetched, compiled or started".to_owned(),
            "a further generation has it",
        ),
        Failure::NoThread(error) => url(
            "PC0404",
            format!("there is no thread to start it on: {error}"),
            "raise the limit of threads and reload",
        ),
        Failure::Supply(error) => supply_told(error),
        Failure::Load(error) => load_told(error),
    }
}

fn supply_told(error: &SupplyError) -> Told {
    let told = |code, field, help| Told { code, field, message: error.to_string(), help };
    match error {
        SupplyError::NotCached => told(
            "PC0411",
            "spec.url",
            "give --state-dir where the gateway has pulled it already, or try it in a gateway",
        ),
        SupplyError::Digest { .. } => told(
            "PC0403",
            "spec.sha256",
            "correct the digest, or find out who changed the module; it is tried again",
        ),
        SupplyError::Signature(_) => told(
            "PC0409",
            "spec.verificationKey",
            "sign the image with `cosign sign --key`, or correct the key; it is tried again",
        ),
        _ => {
            let mut told = told(
                "PC0408",
                "spec.url",
                "correct the url, `imagePullSecret` or --plugin-ca, or have the server answer; it is tried again",
            );
            told.message = format!("the module cannot be fetched: {error}");
            told
        }
    }
}

fn load_told(error: &LoadError) -> Told {
    let told = |code, field, help| Told { code, field, message: error.to_string(), help };
    match error {
        LoadError::Import { .. } => told(
            "PC0405",
            "spec.url",
            "build the module against Proxy-Wasm 0.1.0, 0.2.0 or 0.2.1, without host functions of another host",
        ),
        LoadError::Refused { .. } => told(
            "PC0406",
            "spec.pluginConfig",
            "correct pluginConfig; the plugin's own words are above",
        ),
        LoadError::Capabilities { .. } => told(
            "PC0410",
            "metadata.annotations[portcullis.dev/capabilities]",
            "grant what the module needs, or build it with a manifest that asks for less",
        ),
        LoadError::Isolation { .. } => told(
            "PC0404",
            "metadata.annotations[portcullis.dev/isolation]",
            "write `worker`, or change what stands in the way",
        ),
        _ => told(
            "PC0404",
            "spec.url",
            "build the module anew for wasm32-wasip1 or wasm32-unknown-unknown with a Proxy-Wasm SDK",
        ),
    }
}
