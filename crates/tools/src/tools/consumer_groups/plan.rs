//! Offsets as CSV: `topic,partition,offset`, or `group,topic,partition,offset` where there are several groups.

use std::collections::BTreeMap;

use super::partitions::Partition;

/// New offsets by group.
pub(super) type Plan = BTreeMap<String, BTreeMap<Partition, i64>>;

/// Writes a plan; without the group's column if it is of one group.
pub(super) fn write(plan: &Plan, one_group: bool) -> String {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for (group, offsets) in plan {
        for ((topic, partition), offset) in offsets {
            let (partition, offset) = (partition.to_string(), offset.to_string());
            let record = [&**group, topic, &partition, &offset];
            writer
                .write_record(&record[usize::from(one_group)..])
                .expect("a vector takes all, and records are of one length");
        }
    }
    let bytes = writer.into_inner().expect("a vector takes all");
    String::from_utf8(bytes).expect("made from strings")
}

/// Reads a plan. Rows without a group are `group`'s. An error names the line.
pub(super) fn read(text: &str, group: Option<&str>) -> Result<Plan, String> {
    let mut plan = Plan::new();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields: Vec<&str> = record.iter().collect();
        let (group, rest) = match (&fields[..], group) {
            ([topic, partition, offset], Some(group)) => (group, [topic, partition, offset]),
            ([group, topic, partition, offset], _) => (*group, [topic, partition, offset]),
            _ => {
                return Err(format!(
                    "line {line}: '{}' is not {}topic,partition,offset",
                    fields.join(","),
                    if group.is_some() { "" } else { "group," }
                ));
            }
        };
        let [topic, partition, offset] = rest;
        let number = |what, text: &str| format!("line {line}: the {what} '{text}' is no number");
        let index = partition
            .parse()
            .map_err(|_| number("partition", partition))?;
        let offset = offset.parse().map_err(|_| number("offset", offset))?;
        let offsets = plan.entry(group.to_owned()).or_default();
        offsets.insert(((*topic).to_owned(), index), offset);
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rows: &[(&str, &str, i32, i64)]) -> Plan {
        let mut plan = Plan::new();
        for (group, topic, partition, offset) in rows {
            let offsets = plan.entry((*group).to_owned()).or_default();
            offsets.insert(((*topic).to_owned(), *partition), *offset);
        }
        plan
    }

    #[test]
    fn what_is_written_is_read_again() {
        let one = plan(&[("g", "t", 0, 5), ("g", "t", 1, 7)]);
        assert_eq!(write(&one, true), "t,0,5\nt,1,7\n");
        assert_eq!(read("t,0,5\nt,1,7\n", Some("g")), Ok(one.clone()));
        let odd = plan(&[("a,b", "t", 0, 5), ("say \"so\"", "t", 1, 7)]);
        assert_eq!(
            write(&odd, false),
            "\"a,b\",t,0,5\n\"say \"\"so\"\"\",t,1,7\n"
        );
        assert_eq!(read(&write(&odd, false), None), Ok(odd.clone()));
        assert_eq!(read(&write(&odd, false), Some("g")), Ok(odd));
    }

    #[test]
    fn what_is_no_plan_is_named_with_its_line() {
        for (text, group, expected) in [
            (
                "t,0,5\nfoo\n",
                Some("g"),
                "line 2: 'foo' is not topic,partition,offset",
            ),
            (
                "t,0,5\n",
                None,
                "line 1: 't,0,5' is not group,topic,partition,offset",
            ),
            (
                "t,x,5\n",
                Some("g"),
                "line 1: the partition 'x' is no number",
            ),
            ("g,t,0,\n", None, "line 1: the offset '' is no number"),
        ] {
            assert_eq!(read(text, group), Err(expected.to_owned()));
        }
    }
}
