//! Virtual hosts of one listener that have the same rules: what is compiled of one is the other's too, so that many
//! hosts with many rules take no more memory and time than one of them.

use std::sync::Arc;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::order::Part;

/// Fewer rules are compiled as fast as they are compared.
const FEW: usize = 8;

/// For each virtual host, by the parts that it is made of, the first one that has the same rules; often itself.
pub(crate) fn find_twins<'p, 'm: 'p>(
    hosts: impl IntoIterator<Item = &'p [Part<'m>]>,
) -> Vec<usize> {
    let mut first: HashMap<(usize, Vec<usize>), usize, FxBuildHasher> = HashMap::default();
    let twin = |(place, parts): (usize, &[Part<'_>])| match parts {
        [part] if part.virtual_host.rules.len() >= FEW => {
            *first.entry(identity(part)).or_insert(place)
        }
        _ => place,
    };
    hosts.into_iter().enumerate().map(twin).collect()
}

/// Which listener's rules these are, by their places in memory.
fn identity(part: &Part<'_>) -> (usize, Vec<usize>) {
    let listener = std::ptr::from_ref(part.listener).addr();
    let rules = part.virtual_host.rules.iter().map(|rule| Arc::as_ptr(rule).addr());
    (listener, rules.collect())
}
