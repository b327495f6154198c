//! Streams and tables are joined, with the values that tables had then, each once.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_tests::harness::Broker;

use super::application::Application;
use super::feed::{Feed, Feeding, Input};
use super::topics::make;
use super::view::{Record, View, read};

const PARTITIONS: i32 = 2;
const CUSTOMERS: usize = 10;
const ARTICLES: usize = 20;
const MAKERS: usize = 5;
const COUNTRIES: usize = 3;
const INPUTS: [&str; 7] = [
    "orders",
    "payments",
    "names",
    "addresses",
    "articles",
    "makers",
    "countries",
];
const OUTPUTS: [&str; 4] = ["enriched", "paid", "profiles", "stocked"];
/// Parts of the topology times partitions.
const TASKS: usize = 10;
/// Orders that may be ahead of what is joined.
const AHEAD: usize = 40;

fn row(topic: &'static str, key: String, value: String) -> Input {
    Input {
        topic,
        key,
        value: Some(value),
        ..Input::default()
    }
}

/// The tables' rows as they are in a stage.
fn tables(stage: usize) -> Vec<Input> {
    let customers = (0..CUSTOMERS).flat_map(|i| {
        [("names", "name"), ("addresses", "address")].map(|(topic, what)| {
            row(
                topic,
                format!("customer-{i}"),
                format!("{what}-{i}-{stage}"),
            )
        })
    });
    let makers =
        (0..MAKERS).map(|i| row("makers", format!("maker-{i}"), format!("works-{i}-{stage}")));
    // An article changes its maker, and some are no longer made.
    let articles = (0..ARTICLES).map(|i| {
        let maker = (i + stage) % MAKERS;
        let mut article = row(
            "articles",
            format!("article-{i}"),
            format!("maker-{maker}:title-{i}-{stage}"),
        );
        if i % 7 == stage {
            article.value = None;
        }
        article
    });
    customers.chain(makers).chain(articles).collect()
}

/// What a join of tables comes to in a stage.
fn joined(topic: &str, stage: usize) -> BTreeMap<String, Option<String>> {
    match topic {
        "profiles" => (0..CUSTOMERS)
            .map(|i| {
                let profile = format!("name-{i}-{stage}:address-{i}-{stage}");
                (format!("customer-{i}"), Some(profile))
            })
            .collect(),
        _ => (0..ARTICLES)
            .map(|i| {
                let maker = (i + stage) % MAKERS;
                let made = format!("maker-{maker}:title-{i}-{stage}:works-{maker}-{stage}");
                (format!("article-{i}"), (i % 7 != stage).then_some(made))
            })
            .collect(),
    }
}

/// The last value of each key.
fn last(records: &[Record]) -> BTreeMap<String, Option<String>> {
    let rows = records.iter();
    rows.map(|record| (record.key.clone(), record.value.clone()))
        .collect()
}

fn customer(order: usize) -> usize {
    order * 7 % CUSTOMERS
}

fn order_id(stage: usize, order: usize) -> String {
    format!("order-{stage}-{order}")
}

/// Every order with its payment, which comes before it or after it.
fn orders(stage: usize) -> impl FnMut(usize) -> Input + Send + 'static {
    move |number| {
        let order = number / 2;
        let (id, customer) = (order_id(stage, order), customer(order));
        let key = format!("customer-{customer}");
        if number % 2 == order % 3 % 2 {
            row("payments", key, format!("{id}:payment-{order}"))
        } else {
            let country = order % COUNTRIES;
            row("orders", key, format!("{id}:country-{country}"))
        }
    }
}

struct Views {
    enriched: Arc<View>,
    paid: View,
    profiles: View,
    stocked: View,
}

impl Views {
    fn of(bootstrap: &str) -> Views {
        let [enriched, paid, profiles, stocked] =
            OUTPUTS.map(|topic| View::of(bootstrap, topic, PARTITIONS));
        Views {
            enriched: Arc::new(enriched),
            paid,
            profiles,
            stocked,
        }
    }

