//! Every problem code, each with its meaning; `docs/problems.md` says for each what to do.
//!
//! A code never changes its meaning. Those that other rooms report stand here too, so that all are in one
//! list.

use portcullis_model::Code;

/// A file or directory cannot be read.
pub const FILE_UNREADABLE: Code = Code("PC0101");
/// A document is not valid YAML or JSON.
pub const SYNTAX: Code = Code("PC0102");
/// A document is too deep, too large, or repeats itself too often through aliases.
pub const BUDGET: Code = Code("PC0103");
/// A key stands twice in one mapping.
pub const DUPLICATE_KEY: Code = Code("PC0104");
/// A document is no Kubernetes object: no mapping, or without `apiVersion` or `kind`.
pub const NOT_AN_OBJECT: Code = Code("PC0105");
/// A configured path that is missing, cannot be read, or is suddenly empty; its last good state serves on.
pub const SOURCE_GONE: Code = Code("PC0106");
/// A file is larger than a manifest may be.
pub const FILE_TOO_LARGE: Code = Code("PC0107");
/// A directory holds more manifest files than are read.
pub const TOO_MANY_FILES: Code = Code("PC0108");

/// A group that the gateway knows has no such kind.
pub const UNKNOWN_KIND: Code = Code("PC0201");
/// The kind has no such API version.
pub const UNKNOWN_VERSION: Code = Code("PC0202");
/// A kind of an API group that is none of the gateway's; the object is skipped.
pub const FOREIGN_KIND: Code = Code("PC0203");
/// A kind that is known, but not served yet; the object is skipped.
pub const KIND_NOT_SERVED: Code = Code("PC0204");
/// What protects cannot be used: what it covers is refused.
pub const PROTECTION_NOT_SERVED: Code = Code("PC0205");
/// The kind has no such field.
pub const UNKNOWN_FIELD: Code = Code("PC0206");
/// A field that is known, but not served yet; it has no effect.
pub const FIELD_NOT_SERVED: Code = Code("PC0207");
/// A value of another type than the field's.
pub const WRONG_TYPE: Code = Code("PC0208");
/// A field that has to be there is not.
pub const MISSING: Code = Code("PC0209");
/// A value that the field does not take.
pub const BAD_VALUE: Code = Code("PC0210");
/// A value that is known, but not served yet.
pub const VALUE_NOT_SERVED: Code = Code("PC0211");
/// Fields that exclude each other.
pub const EXCLUSIVE: Code = Code("PC0212");
/// Two objects of the same kind, namespace and name.
pub const DUPLICATE_OBJECT: Code = Code("PC0213");
/// A rule behind one of the same object that takes every request.
pub const UNREACHABLE_RULE: Code = Code("PC0214");
/// A certificate or key that cannot be used, or that do not belong together.
pub const CREDENTIAL: Code = Code("PC0215");
/// A field or value that is deprecated; it is served as what took its place.
pub const DEPRECATED: Code = Code("PC0216");
/// A field that has no effect beside what else is written, or is not.
pub const NO_EFFECT: Code = Code("PC0217");
/// A regular expression that is none, or not in RE2's language.
pub const PATTERN_SYNTAX: Code = Code("PC0218");
/// A regular expression that is longer than 1 KiB, or too large once it is compiled.
pub const PATTERN_TOO_LARGE: Code = Code("PC0219");
/// A `retryOn` that names what an upstream may have acted on: a POST or PATCH is not repeated for it.
pub const UNSAFE_RETRY: Code = Code("PC0220");
/// Weights of destinations that do not sum to 100.
pub const WEIGHTS_SUM: Code = Code("PC0221");
/// A match that no request fulfils.
pub const NEVER_MATCHES: Code = Code("PC0222");
/// An expression (CEL) that cannot be evaluated.
pub const EXPRESSION: Code = Code("PC0223");
/// The regular expressions of a namespace take more than they may.
pub const EXPRESSION_BUDGET: Code = Code("PC0224");
/// An object whose hosts and rules make more routes than one may have.
pub const TOO_MANY_ROUTES: Code = Code("PC0225");
/// A key set from which no key verifies tokens, or that is none.
pub const KEY_SET: Code = Code("PC0230");
/// A key of a set that verifies nothing here.
pub const KEY_LEFT_OUT: Code = Code("PC0231");
/// Keys that are fetched in plain text.
pub const KEYS_IN_PLAIN_TEXT: Code = Code("PC0232");
/// An external authorizer, of which there are none here: what it would be asked about is refused.
pub const PROVIDER_NOT_SERVED: Code = Code("PC0235");
/// A condition of an authorization policy that cannot be decided where the policy stands.
pub const CONDITION_UNDECIDABLE: Code = Code("PC0236");
/// A value with a `*` that means itself, since it is not at one end.
pub const LITERAL_STAR: Code = Code("PC0237");

