//! Kubernetes' `IngressClass`: whose an Ingress is.

use std::sync::Arc;

use portcullis_model::Origin;

use crate::codes;
use crate::metadata::{Metadata, OBJECT, annotations, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Schema};
use crate::report::{Gravity, Report};
use crate::scalars::choice;

/// An IngressClass.
#[derive(Clone, Debug)]
pub(crate) struct IngressClass {
    pub(crate) metadata: Metadata,
    pub(crate) controller: Arc<str>,
    /// Whose the Ingresses of the class are.
    pub(crate) owner: Owner,
    /// Whether Ingresses without a class are of this one.
    pub(crate) default: IsDefault,
}

/// The class of an Ingress by name.
#[derive(Clone, Debug)]
pub(crate) struct ClassName {
    pub(crate) name: Arc<str>,
    pub(crate) field: String,
    pub(crate) origin: Origin,
}

/// Who serves something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Us,
    Another,
}

/// Whether a class is the default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsDefault {
    Yes,
    No,
}

/// The controller of our classes.
pub(crate) const INGRESS_CONTROLLER: &str = "portcullis.dev/ingress-controller";
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

static SPEC: Schema = Schema {
    what: "an IngressClass",
    served: &["controller", "parameters"],
    not_yet: &[],
    skipped: &[],
};

/// Reads an IngressClass.
pub(crate) fn read_ingress_class(raw: &RawObject, report: &Report) -> Option<IngressClass> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report).fields(&OBJECT)?;
    let spec = root.required("spec")?;
    let spec = spec.fields(&SPEC)?;
    let controller = spec.required("controller")?.text()?;
    let owner = if controller == INGRESS_CONTROLLER { Owner::Us } else { Owner::Another };
    if owner == Owner::Us
        && let Some(field) = spec.field("parameters")
    {
        let help = "write an EdgePolicy for settings of the gateway";
        field.report(Gravity::Warns, codes::NO_EFFECT, "our classes have no parameters", help);
    }
    let controller = controller.into();
    Some(IngressClass { metadata, controller, owner, default: read_default(raw, report) })
}

fn read_default(raw: &RawObject, report: &Report) -> IsDefault {
    let Some(annotations) = annotations(raw) else { return IsDefault::No };
    Cursor::root(&raw.node, report).within(&["metadata", "annotations"], annotations, |all| {
        if all.is_null() {
            return IsDefault::No;
        }
        let words = [("true", IsDefault::Yes), ("false", IsDefault::No)];
        let found = all.entries().find(|(name, _)| *name == DEFAULT);
        found.and_then(|(_, value)| choice(&value, &words)).unwrap_or(IsDefault::No)
    })
}
