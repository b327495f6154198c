//! Output for people and for scripts: aligned tables, JSON lines.

use std::io::{self, Write};

use serde_json::Value;

/// Prints rows under a header, columns aligned; the header goes out even without rows.
pub fn table(out: &mut impl Write, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Prints a value as one line of JSON.
pub fn json(out: &mut impl Write, value: &Value) -> io::Result<()> {
    writeln!(out, "{value}")
}

/// An offset, a lag, ...; a dash where there is none.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// `0,1,2`, or a dash for nothing.
pub fn list(values: &[i32]) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    let values: Vec<String> = values.iter().map(i32::to_string).collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        let mut out = Vec::new();
        let row = |cells: [&str; 2]| cells.iter().map(|c| (*c).to_owned()).collect();
        let rows = [row(["orders", "12"]), row(["übersicht", "1"])];
        table(&mut out, &["TOPIC", "PARTITIONS"], &rows).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        TOPIC      PARTITIONS
        orders     12
        übersicht  1
        ");
    }
}
