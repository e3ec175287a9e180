//! The rendering of a hook's payload from a template in JSON-e.
//!
//! A task wrote the template, so it is not trusted. JSON-e has loops, functions and a parser that backtracks, and the
//! library that renders it has no limits. Only operators without loops are allowed here, and expressions that are
//! names. The size of the result is then known before it is made: the sum of what the template itself holds and of the
//! values that it names. See ADR 0035.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::one_line;

/// Maximum size of all that is made on the way to a result, in bytes of memory. An input has at most 200,000.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// About how many bytes a value takes in memory, beside its text.
const VALUE: usize = 64;
/// The same of an object.
const OBJECT: usize = 700;
/// Maximum depth of a template.
const MAX_DEPTH: usize = 50;
/// Maximum number of names in an expression such as `a.b.c`.
const MAX_NAMES: usize = 5;

/// Renders a template.
///
/// # Errors
/// It is not one that is rendered here, it would become too large, or it is wrong. The message is for people.
pub(crate) fn render(template: &Value, context: Map<String, Value>) -> Result<Value, String> {
    let sizes = context.iter().map(|(name, value)| (name.as_str(), size_of(value))).collect();
    let mut bound = Bound { total: 0 };
    bound.value(template, &sizes, 0)?;
    json_e::render(template, &Value::Object(context)).map_err(|error| one_line(&error.to_string()))
}

/// The size of a value in memory, roughly.
fn size_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => VALUE,
        Value::String(text) => VALUE + text.len(),
        Value::Array(items) => VALUE + items.iter().map(size_of).sum::<usize>(),
        Value::Object(object) => {
            OBJECT + object.iter().map(|(key, value)| VALUE + key.len() + size_of(value)).sum::<usize>()
        }
    }
}

/// The sizes of the values that have names.
type Sizes<'t> = BTreeMap<&'t str, usize>;

/// An upper bound of what is made on the way to a result.
struct Bound {
    total: usize,
}

impl Bound {
    /// Adds up to the bound.
    fn add(&mut self, bytes: usize) -> Result<usize, String> {
        self.total = self.total.saturating_add(bytes);
        if self.total > MAX_BYTES { Err("it makes too much".to_owned()) } else { Ok(bytes) }
    }

