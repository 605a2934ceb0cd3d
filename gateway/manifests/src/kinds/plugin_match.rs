//! A plugin's `match`: on the traffic of which listeners it runs.

use crate::reader::{Cursor, Schema};
use crate::report::Gravity;
use crate::scalars::{choice, port};

/// On the traffic of which listeners a plugin runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum PortReach {
    /// All that it covers.
    #[default]
    Every,
    /// Those with these ports.
    These(Vec<u16>),
    /// None: it is for sidecars alone.
    Nowhere,
}

static MATCH: Schema =
    Schema { what: "a match", served: &["mode", "ports"], not_yet: &[], skipped: &[] };
static PORT: Schema = Schema { what: "a port", served: &["number"], not_yet: &[], skipped: &[] };

/// Whose traffic is meant. A gateway's is that of a client, as in Istio.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Gateways,
    SidecarsAlone,
}

const MODES: &[(&str, Mode)] = &[
    ("UNDEFINED", Mode::Gateways),
    ("CLIENT", Mode::Gateways),
    ("SERVER", Mode::SidecarsAlone),
    ("CLIENT_AND_SERVER", Mode::Gateways),
];

/// Reads the conditions, of which any suffices. What cannot be read narrows nothing.
pub(crate) fn read_match(field: &Cursor<'_>) -> PortReach {
    if field.is_empty_list() {
        return PortReach::Every;
    }
    let (mut ports, mut every, mut any) = (Vec::new(), false, false);
    for item in field.items() {
        match read_condition(&item) {
            Some(PortReach::These(some)) => ports.extend(some),
            Some(PortReach::Nowhere) => continue,
            Some(PortReach::Every) | None => every = true,
        }
        any = true;
    }
    if !any && !field.is_list() {
        return PortReach::Every;
    }
    ports.sort_unstable();
    ports.dedup();
    match (any, every) {
        (false, _) => PortReach::Nowhere,
        (true, true) => PortReach::Every,
        (true, false) => PortReach::These(ports),
    }
}

fn read_condition(item: &Cursor<'_>) -> Option<PortReach> {
    let fields = item.fields(&MATCH)?;
    let mode = match fields.field("mode") {
        Some(field) => choice(&field, MODES)?,
        None => Mode::Gateways,
    };
    let ports = match fields.field("ports") {
        Some(field) if !field.is_empty_list() => Some(read_ports(&field)?),
        _ => None,
    };
    if mode == Mode::SidecarsAlone {
        let message = "SERVER is the traffic of sidecars, so this takes none here";
        item.not_served(Gravity::Warns, message, "write CLIENT or CLIENT_AND_SERVER for a gateway");
        return Some(PortReach::Nowhere);
    }
    Some(ports.map_or(PortReach::Every, PortReach::These))
}

/// `None` where one cannot be read.
fn read_ports(field: &Cursor<'_>) -> Option<Vec<u16>> {
    let read = |item: Cursor<'_>| {
        let fields = item.fields(&PORT)?;
        fields.required("number").and_then(|number| port(&number))
    };
    let ports: Vec<Option<u16>> = field.items().map(read).collect();
    ports.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::yaml::parse;

    fn read(text: &str) -> (PortReach, Vec<String>) {
        let node = parse(text).unwrap().unwrap();
        let report = Report::new(None, "t".into(), 0);
        let reach = read_match(&Cursor::root(&node, &report));
        (reach, report.into_problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn any_condition_suffices_and_ports_are_put_together() {
        let these = |ports: &[u16]| (PortReach::These(ports.to_vec()), Vec::new());
        assert_eq!(read("[]"), (PortReach::Every, Vec::new()));
        assert_eq!(read("[{}]"), (PortReach::Every, Vec::new()));
        assert_eq!(read("[{mode: CLIENT}]"), (PortReach::Every, Vec::new()));
        assert_eq!(read("[{ports: [{number: 443}, {number: 80}]}]"), these(&[80, 443]));
        let two = "[{mode: CLIENT, ports: [{number: 80}]}, {mode: CLIENT_AND_SERVER, ports: [{number: 81}]}]";
        assert_eq!(read(two), these(&[80, 81]));
        assert_eq!(read("[{ports: [{number: 80}]}, {mode: UNDEFINED}]").0, PortReach::Every);
    }

    #[test]
    fn what_is_for_sidecars_takes_nothing_here_and_says_so() {
        let (reach, problems) = read("[{mode: SERVER, ports: [{number: 80}]}]");
        assert_eq!(reach, PortReach::Nowhere);
        assert!(problems[0].starts_with("t:1:2: warning[PC0211] [0]: SERVER"), "{problems:?}");
        let (reach, _) = read("[{mode: SERVER}, {ports: [{number: 80}]}]");
        assert_eq!(reach, PortReach::These(vec![80]));
    }

    #[test]
    fn what_cannot_be_read_narrows_nothing_and_has_a_problem() {
        for text in [
            "7",
            "[{ports: 80}]",
            "[{ports: [80]}]",
            "[{ports: [{number: 0}]}]",
            "[{mode: client}]",
        ] {
            let (reach, problems) = read(text);
            assert!(
                problems.iter().any(|problem| problem.contains("error[")),
                "{text}: {problems:?}"
            );
            if text != "[{ports: 80}]" {
                assert_eq!(reach, PortReach::Every, "{text}");
            }
        }
    }
}