    /// Brings the tables to a stage, and waits until all joins of tables have come to it.
    fn advance(&self, bootstrap: &str, stage: usize) {
        Feed::new(bootstrap).send(&tables(stage));
        for (topic, view) in [("profiles", &self.profiles), ("stocked", &self.stocked)] {
            let wanted = joined(topic, stage);
            // A join that never was is not taken back.
            view.await_that(&format!("{wanted:?}"), |seen| {
                let mut seen = last(seen);
                seen.retain(|_, value| value.is_some());
                let mut wanted = wanted.clone();
                wanted.retain(|_, value| value.is_some());
                seen == wanted
            });
        }
    }

    fn feed_orders(&self, bootstrap: &str, stage: usize) -> Feeding {
        let (seen, before) = (self.enriched.clone(), self.enriched.len());
        Feeding::start(bootstrap, orders(stage), move |sent| {
            let ready = sent / 2 <= seen.len() - before + AHEAD;
            if !ready {
                seen.await_change();
            }
            ready
        })
    }
}

/// What must be there before the application.
fn prepare(broker: &Broker) {
    make(broker, &INPUTS, PARTITIONS);
    make(broker, &OUTPUTS, PARTITIONS);
    let countries =
        (0..COUNTRIES).map(|i| row("countries", format!("country-{i}"), format!("land-{i}")));
    Feed::new(&broker.bootstrap()).send(&countries.collect::<Vec<_>>());
}

/// An application of one instance, `one`, that comes to the first stage and is closed.
pub fn once(broker: &Broker) -> Application {
    prepare(broker);
    // Nobody takes over, so nobody need notice a death.
    let settings = [("session.timeout.ms", "300000")];
    let application = Application::new(broker, "shop", &settings);
    let instance = application.start("one");
    instance.await_tasks(TASKS);
    Views::of(&broker.bootstrap()).advance(&broker.bootstrap(), 0);
    instance.close();
    application
}

#[test]
fn streams_and_tables_are_joined_exactly_once_whatever_is_killed() {
    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    prepare(&broker);
    let views = Views::of(&bootstrap);
    let application = Application::new(&broker, "shop", &[]);
    let mut expected: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut joined_all = |stage: usize, feeding: Feeding| {
        let orders = feeding.stop().len() / 2;
        for order in 0..orders {
            let (id, customer) = (order_id(stage, order), customer(order));
            let country = order % COUNTRIES;
            let order = format!("{id}:country-{country}:");
            let enriched = format!("{order}name-{customer}-{stage}:land-{country}");
            expected.entry("enriched").or_default().push(enriched);
            let number = id.rsplit('-').next().expect("a number");
            expected
                .entry("paid")
                .or_default()
                .push(format!("{order}payment-{number}"));
        }
        for (topic, view) in [("enriched", &*views.enriched), ("paid", &views.paid)] {
            let total = expected[topic].len();
            view.await_that(&format!("{total}"), |seen| seen.len() >= total);
        }
        expected.clone()
    };

    let first = application.start("first");
    let second = application.start("second");
    first.await_tasks(TASKS / 2);
    second.await_tasks(TASKS / 2);
    views.advance(&bootstrap, 0);
    let feeding = views.feed_orders(&bootstrap, 0);
    views.enriched.await_more(200);
    first.kill();
    second.await_tasks(TASKS);
    views.enriched.await_more(200);
    joined_all(0, feeding);

    views.advance(&bootstrap, 1);
    let feeding = views.feed_orders(&bootstrap, 1);
    views.enriched.await_more(200);
    broker.kill();
    broker.restart();
    views.enriched.await_more(200);
    // The tables are where the broker has them.
    second.kill();
    application.forget("first");
    application.forget("second");
    let first = application.start("first");
    views.enriched.await_more(200);
    joined_all(1, feeding);

    views.advance(&bootstrap, 2);
    let feeding = views.feed_orders(&bootstrap, 2);
    views.enriched.await_more(200);
    let expected = joined_all(2, feeding);
    assert!(first.restored() > 0, "{:?}", first.said());
    first.close();
    for (topic, mut values) in expected {
        let found = read(&bootstrap, topic).into_iter();
        let mut found: Vec<_> = found.filter_map(|record| record.value).collect();
        found.sort();
        values.sort();
        assert_eq!(found, values, "{topic}");
    }
}
