//! The kinds: one file each, from the object as written to a typed one.

mod access_condition;
mod access_rule;
mod access_values;
mod authorization_policy;
mod claim_name;
mod config_map;
mod connection_pool;
mod consistent_hash;
mod cors_policy;
mod delegate;
mod destination_rule;
mod destination_rule_tls;
mod edge_fields;
mod edge_filters;
mod edge_policy;
mod edge_setting;
mod endpoint_slice;
mod entry_endpoint;
mod entry_port;
mod entry_resolution;
mod export_to;
mod fault_injection;
mod gateway;
mod gateway_annotations;
mod gateway_api;
mod gateway_protocol;
mod gateway_tls;
mod gateway_tls_clients;
mod gateway_tls_parameters;
mod gateway_tls_settings;
mod header_operations;
mod health_check;
mod http_rule;
mod ingress;
mod ingress_annotations;
mod ingress_class;
mod ingress_path;
mod jwt_keys;
mod jwt_rule;
mod load_balancer;
mod locality_setting;
mod mirrors;
mod namespace;
mod outlier_detection;
mod plugin_annotations;
mod plugin_configuration;
mod plugin_limits;
mod plugin_match;
mod plugin_supply;
mod plugin_target;
mod protection;
mod pull_credentials;
mod registry;
mod request_authentication;
mod request_match;
mod retries;
mod rewrite;
mod route_action;
mod secret;
mod service;
mod service_entry;
mod string_match;
mod tcp_rules;
mod telemetry;
mod traffic_policy;
mod upstream_protocol;
mod virtual_service;
mod wasm_plugin;
mod workload_entry;
mod workload_selector;
mod workload_source;

use std::path::Path;
use std::sync::Arc;

use portcullis_model::{ObjectId, Origin};

use crate::metadata::Created;
use crate::raw_object::RawObject;
use crate::report::Report;

pub(crate) use authorization_policy::AuthorizationPolicy;
pub(crate) use config_map::ConfigMap;
pub(crate) use connection_pool::HttpVersion;
pub(crate) use delegate::Delegate;
pub(crate) use destination_rule::{DestinationRule, Subset};
pub(crate) use destination_rule_tls::{
    AuthorityRef, AuthorityStore, ClientCertificate, ClientMode, NamedSecret, TlsRules,
    UpstreamAuthorities, UpstreamTls,
};
pub(crate) use edge_policy::{EdgePolicy, PolicyTarget, TargetKind};
pub(crate) use edge_setting::{PlacedSetting, Reach};
pub(crate) use endpoint_slice::{EndpointSlice, SliceEndpoint};
pub(crate) use entry_endpoint::{EntryAddress, EntryEndpoint};
pub(crate) use entry_port::EntryPort;
pub(crate) use export_to::Export;
pub(crate) use gateway::{Gateway, Server, ServerHost};
pub(crate) use gateway_annotations::RouteOrder;
pub(crate) use gateway_api::{
    ApiGateway, ApiListener, BackendRef, BackendTlsPolicy, CONTROLLER, ClientValidation, GROUP,
    GatewayAddress, GatewayClass, GatewayFault, HttpRoute, HttpRouteRule, ListenerSet, ListenerTls,
    Namespaces, ObjectRef, ParentRef, ReferenceGrant, RouteBackend, RouteFilters, RouteKind,
    RouteTimes, StreamRoute, TlsTarget, ValidationMode,
};
pub(crate) use gateway_tls_settings::{
    AuthoritySource, CertificateFiles, CertificateSource, ClientRules, CredentialName, NamedFile,
    ServerTls,
};
pub(crate) use http_rule::{HttpRule, match_count};
pub(crate) use ingress::{Ingress, IngressTls};
pub(crate) use ingress_annotations::{ForeignAnnotation, Weight};
pub(crate) use ingress_class::{ClassName, INGRESS_CONTROLLER, IngressClass, IsDefault, Owner};
pub(crate) use ingress_path::{BackendPort, IngressBackend, IngressPath};
pub(crate) use mirrors::RuleMirror;
pub(crate) use namespace::Namespace;
pub(crate) use plugin_match::PortReach;
pub(crate) use plugin_supply::PullSecret;
pub(crate) use plugin_target::{Coverage, PluginTargetKind, ROOT_NAMESPACE, Target};
pub(crate) use protection::Protection;
pub use pull_credentials::read_pull_credentials;
pub(crate) use request_authentication::RequestAuthentication;
pub(crate) use request_match::WrittenMatch;
pub(crate) use rewrite::Rewrite;
pub(crate) use route_action::{RouteAction, RouteDestination};
pub(crate) use secret::{Authorities, Secret};
pub(crate) use service::{
    AddressFamily, Distribution, PortSecurity, Service, ServicePort, Unready,
};
pub(crate) use service_entry::ServiceEntry;
pub(crate) use tcp_rules::{TcpList, TcpMatch, TcpRule};
pub(crate) use telemetry::Telemetry;
pub(crate) use traffic_policy::Effective;
pub(crate) use virtual_service::{GatewayName, MOST_ROUTES, VirtualService};
pub(crate) use wasm_plugin::WasmPlugin;
pub(crate) use workload_entry::WorkloadEntry;
pub(crate) use workload_source::SourceMatch;

