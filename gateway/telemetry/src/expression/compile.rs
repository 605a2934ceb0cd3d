//! A tree to a compiled expression: names are looked up, types checked, patterns compiled.

use super::fault::Fault;
use super::names::{ROOTS, type_of};
use super::node::{Comparison, Node, Path, Search};
use super::pattern::Pattern;
use super::syntax::{Form, Syntax};
use super::value::{Operator, Type, Value};

type Compiled = Result<(Node, Type), Fault>;

/// Compiles an expression that is true or false.
pub(crate) fn compile(syntax: &Syntax) -> Result<Node, Fault> {
    typed(syntax, Type::Bool)
}

/// Compiles a part that has to be of this type.
fn typed(syntax: &Syntax, wanted: Type) -> Result<Node, Fault> {
    let (node, found) = part(syntax)?;
    if found == wanted || found == Type::Any {
        return Ok(node);
    }
    let message = format!("this has to be {}, but is {}", wanted.said(), found.said());
    Err(Fault { message, at: syntax.at })
}

fn part(syntax: &Syntax) -> Compiled {
    let fault = |message: &str| Err(Fault { message: message.to_owned(), at: syntax.at });
    Ok(match &syntax.form {
        Form::Bool(value) => (Node::Value(Value::Bool(*value)), Type::Bool),
        Form::Null => (Node::Value(Value::Null), Type::Null),
        Form::Int(number) => (Node::Value(Value::Int(*number)), Type::Int),
        Form::Float(number) => (Node::Value(Value::Float(*number)), Type::Float),
        Form::Text(text) => (Node::Value(Value::Text(text.clone().into())), Type::Text),
        Form::Name(_) | Form::Field(..) | Form::Index(..) => {
            let (path, found) = path(syntax)?;
            (Node::Attribute(path), found)
        }
        Form::List(_) => return fault("a list can stand only behind `in`"),
        Form::Unary("!", operand) => (Node::Not(typed(operand, Type::Bool)?.into()), Type::Bool),
        Form::Unary(_, operand) => {
            let (node, found) = part(operand)?;
            if !found.is_number() && found != Type::Any {
                return fault("only a number can be negative");
            }
            (Node::Minus(node.into()), found)
        }
        Form::Binary(operator, one, other) => return binary(operator, one, other),
        Form::If(parts) => return choice(parts),
        Form::Call(of, name, arguments) => return call(syntax.at, of.as_deref(), name, arguments),
    })
}

fn choice([condition, yes, no]: &[Syntax; 3]) -> Compiled {
    let condition = typed(condition, Type::Bool)?;
    let ((yes, one), (no, other)) = (part(yes)?, part(no)?);
    let found = if one == other { one } else { Type::Any };
    Ok((Node::If(Box::new([condition, yes, no])), found))
}

fn binary(operator: &str, one: &Syntax, other: &Syntax) -> Compiled {
    let node = match operator {
        "&&" => Node::And(Box::new([typed(one, Type::Bool)?, typed(other, Type::Bool)?])),
        "||" => Node::Or(Box::new([typed(one, Type::Bool)?, typed(other, Type::Bool)?])),
        "in" => return one_of(one, other),
        "+" => return combine(Operator::Plus, one, other),
        "-" => return combine(Operator::Minus, one, other),
        "*" => return combine(Operator::Times, one, other),
        "/" => return combine(Operator::Over, one, other),
        "%" => return combine(Operator::Rest, one, other),
        _ => return compare(operator, one, other),
    };
    Ok((node, Type::Bool))
}

fn compare(operator: &str, one: &Syntax, other: &Syntax) -> Compiled {
    let comparison = match operator {
        "==" => Comparison::Equal,
        "!=" => Comparison::Unequal,
        "<" => Comparison::Less,
        "<=" => Comparison::AtMost,
        ">" => Comparison::More,
        _ => Comparison::AtLeast,
    };
    let ((one, left), (right_node, right)) = (part(one)?, part(other)?);
    if !left.compares_with(right) || left == Type::Fields || right == Type::Fields {
        let message = format!("{} cannot be compared with {}", left.said(), right.said());
        return Err(Fault { message, at: other.at });
    }
    Ok((Node::Compare(comparison, Box::new([one, right_node])), Type::Bool))
}

