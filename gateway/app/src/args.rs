//! The command line. Every option has an environment variable `PORTCULLIS_<OPTION>`; a flag wins.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use portcullis_model::parse_duration;

use crate::compatibility::Compatibility;
use crate::locality::LocalityArgument;
use crate::memory::Bytes;
use crate::offline::OfflineArguments;
use crate::output::Output;
use crate::plugin_arguments::PluginCommand;
use crate::workload::WorkloadArguments;

/// An ingress gateway whose filters are WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "portcullis", disable_version_flag = true)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of this version.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway on a file or a directory of Kubernetes manifests, watched for changes.
    Serve(Box<ServeArguments>),
    /// Report every problem of a configuration at once; plugins are compiled and started once.
    Validate(ValidateArguments),
    /// Say where a request goes and why.
    Explain(ExplainArguments),
    /// Hold requests against what is expected of them: route, cluster, status; and say which rules none reaches.
    Test(TestArguments),
    /// Begin, build and look into plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print version, commit, features and engine version.
    Version,
}

/// `portcullis serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// A file or directory of manifests; may be repeated.
    #[arg(
        long,
        env = "PORTCULLIS_CONFIG",
        value_delimiter = ',',
        required = true,
        value_name = "PATH"
    )]
    pub config: Vec<PathBuf>,
    /// Bind another port than the resources say, as in 80=8080,443=8443; port 0 picks a free one.
    #[arg(long, env = "PORTCULLIS_PORT_MAP", value_delimiter = ',', value_name = "PORT=PORT")]
    pub port_map: Vec<PortMapping>,
    /// Address of the traffic listeners; may be repeated. Default: [::] dual-stack, 0.0.0.0 without IPv6.
    #[arg(long, env = "PORTCULLIS_BIND", value_delimiter = ',', value_name = "ADDR")]
    pub bind: Vec<IpAddr>,
    /// Worker threads. Default: the cores that the process may use.
    #[arg(long, env = "PORTCULLIS_WORKERS", value_name = "N")]
    pub workers: Option<std::num::NonZeroUsize>,
    /// Address of the health port, or `off`.
    #[arg(
        long,
        env = "PORTCULLIS_STATUS",
        default_value = "0.0.0.0:15021",
        value_name = "ADDR|off"
    )]
    pub status: Port,
    /// Address of the metrics port, or `off`.
    #[arg(
        long,
        env = "PORTCULLIS_METRICS",
        default_value = "0.0.0.0:15020",
        value_name = "ADDR|off"
    )]
    pub metrics: Port,
    /// Address of the admin port, or `off`.
    #[arg(
        long,
        env = "PORTCULLIS_ADMIN",
        default_value = "127.0.0.1:15000",
        value_name = "ADDR|off"
    )]
    pub admin: Port,
    /// What stands in front; `alb` trusts private networks where no --trusted-cidr is given.
    #[arg(long, env = "PORTCULLIS_TOPOLOGY", value_enum, default_value = "edge")]
    pub topology: Topology,
    /// A network whose X-Forwarded-* is believed; may be repeated.
    #[arg(long, env = "PORTCULLIS_TRUSTED_CIDR", value_delimiter = ',', value_name = "CIDR")]
    pub trusted_cidr: Vec<ipnet::IpNet>,
    /// How many trusted proxies stand in front.
    #[arg(long, env = "PORTCULLIS_TRUSTED_HOPS", default_value_t = 0, value_name = "N")]
    pub trusted_hops: usize,
    /// `verify` where every trusted peer is an ALB that verifies client certificates: they become
    /// X-Forwarded-Client-Cert.
    #[arg(long, env = "PORTCULLIS_ALB_MTLS", value_enum, default_value = "off")]
    pub alb_mtls: AlbMtls,
    /// A DNS server to ask, as ADDRESS or ADDRESS:PORT; may be repeated. Default: those of /etc/resolv.conf.
    #[arg(long, env = "PORTCULLIS_DNS_SERVER", value_delimiter = ',', value_name = "ADDR")]
    pub dns_server: Vec<DnsServer>,
    /// A network that is not the internet's to which a request's own host may lead (DYNAMIC_DNS); may be repeated.
    #[arg(long, env = "PORTCULLIS_DYNAMIC_DNS_ALLOW", value_delimiter = ',', value_name = "CIDR")]
    pub dynamic_dns_allow: Vec<ipnet::IpNet>,
    /// A network of this machine or its link (loopback, link-local, metadata) from which keys for tokens may be
    /// fetched nevertheless (`jwksUri`); may be repeated.
    #[arg(long, env = "PORTCULLIS_JWKS_ALLOW", value_delimiter = ',', value_name = "CIDR")]
    pub jwks_allow: Vec<ipnet::IpNet>,
    /// A file of PEM certificates that vouch for servers of keys for tokens, beside those of the operating system.
    #[arg(long, env = "PORTCULLIS_JWKS_CA", value_name = "FILE")]
    pub jwks_ca: Option<PathBuf>,
    /// Where this gateway runs, as REGION/ZONE/SUBZONE: nearer endpoints take its requests first, where a
    /// DestinationRule asks for that.
    #[arg(long, env = "PORTCULLIS_LOCALITY", value_name = "LOCALITY")]
    pub locality: Option<LocalityArgument>,
    /// What this gateway is in its cluster.
    #[command(flatten)]
    pub workload: WorkloadArguments,
    /// How long to go on accepting after SIGTERM.
    #[arg(long, env = "PORTCULLIS_DRAIN_DELAY", default_value = "30s", value_parser = parse_duration)]
    pub drain_delay: Duration,
    /// How long requests in flight may take after that.
    #[arg(long, env = "PORTCULLIS_DRAIN_TIMEOUT", default_value = "90s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
    /// How long the new process of a binary upgrade may take to become ready.
    #[arg(long, env = "PORTCULLIS_UPGRADE_TIMEOUT", default_value = "1m", value_parser = parse_duration)]
    pub upgrade_timeout: Duration,
    /// `off`, `text`, `json`, or a format of Envoy's operators.
    #[arg(
        long,
        env = "PORTCULLIS_ACCESS_LOG",
        default_value = "text",
        value_name = "off|text|json|FORMAT"
    )]
    pub access_log: String,
    /// Where the access log goes; `-` is standard output.
    #[arg(long, env = "PORTCULLIS_ACCESS_LOG_PATH", default_value = "-", value_name = "-|FILE")]
    pub access_log_path: PathBuf,
    /// Memory that the process may use, as in 512Mi. Default: its control group's limit, else the machine's memory.
    #[arg(long, env = "PORTCULLIS_MEMORY_LIMIT", value_name = "BYTES")]
    pub memory_limit: Option<Bytes>,
    /// A file of PEM certificates that vouch for servers of plugins, beside those of the operating system.
    #[arg(long, env = "PORTCULLIS_PLUGIN_CA", value_name = "FILE")]
    pub plugin_ca: Option<PathBuf>,
    /// A file of PEM public keys, one of which has to have signed each plugin's image; may be repeated.
    #[arg(long, env = "PORTCULLIS_PLUGIN_KEY", value_delimiter = ',', value_name = "FILE")]
    pub plugin_key: Vec<PathBuf>,
    /// Refuse plugins from the network that are not signed.
    #[arg(long, env = "PORTCULLIS_REQUIRE_SIGNED_PLUGINS")]
    pub require_signed_plugins: bool,
    /// A directory for what outlives a restart; made with mode 0700 where it is missing.
    #[arg(long, env = "PORTCULLIS_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Turn HTTP/3 on.
    #[arg(long, env = "PORTCULLIS_HTTP3")]
    pub http3: bool,
    /// Responses carry x-portcullis-generation, -route, -cluster and -upstream.
    #[arg(long, env = "PORTCULLIS_DEBUG_HEADERS")]
    pub debug_headers: bool,
    /// Behave as another gateway where ours is safer.
    #[arg(long, env = "PORTCULLIS_COMPAT", value_enum)]
    pub compat: Option<Compatibility>,
    /// Written when ready: JSON with every bound address by name.
    #[arg(long, env = "PORTCULLIS_READY_FILE", value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// The program's own log, on standard error, from this level on.
    #[arg(long, env = "PORTCULLIS_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
}

