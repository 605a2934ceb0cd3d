//! `exportTo`: the namespaces that see an object.

use std::sync::Arc;

use portcullis_model::Origin;

use crate::reader::Cursor;

/// The namespaces that see an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Export {
    /// All of them: nothing is written, or `*`.
    #[default]
    Everybody,
    /// These, as written, and where.
    Namespaces(Arc<[Box<str>]>, Origin),
}

/// The object's own namespace.
const OWN: &str = ".";
/// No namespace at all.
const NOBODY: &str = "~";

/// Reads an `exportTo`.
pub(super) fn read_export_to(field: Option<Cursor<'_>>) -> Export {
    let Some(field) = field else { return Export::Everybody };
    let names = field.items().filter_map(|item| read_namespace(&item));
    export_of(names.collect(), field.origin())
}

/// Reads the annotation of a Service, `networking.istio.io/exportTo: ns1,ns2`.
pub(super) fn read_export_annotation(value: &Cursor<'_>) -> Export {
    let Some(text) = value.text() else { return Export::Everybody };
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    export_of(names.map(Into::into).collect(), value.origin())
}

fn export_of(names: Arc<[Box<str>]>, origin: Origin) -> Export {
    if names.is_empty() || names.iter().any(|name| &**name == "*") {
        return Export::Everybody;
    }
    Export::Namespaces(names, origin)
}

impl Export {
    /// Whether an object of this namespace is seen in that one.
    pub(crate) fn reaches(&self, own: &str, namespace: &str) -> bool {
        match self {
            Export::Everybody => true,
            Export::Namespaces(names, _) => names.iter().any(|name| match &**name {
                OWN => own == namespace,
                name => name == namespace,
            }),
        }
    }
}

fn read_namespace(item: &Cursor<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    let is_name = text.len() <= 63
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_name && ![OWN, NOBODY, "*"].contains(&text) {
        item.refuse(format!("`{text}` is no namespace"), "write a namespace, `.`, `*` or `~`");
        return None;
    }
    Some(text.into())
}
