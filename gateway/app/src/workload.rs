//! What the gateway is as a workload of a cluster: `--namespace`, `--label` and `--mesh-certificates`.

use std::path::PathBuf;

use clap::Args;

use crate::locality::LabelArgument;

/// As written.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WorkloadArguments {
    /// The namespace that this gateway runs in, whose policies and plugins may select it. Default: that of the variable
    /// POD_NAMESPACE; without either that of each Gateway counts.
    #[arg(long, env = "PORTCULLIS_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// A label of this gateway, which `failoverPriority` compares with those of endpoints; may be repeated.
    #[arg(long, env = "PORTCULLIS_LABEL", value_delimiter = ',', value_name = "KEY=VALUE")]
    pub label: Vec<LabelArgument>,
    /// The directory with cert-chain.pem, key.pem and root-cert.pem, for servers of the mode ISTIO_MUTUAL.
    #[arg(
        long,
        env = "PORTCULLIS_MESH_CERTIFICATES",
        default_value = "/etc/certs",
        value_name = "DIR"
    )]
    pub mesh_certificates: PathBuf,
}

/// The gateway's namespace, labels and certificates in the mesh.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workload {
    /// Where it is known.
    pub namespace: Option<String>,
    pub labels: Vec<(String, String)>,
    /// The directory of its certificates in the mesh.
    pub mesh_certificates: PathBuf,
}

impl WorkloadArguments {
    /// With what the environment says.
    pub(crate) fn workload(&self) -> Workload {
        let of_pod = || std::env::var("POD_NAMESPACE").ok();
        let namespace = self.namespace.clone().or_else(of_pod);
        Workload {
            namespace: namespace.filter(|namespace| !namespace.is_empty()),
            labels: self.label.iter().map(LabelArgument::pair).collect(),
            mesh_certificates: self.mesh_certificates.clone(),
        }
    }
}
