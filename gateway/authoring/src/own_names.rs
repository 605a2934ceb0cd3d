//! The names of functions in a module: the author's own stay, so that the backtrace of a trap says where it was; those of
//! the standard library and of the SDK would be a third of a small module.

use wasmparser::{KnownCustom, Name, NameSectionReader, Parser, Payload};

use crate::sections::{add_custom_section, leb128, without_custom_section};

const SECTION: &str = "name";
/// The subsection that names functions.
const FUNCTIONS: u8 = 1;

/// The module with names of functions of this crate alone.
pub(crate) fn keep_own_names(module: &[u8], name: &str) -> Vec<u8> {
    let own = own_names(module, &name.replace('-', "_"));
    let mut module = without_custom_section(module, SECTION);
    if !own.is_empty() {
        add_custom_section(&mut module, SECTION, &encode(&own));
    }
    module
}

/// Mangled names hold the crate's name with its length before it, in both of Rust's schemes.
fn own_names<'a>(module: &'a [u8], crate_name: &str) -> Vec<(u32, &'a str)> {
    let mark = format!("{}{crate_name}", crate_name.len());
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
        if let Payload::CustomSection(section) = payload
            && let KnownCustom::Name(section) = section.as_known()
        {
            names.extend(functions(section).filter(|(_, name)| name.contains(&mark)));
        }
    }
    names
}

fn functions<'a>(section: NameSectionReader<'a>) -> impl Iterator<Item = (u32, &'a str)> {
    let maps = section.into_iter().map_while(Result::ok).filter_map(|name| match name {
        Name::Function(map) => Some(map),
        _ => None,
    });
    maps.flat_map(|map| map.into_iter().map_while(Result::ok))
        .map(|naming| (naming.index, naming.name))
}

/// Functions by number, in their order.
fn encode(names: &[(u32, &str)]) -> Vec<u8> {
    let mut map = leb128(names.len());
    for (index, name) in names {
        map.extend(leb128(usize::try_from(*index).unwrap_or_default()));
        map.extend(leb128(name.len()));
        map.extend_from_slice(name.as_bytes());
    }
    let mut section = vec![FUNCTIONS];
    section.extend(leb128(map.len()));
    section.extend(map);
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(module: &[u8]) -> Vec<(u32, &str)> {
        own_names(module, "my_filter")
    }

    #[test]
    fn the_authors_names_stay_and_the_others_go() {
        let module = wat::parse_str(
            "(module (func $_RNv9my_filter5guard) (func $_RNv4core3fmt5write) (func $_ZN9my_filter5check17h0E))",
        )
        .unwrap();
        let kept = keep_own_names(&module, "my-filter");
        assert_eq!(names(&kept), [(0, "_RNv9my_filter5guard"), (2, "_ZN9my_filter5check17h0E")]);
        let text = String::from_utf8_lossy(&kept).into_owned();
        assert!(!text.contains("core"), "{text}");
        assert!(wasmparser::validate(&kept).is_ok());
    }

    #[test]
    fn a_module_without_names_stays_as_it_is() {
        let module = wat::parse_str("(module (memory 1))").unwrap();
        assert_eq!(keep_own_names(&module, "my-filter"), module);
    }
}