/// A Secret that is named, but missing.
pub const SECRET_MISSING: Code = Code("PC0301");
/// A Secret that is there, but has no usable certificate and key.
pub const SECRET_UNUSABLE: Code = Code("PC0302");
/// A Gateway that is named, but missing.
pub const GATEWAY_MISSING: Code = Code("PC0303");
/// A destination whose service is missing.
pub const SERVICE_MISSING: Code = Code("PC0304");
/// A destination whose subset is missing.
pub const SUBSET_MISSING: Code = Code("PC0305");
/// A destination whose port the service does not have, or that has to say which one it means.
pub const PORT_MISSING: Code = Code("PC0306");
/// A destination that has no endpoint.
pub const NO_ENDPOINTS: Code = Code("PC0307");
/// Two servers speak different protocols on one port and address.
pub const PROTOCOL_CONFLICT: Code = Code("PC0308");
/// A rule that never matches, because an earlier one on the same host takes its requests.
pub const SHADOWED_RULE: Code = Code("PC0309");
/// A route's host that none of its Gateways takes.
pub const HOST_NOT_TAKEN: Code = Code("PC0310");
/// A route that is bound to the mesh alone.
pub const MESH_ONLY: Code = Code("PC0311");
/// A plugin that runs on no server and no rule.
pub const PLUGIN_UNATTACHED: Code = Code("PC0312");
/// A host and port that two services claim.
pub const DUPLICATE_SERVICE: Code = Code("PC0313");
/// A DestinationRule whose host is no service here.
pub const RULE_WITHOUT_SERVICE: Code = Code("PC0314");
/// Two EdgePolicies set the same field for the same target.
pub const SETTING_CONFLICT: Code = Code("PC0315");
/// Servers that share a port and address are to have different settings of connections.
pub const SOCKET_SHARED: Code = Code("PC0316");
/// What an EdgePolicy is for is missing, or the section of it.
pub const TARGET_MISSING: Code = Code("PC0317");
/// A `tls` or `tcp` rule that no server of its Gateways has a use for.
pub const TCP_RULE_UNUSED: Code = Code("PC0318");
/// A host of a server that ends TLS, which none of its certificates is for.
pub const HOST_WITHOUT_CERTIFICATE: Code = Code("PC0319");
/// A file with a certificate, key, authority or revocation list that cannot be used.
pub const CERTIFICATE_FILE: Code = Code("PC0320");
/// A server is to verify its clients, but there is nothing to verify them by.
pub const CLIENTS_UNVERIFIABLE: Code = Code("PC0321");
/// Endpoints are to be verified, but there is nothing to verify them by.
pub const UPSTREAM_UNVERIFIABLE: Code = Code("PC0322");
/// A VirtualService that a rule delegates to is missing, or not meant for it.
pub const DELEGATE_MISSING: Code = Code("PC0323");
/// A delegate's rule whose conditions are not within those of the rule that delegates.
pub const DELEGATE_CONFLICT: Code = Code("PC0324");
/// A VirtualService without hosts that no rule delegates to.
pub const DELEGATE_UNUSED: Code = Code("PC0325");
/// A rule that shares some requests with an earlier one of another object, neither being the narrower.
pub const OVERLAPPING_RULE: Code = Code("PC0326");
/// A raw prefix beside prefixes of whole segments on one host.
pub const PREFIX_SEMANTICS: Code = Code("PC0327");
/// A policy or subset of a DestinationRule that does not count, as an earlier rule of the same host has one.
pub const RULE_NOT_COUNTED: Code = Code("PC0330");
/// An Ingress of a class that is not written.
pub const CLASS_MISSING: Code = Code("PC0340");
/// An annotation of an Ingress that another controller would heed.
pub const FOREIGN_ANNOTATION: Code = Code("PC0341");
/// An HTTPRoute and a GRPCRoute for one host of a listener: the older one has it.
pub const ROUTE_KINDS: Code = Code("PC0342");
/// A reference to an object of another namespace that no ReferenceGrant there permits.
pub const NOT_PERMITTED: Code = Code("PC0345");
/// A route or ListenerSet that what it names does not take.
pub const NOT_ALLOWED: Code = Code("PC0346");
/// A policy that covers no Gateway.
pub const POLICY_UNATTACHED: Code = Code("PC0350");
/// Keys for tokens that could not be fetched.
pub const KEYS_UNFETCHED: Code = Code("PC0351");

