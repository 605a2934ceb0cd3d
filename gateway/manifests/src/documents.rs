//! Splitting a file into its YAML documents, so that a broken one takes none of the others with it.

use std::ops::Range;

use portcullis_model::ObjectId;

/// One document of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// Where its text begins and ends.
    bounds: (u32, u32),
    /// How many lines of the file stand before it.
    pub(crate) lines_before: u32,
}

impl Document {
    /// Its text, in that of the file that it was split off.
    pub(crate) fn text<'t>(&self, file: &'t str) -> &'t str {
        let (start, end) = self.bounds;
        file.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// The documents of a file that hold more than blank lines, comments and directives.
///
/// A line that begins with `---` or `...` and then ends or goes on with white space is a marker wherever it
/// stands, also inside a quoted or block scalar, so no parser is needed to find it.
pub(crate) fn split(whole: &str) -> Vec<Document> {
    let text = whole.strip_prefix('\u{feff}').unwrap_or(whole);
    let mut documents = Vec::new();
    let mut offset = whole.len() - text.len();
    let (mut start, mut start_line) = (offset, 0);
    for (piece, line) in text.split_inclusive('\n').zip(0..) {
        if is_marker(piece) && offset > start {
            push(&mut documents, whole, start..offset, start_line);
            (start, start_line) = (offset, line);
        }
        offset += piece.len();
    }
    push(&mut documents, whole, start..offset, start_line);
    documents
}

fn is_marker(line: &str) -> bool {
    let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("..."));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn push(documents: &mut Vec<Document>, text: &str, range: Range<usize>, lines_before: u32) {
    // No file is so large (`portcullis_sources`); what lay beyond would not be read.
    let bound = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let document = Document { bounds: (bound(range.start), bound(range.end)), lines_before };
    let holds_something = document.text(text).lines().any(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', '%']) && line != "---" && line != "..."
    });
    if holds_something {
        documents.push(document);
    }
}

/// The API group that an identity of this group and kind has to tell: Istio has a `Gateway` too.
pub(crate) fn telling_group(group: &str, kind: &str) -> &'static str {
    match (group, kind) {
        ("gateway.networking.k8s.io", "Gateway") => "gateway.networking.k8s.io",
        _ => "",
    }
}

/// Who a document that does not parse probably is, by the keys `kind`, `name` and `namespace` of the usual
/// layouts. Good enough to name the object in a message, and to let what protects fail closed.
pub(crate) fn guess_identity(text: &str) -> Option<ObjectId> {
    let (mut kind, mut name, mut namespace) = (None, None, None);
    let mut in_metadata = false;
    let is_flow = text.trim_start().starts_with('{');
    for line in text.lines() {
        let is_nested = line.starts_with([' ', '\t', '#', '-']) || line.is_empty();
        if !is_nested && !is_flow {
            in_metadata = false;
        }
        for piece in line.split(['{', '}', ',']).map(str::trim) {
            in_metadata |=
                piece.trim_matches('"').starts_with("metadata") && (!is_nested || is_flow);
            if !is_nested || is_flow {
                kind = kind.or(value_of(piece, "kind"));
            }
            if in_metadata {
                name = name.or(value_of(piece, "name"));
                namespace = namespace.or(value_of(piece, "namespace"));
            }
        }
    }
    let is_gateway_api = text.lines().any(|line| line.contains("gateway.networking.k8s.io/"));
    let group = if is_gateway_api { "gateway.networking.k8s.io" } else { "" };
    let group = telling_group(group, kind?);
    Some(ObjectId::new(kind?, namespace.unwrap_or("default"), name?).in_group(group))
}

fn value_of<'t>(piece: &'t str, key: &str) -> Option<&'t str> {
    let value = piece.trim_start_matches('"').strip_prefix(key)?;
    let value = value.trim_start_matches('"').strip_prefix(':')?;
    let value = value.split(" #").next()?.trim().trim_matches(['"', '\'']);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (!value.is_empty() && value.bytes().all(is_name)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_the_lines_before_them() {
        let text = "# a comment\n---\na: 1\n--- # more\nb: |\n  -----BEGIN\n...\n---\n\n---\nc: 3";
        let found: Vec<_> = split(text).iter().map(|d| (d.lines_before, d.text(text))).collect();
        assert_eq!(
            found,
            [(1, "---\na: 1\n"), (3, "--- # more\nb: |\n  -----BEGIN\n"), (9, "---\nc: 3"),]
        );
    }

    #[test]
    fn an_identity_is_guessed_from_the_usual_layout() {
        let wanted = Some(ObjectId::new("WasmPlugin", "edge", "auth"));
        for text in [
            "kind: WasmPlugin\nmetadata:\n  name: \"auth\" # x\n  namespace: edge\nspec:\n  name: [\n",
            "kind: WasmPlugin\nspec: {name: [\nmetadata: {name: auth, namespace: edge}\n",
            "{\"kind\": \"WasmPlugin\",\n \"metadata\": {\n  \"namespace\": \"edge\", \"name\": \"auth\"\n",
        ] {
            assert_eq!(guess_identity(text), wanted, "{text}");
        }
        assert_eq!(guess_identity("a: ["), None);
        assert_eq!(guess_identity("kind: Gateway\nspec:\n  name: a\n"), None);
    }
}
