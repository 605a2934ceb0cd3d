//! What a route test expects.

use http::HeaderName;
use portcullis_model::Origin;

use crate::codes;
use crate::reader::{Cursor, Schema};
use crate::report::Gravity;

/// One thing that is expected.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The field, as `status` or `headers.x-user`.
    pub field: String,
    /// Where it is written.
    pub origin: Origin,
    /// What it has to be.
    pub wanted: Wanted,
}

/// What something has to be. Words are those of `explain --output json`.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// `forward`, `redirect`, `direct_response`, `refused` or `not_found`.
    Outcome(String),
    /// The gateway's own status.
    Status(u16),
    /// The listener.
    Listener(String),
    /// The host of the rules.
    Host(String),
    /// The rule; `None` is none.
    Route(Option<String>),
    /// A cluster that it may go to, by its name or its service's host.
    Cluster(String),
    /// All clusters that it may go to, each with its percentage.
    Clusters(Vec<(String, f64)>),
    /// The method that the upstream gets.
    Method(String),
    /// The authority that the upstream gets.
    Authority(String),
    /// Path and query that the upstream gets.
    Path(String),
    /// A field that the upstream gets; `None` is that it does not.
    Header(HeaderName, Option<String>),
    /// Where a redirect leads.
    Location(String),
    /// What is said of a refusal begins so.
    Refusal(String),
    /// The plugins that run, in order.
    Plugins(Vec<String>),
    /// The native filters that run, in order.
    Filters(Vec<String>),
}

const OUTCOMES: [&str; 5] = ["forward", "redirect", "direct_response", "refused", "not_found"];

static EXPECT: Schema = Schema {
    what: "an expectation",
    served: &[
        "outcome",
        "status",
        "listener",
        "host",
        "route",
        "cluster",
        "clusters",
        "method",
        "authority",
        "path",
        "headers",
        "location",
        "refusal",
        "plugins",
        "filters",
    ],
    not_yet: &[],
    skipped: &[],
};

/// Reads what is expected of a case.
pub(super) fn read_expectations(expect: &Cursor<'_>) -> Vec<Expectation> {
    // An unknown field is reported there; `route: null` is a value here, so that the entries are read themselves.
    if expect.fields(&EXPECT).is_none() {
        return Vec::new();
    }
    let mut expectations = Vec::new();
    for (name, value) in expect.entries() {
        let origin = value.origin();
        if name == "headers" {
            read_headers(&value, &mut expectations);
        } else if let Some(wanted) = read_wanted(name, &value) {
            expectations.push(Expectation { field: name.to_owned(), origin, wanted });
        }
    }
    if expect.is_empty_mapping() {
        let help = format!("it has: {}", EXPECT.served.join(", "));
        expect.report(Gravity::Breaks, codes::MISSING, "nothing is expected", help);
    }
    expectations
}

fn read_wanted(name: &str, value: &Cursor<'_>) -> Option<Wanted> {
    let text = || value.text().map(str::to_owned);
    Some(match name {
        "outcome" => Wanted::Outcome(read_outcome(value)?),
        "status" => Wanted::Status(u16::try_from(value.integer(100, 599)?).ok()?),
        "listener" => Wanted::Listener(text()?),
        "host" => Wanted::Host(text()?),
        "route" if value.is_null() => Wanted::Route(None),
        "route" => Wanted::Route(Some(text()?)),
        "cluster" => Wanted::Cluster(text()?),
        "clusters" => Wanted::Clusters(read_clusters(value)),
        "method" => Wanted::Method(text()?),
        "authority" => Wanted::Authority(text()?),
        "path" => Wanted::Path(text()?),
        "location" => Wanted::Location(text()?),
        "refusal" => Wanted::Refusal(text()?),
        "plugins" => Wanted::Plugins(read_texts(value)),
        "filters" => Wanted::Filters(read_texts(value)),
        _ => return None,
    })
}

fn read_outcome(value: &Cursor<'_>) -> Option<String> {
    let text = value.text()?;
    if !OUTCOMES.contains(&text) {
        value.refuse(
            format!("there is no outcome `{text}`"),
            format!("write one of: {}", OUTCOMES.join(", ")),
        );
        return None;
    }
    Some(text.to_owned())
}

fn read_clusters(value: &Cursor<'_>) -> Vec<(String, f64)> {
    let share = |(name, share): (&str, Cursor<'_>)| {
        let share = share.integer(0, 100).and_then(|share| i32::try_from(share).ok())?;
        Some((name.to_owned(), f64::from(share)))
    };
    value.entries().filter_map(share).collect()
}

fn read_texts(value: &Cursor<'_>) -> Vec<String> {
    value.items().filter_map(|item| item.text().map(str::to_owned)).collect()
}

/// Fields by name; null is one that must not be there.
fn read_headers(headers: &Cursor<'_>, expectations: &mut Vec<Expectation>) {
    for (name, value) in headers.entries() {
        let Ok(header) = name.parse::<HeaderName>() else {
            value.refuse(format!("`{name}` is no name of a header field"), "");
            continue;
        };
        let text = if value.is_null() {
            None
        } else {
            let Some(text) = value.text() else { continue };
            Some(text.to_owned())
        };
        expectations.push(Expectation {
            field: format!("headers.{header}"),
            origin: value.origin(),
            wanted: Wanted::Header(header, text),
        });
    }
}
