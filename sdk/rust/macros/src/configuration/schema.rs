//! The schema of a struct or an enum, in pieces: text, and the schemas of the fields' types.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Expr, ExprLit, Field, Fields, Lit, Meta, Variant};

use super::names::Renaming;

/// Text that is known here, and parts that only the compiler knows.
#[derive(Default)]
struct Pieces {
    pieces: Vec<TokenStream>,
    text: String,
}

impl Pieces {
    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for letter in text.chars() {
            match letter {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                control if control.is_control() => {
                    self.text.push_str(&format!("\\u{:04x}", u32::from(control)));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    fn described(&mut self, described: &syn::Type) {
        self.flush();
        self.pieces.push(quote!(<#described as ::portcullis_sdk::schema::Described>::SCHEMA));
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.pieces.push(quote!(&::portcullis_sdk::schema::Schema::Text(#text)));
        }
    }

    fn finish(mut self) -> Vec<TokenStream> {
        self.flush();
        self.pieces
    }
}

pub(super) fn describe(item: &DeriveInput, own: &Renaming) -> syn::Result<TokenStream> {
    let rule = own.rename_all.as_deref().unwrap_or("camelCase");
    let documentation = documentation(&item.attrs);
    let mut to = Pieces::default();
    match &item.data {
        _ if own.special => to.text("{}"),
        Data::Struct(data) => object(&mut to, &data.fields, own, rule, &documentation)?,
        Data::Enum(data) => {
            to.text("{");
            description(&mut to, &documentation);
            to.text("\"oneOf\":[");
            for (index, variant) in data.variants.iter().enumerate() {
                to.text(if index == 0 { "" } else { "," });
                variant_of(&mut to, variant, rule)?;
            }
            to.text("]}");
        }
        Data::Union(_) => {
            return Err(syn::Error::new_spanned(&item.ident, "a union is no configuration"));
        }
    }
    let (name, pieces) = (&item.ident, to.finish());
    Ok(quote! {
        impl ::portcullis_sdk::schema::Described for #name {
            const SCHEMA: &'static ::portcullis_sdk::schema::Schema =
                &::portcullis_sdk::schema::Schema::Sequence(&[#(#pieces),*]);
        }
    })
}

fn object(
    to: &mut Pieces,
    fields: &Fields,
    own: &Renaming,
    rule: &str,
    documentation: &str,
) -> syn::Result<()> {
    match fields {
        Fields::Named(named) => {
            let fields = read_fields(named.named.iter(), rule)?;
            to.text("{");
            description(to, documentation);
            properties(to, &fields);
            required(to, &fields, own.default);
            let open = fields.iter().any(|field| field.own.flatten);
            to.text(if open { "}" } else { ",\"additionalProperties\":false}" });
        }
        Fields::Unnamed(unnamed) => match unnamed.unnamed.first() {
            Some(only) if unnamed.unnamed.len() == 1 => to.described(&only.ty),
            _ => to.text("{\"type\":\"array\"}"),
        },
        Fields::Unit => to.text("{\"type\":\"null\"}"),
    }
    Ok(())
}

struct Named<'a> {
    name: String,
    own: Renaming,
    field: &'a Field,
}

fn read_fields<'a>(
    fields: impl Iterator<Item = &'a Field>,
    rule: &str,
) -> syn::Result<Vec<Named<'a>>> {
    let mut named = Vec::new();
    for field in fields {
        let own = Renaming::read(&field.attrs)?;
        let written = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = own.field_name(written.trim_start_matches("r#"), rule);
        if !own.skip {
            named.push(Named { name, own, field });
        }
    }
    Ok(named)
}

fn properties(to: &mut Pieces, fields: &[Named<'_>]) {
    to.text("\"type\":\"object\",\"properties\":{");
    for (index, Named { name, own, field }) in fields.iter().filter(|f| !f.own.flatten).enumerate()
    {
        to.text(if index == 0 { "" } else { "," });
        to.string(name);
        to.text(":");
        let documentation = documentation(&field.attrs);
        let documented = !documentation.is_empty();
        if documented {
            to.text("{");
            description(to, &documentation);
            to.text("\"allOf\":[");
        }
        match own.special {
            true => to.text("{}"),
            false => to.described(&field.ty),
        }
        to.text(if documented { "]}" } else { "" });
    }
    to.text("}");
}

/// Serde asks for every field but options and those with a default.
fn required(to: &mut Pieces, fields: &[Named<'_>], all_default: bool) {
    let needed: Vec<_> = fields.iter().filter(|field| is_required(field)).collect();
    if all_default || needed.is_empty() {
        return;
    }
    to.text(",\"required\":[");
    for (index, field) in needed.iter().enumerate() {
        to.text(if index == 0 { "" } else { "," });
        to.string(&field.name);
    }
    to.text("]");
}

fn is_required(field: &Named<'_>) -> bool {
    let optional = match &field.field.ty {
        syn::Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| last.ident == "Option")
        }
        _ => false,
    };
    !(field.own.default || field.own.flatten || optional && !field.own.special)
}

fn variant_of(to: &mut Pieces, variant: &Variant, rule: &str) -> syn::Result<()> {
    let own = Renaming::read(&variant.attrs)?;
    let name = own.variant_name(&variant.ident.to_string(), rule);
    to.text("{");
    description(to, &documentation(&variant.attrs));
    if matches!(variant.fields, Fields::Unit) {
        to.text("\"const\":");
        to.string(&name);
    } else {
        to.text("\"type\":\"object\",\"properties\":{");
        to.string(&name);
        to.text(":");
        object(to, &variant.fields, &own, own.rename_all.as_deref().unwrap_or(""), "")?;
        to.text("},\"required\":[");
        to.string(&name);
        to.text("],\"additionalProperties\":false");
    }
    to.text("}");
    Ok(())
}

fn description(to: &mut Pieces, documentation: &str) {
    if !documentation.is_empty() {
        to.text("\"description\":");
        to.string(documentation);
        to.text(",");
    }
}

/// The doc comment, its lines joined.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}
