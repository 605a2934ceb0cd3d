//! An explanation for people.

use std::fmt::Write as _;

use crate::RequestToExplain;
use crate::explanation::{ConsideredRule, ExplainedCluster, Explanation};

/// So many rules that lost are shown before the one that took the request, and so many behind it.
const SHOWN_BEFORE: usize = 20;
const SHOWN_BEHIND: usize = 5;

/// So many endpoints of a cluster are shown.
const SHOWN_ENDPOINTS: usize = 50;

/// The request, and line by line what becomes of it.
pub fn describe(request: &RequestToExplain, explanation: &Explanation) -> String {
    let authority = request.authority.to_str().unwrap_or("?");
    let asked = format!("{} {}://{authority}{}\n", request.method, request.scheme, request.path);
    let mut report = Report(asked);
    let status = explanation.status.map(|status| format!(" ({status})")).unwrap_or_default();
    report.line("outcome", &format!("{}{status}", explanation.outcome));
    if let Some(refusal) = &explanation.refusal {
        report.line("refusal", refusal);
    }
    if explanation.reserved.is_some() {
        report.line("reserved", "the gateway itself answers this path, whatever the rules say");
        return report.0;
    }
    report.choice(explanation);
    report.considered(&explanation.considered, explanation.considered_left_out);
    report.filters(explanation);
    report.way_upstream(explanation);
    report.0
}

/// Lines of a name and a value, below what was asked.
struct Report(String);

impl Report {
    fn line(&mut self, name: &str, value: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "  {name:<11}{value}");
    }

    /// Which listener and rule take it.
    fn choice(&mut self, explanation: &Explanation) {
        let nobody = "none takes this host on this port";
        self.line("listener", explanation.listener.as_deref().unwrap_or(nobody));
        self.line("host", explanation.host.as_deref().unwrap_or("none"));
        match (&explanation.route, &explanation.source) {
            (Some(route), Some(source)) => {
                self.line("route", &format!("{route}  ({}:{})", source.file, source.line));
            }
            _ => self.line("route", "none"),
        }
    }

    /// Which rules were considered; of a long list the beginning, and what stands around the one that took it.
    fn considered(&mut self, rules: &[ConsideredRule], left_out: usize) {
        let winner = rules.iter().position(|rule| rule.matched);
        let shown = |index: usize| match winner {
            Some(winner) => {
                index == winner
                    || index < SHOWN_BEFORE
                    || (index > winner && index <= winner + SHOWN_BEHIND)
            }
            None => index < SHOWN_BEFORE,
        };
        let mut hidden = 0;
        for (index, rule) in rules.iter().enumerate() {
            if shown(index) {
                self.hidden(std::mem::take(&mut hidden));
                self.one_considered(rule);
            } else {
                hidden += 1;
            }
        }
        self.hidden(hidden + left_out);
    }

    fn hidden(&mut self, number: usize) {
        if number > 0 {
            self.line("considered", &format!("… {} more", grouped(number)));
        }
    }

    fn one_considered(&mut self, rule: &ConsideredRule) {
        let mark = if rule.matched { "took it" } else { "lost" };
        let place = format!("{}:{}", rule.source.file, rule.source.line);
        self.line("considered", &format!("{}  {mark}: {}  ({place})", rule.route, rule.reason));
    }

    /// What it passes through.
    fn filters(&mut self, explanation: &Explanation) {
        if let Some(location) = &explanation.location {
            self.line("location", location);
        }
        self.line("filters", &or_none(&explanation.filters));
        for policy in &explanation.policies {
            let dry = if policy.enforced { "" } else { " (dry run)" };
            let said = format!("{}  {}{dry}: {}", policy.policy, policy.action, policy.outcome);
            self.line("policy", &said);
        }
        self.line("plugins", &or_none(&explanation.plugins));
        for plugin in &explanation.plugin_chain {
            let (phase, priority) = (plugin.phase, plugin.priority);
            let why = format!("{phase} {priority}, on {}", plugin.attached_to);
            self.line("plugin", &format!("{}  {why}  {}", plugin.plugin, plugin.fail_strategy));
        }
        for change in &explanation.header_changes {
            let value = change.value.as_ref().map(|value| format!(": {value}")).unwrap_or_default();
            let what = format!("{} {}{value}", change.operation, change.name);
            self.line("header", &format!("{}  {what}  ({})", change.head, change.by));
        }
    }

    /// Where it goes.
    fn way_upstream(&mut self, explanation: &Explanation) {
        let total: u64 = explanation.clusters.iter().map(|each| u64::from(each.weight)).sum();
        for cluster in &explanation.clusters {
            self.cluster(cluster, total);
        }
        if let Some(sent) = &explanation.upstream_request {
            let sent = format!("{} {} (host {})", sent.method, sent.path, sent.authority);
            self.line("upstream", &sent);
        }
    }

    fn cluster(&mut self, cluster: &ExplainedCluster, total: u64) {
        let share = match total {
            0 => String::new(),
            total => format!(" ({:.1} %)", f64::from(cluster.weight) * 100.0 / total as f64),
        };
        let status = cluster.status.map(|status| format!(": {status}")).unwrap_or_default();
        self.line("cluster", &format!("{} weight {}{share}{status}", cluster.name, cluster.weight));
        for endpoint in cluster.endpoints.iter().take(SHOWN_ENDPOINTS) {
            let reason = endpoint.reason.as_ref();
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            self.line("", &format!("{} {}{reason}", endpoint.address, endpoint.state));
        }
        match cluster.endpoints.len() {
            0 => self.line("", "no endpoints"),
            number if number > SHOWN_ENDPOINTS => {
                self.line("", &format!("… {} more", grouped(number - SHOWN_ENDPOINTS)));
            }
            _ => {}
        }
    }
}

fn or_none(values: &[String]) -> String {
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::Source;

    fn rules(number: usize, winner: Option<usize>) -> Vec<ConsideredRule> {
        let rule = |index| ConsideredRule {
            route: format!("r{index}"),
            matched: winner == Some(index),
            reason: "x".to_owned(),
            source: Source { file: "f".to_owned(), line: 1 },
        };
        (0..number).map(rule).collect()
    }

    fn told(number: usize, winner: Option<usize>, left_out: usize) -> String {
        let request = RequestToExplain::new("GET", "http://a/").unwrap();
        let considered = rules(number, winner);
        let explanation =
            Explanation { considered, considered_left_out: left_out, ..Explanation::default() };
        describe(&request, &explanation)
    }

    #[test]
    fn a_long_list_of_rules_is_shortened_around_the_one_that_took_it() {
        let text = told(5_000, Some(3_000), 0);
        assert!(text.contains("r0  lost") && text.contains("r3000  took it"), "{text}");
        assert!(text.contains("r3005  lost") && !text.contains("r3006"), "{text}");
        assert!(text.contains("… 2 980 more") && text.contains("… 1 994 more"), "{text}");
        assert!(told(3, None, 0).contains("r2  lost") && !told(3, None, 0).contains("more"));
        assert!(told(30, None, 4_702).contains("… 4 712 more"));
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [7, 4_712, 100_000, 1_234_567].map(grouped),
            ["7", "4 712", "100 000", "1 234 567"]
        );
    }
}
