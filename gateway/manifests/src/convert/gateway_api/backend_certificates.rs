//! The certificate that a Gateway shows to backends: what it routes to over TLS is reached by clusters of its own.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_crypto::Credential;
use portcullis_model::{
    Action, ClientTls, Cluster, ClusterName, Listener, Mesh, ObjectId, Rule, TcpRule, UpstreamTls,
    VirtualHost,
};

use super::super::clusters::Clusters;
use super::super::findings::Findings;
use super::super::open::OpenGateway;
use super::super::upstream_tls::UpstreamCredentials;
use super::parents::Parents;

/// The certificates of the Gateways that name one; the reason where it cannot be had.
pub(in crate::convert) struct BackendCertificates {
    by_gateway: HashMap<ObjectId, Result<Credential, Arc<str>>>,
}

impl BackendCertificates {
    /// Finds what Gateways name.
    pub(in crate::convert) fn find(
        parents: &Parents,
        credentials: &mut UpstreamCredentials<'_>,
        findings: &mut Findings,
    ) -> Self {
        let mut by_gateway = HashMap::new();
        for parent in parents.iter() {
            let found = match &parent.certificate {
                None => continue,
                Some(Err(refusal)) => Err(refusal.message.as_str().into()),
                Some(Ok(named)) => credentials.certificate(&parent.id, named, findings),
            };
            by_gateway.insert(parent.id.clone(), found);
        }
        BackendCertificates { by_gateway }
    }

    /// Leads what the listeners of those Gateways route over TLS to clusters that show the certificate.
    pub(in crate::convert) fn show(
        &self,
        gateways: &[OpenGateway],
        listeners: &mut [(usize, Listener)],
        clusters: &mut Clusters,
    ) {
        for (index, open) in gateways.iter().enumerate() {
            let gateway = &open.gateway.metadata.id;
            let Some(certificate) = self.by_gateway.get(gateway) else { continue };
            let mut leads = Leads { gateway, certificate, clusters, changed: HashMap::new() };
            let own = listeners.iter_mut().filter(|(place, _)| *place == index);
            own.for_each(|(_, listener)| leads.change_listener(listener));
        }
    }
}

/// Leads the rules of one Gateway elsewhere.
struct Leads<'l> {
    gateway: &'l ObjectId,
    certificate: &'l Result<Credential, Arc<str>>,
    clusters: &'l mut Clusters,
    /// By the place in memory of a rule, which several hosts and listeners share; the rule is kept, so that its place is.
    changed: HashMap<*const Rule, (Arc<Rule>, Arc<Rule>)>,
}

impl Leads<'_> {
    fn change_listener(&mut self, listener: &mut Listener) {
        listener.virtual_hosts.replace(|host| {
            let rules = host.rules.iter().map(|rule| self.changed(rule)).collect();
            Some(VirtualHost { host: host.host.clone(), rules }.into())
        });
        for route in &mut listener.tcp_routes {
            self.change_connections(&mut route.rule);
        }
    }

    fn changed(&mut self, rule: &Arc<Rule>) -> Arc<Rule> {
        if let Some((_, known)) = self.changed.get(&Arc::as_ptr(rule)) {
            return known.clone();
        }
        let mut new = Rule::clone(rule);
        if let Action::Forward { destinations, .. } = &mut new.action {
            destinations.iter_mut().for_each(|destination| self.change(&mut destination.cluster));
        }
        new.mirrors.iter_mut().for_each(|mirror| self.change(&mut mirror.cluster));
        let new = if new == **rule { rule.clone() } else { Arc::new(new) };
        self.changed.insert(Arc::as_ptr(rule), (rule.clone(), new.clone()));
        new
    }

    fn change_connections(&mut self, rule: &mut Arc<TcpRule>) {
        let mut new = TcpRule::clone(rule);
        new.destinations.iter_mut().for_each(|destination| self.change(&mut destination.cluster));
        if new != **rule {
            *rule = Arc::new(new);
        }
    }

    /// Only TLS that shows no certificate yet shows this one: what a DestinationRule says for a backend comes first.
    fn change(&mut self, name: &mut ClusterName) {
        let Some(cluster) = self.clusters.get(name) else { return };
        let UpstreamTls::Client(tls) = &cluster.tls else { return };
        if tls.credential.is_some() || tls.mesh == Mesh::Sidecar {
            return;
        }
        let tls = match self.certificate {
            Ok(own) => {
                let credential = Some(own.clone());
                UpstreamTls::Client(Arc::new(ClientTls { credential, ..ClientTls::clone(tls) }))
            }
            Err(why) => UpstreamTls::Broken(why.clone()),
        };
        let ObjectId { namespace, name: gateway, .. } = self.gateway;
        let subset = format!("{}@{namespace}/{gateway}", name.subset).into();
        let own = ClusterName { subset, ..name.clone() };
        let cluster = Cluster { name: own.clone(), tls, ..Cluster::clone(cluster) };
        self.clusters.entry(own.clone()).or_insert_with(|| Arc::new(cluster));
        *name = own;
    }
}