use authorization_policy::read_authorization_policy;
use config_map::read_config_map;
use destination_rule::read_destination_rule;
use edge_policy::read_edge_policy;
use endpoint_slice::read_endpoint_slice;
use gateway::read_gateway;
use gateway_api::{
    read_api_gateway, read_backend_tls_policy, read_gateway_class, read_grpc_route,
    read_http_route, read_listener_set, read_reference_grant, read_stream_route,
};
use ingress::read_ingress;
use ingress_class::read_ingress_class;
use namespace::read_namespace;
use registry::{Kind, Standing, look_up};
use request_authentication::read_request_authentication;
use secret::read_secret;
use service::read_service;
use service_entry::read_service_entry;
use telemetry::read_telemetry;
use virtual_service::read_virtual_service;
use wasm_plugin::{read_wasm_plugin, unreadable};
use workload_entry::read_workload_entry;

/// An object that was understood. Cheap to clone, as it is also kept as the last good version.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Gateway(Arc<Gateway>),
    VirtualService(Arc<VirtualService>),
    DestinationRule(Arc<DestinationRule>),
    ServiceEntry(Arc<ServiceEntry>),
    WorkloadEntry(Arc<WorkloadEntry>),
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
    Secret(Arc<Secret>),
    WasmPlugin(Arc<WasmPlugin>),
    Protection(Arc<Protection>),
    AuthorizationPolicy(Arc<AuthorizationPolicy>),
    RequestAuthentication(Arc<RequestAuthentication>),
    EdgePolicy(Arc<EdgePolicy>),
    Telemetry(Arc<Telemetry>),
    Namespace(Arc<Namespace>),
    ConfigMap(Arc<ConfigMap>),
    GatewayClass(Arc<GatewayClass>),
    ApiGateway(Arc<ApiGateway>),
    ListenerSet(Arc<ListenerSet>),
    ReferenceGrant(Arc<ReferenceGrant>),
    HttpRoute(Arc<HttpRoute>),
    StreamRoute(Arc<StreamRoute>),
    BackendTlsPolicy(Arc<BackendTlsPolicy>),
    Ingress(Arc<Ingress>),
    IngressClass(Arc<IngressClass>),
}

impl Object {
    /// When it was created; `None` for kinds in which there are no regular expressions.
    pub(crate) fn created(&self) -> Option<&Created> {
        Some(match self {
            Object::VirtualService(object) => &object.metadata.created,
            Object::HttpRoute(object) => &object.metadata.created,
            Object::Telemetry(object) => &object.metadata.created,
            _ => return None,
        })
    }
}

/// Whether a kind of an API group is one whose objects become part of the model, so that two of one name
/// would be in each other's way.
pub(crate) fn is_served(raw: &RawObject) -> bool {
    matches!(look_up(raw), Standing::Served(_))
}

