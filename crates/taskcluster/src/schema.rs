//! The check of an action's input against the action's JSON Schema.
//!
//! The input is made here, so a schema need not be understood whole: one with a keyword that is not interpreted here is
//! refused. What is interpreted has the meaning of draft 7, in which Taskcluster's own check reads it.

use requests::refusal::ActionRefusal;
use serde_json::{Map, Number, Value};

use crate::error::one_line;

/// Maximum size of a schema, in bytes. It bounds the time of a check.
const MAX_SCHEMA_BYTES: usize = 16 * 1024;
/// The types of JSON.
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];

/// Checks an input.
///
/// # Errors
/// The schema refuses the input, or is not understood.
pub fn check(schema: &Value, input: &Value) -> Result<(), ActionRefusal> {
    if schema.to_string().len() > MAX_SCHEMA_BYTES {
        let message = format!("it has more than {MAX_SCHEMA_BYTES} bytes");
        return Err(ActionRefusal::SchemaChanged { message });
    }
    understand(schema).map_err(|message| ActionRefusal::SchemaChanged { message })?;
    validate(schema, input, "input").map_err(|message| ActionRefusal::InputNotValid { message })
}

/// Whether all of a schema is interpreted. The error says what is not.
fn understand(schema: &Value) -> Result<(), String> {
    let keywords = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(keywords) => keywords,
        _ => return Err("a schema in it is neither an object nor true or false".to_owned()),
    };
    for (keyword, value) in keywords {
        let is_understood = match keyword.as_str() {
            "title" | "description" | "default" => true,
            "type" => types(value).is_some_and(|types| types.iter().all(|it| TYPES.contains(it))),
            "properties" => {
                let Value::Object(properties) = value else { return Err(unknown(keyword)) };
                properties.values().try_for_each(understand)?;
                true
            }
            "items" | "additionalProperties" => {
                understand(value)?;
                true
            }
            "required" => value.as_array().is_some_and(|names| names.iter().all(Value::is_string)),
            "enum" => value.is_array(),
            "minimum" | "maximum" => value.is_number(),
            "minItems" | "maxItems" | "minLength" | "maxLength" => value.is_u64(),
            _ => false,
        };
        if !is_understood {
            return Err(unknown(keyword));
        }
    }
    Ok(())
}

fn unknown(keyword: &str) -> String {
    format!("its keyword '{}' is not known in this form", one_line(keyword))
}

/// The types that a schema allows.
fn types(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(name) => Some(vec![name]),
        Value::Array(names) if !names.is_empty() => names.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Checks a value against a schema that is understood. The error says what is wrong, and where.
fn validate(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Value::Object(keywords) = schema else {
        return if schema == &Value::Bool(false) { Err(format!("{place} is not allowed")) } else { Ok(()) };
    };
    if let Some(types) = keywords.get("type").and_then(types)
        && !types.iter().any(|name| is_of_type(value, name))
    {
        return Err(format!("{place} has to be of the type {}", types.join(" or ")));
    }
    if let Some(Value::Array(allowed)) = keywords.get("enum")
        && !allowed.iter().any(|allowed| is_same(allowed, value))
    {
        return Err(format!("{place} is none of the values that are allowed"));
    }
    match value {
        Value::Number(number) => in_range(keywords, ["minimum", "maximum"], number.as_f64(), place, ""),
        Value::String(text) => {
            let length = text.chars().count();
            in_range(keywords, ["minLength", "maxLength"], as_f64(length), place, " characters")
        }
        Value::Array(items) => {
            in_range(keywords, ["minItems", "maxItems"], as_f64(items.len()), place, " items")?;
            let Some(schema) = keywords.get("items") else { return Ok(()) };
            let mut items = items.iter().enumerate();
            items.try_for_each(|(at, item)| validate(schema, item, &format!("{place}[{at}]")))
        }
        Value::Object(properties) => validate_properties(keywords, properties, place),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn validate_properties(
    keywords: &Map<String, Value>,
    properties: &Map<String, Value>,
    place: &str,
) -> Result<(), String> {
    let required = keywords.get("required").and_then(Value::as_array).into_iter().flatten();
    if let Some(name) = required.filter_map(Value::as_str).find(|name| !properties.contains_key(*name)) {
        return Err(format!("{place} has to have '{}'", one_line(name)));
    }
    let known = keywords.get("properties").and_then(Value::as_object);
    for (name, value) in properties {
        let schema = known.and_then(|known| known.get(name)).or_else(|| keywords.get("additionalProperties"));
        if let Some(schema) = schema {
            validate(schema, value, &format!("{place}.{}", one_line(name)))?;
        }
    }
    Ok(())
}

/// Checks a number, or that of the characters or items of a value.
fn in_range(
    keywords: &Map<String, Value>,
    [minimum, maximum]: [&str; 2],
    number: Option<f64>,
    place: &str,
    of_what: &str,
) -> Result<(), String> {
    let limit = |keyword| keywords.get(keyword).and_then(Value::as_f64);
    let Some(number) = number else { return Err(format!("{place} is not a number that is known here")) };
    if let Some(minimum) = limit(minimum).filter(|minimum| number < *minimum) {
        return Err(format!("{place} is {number}{of_what}, and at least {minimum} is allowed"));
    }
    if let Some(maximum) = limit(maximum).filter(|maximum| number > *maximum) {
        return Err(format!("{place} is {number}{of_what}, and at most {maximum} is allowed"));
    }
    Ok(())
}

fn as_f64(length: usize) -> Option<f64> {
    Number::from(length).as_f64()
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract().abs() == 0.0)
        }
        _ => false,
    }
}

/// Whether two values are equal, where 1 and 1.0 are.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}
