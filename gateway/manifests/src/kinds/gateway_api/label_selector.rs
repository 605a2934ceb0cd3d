//! Kubernetes' `LabelSelector`.

use crate::reader::{Cursor, Schema};
use crate::scalars::choice;

/// Which labels an object has to have; all conditions have to hold, and none at all selects everything.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LabelSelector {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

static SELECTOR: Schema = Schema {
    what: "a label selector",
    served: &["matchLabels", "matchExpressions"],
    not_yet: &[],
    skipped: &[],
};
static EXPRESSION: Schema = Schema {
    what: "an expression on labels",
    served: &["key", "operator", "values"],
    not_yet: &[],
    skipped: &[],
};

const OPERATORS: [(&str, Operator); 4] = [
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
];

impl LabelSelector {
    /// Whether these labels fulfil it.
    pub(crate) fn selects(&self, labels: &[(String, String)]) -> bool {
        self.conditions.iter().all(|condition| condition.holds(labels))
    }
}

impl Condition {
    fn holds(&self, labels: &[(String, String)]) -> bool {
        let found = labels.iter().find(|(key, _)| *key == self.key).map(|(_, value)| value);
        match self.operator {
            Operator::In => found.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => found.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
        }
    }
}

/// Reads a selector; `None` where a condition cannot be read, as the rest would select too much.
pub(super) fn read_label_selector(field: &Cursor<'_>) -> Option<LabelSelector> {
    let fields = field.fields(&SELECTOR)?;
    let mut conditions = Vec::new();
    if let Some(field) = fields.field("matchLabels") {
        let equal = |(key, value)| Condition { key, operator: Operator::In, values: vec![value] };
        conditions.extend(field.text_map().into_iter().map(equal));
    }
    let expressions = fields.field("matchExpressions");
    for item in expressions.iter().flat_map(|field| field.items()) {
        conditions.push(read_expression(&item)?);
    }
    Some(LabelSelector { conditions })
}

fn read_expression(item: &Cursor<'_>) -> Option<Condition> {
    let fields = item.fields(&EXPRESSION)?;
    let key = fields.required("key").and_then(|field| field.text());
    let operator = fields.required("operator").and_then(|field| choice(&field, &OPERATORS));
    let values = fields.field("values");
    let values: Vec<String> = values
        .iter()
        .flat_map(|field| field.items())
        .filter_map(|value| value.text().map(str::to_owned))
        .collect();
    let (key, operator) = (key?.to_owned(), operator?);
    let asks_for_values = matches!(operator, Operator::In | Operator::NotIn);
    if asks_for_values == values.is_empty() {
        let message = match asks_for_values {
            true => "this operator needs `values`",
            false => "this operator takes no `values`",
        };
        item.refuse(message, "`In` and `NotIn` have values, `Exists` and `DoesNotExist` none");
        return None;
    }
    Some(Condition { key, operator, values })
}
