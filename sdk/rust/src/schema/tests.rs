//! The schemas of configurations of every shape.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn schema_of<T: Described>() -> Value {
    let mut text = vec![0; length(T::SCHEMA)];
    let rest = write_into(&mut text, T::SCHEMA);
    assert!(rest.is_empty());
    serde_json::from_slice(&text).unwrap()
}

/// Who may "pass".
///
/// And who may not.
#[crate::configuration]
#[allow(dead_code)]
struct Guests {
    /// The header that is read.
    header_name: String,
    #[serde(default)]
    most: Option<u16>,
    #[serde(rename = "if")]
    condition: Vec<Condition>,
    #[serde(default)]
    names: BTreeMap<String, bool>,
    #[serde(skip)]
    not_there: u8,
    otherwise: Otherwise,
}

#[crate::configuration]
#[allow(dead_code)]
enum Otherwise {
    /// They pass.
    LetIn,
    SendAway,
}

#[crate::configuration]
#[allow(dead_code)]
enum Condition {
    /// One name.
    Is(String),
    #[serde(rename_all = "camelCase")]
    Between {
        first_name: String,
        last: Option<String>,
    },
    Nobody,
}

#[test]
fn every_shape_is_described() {
    let condition = json!({"oneOf": [
        {"description": "One name.", "type": "object", "properties": {"is": {"type": "string"}},
         "required": ["is"], "additionalProperties": false},
        {"type": "object", "properties": {"between": {"type": "object", "properties": {
            "firstName": {"type": "string"}, "last": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
            "required": ["firstName"], "additionalProperties": false}},
         "required": ["between"], "additionalProperties": false},
        {"const": "nobody"},
    ]});
    assert_eq!(
        schema_of::<Guests>(),
        json!({
            "type": "object",
            "description": "Who may \"pass\".\n\nAnd who may not.",
            "properties": {
                "headerName": {"description": "The header that is read.", "allOf": [{"type": "string"}]},
                "most": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 65535}, {"type": "null"}]},
                "if": {"type": "array", "items": condition},
                "names": {"type": "object", "additionalProperties": {"type": "boolean"}},
                "otherwise": {"oneOf": [
                    {"description": "They pass.", "const": "letIn"}, {"const": "sendAway"},
                ]},
            },
            "required": ["headerName", "if", "otherwise"],
            "additionalProperties": false,
        })
    );
}

#[test]
fn names_are_read_as_they_are_described() {
    let text = r#"{"headerName": "x", "if": [{"is": "ann"}, "nobody"], "otherwise": "sendAway"}"#;
    assert!(serde_json::from_str::<Guests>(text).is_ok());
    let unknown = r#"{"headerName": "x", "if": [], "otherwise": "sendAway", "header_name": "y"}"#;
    let error = serde_json::from_str::<Guests>(unknown).err().unwrap();
    assert!(error.to_string().contains("unknown field `header_name`"), "{error}");
}

#[test]
fn what_is_not_described_has_an_empty_schema() {
    struct Plain;
    assert_eq!(length(Probe::<Plain>::SCHEMA), 0);
    assert_eq!(write::<2>(Probe::<serde_json::Value>::SCHEMA), *b"{}");
}
