//! The options in two columns, as `--help` shows them.

use std::fmt::Write as _;

use super::{Argument, Spec};

const WIDTH: usize = 80;
const LEFT: usize = 40;

pub(super) fn render(specs: &[Spec]) -> String {
    let mut rows: Vec<(String, &str)> = specs.iter().map(|s| (left(s), &*s.description)).collect();
    rows.sort();
    let mut text = String::new();
    row(&mut text, "Option", "Description");
    row(&mut text, "------", "-----------");
    for (option, description) in &rows {
        row(&mut text, option, description);
    }
    text
}

fn left(spec: &Spec) -> String {
    let names: Vec<String> = spec
        .names
        .iter()
        .map(|name| format!("{}{name}", if name.len() == 1 { "-" } else { "--" }))
        .collect();
    let names = names.join(", ");
    match &spec.argument {
        Argument::None => names,
        Argument::Required(value) => format!("{names} <{value}>"),
        Argument::Optional(value) => format!("{names} [{value}]"),
    }
}

fn row(text: &mut String, option: &str, description: &str) {
    let mut description = wrap(description, WIDTH - LEFT).into_iter();
    let mut option = option.to_owned();
    // An option that does not fit has its line to itself.
    if option.len() + 1 > LEFT {
        let _ = writeln!(text, "{option}");
        option.clear();
    }
    let first = description.next().unwrap_or_default();
    let _ = writeln!(text, "{}", format!("{option:<LEFT$}{first}").trim_end());
    for line in description {
        let _ = writeln!(text, "{:LEFT$}{line}", "");
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use crate::options::Options;
    use crate::stop::Stop;

    #[test]
    fn options_are_sorted_and_descriptions_stand_in_their_column() {
        let options = Options::new()
            .value(
                "topic",
                "name",
                "The topic to look at, of which there must be one at least.",
            )
            .value(
                "a-long-option-with-a-long-name",
                "value that is long",
                "What it does.",
            )
            .aliases(&["group", "g"], "id", "A group.");
        let Stop::Usage { usage, .. } = options.usage("") else {
            panic!("a usage is asked for");
        };
        let expected = "\
Option                                  Description
------                                  -----------
--a-long-option-with-a-long-name <value that is long>
                                        What it does.
--group, -g <id>                        A group.
--help                                  Show this help.
--topic <name>                          The topic to look at, of which there
                                        must be one at least.
--version                               Show the version of Kafka that this tool
                                        stands in for.
";
        assert_eq!(usage, expected);
    }
}
