//! What Istio's control plane makes of a VirtualService's rule where its Envoy knows no difference between the rule
//! and its destinations.

use portcullis_filters::{PathRewrite, RedirectPath};
use portcullis_model::{Action, HeaderOrder, ObjectId, Rule};

use super::findings::{Findings, Spot};
use crate::codes;
use crate::kinds::{HttpRule, RouteAction};

/// What rewrites of a matched prefix make of the place where two slashes meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Joints {
    /// One slash.
    #[default]
    OneSlash,
    /// What is written, as in Istio: `/foo` to `/` turns `/foo/bar` into `//bar`.
    AsWritten,
}

/// How Istio puts the header operations of rule and destinations together: those of a single destination come last, on
/// both heads; of several each one's come first.
pub(super) fn header_order(action: &Action) -> HeaderOrder {
    match action {
        Action::Forward { destinations, .. } if destinations.len() > 1 => {
            HeaderOrder::DestinationFirst
        }
        _ => HeaderOrder::OneList,
    }
}

/// Drops what destinations say of the authority where the rule says something of it, and says so.
pub(super) fn settle_authority(
    id: &ObjectId,
    written: &HttpRule,
    rule: &mut Rule,
    findings: &mut Findings,
) {
    let Action::Forward { destinations, authority_rewrite: Some(_), .. } = &mut rule.action else {
        return;
    };
    let RouteAction::Forward(all_written) = &written.action else { return };
    for (index, (built, written_one)) in destinations.iter_mut().zip(all_written).enumerate() {
        let change = built.change.as_mut().filter(|change| change.authority_rewrite.is_some());
        let Some(change) = change else { continue };
        change.authority_rewrite = None;
        let field = format!("spec.http[{}].route[{index}].headers.request.set", written.index);
        let spot = Spot { object: id, field, origin: &written_one.origin };
        let message = "the host of this destination has no effect: the rule sets one, and it counts, as in Istio";
        let help = "set it in one place";
        findings.warning(codes::NO_EFFECT, spot, message.to_owned(), help);
    }
}

/// Leaves joints as they are written.
pub(super) fn leave_joints(action: &mut Action) {
    let rewrite = match action {
        Action::Forward { path_rewrite, .. } => path_rewrite.as_mut(),
        Action::Redirect(redirect) => match &mut redirect.path {
            RedirectPath::Prefix(rewrite) => Some(rewrite),
            RedirectPath::Keep | RedirectPath::Replace(_) => None,
        },
        Action::DirectResponse(_) => None,
    };
    if let Some(rewrite) = rewrite
        && let PathRewrite::Matched(replacement) = rewrite
    {
        *rewrite = PathRewrite::Joined(std::mem::take(replacement));
    }
}
