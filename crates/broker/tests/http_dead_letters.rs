//! Dead letters over HTTP. Every answer is held against its description in /openapi.json.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_codec::records::{BatchBuilder, Record, RecordHeader};
use serde_json::{Value, json};
use support::http::{Answer, ask};
use support::open_metrics::parse;
use support::{Running, batch, commit, create, produce_request, produced, schema, start};

/// A broker, and which of its routes were asked.
struct Api {
    running: Running,
    described: Value,
    asked: RefCell<BTreeSet<String>>,
}

impl Api {
    async fn start() -> Api {
        let running = start(&[]).await;
        let described = support::http::get(&running.address(), "/openapi.json").await;
        Api {
            described: described.json(),
            running,
            asked: RefCell::default(),
        }
    }

    /// Asks, and holds status and body against the description of `route`.
    async fn ask(&self, method: &str, route: &str, path: &str, body: Value) -> Answer {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let answer = ask(&self.running.address(), method, path, &[], &body).await;
        let pointer = route.replace('~', "~0").replace('/', "~1");
        let operation = format!("/paths/{pointer}/{}", method.to_lowercase());
        let operation = self.described.pointer(&operation);
        let operation = operation.unwrap_or_else(|| panic!("{method} {route} is not described"));
        self.asked.borrow_mut().insert(format!("{method} {route}"));
        let mut response = &operation["responses"][answer.status.to_string()];
        if let Some(reference) = response["$ref"].as_str() {
            response = self.described.pointer(&reference[1..]).unwrap();
        }
        assert!(
            response.is_object(),
            "{method} {path}: {answer:?} is not described"
        );
        let kind = answer
            .header("content-type")
            .unwrap_or_else(|| panic!("{answer:?}"));
        let kind = kind.split(';').next().unwrap();
        let schema = &response["content"][kind]["schema"];
        assert!(
            schema.is_object(),
            "{method} {path}: {kind} is not described"
        );
        let bodies: Vec<Value> = match kind {
            "application/json" => vec![answer.json()],
            "application/x-ndjson" => answer
                .body
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            _ => vec![Value::String(answer.body.clone())],
        };
        for body in bodies {
            if let Err(wrong) = schema::check(&self.described, schema, &body) {
                panic!("{method} {path}: {wrong}");
            }
        }
        answer
    }

    async fn get(&self, route: &str, path: &str) -> Answer {
        self.ask("GET", route, path, Value::Null).await
    }

    async fn send(&self, letters: &[Record]) {
        let batch = BatchBuilder::default().build(letters);
        let request = produce_request("orders.dlq", -1, batch);
        let mut connection = self.running.connect().await;
        let response = connection.call(9, &request).await.unwrap();
        assert_eq!(produced(&response).0, 0);
    }

    /// Topic `orders`, and three dead letters of two groups in its queue.
    async fn fill(&self) {
        let mut connection = self.running.connect().await;
        create(&mut connection, "orders").await;
        create(&mut connection, "orders.dlq").await;
        let letters = [
            ("billing", "no such customer"),
            ("billing", "time-out"),
            ("shipping", "time-out"),
        ];
        let records: Vec<Record> = letters
            .iter()
            .enumerate()
            .map(|(i, (group, reason))| letter(i as i64, group, reason))
            .collect();
        self.send(&records).await;
    }
}

fn letter(i: i64, group: &str, reason: &str) -> Record {
    let header = |key: &'static str, value: &str| RecordHeader {
        key: Bytes::from_static(key.as_bytes()),
        value: Some(Bytes::from(value.to_owned())),
    };
    Record {
        offset: i,
        timestamp: 1_769_860_800_000 + i,
        key: Some(Bytes::from(format!("k{i}"))),
        value: Some(Bytes::from_static(&[0xff, 0])).filter(|_| i != 2),
        headers: vec![
            header("trace", "1"),
            header("__dlq.errors.topic", "orders"),
            header("__dlq.errors.partition", "0"),
            header("__dlq.errors.offset", &i.to_string()),
            header("__dlq.errors.group", group),
            header("__dlq.errors.delivery.count", "5"),
            header("__dlq.errors.message", reason),
            header(
                "__dlq.errors.timestamp",
                &(1_769_860_900_000 + i).to_string(),
            ),
            header("__dlq.errors.client", "worker/127.0.0.1"),
        ],
    }
}

