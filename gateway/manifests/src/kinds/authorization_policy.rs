//! `AuthorizationPolicy`: which requests of a Gateway may pass.

use portcullis_filters::{AccessAction, AccessPolicy, Enforcement};

use super::access_rule::read_rules;
use super::access_values::RuleReader;
use super::plugin_target::{Coverage, of_namespace};
use super::protection::read_reach;
use crate::codes;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::choice;

/// An AuthorizationPolicy.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationPolicy {
    pub(crate) metadata: Metadata,
    pub(crate) coverage: Coverage,
    pub(crate) policy: AccessPolicy,
}

static SPEC: Schema = Schema {
    what: "an AuthorizationPolicy",
    served: &["selector", "targetRef", "targetRefs", "rules", "action", "provider"],
    not_yet: &[],
    skipped: &[],
};
static PROVIDER: Schema =
    Schema { what: "a provider", served: &["name"], not_yet: &[], skipped: &[] };

const DRY_RUN: &str = "istio.io/dry-run";

const ACTIONS: [(&str, AccessAction); 4] = [
    ("ALLOW", AccessAction::Allow),
    ("DENY", AccessAction::Deny),
    ("AUDIT", AccessAction::Audit),
    ("CUSTOM", AccessAction::Custom),
];

/// Reads an AuthorizationPolicy. Where it is broken, what it covers is all that counts of it, and whether it would
/// refuse anything.
pub(crate) fn read_authorization_policy(raw: &RawObject, report: &Report) -> AuthorizationPolicy {
    let metadata = read_metadata(raw, report);
    let namespace = &metadata.id.namespace;
    let root = Cursor::root(&raw.node, report);
    let fields = root.fields(&OBJECT);
    let spec = fields.as_ref().and_then(|fields| fields.field("spec"));
    let mut policy = AccessPolicy {
        namespace: namespace.clone(),
        name: metadata.id.name.clone(),
        action: AccessAction::Allow,
        enforcement: read_enforcement(&root),
        rules: Vec::new(),
    };
    let coverage = match &spec {
        None => of_namespace(namespace),
        Some(spec) => match spec.fields(&SPEC) {
            Some(spec) => {
                read_policy(&spec, &mut policy);
                read_reach(&spec, namespace)
            }
            None => Coverage::Unclear(namespace.clone()),
        },
    };
    AuthorizationPolicy { coverage, policy, metadata }
}

impl AuthorizationPolicy {
    /// Whether it could refuse anything.
    pub(crate) fn enforces(&self) -> bool {
        self.policy.enforcement == Enforcement::Enforced
            && self.policy.action != AccessAction::Audit
    }
}

/// `istio.io/dry-run: "true"`, as Go reads a boolean.
fn read_enforcement(root: &Cursor<'_>) -> Enforcement {
    let written = root.node().field("metadata").and_then(|metadata| metadata.field("annotations"));
    let Some(written) = written.and_then(|annotations| annotations.field(DRY_RUN)) else {
        return Enforcement::Enforced;
    };
    root.within(&["metadata", "annotations", DRY_RUN], written, |field| match field.text() {
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Enforcement::DryRun,
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") | None => Enforcement::Enforced,
        Some(text) => {
            field.refuse(format!("`{text}` is neither `true` nor `false`"), "");
            Enforcement::Enforced
        }
    })
}

fn read_policy(spec: &Fields<'_>, policy: &mut AccessPolicy) {
    if let Some(field) = spec.field("action")
        && let Some(action) = choice(&field, &ACTIONS)
    {
        policy.action = action;
    }
    read_provider(spec, policy.action);
    let reader = RuleReader { action: policy.action, namespace: &policy.namespace };
    policy.rules = match spec.field("rules") {
        Some(field) => read_rules(&field, reader),
        None => Vec::new(),
    };
    check_reach(spec, policy);
}

fn read_provider(spec: &Fields<'_>, action: AccessAction) {
    let provider = spec.field("provider");
    match (provider, action) {
        (None, AccessAction::Custom) => {
            spec.missing("provider", "name the extension provider that is to be asked");
        }
        (Some(field), AccessAction::Custom) => {
            let Some(fields) = field.fields(&PROVIDER) else { return };
            let Some(name) = fields.required("name") else { return };
            if name.text().is_some_and(str::is_empty) {
                return name.refuse("the name is empty", "");
            }
            name.report(
                Gravity::Degrades,
                codes::PROVIDER_NOT_SERVED,
                "there are no extension providers here, so every request that this policy matches is refused",
                "ask the authorizer from a WasmPlugin of the phase AUTHZ instead",
            );
        }
        (Some(field), _) => {
            field.report(
                Gravity::Breaks,
                codes::EXCLUSIVE,
                "`provider` is for the action CUSTOM alone",
                "write `action: CUSTOM`, or remove it",
            );
        }
        (None, _) => {}
    }
}

/// What matches nothing, though it may look as if it matched everything.
fn check_reach(spec: &Fields<'_>, policy: &AccessPolicy) {
    let is_bare = spec.field("rules").is_none_or(|rules| rules.is_empty_list());
    if is_bare && policy.action != AccessAction::Allow {
        spec.cursor().report(
            Gravity::Warns,
            codes::NO_EFFECT,
            "without rules it matches nothing",
            "write `rules: [{}]` to have it match every request",
        );
    }
}