/// `portcullis validate`
#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    /// Files and directories of manifests, taken together.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The gateway's directory for what outlives a restart: plugins that it has pulled are checked too.
    #[arg(long, env = "PORTCULLIS_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How to report.
    #[arg(long, env = "PORTCULLIS_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
    /// What this gateway is in its cluster.
    #[command(flatten)]
    pub workload: WorkloadArguments,
}

/// `portcullis explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Which configuration.
    #[command(flatten)]
    pub configuration: OfflineArguments,
    /// `[METHOD] URL`; the method is GET unless given.
    #[arg(required = true, num_args = 1..=2, value_name = "[METHOD] URL")]
    pub request: Vec<String>,
    /// A header field, as in `name: value`; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The client's address, for what is decided by it.
    #[arg(long, value_name = "ADDR")]
    pub client: Option<IpAddr>,
    /// How to report.
    #[arg(long, env = "PORTCULLIS_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// `portcullis test`
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Which configuration.
    #[command(flatten)]
    pub configuration: OfflineArguments,
    /// Files of route tests.
    #[arg(required = true, value_name = "CASES")]
    pub cases: Vec<PathBuf>,
    /// Fail where the cases reach less than this percentage of the rules.
    #[arg(
        long,
        env = "PORTCULLIS_MIN_COVERAGE",
        value_name = "PERCENT",
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub min_coverage: Option<u8>,
    /// How to report.
    #[arg(long, env = "PORTCULLIS_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// What stands in front of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Topology {
    /// Nothing, or what `--trusted-cidr` and `--trusted-hops` say.
    Edge,
    /// An AWS Application Load Balancer: private networks are trusted unless `--trusted-cidr` names others.
    Alb,
}

