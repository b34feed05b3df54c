//! The JSON schema of `site.toml`, made from the types, and a view of it that the reader of site files walks along.

use std::sync::LazyLock;

use schemars::schema_for;
use serde_json::{Map, Value};

use crate::site::Site;

/// JSON Schema (draft 2020-12) of `site.toml`, indented, without a new line at its end; checked in as docs/site.schema.json.
pub fn schema() -> String {
    format!("{:#}", value())
}

/// The schema as a value.
pub(super) fn value() -> &'static Value {
    static VALUE: LazyLock<Value> = LazyLock::new(|| schema_for!(Site).to_value());
    &VALUE
}

/// What may stand at a place of a site file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'s> {
    /// A table with these keys and the required ones among them.
    Table(&'s Map<String, Value>, &'s [Value]),
    /// A table with keys of any name, such as those of roles, and things of one kind below them.
    Map(&'s Value),
    /// A list of things.
    List(&'s Value),
    /// One of some words, as a list of schemas with a `const` each.
    Choice(&'s [Value]),
    /// A size: `40GB`, `12%`.
    Size,
    /// Any text.
    Text,
    /// A whole number from 0 to 2^32 - 1.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// What `schema` allows; `root` holds the definitions it refers to. `None` for schemas the types do not produce.
pub(super) fn shape<'s>(schema: &'s Value, root: &'s Value) -> Option<Shape<'s>> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        if reference == "#/$defs/Size" {
            return Some(Shape::Size);
        }
        return shape(root.pointer(reference.strip_prefix('#')?)?, root);
    }
    // An optional value is "this or null"; TOML has no null.
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        return any
            .iter()
            .filter(|one| one.get("type").is_none_or(|kind| kind != "null"))
            .find_map(|one| shape(one, root));
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        return Some(Shape::Choice(choices));
    }
    let kind = match schema.get("type")? {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null")?.as_str()?,
        kind => kind.as_str()?,
    };
    match kind {
        "object" if schema.get("properties").is_none() => Some(Shape::Map(schema.get("additionalProperties")?)),
        "object" => {
            let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            Some(Shape::Table(schema.get("properties")?.as_object()?, required))
        }
        "array" => Some(Shape::List(schema.get("items")?)),
        "string" => Some(Shape::Text),
        "integer" => Some(Shape::Integer),
        "boolean" => Some(Shape::Boolean),
        _ => None,
    }
}

/// Every place where `key` is known, as the section's dotted path; empty for the top level.
pub(super) fn homes(key: &str, schema: &Value, root: &Value, path: &str, found: &mut Vec<String>) {
    let properties = match shape(schema, root) {
        Some(Shape::Table(properties, _)) => properties,
        Some(Shape::Map(below)) => return homes(key, below, root, &format!("{path}.NAME"), found),
        _ => return,
    };
    if properties.contains_key(key) {
        found.push(path.to_owned());
    }
    for (name, below) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        homes(key, below, root, &path, found);
    }
}
