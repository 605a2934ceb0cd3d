//! `#[configuration]`: derives reading, and writes the description.

mod names;
mod schema;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, parse_quote};

use names::Renaming;

/// The item with its attributes, and its schema.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let expanded = syn::parse2::<DeriveInput>(item).and_then(|mut item| {
        let schema = complete_and_describe(&mut item)?;
        Ok(quote! { #item #schema })
    });
    expanded.unwrap_or_else(syn::Error::into_compile_error)
}

fn complete_and_describe(item: &mut DeriveInput) -> syn::Result<TokenStream> {
    if !item.generics.params.is_empty() {
        let message = "#[configuration] describes types without parameters";
        return Err(syn::Error::new_spanned(&item.generics, message));
    }
    let own = Renaming::read(&item.attrs)?;
    let is_struct =
        matches!(&item.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)));
    // Before all others: they may be serde's.
    item.attrs.insert(0, parse_quote!(#[derive(::portcullis_sdk::serde::Deserialize)]));
    item.attrs.push(parse_quote!(#[serde(crate = "::portcullis_sdk::serde")]));
    if own.rename_all.is_none() {
        item.attrs.push(parse_quote!(#[serde(rename_all = "camelCase")]));
    }
    if is_struct && !own.flattens_into(item) {
        item.attrs.push(parse_quote!(#[serde(deny_unknown_fields)]));
    }
    schema::describe(item, &own)
}