/// What an object that is beyond reading must be taken for, so that it fails closed; `None` where it would
/// protect nothing.
pub(crate) fn fail_closed(
    group: &str,
    id: &ObjectId,
    origin: &Origin,
    reason: String,
) -> Option<Object> {
    match (group, &*id.kind) {
        (_, "PeerAuthentication") => None,
        ("security.istio.io", _) => {
            Some(Object::Protection(Protection::unreadable(id.clone(), origin.clone()).into()))
        }
        ("extensions.istio.io", _) => {
            Some(Object::WasmPlugin(unreadable(id.clone(), origin.clone(), reason).into()))
        }
        _ => None,
    }
}

/// The API group of a document that could not be parsed, by its kind, where the group's objects protect.
pub(crate) fn protecting_group(kind: &str) -> &'static str {
    match kind {
        "WasmPlugin" | "TrafficExtension" => "extensions.istio.io",
        "AuthorizationPolicy" | "RequestAuthentication" => "security.istio.io",
        _ => "",
    }
}

/// Reads an object; `None` where it is of a kind that is not served, or is beyond reading.
pub(crate) fn read(raw: &RawObject, directory: &Path, report: &Report) -> Option<Object> {
    let kind = match look_up(raw) {
        Standing::Served(kind) => kind,
        standing => {
            registry::report(raw, standing, report);
            return None;
        }
    };
    Some(match kind {
        Kind::Gateway => Object::Gateway(read_gateway(raw, report)?.into()),
        Kind::VirtualService => Object::VirtualService(read_virtual_service(raw, report)?.into()),
        Kind::DestinationRule => {
            Object::DestinationRule(read_destination_rule(raw, report)?.into())
        }
        Kind::ServiceEntry => Object::ServiceEntry(read_service_entry(raw, report)?.into()),
        Kind::WorkloadEntry => Object::WorkloadEntry(read_workload_entry(raw, report)?.into()),
        Kind::Service => Object::Service(read_service(raw, report)?.into()),
        Kind::EndpointSlice => Object::EndpointSlice(read_endpoint_slice(raw, report)?.into()),
        Kind::Secret => Object::Secret(read_secret(raw, report)?.into()),
        Kind::WasmPlugin => Object::WasmPlugin(read_wasm_plugin(raw, directory, report).into()),
        Kind::AuthorizationPolicy => {
            Object::AuthorizationPolicy(read_authorization_policy(raw, report).into())
        }
        Kind::RequestAuthentication => {
            Object::RequestAuthentication(read_request_authentication(raw, report).into())
        }
        Kind::EdgePolicy => Object::EdgePolicy(read_edge_policy(raw, report)?.into()),
        Kind::Telemetry => Object::Telemetry(read_telemetry(raw, report)?.into()),
        Kind::TlsRoute => {
            Object::StreamRoute(read_stream_route(raw, RouteKind::Tls, report)?.into())
        }
        Kind::TcpRoute => {
            Object::StreamRoute(read_stream_route(raw, RouteKind::Tcp, report)?.into())
        }
        Kind::BackendTlsPolicy => {
            Object::BackendTlsPolicy(read_backend_tls_policy(raw, report)?.into())
        }
        Kind::Ingress => Object::Ingress(read_ingress(raw, report)?.into()),
        Kind::IngressClass => Object::IngressClass(read_ingress_class(raw, report)?.into()),
        Kind::Namespace => Object::Namespace(read_namespace(raw, report).into()),
        Kind::ConfigMap => Object::ConfigMap(read_config_map(raw, report).into()),
        Kind::GatewayClass => Object::GatewayClass(read_gateway_class(raw, report)?.into()),
        Kind::ApiGateway => Object::ApiGateway(read_api_gateway(raw, report)?.into()),
        Kind::ListenerSet => Object::ListenerSet(read_listener_set(raw, report)?.into()),
        Kind::HttpRoute => Object::HttpRoute(read_http_route(raw, report)?.into()),
        Kind::GrpcRoute => Object::HttpRoute(read_grpc_route(raw, report)?.into()),
        Kind::ReferenceGrant => Object::ReferenceGrant(read_reference_grant(raw, report)?.into()),
    })
}
