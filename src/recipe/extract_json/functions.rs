//! The functions that read a value out of a document and put one into it, for the trigger and for fills.
//!
//! Reading never fails, since old code writes what it likes: what does not fit is NULL. Putting fails where a document holds
//! something else than objects and arrays on the way to the value, which it would have to overwrite.

use super::{TypeFacts, Wish};
use crate::domain::{SqlIdentifier, TableName};
use crate::recipe::draft::Fill;
use crate::recipe::json_path::{JsonPath, Step};
use crate::recipe::sync_trigger::{Work, changed, differ, quotes_for};
use crate::recipe::{ColumnFacts, Comparison, carry};
use crate::sql::{literal, readable};

/// What is right of a row whose document is written, but not the value in it.
#[derive(Clone, Copy)]
pub(super) enum Truth {
    /// The document: the column may not be filled yet.
    Document,
    /// The column: the document may be older, as after the drop of the trigger.
    Column,
}

/// How the value is read and put.
pub(super) struct Functions<'a> {
    path: &'a JsonPath,
    column: &'a SqlIdentifier,
    document: &'a SqlIdentifier,
    table: &'a TableName,
    /// `json` or `jsonb`.
    document_type: &'a str,
    data_type: &'a str,
    /// The function that reads, where no expression does it.
    get: Option<String>,
    put: String,
}

impl<'a> Functions<'a> {
    pub(super) fn new(document: &'a ColumnFacts, new: &'a TypeFacts, wish: &'a Wish, label: &str) -> Self {
        let table = &document.column.table;
        let base = SqlIdentifier::from_catalog(format!("zz_sync_{label}"));
        // Beside the table, as the trigger's own.
        let named = |suffix| {
            let name = readable(&carry::interim(&base, suffix));
            match &table.schema {
                Some(schema) => format!("{}.{name}", readable(schema)),
                None => name,
            }
        };
        let data_type = new.column.data_type.as_str();
        // Of json it can fail: \u0000 is no text.
        let is_plain = document.data_type == "jsonb" && matches!(data_type, "text" | "jsonb");
        Self {
            path: &wish.path,
            column: &wish.column,
            document: &document.column.column,
            table,
            document_type: &document.data_type,
            data_type,
            get: (!is_plain).then(|| named("_get")),
            put: named("_put"),
        }
    }

    /// Whether every value fits the type.
    pub(super) fn always_fits(&self) -> bool {
        self.get.is_none()
    }

    /// The value of the row's document.
    pub(super) fn found(&self) -> String {
        self.found_in(&readable(self.document))
    }

    fn found_in(&self, document: &str) -> String {
        match &self.get {
            Some(function) => format!("{function}({document})"),
            None if self.data_type == "jsonb" => {
                format!("nullif({}, 'null'::jsonb)", self.path.value(document))
            }
            None => self.path.text(document),
        }
    }

    /// The row's document with its value.
    pub(super) fn put(&self) -> String {
        format!(
            "{}({}, {})",
            self.put,
            readable(self.document),
            readable(self.column)
        )
    }

