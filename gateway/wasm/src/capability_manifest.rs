//! What a module says that it touches: JSON in the custom section `portcullis.capabilities`.

use portcullis_model::{Capabilities, Capability, ManifestDemand, Plugin};
use serde::Deserialize;
use wasmparser::{Parser, Payload};

use crate::load_error::LoadError;

/// The section's name.
pub(crate) const SECTION: &str = "portcullis.capabilities";
const VERSION: u32 = 1;
const MOST_BYTES: usize = 64 << 10;
const MOST_UPSTREAMS: usize = 256;

/// The capabilities that a module declares; `None` where it has no manifest.
///
/// # Errors
/// It has several, or one that cannot be read: what it would narrow is not known, so it narrows nothing.
pub fn read_capability_manifest(module: &[u8]) -> Result<Option<Capabilities>, LoadError> {
    let mut found = None;
    for payload in Parser::new(0).parse_all(module) {
        // The compiler says better what is wrong with a module.
        let Ok(payload) = payload else { break };
        if let Payload::CustomSection(section) = payload
            && section.name() == SECTION
            && found.replace(section.data()).is_some()
        {
            return Err(broken("there are two of them"));
        }
    }
    found.map(read_section).transpose()
}

/// What a plugin may touch: what its manifest asks for, or, without one, what the operator's annotation grants, or the
/// compatible set.
///
/// # Errors
/// The manifest asks for more than is granted, or there is none where one is demanded.
pub(crate) fn settle_capabilities(
    settings: &Plugin,
    declared: Option<&Capabilities>,
) -> Result<Capabilities, LoadError> {
    let granted = settings.capabilities.as_ref();
    let Some(declared) = declared else {
        if settings.manifest_demand == ManifestDemand::Required {
            return Err(LoadError::Capabilities {
                reason: format!(
                    "the module has no manifest (section `{SECTION}`), and a Gateway that it serves demands one"
                ),
            });
        }
        return Ok(granted.cloned().unwrap_or_else(Capabilities::compatible));
    };
    let Some(granted) = granted else { return Ok(declared.clone()) };
    let beyond = declared.beyond(granted);
    if beyond.is_empty() {
        return Ok(declared.and(granted));
    }
    Err(LoadError::Capabilities {
        reason: format!("the module needs what is not granted: {}", beyond.join(", ")),
    })
}

fn read_section(section: &[u8]) -> Result<Capabilities, LoadError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        version: u32,
        capabilities: Vec<String>,
        #[serde(default)]
        upstreams: Option<Vec<String>>,
    }
    if section.len() > MOST_BYTES {
        return Err(broken("it is larger than 64 KiB"));
    }
    let written: Written =
        serde_json::from_slice(section).map_err(|error| broken(&error.to_string()))?;
    if written.version != VERSION {
        return Err(broken(&format!("its version is {}, not {VERSION}", written.version)));
    }
    let mut capabilities = Capabilities::none();
    for name in &written.capabilities {
        let known = Capability::named(name)
            .ok_or_else(|| broken(&format!("there is no capability `{}`", name.escape_debug())))?;
        capabilities = capabilities.with(known);
    }
    match written.upstreams {
        None => Ok(capabilities),
        Some(names) if names.len() > MOST_UPSTREAMS => Err(broken("it names too many upstreams")),
        Some(_) if !capabilities.has(Capability::Upstreams) => {
            Err(broken("it names upstreams without the capability `upstreams`"))
        }
        Some(names) => Ok(capabilities.calling(names)),
    }
}

fn broken(why: &str) -> LoadError {
    LoadError::Capabilities { reason: format!("the module's manifest cannot be read: {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(sections: &[&str]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        for text in sections {
            let mut section = vec![u8::try_from(SECTION.len()).unwrap()];
            section.extend(SECTION.as_bytes());
            section.extend(text.as_bytes());
            module.push(0);
            let length = section.len();
            module.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
            module.extend(section);
        }
        module
    }

    fn read(text: &str) -> Result<Option<Capabilities>, LoadError> {
        read_capability_manifest(&module(&[text]))
    }

    #[test]
    fn a_manifest_says_what_is_touched() {
        assert_eq!(read_capability_manifest(&module(&[])), Ok(None));
        let read =
            read(r#"{"version":1,"capabilities":["headers","upstreams"],"upstreams":["a"]}"#);
        assert_eq!(read.unwrap().unwrap().to_string(), "headers,upstreams=a");
    }

    #[test]
    fn one_that_cannot_be_read_is_refused() {
        let good = r#"{"version":1,"capabilities":[]}"#;
        for text in [
            "",
            "{}",
            r#"{"version":2,"capabilities":[]}"#,
            r#"{"version":1,"capabilities":["clock"]}"#,
            r#"{"version":1,"capabilities":[],"upstreams":["a"]}"#,
            r#"{"version":1,"capabilities":[],"more":1}"#,
        ] {
            assert!(matches!(read(text), Err(LoadError::Capabilities { .. })), "{text}");
        }
        let two = read_capability_manifest(&module(&[good, good]));
        assert!(two.unwrap_err().to_string().contains("two"));
    }

    #[test]
    fn nobody_gets_more_than_both_say() {
        let parse = |text: &str| Capabilities::parse(text).unwrap();
        let mut settings = Plugin::for_test("p");
        let settled = |settings: &Plugin, declared: Option<&str>| {
            settle_capabilities(settings, declared.map(parse).as_ref())
        };
        assert!(settled(&settings, None).unwrap().is_compatible());
        assert_eq!(settled(&settings, Some("headers")), Ok(parse("headers")));
        settings.capabilities = Some(parse("headers,log,upstreams=a"));
        assert_eq!(settled(&settings, None), Ok(parse("headers,log,upstreams=a")));
        assert_eq!(settled(&settings, Some("upstreams")), Ok(parse("upstreams=a")));
        let refused = settled(&settings, Some("body,headers")).unwrap_err().to_string();
        assert!(refused.contains("not granted: body"), "{refused}");
        settings.manifest_demand = ManifestDemand::Required;
        assert!(settled(&settings, None).unwrap_err().to_string().contains("demands"));
        assert!(settled(&settings, Some("log")).is_ok());
    }
}
