//! The annotations of an Ingress: its class, and what other controllers would do with its requests.

use std::sync::Arc;

use portcullis_model::Origin;

use super::ingress_class::ClassName;
use crate::metadata::annotations;
use crate::raw_object::RawObject;
use crate::reader::Cursor;
use crate::report::Report;

/// An annotation for another controller.
#[derive(Clone, Debug)]
pub(crate) struct ForeignAnnotation {
    pub(crate) name: Arc<str>,
    pub(crate) field: String,
    pub(crate) origin: Origin,
    /// What to write here.
    pub(crate) instead: &'static str,
    pub(crate) weight: Weight,
}

/// What is lost where an annotation is not heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Requests are treated otherwise.
    Behaviour,
    /// Requests get through that should be refused.
    Protection,
}

const CLASS: &str = "kubernetes.io/ingress.class";

/// Those for whom an Ingress may be annotated.
const CONTROLLERS: [&str; 11] = [
    "nginx.ingress.kubernetes.io/",
    "alb.ingress.kubernetes.io/",
    "traefik.ingress.kubernetes.io/",
    "haproxy.org/",
    "haproxy-ingress.github.io/",
    "ingress.kubernetes.io/",
    "appgw.ingress.kubernetes.io/",
    "projectcontour.io/",
    "konghq.com/",
    "nginx.org/",
    "nginx.com/",
];

/// What a load balancer is made of, not what it does with requests.
const OF_THE_MACHINE: [&str; 16] = [
    "certificate-arn",
    "customer-owned-ipv4-pool",
    "group.name",
    "group.order",
    "ip-address-type",
    "load-balancer-attributes",
    "load-balancer-name",
    "manage-backend-security-group-rules",
    "minimum-load-balancer-capacity",
    "scheme",
    "security-groups",
    "ssl-policy",
    "subnets",
    "tags",
    "target-node-labels",
    "target-type",
];

const ACCESS: &str = "an AuthorizationPolicy";
const LOGIN: &str = "a RequestAuthentication with an AuthorizationPolicy, or a WasmPlugin";
const CLIENTS: &str = "`tls.mode: MUTUAL` on a server of a Gateway";

/// What protects, by how the name begins behind the controller's prefix.
const PROTECTING: [(&str, &str); 14] = [
    ("allowlist-source-range", ACCESS),
    ("auth-tls", CLIENTS),
    ("auth", LOGIN),
    ("denylist-source-range", ACCESS),
    ("deny-list", ACCESS),
    ("allow-list", ACCESS),
    ("enable-global-auth", LOGIN),
    ("enable-modsecurity", "a WasmPlugin"),
    ("modsecurity", "a WasmPlugin"),
    ("inbound-cidrs", ACCESS),
    ("mutual-authentication", CLIENTS),
    ("shield", "a WasmPlugin"),
    ("waf", "a WasmPlugin"),
    ("whitelist", ACCESS),
];

const REWRITE: &str = "the filter URLRewrite of an HTTPRoute, or `rewrite` of a VirtualService";
const TIMES: &str = "`timeouts` of an HTTPRoute, or `timeout` of a VirtualService";
const HEADERS: &str = "a header modifier of an HTTPRoute, or `headers` of a VirtualService";
const REDIRECT: &str =
    "the filter RequestRedirect of an HTTPRoute, or `tls.httpsRedirect` of a Gateway";
const UPSTREAM: &str = "a DestinationRule for the Service";

