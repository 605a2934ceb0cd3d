//! `mirror` and `mirrors` of a VirtualService's rule.

use super::route_action::{RouteDestination, read_destination};
use crate::codes;
use crate::reader::{Cursor, Fields, Schema};
use crate::report::Gravity;
use crate::scalars::decimal;

/// A copy of the rule's requests, its destination not looked up yet.
#[derive(Clone, Debug)]
pub(crate) struct RuleMirror {
    pub(crate) destination: RouteDestination,
    /// Where the destination is written.
    pub(crate) field: String,
    /// Of so many requests in a million.
    pub(crate) parts_per_million: u32,
}

static MIRROR: Schema =
    Schema { what: "a mirror", served: &["destination", "percentage"], not_yet: &[], skipped: &[] };
static PERCENT: Schema =
    Schema { what: "a percentage", served: &["value"], not_yet: &[], skipped: &[] };

const ALL: u32 = 1_000_000;
/// As many as Gateway API lets a rule have filters.
const MOST: usize = 16;

/// The fields of a rule in which they are written. The older two are Istio's own from before `mirrorPercentage`.
const PERCENTAGES: [&str; 3] = ["mirrorPercentage", "mirrorPercent", "mirror_percent"];

/// Reads the mirrors of a rule; `None` where none are written.
pub(crate) fn read_mirrors(rule: &Fields<'_>) -> Option<Vec<RuleMirror>> {
    let is_written = ["mirror", "mirrors"].iter().any(|name| rule.field(name).is_some());
    let mirrors = read_all(rule);
    is_written.then_some(mirrors)
}

fn read_all(rule: &Fields<'_>) -> Vec<RuleMirror> {
    if rule.exclusive(&["mirror", "mirrors"]) || rule.exclusive(&PERCENTAGES) {
        return Vec::new();
    }
    if let Some(field) = rule.field("mirrors") {
        refuse_many(&field, field.items().count());
        return field.items().filter_map(|item| read_mirror(&item)).collect();
    }
    let parts_per_million = read_percentages(rule);
    let mirror = rule.field("mirror");
    if mirror.is_none() && parts_per_million.is_some() {
        let help = "write `mirror` with its destination, or leave the percentage out";
        rule.missing("mirror", help);
    }
    let parts_per_million = parts_per_million.unwrap_or(ALL);
    let mirror = mirror.and_then(|field| mirror_to(&field, parts_per_million));
    mirror.into_iter().collect()
}

/// Refuses so many mirrors that one client's request would become a flood for somebody else.
pub(super) fn refuse_many(field: &Cursor<'_>, mirrors: usize) {
    if mirrors > MOST {
        let message = format!("{mirrors} mirrors, where a rule may have {MOST}");
        field.refuse(message, "leave some out: each is a copy of every request");
    }
}

fn read_mirror(item: &Cursor<'_>) -> Option<RuleMirror> {
    let fields = item.fields(&MIRROR)?;
    let percentage = fields.field("percentage");
    let parts_per_million = match &percentage {
        Some(field) => read_percentage(field)?,
        None => ALL,
    };
    mirror_to(&fields.required("destination")?, parts_per_million)
}

fn mirror_to(field: &Cursor<'_>, parts_per_million: u32) -> Option<RuleMirror> {
    let destination = read_destination(field)?;
    Some(RuleMirror { destination, field: field.path(), parts_per_million })
}

fn read_percentages(rule: &Fields<'_>) -> Option<u32> {
    if let Some(field) = rule.field("mirrorPercentage") {
        return read_percentage(&field);
    }
    let field = rule.field("mirrorPercent").or_else(|| rule.field("mirror_percent"))?;
    let percent = field.integer(0, 100)?;
    field.report(
        Gravity::Warns,
        codes::DEPRECATED,
        "the field is deprecated",
        format!("write `mirrorPercentage: {{value: {percent}}}`"),
    );
    Some(parts_of(percent as f64))
}

/// `{value: 12.5}`, in parts of a million; without a value it is none, as in Istio.
pub(super) fn read_percentage(field: &Cursor<'_>) -> Option<u32> {
    let fields = field.fields(&PERCENT)?;
    let value = fields.field("value");
    match &value {
        Some(value) => decimal(value, 0.0, 100.0).map(parts_of),
        None => Some(0),
    }
}

/// Of so many in a million, by percent.
pub(super) fn parts_of(percent: f64) -> u32 {
    (percent * 10_000.0).round().clamp(0.0, f64::from(ALL)) as u32
}
