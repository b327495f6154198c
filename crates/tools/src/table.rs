//! Tables as Kafka's `ToolsUtils.prettyPrintTable` has them: columns as wide as their widest cell, a tab behind each.

use std::fmt::Write as _;

/// The lines of a table with a header.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let lines = std::iter::once(&header).chain(rows);
    let width = |column: usize| {
        let cells = lines.clone().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let lines: Vec<String> = lines
        .map(|line| {
            let cells = line.iter().zip(&widths);
            cells.fold(String::new(), |mut text, (cell, width)| {
                let _ = write!(text, "{cell:<width$}\t");
                text
            })
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["long".to_owned(), "1".to_owned()]];
        assert_eq!(table(["A", "Head"], &rows), "A   \tHead\t\nlong\t1   \t");
        assert_eq!(table(["A", "B"], &[]), "A\tB\t");
    }
}