/// What ALBs do with client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlbMtls {
    /// Nothing that counts here.
    Off,
    /// They authenticate every client, in the mode verify.
    Verify,
}

impl From<AlbMtls> for portcullis_proxy::AlbMtls {
    fn from(mode: AlbMtls) -> Self {
        match mode {
            AlbMtls::Off => portcullis_proxy::AlbMtls::Off,
            AlbMtls::Verify => portcullis_proxy::AlbMtls::Verify,
        }
    }
}

/// One entry of `--port-map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortMapping {
    /// The port of the resources.
    pub resource: u16,
    /// The port to bind.
    pub bound: u16,
}

impl FromStr for PortMapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(resource, bound)| {
            Some(PortMapping {
                resource: resource.trim().parse().ok()?,
                bound: bound.trim().parse().ok()?,
            })
        });
        parts.ok_or_else(|| format!("`{text}` is not PORT=PORT, as in 80=8080"))
    }
}

/// An address to listen on, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// Not served.
    Off,
    /// Served here; port 0 picks a free one.
    On(SocketAddr),
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Port::Off);
        }
        text.parse()
            .map(Port::On)
            .map_err(|_| format!("`{text}` is neither ADDRESS:PORT nor `off`"))
    }
}

/// An address of `--dns-server`, on port 53 unless it names another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DnsServer(pub SocketAddr);

impl FromStr for DnsServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
        address
            .or_else(|_| text.parse())
            .map(DnsServer)
            .map_err(|_| format!("`{text}` is neither an address nor ADDRESS:PORT"))
    }
}

impl ServeArguments {
    /// What may be asked for but this version does not do yet, said instead of ignored.
    pub(crate) fn unserved(&self) -> Option<&'static str> {
        if self.http3 {
            return Some("--http3 is not built yet; leave it out, HTTP/1.1 and HTTP/2 are served");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(arguments: &[&str]) -> Result<Box<ServeArguments>, String> {
        let all = ["portcullis", "serve"].iter().chain(arguments).copied();
        match Arguments::try_parse_from(all).map_err(|error| error.to_string())?.command {
            Command::Serve(serve) => Ok(serve),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_interface() {
        let serve = serve(&["--config", "x"]).unwrap();
        assert_eq!(serve.status, Port::On("0.0.0.0:15021".parse().unwrap()));
        assert_eq!(serve.drain_delay, Duration::from_secs(30));
        assert_eq!(serve.access_log, "text");
        assert!(serve.unserved().is_none());
    }

    #[test]
    fn lists_take_commas_and_repeats() {
        let serve = serve(&[
            "--config",
            "a,b",
            "--config",
            "c",
            "--port-map",
            "80=0,443=8443",
            "--admin",
            "off",
        ])
        .unwrap();
        assert_eq!(serve.config.len(), 3);
        assert_eq!(serve.port_map.get(1), Some(&PortMapping { resource: 443, bound: 8443 }));
        assert_eq!(serve.admin, Port::Off);
        let serve = self::serve(&["--config", "x", "--dns-server", "::1,10.0.0.2:5353"]).unwrap();
        let servers: Vec<_> = serve.dns_server.iter().map(|server| server.0.to_string()).collect();
        assert_eq!(servers, ["[::1]:53", "10.0.0.2:5353"]);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert!(serve(&[]).unwrap_err().contains("--config"));
        assert!(serve(&["--config", "x", "--port-map", "80"]).unwrap_err().contains("80=8080"));
        assert!(serve(&["--config", "x", "--drain-delay", "soon"]).is_err());
        assert!(serve(&["--config", "x", "--http3"]).unwrap().unserved().is_some());
        assert!(serve(&["--config", "x", "--compat", "nginx"]).is_err());
        assert!(serve(&["--config", "x", "--dns-server", "dns.example"]).is_err());
    }
}
