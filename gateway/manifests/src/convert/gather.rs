//! Reading every object, with quarantine: a broken one is replaced by its last good version.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_model::{ObjectId, Origin, PluginModule, Problem};

use super::expression_budget::beyond_budget;
use super::findings::{Findings, Spot};
use crate::codes;
use crate::draft::{Draft, DraftFile};
use crate::kinds::{
    ApiGateway, AuthorizationPolicy, BackendTlsPolicy, ConfigMap, DestinationRule, EdgePolicy,
    EndpointSlice, Gateway, GatewayClass, HttpRoute, Ingress, IngressClass, ListenerSet, Namespace,
    Object, Protection, ReferenceGrant, RequestAuthentication, Secret, Service, ServiceEntry,
    StreamRoute, Telemetry, VirtualService, WasmPlugin, WorkloadEntry, fail_closed,
    protecting_group,
};
use crate::last_good::LastGood;
use crate::read_document::ReadObject;
use crate::report::Reported;

/// The objects that the model is made of, each kind in creation order.
#[derive(Default)]
pub(crate) struct Objects {
    pub(crate) gateways: Vec<Arc<Gateway>>,
    pub(crate) virtual_services: Vec<Arc<VirtualService>>,
    pub(crate) destination_rules: Vec<Arc<DestinationRule>>,
    pub(crate) service_entries: Vec<Arc<ServiceEntry>>,
    pub(crate) workload_entries: Vec<Arc<WorkloadEntry>>,
    pub(crate) services: Vec<Arc<Service>>,
    pub(crate) endpoint_slices: Vec<Arc<EndpointSlice>>,
    pub(crate) secrets: Vec<Arc<Secret>>,
    pub(crate) plugins: Vec<Arc<WasmPlugin>>,
    pub(crate) protections: Vec<Arc<Protection>>,
    pub(crate) authorization_policies: Vec<Arc<AuthorizationPolicy>>,
    pub(crate) request_authentications: Vec<Arc<RequestAuthentication>>,
    pub(crate) edge_policies: Vec<Arc<EdgePolicy>>,
    pub(crate) telemetries: Vec<Arc<Telemetry>>,
    pub(crate) namespaces: Vec<Arc<Namespace>>,
    pub(crate) config_maps: Vec<Arc<ConfigMap>>,
    pub(crate) gateway_classes: Vec<Arc<GatewayClass>>,
    pub(crate) api_gateways: Vec<Arc<ApiGateway>>,
    pub(crate) listener_sets: Vec<Arc<ListenerSet>>,
    pub(crate) reference_grants: Vec<Arc<ReferenceGrant>>,
    pub(crate) http_routes: Vec<Arc<HttpRoute>>,
    pub(crate) stream_routes: Vec<Arc<StreamRoute>>,
    pub(crate) backend_tls_policies: Vec<Arc<BackendTlsPolicy>>,
    pub(crate) ingresses: Vec<Arc<Ingress>>,
    pub(crate) ingress_classes: Vec<Arc<IngressClass>>,
    /// What is written but could not be used, so that others do not call it missing.
    pub(crate) broken: HashSet<ObjectId>,
}

/// Reads a draft. What could be used is kept for the next time.
pub(crate) fn gather(
    draft: &Draft,
    last_good: &LastGood,
    next: &mut LastGood,
    findings: &mut Findings,
) -> Objects {
    let beyond = beyond_budget(draft, last_good, next);
    let (seen, objects) = (HashMap::new(), Objects::default());
    let mut gathering = Gathering { last_good, next, findings, beyond, seen, objects };
    let mut hiding = HashSet::new();
    for file in draft.files() {
        gathering.findings.extend(file.faults().flat_map(|fault| &fault.problems).cloned());
        let mut hides = file.faults().next().is_some();
        for read in file.objects() {
            hides |= gathering.take(&file.source.path, read) == Taken::Lost;
        }
        if hides {
            hiding.insert(&file.source.path);
        }
    }
    gathering.restore(draft, &hiding);
    let mut objects = gathering.objects;
    objects.sort();
    objects
}

