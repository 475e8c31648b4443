//! Reading TOML by hand, so that one look at a file finds every mistake in it and points at each.
//!
//! A [`Document`] collects problems; a [`Table`] hands out the values of its keys, remembers which keys were asked
//! for, and reports those that nobody asked for. Shared by `shipctl.toml` and by plan files.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use crate::domain::did_you_mean;

/// A value with its place in the file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// One TOML table, and which of its keys were asked for.
pub(crate) struct Table<'d, 't> {
    document: &'d Document,
    table: &'d DeTable<'t>,
    /// What this table is, for messages: "phase `add`".
    what: String,
    span: Range<usize>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'d, 't> Table<'d, 't> {
    /// The file as a table.
    pub(crate) fn root(document: &'d Document, table: &'d Spanned<DeTable<'t>>) -> Self {
        Self {
            document,
            table: table.get_ref(),
            what: "this file".to_owned(),
            span: 0..0,
            asked: RefCell::default(),
        }
    }

    fn inner(&self, what: String, table: &'d DeTable<'t>, span: Range<usize>) -> Self {
        Self {
            document: self.document,
            table,
            what,
            span,
            asked: RefCell::default(),
        }
    }

    pub(crate) fn document(&self) -> &'d Document {
        self.document
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Names the table, once its name is known.
    pub(crate) fn call(&mut self, what: String) {
        self.what = what;
    }

    /// Whether the key stands there; does not count as asking for it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn raw(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key)
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        self.document.mistake(
            "wrong-type",
            format!("`{key}` of {} must be {wanted}", self.what),
            value.span(),
            format!("this is {}", kind_of(value.get_ref())),
            format!("write it as {wanted}"),
        );
    }

    /// Reports a value that has the right type but cannot be.
    pub(crate) fn invalid(
        &self,
        key: &str,
        span: Range<usize>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.document.mistake(
            "invalid-value",
            format!("`{key}` of {} cannot be used", self.what),
            span,
            why,
            fix,
        );
    }

    /// Reports that a key is needed; `example` shows how to write it.
    pub(crate) fn missing(&self, key: &str, example: &str) {
        self.document.mistake(
            "missing-key",
            format!("{} has no `{key}`", self.what),
            self.span(),
            format!("`{key}` is needed here"),
            format!("add `{example}`"),
        );
    }