    /// The bound of a value that is made from a template.
    fn value<'t>(&mut self, template: &'t Value, sizes: &Sizes<'t>, depth: usize) -> Result<usize, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is more than {MAX_DEPTH} deep"));
        }
        match template {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.add(VALUE),
            Value::String(text) => self.text(text, sizes),
            Value::Array(items) => {
                let mut bytes = self.add(VALUE)?;
                for item in items {
                    bytes += self.value(item, sizes, depth + 1)?;
                }
                Ok(bytes)
            }
            Value::Object(object) => self.object(object, sizes, depth),
        }
    }

    /// A text in which `${NAME}` stands for a value.
    fn text(&mut self, text: &str, sizes: &Sizes<'_>) -> Result<usize, String> {
        let mut bytes = self.add(VALUE + text.len())?;
        // What follows an escaped `$${` is judged in the same way.
        for part in text.split("${").skip(1) {
            let Some((expression, _)) = part.split_once('}') else {
                return Err("an expression in it has no end".to_owned());
            };
            bytes += self.named(expression, sizes)?;
        }
        Ok(bytes)
    }

    /// The value of an expression, which is a name such as `input`, or the way to a part of it such as `input.tasks`.
    fn named(&mut self, expression: &str, sizes: &Sizes<'_>) -> Result<usize, String> {
        let names: Vec<&str> = expression.split('.').collect();
        if names.len() > MAX_NAMES || !names.iter().all(|name| is_name(name)) {
            return Err(format!("only names are evaluated, not '{}'", one_line(expression)));
        }
        let Some(bytes) = sizes.get(names[0]) else {
            return Err(format!("there is no value of the name '{}'", one_line(names[0])));
        };
        // On the way to a part, each whole is copied.
        self.add(bytes.saturating_mul(names.len()))?;
        Ok(*bytes)
    }

    fn object<'t>(&mut self, object: &'t Map<String, Value>, sizes: &Sizes<'t>, depth: usize) -> Result<usize, String> {
        // A key that starts with two is not an operator: it stands for the key with one.
        let operator = object.keys().find(|key| key.starts_with('$') && !key.starts_with("$$"));
        let Some(operator) = operator else {
            let mut bytes = self.add(OBJECT)?;
            for (key, value) in object {
                if key.contains("${") {
                    return Err(format!("the key '{}' is an expression", one_line(key)));
                }
                bytes += self.add(VALUE + key.len())? + self.value(value, sizes, depth + 1)?;
            }
            return Ok(bytes);
        };
        let others = |allowed: &[&str]| object.keys().all(|key| key == operator || allowed.contains(&key.as_str()));
        match (operator.as_str(), &object[operator]) {
            ("$eval", Value::String(expression)) if others(&[]) => self.named(expression, sizes),
            ("$if", Value::String(condition)) if others(&["then", "else"]) => {
                self.condition(condition, sizes)?;
                let mut bytes = 0;
                for branch in ["then", "else"].iter().filter_map(|branch| object.get(*branch)) {
                    bytes = bytes.max(self.value(branch, sizes, depth + 1)?);
                }
                Ok(bytes)
            }
            ("$let", Value::Object(values)) if others(&["in"]) && values.keys().all(|name| is_name(name)) => {
                let mut within = sizes.clone();
                for (name, value) in values {
                    within.insert(name, self.value(value, sizes, depth + 1)?);
                }
                let template = object.get("in").ok_or("$let needs 'in'")?;
                self.value(template, &within, depth + 1)
            }
            ("$merge", parts) if others(&[]) => self.value(parts, sizes, depth + 1),
            _ => Err(format!("the operator {} is not allowed in this form", one_line(operator))),
        }
    }

    /// A name, its opposite, or its comparison with a text.
    fn condition(&mut self, condition: &str, sizes: &Sizes<'_>) -> Result<(), String> {
        let compared = condition.split_once("==").or_else(|| condition.split_once("!="));
        let name = match compared {
            Some((name, text)) => {
                let text = text.trim();
                let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
                if inner.is_none_or(|inner| inner.contains('\'')) {
                    return Err(format!("only names are compared with a text, not '{}'", one_line(condition)));
                }
                name.trim()
            }
            None => condition.strip_prefix('!').unwrap_or(condition).trim(),
        };
        self.named(name, sizes).map(|_| ())
    }
}