    /// What the trigger does.
    pub(super) fn work<'w>(
        &self,
        truth: Truth,
        facts: &ColumnFacts,
        both: &'w [&'w SqlIdentifier],
    ) -> Work<'w> {
        let (document, column) = (readable(self.document), readable(self.column));
        let get = format!("NEW.{column} := {};", self.found_in(&format!("NEW.{document}")));
        let put = format!("NEW.{document} := {}(NEW.{document}, NEW.{column});", self.put);
        let found = |row: &str| self.found_in(&format!("{row}.{document}"));
        let otherwise = match truth {
            Truth::Document => format!("ELSE\n    {get}"),
            Truth::Column => format!(
                "ELSIF {} THEN\n    {get}\n  ELSE\n    {put}",
                differ(&found("NEW"), &found("OLD"))
            ),
        };
        let (document, column) = (changed(self.document), changed(self.column));
        // Where another trigger may change a column that the UPDATE does not name, each row has to be looked at.
        let is_alone = facts
            .before_triggers
            .as_ref()
            .is_some_and(|others| !others.iter().any(|trigger| trigger.on_update));
        Work {
            body: format!(
                "BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.{} IS NOT NULL THEN
      {put}
    ELSE
      {get}
    END IF;
  ELSIF {column} THEN
    {put}
  {otherwise}
  END IF;
  RETURN NEW;
END",
                readable(self.column)
            ),
            on_insert: String::new(),
            on_update: format!("{document} OR {column}"),
            of: is_alone.then_some(both),
        }
    }

    /// True where the document holds what the column would put there; null is as good as nothing.
    pub(super) fn kept_exactly(&self, document: &ColumnFacts) -> String {
        let value = self.path.value(&readable(self.document));
        let value = match document.comparison {
            Comparison::Equality => value,
            _ => format!("({value})::jsonb"),
        };
        format!(
            "nullif({value}, 'null'::jsonb) IS NOT DISTINCT FROM to_jsonb({})",
            readable(self.column)
        )
    }

    /// Takes the value out of the documents.
    pub(super) fn without_key<'f>(&self, table: &'f TableName, document: &'f ColumnFacts) -> Fill<'f> {
        let name = readable(self.document);
        let path = self.path.array(usize::MAX);
        let expression = match self.document_type {
            "json" => format!("({name}::jsonb #- {path})::json"),
            _ => format!("{name} #- {path}"),
        };
        Fill {
            table,
            set: vec![(&document.column.column, expression)],
            verify: format!("({}) IS NULL", self.path.value(&name)),
        }
    }

    /// Makes them. Whoever writes to the table calls them.
    pub(super) fn create(&self) -> Vec<String> {
        let mut statements = Vec::new();
        if let Some(get) = &self.get {
            let signature = format!("{get}(document {})", self.document_type);
            statements.push(function(&signature, self.data_type, &self.reading()));
            statements.push(format!(
                "GRANT EXECUTE ON FUNCTION {get}({}) TO PUBLIC",
                self.document_type
            ));
        }
        let signature = format!(
            "{}(document {}, value {})",
            self.put, self.document_type, self.data_type
        );
        statements.push(function(&signature, self.document_type, &self.putting()));
        statements.push(format!(
            "GRANT EXECUTE ON FUNCTION {}({}, {}) TO PUBLIC",
            self.put, self.document_type, self.data_type
        ));
        statements
    }

    /// Removes them.
    pub(super) fn remove(&self, if_exists: bool) -> Vec<String> {
        let exists = if if_exists { "IF EXISTS " } else { "" };
        let get = self
            .get
            .iter()
            .map(|get| format!("DROP FUNCTION {exists}{get}({})", self.document_type));
        let put = format!(
            "DROP FUNCTION {exists}{}({}, {})",
            self.put, self.document_type, self.data_type
        );
        get.chain([put]).collect()
    }

    fn reading(&self) -> String {
        let is_json = matches!(self.data_type, "json" | "jsonb");
        let found = if is_json {
            format!("nullif(({})::jsonb, 'null'::jsonb)", self.path.value("document"))
        } else {
            self.path.text("document")
        };
        // What would only fit once it is rounded does not fit.
        let base = unmodified(self.data_type).map_or_else(String::new, |base| {
            format!("  IF value IS DISTINCT FROM ({found})::{base} THEN\n    RETURN NULL;\n  END IF;\n")
        });
        format!(
            "DECLARE
  value {};
BEGIN
  value := {found};
{base}  RETURN value;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END",
            self.data_type
        )
    }

    fn putting(&self) -> String {
        let steps: Vec<&Step> = self.path.steps().collect();
        let whole = self.path.array(usize::MAX);
        let gone = match self.path.last() {
            Step::Key(_) => format!("changed #- {whole}"),
            // The elements behind it stay where they are.
            Step::Element(_) => format!("jsonb_set(changed, {whole}, 'null')"),
        };
        let mut way = String::new();
        let mut inner = "changed".to_owned();
        for (place, step) in steps.iter().enumerate() {
            let (kind, empty) = match step {
                Step::Key(_) => ("object", "{}"),
                Step::Element(_) => ("array", "[]"),
            };
            let make = if place == 0 {
                format!("'{empty}'")
            } else {
                format!("jsonb_set(changed, {}, '{empty}')", self.path.array(place))
            };
            way.push_str(&format!(
                "  IF coalesce({inner}, 'null') = 'null' THEN\n    changed := {make};\n  END IF;\n"
            ));
            let is_wrong = match step {
                Step::Key(_) | Step::Element(0) => format!("jsonb_typeof({inner}) <> '{kind}'"),
                Step::Element(number) => {
                    format!("jsonb_typeof({inner}) <> '{kind}' OR jsonb_array_length({inner}) < {number}")
                }
            };
            way.push_str(&format!(
                "  IF {is_wrong} THEN\n    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = {};\n  END IF;\n",
                literal(&format!(
                    "{} of {}.{} has no place for {}: what is there is no {kind}{}",
                    self.path,
                    self.table,
                    self.document,
                    self.column,
                    match step {
                        Step::Element(number) if *number > 0 => format!(" of {number} or more"),
                        _ => String::new(),
                    }
                ))
            ));
            inner = format!("{inner} -> {}", step.operand());
        }
        // A document that says so already stays as it was written, and so does one whose value does not fit.
        let found = differ(&self.found_in("document"), "value");
        format!(
            "DECLARE
  changed jsonb := document;
BEGIN
  IF NOT {found} THEN
    RETURN document;
  END IF;
  IF value IS NULL THEN
    RETURN {gone};
  END IF;
{way}  RETURN jsonb_set(changed, {whole}, to_jsonb(value));
END"
        )
    }
}

/// The type without the number of digits to which it rounds.
fn unmodified(data_type: &str) -> Option<String> {
    let rounds = ["numeric(", "timestamp(", "time(", "interval"];
    if !rounds.iter().any(|start| data_type.starts_with(start)) {
        return None;
    }
    let (before, rest) = data_type.split_once('(')?;
    let (_, after) = rest.split_once(')')?;
    Some(format!("{before}{after}"))
}

fn function(signature: &str, returns: &str, body: &str) -> String {
    let body = format!("\n{body}\n");
    let quotes = quotes_for(&body);
    format!(
        "CREATE FUNCTION {signature} RETURNS {returns}\n  LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = pg_catalog, \
         pg_temp\nAS {quotes}{body}{quotes}"
    )
}