/// What to write instead, by a part of the name.
const INSTEAD: [(&str, &str); 26] = [
    ("ssl-passthrough", "a TLSRoute, or `tls.mode: PASSTHROUGH` on a server of a Gateway"),
    ("regex", "a RegularExpression in an HTTPRoute, or `uri.regex` in a VirtualService"),
    ("rewrite", REWRITE),
    ("app-root", REDIRECT),
    ("redirect", REDIRECT),
    ("actions.", "an HTTPRoute or a VirtualService"),
    ("conditions.", "an HTTPRoute or a VirtualService"),
    ("canary", "weights of an HTTPRoute or a VirtualService"),
    ("cors", "the filter CORS of an HTTPRoute, or `corsPolicy` of a VirtualService"),
    ("limit", "a rate limit of an EdgePolicy"),
    ("retries", "`retry` of an HTTPRoute, or `retries` of a VirtualService"),
    ("next-upstream", "`retry` of an HTTPRoute, or `retries` of a VirtualService"),
    ("timeout", TIMES),
    ("body-size", "an EdgePolicy"),
    ("buffer", "an EdgePolicy"),
    ("backend-protocol", "`appProtocol` of the Service's port, or a BackendTLSPolicy"),
    ("ssl", "a BackendTLSPolicy, or `tls` of a DestinationRule"),
    ("affinity", UPSTREAM),
    ("session-cookie", UPSTREAM),
    ("load-balance", UPSTREAM),
    ("hash", UPSTREAM),
    ("healthcheck", "the annotation `portcullis.dev/health-check` of the Service"),
    ("target-group-attributes", UPSTREAM),
    ("mirror", "the filter RequestMirror of an HTTPRoute, or `mirrors` of a VirtualService"),
    ("header", HEADERS),
    ("snippet", "a WasmPlugin, or a VirtualService"),
];

/// The class that is annotated.
pub(super) fn class_annotation(raw: &RawObject, report: &Report) -> Option<ClassName> {
    each_annotation(raw, report, |name, value| {
        if name != CLASS {
            return None;
        }
        let text = value.text()?;
        Some(ClassName { name: text.into(), field: value.path(), origin: value.origin() })
    })
    .pop()
}

/// The annotations for other controllers that are about requests.
pub(super) fn foreign_annotations(raw: &RawObject, report: &Report) -> Vec<ForeignAnnotation> {
    each_annotation(raw, report, |name, value| {
        let rest = CONTROLLERS.iter().find_map(|prefix| name.strip_prefix(prefix))?;
        let (weight, instead) = meaning(rest)?;
        let (field, origin) = (value.path(), value.origin());
        Some(ForeignAnnotation { name: name.into(), field, origin, instead, weight })
    })
}

/// What is lost with an annotation, and what to write instead; `None` where it is nothing to requests.
fn meaning(name: &str) -> Option<(Weight, &'static str)> {
    if OF_THE_MACHINE.contains(&name) {
        return None;
    }
    let protecting = PROTECTING.iter().find(|(start, _)| name.starts_with(start));
    if let Some((_, instead)) = protecting {
        return Some((Weight::Protection, instead));
    }
    let known = INSTEAD.iter().find(|(part, _)| name.contains(part));
    let instead = known.map_or("an HTTPRoute or a VirtualService", |(_, instead)| *instead);
    Some((Weight::Behaviour, instead))
}

fn each_annotation<T>(
    raw: &RawObject,
    report: &Report,
    mut read: impl FnMut(&str, &Cursor<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(annotations) = annotations(raw) else { return Vec::new() };
    Cursor::root(&raw.node, report).within(&["metadata", "annotations"], annotations, |all| {
        if all.is_null() {
            return Vec::new();
        }
        all.entries().filter_map(|(name, value)| read(name, &value)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_protects_is_told_from_what_does_not() {
        for name in ["auth-url", "auth-tls-secret", "whitelist-source-range", "wafv2-acl-arn"] {
            assert_eq!(meaning(name).map(|(weight, _)| weight), Some(Weight::Protection), "{name}");
        }
        for name in ["rewrite-target", "ssl-redirect", "limit-rps", "canary-weight", "unheard-of"] {
            assert_eq!(meaning(name).map(|(weight, _)| weight), Some(Weight::Behaviour), "{name}");
        }
        assert_eq!(meaning("ssl-redirect"), Some((Weight::Behaviour, REDIRECT)));
        for name in ["scheme", "target-type", "group.name"] {
            assert_eq!(meaning(name), None, "{name}");
        }
    }
}
