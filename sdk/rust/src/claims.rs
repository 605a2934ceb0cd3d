//! The claims of the token that the gateway's own authentication verified before the filter ran.

use crate::host;
use crate::packed::Packed;

/// Where Portcullis, Istio and Envoy leave a verified token.
const VERIFIED: [&str; 3] = ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn"];
/// Istio's name for the payload, whoever issued it.
const PAYLOAD: &str = "payload";

/// The claims of a verified token, or of an object inside it. Nobody verified a token, or it lacks the claim: there is
/// none. A claim of another type than is asked for is none either.
///
/// ```
/// use portcullis_sdk::Claims;
/// # let host = portcullis_sdk::mock::Host::new();
/// host.set_claims(r#"{"sub": "ann", "groups": ["dev", "ops"], "org": {"tier": 2}}"#);
///
/// let claims = Claims::of_request();
/// assert_eq!(claims.text("sub").as_deref(), Some("ann"));
/// assert_eq!(claims.list("groups"), ["dev", "ops"]);
/// assert_eq!(claims.within("org").number("tier"), Some(2.0));
/// assert_eq!(claims.text("team"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Parts of the property's path joined by NUL.
    path: String,
}

impl Claims {
    /// Those of the request's token, whoever issued it: in Portcullis, and as Istio has Envoy leave them.
    pub fn of_request() -> Self {
        Claims::under(PAYLOAD)
    }

    /// Those of the token, if this issuer made it. Needed alone where an Envoy names the payload by its issuer
    /// (`payload_in_metadata`), as older versions of Istio have it do.
    ///
    /// ```
    /// use portcullis_sdk::Claims;
    /// # let host = portcullis_sdk::mock::Host::new();
    /// host.set_claims(r#"{"iss": "https://login.example.com", "sub": "ann"}"#);
    ///
    /// assert!(Claims::of_issuer("https://login.example.com").text("sub").is_some());
    /// assert!(Claims::of_issuer("https://other.example.com").text("sub").is_none());
    /// ```
    pub fn of_issuer(issuer: &str) -> Self {
        Claims::under(issuer)
    }

    fn under(key: &str) -> Self {
        let mut path = VERIFIED.join("\0");
        path.push('\0');
        path.push_str(key);
        Claims { path }
    }

    /// The claims inside a claim that is an object.
    ///
    /// ```
    /// use portcullis_sdk::Claims;
    /// # let host = portcullis_sdk::mock::Host::new();
    /// host.set_claims(r#"{"realm_access": {"roles": ["admin"]}}"#);
    ///
    /// assert_eq!(Claims::of_request().within("realm_access").list("roles"), ["admin"]);
    /// ```
    pub fn within(&self, name: &str) -> Self {
        Claims { path: self.path_of(name) }
    }

    /// A claim that is text.
    ///
    /// ```
    /// use portcullis_sdk::Claims;
    /// # let host = portcullis_sdk::mock::Host::new();
    /// host.set_claims(r#"{"sub": "ann"}"#);
    ///
    /// assert_eq!(Claims::of_request().text("sub").as_deref(), Some("ann"));
    /// ```
    pub fn text(&self, name: &str) -> Option<String> {
        readable(self.bytes(name)?)
    }

    /// A claim that is a number, such as `exp`.
    ///
    /// ```
    /// use portcullis_sdk::Claims;
    /// # let host = portcullis_sdk::mock::Host::new();
    /// host.set_claims(r#"{"exp": 1300819380}"#);
    ///
    /// assert_eq!(Claims::of_request().number("exp"), Some(1300819380.0));
    /// ```
    pub fn number(&self, name: &str) -> Option<f64> {
        // Portcullis shows a number as JSON does, Envoy gives its eight bytes.
        let bytes = self.bytes(name)?;
        let written = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
        written.or_else(|| bytes.try_into().ok().map(f64::from_le_bytes))
    }

