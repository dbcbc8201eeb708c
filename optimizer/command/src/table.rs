//! Tables for people: columns as wide as they have to be, numbers to the right.

/// Prints rows under a heading. Columns whose cells are all numbers stand to the right.
pub fn print(heading: &[&str], rows: &[Vec<String>]) {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> = heading
        .iter()
        .enumerate()
        .map(|(column, title)| {
            cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0).max(title.len())
        })
        .collect();
    let is_number = |text: &String| text.chars().all(|c| c.is_ascii_digit() || "+-.% ".contains(c));
    let right: Vec<bool> =
        (0..heading.len()).map(|column| !rows.is_empty() && cells(column).all(is_number)).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (column, cell) in cells.enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            let parts = if right[column] { [&padding, cell] } else { [cell, &padding] };
            text.push_str("  ");
            text.extend(parts);
        }
        say!("{}", text.trim_end());
    };
    line(&mut heading.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}
