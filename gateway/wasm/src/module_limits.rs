//! What a module may consist of, looked at before it is compiled: compiling takes time by what it finds, and cannot be
//! cut.

use wasmparser::{FunctionBody, Operator, Parser, Payload};

use crate::load_error::LoadError;

/// So many functions; Go's, which have the most, have some ten thousand.
const MOST_FUNCTIONS: u32 = 50_000;
/// The code of one function, in bytes. The compiler's time grows faster than this.
const MOST_FUNCTION_BYTES: usize = 1 << 20;
/// The locals of one function.
const MOST_LOCALS: u64 = 10_000;
/// How deep blocks may lie in each other. Go nests one for each call of a function.
const DEEPEST: u32 = 20_000;
/// Locals times blocks of one function: what the compiler has to keep apart at worst.
const MOST_LIVE: u64 = 20_000_000;
/// Segments of data and of elements, together.
const MOST_SEGMENTS: u32 = 50_000;
/// Elements of all tables' segments together.
const MOST_ELEMENTS: u32 = 1 << 17;
/// Types, imports, globals and exports, of each.
const MOST_ENTRIES: u32 = 20_000;

/// Refuses a module that would take too long to compile. What is no module at all is the compiler's to refuse.
pub(crate) fn check_limits(bytes: &[u8]) -> Result<(), LoadError> {
    let mut segments = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        // The compiler says better what is wrong.
        let Ok(payload) = payload else { return Ok(()) };
        match payload {
            Payload::FunctionSection(section) => {
                at_most(section.count(), MOST_FUNCTIONS, "functions")?;
            }
            Payload::TypeSection(section) => at_most(section.count(), MOST_ENTRIES, "types")?,
            Payload::ImportSection(section) => at_most(section.count(), MOST_ENTRIES, "imports")?,
            Payload::GlobalSection(section) => at_most(section.count(), MOST_ENTRIES, "globals")?,
            Payload::ExportSection(section) => at_most(section.count(), MOST_ENTRIES, "exports")?,
            Payload::ElementSection(section) => {
                segments += section.count();
                at_most(segments, MOST_SEGMENTS, "segments")?;
                at_most(elements(section), MOST_ELEMENTS, "elements")?;
            }
            Payload::DataSection(section) => {
                segments += section.count();
                at_most(segments, MOST_SEGMENTS, "segments")?;
            }
            Payload::CodeSectionEntry(body) => check_function(&body)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_function(body: &FunctionBody<'_>) -> Result<(), LoadError> {
    at_most(body.range().len(), MOST_FUNCTION_BYTES, "bytes in one function")?;
    let mut locals = 0_u64;
    if let Ok(groups) = body.get_locals_reader() {
        for (count, _) in groups.into_iter().flatten() {
            locals += u64::from(count);
        }
    }
    at_most(locals, MOST_LOCALS, "locals in one function")?;
    let Ok(mut operators) = body.get_operators_reader() else { return Ok(()) };
    let (mut depth, mut deepest, mut blocks) = (0_u32, 0, 0_u64);
    while !operators.eof() {
        let Ok(operator) = operators.read() else { return Ok(()) };
        match operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => {
                depth += 1;
                blocks += 1;
                deepest = depth.max(deepest);
            }
            Operator::End => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    at_most(deepest, DEEPEST, "blocks within each other")?;
    at_most(locals.saturating_mul(blocks), MOST_LIVE, "locals times blocks in one function")
}

fn elements(section: wasmparser::ElementSectionReader<'_>) -> u32 {
    let count = |items: wasmparser::ElementItems<'_>| match items {
        wasmparser::ElementItems::Functions(items) => items.count(),
        wasmparser::ElementItems::Expressions(_, items) => items.count(),
    };
    section.into_iter().flatten().map(|element| count(element.items)).fold(0, u32::saturating_add)
}

fn at_most<N: Copy + PartialOrd + Into<Count>>(
    found: N,
    most: N,
    what: &'static str,
) -> Result<(), LoadError> {
    if found <= most {
        return Ok(());
    }
    Err(LoadError::TooComplex { what, found: found.into().0, limit: most.into().0 })
}

/// A number of any width.
struct Count(u64);

impl From<u32> for Count {
    fn from(count: u32) -> Self {
        Count(count.into())
    }
}

impl From<u64> for Count {
    fn from(count: u64) -> Self {
        Count(count)
    }
}

impl From<usize> for Count {
    fn from(count: usize) -> Self {
        Count(count as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        check_limits(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn bombs_are_refused_by_what_they_consist_of() {
        let locals = format!("(module (func (local {})))", "i64 ".repeat(10_001));
        assert!(refused(&locals).contains("10001 locals in one function"));
        let blocks = format!("(module (func {} {}))", "(block ".repeat(20_001), ")".repeat(20_001));
        assert!(refused(&blocks).contains("20001 blocks within each other"));
        let live = format!(
            "(module (func (local {}) {}))",
            "i32 ".repeat(5_000),
            "(block) ".repeat(5_000)
        );
        assert!(refused(&live).contains("locals times blocks"));
        let long = format!("(module (func {}))", "(drop (i32.const 1))".repeat(400_000));
        assert!(refused(&long).contains("bytes in one function"));
        let functions = format!("(module {})", "(func)".repeat(50_001));
        assert!(refused(&functions).contains("50001 functions"));
        let segments =
            format!("(module (memory 1) {})", r#"(data (i32.const 0) "x")"#.repeat(50_001));
        assert!(refused(&segments).contains("segments"));
    }

    #[test]
    fn what_is_no_module_is_left_to_the_compiler() {
        assert_eq!(check_limits(b"\0asm\x01\0\0\0garbage"), Ok(()));
        assert_eq!(check_limits(b""), Ok(()));
    }

    #[test]
    fn ordinary_modules_pass() {
        let text = crate::tests::guest::module("");
        assert_eq!(check_limits(&wat::parse_str(text).unwrap()), Ok(()));
    }
}
