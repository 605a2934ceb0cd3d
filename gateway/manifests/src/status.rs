//! What became of objects, as Kubernetes shows it in their `status`: plain data, written back by whoever can.

use serde::Serialize;

/// The status of one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// As `gateway.networking.k8s.io/v1`.
    pub api_version: &'static str,
    /// As `Kind/namespace/name`.
    pub object: String,
    /// Conditions of the object as a whole; a route has none but those of its parents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Of a Gateway: where it can be reached, as far as that is written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressStatus>,
    /// Of a Gateway or ListenerSet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
    /// Of a Gateway: how many ListenerSets are attached to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached_listener_sets: Option<usize>,
    /// Of a route: each entry of its `parentRefs` that names something of ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ParentStatus>,
    /// Of a BackendTLSPolicy: each Gateway whose routes lead to its Services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<AncestorStatus>,
}

/// One condition, `metav1.Condition` but for the time of its last change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Accepted`, `Programmed`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `True` or `False`.
    pub status: &'static str,
    /// In one word, as the API has it.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
    /// `metadata.generation` of what was looked at, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// An address of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AddressStatus {
    /// `IPAddress` or `Hostname`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The address.
    pub value: String,
}

/// The status of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// The kinds of routes that it takes.
    pub supported_kinds: Vec<GroupKind>,
    /// How many routes are attached to it.
    pub attached_routes: usize,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// A kind of routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupKind {
    /// The API group.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
}

/// What a route's parent made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The entry of `parentRefs`.
    pub parent_ref: ParentReference,
    /// Who says so: `portcullis.dev/gateway-controller`.
    pub controller_name: &'static str,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// What a policy is to a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AncestorStatus {
    /// The Gateway.
    pub ancestor_ref: ParentReference,
    /// Who says so: `portcullis.dev/gateway-controller`.
    pub controller_name: &'static str,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// An entry of `parentRefs`, with what is not written filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// The API group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// A listener's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// A listener's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl ObjectStatus {
    /// The condition of a kind.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}
