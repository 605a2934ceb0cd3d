//! What parts of an expression come to.

use std::cmp::Ordering;

use bytes::Bytes;
use portcullis_exchange::AttributeValue;

/// A value. Text and bytes are one type, as header fields are both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Bytes),
    /// Nanoseconds since 1970.
    Moment(i64),
    /// Nanoseconds.
    Duration(i64),
}

/// What is known of a value before there is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Bool,
    Int,
    Float,
    Text,
    Moment,
    Duration,
    /// Names and texts, such as `request.headers`.
    Fields,
    /// It may be anything, or was not looked into.
    Any,
}

impl Type {
    /// As people say it.
    pub(crate) fn said(self) -> &'static str {
        match self {
            Type::Null => "null",
            Type::Bool => "true or false",
            Type::Int => "a whole number",
            Type::Float => "a number",
            Type::Text => "a text",
            Type::Moment => "a moment",
            Type::Duration => "a duration",
            Type::Fields => "a map",
            Type::Any => "something",
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Type::Int | Type::Float)
    }

    /// Whether values of these types may be equal, or one the greater.
    pub(crate) fn compares_with(self, other: Type) -> bool {
        self == other
            || self == Type::Any
            || other == Type::Any
            || (self.is_number() && other.is_number())
    }
}

impl Value {
    pub(crate) fn of_attribute(value: AttributeValue) -> Option<Value> {
        Some(match value {
            AttributeValue::Bytes(bytes) => Value::Text(bytes),
            AttributeValue::Int(number) => Value::Int(number),
            AttributeValue::Bool(value) => Value::Bool(value),
            AttributeValue::Timestamp(moment) => Value::Moment(moment),
            AttributeValue::Duration(duration) => Value::Duration(duration),
            _ => return None,
        })
    }

    pub(crate) fn text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How it stands to another; `None` where they cannot be compared.
    pub(crate) fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Null, Value::Null) => Some(Ordering::Equal),
            (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
            (Value::Int(one), Value::Int(other))
            | (Value::Moment(one), Value::Moment(other))
            | (Value::Duration(one), Value::Duration(other)) => Some(one.cmp(other)),
            (Value::Text(one), Value::Text(other)) => Some(one.cmp(other)),
            (one, other) => one.float()?.partial_cmp(&other.float()?),
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// What an operator makes of two; `None` where it makes nothing (another type, a division by 0, too large).
    pub(crate) fn combine(self, operator: Operator, other: Value) -> Option<Value> {
        Some(match (self, other) {
            (Value::Int(one), Value::Int(other)) => Value::Int(whole(one, operator, other)?),
            (Value::Text(one), Value::Text(other)) if operator == Operator::Plus => {
                Value::Text([one, other].concat().into())
            }
            (Value::Duration(one), Value::Duration(other)) => {
                Value::Duration(sum(one, operator, other)?)
            }
            (Value::Moment(one), Value::Duration(other)) => {
                Value::Moment(sum(one, operator, other)?)
            }
            (Value::Moment(one), Value::Moment(other)) if operator == Operator::Minus => {
                Value::Duration(one.checked_sub(other)?)
            }
            (one, other) => Value::Float(broken(one.float()?, operator, other.float()?)?),
        })
    }
}

/// An operator on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Plus,
    Minus,
    Times,
    Over,
    Rest,
}

fn whole(one: i64, operator: Operator, other: i64) -> Option<i64> {
    match operator {
        Operator::Plus => one.checked_add(other),
        Operator::Minus => one.checked_sub(other),
        Operator::Times => one.checked_mul(other),
        Operator::Over => one.checked_div(other),
        Operator::Rest => one.checked_rem(other),
    }
}

fn sum(one: i64, operator: Operator, other: i64) -> Option<i64> {
    match operator {
        Operator::Plus => one.checked_add(other),
        Operator::Minus => one.checked_sub(other),
        _ => None,
    }
}

fn broken(one: f64, operator: Operator, other: f64) -> Option<f64> {
    Some(match operator {
        Operator::Plus => one + other,
        Operator::Minus => one - other,
        Operator::Times => one * other,
        Operator::Over => one / other,
        Operator::Rest => return None,
    })
}
