//! The status of GatewayClasses, Gateways and ListenerSets, and of their listeners.

use super::super::gather::Objects;
use super::conditions::Conditions;
use super::parent::{Parent, ParentListener, Refusal};
use super::parents::Parents;
use crate::kinds::{ApiGateway, GROUP, GatewayClass, ValidationMode};
use crate::status::{AddressStatus, Condition, GroupKind, ListenerStatus, ObjectStatus};

pub(super) const VERSION: &str = "gateway.networking.k8s.io/v1";

/// Of all that are ours.
pub(super) fn status_of_parents(objects: &Objects, parents: &Parents) -> Vec<ObjectStatus> {
    let classes = objects.gateway_classes.iter().filter(|class| class.is_ours());
    let mut all: Vec<ObjectStatus> = classes.map(|class| class_status(class)).collect();
    for parent in parents.iter() {
        let is_its = |gateway: &&std::sync::Arc<ApiGateway>| gateway.metadata.id == parent.id;
        all.push(match objects.api_gateways.iter().find(is_its) {
            Some(gateway) => gateway_status(gateway, parent),
            None => set_status(parent, parents),
        });
    }
    all
}

/// A status that says nothing yet.
pub(super) fn empty(object: String) -> ObjectStatus {
    ObjectStatus {
        api_version: VERSION,
        object,
        conditions: Vec::new(),
        addresses: Vec::new(),
        listeners: Vec::new(),
        attached_listener_sets: None,
        parents: Vec::new(),
        ancestors: Vec::new(),
    }
}

fn class_status(class: &GatewayClass) -> ObjectStatus {
    let conditions = Conditions { generation: class.metadata.generation };
    let refusal = class.has_parameters.then(|| Refusal {
        reason: "InvalidParameters",
        message: "`parametersRef` names nothing that is known here".to_owned(),
    });
    ObjectStatus {
        conditions: vec![conditions.unless("Accepted", refusal.as_ref())],
        ..empty(class.metadata.id.to_string())
    }
}

fn gateway_status(gateway: &ApiGateway, parent: &Parent) -> ObjectStatus {
    let conditions = Conditions { generation: parent.generation };
    let reference = parent.reference.clone().or_else(|| {
        let broken = parent.listeners.iter().find(|listener| listener.reference.is_some())?;
        let message = format!("see the listener `{}`", broken.written.name);
        Some(Refusal { reason: "ListenersNotResolved", message })
    });
    let mut all = accepted_and_programmed(conditions, parent);
    all.push(conditions.unless("ResolvedRefs", reference.as_ref()));
    let is_insecure = parent.listeners.iter().any(|listener| {
        let validation = gateway.tls.validation(listener.written.port);
        validation.is_some_and(|each| each.mode == ValidationMode::AllowInsecureFallback)
    });
    if is_insecure {
        all.push(conditions.holds(
            "InsecureFrontendValidationMode",
            "ConfigurationChanged",
            "clients are taken whose certificates are not good",
        ));
    }
    let written = gateway.addresses.iter().filter(|address| !address.value.is_empty());
    let address = |address: &crate::kinds::GatewayAddress| AddressStatus {
        kind: address.kind,
        value: address.value.to_string(),
    };
    ObjectStatus {
        conditions: all,
        addresses: written.map(address).collect(),
        listeners: listeners(conditions, parent),
        attached_listener_sets: Some(parent.attached_sets),
        ..empty(parent.id.to_string())
    }
}

fn set_status(parent: &Parent, parents: &Parents) -> ObjectStatus {
    let conditions = Conditions { generation: parent.generation };
    let gateway = parents.find(&parent.gateway).and_then(|index| parents.at(index));
    let mut all = accepted_and_programmed(conditions, parent);
    let is_programmed = |gateway: &Parent| gateway.listeners.iter().any(|l| l.place.is_some());
    if parent.refused.is_none() && !gateway.is_some_and(is_programmed) {
        let message = format!("{} is not programmed", parent.gateway);
        let refusal = Refusal { reason: "ParentNotProgrammed", message };
        all.retain(|condition| condition.kind != "Programmed");
        all.push(conditions.fails("Programmed", &refusal));
    }
    ObjectStatus {
        conditions: all,
        listeners: listeners(conditions, parent),
        ..empty(parent.id.to_string())
    }
}

