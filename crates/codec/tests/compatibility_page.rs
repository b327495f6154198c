//! The table of APIs in docs/COMPATIBILITY.md is the one in the code.

use std::fmt::Write as _;
use std::path::Path;

use ottla_codec::api::Api;

const START: &str = "<!-- api-table -->\n";
const END: &str = "<!-- /api-table -->";

fn table() -> String {
    let mut table = String::from("| key | API | versions |\n|---|---|---|\n");
    for api in Api::ALL {
        let _ = writeln!(
            table,
            "| {} | {} | {} to {} |",
            *api as i16,
            api.name(),
            api.versions().start(),
            api.versions().end()
        );
    }
    table
}

/// Set `UPDATE_DOCS=1` to write the page anew.
#[test]
fn the_compatibility_page_has_the_table_of_apis() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/COMPATIBILITY.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let start = page.find(START).expect("the page has the table's start") + START.len();
    let end = page.find(END).expect("the page has the table's end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let updated = format!("{}{}{}", &page[..start], table(), &page[end..]);
        std::fs::write(&path, updated).unwrap();
        return;
    }
    assert_eq!(
        &page[start..end],
        table(),
        "run with UPDATE_DOCS=1 to update docs/COMPATIBILITY.md"
    );
}
