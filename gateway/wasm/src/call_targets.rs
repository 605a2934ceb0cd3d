//! The clusters that plugins may call, by every name that they may use.

use std::sync::Arc;

use portcullis_model::ClusterName;
use rustc_hash::FxHashMap;

/// The clusters of a configuration by name: `outbound|80||host` and `host:port` for everybody, and the short name of
/// a service for the plugins of its namespace.
#[derive(Debug, Default)]
pub struct CallTargets {
    by_name: FxHashMap<Box<str>, ClusterName>,
    by_short_name: FxHashMap<Box<str>, FxHashMap<Box<str>, ClusterName>>,
}

/// A cluster as plugins may name it.
#[derive(Clone, Copy, Debug)]
pub struct CallTarget<'a> {
    /// The cluster's name.
    pub name: &'a ClusterName,
    /// The service's own name.
    pub service: &'a str,
    /// The service's namespace.
    pub namespace: &'a str,
}

impl CallTargets {
    /// Takes every cluster in. A service's short name means its port 80, else its only port.
    pub fn new<'a>(clusters: impl Iterator<Item = CallTarget<'a>>) -> Arc<Self> {
        let mut targets = CallTargets::default();
        let mut ambiguous = Vec::new();
        for CallTarget { name, service, namespace } in clusters {
            targets.by_name.insert(name.to_string().into(), name.clone());
            if !name.subset.is_empty() {
                continue;
            }
            targets.by_name.insert(format!("{}:{}", name.host, name.port).into(), name.clone());
            let services = targets.by_short_name.entry(namespace.into()).or_default();
            match services.get(service).map(|known| known.port) {
                None => drop(services.insert(service.into(), name.clone())),
                Some(80) => {}
                Some(_) if name.port == 80 => drop(services.insert(service.into(), name.clone())),
                Some(_) => ambiguous.push((namespace, service)),
            }
        }
        for (namespace, service) in ambiguous {
            let services = targets.by_short_name.get_mut(namespace);
            if let Some(services) = services
                && services.get(service).is_some_and(|known| known.port != 80)
            {
                services.remove(service);
            }
        }
        Arc::new(targets)
    }

    /// The cluster that a plugin of this namespace means.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<&ClusterName> {
        let named = self.by_name.get(name);
        named.or_else(|| self.by_short_name.get(namespace)?.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(host: &str, port: u16, subset: &str) -> ClusterName {
        ClusterName { host: host.into(), port, subset: subset.into() }
    }

    #[test]
    fn clusters_have_envoys_names_and_short_ones() {
        let names = [
            cluster("auth.shop.svc", 80, ""),
            cluster("auth.shop.svc", 9090, ""),
            cluster("auth.shop.svc", 80, "v2"),
            cluster("one.shop.svc", 8080, ""),
            cluster("two.shop.svc", 8080, ""),
            cluster("two.shop.svc", 9090, ""),
        ];
        let service = |name: &ClusterName| name.host.split('.').next().unwrap_or("").to_owned();
        let services: Vec<String> = names.iter().map(service).collect();
        let targets =
            CallTargets::new(names.iter().zip(&services).map(|(name, service)| CallTarget {
                name,
                service,
                namespace: "shop",
            }));
        let find = |namespace, name| targets.find(namespace, name).map(ToString::to_string);
        let auth = Some("outbound|80||auth.shop.svc".to_owned());
        assert_eq!(find("other", "outbound|80||auth.shop.svc"), auth);
        assert_eq!(find("other", "auth.shop.svc:80"), auth);
        assert_eq!(find("shop", "auth"), auth);
        assert_eq!(find("other", "auth"), None);
        assert_eq!(find("shop", "one"), Some("outbound|8080||one.shop.svc".to_owned()));
        assert_eq!(find("shop", "two"), None);
        let subset = Some("outbound|80|v2|auth.shop.svc".to_owned());
        assert_eq!(find("x", "outbound|80|v2|auth.shop.svc"), subset);
        assert_eq!(find("shop", "10.0.0.1:80"), None);
    }
}
