//! What an expression comes to for one exchange.

use std::cmp::Ordering;

use portcullis_exchange::{AttributeValue, Exchange, attribute};

use super::node::{Comparison, Node, Path, Search};
use super::value::Value;

impl Node {
    /// Its value; `None` is CEL's error: an attribute that is not there, a type that does not fit.
    pub(crate) fn evaluate(&self, exchange: &Exchange) -> Option<Value> {
        Some(match self {
            Node::Value(value) => value.clone(),
            Node::Attribute(path) => Value::of_attribute(read(exchange, path)?)?,
            Node::Has(path) => Value::Bool(read(exchange, path).is_some()),
            Node::Not(operand) => Value::Bool(!operand.truth(exchange)?),
            Node::Minus(operand) => negative(operand.evaluate(exchange)?)?,
            // An error on one side counts only where the other does not decide.
            Node::And(both) => Value::Bool(decide(both, exchange, false)?),
            Node::Or(both) => Value::Bool(decide(both, exchange, true)?),
            Node::If(parts) => {
                let [condition, yes, no] = &**parts;
                let chosen = if condition.truth(exchange)? { yes } else { no };
                chosen.evaluate(exchange)?
            }
            Node::Compare(comparison, both) => {
                let [one, other] = &**both;
                let (one, other) = (one.evaluate(exchange)?, other.evaluate(exchange)?);
                Value::Bool(comparison.holds(one.order(&other))?)
            }
            Node::Combine(operator, both) => {
                let [one, other] = &**both;
                one.evaluate(exchange)?.combine(*operator, other.evaluate(exchange)?)?
            }
            Node::OneOf(wanted, items) => {
                let wanted = wanted.evaluate(exchange)?;
                let is_it = |item: &Node| {
                    item.evaluate(exchange).and_then(|item| item.order(&wanted))
                        == Some(Ordering::Equal)
                };
                Value::Bool(items.iter().any(is_it))
            }
            Node::Search(search, both) => {
                let [text, part] = &**both;
                let (text, part) = (text.evaluate(exchange)?, part.evaluate(exchange)?);
                Value::Bool(search.finds(text.text()?, part.text()?))
            }
            Node::Matches(text, pattern) => {
                Value::Bool(pattern.is_in(text.evaluate(exchange)?.text()?)?)
            }
            Node::Size(of) => Value::Int(size(of, exchange)?),
            Node::ToInt(of) => to_int(of.evaluate(exchange)?)?,
            Node::ToText(of) => to_text(of.evaluate(exchange)?)?,
        })
    }

    fn truth(&self, exchange: &Exchange) -> Option<bool> {
        match self.evaluate(exchange)? {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }
}

/// `&&`, which `false` decides, and `||`, which `true` decides.
fn decide(both: &[Node; 2], exchange: &Exchange, deciding: bool) -> Option<bool> {
    let [one, other] = both;
    let one = one.truth(exchange);
    if one == Some(deciding) {
        return one;
    }
    match other.truth(exchange)? {
        other if other == deciding => Some(other),
        _ => one,
    }
}

fn read(exchange: &Exchange, path: &Path) -> Option<AttributeValue> {
    match &**path {
        [one] => attribute(exchange, &[one]),
        [one, two] => attribute(exchange, &[one, two]),
        [one, two, three] => attribute(exchange, &[one, two, three]),
        _ => None,
    }
}

/// Bytes of a text that is not UTF-8, else characters; fields of a map.
fn size(of: &Node, exchange: &Exchange) -> Option<i64> {
    let size = match of {
        Node::Attribute(path) => match read(exchange, path)? {
            AttributeValue::Map(fields) => fields.len(),
            AttributeValue::Bytes(bytes) => characters(&bytes),
            _ => return None,
        },
        other => characters(other.evaluate(exchange)?.text()?),
    };
    i64::try_from(size).ok()
}

fn characters(text: &[u8]) -> usize {
    std::str::from_utf8(text).map_or(text.len(), |text| text.chars().count())
}

fn negative(value: Value) -> Option<Value> {
    Some(match value {
        Value::Int(number) => Value::Int(number.checked_neg()?),
        Value::Float(number) => Value::Float(-number),
        _ => return None,
    })
}

fn to_int(value: Value) -> Option<Value> {
    Some(Value::Int(match value {
        Value::Int(number) => number,
        Value::Float(number) if number.abs() < 9.0e18 => number as i64,
        Value::Text(text) => std::str::from_utf8(&text).ok()?.parse().ok()?,
        Value::Moment(moment) => moment / 1_000_000_000,
        _ => return None,
    }))
}

fn to_text(value: Value) -> Option<Value> {
    let text = match value {
        Value::Text(text) => return Some(Value::Text(text)),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => return None,
    };
    Some(Value::Text(text.into()))
}

impl Comparison {
    fn holds(self, order: Option<Ordering>) -> Option<bool> {
        Some(match self {
            // As in CEL, values of different types are unequal.
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::Unequal => order != Some(Ordering::Equal),
            Comparison::Less => order?.is_lt(),
            Comparison::AtMost => order?.is_le(),
            Comparison::More => order?.is_gt(),
            Comparison::AtLeast => order?.is_ge(),
        })
    }
}

impl Search {
    fn finds(self, text: &[u8], part: &[u8]) -> bool {
        match self {
            Search::Start => text.starts_with(part),
            Search::End => text.ends_with(part),
            Search::Anywhere => {
                part.is_empty() || text.windows(part.len()).any(|piece| piece == part)
            }
        }
    }
}
