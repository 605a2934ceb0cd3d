//! Tokens to a tree, by CEL's grammar.

use super::fault::Fault;
use super::tokens::{Token, tokens};

/// The deepest tree: what walks it recurses. A chain of operators is a deep one.
const DEEPEST: usize = 100;

/// A part of an expression, and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Syntax {
    pub(crate) at: usize,
    depth: usize,
    pub(crate) form: Form,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    Bool(bool),
    Null,
    Int(i64),
    Float(f64),
    Text(Vec<u8>),
    Name(String),
    List(Vec<Syntax>),
    Field(Box<Syntax>, String),
    Index(Box<Syntax>, Box<Syntax>),
    /// A function, or with the first a method of it.
    Call(Option<Box<Syntax>>, String, Vec<Syntax>),
    Unary(&'static str, Box<Syntax>),
    Binary(&'static str, Box<Syntax>, Box<Syntax>),
    If(Box<[Syntax; 3]>),
}

impl Syntax {
    fn new(at: usize, form: Form) -> Result<Self, Fault> {
        let depth = 1 + form.parts().map(|part| part.depth).max().unwrap_or_default();
        if depth > DEEPEST {
            let message = "this nests too deeply, or is too long a chain of operators".to_owned();
            return Err(Fault { message, at });
        }
        Ok(Syntax { at, depth, form })
    }
}

impl Form {
    fn parts(&self) -> impl Iterator<Item = &Syntax> {
        let (boxed, list): ([Option<&Syntax>; 2], &[Syntax]) = match self {
            Form::List(items) => ([None, None], items),
            Form::Field(of, _) | Form::Unary(_, of) => ([Some(of), None], &[]),
            Form::Index(one, other) | Form::Binary(_, one, other) => {
                ([Some(one), Some(other)], &[])
            }
            Form::Call(of, _, arguments) => ([of.as_deref(), None], arguments),
            Form::If(parts) => ([None, None], &**parts),
            _ => ([None, None], &[]),
        };
        boxed.into_iter().flatten().chain(list)
    }
}

/// Reads a whole text.
pub(crate) fn parse(text: &str) -> Result<Syntax, Fault> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, next: 0, end: text.len(), depth: 0 };
    let syntax = parser.expression()?;
    match parser.peek() {
        None => Ok(syntax),
        Some(_) => Err(parser.fault("an operator is missing before this")),
    }
}

struct Parser<'t> {
    tokens: &'t [(Token, usize)],
    next: usize,
    /// The text's length.
    end: usize,
    depth: usize,
}

/// The binary operators, those that bind least first.
const LEVELS: [&[&str]; 5] =
    [&["||"], &["&&"], &["<", "<=", ">", ">=", "==", "!=", "in"], &["+", "-"], &["*", "/", "%"]];

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(_, at)| *at)
    }

    fn fault(&self, message: &str) -> Fault {
        Fault { message: message.to_owned(), at: self.at() }
    }

    /// Takes this sign, if it comes next.
    fn take(&mut self, wanted: &str) -> bool {
        let is_next = match self.peek() {
            Some(Token::Sign(sign)) => *sign == wanted,
            _ => false,
        };
        self.next += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, wanted: &str) -> Result<(), Fault> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.fault(&format!("`{wanted}` is missing here")))
        }
    }

    fn expression(&mut self) -> Result<Syntax, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fault("this nests too deeply"));
        }
        let at = self.at();
        let condition = self.binary(0)?;
        let syntax = if self.take("?") {
            let yes = self.binary(0)?;
            self.expect(":")?;
            let no = self.expression()?;
            Syntax::new(at, Form::If(Box::new([condition, yes, no])))
        } else {
            Ok(condition)
        };
        self.depth -= 1;
        syntax
    }

    fn operator(&self, level: &[&'static str]) -> Option<&'static str> {
        let text = match self.peek()? {
            Token::Sign(sign) => sign,
            Token::Name(name) => name.as_str(),
            _ => return None,
        };
        level.iter().find(|operator| **operator == text).copied()
    }

    fn binary(&mut self, level: usize) -> Result<Syntax, Fault> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            self.next += 1;
            let right = self.binary(level + 1)?;
            left = Syntax::new(left.at, Form::Binary(operator, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Syntax, Fault> {
        let at = self.at();
        let operator = ["!", "-"].into_iter().find(|operator| self.take(operator));
        let Some(operator) = operator else { return self.member() };
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fault("this nests too deeply"));
        }
        let operand = Box::new(self.unary()?);
        self.depth -= 1;
        Syntax::new(at, Form::Unary(operator, operand))
    }

    fn member(&mut self) -> Result<Syntax, Fault> {
        let mut syntax = self.primary()?;
        loop {
            let at = syntax.at;
            if self.take(".") {
                let Some(Token::Name(name)) = self.peek().cloned() else {
                    return Err(self.fault("a field's name is missing here"));
                };
                self.next += 1;
                let of = Box::new(syntax);
                let form = match self.take("(") {
                    true => Form::Call(Some(of), name, self.list(")")?),
                    false => Form::Field(of, name),
                };
                syntax = Syntax::new(at, form)?;
            } else if self.take("[") {
                let index = Box::new(self.expression()?);
                self.expect("]")?;
                syntax = Syntax::new(at, Form::Index(Box::new(syntax), index))?;
            } else {
                return Ok(syntax);
            }
        }
    }

    fn primary(&mut self) -> Result<Syntax, Fault> {
        let at = self.at();
        let Some(token) = self.peek().cloned() else {
            return Err(self.fault("the expression ends too early"));
        };
        self.next += 1;
        let form = match token {
            Token::Name(name) => match name.as_str() {
                "true" => Form::Bool(true),
                "false" => Form::Bool(false),
                "null" => Form::Null,
                _ if self.take("(") => Form::Call(None, name, self.list(")")?),
                _ => Form::Name(name),
            },
            Token::Text(text) => Form::Text(text),
            Token::Int(number) => Form::Int(number),
            Token::Float(number) => Form::Float(number),
            Token::Sign("[") => Form::List(self.list("]")?),
            Token::Sign("(") => {
                let inside = self.expression()?;
                self.expect(")")?;
                return Ok(inside);
            }
            Token::Sign(sign) => {
                return Err(Fault { message: format!("`{sign}` cannot stand here"), at });
            }
        };
        Syntax::new(at, form)
    }

    fn list(&mut self, end: &str) -> Result<Vec<Syntax>, Fault> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.expression()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(items)
    }
}
