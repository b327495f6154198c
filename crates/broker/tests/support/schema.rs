//! Holds JSON against the schemas of openapi.json: the part of JSON Schema that it uses, and nothing that it does not.

use serde_json::Value;

/// Whether `value` is as `schema` says; otherwise where it is not.
pub fn check(whole: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    at(whole, schema, value, "$")
}

fn at(whole: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let keywords = schema
        .as_object()
        .unwrap_or_else(|| panic!("{place}: no schema: {schema}"));
    for (keyword, argument) in keywords {
        match keyword.as_str() {
            "$ref" => {
                let pointer = argument.as_str().unwrap().strip_prefix('#').unwrap();
                at(whole, whole.pointer(pointer).unwrap(), value, place)?;
            }
            "type" => check_type(argument, value, place)?,
            "enum" => {
                if !argument.as_array().unwrap().contains(value) {
                    return Err(format!("{place}: {value} is none of {argument}"));
                }
            }
            // Says nothing of what is no object.
            "required" if !value.is_object() => {}
            "required" => {
                for name in argument.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        return Err(format!("{place}: {name} is missing in {value}"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in argument.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        at(whole, schema, value, &format!("{place}.{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    match argument {
                        Value::Bool(false) => {
                            return Err(format!("{place}.{name} is not described"));
                        }
                        Value::Bool(true) => {}
                        schema => at(whole, schema, value, &format!("{place}.{name}"))?,
                    }
                }
            }
            "items" => {
                for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                    at(whole, argument, value, &format!("{place}[{i}]"))?;
                }
            }
            "anyOf" | "oneOf" => {
                let tried: Vec<_> = argument
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|schema| at(whole, schema, value, place))
                    .collect();
                let fit = tried.iter().filter(|result| result.is_ok()).count();
                if fit == 0 || (keyword == "oneOf" && fit > 1) {
                    return Err(format!("{place}: {fit} of the forms fit: {tried:?}"));
                }
            }
            "description" => {}
            other => panic!("{place}: the keyword {other} is not checked here"),
        }
    }
    Ok(())
}

fn check_type(argument: &Value, value: &Value, place: &str) -> Result<(), String> {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("{place}: no type {other}"),
    };
    let fits = match argument {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        other => panic!("{place}: no type {other}"),
    };
    match fits {
        true => Ok(()),
        false => Err(format!("{place}: {value} is not of type {argument}")),
    }
}