/// A plugin's module cannot be read.
pub const PLUGIN_UNREADABLE: Code = Code("PC0401");
/// There is no shipped plugin of that name.
pub const PLUGIN_NOT_SHIPPED: Code = Code("PC0402");
/// A plugin's module has another SHA-256 than the object says.
pub const PLUGIN_DIGEST: Code = Code("PC0403");
/// A plugin's module does not compile, does not start, or is no Proxy-Wasm module.
pub const PLUGIN_MODULE: Code = Code("PC0404");
/// A plugin's module imports what the gateway does not offer.
pub const PLUGIN_IMPORT: Code = Code("PC0405");
/// A plugin refused its configuration.
pub const PLUGIN_REFUSED: Code = Code("PC0406");
/// A plugin's module is still on its way.
pub const PLUGIN_LOADING: Code = Code("PC0407");
/// A plugin's module cannot be fetched.
pub const PLUGIN_FETCH: Code = Code("PC0408");
/// A plugin's image is not signed by the key that it has to be signed by.
pub const PLUGIN_SIGNATURE: Code = Code("PC0409");
/// A plugin's module needs what it may not touch, or does not say what it touches where that is demanded.
pub const PLUGIN_CAPABILITIES: Code = Code("PC0410");
/// A plugin's module is elsewhere and was not looked at.
pub const PLUGIN_UNCHECKED: Code = Code("PC0411");

/// A listener's port is in use.
pub const PORT_IN_USE: Code = Code("PC0501");
/// The process may not bind a listener's port.
pub const PORT_FORBIDDEN: Code = Code("PC0502");
/// The machine does not have a listener's address.
pub const ADDRESS_UNKNOWN: Code = Code("PC0503");
/// The system refused a listener's socket for another reason.
pub const CANNOT_LISTEN: Code = Code("PC0504");
/// A Gateway's connections are to begin with a PROXY header, and no network is trusted to send one.
pub const NO_TRUSTED_NETWORK: Code = Code("PC0505");

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_is_documented_and_means_one_thing() {
        let documented = include_str!("../../../docs/problems.md");
        let mut codes: Vec<&str> = include_str!("codes.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1))
            .collect();
        for code in &codes {
            assert!(
                documented.contains(&format!("| {code} |")),
                "{code} is not in docs/problems.md"
            );
        }
        let rows = documented.lines().filter(|line| line.starts_with("| PC"));
        assert_eq!(rows.count(), codes.len());
        codes.dedup();
        assert!(codes.is_sorted(), "codes stand in order, each once");
    }
}
