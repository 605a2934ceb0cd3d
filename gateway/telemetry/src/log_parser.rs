//! Reads a format's text into literals and operators.

use std::fmt;

use http::HeaderName;

use crate::log_operator::{Field, Operator};
use crate::log_plain::plain_operator;
use crate::log_time::TimeFormat;

/// Why a format does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {fault}")]
pub struct FormatError {
    /// Where the operator begins, in characters from 1.
    pub column: usize,
    /// What is wrong with it.
    pub fault: FormatFault,
}

/// What is wrong with an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatFault {
    /// Nobody knows this operator.
    Unknown(String),
    /// Envoy knows it, this gateway has nothing to say for it.
    Unserved(String),
    /// A `%` that begins no operator, or an operator that does not end.
    Unfinished,
    /// The operator takes no argument.
    UnexpectedArgument(String),
    /// The operator needs an argument, such as a header's name.
    MissingArgument(String),
    /// The argument means nothing to the operator.
    BadArgument {
        /// The operator.
        operator: String,
        /// The part that is wrong.
        argument: String,
    },
    /// What follows `:` is no length.
    BadLength(String),
}

impl fmt::Display for FormatFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatFault::Unknown(name) => write!(f, "unknown operator %{name}%"),
            FormatFault::Unserved(name) => {
                write!(f, "the operator %{name}% has no value in this gateway; leave it out")
            }
            FormatFault::Unfinished => f.write_str(
                "an operator begins with % and a name in capitals and ends with %; write %% for a percent sign",
            ),
            FormatFault::UnexpectedArgument(name) => write!(f, "%{name}% takes no argument"),
            FormatFault::MissingArgument(name) => {
                write!(f, "%{name}% needs an argument in parentheses")
            }
            FormatFault::BadArgument { operator, argument } => {
                write!(f, "%{operator}(…)% does not know what `{argument}` is")
            }
            FormatFault::BadLength(text) => write!(f, "`:{text}` is no length; write a number of bytes"),
        }
    }
}

/// A part of a format.
#[derive(Clone, Debug)]
pub(crate) enum Token {
    Literal(String),
    Operator { operator: Operator, limit: Option<usize> },
}

/// Splits a format into its parts.
pub(crate) fn parse_format(format: &str) -> Result<Vec<Token>, FormatError> {
    let mut tokens = Vec::new();
    let mut rest = format;
    while let Some((literal, after)) = rest.split_once('%') {
        push_literal(&mut tokens, literal);
        if let Some(after) = after.strip_prefix('%') {
            push_literal(&mut tokens, "%");
            rest = after;
            continue;
        }
        let begin = format.len() - after.len() - 1;
        let fail = |fault| FormatError { column: column_of(format, begin), fault };
        let (written, after) = Written::split(after).map_err(fail)?;
        let limit = written.limit.map(parse_length).transpose().map_err(fail)?;
        let operator = written.operator().map_err(fail)?;
        tokens.push(Token::Operator { operator, limit });
        rest = after;
    }
    push_literal(&mut tokens, rest);
    Ok(tokens)
}

fn column_of(format: &str, begin: usize) -> usize {
    format.get(..begin).map_or(0, |before| before.chars().count()) + 1
}

fn push_literal(tokens: &mut Vec<Token>, text: &str) {
    match tokens.last_mut() {
        _ if text.is_empty() => {}
        Some(Token::Literal(before)) => before.push_str(text),
        _ => tokens.push(Token::Literal(text.to_owned())),
    }
}

fn parse_length(text: &str) -> Result<usize, FormatFault> {
    text.parse().map_err(|_| FormatFault::BadLength(text.to_owned()))
}

/// An operator as it was written: `NAME(ARGUMENT):LIMIT`.
struct Written<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    limit: Option<&'a str>,
}

impl<'a> Written<'a> {
    /// Splits an operator off a text that begins behind its first `%`.
    fn split(text: &'a str) -> Result<(Self, &'a str), FormatFault> {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let end = text.find(|c| !is_name(c)).ok_or(FormatFault::Unfinished)?;
        let (name, mut rest) = text.split_at(end);
        if name.is_empty() {
            return Err(FormatFault::Unfinished);
        }
        let mut argument = None;
        if let Some(behind) = rest.strip_prefix('(') {
            let (inside, behind) = behind.split_once(')').ok_or(FormatFault::Unfinished)?;
            argument = Some(inside);
            rest = behind;
        }
        let (limit, rest) = rest.split_once('%').ok_or(FormatFault::Unfinished)?;
        let limit = match limit.strip_prefix(':') {
            Some(limit) => Some(limit),
            None if limit.is_empty() => None,
            None => return Err(FormatFault::Unfinished),
        };
        Ok((Written { name, argument, limit }, rest))
    }

