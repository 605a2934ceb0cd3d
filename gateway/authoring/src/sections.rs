//! The custom sections of a module: data beside the code, for whoever knows its name.

use wasmparser::{Parser, Payload};

/// The custom sections by name, in their order. What is no module has none.
pub(crate) fn custom_sections(module: &[u8]) -> Vec<(&str, &[u8])> {
    let payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    payloads
        .filter_map(|payload| match payload {
            Payload::CustomSection(section) => Some((section.name(), section.data())),
            _ => None,
        })
        .collect()
}

/// Adds one at the end, where a module may always have one.
pub(crate) fn add_custom_section(module: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut section = leb128(name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(data);
    module.push(0);
    module.extend(leb128(section.len()));
    module.extend(section);
}

/// The module without the custom sections of that name. What is no module stays as it is.
pub(crate) fn without_custom_section(module: &[u8], name: &str) -> Vec<u8> {
    const PREAMBLE: usize = 8;
    let mut kept = module.get(..PREAMBLE).unwrap_or(module).to_vec();
    let mut end = PREAMBLE;
    for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
        let dropped = matches!(&payload, Payload::CustomSection(section) if section.name() == name);
        let Some((_, range)) = payload.as_section() else { continue };
        // A section's head stands between the end of the one before and its own contents.
        if !dropped {
            kept.extend_from_slice(module.get(end..range.end).unwrap_or_default());
        }
        end = range.end;
    }
    kept
}

/// The format's way to write a number: seven bits a byte, the lowest first.
pub(crate) fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found() {
        let mut module = wat::parse_str("(module (memory 1))").unwrap();
        let long = vec![7; 300];
        add_custom_section(&mut module, "one", b"1");
        add_custom_section(&mut module, "long", &long);
        assert_eq!(custom_sections(&module), [("one", &b"1"[..]), ("long", &long[..])]);
        assert_eq!(custom_sections(b"no module"), []);
    }
}
