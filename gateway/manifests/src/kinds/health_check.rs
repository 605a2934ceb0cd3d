//! The annotation `portcullis.dev/health-check` of Services, ServiceEntries and DestinationRules.

use std::time::Duration;

use portcullis_model::{HealthCheck, Probe, parse_duration};

use crate::codes;
use crate::metadata::annotations;
use crate::raw_object::RawObject;
use crate::reader::Cursor;
use crate::report::{Gravity, Report};
use crate::suggest::closest;

const PREFIX: &str = "portcullis.dev/";
const HEALTH_CHECK: &str = "health-check";
const FORM: &str = "write it as in `http path=/healthz interval=5s timeout=1s healthy=2 unhealthy=3`, `grpc service=shop` or `tcp`";

/// Reads how endpoints are asked whether they are well, and reports annotations of ours that are unknown.
pub(super) fn read_health_check(raw: &RawObject, report: &Report) -> Option<HealthCheck> {
    let annotations = annotations(raw)?;
    Cursor::root(&raw.node, report).within(&["metadata", "annotations"], annotations, |all| {
        let mut check = None;
        if all.is_null() {
            return check;
        }
        for (name, value) in all.entries() {
            match name.strip_prefix(PREFIX) {
                None => {}
                Some(HEALTH_CHECK) => check = read_value(&value),
                Some(name) => unknown(&value, name, &raw.id.kind),
            }
        }
        check
    })
}

fn read_value(value: &Cursor<'_>) -> Option<HealthCheck> {
    let text = value.text()?;
    let mut words = text.split_ascii_whitespace();
    let probe = match words.next() {
        Some("http") => Probe::Http { path: "/".into(), host: None },
        Some("grpc") => Probe::Grpc { service: "".into() },
        Some("tcp") => Probe::Tcp,
        Some(other) => return refuse(value, format!("`{other}` is no health check")),
        None => return refuse(value, "the health check is empty".to_owned()),
    };
    let mut check = HealthCheck { probe, ..HealthCheck::tcp() };
    let mut is_good = true;
    for word in words {
        let (name, amount) = word.split_once('=').unwrap_or((word, ""));
        if set(&mut check, name, amount).is_none() {
            let message = format!("`{word}` is nothing that a health check has");
            refuse(value, message);
            is_good = false;
        }
    }
    if check.timeout > check.interval {
        let message = "an answer may take longer than probes are apart";
        let help = "write a timeout that is no longer than the interval";
        value.report(Gravity::Warns, codes::NO_EFFECT, message, help);
        check.timeout = check.interval;
    }
    is_good.then_some(check)
}

fn set(check: &mut HealthCheck, name: &str, amount: &str) -> Option<()> {
    match (name, &mut check.probe) {
        ("path", Probe::Http { path, .. }) => *path = request_path(amount)?.into(),
        ("host", Probe::Http { host, .. }) => {
            amount.parse::<http::uri::Authority>().ok()?;
            *host = Some(amount.into());
        }
        ("service", Probe::Grpc { service }) => *service = amount.into(),
        ("interval", _) => check.interval = time(amount, Duration::from_millis(100))?,
        ("timeout", _) => check.timeout = time(amount, Duration::from_millis(1))?,
        ("healthy", _) => check.healthy_threshold = threshold(amount)?,
        ("unhealthy", _) => check.unhealthy_threshold = threshold(amount)?,
        _ => return None,
    }
    Some(())
}

fn request_path(text: &str) -> Option<&str> {
    let is_path = text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok();
    is_path.then_some(text)
}

fn time(text: &str, least: Duration) -> Option<Duration> {
    parse_duration(text).ok().filter(|time| *time >= least)
}

fn threshold(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| (1..=100).contains(number))
}

fn refuse(value: &Cursor<'_>, message: String) -> Option<HealthCheck> {
    value.refuse(message, FORM);
    None
}

fn unknown(value: &Cursor<'_>, name: &str, kind: &str) {
    let help = match closest(name, [HEALTH_CHECK].into_iter()) {
        Some(near) => format!("did you mean `{PREFIX}{near}`?"),
        None => format!("known is {PREFIX}{HEALTH_CHECK}"),
    };
    let message = format!("there is no annotation `{PREFIX}{name}` of a {kind}");
    value.report(Gravity::Breaks, codes::UNKNOWN_FIELD, message, help);
}
