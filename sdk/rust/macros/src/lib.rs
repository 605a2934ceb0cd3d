//! The attribute `#[filter]` of `portcullis-sdk`: exports a filter's entry points, and only the callbacks that it has.
//!
//! What it is *not*: a parser of Rust. It looks for the implementing type and the names of the functions, nothing else.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// The callbacks that are exported where the implementation has them: name, further parameters, result, call.
const CALLBACKS: [(&str, &str, &str, &str); 3] = [
    (
        "on_request_headers",
        "_: u32, end_of_stream: u32",
        "u32",
        "on_request_headers(context, end_of_stream)",
    ),
    (
        "on_response_headers",
        "_: u32, end_of_stream: u32",
        "u32",
        "on_response_headers(context, end_of_stream)",
    ),
    ("on_log", "", "()", "on_log(context)"),
];

/// Makes `impl Filter for …` the filter of this module: there is one for each module.
///
/// Compiled to Wasm, it exports Proxy-Wasm 0.2.1's entry points and the callbacks that the implementation defines;
/// compiled natively, for unit tests, it exports nothing.
#[proc_macro_attribute]
pub fn filter(_: TokenStream, implementation: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = implementation.clone().into_iter().collect();
    match find_filter(&tokens) {
        Some((filter, body)) => {
            let mut output = implementation;
            output.extend(exports(&filter, &function_names(&body)).parse::<TokenStream>());
            output
        }
        None => complaint(),
    }
}

/// The tokens between `for` and the braces name the type.
fn find_filter(tokens: &[TokenTree]) -> Option<(String, Group)> {
    let (last, head) = tokens.split_last()?;
    let TokenTree::Group(body) = last else { return None };
    let after_for = head.iter().position(|token| is_word(token, "for"))?;
    let filter: TokenStream = head.iter().skip(after_for + 1).cloned().collect();
    (body.delimiter() == Delimiter::Brace && !filter.is_empty())
        .then(|| (filter.to_string(), body.clone()))
}

fn function_names(body: &Group) -> Vec<String> {
    let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    pairs.filter(|(word, _)| is_word(word, "fn")).map(|(_, name)| name.to_string()).collect()
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

fn complaint() -> TokenStream {
    let message = "#[filter] belongs above `impl Filter for YourType { … }`";
    format!("::core::compile_error!({message:?});").parse().unwrap_or_default()
}

/// `malloc` beside the newer name, for hosts that look for it alone; with a libc the name is taken.
fn exports(filter: &str, functions: &[String]) -> String {
    let mut callbacks = String::new();
    for (name, parameters, result, call) in CALLBACKS {
        if functions.iter().any(|function| function == name) {
            callbacks.push_str(&format!(
                "#[unsafe(no_mangle)] extern \"C\" fn proxy_{name}(context: u32, {parameters}) -> {result} {{
                    RUNTIME.with(|runtime| runtime.{call})
                }}"
            ));
        }
    }
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
            #[cfg(target_os = \"unknown\")]
            #[unsafe(no_mangle)] extern \"C\" fn malloc(size: usize) -> *mut u8 {{
                allocate(size)
            }}
            #[unsafe(no_mangle)] extern \"C\" fn proxy_on_context_create(context: u32, parent: u32) {{
                RUNTIME.with(|runtime| runtime.on_context_create(context, parent))
            }}
            #[unsafe(no_mangle)] extern \"C\" fn proxy_on_vm_start(_: u32, _: usize) -> u32 {{
                RUNTIME.with(|runtime| u32::from(runtime.on_vm_start()))
            }}
            #[unsafe(no_mangle)] extern \"C\" fn proxy_on_configure(root: u32, size: usize) -> u32 {{
                RUNTIME.with(|runtime| u32::from(runtime.on_configure(root, size)))
            }}
            #[unsafe(no_mangle)] extern \"C\" fn proxy_on_delete(context: u32) {{
                RUNTIME.with(|runtime| runtime.on_delete(context))
            }}
            {callbacks}
        }};"
    )
}