#[tokio::test]
async fn every_answer_is_as_described() {
    let api = Api::start().await;
    let empty = api.get("/v1/dlq", "/v1/dlq").await;
    assert_eq!(empty.json(), json!({"queues": []}));
    api.fill().await;
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/v1/redrives",
    ] {
        assert_eq!(api.get(path, path).await.status, 200, "{path}");
    }
    looking(&api).await;
    moving(&api).await;
    deleting(&api).await;
    settings(&api).await;
    nacking(&api).await;
    state(&api).await;
    let all: BTreeSet<String> = api.described["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    assert_eq!(*api.asked.borrow(), all);
}

async fn state(api: &Api) {
    let saving = json!({"name": "one"});
    let saved = api.ask("POST", "/v1/snapshots", "/v1/snapshots", saving.clone());
    assert_eq!(saved.await.status, 201);
    let again = api.ask("POST", "/v1/snapshots", "/v1/snapshots", saving);
    assert_eq!(again.await.status, 409);
    let all = api.get("/v1/snapshots", "/v1/snapshots").await.json();
    assert_eq!(all["snapshots"][0]["name"], "one");
    let one = ("/v1/snapshots/{name}", "/v1/snapshots/one");
    assert_eq!(
        api.ask("DELETE", one.0, one.1, Value::Null).await.status,
        200
    );
    assert_eq!(
        api.ask("DELETE", one.0, one.1, Value::Null).await.status,
        404
    );
    let reset = api.ask("POST", "/v1/reset", "/v1/reset", json!({}));
    assert_eq!(reset.await.status, 200);
}

async fn looking(api: &Api) {
    let queues = api.get("/v1/dlq", "/v1/dlq").await.json();
    assert_eq!(queues["queues"][0]["source"], "orders");
    assert_eq!(queues["queues"][0]["records"], 3);
    let queue = api.get("/v1/dlq/{topic}", "/v1/dlq/orders").await.json();
    assert_eq!(queue["groups"], json!({"billing": 2, "shipping": 1}));
    assert_eq!(
        queue["reasons"][0],
        json!({"reason": "time-out", "records": 2})
    );
    assert_eq!(
        api.get("/v1/dlq/{topic}", "/v1/dlq/nothing").await.status,
        404
    );
    let route = "/v1/dlq/{topic}/records";
    let records = async |query: &str| {
        api.get(route, &format!("/v1/dlq/orders/records?{query}"))
            .await
    };
    let offsets = |answer: &Answer| -> Vec<i64> {
        let page = answer.json();
        let records = page["records"].as_array().unwrap();
        records
            .iter()
            .map(|record| record["offset"].as_i64().unwrap())
            .collect()
    };
    for (query, expected) in [
        ("", vec![0, 1, 2]),
        ("group=billing", vec![0, 1]),
        ("reason=TIME-out&group=shipping", vec![2]),
        ("key=k1", vec![1]),
        ("partition=0&offset=2", vec![2]),
        ("from=1&to=2", vec![1]),
        ("since=1769860900001&until=1769860900002", vec![1]),
        ("limit=2", vec![0, 1]),
    ] {
        assert_eq!(offsets(&records(query).await), expected, "{query}");
    }
    let first = records("limit=1").await.json();
    let next = first["next"].as_str().unwrap();
    assert_eq!(
        offsets(&records(&format!("limit=5&cursor={next}")).await),
        [1, 2]
    );
    let all = records("format=ndjson").await;
    assert_eq!(all.body.lines().count(), 3);
    assert_eq!(
        records("format=ndjson&limit=2").await.body.lines().count(),
        2
    );
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=many",
        "colour=red",
        "offset=3",
        "from=3&to=2",
        "format=xml",
        "cursor=x",
        "cursor=0:1&format=ndjson",
    ] {
        let refused = records(bad).await;
        assert_eq!(refused.status, 400, "{bad}: {refused:?}");
    }
}