fn combine(operator: Operator, one: &Syntax, other: &Syntax) -> Compiled {
    let ((left_node, left), (right_node, right)) = (part(one)?, part(other)?);
    let found = match (left, right) {
        (Type::Any, _) | (_, Type::Any) => Type::Any,
        (Type::Int, Type::Int) => Type::Int,
        (one, other) if one.is_number() && other.is_number() && operator != Operator::Rest => {
            Type::Float
        }
        (Type::Text, Type::Text) if operator == Operator::Plus => Type::Text,
        (Type::Duration, Type::Duration) if is_sum(operator) => Type::Duration,
        (Type::Moment, Type::Duration) if is_sum(operator) => Type::Moment,
        (Type::Moment, Type::Moment) if operator == Operator::Minus => Type::Duration,
        (left, right) => {
            let message = format!("this operator takes no {} and {}", left.said(), right.said());
            return Err(Fault { message: message.replace("no a ", "no "), at: other.at });
        }
    };
    Ok((Node::Combine(operator, Box::new([left_node, right_node])), found))
}

fn is_sum(operator: Operator) -> bool {
    matches!(operator, Operator::Plus | Operator::Minus)
}

/// `x in [a, b]`, and `'name' in request.headers`.
fn one_of(one: &Syntax, other: &Syntax) -> Compiled {
    let node = match &other.form {
        Form::List(items) => {
            let (wanted, kind) = part(one)?;
            let item = |item: &Syntax| {
                let (node, found) = part(item)?;
                if kind.compares_with(found) {
                    return Ok(node);
                }
                let message = format!("{} is never {}", kind.said(), found.said());
                Err(Fault { message, at: item.at })
            };
            Node::OneOf(wanted.into(), items.iter().map(item).collect::<Result<_, _>>()?)
        }
        _ => match (path(other)?, &one.form) {
            ((path, Type::Fields), Form::Text(name)) => Node::Has(with_field(path, name)),
            ((_, Type::Fields), _) => {
                let message = "the name of a field has to be written out".to_owned();
                return Err(Fault { message, at: one.at });
            }
            _ => {
                let message =
                    "behind `in` stands a list, as ['GET', 'HEAD'], or a map, as request.headers";
                return Err(Fault { message: message.to_owned(), at: other.at });
            }
        },
    };
    Ok((node, Type::Bool))
}

/// An attribute, and what it is.
fn path(syntax: &Syntax) -> Result<(Path, Type), Fault> {
    let fault = |message: String| Err(Fault { message, at: syntax.at });
    match &syntax.form {
        Form::Name(name) => match type_of(&[name]) {
            Some(found) => Ok((vec![name.as_str().into()].into(), found)),
            None if ROOTS.contains(&name.as_str()) => {
                fault(format!("`{name}` alone is no attribute; name one of its own, as `{name}.…`"))
            }
            None => fault(format!(
                "there is no attribute `{name}`; they begin with {}",
                ROOTS.join(", ")
            )),
        },
        Form::Field(of, name) => field(of, name, syntax.at),
        Form::Index(of, index) => match &index.form {
            Form::Text(name) => field(of, &String::from_utf8_lossy(name), syntax.at),
            _ => fault("the name of a field has to be written out".to_owned()),
        },
        _ => fault("this is no attribute".to_owned()),
    }
}

