//! Which Ingresses are ours.

use std::sync::Arc;

use portcullis_model::ObjectId;

use super::super::findings::{Findings, Spot};
use super::super::foreign_class::ForeignClass;
use super::super::gather::Objects;
use crate::codes;
use crate::kinds::{ClassName, INGRESS_CONTROLLER, Ingress, IsDefault, Owner};

/// The name that is ours also where no class of that name is written.
const OURS: &str = "portcullis";

/// Those of our classes and, unless another's class is the default one, those without a class.
pub(super) fn ours<'o>(objects: &'o Objects, findings: &mut Findings) -> Vec<&'o Arc<Ingress>> {
    let is_ours = |ingress: &&Arc<Ingress>| match &ingress.class {
        Some(class) => of_class(objects, ingress, class, findings),
        None => without_class(objects),
    };
    let (ours, left) = objects.ingresses.iter().partition::<Vec<_>, _>(is_ours);
    report_foreign(objects, &left, findings);
    ours
}

/// Warns of classes of other controllers, whose Ingresses are left to those.
fn report_foreign(objects: &Objects, left: &[&Arc<Ingress>], findings: &mut Findings) {
    for class in objects.ingress_classes.iter().filter(|class| class.owner == Owner::Another) {
        let id = &class.metadata.id;
        let is_its = |ingress: &&&Arc<Ingress>| match &ingress.class {
            Some(name) => name.name == id.name,
            None => class.default == IsDefault::Yes,
        };
        let left = left.iter().filter(is_its);
        let class = ForeignClass {
            metadata: &class.metadata,
            field: "spec.controller",
            controller: &class.controller,
            ours: INGRESS_CONTROLLER,
        };
        class.report(left.map(|ingress| &ingress.metadata.id), findings);
    }
}

fn of_class(
    objects: &Objects,
    ingress: &Ingress,
    class: &ClassName,
    findings: &mut Findings,
) -> bool {
    let known = objects.ingress_classes.iter();
    if let Some(known) = known.clone().find(|known| known.metadata.id.name == class.name) {
        return known.owner == Owner::Us;
    }
    if *class.name == *OURS {
        return true;
    }
    let is_broken = |id: &ObjectId| *id.kind == *"IngressClass" && id.name == class.name;
    let message = match objects.broken.iter().any(is_broken) {
        true => format!("the IngressClass `{}` cannot be used", class.name),
        false => format!("there is no IngressClass `{}`", class.name),
    };
    let object = &ingress.metadata.id;
    let spot = Spot { object, field: class.field.clone(), origin: &class.origin };
    let help = "write the IngressClass with `controller: portcullis.dev/ingress-controller`, or name no class; until then the Ingress is left to others";
    findings.warning(codes::CLASS_MISSING, spot, message, help);
    false
}

/// Of several default classes ours counts.
fn without_class(objects: &Objects) -> bool {
    let defaults = objects.ingress_classes.iter().filter(|class| class.default == IsDefault::Yes);
    let mut owners = defaults.map(|class| class.owner).peekable();
    owners.peek().is_none() || owners.any(|owner| owner == Owner::Us)
}