/// What became of an object.
#[derive(PartialEq, Eq)]
enum Taken {
    /// It or its last good version is used, or it is of no use here.
    Dealt,
    /// It is broken and was never good under this identity, so it may be another object misspelt.
    Lost,
}

struct Gathering<'g> {
    last_good: &'g LastGood,
    next: &'g mut LastGood,
    findings: &'g mut Findings,
    /// Those whose expressions take too much.
    beyond: HashMap<&'g ObjectId, Problem>,
    seen: HashMap<&'g ObjectId, &'g Origin>,
    objects: Objects,
}

impl<'g> Gathering<'g> {
    fn take(&mut self, file: &Arc<str>, read: &'g ReadObject) -> Taken {
        if read.is_served && read.is_named {
            if let Some(first) = self.seen.get(&read.id) {
                let message = format!("{} is written twice; the first stands at {first}", read.id);
                let spot = Spot { object: &read.id, field: String::new(), origin: &read.origin };
                let help = "rename or remove one of them; the first serves";
                self.findings.error(codes::DUPLICATE_OBJECT, spot, message, help);
                return Taken::Dealt;
            }
            self.seen.insert(&read.id, &read.origin);
        }
        if read.reported.is_broken {
            return self.take_broken(file, read, &read.reported);
        }
        if let Some(problem) = self.beyond.remove(&read.id) {
            let problems = read.reported.problems.iter().cloned().chain([problem]).collect();
            let reported = Reported { problems, is_broken: true, expressions: None };
            return self.take_broken(file, read, &reported);
        }
        self.findings.extend(read.reported.problems.iter().cloned());
        if let Some(object) = &read.object {
            self.keep(&read.id, object, file);
        }
        Taken::Dealt
    }

    fn take_broken(&mut self, file: &Arc<str>, read: &ReadObject, reported: &Reported) -> Taken {
        let ReadObject { id, object, origin, .. } = read;
        let reason = reported.first_error().unwrap_or_default();
        let kept = self.last_good.object(id).filter(|_| read.is_served);
        let (consequence, taken) = match (kept, object) {
            (Some(kept), _) => {
                self.keep(id, &kept.object, file);
                ("until then its last good version serves on", Taken::Dealt)
            }
            (None, Some(Object::WasmPlugin(plugin))) => {
                let module = PluginModule::Broken(reason);
                self.objects.plugins.push(Arc::new(WasmPlugin { module, ..(**plugin).clone() }));
                ("until then its failStrategy answers the requests that it covers", Taken::Lost)
            }
            (None, Some(Object::AuthorizationPolicy(object))) if !object.enforces() => {
                ("until then the object is left out; it would refuse nothing", Taken::Lost)
            }
            (None, Some(Object::AuthorizationPolicy(object))) => {
                let (metadata, coverage) = (object.metadata.clone(), object.coverage.clone());
                self.objects.protections.push(Arc::new(Protection { metadata, coverage }));
                ("until then the requests that it covers are refused", Taken::Lost)
            }
            (None, Some(Object::RequestAuthentication(object))) => {
                let (metadata, coverage) = (object.metadata.clone(), object.coverage.clone());
                self.objects.protections.push(Arc::new(Protection { metadata, coverage }));
                ("until then the requests that it covers are refused", Taken::Lost)
            }
            (None, Some(object @ Object::Protection(_))) => {
                self.objects.push(object.clone());
                ("until then the requests that it covers are refused", Taken::Lost)
            }
            (None, Some(Object::DestinationRule(rule))) if rule.demands_tls() => {
                self.objects.destination_rules.push(Arc::new(rule.tls_alone()));
                ("until then its hosts get no requests in plain text: 503", Taken::Lost)
            }
            (None, Some(Object::BackendTlsPolicy(policy))) => {
                self.objects.push(Object::BackendTlsPolicy(policy.unreadable().into()));
                ("until then its Services get no requests in plain text: 503", Taken::Lost)
            }
            (None, Some(Object::EdgePolicy(policy))) if policy.limits_rate => {
                self.objects.push(Object::EdgePolicy(policy.closed().into()));
                ("until then the requests that it limits are refused with 503", Taken::Lost)
            }
            _ => match fail_closed(&read.group, id, origin, reason) {
                Some(object) => {
                    self.objects.push(object);
                    ("until then every Gateway's requests are refused", Taken::Lost)
                }
                None => ("until then the object is left out", Taken::Lost),
            },
        };
        self.objects.broken.insert(id.clone());
        self.findings.extend(reported.problems_with(consequence));
        taken
    }

