//! What callbacks cost, as a table.

use std::fmt::Write as _;

use crate::callback_costs::CallbackCost;

/// Callbacks with their times and fuel, and the change of both since before.
pub(crate) fn cost_table(costs: &[CallbackCost], before: Option<&[CallbackCost]>) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<30}{:>6}{:>11}{:>9}{:>11}{:>9}",
        "callback", "calls", "ns", "", "fuel", ""
    );
    for cost in costs {
        let last = before.and_then(|all| all.iter().find(|last| last.callback == cost.callback));
        let _ = writeln!(
            text,
            "{:<30}{:>6}{:>11}{:>9}{:>11}{:>9}",
            cost.callback,
            cost.calls,
            cost.nanoseconds,
            change(cost.nanoseconds, last.map(|last| last.nanoseconds)),
            cost.fuel,
            change(cost.fuel, last.map(|last| last.fuel)),
        );
    }
    text
}

/// In percent of what was before; nothing where there is nothing to compare with.
pub(crate) fn change(now: u64, before: Option<u64>) -> String {
    match before {
        None | Some(0) => String::new(),
        Some(before) => {
            let percent = (now as f64 - before as f64) / before as f64 * 100.0;
            format!("{percent:+.1} %")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_said_in_percent() {
        assert_eq!(change(110, Some(100)), "+10.0 %");
        assert_eq!(change(50, Some(100)), "-50.0 %");
        assert_eq!(change(1, None), "");
        assert_eq!(change(1, Some(0)), "");
    }
}
