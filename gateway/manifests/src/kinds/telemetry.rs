//! `Telemetry`: of Istio's, which requests the access log takes. Tracing and metrics are known and not served.

use std::sync::Arc;

use portcullis_telemetry::{Expression, LogRule};

use super::plugin_target::{Coverage, Coverer, of_namespace, read_coverage};
use crate::codes;
use crate::metadata::{Metadata, OBJECT, read_metadata};
use crate::raw_object::RawObject;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::{Gravity, Report};

/// What is logged of the requests to the Gateways that it covers.
#[derive(Clone, Debug)]
pub(crate) struct Telemetry {
    pub(crate) metadata: Metadata,
    pub(crate) coverage: Coverage,
    /// Those of `accessLogging` that are for the gateway's log, in order; `None` logs everything.
    pub(crate) access_log: Vec<Option<Arc<LogRule>>>,
}

/// Istio's name for the log that a gateway itself writes.
const OWN_PROVIDER: &str = "envoy";

static SPEC: Schema = Schema {
    what: "a Telemetry",
    served: &["selector", "targetRef", "targetRefs", "accessLogging", "metrics", "tracing"],
    not_yet: &[],
    skipped: &[],
};
static ACCESS_LOGGING: Schema = Schema {
    what: "an entry of accessLogging",
    served: &["match", "providers", "disabled", "filter"],
    not_yet: &[],
    skipped: &[],
};
static MATCH: Schema = Schema { what: "a match", served: &["mode"], not_yet: &[], skipped: &[] };
static PROVIDER: Schema =
    Schema { what: "a provider", served: &["name"], not_yet: &[], skipped: &[] };
static FILTER: Schema =
    Schema { what: "a filter", served: &["expression"], not_yet: &[], skipped: &[] };
static METRICS: Schema = Schema {
    what: "an entry of metrics",
    served: &[],
    not_yet: &["providers", "overrides", "reportingInterval"],
    skipped: &[],
};
static TRACING: Schema = Schema {
    what: "an entry of tracing",
    served: &[],
    not_yet: &[
        "match",
        "providers",
        "randomSamplingPercentage",
        "disableSpanReporting",
        "customTags",
        "useRequestIdForTraceSampling",
        "enableIstioTags",
    ],
    skipped: &[],
};

/// Reads a Telemetry.
pub(crate) fn read_telemetry(raw: &RawObject, report: &Report) -> Option<Telemetry> {
    let metadata = read_metadata(raw, report);
    let root = Cursor::root(&raw.node, report);
    let fields = root.fields(&OBJECT)?;
    let namespace = metadata.id.namespace.clone();
    let Some(spec) = fields.field("spec") else {
        let coverage = of_namespace(&namespace);
        return Some(Telemetry { metadata, coverage, access_log: Vec::new() });
    };
    let spec = spec.fields(&SPEC)?;
    for (name, schema) in [("metrics", &METRICS), ("tracing", &TRACING)] {
        if let Some(list) = spec.field(name) {
            list.items().for_each(|item| {
                item.fields(schema);
            });
        }
    }
    let logging = spec.field("accessLogging");
    let access_log = logging.iter().flat_map(Cursor::items).filter_map(|item| read_entry(&item));
    let access_log = access_log.collect();
    Some(Telemetry {
        coverage: read_coverage(&spec, &namespace, Coverer::Policy),
        access_log,
        metadata,
    })
}

/// An entry of `accessLogging`; `None` where it is not for the log of a gateway.
fn read_entry(item: &Cursor<'_>) -> Option<Option<Arc<LogRule>>> {
    let fields = item.fields(&ACCESS_LOGGING)?;
    let is_ours = is_for_gateways(&fields) & is_for_own_log(&fields);
    let disabled = fields.field("disabled").and_then(|field| field.boolean()).unwrap_or(false);
    let expression = fields.field("filter").and_then(|filter| read_filter(&filter));
    let rule = match expression {
        _ if disabled => Some(LogRule::Never),
        expression => expression.map(LogRule::When),
    };
    is_ours.then(|| rule.map(Arc::new))
}

fn read_filter(filter: &Cursor<'_>) -> Option<Expression> {
    let fields = filter.fields(&FILTER)?;
    let field = fields.required("expression")?;
    match Expression::parse(field.text()?) {
        Ok(expression) => {
            if expression.pattern_bytes() > 0 {
                field.count_expression(expression.pattern_bytes());
            }
            Some(expression)
        }
        Err(error) => {
            let message = format!("the expression is refused: {error}");
            let help =
                "docs/configuration.md lists the attributes and functions that expressions may use";
            field.report(Gravity::Breaks, codes::EXPRESSION, message, help);
            None
        }
    }
}

/// A gateway is a client in Istio's eyes.
fn is_for_gateways(fields: &Fields<'_>) -> bool {
    let Some(condition) = fields.field("match") else { return true };
    let Some(condition) = condition.fields(&MATCH) else { return false };
    let Some(mode) = condition.field("mode") else { return true };
    match mode.text() {
        Some("CLIENT" | "CLIENT_AND_SERVER") => true,
        Some("SERVER") => {
            let message = "a gateway is a client, so that this entry has no effect";
            mode.report(Gravity::Warns, codes::NO_EFFECT, message, "write CLIENT, or no match");
            false
        }
        Some(text) => {
            let message = format!("there is no mode `{text}`");
            mode.refuse(message, "write CLIENT, SERVER or CLIENT_AND_SERVER");
            false
        }
        None => false,
    }
}

/// Without providers it is for the log that there is.
fn is_for_own_log(fields: &Fields<'_>) -> bool {
    let Some(list) = fields.field("providers") else { return true };
    let mut own = list.is_empty_list();
    for item in list.items() {
        let Some(provider) = item.fields(&PROVIDER) else { continue };
        match provider.required("name").and_then(|name| name.text()) {
            Some(OWN_PROVIDER) => own = true,
            Some(name) => {
                let message =
                    format!("there is no provider `{name}`, so that nothing is logged to it");
                let help = "the gateway's own log (`--access-log`) is the provider `envoy`";
                item.not_served(Gravity::Warns, message, help);
            }
            None => {}
        }
    }
    own
}