    fn keep(&mut self, id: &ObjectId, object: &Object, file: &Arc<str>) {
        self.objects.push(object.clone());
        self.next.keep(id.clone(), object.clone(), file.clone());
    }

    /// Brings back the last good objects that a file may be hiding behind what could not be read, and lets
    /// plugins fail closed that never were good.
    fn restore(&mut self, draft: &'g Draft, hiding: &HashSet<&Arc<str>>) {
        let faults = draft.files().flat_map(DraftFile::faults);
        let guesses = faults.filter_map(|fault| fault.object.as_ref());
        for (id, origin) in guesses {
            if self.seen.contains_key(id) {
                continue;
            }
            self.seen.insert(id, origin);
            self.objects.broken.insert(id.clone());
            if let Some(kept) = self.last_good.object(id) {
                self.keep(id, &kept.object, &kept.file);
            } else {
                let reason = "its manifest is not valid YAML".to_owned();
                let closed = fail_closed(protecting_group(&id.kind), id, origin, reason);
                closed.into_iter().for_each(|object| self.objects.push(object));
            }
        }
        if hiding.is_empty() {
            return;
        }
        for (id, kept) in self.last_good.objects() {
            if hiding.contains(&kept.file) && !self.seen.contains_key(id) {
                self.keep(id, &kept.object, &kept.file);
            }
        }
    }
}

impl Objects {
    fn push(&mut self, object: Object) {
        match object {
            Object::Gateway(object) => self.gateways.push(object),
            Object::VirtualService(object) => self.virtual_services.push(object),
            Object::DestinationRule(object) => self.destination_rules.push(object),
            Object::ServiceEntry(object) => self.service_entries.push(object),
            Object::WorkloadEntry(object) => self.workload_entries.push(object),
            Object::Service(object) => self.services.push(object),
            Object::EndpointSlice(object) => self.endpoint_slices.push(object),
            Object::Secret(object) => self.secrets.push(object),
            Object::WasmPlugin(object) => self.plugins.push(object),
            Object::Protection(object) => self.protections.push(object),
            Object::AuthorizationPolicy(object) => self.authorization_policies.push(object),
            Object::RequestAuthentication(object) => self.request_authentications.push(object),
            Object::EdgePolicy(object) => self.edge_policies.push(object),
            Object::Telemetry(object) => self.telemetries.push(object),
            Object::Namespace(object) => self.namespaces.push(object),
            Object::ConfigMap(object) => self.config_maps.push(object),
            Object::GatewayClass(object) => self.gateway_classes.push(object),
            Object::ApiGateway(object) => self.api_gateways.push(object),
            Object::ListenerSet(object) => self.listener_sets.push(object),
            Object::HttpRoute(object) => self.http_routes.push(object),
            Object::ReferenceGrant(object) => self.reference_grants.push(object),
            Object::StreamRoute(object) => self.stream_routes.push(object),
            Object::BackendTlsPolicy(object) => self.backend_tls_policies.push(object),
            Object::Ingress(object) => self.ingresses.push(object),
            Object::IngressClass(object) => self.ingress_classes.push(object),
        }
    }

    fn sort(&mut self) {
        self.gateways.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.virtual_services.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.destination_rules.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.service_entries.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.workload_entries.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.services.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.endpoint_slices.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.plugins.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.authorization_policies.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.request_authentications.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.protections.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.edge_policies.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.telemetries.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.api_gateways.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.http_routes.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.listener_sets.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.stream_routes.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
        self.ingresses.sort_by(|a, b| a.metadata.created.cmp(&b.metadata.created));
    }
}