fn field(of: &Syntax, name: &str, at: usize) -> Result<(Path, Type), Fault> {
    if let Form::Name(root) = &of.form
        && type_of(&[root]).is_none()
        && ROOTS.contains(&root.as_str())
    {
        return match type_of(&[root, name]) {
            Some(found) => Ok((vec![root.as_str().into(), name.into()].into(), found)),
            None => Err(Fault { message: format!("there is no attribute `{root}.{name}`"), at }),
        };
    }
    match path(of)? {
        (path, Type::Fields) => Ok((with_field(path, name.as_bytes()), Type::Text)),
        (_, found) => Err(Fault { message: format!("{} has no fields", found.said()), at }),
    }
}

fn with_field(path: Path, name: &[u8]) -> Path {
    let name = String::from_utf8_lossy(name).to_string().into_boxed_str();
    path.into_vec().into_iter().chain([name]).collect()
}

fn call(at: usize, of: Option<&Syntax>, name: &str, arguments: &[Syntax]) -> Compiled {
    let text = |syntax| typed(syntax, Type::Text);
    let search = |search, of, part| -> Compiled {
        Ok((Node::Search(search, Box::new([text(of)?, text(part)?])), Type::Bool))
    };
    match (name, of, arguments) {
        ("has", None, [of]) => Ok((Node::Has(path(of)?.0), Type::Bool)),
        ("size", Some(of), []) | ("size", None, [of]) => size(of),
        ("startsWith", Some(of), [part]) => search(Search::Start, of, part),
        ("endsWith", Some(of), [part]) => search(Search::End, of, part),
        ("contains", Some(of), [part]) => search(Search::Anywhere, of, part),
        ("matches", Some(of), [pattern]) | ("matches", None, [of, pattern]) => {
            let of = text(of)?;
            Ok((Node::Matches(of.into(), read_pattern(pattern)?), Type::Bool))
        }
        ("duration", None, [text]) => Ok((Node::Value(duration(text)?), Type::Duration)),
        ("int", None, [of]) => Ok((Node::ToInt(part(of)?.0.into()), Type::Int)),
        ("string", None, [of]) => Ok((Node::ToText(part(of)?.0.into()), Type::Text)),
        _ => {
            let message = format!("there is no function `{name}` of these arguments here");
            Err(Fault { message, at })
        }
    }
}

fn size(of: &Syntax) -> Compiled {
    match part(of)? {
        (node, Type::Text | Type::Fields | Type::Any) => Ok((Node::Size(node.into()), Type::Int)),
        (_, found) => Err(Fault { message: format!("{} has no size", found.said()), at: of.at }),
    }
}

fn read_pattern(written: &Syntax) -> Result<Pattern, Fault> {
    let fault = |message: String| Fault { message, at: written.at };
    let Form::Text(text) = &written.form else {
        return Err(fault("a pattern has to be written out".to_owned()));
    };
    let text = std::str::from_utf8(text).map_err(|_| fault("a pattern is UTF-8".to_owned()))?;
    Pattern::parse(text).map_err(fault)
}

/// `1h2m3.5s` in nanoseconds.
fn duration(text: &Syntax) -> Result<Value, Fault> {
    let refused =
        || Fault { message: "a duration is written as '1.5s' or '250ms'".to_owned(), at: text.at };
    let Form::Text(written) = &text.form else { return Err(refused()) };
    let mut rest = std::str::from_utf8(written).map_err(|_| refused())?;
    let mut nanoseconds = 0.0_f64;
    if rest.is_empty() {
        return Err(refused());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
        let (number, after) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| refused())?;
        let units = [("ms", 1e6), ("us", 1e3), ("ns", 1.0), ("h", 3.6e12), ("m", 6e10), ("s", 1e9)];
        let unit = units.into_iter().find(|(name, _)| after.starts_with(name));
        let (name, each) = unit.ok_or_else(refused)?;
        nanoseconds += number * each;
        rest = after.get(name.len()..).unwrap_or_default();
    }
    if nanoseconds > 9.0e18 {
        return Err(refused());
    }
    Ok(Value::Duration(nanoseconds.round() as i64))
}
