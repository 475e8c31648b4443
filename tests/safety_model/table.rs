//! Tables as PostgreSQL treats them, as far as the rules are concerned.

use std::collections::BTreeMap;

/// A row: what a reader must find, and what the columns hold.
#[derive(Clone, Debug)]
pub struct Row {
    pub truth: u64,
    pub values: BTreeMap<&'static str, u64>,
}

/// A table: its columns (true: NOT NULL) and its rows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub columns: BTreeMap<&'static str, bool>,
    pub rows: Vec<Row>,
}

impl Table {
    pub fn insert(&mut self, columns: &[&'static str], value: u64, truth: u64) -> Result<(), String> {
        self.known(columns)?;
        if let Some((name, _)) = self
            .columns
            .iter()
            .find(|(name, not_null)| **not_null && !columns.contains(name))
        {
            return Err(format!("INSERT leaves {name} NULL, but it is NOT NULL"));
        }
        self.rows.push(Row {
            truth,
            values: columns.iter().map(|column| (*column, value)).collect(),
        });
        Ok(())
    }

    pub fn update(
        &mut self,
        row: usize,
        columns: &[&'static str],
        value: u64,
        truth: Option<u64>,
    ) -> Result<(), String> {
        self.known(columns)?;
        let Some(row) = self.rows.get_mut(row) else {
            return Ok(());
        };
        row.values.extend(columns.iter().map(|column| (*column, value)));
        if let Some(truth) = truth {
            row.truth = truth;
        }
        Ok(())
    }

    pub fn read(&self, column: &'static str) -> Result<(), String> {
        self.known(&[column])?;
        match self
            .rows
            .iter()
            .find(|row| row.values.get(column) != Some(&row.truth))
        {
            None => Ok(()),
            Some(row) => Err(format!(
                "SELECT {column} finds {:?} where {} was written",
                row.values.get(column),
                row.truth
            )),
        }
    }

    fn known(&self, columns: &[&'static str]) -> Result<(), String> {
        match columns.iter().find(|column| !self.columns.contains_key(*column)) {
            None => Ok(()),
            Some(column) => Err(format!("column {column} does not exist")),
        }
    }

    pub fn add(&mut self, column: &'static str) {
        self.columns.entry(column).or_insert(false);
    }

    pub fn drop(&mut self, column: &'static str) {
        self.columns.remove(column);
        for row in &mut self.rows {
            row.values.remove(column);
        }
    }

    pub fn set_not_null(&mut self, column: &'static str, not_null: bool) -> Result<(), String> {
        self.known(&[column])?;
        if not_null && self.rows.iter().any(|row| !row.values.contains_key(column)) {
            return Err(format!("column {column} contains NULLs"));
        }
        self.columns.insert(column, not_null);
        Ok(())
    }
}
