//! The order of the rules of one host: as they were created, or by how particular they are
//! (`portcullis.dev/route-order` on the Gateway).

use std::cmp::Reverse;

use portcullis_model::{PathMatch, RequestMatch};

use super::routes::PlacedRule;
use crate::kinds::RouteOrder;

/// Puts rules into order; they come in creation order. By creation, those that take everything come last; by
/// specificity, every match stands by itself.
pub(crate) fn in_order<T: Clone>(
    rules: Vec<(T, PlacedRule)>,
    order: RouteOrder,
) -> Vec<(T, PlacedRule)> {
    match order {
        RouteOrder::Creation => {
            let takes_all = |(_, placed): &(T, PlacedRule)| placed.rule.is_catch_all();
            let (last, mut ordered): (Vec<_>, Vec<_>) = rules.into_iter().partition(takes_all);
            ordered.extend(last);
            ordered
        }
        RouteOrder::Specificity => {
            let mut ordered: Vec<_> = rules.into_iter().flat_map(split).collect();
            // A stable sort: equals stay in creation order.
            ordered.sort_by_cached_key(|(_, placed)| Reverse(specificity(placed)));
            ordered
        }
    }
}

fn split<T: Clone>((of, placed): (T, PlacedRule)) -> Vec<(T, PlacedRule)> {
    match placed.rule.matches.len() {
        0 | 1 => vec![(of, placed)],
        several => (0..several).map(|nth| (of.clone(), placed.with_matches(&[nth]))).collect(),
    }
}

/// Exact paths before the longest prefix before expressions before none; then the number of other conditions.
fn specificity(placed: &PlacedRule) -> (u8, usize, usize) {
    let Some(conditions) = placed.rule.matches.first() else { return (0, 0, 0) };
    let (kind, length) = match &conditions.path {
        Some(PathMatch::Exact(path)) => (3, path.len()),
        Some(PathMatch::Prefix(prefix) | PathMatch::Segments(prefix)) => (2, prefix.len()),
        Some(PathMatch::Pattern(_)) => (1, 0),
        None => (0, 0),
    };
    // A prefix or an expression that every path fulfils is no more particular than none.
    let says_nothing = RequestMatch { path: conditions.path.clone(), ..RequestMatch::default() };
    let (kind, length) = if says_nothing.is_catch_all() { (0, 0) } else { (kind, length) };
    (kind, length, conditions_beside_the_path(conditions))
}

fn conditions_beside_the_path(conditions: &RequestMatch) -> usize {
    let single = [
        conditions.scheme.is_some(),
        conditions.method.is_some(),
        conditions.authority.is_some(),
        conditions.port.is_some(),
        !conditions.gateways.is_empty(),
    ];
    let single = single.into_iter().filter(|written| *written).count();
    single
        + conditions.headers.len()
        + conditions.without_headers.len()
        + conditions.query.len()
        + conditions.claims.len()
}
