//! The annotations of a plugin object, `portcullis.dev/…`.

use portcullis_model::{
    Capabilities, Capability, HeadersPause, Isolation, PluginCompatibility, PluginLimits,
    Strictness,
};

use super::plugin_limits::read_limit;
use crate::codes;
use crate::reader::Cursor;
use crate::report::Gravity;
use crate::suggest::closest;
use crate::yaml::Node;

const PREFIX: &str = "portcullis.dev/";
const KNOWN: [&str; 6] =
    ["limits", "capabilities", "isolation", "vm-id", "on-headers-pause", "strict"];

/// What annotations say of a plugin.
#[derive(Default)]
pub(crate) struct PluginAnnotations {
    pub(crate) limits: PluginLimits,
    pub(crate) vm_id: String,
    pub(crate) isolation: Isolation,
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) compatibility: PluginCompatibility,
}

/// Reads a plugin's annotations, and reports those of ours that are unknown or not served yet.
pub(crate) fn read_annotations(root: &Cursor<'_>, annotations: &Node) -> PluginAnnotations {
    let mut read = PluginAnnotations::default();
    root.within(&["metadata", "annotations"], annotations, |annotations| {
        for (name, value) in annotations.entries() {
            let Some(name) = name.strip_prefix(PREFIX) else { continue };
            let Some(text) = value.text() else { continue };
            match (name, text) {
                ("limits", _) => {
                    text.split(',').for_each(|part| read_limit(&value, part, &mut read.limits))
                }
                ("isolation", "worker") => {}
                ("isolation", "request") => read.isolation = Isolation::Request,
                ("isolation", _) => {
                    value.refuse(format!("`{text}` is no isolation"), "write worker or request")
                }
                ("on-headers-pause", "everything") => {}
                ("on-headers-pause", "head") => {
                    read.compatibility.headers_pause = HeadersPause::Head;
                }
                ("on-headers-pause", _) => {
                    value.refuse(format!("`{text}` cannot be held"), "write everything or head")
                }
                ("strict", "envoy") => read.compatibility.strictness = Strictness::Envoy,
                ("strict", _) => value.refuse(
                    format!("there is no host `{text}` to be as strict as"),
                    "write envoy, or remove the annotation",
                ),
                ("vm-id", _) => text.clone_into(&mut read.vm_id),
                ("capabilities", _) => read.capabilities = read_capabilities(&value, text),
                _ => unknown(&value, name),
            }
        }
        if read.limits.slice.is_some() && read.isolation != Isolation::Request {
            annotations.refuse(
                "the limit `slice` goes with `portcullis.dev/isolation: request` alone",
                "write that too, so that no other request waits for the callback, or remove `slice`",
            );
        }
    });
    read
}

fn read_capabilities(value: &Cursor<'_>, text: &str) -> Option<Capabilities> {
    match Capabilities::parse(text) {
        Ok(capabilities) => Some(capabilities),
        Err(word) => {
            let names = Capability::ALL.map(Capability::name).join(", ");
            let help = format!(
                "write all, compatible, or some of {names}; upstreams may name clusters as in `upstreams=auth;stats`"
            );
            value.refuse(format!("`{word}` is no capability"), help);
            // What was to be narrowed is not left wide.
            Some(Capabilities::none())
        }
    }
}

fn unknown(value: &Cursor<'_>, name: &str) {
    let help = match closest(name, KNOWN.into_iter()) {
        Some(near) => format!("did you mean `{PREFIX}{near}`?"),
        None => format!("known are: {}", KNOWN.join(", ")),
    };
    let message = format!("there is no annotation `{PREFIX}{name}`");
    value.report(Gravity::Breaks, codes::UNKNOWN_FIELD, message, help);
}
