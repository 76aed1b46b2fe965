//! Columns of text, aligned before they are coloured.

use crate::cli::output::{Paint, Tint};

/// Blanks between two columns.
const GAP: usize = 2;

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    tint: Tint,
    text: String,
}

impl Cell {
    /// In a colour.
    #[must_use]
    pub const fn new(tint: Tint, text: String) -> Self {
        Self { tint, text }
    }

    /// Without one.
    #[must_use]
    pub const fn plain(text: String) -> Self {
        Self::new(Tint::Plain, text)
    }

    /// Columns on a terminal: every sign that we print takes one.
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// Rows of `N` cells below a heading.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty table below its heading.
    #[must_use]
    pub fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(|text| Cell::new(Tint::Faint, text.to_owned()))] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// The table as text, every line after `indent`, without blanks at their ends.
    #[must_use]
    pub fn print(&self, indent: &str, paint: Paint) -> String {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        self.rows.iter().map(|row| line(row, &widths, indent, paint)).collect::<Vec<_>>().join("\n")
    }
}

fn line(row: &[Cell], widths: &[usize], indent: &str, paint: Paint) -> String {
    let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
    let mut line = indent.to_owned();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate().take(last + 1) {
        line.push_str(&paint.tint(cell.tint, &cell.text));
        if index < last {
            line.push_str(&" ".repeat(width - cell.width() + GAP));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_lines_end_without_blanks() {
        let mut table = Table::new(["NAME", "STATE", "WHY"]);
        table.row([
            Cell::plain("a".into()),
            Cell::new(Tint::Good, "✔ healthy".into()),
            Cell::plain(String::new()),
        ]);
        table.row([
            Cell::plain("longer".into()),
            Cell::new(Tint::Warn, "॥ paused".into()),
            Cell::plain("x".into()),
        ]);
        insta::assert_snapshot!(table.print("", Paint::NONE), @r"
        NAME    STATE      WHY
        a       ✔ healthy
        longer  ॥ paused   x
        ");
        assert_eq!(
            table.print("", Paint::FULL).matches("\x1b[0m").count(),
            5,
            "headings and states are coloured"
        );
    }
}
