//! Plain text tables: the first column is aligned to the left, the others to the right.

use std::fmt;

pub struct Table {
    header: Vec<String>,
    /// Groups of rows, with a rule between them.
    groups: Vec<Vec<Vec<String>>>,
}

impl Table {
    pub fn new(header: Vec<String>) -> Self {
        Self { header, groups: vec![Vec::new()] }
    }

    /// Adds a row. It has as many cells as the header.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.header.len(), "a row has as many cells as the header");
        self.groups.last_mut().expect("there is always a group").push(cells);
    }

    /// Draws a rule below the rows so far.
    pub fn rule(&mut self) {
        self.groups.push(Vec::new());
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|cell| cell.chars().count()).collect();
        for row in self.groups.iter().flatten() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        write_row(formatter, &self.header, &widths)?;
        for group in &self.groups {
            let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
            writeln!(formatter, "{}", rule.join("  "))?;
            for row in group {
                write_row(formatter, row, &widths)?;
            }
        }
        Ok(())
    }
}

fn write_row(formatter: &mut fmt::Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
    let mut line = String::new();
    for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        if column == 0 {
            line.push_str(&format!("{cell:<width$}"));
        } else {
            line.push_str(&format!("  {cell:>width$}"));
        }
    }
    writeln!(formatter, "{}", line.trim_end())
}

/// A number with about three significant digits; a dash if there is none.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 99.95 => format!("{value:.0}"),
        Some(value) if value >= 9.995 => format!("{value:.1}"),
        Some(value) if value >= 0.0995 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(vec!["program".into(), "ms".into()]);
        table.row(vec!["cd".into(), "12.5".into()]);
        table.rule();
        table.row(vec!["worst".into(), "7".into()]);
        let expected = "program    ms\n-------  ----\ncd       12.5\n-------  ----\nworst       7\n";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn numbers_have_three_digits() {
        let values = [Some(123.4), Some(12.34), Some(1.234), Some(0.1234), Some(0.01234), None];
        assert_eq!(values.map(number), ["123", "12.3", "1.23", "0.12", "0.012", "-"]);
    }

    #[test]
    fn rounding_keeps_the_number_of_digits() {
        assert_eq!([Some(99.96), Some(9.996)].map(number), ["100", "10.0"]);
    }
}
