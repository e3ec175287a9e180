//! The check of inputs against schemas.

use proptest::prelude::*;
use requests::refusal::ActionRefusal;
use serde_json::{Value, json};

use crate::schema::check;

/// The schema of today.
fn of_add_new_jobs() -> Value {
    json!({"type": "object", "properties": {
        "tasks": {"type": "array", "description": "An array of task labels", "items": {"type": "string"}},
        "times": {"type": "integer", "default": 1, "minimum": 1, "maximum": 100, "title": "Times"},
    }})
}

fn message(schema: &Value, input: &Value) -> String {
    match check(schema, input).unwrap_err() {
        ActionRefusal::InputNotValid { message } => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn inputs_of_add_new_jobs_are_judged() {
    let schema = of_add_new_jobs();
    for input in [
        json!({"tasks": []}),
        json!({"tasks": ["a"], "times": 1, "request": "01K"}),
        json!({"tasks": ["a"], "times": 100.0}),
        json!({}),
    ] {
        assert_eq!(check(&schema, &input), Ok(()), "{input}");
    }
    for (input, expected) in [
        (json!({"tasks": ["a"], "times": 0}), "input.times is 0, and at least 1 is allowed"),
        (json!({"tasks": ["a"], "times": 101}), "input.times is 101, and at most 100 is allowed"),
        (json!({"tasks": ["a"], "times": 1.5}), "input.times has to be of the type integer"),
        (json!({"tasks": ["a"], "times": "1"}), "input.times has to be of the type integer"),
        (json!({"tasks": ["a", 1]}), "input.tasks[1] has to be of the type string"),
        (json!({"tasks": "a"}), "input.tasks has to be of the type array"),
        (json!(["a"]), "input has to be of the type object"),
        (json!(null), "input has to be of the type object"),
    ] {
        assert_eq!(message(&schema, &input), expected);
    }
}

#[test]
fn each_keyword_that_is_known_is_interpreted() {
    for (schema, good, bad, expected) in [
        (json!({"type": ["string", "null"]}), json!(null), json!(1), "input has to be of the type string or null"),
        (json!({"type": "number"}), json!(1.5), json!(true), "input has to be of the type number"),
        (
            json!({"enum": [1, [2.0], {"a": null}]}),
            json!([2]),
            json!([3]),
            "input is none of the values that are allowed",
        ),
        (json!({"required": ["a"]}), json!({"a": 1}), json!({"b": 1}), "input has to have 'a'"),
        (json!({"minLength": 2}), json!("éé"), json!("é"), "input is 1 characters, and at least 2 is allowed"),
        (json!({"maxLength": 2}), json!("éé"), json!("abc"), "input is 3 characters, and at most 2 is allowed"),
        (json!({"minItems": 1}), json!([1]), json!([]), "input is 0 items, and at least 1 is allowed"),
        (json!({"maxItems": 1}), json!([1]), json!([1, 2]), "input is 2 items, and at most 1 is allowed"),
        (
            json!({"items": {"items": {"maximum": 1}}}),
            json!([[1]]),
            json!([[1], [2]]),
            "input[1][0] is 2, and at most 1",
        ),
        (json!({"additionalProperties": false}), json!({}), json!({"a": 1}), "input.a is not allowed"),
        (
            json!({"properties": {"a": true}, "additionalProperties": {"type": "string"}}),
            json!({"a": 1, "b": "x"}),
            json!({"a": 1, "b": 1}),
            "input.b has to be of the type string",
        ),
        (json!({"properties": {"a": false}}), json!({"b": 1}), json!({"a": 1}), "input.a is not allowed"),
        (json!(true), json!(1), json!(null), ""),
    ] {
        assert_eq!(check(&schema, &good), Ok(()), "{schema}");
        if expected.is_empty() {
            assert_eq!(check(&schema, &bad), Ok(()));
        } else {
            assert!(message(&schema, &bad).starts_with(expected), "{}", message(&schema, &bad));
        }
        // A keyword holds for values of its type alone.
        let is_for_all = schema.get("type").is_some() || schema.get("enum").is_some();
        assert!(is_for_all || check(&schema, &json!(false)).is_ok(), "{schema}");
    }
}

#[test]
fn a_schema_with_anything_else_is_refused_wherever_it_stands() {
    let wrong = [
        json!({"pattern": "a"}),
        json!({"format": "uri"}),
        json!({"uniqueItems": true}),
        json!({"const": 1}),
        json!({"anyOf": []}),
        json!({"$ref": "#/x"}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
        json!({"exclusiveMinimum": 1}),
        json!({"type": "any"}),
        json!({"type": []}),
        json!({"type": 1}),
        json!({"required": true}),
        json!({"required": [1]}),
        json!({"items": [{"type": "string"}]}),
        json!({"properties": []}),
        json!({"minimum": "1"}),
        json!({"maxItems": -1}),
        json!({"maxItems": 1.5}),
        json!({"enum": 1}),
        json!({"a\u{202e}\n": 1}),
        json!(1),
        json!(null),
        json!({"description": "x".repeat(20_000)}),
    ];
    for schema in wrong {
        for schema in [
            schema.clone(),
            json!({"properties": {"other": schema}}),
            json!({"items": {"additionalProperties": schema}}),
        ] {
            let refused = check(&schema, &json!({"tasks": []}));
            let Err(ActionRefusal::SchemaChanged { message }) = refused else { panic!("{schema}: {refused:?}") };
            assert!(!message.contains(char::is_control) && !message.contains('\u{202e}'), "{message}");
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-9i64..9).prop_map(Value::from),
        (-9i32..9).prop_map(|number| json!(f64::from(number) / 2.0)),
        "[abé]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// A schema that allows nothing but this value, or nothing but what is as long and deep.
fn schema_of(value: &Value) -> Value {
    match value {
        Value::Null => json!({"type": "null"}),
        Value::Bool(it) => json!({"enum": ["x", it]}),
        Value::Number(it) if it.is_i64() => json!({"type": ["null", "integer"], "minimum": it, "maximum": it}),
        Value::Number(it) => json!({"type": "number", "minimum": it, "maximum": it}),
        Value::String(it) => {
            let length = it.chars().count();
            json!({"type": "string", "minLength": length, "maxLength": length, "description": "x", "default": 1})
        }
        Value::Array(items) if items.windows(2).all(|pair| pair[0] == pair[1]) => {
            let of_item = items.first().map_or(json!(false), schema_of);
            json!({"type": "array", "items": of_item, "minItems": items.len(), "maxItems": items.len()})
        }
        Value::Array(_) => json!({"type": "array", "enum": [value]}),
        Value::Object(properties) => {
            let schemas: serde_json::Map<_, _> =
                properties.iter().map(|(name, it)| (name.clone(), schema_of(it))).collect();
            let names: Vec<_> = properties.keys().collect();
            json!({"type": "object", "properties": schemas, "required": names, "additionalProperties": false})
        }
    }
}

/// Changes one part of a value, which `path` leads to.
fn change(value: &mut Value, path: &[prop::sample::Index]) {
    match value {
        Value::Array(items) if !path.is_empty() && !items.is_empty() => {
            let at = path[0].index(items.len());
            change(&mut items[at], &path[1..]);
        }
        Value::Object(properties) if !path.is_empty() && !properties.is_empty() => {
            let at = path[0].index(properties.len());
            change(properties.values_mut().nth(at).unwrap(), &path[1..]);
        }
        Value::Null => *value = json!(0),
        Value::Bool(it) => *it = !*it,
        Value::Number(it) => {
            *value = json!(it.as_f64().unwrap() + if path.len().is_multiple_of(2) { 0.5 } else { -1.0 });
        }
        Value::String(it) if path.len().is_multiple_of(2) && !it.is_empty() => drop(it.pop()),
        Value::String(it) => it.push('é'),
        Value::Array(items) if path.len().is_multiple_of(2) && !items.is_empty() => drop(items.pop()),
        Value::Array(items) => items.push(json!(1)),
        Value::Object(properties) if path.len().is_multiple_of(2) && !properties.is_empty() => {
            let name = properties.keys().next().unwrap().clone();
            properties.remove(&name);
        }
        Value::Object(properties) => drop(properties.insert("d".to_owned(), json!(null))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_schema_made_of_a_value_allows_it_and_no_change_of_it(
        value in value(),
        path in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let schema = schema_of(&value);
        prop_assert_eq!(check(&schema, &value), Ok(()), "{}", schema);
        let mut changed = value.clone();
        change(&mut changed, &path);
        prop_assert!(check(&schema, &changed).is_err(), "{} {}", schema, changed);
    }
}
