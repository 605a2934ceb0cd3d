//! The annotations of a plugin object, `portcullis.dev/…`.

use portcullis_model::{
    HeadersPause, PluginCompatibility, PluginLimits, Strictness, parse_duration,
};

use crate::codes;
use crate::reader::Cursor;
use crate::report::Gravity;
use crate::scalars::parse_quantity;
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
                ("isolation", "request") => {
                    let message = "`isolation: request` is known, but not served yet";
                    value.not_served(
                        Gravity::Breaks,
                        message,
                        "remove the annotation to share an instance among a worker's requests",
                    );
                }
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
                ("capabilities", _) => {
                    let message =
                        format!("the annotation `{PREFIX}{name}` is known, but not served yet");
                    value.report(
                        Gravity::Warns,
                        codes::FIELD_NOT_SERVED,
                        message,
                        "it has no effect here",
                    );
                }
                _ => unknown(&value, name),
            }
        }
    });
    read
}

fn unknown(value: &Cursor<'_>, name: &str) {
    let help = match closest(name, KNOWN.into_iter()) {
        Some(near) => format!("did you mean `{PREFIX}{near}`?"),
        None => format!("known are: {}", KNOWN.join(", ")),
    };
    let message = format!("there is no annotation `{PREFIX}{name}`");
    value.report(Gravity::Breaks, codes::UNKNOWN_FIELD, message, help);
}

fn read_limit(value: &Cursor<'_>, part: &str, limits: &mut PluginLimits) {
    let (name, amount) = part.trim().split_once('=').unwrap_or((part.trim(), ""));
    let known = match name {
        "memory" => {
            parse_quantity(amount).filter(|size| *size >= 64 << 10).map(|size| limits.memory = size)
        }
        "callback" => positive(amount).map(|duration| limits.callback = duration),
        "start" => positive(amount).map(|duration| limits.start = duration),
        "call" => positive(amount).map(|duration| limits.call = duration),
        "request" => {
            let message = "the limit `request` is known, but not served yet";
            value.not_served(Gravity::Warns, message, "it has no effect here");
            Some(())
        }
        _ => {
            value.refuse(
                format!("there is no limit `{name}`"),
                "limits are memory, callback, call, request, start",
            );
            return;
        }
    };
    if known.is_none() {
        let help = "write it as in `memory=16Mi,callback=10ms,start=5s`; memory is at least 64Ki";
        value.refuse(format!("`{amount}` is no amount for the limit `{name}`"), help);
    }
}

fn positive(text: &str) -> Option<std::time::Duration> {
    parse_duration(text).ok().filter(|duration| !duration.is_zero())
}
