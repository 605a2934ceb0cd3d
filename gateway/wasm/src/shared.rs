//! What plugins share: data by key and queues, in the process, among the objects of one scope.

mod data;
mod doorbell;
mod queues;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use portcullis_model::Plugin;

pub(crate) use data::{DataError, Revision, SharedData};
pub(crate) use doorbell::Doorbell;
pub(crate) use queues::{QueueError, Queues};

/// The data and the queues that the plugin objects of one scope share, across workers and versions.
#[derive(Default)]
pub(crate) struct Scope {
    pub(crate) data: SharedData,
    pub(crate) queues: Queues,
}

/// Who shares: the objects of a namespace with the same `vm-id`, or one object alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ScopeKey {
    Named { namespace: Box<str>, vm_id: Box<str> },
    Alone(Box<str>),
}

/// All scopes of the process. One lives for as long as a plugin of it does.
#[derive(Default)]
pub(crate) struct Scopes(Mutex<HashMap<ScopeKey, Weak<Scope>>>);

impl Scopes {
    /// The scope of a plugin object; a newer version of it finds what the older one left.
    pub(crate) fn of(&self, plugin: &Plugin) -> Arc<Scope> {
        let key = if plugin.vm_id.is_empty() {
            ScopeKey::Alone(plugin.id.to_string().into())
        } else {
            ScopeKey::Named {
                namespace: (&*plugin.id.namespace).into(),
                vm_id: (&*plugin.vm_id).into(),
            }
        };
        let mut scopes = self.0.lock();
        if let Some(scope) = scopes.get(&key).and_then(Weak::upgrade) {
            return scope;
        }
        scopes.retain(|_, scope| scope.strong_count() > 0);
        let scope = Arc::new(Scope::default());
        scopes.insert(key, Arc::downgrade(&scope));
        scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::settings;

    #[test]
    fn only_objects_of_one_namespace_and_the_same_vm_id_share() {
        let scopes = Scopes::default();
        let plugin = |namespace: &str, name: &str, vm_id: &str| Plugin {
            id: portcullis_model::ObjectId::new("WasmPlugin", namespace, name),
            vm_id: vm_id.to_owned(),
            ..settings()
        };
        let first = scopes.of(&plugin("shop", "a", "cache"));
        assert!(Arc::ptr_eq(&first, &scopes.of(&plugin("shop", "b", "cache"))));
        assert!(!Arc::ptr_eq(&first, &scopes.of(&plugin("other", "a", "cache"))));
        assert!(!Arc::ptr_eq(&first, &scopes.of(&plugin("shop", "a", ""))));
        let alone = scopes.of(&plugin("shop", "a", ""));
        assert!(Arc::ptr_eq(&alone, &scopes.of(&plugin("shop", "a", ""))));
        assert!(!Arc::ptr_eq(&alone, &scopes.of(&plugin("shop", "b", ""))));
    }
}
