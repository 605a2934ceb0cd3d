//! What a plugin is given: `pluginConfig` and `vmConfig`.

use bytes::Bytes;
use serde_json::{Map, Number, Value as Json};

use crate::reader::{Cursor, Schema};
use crate::report::Gravity;
use crate::scalars::choice;
use crate::yaml::{Node, Value};

static VM_CONFIG: Schema =
    Schema { what: "a vmConfig", served: &["env"], not_yet: &[], skipped: &[] };
static ENV: Schema = Schema {
    what: "an environment variable",
    served: &["name", "valueFrom", "value"],
    not_yet: &[],
    skipped: &[],
};

/// Where a variable's value comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueFrom {
    Inline,
    Host,
}

/// A struct as JSON, in the order written; a string as it is.
pub(crate) fn read_configuration(field: &Cursor<'_>) -> Bytes {
    match &field.node().value {
        Value::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
        Value::Map(_) => Bytes::from(to_json(field.node()).to_string()),
        value => {
            let message = format!("this has to be a mapping or a string, but is {}", value.kind());
            field.report(Gravity::Breaks, crate::codes::WRONG_TYPE, message, "");
            Bytes::new()
        }
    }
}

fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Integer(number) => match (u64::try_from(*number), i64::try_from(*number)) {
            (Ok(number), _) => Json::Number(number.into()),
            (_, Ok(number)) => Json::Number(number.into()),
            _ => Json::Null,
        },
        Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(text.to_string()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => {
            let pair =
                |(key, node): &(crate::yaml::Key, Node)| (key.text.to_string(), to_json(node));
            Json::Object(entries.iter().map(pair).collect::<Map<_, _>>())
        }
    }
}

/// The variables of `vmConfig.env`.
pub(crate) fn read_environment(field: &Cursor<'_>) -> Vec<(String, String)> {
    let fields = field.fields(&VM_CONFIG);
    let env = fields.as_ref().and_then(|fields| fields.field("env"));
    env.iter().flat_map(|field| field.items()).filter_map(|item| read_variable(&item)).collect()
}

fn read_variable(item: &Cursor<'_>) -> Option<(String, String)> {
    let fields = item.fields(&ENV)?;
    let sources = &[("INLINE", ValueFrom::Inline), ("HOST", ValueFrom::Host)];
    let source = fields.field("valueFrom").and_then(|field| choice(&field, sources));
    let name = fields.required("name")?.text()?.to_owned();
    if source == Some(ValueFrom::Host) {
        // The gateway's environment is its operator's: who may write a plugin object need not be one.
        let message = format!("a plugin is not shown the gateway's environment, so not `{name}`");
        let help = "write its value here, `valueFrom: INLINE`; name and namespace of the pod are the properties node.metadata.NAME and .NAMESPACE";
        item.not_served(Gravity::Breaks, message, help);
        return None;
    }
    let value = fields.field("value").and_then(|field| field.text()).unwrap_or_default();
    Some((name, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::yaml::parse;

    #[test]
    fn a_struct_becomes_json_in_the_order_written() {
        let report = Report::new(None, "t".into(), 0);
        let node = parse("z: 1\na: [true, -2, 1.5, ~, \"x\\\"\"]\n").unwrap().unwrap();
        let json = read_configuration(&Cursor::root(&node, &report));
        assert_eq!(json, r#"{"z":1,"a":[true,-2,1.5,null,"x\""]}"#);
        let node = parse("\"as it is\"").unwrap().unwrap();
        assert_eq!(read_configuration(&Cursor::root(&node, &report)), "as it is");
        assert!(!report.is_broken());
    }
}
