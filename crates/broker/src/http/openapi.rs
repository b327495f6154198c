//! `/openapi.json`: the description of the routes, written by hand beside this file.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// OpenAPI 3.1.
const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) async fn description() -> Response {
    ([(CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn described() -> Value {
        serde_json::from_str(DESCRIPTION).unwrap()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described = described();
        let paths = described["paths"].as_object().unwrap();
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| (method.to_ascii_uppercase(), path.clone()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = super::super::routes()
            .into_iter()
            .map(|route| (route.method.to_string(), route.path.to_owned()))
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn parameters_of_paths_are_described_and_references_lead_somewhere() {
        let described = described();
        for (path, methods) in described["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let parameters: Vec<&str> = operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                let in_path: Vec<&str> = path
                    .split('{')
                    .skip(1)
                    .map(|rest| rest.split('}').next().unwrap())
                    .collect();
                assert_eq!(parameters, in_path, "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(
                    operation["responses"]["200"].is_object()
                        || operation["responses"]["201"].is_object(),
                    "{method} {path}"
                );
            }
        }
        check_references(&described, &described);
    }

    fn check_references(whole: &Value, part: &Value) {
        match part {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(whole.pointer(pointer).is_some(), "{reference}");
                }
                map.values()
                    .for_each(|value| check_references(whole, value));
            }
            Value::Array(values) => values
                .iter()
                .for_each(|value| check_references(whole, value)),
            _ => {}
        }
    }
}
