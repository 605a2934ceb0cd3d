//! Which of a listener's requests are logged, by the Telemetry objects that cover it.

use std::sync::Arc;

use portcullis_model::Listener;
use portcullis_telemetry::LogRule;

use super::coverage::Home;
use super::findings::{Findings, Spot};
use super::open::OpenGateway;
use crate::codes;
use crate::kinds::{Coverage, Telemetry};

/// Sets the rule of every listener, each given with the index of its Gateway. The objects come in creation order.
pub(crate) fn set_access_logs(
    telemetries: &[Arc<Telemetry>],
    (gateways, home): (&[OpenGateway], Home<'_>),
    listeners: &mut [(usize, Listener)],
    findings: &mut Findings,
) {
    for (gateway, listener) in listeners.iter_mut() {
        let Some(gateway) = gateways.get(*gateway) else { continue };
        let server = listener.server.clone();
        let is_covered = |telemetry: &&Arc<Telemetry>| {
            home.covers(&telemetry.coverage, &gateway.gateway, Some(&server))
        };
        listener.access_log = combined(telemetries.iter().filter(is_covered));
    }
    let scope = (gateways, home);
    telemetries.iter().for_each(|telemetry| check(telemetry, telemetries, scope, findings));
}

/// As Istio has it: the objects of the whole mesh, the namespace and the workload, of each the oldest; each entry takes
/// the place of the earlier ones.
fn combined<'t>(covering: impl Iterator<Item = &'t Arc<Telemetry>>) -> Option<Arc<LogRule>> {
    let covering: Vec<_> = covering.collect();
    let of_level = |level| covering.iter().find(|each| Level::of(&each.coverage) == level);
    let levels = [Level::Mesh, Level::Namespace, Level::Workload].into_iter().filter_map(of_level);
    levels.flat_map(|telemetry| &telemetry.access_log).last().cloned().flatten()
}

/// How wide an object reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Mesh,
    Namespace,
    Workload,
}

impl Level {
    fn of(coverage: &Coverage) -> Self {
        match coverage {
            Coverage::Every => Level::Mesh,
            Coverage::Namespace(_) => Level::Namespace,
            _ => Level::Workload,
        }
    }
}

/// Says where an object has no effect.
fn check(
    telemetry: &Telemetry,
    all: &[Arc<Telemetry>],
    (gateways, home): (&[OpenGateway], Home<'_>),
    findings: &mut Findings,
) {
    if telemetry.access_log.is_empty() {
        return;
    }
    let id = &telemetry.metadata.id;
    let spot = Spot { object: id, field: String::new(), origin: &telemetry.metadata.origin };
    let older = all.iter().take_while(|other| other.metadata.id != *id);
    let reaches_as_far = |other: &&Arc<Telemetry>| match (&other.coverage, &telemetry.coverage) {
        (Coverage::Every, Coverage::Every) => true,
        (Coverage::Namespace(one), Coverage::Namespace(other)) => one == other,
        _ => false,
    };
    if let Some(older) = older.into_iter().find(reaches_as_far) {
        let (other, origin) = (&older.metadata.id, &older.metadata.origin);
        let message =
            format!("{other} ({origin}) is older and reaches as far, so this has no effect");
        return findings.warning(codes::NO_EFFECT, spot, message, "write both in one object");
    }
    if !gateways.iter().any(|open| home.covers(&telemetry.coverage, &open.gateway, None)) {
        let message = "it covers no Gateway, so it has no effect here".to_owned();
        let help =
            "write labels of a Gateway's own `selector` or `metadata.labels`, or its namespace";
        findings.warning(codes::NO_EFFECT, spot, message, help);
    }
}