/// Whether this is a name in JSON-e.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    fn context() -> Map<String, Value> {
        let context = json!({"input": {"tasks": ["a", "b"]}, "taskId": null, "taskGroupId": "group", "level": "1"});
        context.as_object().unwrap().clone()
    }

    fn rendered(template: &Value) -> Result<Value, String> {
        render(template, context())
    }

    #[test]
    fn names_conditions_and_merges_are_rendered() {
        for (template, expected) in [
            (json!({"$eval": "input"}), json!({"tasks": ["a", "b"]})),
            (json!({"a": {"$eval": "input.tasks"}, "b": {"$eval": "taskId"}}), json!({"a": ["a", "b"], "b": null})),
            (json!("group ${taskGroupId}, level ${level}"), json!("group group, level 1")),
            (json!("$${taskGroupId} costs $5"), json!("${taskGroupId} costs $5")),
            (json!({"$$eval": "input"}), json!({"$eval": "input"})),
            (json!({"$if": "level == '1'", "then": 1, "else": 2}), json!(1)),
            (json!({"$if": "level != '1'", "then": 1, "else": 2}), json!(2)),
            (json!({"$if": "taskId", "then": 1, "else": [true, 2.5]}), json!([true, 2.5])),
            (json!({"$if": "!taskId", "then": 1}), json!(1)),
            (json!({"a": {"$if": "taskId", "then": 1}}), json!({})),
            (json!({"$let": {"x": {"$eval": "level"}}, "in": {"y": {"$eval": "x"}}}), json!({"y": "1"})),
            (json!({"$merge": [{"a": 1}, {"$eval": "input"}]}), json!({"a": 1, "tasks": ["a", "b"]})),
        ] {
            assert_eq!(rendered(&template), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_may_loop_or_takes_long_to_parse_is_refused() {
        let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
        for (template, expected) in [
            (json!({"$map": [1], "each(x)": 1}), "the operator $map is not allowed in this form"),
            (json!({"a": [{"$reduce": [1], "initial": 1, "each(a,b)": 1}]}), "the operator $reduce is not allowed"),
            (json!({"$json": {"$eval": "input"}}), "the operator $json is not allowed"),
            (json!({"$unknown": 1}), "the operator $unknown is not allowed"),
            (json!({"$": 1}), "the operator $ is not allowed"),
            (json!({"$eval": "range(0, 1000000000)"}), "only names are evaluated, not 'range(0, 1000000000)'"),
            (json!({"$eval": format!("{}1", "(".repeat(40))}), "only names are evaluated"),
            (json!({"$eval": "[input, input]"}), "only names are evaluated"),
            (json!({"$eval": "taskGroupId + taskGroupId"}), "only names are evaluated"),
            (json!({"$eval": "a.b.c.d.e.f"}), "only names are evaluated"),
            (json!({"$eval": ""}), "only names are evaluated"),
            (json!({"$eval": ["input"]}), "the operator $eval is not allowed in this form"),
            (json!({"$eval": "input", "other": 1}), "the operator $eval is not allowed in this form"),
            (json!({"$eval": "now"}), "there is no value of the name 'now'"),
            (json!({"$eval": "len"}), "there is no value of the name 'len'"),
            (json!({"$if": "((((level))))", "then": 1}), "only names are evaluated"),
            (json!({"$if": "level == level", "then": 1}), "only names are compared with a text"),
            (json!({"$if": "level == '1' && level == '1'", "then": 1}), "only names are compared with a text"),
            (json!({"$if": true, "then": 1}), "the operator $if is not allowed in this form"),
            (json!({"$let": {"x": 1}}), "$let needs 'in'"),
            (json!({"$let": {"$eval": "input"}, "in": 1}), "the operator $let is not allowed in this form"),
            (json!("${range(0, 9)}"), "only names are evaluated"),
            (json!("$${((((((}"), "only names are evaluated"),
            (json!("${level"), "an expression in it has no end"),
            (json!({"${level}": 1}), "the operator ${level} is not allowed in this form"),
            (json!({"a${level}": 1}), "the key 'a${level}' is an expression"),
            (json!({"$merge": [1]}), "TemplateError: $merge value must evaluate to an array of objects"),
            (json!("${input}"), "interpolation of 'input}' produced an array or object"),
            (json!({"$eval": "input.other"}), "object has no property"),
            (deep, "it is more than 50 deep"),
        ] {
            let started = Instant::now();
            let error = rendered(&template).unwrap_err();
            assert!(error.contains(expected), "{template}: {error}");
            assert!(started.elapsed() < Duration::from_secs(1));
        }
    }

    #[test]
    fn a_template_that_explodes_is_refused_before_it_is_rendered() {
        let many: Vec<_> = (0..50_000).map(|_| json!({"$eval": "input"})).collect();
        let doubled = (0..40).fold(
            json!({"$eval": "x"}),
            |inner, _| json!({"$let": {"x": [{"$eval": "x"}, {"$eval": "x"}]}, "in": inner}),
        );
        let doubled = json!({"$let": {"x": "lol"}, "in": doubled});
        let text = (0..40).fold(json!("${x}"), |inner, _| json!({"$let": {"x": "${x}${x}"}, "in": inner}));
        let text = json!({"$let": {"x": "lol"}, "in": text});
        for template in [json!(many), doubled, text] {
            let started = Instant::now();
            assert_eq!(rendered(&template), Err("it makes too much".to_owned()));
            assert!(started.elapsed() < Duration::from_secs(1));
        }
    }

    #[test]
    fn the_size_of_a_result_is_within_its_bound() {
        for template in [
            json!({"a": {"$eval": "input"}, "b": "x${level}y${taskGroupId}", "c": [1, true, {"$eval": "taskId"}]}),
            json!({"$let": {"x": [{"$eval": "input"}, {"$eval": "input"}]}, "in": [{"$eval": "x"}, {"$eval": "x"}]}),
            json!({"$merge": [{"$eval": "input"}, {"$if": "level", "then": {"x": "${level}"}, "else": {}}]}),
        ] {
            let context = context();
            let sizes = context.iter().map(|(name, value)| (name.as_str(), size_of(value))).collect();
            let bound = Bound { total: 0 }.value(&template, &sizes, 0).unwrap();
            assert!(size_of(&rendered(&template).unwrap()) <= bound, "{template}");
        }
    }
}
