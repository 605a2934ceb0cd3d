//! The entry points of a module, as text.

use crate::written::Written;

/// A function that the host calls: its name, its parameters with their types, its result.
type Export = (&'static str, &'static str, &'static str);

const ALWAYS: [Export; 1] = [("on_delete", "context: u32", "()")];
const REQUEST: [Export; 1] = [("on_request_headers", "context: u32, _: u32, end: u32", "u32")];
const RESPONSE: [Export; 1] = [("on_response_headers", "context: u32, _: u32, end: u32", "u32")];
const REQUEST_BODY: [Export; 2] = [
    ("on_request_body", "context: u32, size: usize, end: u32", "u32"),
    ("on_request_trailers", "context: u32, fields: u32", "u32"),
];
const RESPONSE_BODY: [Export; 2] = [
    ("on_response_body", "context: u32, size: usize, end: u32", "u32"),
    ("on_response_trailers", "context: u32, fields: u32", "u32"),
];
const LOG: [Export; 1] = [("on_log", "context: u32", "()")];
const WAITING: [Export; 7] = [
    ("on_tick", "root: u32", "()"),
    ("on_queue_ready", "root: u32, queue: u32", "()"),
    (
        "on_http_call_response",
        "root: u32, call: u32, fields: u32, body_size: usize, trailers: u32",
        "()",
    ),
    ("on_grpc_receive_initial_metadata", "root: u32, call: u32, fields: u32", "()"),
    ("on_grpc_receive", "root: u32, call: u32, size: usize", "()"),
    ("on_grpc_receive_trailing_metadata", "root: u32, call: u32, fields: u32", "()"),
    ("on_grpc_close", "root: u32, call: u32, status: u32", "()"),
];

pub(crate) fn exports(written: &Written) -> String {
    let filter = &written.filter;
    let callbacks: String = callbacks(written).into_iter().map(export).collect();
    format!(
        "#[cfg(not(target_arch = \"wasm32\"))]
        const _: fn(
            <{filter} as ::portcullis_sdk::Filter>::Configuration,
            &mut ::portcullis_sdk::Setup,
        ) -> ::core::result::Result<{filter}, ::portcullis_sdk::ConfigurationError> =
            <{filter} as ::portcullis_sdk::Filter>::new;
        #[cfg(target_arch = \"wasm32\")]
        #[allow(unsafe_code)]
        const _: () = {{
            use ::portcullis_sdk::runtime::{{Runtime, allocate}};
            ::std::thread_local! {{ static RUNTIME: Runtime<{filter}> = const {{ Runtime::new() }}; }}
            #[unsafe(no_mangle)] extern \"C\" fn proxy_abi_version_0_2_1() {{}}
            #[unsafe(no_mangle)] extern \"C\" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {{
                allocate(size)
            }}
            {MALLOC}
            #[unsafe(no_mangle)] extern \"C\" fn proxy_on_context_create(context: u32, parent: u32) {{
                RUNTIME.with(|runtime| runtime.on_context_create(context, parent))
            }}
            #[unsafe(no_mangle)] extern \"C\" fn proxy_on_vm_start(_: u32, _: usize) -> u32 {{
                RUNTIME.with(|runtime| u32::from(runtime.on_vm_start()))
            }}
            #[unsafe(no_mangle)] extern \"C\" fn proxy_on_configure(root: u32, size: usize) -> u32 {{
                RUNTIME.with(|runtime| u32::from(runtime.on_configure(root, size)))
            }}
            {callbacks}
            {SCHEMA}
        }};",
        SCHEMA = schema(filter),
    )
}

/// Beside the newer name, for hosts that look for it alone; with a libc the name is taken.
const MALLOC: &str = "#[cfg(target_os = \"unknown\")]
    #[unsafe(no_mangle)] extern \"C\" fn malloc(size: usize) -> *mut u8 { allocate(size) }";

/// What the configuration looks like, where it says so.
fn schema(filter: &str) -> String {
    format!(
        "const _: () = {{
            use ::portcullis_sdk::schema::{{Described, Probe, Undescribed as _, length, write}};
            const SCHEMA: &::portcullis_sdk::schema::Schema =
                Probe::<<{filter} as ::portcullis_sdk::Filter>::Configuration>::SCHEMA;
            #[used]
            #[unsafe(link_section = \"portcullis.schema\")]
            static SECTION: [u8; length(SCHEMA)] = write::<{{ length(SCHEMA) }}>(SCHEMA);
        }};"
    )
}

fn callbacks(written: &Written) -> Vec<Export> {
    let chosen: [(bool, &[Export]); 7] = [
        (true, &ALWAYS),
        (written.has("request"), &REQUEST),
        (written.has("request") && written.reads("RequestBody"), &REQUEST_BODY),
        (written.has("response"), &RESPONSE),
        (written.has("response") && written.reads("ResponseBody"), &RESPONSE_BODY),
        (written.has("log"), &LOG),
        (written.waits, &WAITING),
    ];
    chosen
        .into_iter()
        .filter(|(is_chosen, _)| *is_chosen)
        .flat_map(|(_, some)| some)
        .copied()
        .collect()
}

fn export((name, parameters, result): Export) -> String {
    let names = parameters.split(", ").filter_map(|parameter| parameter.split(':').next());
    let arguments: Vec<&str> = names.filter(|name| *name != "_").collect();
    format!(
        "#[unsafe(no_mangle)] extern \"C\" fn proxy_{name}({parameters}) -> {result} {{
            RUNTIME.with(|runtime| runtime.{name}({}))
        }}",
        arguments.join(", ")
    )
}
