//! `outlierDetection` of a DestinationRule's policies.

use portcullis_model::OutlierDetection;

use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::interval;

static OUTLIERS: Schema = Schema {
    what: "an outlier detection",
    served: &[
        "consecutiveErrors",
        "consecutive5xxErrors",
        "consecutiveGatewayErrors",
        "splitExternalLocalOriginErrors",
        "consecutiveLocalOriginFailures",
        "interval",
        "baseEjectionTime",
        "maxEjectionPercent",
        "minHealthPercent",
    ],
    not_yet: &[],
    skipped: &[],
};

/// Reads an `outlierDetection`; what is not written has its default.
pub(super) fn read_outlier_detection(cursor: &Cursor<'_>) -> Option<OutlierDetection> {
    let fields = cursor.fields(&OUTLIERS)?;
    let default = OutlierDetection::default();
    let time = |name: &str| fields.field(name).and_then(|field| interval(&field));
    let split = fields.field("splitExternalLocalOriginErrors").and_then(|field| field.boolean());
    let mut outliers = OutlierDetection {
        split_local_failures: split.unwrap_or(false),
        interval: time("interval").unwrap_or(default.interval),
        base_ejection: time("baseEjectionTime").unwrap_or(default.base_ejection),
        // 0 is what protobuf makes of nothing written, and Istio takes it for that.
        max_ejection_percent: percent(&fields, "maxEjectionPercent")
            .filter(|percent| *percent > 0)
            .unwrap_or(default.max_ejection_percent),
        min_health_percent: percent(&fields, "minHealthPercent").unwrap_or(0),
        ..default
    };
    read_thresholds(&fields, &mut outliers);
    check_thresholds(&fields, &outliers);
    Some(outliers)
}

fn read_thresholds(fields: &Fields<'_>, outliers: &mut OutlierDetection) {
    // It counted 502, 503 and 504 alone.
    if let Some(errors) = threshold(fields, "consecutiveErrors") {
        let message = "`consecutiveErrors` is deprecated";
        let help = "write consecutiveGatewayErrors, which it is served as, or consecutive5xxErrors";
        fields.cursor().report(Gravity::Warns, codes::DEPRECATED, message, help);
        outliers.consecutive_gateway_errors = errors;
        outliers.consecutive_5xx = 0;
    }
    let fill = |name: &str, value: &mut u32| {
        if let Some(written) = threshold(fields, name) {
            *value = written;
        }
    };
    fill("consecutive5xxErrors", &mut outliers.consecutive_5xx);
    fill("consecutiveGatewayErrors", &mut outliers.consecutive_gateway_errors);
    fill("consecutiveLocalOriginFailures", &mut outliers.consecutive_local_failures);
}

fn check_thresholds(fields: &Fields<'_>, outliers: &OutlierDetection) {
    let OutlierDetection { consecutive_5xx, consecutive_gateway_errors, .. } = *outliers;
    let warn = |cursor: &Cursor<'_>, message: &str, help: &str| {
        cursor.report(Gravity::Warns, codes::NO_EFFECT, message, help);
    };
    let counts_local = outliers.split_local_failures && outliers.consecutive_local_failures > 0;
    if consecutive_5xx == 0 && consecutive_gateway_errors == 0 && !counts_local {
        let message = "no threshold is set, so no endpoint is ever ejected";
        warn(fields.cursor(), message, "write consecutive5xxErrors or consecutiveGatewayErrors");
    }
    if let Some(field) = fields.field("consecutiveGatewayErrors")
        && consecutive_5xx > 0
        && consecutive_gateway_errors >= consecutive_5xx
    {
        let message = format!(
            "each of these errors is one of the {consecutive_5xx} of consecutive5xxErrors too, which come first"
        );
        warn(&field, &message, "write a smaller number, or `consecutive5xxErrors: 0`");
    }
    if let Some(field) = fields.field("consecutiveLocalOriginFailures")
        && !outliers.split_local_failures
    {
        let message = "without `splitExternalLocalOriginErrors: true` this has no effect";
        warn(&field, message, "such failures are counted by consecutive5xxErrors until then");
    }
}

fn threshold(fields: &Fields<'_>, name: &str) -> Option<u32> {
    let number = fields.field(name)?.integer(0, i64::from(u32::MAX))?;
    u32::try_from(number).ok()
}

fn percent(fields: &Fields<'_>, name: &str) -> Option<u32> {
    let number = fields.field(name)?.integer(0, 100)?;
    u32::try_from(number).ok()
}
