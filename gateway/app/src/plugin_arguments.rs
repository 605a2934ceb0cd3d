//! `portcullis plugin …`: what authors of plugins write on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use portcullis_authoring::Template;

use crate::output::Output;

/// What to do with a plugin.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a filter's project in ./NAME.
    New(NewArguments),
    /// Compile the project to a module: ./target/portcullis/NAME.wasm.
    Build(BuildArguments),
    /// Serve the project on an example, built anew whenever something is saved.
    Dev(DevArguments),
    /// Send the cases of tests/*.yaml through the plugin, in this gateway or an Envoy.
    Test(PluginTestArguments),
    /// Measure what each callback costs, and how that has changed since the last run.
    Bench(BenchArguments),
    /// Say what a module is, what it needs, and whether the gateway would take it.
    Inspect(InspectArguments),
    /// Push a module to a registry, signed, and print the manifest that has it served.
    Push(PushArguments),
}

/// `portcullis plugin new`
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The plugin's name, a plain crate name; never a path.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it begins with.
    #[arg(long, value_enum, default_value = "blank")]
    pub template: TemplateArgument,
}

/// `portcullis plugin build`
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The project's folder.
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
}

/// `portcullis plugin dev`
#[derive(Debug, Args)]
pub(crate) struct DevArguments {
    /// The project's folder.
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// The port on loopback; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
}

/// `portcullis plugin test`
#[derive(Debug, Args)]
pub(crate) struct PluginTestArguments {
    /// The project's folder; it is built first.
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// A suite; may be repeated. Default: PATH/tests/*.yaml.
    #[arg(long, value_name = "FILE")]
    pub suite: Vec<PathBuf>,
    /// A module that is there already, of whatever language; nothing is built.
    #[arg(long, value_name = "FILE.wasm")]
    pub module: Option<PathBuf>,
    /// Refuse what Envoy refuses, so that what passes here runs in Istio.
    #[arg(long)]
    pub envoy_strict: bool,
    /// Run in this Envoy instead (the program itself).
    #[arg(long, value_name = "PROGRAM", conflicts_with = "envoy_strict")]
    pub envoy: Option<PathBuf>,
    /// How to say it.
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `portcullis plugin bench`
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// The project's folder; it is built first. The first case of its tests/*.yaml is sent, else an exchange of 11 headers
    /// and small bodies.
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// A module that is there already, of whatever language; nothing is built.
    #[arg(long, value_name = "FILE.wasm")]
    pub module: Option<PathBuf>,
    /// How to say it.
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `portcullis plugin inspect`
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// The module.
    #[arg(value_name = "FILE.wasm")]
    pub module: PathBuf,
    /// How to say it.
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `portcullis plugin push`
#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// The module.
    #[arg(value_name = "FILE.wasm")]
    pub module: PathBuf,
    /// Where to. Name and password are those of `docker login`, or PORTCULLIS_REGISTRY_USER and
    /// PORTCULLIS_REGISTRY_PASSWORD.
    #[arg(value_name = "oci://REGISTRY/REPOSITORY:TAG")]
    pub destination: String,
    /// Sign by this private key (ECDSA on P-256 or Ed25519, in PEM).
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Who vouches for the registry besides those whom the system trusts, in PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub registry_ca: Option<PathBuf>,
    /// Speak HTTP without TLS, to a registry on this machine.
    #[arg(long)]
    pub insecure: bool,
}

/// The templates by their names.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TemplateArgument {
    /// A filter that lets everything pass.
    Blank,
    /// Headers of requests and responses, by configuration.
    Header,
    /// Requests refused without a key.
    Auth,
    /// Bodies read and replaced.
    Body,
    /// Another service asked before a request goes on.
    Callout,
}

impl From<TemplateArgument> for Template {
    fn from(template: TemplateArgument) -> Self {
        match template {
            TemplateArgument::Blank => Template::Blank,
            TemplateArgument::Header => Template::Header,
            TemplateArgument::Auth => Template::Auth,
            TemplateArgument::Body => Template::Body,
            TemplateArgument::Callout => Template::Callout,
        }
    }
}