async fn moving(api: &Api) {
    let route = "/v1/dlq/{topic}/redrive";
    let redrive = async |body: Value| api.ask("POST", route, "/v1/dlq/orders/redrive", body).await;
    let dry = redrive(json!({"dry_run": true, "selection": {"group": "billing"}})).await;
    assert_eq!((dry.status, dry.json()["records"].clone()), (200, json!(2)));
    for bad in [
        json!({"selection": {"colour": "red"}}),
        json!({"dry-run": true}),
        json!({"selection": {"from": "one"}}),
        json!({"edit": {"value": {"text": "x"}}}),
        json!([1]),
    ] {
        let refused = redrive(bad.clone()).await;
        assert_eq!(refused.status, 400, "{bad}: {refused:?}");
    }
    let nothing = api
        .ask("POST", route, "/v1/dlq/nothing/redrive", json!({}))
        .await;
    assert_eq!(nothing.status, 404);
    let started = redrive(json!({"selection": {"key": "k1"}, "rate": 1000})).await;
    assert_eq!(started.status, 201, "{started:?}");
    let id = started.json()["id"].as_u64().unwrap();
    assert_eq!(
        started.header("location"),
        Some(format!("/v1/redrives/{id}").as_str())
    );
    let status = format!("/v1/redrives/{id}?wait_ms=30000");
    let done = api.get("/v1/redrives/{id}", &status).await.json();
    assert_eq!(
        (&done["state"], &done["moved"]),
        (&json!("done"), &json!(1))
    );
    assert_eq!(
        api.get("/v1/redrives", "/v1/redrives").await.json()["redrives"][0]["id"],
        id
    );
    for verb in ["pause", "resume", "cancel"] {
        let change = async |id: &str| {
            let path = format!("/v1/redrives/{id}/{verb}");
            api.ask(
                "POST",
                &format!("/v1/redrives/{{id}}/{verb}"),
                &path,
                Value::Null,
            )
            .await
        };
        assert_eq!(change(&id.to_string()).await.status, 409, "{verb}");
        assert_eq!(change("999").await.status, 404, "{verb}");
        assert_eq!(change("x").await.status, 400, "{verb}");
    }
    // One a second, so that there is time to do all of it to one that runs.
    let more: Vec<Record> = (0..50).map(|i| letter(i, "other", "")).collect();
    api.send(&more).await;
    let slow = redrive(json!({"rate": 1, "selection": {"group": "other"}}))
        .await
        .json()["id"]
        .as_u64()
        .unwrap();
    for (verb, state) in [
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "cancelled"),
    ] {
        let path = format!("/v1/redrives/{slow}/{verb}");
        let changed = api
            .ask(
                "POST",
                &format!("/v1/redrives/{{id}}/{verb}"),
                &path,
                Value::Null,
            )
            .await;
        assert_eq!(
            (changed.status, &changed.json()["state"]),
            (200, &json!(state))
        );
    }
}