    /// A claim that is true or false, such as `email_verified`.
    ///
    /// ```
    /// use portcullis_sdk::Claims;
    /// # let host = portcullis_sdk::mock::Host::new();
    /// host.set_claims(r#"{"email_verified": true}"#);
    ///
    /// assert_eq!(Claims::of_request().flag("email_verified"), Some(true));
    /// assert_eq!(Claims::of_request().flag("admin"), None);
    /// ```
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.bytes(name)?.as_slice() {
            b"true" | [1] => Some(true),
            b"false" | [0] => Some(false),
            _ => None,
        }
    }

    /// A claim that is a list of texts; a single text, as `aud` may be, is a list of one. No claim is an empty list.
    ///
    /// ```
    /// use portcullis_sdk::Claims;
    /// # let host = portcullis_sdk::mock::Host::new();
    /// host.set_claims(r#"{"aud": "web", "groups": ["dev", "ops"]}"#);
    ///
    /// assert_eq!(Claims::of_request().list("groups"), ["dev", "ops"]);
    /// assert_eq!(Claims::of_request().list("aud"), ["web"]);
    /// ```
    pub fn list(&self, name: &str) -> Vec<String> {
        let bytes = self.bytes(name).unwrap_or_default();
        if bytes.is_empty() {
            return Vec::new();
        }
        // Portcullis gives JSON, Envoy its packed form, which begins with a count and so never is readable.
        if bytes.starts_with(b"[") {
            return serde_json::from_slice(&bytes).unwrap_or_default();
        }
        let packed = Packed(bytes);
        let listed: Vec<_> =
            packed.iter().filter_map(|(value, _)| readable(value.to_vec())).collect();
        if listed.is_empty() { readable(packed.0).into_iter().collect() } else { listed }
    }

    /// The bytes of a claim as the host gives them.
    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        host::property(&self.path_of(name)).ok()?
    }

    fn path_of(&self, name: &str) -> String {
        [&self.path, "\0", name].concat()
    }
}

/// Text; eight bytes of a number or a packed map have a zero among them.
fn readable(bytes: Vec<u8>) -> Option<String> {
    if bytes.contains(&0) {
        return None;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::Host;

    const PREFIX: &str = "metadata.filter_metadata.envoy.filters.http.jwt_authn.payload";

    /// The values as Envoy gives them.
    #[test]
    fn envoy_s_own_types_read_alike() {
        let host = Host::new();
        let set = |name: &str, value: &[u8]| host.set_property(&format!("{PREFIX}.{name}"), value);
        set("sub", b"ann");
        set("exp", &1_300_819_380.0_f64.to_le_bytes());
        set("two", &2.0_f64.to_le_bytes());
        set("admin", &[1]);
        set("groups", &Packed::pack(&[("dev", ""), ("ops", "")]));
        set("org.tier", &2.0_f64.to_le_bytes());
        let claims = Claims::of_request();
        assert_eq!(claims.text("sub").as_deref(), Some("ann"));
        assert_eq!(claims.number("exp"), Some(1_300_819_380.0));
        assert_eq!((claims.number("two"), claims.text("two")), (Some(2.0), None));
        assert_eq!(claims.flag("admin"), Some(true));
        assert_eq!(claims.list("groups"), ["dev", "ops"]);
        assert_eq!(claims.within("org").number("tier"), Some(2.0));
    }

    #[test]
    fn without_a_verified_token_there_are_none() {
        Host::new();
        let claims = Claims::of_request();
        assert_eq!((claims.text("a"), claims.number("a"), claims.flag("a")), (None, None, None));
        assert!(claims.list("a").is_empty());
    }

    #[test]
    fn a_claim_of_another_type_is_none() {
        let host = Host::new();
        host.set_claims(r#"{"sub": "ann", "list": [1, 2], "map": {"a": "b"}, "flag": false}"#);
        let claims = Claims::of_request();
        assert_eq!((claims.number("sub"), claims.flag("sub")), (None, None));
        assert!(claims.list("list").is_empty());
        assert_eq!(claims.flag("flag"), Some(false));
        assert_eq!(claims.within("map").text("a").as_deref(), Some("b"));
    }
}
