//! Classes of other controllers, whose Gateways and Ingresses are left to those.

use portcullis_model::ObjectId;

use super::findings::{Findings, Spot};
use crate::codes;
use crate::metadata::Metadata;

/// A class of another controller.
pub(super) struct ForeignClass<'c> {
    pub(super) metadata: &'c Metadata,
    /// Where its controller is written.
    pub(super) field: &'static str,
    pub(super) controller: &'c str,
    /// The controller that we are.
    pub(super) ours: &'static str,
}

impl ForeignClass<'_> {
    /// Warns that these are left to it; says nothing where there are none.
    pub(super) fn report<'l>(
        &self,
        mut left: impl Iterator<Item = &'l ObjectId>,
        findings: &mut Findings,
    ) {
        let Some(first) = left.next() else { return };
        let more = match left.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!(
            "{first}{more} is left to the controller `{}`: nothing of it is served here",
            self.controller
        );
        let Metadata { id, origin, .. } = self.metadata;
        let spot = Spot { object: id, field: self.field.to_owned(), origin };
        let help = format!("write `{}` where it is to be served here", self.ours);
        findings.warning(codes::CLASS_MISSING, spot, message, &help);
    }
}