    fn operator(&self) -> Result<Operator, FormatFault> {
        match self.name {
            "START_TIME" => self.start_time(),
            "REQ" => self.fields(Operator::RequestField, Operator::RequestFieldOr),
            "RESP" => self.fields(Operator::ResponseField, Operator::ResponseFieldOr),
            "TRAILER" => self.trailers(),
            "FILTER_STATE" => self.filter_state(),
            "ENVIRONMENT" => {
                let value = std::env::var(self.required()?).ok();
                Ok(value.map_or(Operator::Absent, |value| Operator::Constant(value.into())))
            }
            name => match plain_operator(name) {
                Some(_) if self.argument.is_some() => {
                    Err(FormatFault::UnexpectedArgument(name.to_owned()))
                }
                Some(operator) => Ok(operator),
                None if UNSERVED.contains(&name) => Err(FormatFault::Unserved(name.to_owned())),
                None => Err(FormatFault::Unknown(name.to_owned())),
            },
        }
    }

    fn start_time(&self) -> Result<Operator, FormatFault> {
        let format = match self.argument {
            None | Some("") => TimeFormat::rfc3339(),
            Some(format) => TimeFormat::compile(format).map_err(|bad| self.bad(&bad))?,
        };
        Ok(Operator::StartTime(format))
    }

    /// `NAME` or `NAME?OTHER`.
    fn fields(
        &self,
        one: fn(Field) -> Operator,
        two: fn(Field, Field) -> Operator,
    ) -> Result<Operator, FormatFault> {
        let field = |name: &str| Field::named(name).ok_or_else(|| self.bad(name));
        match self.required()?.split_once('?') {
            Some((name, or)) => Ok(two(field(name)?, field(or)?)),
            None => Ok(one(field(self.required()?)?)),
        }
    }

    fn trailers(&self) -> Result<Operator, FormatFault> {
        let header = |name: &str| HeaderName::try_from(name).map_err(|_| self.bad(name));
        match self.required()?.split_once('?') {
            Some((name, or)) => Ok(Operator::TrailerOr(header(name)?, header(or)?)),
            None => Ok(Operator::Trailer(header(self.required()?)?)),
        }
    }

    /// `wasm.NAME`, then perhaps `:PLAIN` or `:TYPED`, which are the same for what plugins leave.
    fn filter_state(&self) -> Result<Operator, FormatFault> {
        let argument = self.required()?;
        let name = argument
            .strip_suffix(":PLAIN")
            .or_else(|| argument.strip_suffix(":TYPED"))
            .unwrap_or(argument);
        let name = name.strip_prefix("wasm.").filter(|name| !name.is_empty());
        name.map(|name| Operator::FilterState(name.into())).ok_or_else(|| self.bad(argument))
    }

    fn required(&self) -> Result<&'a str, FormatFault> {
        let argument = self.argument.filter(|argument| !argument.is_empty());
        argument.ok_or_else(|| FormatFault::MissingArgument(self.name.to_owned()))
    }

    fn bad(&self, argument: &str) -> FormatFault {
        FormatFault::BadArgument { operator: self.name.to_owned(), argument: argument.to_owned() }
    }
}

/// Envoy's operators that make no sense here, told apart from typing errors.
const UNSERVED: [&str; 14] = [
    "CEL",
    "COMMON_DURATION",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DYNAMIC_METADATA",
    "EMIT_TIME",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS",
    "HOSTNAME",
    "METADATA",
    "QUERY_PARAM",
    "START_TIME_LOCAL",
    "TRACE_ID",
    "UPSTREAM_METADATA",
    "VIRTUAL_CLUSTER_NAME",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn error(format: &str) -> String {
        parse_format(format).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_operator_and_its_column() {
        assert_eq!(error("ü %REQ(A)% %FOO%"), "column 12: unknown operator %FOO%");
        assert_eq!(error("%DURATION(1)%"), "column 1: %DURATION% takes no argument");
        assert_eq!(error("a%REQ%"), "column 2: %REQ% needs an argument in parentheses");
        assert_eq!(error("%REQ()%"), "column 1: %REQ% needs an argument in parentheses");
        assert_eq!(error("%REQ(a b)%"), "column 1: %REQ(…)% does not know what `a b` is");
        assert_eq!(
            error("%START_TIME(%Q)%"),
            "column 1: %START_TIME(…)% does not know what `%Q` is"
        );
        assert_eq!(error("%REQ(A):x%"), "column 1: `:x` is no length; write a number of bytes");
        let unserved =
            "column 1: the operator %HOSTNAME% has no value in this gateway; leave it out";
        assert_eq!(error("%HOSTNAME%"), unserved);
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        for format in
            ["%", "100% sure", "%REQ(A", "%REQ(A)", "%REQ(A)x%", "%duration%", "%DURATION"]
        {
            let error = parse_format(format).unwrap_err();
            assert_eq!(error.fault, FormatFault::Unfinished, "{format}");
        }
    }

    #[test]
    fn percent_signs_are_doubled() {
        let tokens = parse_format("100%% of %%PROTOCOL%%").unwrap();
        assert!(matches!(&tokens[..], [Token::Literal(text)] if text == "100% of %PROTOCOL%"));
    }

    #[test]
    fn only_what_plugins_leave_is_filter_state() {
        assert!(parse_format("%FILTER_STATE(wasm.a:PLAIN)%").is_ok());
        assert!(parse_format("%FILTER_STATE(envoy.string)%").is_err());
        assert!(parse_format("%FILTER_STATE(wasm.)%").is_err());
    }
}