    pub(crate) fn string(&self, key: &'static str) -> Option<Placed<String>> {
        let value = self.raw(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Placed {
                value: text.to_owned(),
                span: value.span(),
            }),
            None => {
                self.wrong(key, value, "a text in quotes");
                None
            }
        }
    }

    pub(crate) fn required_string(&self, key: &'static str, example: &str) -> Option<Placed<String>> {
        if !self.has(key) {
            self.asked.borrow_mut().insert(key);
            self.missing(key, example);
            return None;
        }
        self.string(key)
    }

    /// Parses a text that was read already.
    pub(crate) fn parse_text<T>(&self, key: &str, text: &Placed<String>) -> Option<Placed<T>>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        match text.value.parse() {
            Ok(value) => Some(Placed {
                value,
                span: text.span.clone(),
            }),
            Err(error) => {
                self.document.mistake(
                    "invalid-value",
                    error.to_string(),
                    text.span.clone(),
                    format!("`{key}` of {}", self.what),
                    "correct it here",
                );
                None
            }
        }
    }

    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.raw(key)?;
        let read = value.get_ref().as_bool();
        if read.is_none() {
            self.wrong(key, value, "true or false");
        }
        read
    }

    /// A whole number of at least `least`.
    pub(crate) fn number(&self, key: &'static str, least: u32) -> Option<Placed<u32>> {
        let value = self.raw(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong(key, value, "a whole number");
            return None;
        };
        let read = u32::from_str_radix(&integer.as_str().replace('_', ""), integer.radix());
        match read {
            Ok(number) if number >= least => Some(Placed {
                value: number,
                span: value.span(),
            }),
            _ => {
                self.invalid(
                    key,
                    value.span(),
                    format!("it must be a number from {least}"),
                    format!("write `{key} = {}`", least.max(1)),
                );
                None
            }
        }
    }

    /// A number that need not be whole.
    pub(crate) fn fraction(&self, key: &'static str) -> Option<Placed<f64>> {
        let value = self.raw(key)?;
        let text = match value.get_ref() {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            DeValue::Float(float) => float.as_str(),
            _ => {
                self.wrong(key, value, "a number");
                return None;
            }
        };
        let read: Result<f64, _> = text.replace('_', "").parse();
        match read {
            Ok(number) => Some(Placed {
                value: number,
                span: value.span(),
            }),
            Err(_) => {
                self.wrong(key, value, "a number");
                None
            }
        }
    }

    /// A duration above zero, such as `"2m"`; a day has 24 hours.
    pub(crate) fn duration(&self, key: &'static str) -> Option<SignedDuration> {
        let value = self.raw(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(
                key,
                value,
                "a duration in quotes, such as \"90s\", \"2m\" or \"24h\"",
            );
            return None;
        };
        let read = text
            .parse::<Span>()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
        match read {
            Ok(duration) if duration.is_positive() => Some(duration),
            Ok(_) => {
                self.invalid(
                    key,
                    value.span(),
                    "it must be longer than nothing",
                    "write it as \"90s\", \"2m\", \"24h\" or \"7d\"",
                );
                None
            }
            Err(_) => {
                self.invalid(
                    key,
                    value.span(),
                    "this is not a duration",
                    "write it as \"90s\", \"2m\", \"24h\" or \"7d\"",
                );
                None
            }
        }
    }

    /// A list of texts.
    pub(crate) fn strings(&self, key: &'static str) -> Option<Vec<Placed<String>>> {
        let value = self.raw(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, value, "a list of texts, such as [\"a\", \"b\"]");
            return None;
        };
        let mut texts = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Placed {
                    value: text.to_owned(),
                    span: item.span(),
                }),
                None => self.wrong(key, item, "a list of texts"),
            }
        }
        Some(texts)
    }

    /// One text, or a list of them.
    pub(crate) fn string_or_strings(&self, key: &'static str) -> Option<Vec<Placed<String>>> {
        let value = self.raw(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(vec![Placed {
                value: text.to_owned(),
                span: value.span(),
            }]),
            None => self.strings(key),
        }
    }

    /// A list of texts that each parse as `T`; those that do not are reported and left out.
    pub(crate) fn parsed_list<T>(&self, key: &'static str) -> Option<Vec<Placed<T>>>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let texts = self.strings(key)?;
        Some(
            texts
                .iter()
                .filter_map(|text| self.parse_text(key, text))
                .collect(),
        )
    }

    /// A table under a key.
    pub(crate) fn table(&self, key: &'static str) -> Option<Table<'d, 't>> {
        let value = self.raw(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.inner(format!("`{key}` of {}", self.what), table, value.span())),
            None => {
                self.wrong(key, value, "a table");
                None
            }
        }
    }

    /// What stands under a key that may hold a text or a table.
    pub(crate) fn string_or_table(&self, key: &'static str) -> Option<StringOrTable<'d, 't>> {
        let value = self.raw(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(StringOrTable::String(Placed {
                value: text.to_string(),
                span: value.span(),
            })),
            DeValue::Table(table) => Some(StringOrTable::Table(self.inner(
                format!("`{key}` of {}", self.what),
                table,
                value.span(),
            ))),
            _ => {
                self.wrong(key, value, "a text in quotes or a table");
                None
            }
        }
    }

    /// The tables of a list (`[[key]]` or `key = [{…}]`), in file order.
    pub(crate) fn tables(&self, key: &'static str) -> Option<Vec<Table<'d, 't>>> {
        let value = self.raw(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, value, &format!("a list of tables ([[{key}]])"));
            return None;
        };
        let mut tables = Vec::new();
        for (at, item) in array.iter().enumerate() {
            match item.get_ref().as_table() {
                Some(table) => tables.push(self.inner(
                    format!("`{key}` number {} of {}", at + 1, self.what),
                    table,
                    item.span(),
                )),
                None => self.wrong(key, item, &format!("a list of tables ([[{key}]])")),
            }
        }
        Some(tables)
    }

    /// The tables under freely chosen names, in file order; counts every key as asked for.
    pub(crate) fn named_tables(&self) -> Vec<(Placed<String>, Table<'d, 't>)> {
        let mut tables = Vec::new();
        for (key, value) in self.in_file_order() {
            match value.get_ref().as_table() {
                Some(table) => tables.push((
                    key.clone(),
                    self.inner(format!("`{}`", key.value), table, value.span()),
                )),
                None => self.wrong(&key.value, value, "a table"),
            }
        }
        tables
    }

    /// The texts under freely chosen names, in file order.
    pub(crate) fn named_strings(&self) -> Vec<(Placed<String>, Placed<String>)> {
        let mut texts = Vec::new();
        for (key, value) in self.in_file_order() {
            match value.get_ref().as_str() {
                Some(text) => texts.push((
                    key,
                    Placed {
                        value: text.to_owned(),
                        span: value.span(),
                    },
                )),
                None => self.wrong(&key.value, value, "a text in quotes"),
            }
        }
        texts
    }

    fn in_file_order(&self) -> Vec<(Placed<String>, &'d Spanned<DeValue<'t>>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| {
                let key = Placed {
                    value: key.get_ref().to_string(),
                    span: key.span(),
                };
                (key, value)
            })
            .collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }

    /// Says of a key that it has no place here, if it stands here; counts as asking for it.
    pub(crate) fn out_of_place(&self, key: &'static str, why: &str, fix: &str) {
        if !self.asked.borrow_mut().insert(key) {
            return;
        }
        if let Some((found, _)) = self.table.get_key_value(key) {
            self.document.mistake(
                "misplaced-key",
                format!("`{key}` does not belong to {}", self.what),
                found.span(),
                why,
                fix,
            );
        }
    }

    /// Lets a key stand unread.
    pub(crate) fn accept(&self, key: &'static str) {
        self.asked.borrow_mut().insert(key);
    }

    /// Where the value of a key stands; the whole table if the key does not.
    pub(crate) fn place_of(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or(self.span(), Spanned::span)
    }

    /// Whether a list stands under the key; does not count as asking for it.
    pub(crate) fn is_list(&self, key: &str) -> bool {
        self.table
            .get(key)
            .is_some_and(|value| value.get_ref().as_array().is_some())
    }

    /// Whether a list without items stands under the key.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        let value = self.table.get(key).and_then(|value| value.get_ref().as_array());
        value.is_some_and(|array| array.is_empty())
    }

    /// Reports every key that nobody asked for. The last thing to do with a table.
    pub(crate) fn finish(&self) {
        let asked = self.asked.borrow();
        let known: Vec<&str> = asked.iter().copied().collect();
        for key in self.table.keys() {
            if !asked.contains(key.get_ref().as_ref()) {
                self.document.mistake(
                    "unknown-key",
                    format!("`{}` is not a key of {}", key.get_ref(), self.what),
                    key.span(),
                    "unknown key",
                    did_you_mean(key.get_ref(), &known),
                );
            }
        }
    }
}

/// What stands under a key that may hold either.
pub(crate) enum StringOrTable<'d, 't> {
    String(Placed<String>),
    Table(Table<'d, 't>),
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
