//! `localityLbSetting` of a DestinationRule's load balancer.

use portcullis_model::{Distribute, Failover, LocalityBalancing};

use crate::reader::{Cursor, Fields, Schema};

static SETTING: Schema = Schema {
    what: "a localityLbSetting",
    served: &["distribute", "failover", "failoverPriority", "enabled"],
    not_yet: &[],
    skipped: &[],
};
static DISTRIBUTE: Schema =
    Schema { what: "a distribution", served: &["from", "to"], not_yet: &[], skipped: &[] };
static FAILOVER: Schema =
    Schema { what: "a failover", served: &["from", "to"], not_yet: &[], skipped: &[] };

/// Reads a `localityLbSetting`.
pub(super) fn read_locality_setting(cursor: &Cursor<'_>) -> Option<LocalityBalancing> {
    let fields = cursor.fields(&SETTING)?;
    fields.exclusive(&["distribute", "failover", "failoverPriority"]);
    let off = fields.field("enabled").and_then(|field| field.boolean()) == Some(false);
    let written = read_preferences(&fields);
    Some(if off { LocalityBalancing::Off } else { written })
}

/// The nearest first is what counts where nothing more is written.
fn read_preferences(fields: &Fields<'_>) -> LocalityBalancing {
    if let Some(field) = fields.field("distribute") {
        let entries: Vec<_> = field.items().filter_map(|item| read_distribute(&item)).collect();
        report_twice(&field, entries.iter().map(|entry| &*entry.from));
        return LocalityBalancing::Distribute(entries.into());
    }
    if let Some(field) = fields.field("failoverPriority") {
        let labels = field.items().filter_map(|item| read_label(&item)).collect();
        return LocalityBalancing::FailoverPriority(labels);
    }
    let field = fields.field("failover");
    let entries: Vec<_> = field
        .iter()
        .flat_map(|field| field.items())
        .filter_map(|item| read_failover(&item))
        .collect();
    if let Some(field) = &field {
        report_twice(field, entries.iter().map(|entry| &*entry.from));
    }
    LocalityBalancing::Failover(entries.into())
}

fn report_twice<'f>(list: &Cursor<'_>, froms: impl Iterator<Item = &'f str>) {
    let mut seen = Vec::new();
    for from in froms {
        if seen.contains(&from) {
            list.refuse(format!("`from: {from}` is written twice"), "join the two");
        }
        seen.push(from);
    }
}

fn read_distribute(item: &Cursor<'_>) -> Option<Distribute> {
    let fields = item.fields(&DISTRIBUTE)?;
    let from =
        fields.required("from").and_then(|field| Some(locality(&field, field.text()?)?.into()));
    let field = fields.required("to")?;
    let mut to: Vec<(Box<str>, u32)> = Vec::new();
    let mut is_whole = true;
    for (name, weight) in field.entries() {
        let name = locality(&weight, name);
        let weight = weight.integer(1, 100).and_then(|weight| u32::try_from(weight).ok());
        match (name, weight) {
            (Some(name), Some(weight)) => to.push((name.into(), weight)),
            _ => is_whole = false,
        }
    }
    let sum: u32 = to.iter().map(|(_, weight)| weight).sum();
    if is_whole && sum != 100 {
        field.refuse(format!("the shares sum to {sum}"), "write shares that sum to 100");
    }
    Some(Distribute { from: from?, to })
}

fn read_failover(item: &Cursor<'_>) -> Option<Failover> {
    let fields = item.fields(&FAILOVER)?;
    let [from, to] = ["from", "to"].map(|name| fields.required(name).and_then(|f| region(&f)));
    let (from, to) = (from?, to?);
    if from == to {
        item.refuse(format!("`{from}` cannot fail over to itself"), "write another region");
    }
    Some(Failover { from, to })
}

fn region(field: &Cursor<'_>) -> Option<Box<str>> {
    let text = field.text()?;
    if text.is_empty() || text.contains(['/', '*']) {
        let help = "write a region alone; inside of it the nearest come first anyway";
        field.refuse(format!("`{text}` is no region"), help);
        return None;
    }
    Some(text.into())
}

/// `region/zone/sub-zone`, with `*` for the rest.
fn locality<'t>(field: &Cursor<'_>, text: &'t str) -> Option<&'t str> {
    let parts: Vec<&str> = text.split('/').collect();
    let is_last = |index: usize| index + 1 == parts.len();
    let is_part = |(index, part): (usize, &&str)| match *part {
        "" => false,
        "*" => is_last(index),
        part => !part.contains('*'),
    };
    if parts.len() > 3 || !parts.iter().enumerate().all(is_part) {
        let help = "write `region/zone/sub-zone`; `*` stands for all the rest";
        field.refuse(format!("`{text}` is no locality"), help);
        return None;
    }
    Some(text)
}

fn read_label(item: &Cursor<'_>) -> Option<Box<str>> {
    let text = item.text()?;
    if text.is_empty() || text.starts_with('=') {
        item.refuse(format!("`{text}` is no label"), "write `name`, or `name=value`");
        return None;
    }
    Some(text.into())
}