async fn deleting(api: &Api) {
    let route = "/v1/dlq/{topic}/purge";
    let purge = async |body: Value| {
        api.ask("POST", route, "/v1/dlq/orders/purge", body)
            .await
            .json()
    };
    let shipping = json!({"group": "shipping"});
    let dry = purge(json!({"dry_run": true, "selection": shipping})).await;
    assert_eq!(dry["records"], 1);
    let done = purge(json!({"selection": shipping})).await;
    assert_eq!(
        (&done["dry_run"], &done["records"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(purge(json!({"selection": shipping})).await["records"], 0);
    let nothing = api
        .ask("POST", route, "/v1/dlq/nothing/purge", json!({}))
        .await;
    assert_eq!(nothing.status, 404);
}

async fn settings(api: &Api) {
    let route = "/v1/dlq-config";
    let setting = |answer: &Answer, name: &str| {
        let view = answer.json();
        let all = view["settings"].as_array().unwrap();
        let found = all.iter().find(|setting| setting["name"] == name).unwrap();
        (
            found["value"].as_str().unwrap().to_owned(),
            found["source"].as_str().unwrap().to_owned(),
        )
    };
    let is = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    let change = async |query: &str, body: Value| {
        let path = format!("{route}{query}");
        api.ask("PATCH", route, &path, body).await
    };
    let show = async |query: &str| api.get(route, &format!("{route}{query}")).await;
    assert_eq!(
        setting(&show("").await, "dlq.mode"),
        is("detect", "default")
    );
    change("", json!({"dlq.max.attempts": 4})).await;
    change("?topic=orders", json!({"dlq.max.attempts": "3"})).await;
    let changed = change("?group=billing", json!({"dlq.mode": "enforce"})).await;
    assert_eq!(setting(&changed, "dlq.mode"), is("enforce", "group"));
    let both = show("?group=billing&topic=orders").await;
    assert_eq!(setting(&both, "dlq.mode"), is("enforce", "group"));
    assert_eq!(setting(&both, "dlq.max.attempts"), is("3", "topic"));
    assert_eq!(
        setting(&show("?group=other").await, "dlq.max.attempts"),
        is("4", "broker")
    );
    let back = change("?topic=orders", json!({"dlq.max.attempts": null})).await;
    assert_eq!(setting(&back, "dlq.max.attempts"), is("4", "broker"));
    for (query, body, status) in [
        ("?topic=nothing", json!({"dlq.mode": "off"}), 404),
        ("?topic=orders&group=g", json!({"dlq.mode": "off"}), 400),
        ("", json!({"dlq.mode": "perhaps"}), 400),
        ("", json!({"num.partitions": 3}), 400),
        ("", json!({"dlq.mode": true}), 400),
        ("", json!({}), 400),
    ] {
        let refused = change(query, body.clone()).await;
        assert_eq!(refused.status, status, "{query} {body}: {refused:?}");
    }
    assert_eq!(show("?topic=nothing").await.status, 404);
}

async fn nacking(api: &Api) {
    let suspects = async |query: &str| {
        let route = "/v1/suspects";
        api.get(route, &format!("{route}{query}")).await.json()["groups"].clone()
    };
    assert_eq!(suspects("").await, json!([]));
    let mut connection = api.running.connect().await;
    let request = produce_request("orders", -1, batch(&["a", "b"]));
    let base = produced(&connection.call(9, &request).await.unwrap()).1;
    let committed = connection
        .call(8, &commit("g/1", "orders", base))
        .await
        .unwrap();
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
    let route = "/v1/groups/{group}/nack";
    let nack = async |group: &str, body: Value| {
        api.ask("POST", route, &format!("/v1/groups/{group}/nack"), body)
            .await
    };
    let record = json!({"topic": "orders", "partition": 0, "offset": base, "reason": "too sour"});
    let first = nack("g%2F1", record.clone()).await;
    assert_eq!(first.json(), json!({"moved": false, "attempts": 1}));
    let failing = suspects("?group=g/1&topic=orders").await;
    assert_eq!(failing[0]["suspects"][0]["offset"], base);
    assert_eq!(failing[0]["suspects"][0]["state"], "counting");
    assert_eq!(suspects("?topic=other").await, json!([]));
    for (group, changed, status, code) in [
        ("nobody", json!({}), 404, "no_such_group"),
        (
            "g%2F1",
            json!({"topic": "nothing"}),
            404,
            "no_such_partition",
        ),
        ("g%2F1", json!({"partition": 7}), 404, "no_such_partition"),
        ("g%2F1", json!({"topic": "orders.dlq"}), 400, "is_a_queue"),
        ("g%2F1", json!({"offset": base + 99}), 409, "out_of_range"),
        ("g%2F1", json!({"offset": null}), 400, "bad_body"),
        ("g%2F1", json!({"colour": "red"}), 400, "bad_body"),
    ] {
        let mut body = record.clone();
        let fields = changed.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let refused = nack(group, body.clone()).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{body}"
        );
    }
    let mut rejected = record;
    rejected["reject"] = json!(true);
    let moved = nack("g%2F1", rejected).await;
    assert_eq!(moved.json(), json!({"moved": true, "attempts": null}));
    assert_eq!(suspects("").await, json!([]));
    let redrives = api.get("/v1/redrives", "/v1/redrives").await.json();
    let redrives = redrives["redrives"].as_array().unwrap().iter();
    let moved: f64 = redrives.map(|task| task["moved"].as_f64().unwrap()).sum();
    let page = parse(&api.get("/metrics", "/metrics").await.body);
    for (series, expected) in [
        (
            "ottla_dead_letters_total{topic=\"orders\",group=\"g/1\",cause=\"rejected\"}",
            1.0,
        ),
        ("ottla_redriven_total{topic=\"orders\"}", moved),
        ("ottla_redrives_running", 0.0),
    ] {
        assert_eq!(page.get(series), Some(expected), "{series} in {page:?}");
    }
    let queue = api.get("/v1/dlq/{topic}", "/v1/dlq/orders").await.json();
    let size = page.get("ottla_dead_letter_queue_records{queue=\"orders.dlq\"}");
    assert_eq!(size, queue["records"].as_f64());
}

#[tokio::test]
async fn a_body_must_be_json_that_says_so_and_not_too_large() {
    let running = start(&[]).await;
    let address = running.address();
    let path = "/v1/dlq/orders/purge";
    let text = ask(
        &address,
        "POST",
        path,
        &[("Content-Type", "text/plain")],
        "{}",
    )
    .await;
    assert_eq!((text.status, text.code().as_str()), (400, "bad_body"));
    let broken = ask(&address, "POST", path, &[], "{").await;
    assert_eq!((broken.status, broken.code().as_str()), (400, "bad_body"));
    let large = format!("\"{}\"", "x".repeat(5 << 20));
    let large = ask(&address, "POST", path, &[], &large).await;
    assert_eq!((large.status, large.code().as_str()), (413, "too_large"));
}
