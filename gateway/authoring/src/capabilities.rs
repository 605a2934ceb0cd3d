//! What a module needs, told from the host calls that are left in it: the manifest that `plugin build` writes.

use std::collections::BTreeSet;

use portcullis_model::Capability;

use crate::sections::add_custom_section;

/// Where the gateway reads it.
pub(crate) const SECTION: &str = "portcullis.capabilities";

/// Host calls by the capability without which they do nothing; others need none.
const CALLS: [(Capability, &[&str]); 8] = [
    (
        Capability::Headers,
        &[
            "proxy_get_header_map_pairs",
            "proxy_set_header_map_pairs",
            "proxy_get_header_map_size",
            "proxy_get_header_map_value",
            "proxy_add_header_map_value",
            "proxy_replace_header_map_value",
            "proxy_remove_header_map_value",
        ],
    ),
    (Capability::Body, &["proxy_set_buffer_bytes", "proxy_get_buffer_status"]),
    (Capability::Properties, &["proxy_get_property", "proxy_set_property"]),
    (
        Capability::Upstreams,
        &["proxy_http_call", "proxy_grpc_call", "proxy_grpc_stream", "proxy_dispatch_http_call"],
    ),
    (
        Capability::SharedData,
        &[
            "proxy_get_shared_data",
            "proxy_set_shared_data",
            "proxy_register_shared_queue",
            "proxy_resolve_shared_queue",
            "proxy_enqueue_shared_queue",
            "proxy_dequeue_shared_queue",
        ],
    ),
    (Capability::Ticks, &["proxy_set_tick_period_milliseconds"]),
    (Capability::Crypto, &["proxy_call_foreign_function"]),
    (
        Capability::Metrics,
        &[
            "proxy_define_metric",
            "proxy_increment_metric",
            "proxy_record_metric",
            "proxy_get_metric",
        ],
    ),
];

/// Callbacks that show a body: the call that reads one reads configurations too, so it says nothing.
const BODY_CALLBACKS: [&str; 4] = [
    "proxy_on_request_body",
    "proxy_on_response_body",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
];

/// The capabilities that a module with these imports and exports can use.
pub(crate) fn needed<'a>(
    imports: impl IntoIterator<Item = &'a str>,
    exports: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<Capability> {
    let imports: BTreeSet<&str> = imports.into_iter().collect();
    let calls = CALLS.iter().filter(|(_, calls)| calls.iter().any(|call| imports.contains(call)));
    let mut needed: BTreeSet<Capability> = calls.map(|(capability, _)| *capability).collect();
    if imports.contains("proxy_log") || imports.contains("fd_write") {
        needed.insert(Capability::Log);
    }
    if exports.into_iter().any(|export| BODY_CALLBACKS.contains(&export)) {
        needed.insert(Capability::Body);
    }
    needed
}

/// Writes the manifest into a module: what it needs, and the clusters it may call where that is narrowed.
pub(crate) fn write_manifest(
    module: &mut Vec<u8>,
    needed: &BTreeSet<Capability>,
    upstreams: Option<&[String]>,
) {
    let names: Vec<String> = needed.iter().map(|capability| capability.name().to_owned()).collect();
    let mut manifest = serde_json::json!({ "version": 1, "capabilities": names });
    if let (Some(upstreams), Some(fields)) = (upstreams, manifest.as_object_mut())
        && needed.contains(&Capability::Upstreams)
    {
        fields.insert("upstreams".to_owned(), upstreams.into());
    }
    add_custom_section(module, SECTION, manifest.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_wasm::read_capability_manifest;

    #[test]
    fn what_is_imported_is_needed_and_nothing_else() {
        assert!(needed(["proxy_send_local_response"], ["proxy_on_request_headers"]).is_empty());
        let both = needed(["proxy_http_call", "proxy_log"], []);
        assert_eq!(
            Vec::from_iter(both),
            Vec::from_iter(needed(["fd_write", "proxy_grpc_call"], []))
        );
        assert!(needed([], ["proxy_on_response_body"]).contains(&Capability::Body));
    }

    #[test]
    fn the_gateway_reads_what_is_written() {
        let mut module = wat::parse_str("(module)").unwrap();
        let needed = needed(["proxy_http_call", "proxy_get_property"], []);
        write_manifest(&mut module, &needed, Some(&["auth".to_owned()]));
        let read = read_capability_manifest(&module).unwrap().unwrap();
        assert_eq!(read.to_string(), "properties,upstreams=auth");
    }
}
