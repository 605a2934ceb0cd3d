//! The attributes of `portcullis-sdk`: `#[filter]` exports a filter's entry points, and only the callbacks that it has;
//! `#[configuration]` makes a struct readable from `pluginConfig`, and describes it.

mod configuration;
mod exports;
mod filter;
mod written;

use proc_macro::TokenStream;

/// Makes `impl Filter for …` the filter of this module: there is one for each module.
///
/// Compiled to Wasm, it exports Proxy-Wasm 0.2.1's entry points and the callbacks that the implementation defines;
/// compiled natively, for unit tests, it exports nothing. It adds what is not written: `Configuration = NoConfiguration`,
/// `State = ()`, `RequestBody = Unread`, `ResponseBody = Unread`, and `new` where there is no configuration (by `Default`)
/// or the filter itself is what is configured (`type Configuration = Self`).
///
/// Whether a filter waits for anything is read from its text: the entry points for answers to calls, ticks and queues are
/// exported where `.await`, or a macro that waits, occurs. `#[filter(waits)]` says so where it does not show.
#[proc_macro_attribute]
pub fn filter(arguments: TokenStream, implementation: TokenStream) -> TokenStream {
    filter::expand(arguments, implementation)
}

/// Makes a struct or an enum a part of the plugin's configuration.
///
/// Derives `Deserialize` with names in camelCase and unknown fields refused (other `#[serde(…)]` attributes are kept and
/// may change that), and describes the fields, their documentation included, as a JSON schema that the module carries in
/// its custom section `portcullis.schema`.
#[proc_macro_attribute]
pub fn configuration(_: TokenStream, item: TokenStream) -> TokenStream {
    configuration::expand(item.into()).into()
}