/// A Gateway or ListenerSet is accepted with what of it can be served, unless that is nothing.
fn accepted_and_programmed(conditions: Conditions, parent: &Parent) -> Vec<Condition> {
    let invalid: Vec<&str> = parent
        .listeners
        .iter()
        .filter(|listener| !is_valid(listener))
        .map(|listener| &*listener.written.name)
        .collect();
    let message = format!("these listeners are not served: {}", invalid.join(", "));
    let not_valid = Refusal { reason: "ListenersNotValid", message };
    let accepted = match &parent.refused {
        Some(refusal) => conditions.fails("Accepted", refusal),
        None if invalid.is_empty() => conditions.holds("Accepted", "Accepted", ""),
        None if invalid.len() == parent.listeners.len() => conditions.fails("Accepted", &not_valid),
        None => conditions.holds("Accepted", not_valid.reason, &not_valid.message),
    };
    let serves = parent.listeners.iter().any(|listener| listener.place.is_some());
    let nothing = Refusal { reason: "Invalid", message: "no listener is served".to_owned() };
    vec![accepted, conditions.unless("Programmed", (!serves).then_some(&nothing))]
}

fn is_valid(listener: &ParentListener) -> bool {
    listener.conflict.is_none() && listener.written.protocol.is_some()
}

fn listeners(conditions: Conditions, parent: &Parent) -> Vec<ListenerStatus> {
    let status = |listener: &ParentListener| ListenerStatus {
        name: listener.written.name.to_string(),
        supported_kinds: listener
            .written
            .allowed
            .kinds
            .iter()
            .map(|kind| GroupKind { group: GROUP, kind: kind.as_str() })
            .collect(),
        attached_routes: listener.attached,
        conditions: listener_conditions(conditions, listener),
    };
    parent.listeners.iter().map(status).collect()
}

fn listener_conditions(conditions: Conditions, listener: &ParentListener) -> Vec<Condition> {
    let message = "the listener does not listen".to_owned();
    let invalid = Refusal { reason: "Invalid", message };
    let reference = listener.reference.as_ref();
    let accepted = match (listener.written.protocol, listener.conflict) {
        (None, _) => Some(Refusal {
            reason: "UnsupportedProtocol",
            message: "HTTP, HTTPS, TLS and TCP are served".to_owned(),
        }),
        (_, Some(_)) => Some(invalid.clone()),
        _ => reference.filter(|refusal| refusal.reason.starts_with("InvalidCACertificate")).map(
            |refusal| Refusal { reason: "NoValidCACertificate", message: refusal.message.clone() },
        ),
    };
    let conflicted = match listener.conflict {
        Some(conflict) => conditions.holds(
            "Conflicted",
            conflict.reason(),
            "another listener of its port has its host or another protocol",
        ),
        None => conditions.absent("Conflicted", "NoConflicts"),
    };
    // Kinds that it cannot take do not keep it from taking the others.
    let fault = reference.filter(|refusal| refusal.reason != "InvalidRouteKinds");
    let programmed = match (listener.place, fault) {
        (None, _) => Some(invalid),
        (Some(_), Some(refusal)) => {
            Some(Refusal { reason: "Invalid", message: refusal.message.clone() })
        }
        (Some(_), None) => None,
    };
    vec![
        conditions.unless("Accepted", accepted.as_ref()),
        conflicted,
        conditions.unless("ResolvedRefs", reference),
        conditions.unless("Programmed", programmed.as_ref()),
    ]
}
