//! Names and presence as serde's attributes give them.

use syn::{Attribute, Data, DeriveInput, LitStr};

/// What `#[serde(…)]` says of one type, variant or field.
#[derive(Default)]
pub(crate) struct Renaming {
    pub(crate) rename: Option<String>,
    pub(crate) rename_all: Option<String>,
    pub(crate) default: bool,
    pub(crate) skip: bool,
    pub(crate) flatten: bool,
    pub(crate) denies_unknown: bool,
    /// Read in a way of its own, so that its type says nothing of it.
    pub(crate) special: bool,
}

impl Renaming {
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut own = Renaming::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| {
                let word = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                match word.as_str() {
                    "default" => own.default = true,
                    "skip" | "skip_deserializing" => own.skip = true,
                    "flatten" => own.flatten = true,
                    "deny_unknown_fields" => own.denies_unknown = true,
                    "with" | "deserialize_with" | "tag" | "untagged" | "from" | "try_from"
                    | "transparent" => own.special = true,
                    _ => {}
                }
                if meta.input.peek(syn::Token![=]) {
                    let value: LitStr = meta.value()?.parse()?;
                    match word.as_str() {
                        "rename" => own.rename = Some(value.value()),
                        "rename_all" => own.rename_all = Some(value.value()),
                        _ => {}
                    }
                } else if meta.input.peek(syn::token::Paren) {
                    meta.parse_nested_meta(|nested| {
                        let value: LitStr = nested.value()?.parse()?;
                        match (word.as_str(), nested.path.is_ident("deserialize")) {
                            ("rename", true) => own.rename = Some(value.value()),
                            ("rename_all", true) => own.rename_all = Some(value.value()),
                            _ => {}
                        }
                        Ok(())
                    })?;
                }
                Ok(())
            })?;
        }
        Ok(own)
    }

    /// Whether serde would refuse `deny_unknown_fields`: a field is flattened, or it is written there already.
    pub(crate) fn flattens_into(&self, item: &DeriveInput) -> bool {
        let Data::Struct(data) = &item.data else { return false };
        let flattens =
            |field: &syn::Field| Renaming::read(&field.attrs).is_ok_and(|own| own.flatten);
        self.denies_unknown || data.fields.iter().any(flattens)
    }

    /// The name in JSON of a field written in snake_case.
    pub(crate) fn field_name(&self, written: &str, rule: &str) -> String {
        let words: Vec<String> = written.split('_').map(str::to_lowercase).collect();
        self.rename.clone().unwrap_or_else(|| match rule {
            "" | "snake_case" | "lowercase" => written.to_owned(),
            _ => joined(&words, rule),
        })
    }

    /// The name in JSON of a variant written in PascalCase.
    pub(crate) fn variant_name(&self, written: &str, rule: &str) -> String {
        let mut words: Vec<String> = Vec::new();
        for letter in written.chars() {
            match words.last_mut() {
                Some(word) if !letter.is_uppercase() => word.push(letter),
                _ => words.push(letter.to_lowercase().collect()),
            }
        }
        self.rename.clone().unwrap_or_else(|| joined(&words, rule))
    }
}

fn joined(words: &[String], rule: &str) -> String {
    let capital = |word: &String| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    match rule {
        "lowercase" => words.concat(),
        "UPPERCASE" => words.concat().to_uppercase(),
        "snake_case" => words.join("_"),
        "SCREAMING_SNAKE_CASE" => words.join("_").to_uppercase(),
        "kebab-case" => words.join("-"),
        "SCREAMING-KEBAB-CASE" => words.join("-").to_uppercase(),
        "camelCase" => {
            let first = words.first().cloned().unwrap_or_default();
            first + &words.iter().skip(1).map(capital).collect::<String>()
        }
        _ => words.iter().map(capital).collect(),
    }
}
