//! How a run of `plugin bench` is shown.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::bench_run::BenchRun;
use crate::cost_table::{change, cost_table};

impl Bench {
    /// For people: a line for each callback, with the change since the last run.
    pub fn to_text(&self) -> String {
        let (now, before) = (&self.now, self.before.as_ref());
        let mut text = format!("{}: {}\n\n", self.name, now.exchange);
        text.push_str(&cost_table(&now.callbacks, before.map(|run| &run.callbacks[..])));
        text.push('\n');
        let mut line = |name: &str, value: String, pick: fn(&BenchRun) -> u64| {
            let change = change(pick(now), before.map(pick));
            let _ = writeln!(text, "{name:<18}{value:>14}{change:>9}");
        };
        text_of_whole(now, &mut line);
        if before.is_none() {
            text.push_str("\nNo run was kept before; the next one is compared with this.\n");
        }
        text
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({ "name": self.name, "run": self.now, "last_run": self.before })
    }
}

fn text_of_whole(now: &BenchRun, line: &mut impl FnMut(&str, String, fn(&BenchRun) -> u64)) {
    let kib = |bytes: usize| format!("{:.1} KiB", bytes as f64 / 1024.0);
    let micros = format!("{:.1} us", now.start_nanoseconds as f64 / 1e3);
    line("start", micros, |run| run.start_nanoseconds);
    line("peak memory", kib(now.memory_bytes), |run| run.memory_bytes as u64);
    line("module", kib(now.module_bytes), |run| run.module_bytes as u64);
}
