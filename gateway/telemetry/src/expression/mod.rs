//! Expressions on an exchange, in the Common Expression Language (CEL) as far as Istio's `filter.expression` needs it:
//! attributes, literals, `&& || ! ?:`, comparisons, `in`, arithmetic, `has`, `size`, `startsWith`, `endsWith`,
//! `contains`, `matches`, `duration`, `int`, `string`.
//!
//! Nothing in them repeats, so that what one costs is bounded by its length. As in Envoy, what cannot be evaluated (a
//! header field that is not there) is an error which `&&` and `||` may make up for, and else the whole does not hold.

mod compile;
mod evaluate;
mod fault;
mod names;
mod node;
mod pattern;
mod syntax;
mod tokens;
mod value;

use portcullis_exchange::Exchange;

use self::node::Node;
use self::value::Value;

/// The longest expression, in bytes.
const LONGEST: usize = 4 << 10;

/// A compiled expression that is true or false of an exchange.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Box<str>,
    root: Node,
}

/// Why a text is no expression that can be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at character {at})")]
pub struct ExpressionError {
    /// What is wrong.
    pub message: String,
    /// Where: characters from 1.
    pub at: usize,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is no CEL, names what is not there, compares what cannot be compared, or is not true or false.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let told = |fault: fault::Fault| ExpressionError {
            at: text.get(..fault.at).unwrap_or(text).chars().count() + 1,
            message: fault.message,
        };
        if text.len() > LONGEST {
            let message = "the expression is longer than 4 KiB".to_owned();
            return Err(ExpressionError { message, at: 1 });
        }
        let root = syntax::parse(text).and_then(|syntax| compile::compile(&syntax));
        Ok(Expression { text: text.into(), root: root.map_err(told)? })
    }

    /// Whether it is true of an exchange.
    pub fn holds(&self, exchange: &Exchange) -> bool {
        self.root.evaluate(exchange) == Some(Value::Bool(true))
    }

    /// What its patterns take, in bytes.
    pub fn pattern_bytes(&self) -> usize {
        self.root.pattern_bytes()
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests;
