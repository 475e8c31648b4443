//! Aligned tables without borders. Cells may be painted.

use comfy_table::{ColumnConstraint, ContentArrangement, presets};

use super::style;

/// A table for people: a dim heading, aligned columns, two spaces between them.
pub struct Table {
    inner: comfy_table::Table,
    columns: usize,
}

impl Table {
    /// A table with these headings.
    pub fn new<'a>(headings: impl IntoIterator<Item = &'a str>) -> Self {
        let headings: Vec<String> = headings
            .into_iter()
            .map(|heading| visible(style::paint(style::DIM, heading)))
            .collect();
        let mut table = Self::without_heading(headings.len());
        table.inner.set_header(headings);
        table
    }

    /// A table without headings.
    pub fn without_heading(columns: usize) -> Self {
        let mut inner = comfy_table::Table::new();
        inner
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        Self { inner, columns }
    }

    /// Adds a row. Line breaks in a cell give it several lines.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| visible(cell.into())).collect();
        self.inner.add_row(cells);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.inner.row_count() == 0
    }

    /// The text, each line moved in by `indent` spaces and without trailing ones, and a closing line break.
    pub fn render(mut self, indent: usize) -> String {
        for index in 0..self.columns {
            if let Some(column) = self.inner.column_mut(index) {
                column.set_padding((0, 2));
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        self.inner
            .to_string()
            .lines()
            .map(|line| format!("{:indent$}{}\n", "", line.trim_end()))
            .collect()
    }
}

/// A cell without anything to see holds nothing at all, so that no paint keeps its line long.
fn visible(cell: String) -> String {
    if anstream::adapter::strip_str(&cell).to_string().is_empty() {
        String::new()
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_under_painted_cells() {
        let mut table = Table::new(["phase", "state"]);
        table.row([style::paint(style::GOOD, "add"), "done".to_owned()]);
        table.row(["dual-write".to_owned(), "blocked".to_owned()]);
        table.row(["drop".to_owned(), style::paint(style::DIM, "")]);
        let text = anstream::adapter::strip_str(&table.render(2)).to_string();
        assert_eq!(
            text,
            "  phase       state\n  add         done\n  dual-write  blocked\n  drop\n"
        );
    }
}
