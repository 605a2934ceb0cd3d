//! Who pulls images: the entries `.dockerconfigjson` and `.dockercfg` of a Secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_model::{RegistryCredentials, RegistryLogin};
use serde_json::{Map, Value};

/// Reads the text of a `.dockerconfigjson`, or of the older `.dockercfg`, which lacks `auths` around it.
///
/// # Errors
/// Says what is wrong; no message shows a value.
pub fn read_pull_credentials(text: &[u8]) -> Result<RegistryCredentials, &'static str> {
    let parsed: Value = serde_json::from_slice(text).map_err(|_| "is no JSON")?;
    let root = parsed.as_object().ok_or("is no JSON object")?;
    let entries = match root.get("auths") {
        Some(auths) => auths.as_object().ok_or("has no object `auths`")?,
        None => root,
    };
    let logins: Vec<_> = entries
        .iter()
        .filter_map(|(registry, entry)| Some((registry.clone(), login(entry.as_object()?)?)))
        .collect();
    if logins.is_empty() {
        return Err("has no entry with `auth`, or with `username` and `password`");
    }
    Ok(RegistryCredentials::new(logins))
}

fn login(entry: &Map<String, Value>) -> Option<RegistryLogin> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let (Some(name), Some(password)) = (text("username"), text("password")) {
        return Some(RegistryLogin { name: name.to_owned(), password: password.to_owned() });
    }
    let decoded = STANDARD.decode(text("auth")?.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    let password = password.trim_end_matches('\0');
    Some(RegistryLogin { name: name.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RegistryCredentials, &'static str> {
        read_pull_credentials(text.as_bytes())
    }

    #[test]
    fn both_forms_and_both_spellings_of_a_login_are_read() {
        let auth = STANDARD.encode("me:pass:word");
        for text in [
            format!(r#"{{"auths":{{"https://r.example:5000/v1/":{{"auth":"{auth}"}}}}}}"#),
            format!(r#"{{"r.example:5000":{{"auth":"{auth}"}}}}"#),
            r#"{"auths":{"r.example:5000":{"username":"me","password":"pass:word"}}}"#.to_owned(),
        ] {
            let known = read(&text).unwrap();
            let login = known.of("r.example:5000").unwrap();
            assert_eq!((&*login.name, &*login.password), ("me", "pass:word"));
        }
    }

    #[test]
    fn what_holds_no_login_is_refused() {
        for text in ["", "[]", "{}", r#"{"auths":1}"#, r#"{"auths":{"r":{"auth":"%"}}}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
