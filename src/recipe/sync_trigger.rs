//! A trigger that keeps columns of a row in step while old and new code write them: one function, called before each INSERT
//! and before each UPDATE that concerns it, and not for a backfill.

use super::{BeforeTrigger, Refused, carry};
use crate::domain::{SqlIdentifier, TableName};
use crate::sql::{readable, readable_table};

/// Longer prefixes are not tried.
const LONGEST_PREFIX: usize = 12;

/// The names of a function and its two triggers.
pub struct SyncTrigger {
    table: TableName,
    function: SqlIdentifier,
    on_insert: SqlIdentifier,
    on_update: SqlIdentifier,
}

/// What it does, and when.
pub struct Work<'a> {
    /// The body of the function in PL/pgSQL, from BEGIN on; it finds the operation in `TG_OP`.
    pub body: String,
    /// On which rows of an INSERT it is called; on all of them where it is empty.
    pub on_insert: String,
    /// On which rows of an UPDATE it is called; those of a backfill are left out by themselves.
    pub on_update: String,
    /// The only columns by which an UPDATE can concern it; `None` where other triggers may set any.
    pub of: Option<&'a [&'a SqlIdentifier]>,
}

impl SyncTrigger {
    /// Names made of a label that sort behind those of the table's other triggers, so that these fire last and see what those
    /// changed.
    ///
    /// # Errors
    /// The trigger that sorts behind any such name.
    pub fn named<'a>(
        table: &TableName,
        label: &str,
        others: impl IntoIterator<Item = &'a BeforeTrigger>,
    ) -> Result<Self, Refused> {
        let last = others
            .into_iter()
            .map(|trigger| &trigger.name)
            .max_by_key(|name| name.as_str());
        let mut prefix = "zz".to_owned();
        loop {
            let base = SqlIdentifier::from_catalog(format!("{prefix}_sync_{label}"));
            let names = Self {
                table: table.clone(),
                function: carry::interim(&base, ""),
                on_insert: carry::interim(&base, "_insert"),
                on_update: carry::interim(&base, "_update"),
            };
            match last {
                Some(last) if last.as_str() >= names.on_insert.as_str() => {
                    if prefix.len() >= LONGEST_PREFIX {
                        return Err(Refused {
                            what: format!("trigger {last}"),
                            why: "its name sorts behind that of any trigger which keeps the columns in step, so it would \
                                  fire later and could change one column alone; give it another name first"
                                .to_owned(),
                        });
                    }
                    prefix.push('z');
                }
                _ => return Ok(names),
            }
        }
    }

    /// Makes the function and its triggers.
    pub fn create(&self, work: &Work<'_>) -> Vec<String> {
        let table = readable_table(&self.table);
        let function = self.function();
        let (on_insert, on_update) = (readable(&self.on_insert), readable(&self.on_update));
        let body = format!("\n{}\n", work.body.trim());
        let quotes = quotes_for(&body);
        let of = work.of.map_or_else(String::new, |columns| {
            let columns: Vec<String> = columns.iter().map(|column| readable(column)).collect();
            format!(" OF {}", columns.join(", "))
        });
        let on_insert_of = match work.on_insert.as_str() {
            "" => String::new(),
            condition => format!(" WHEN ({condition})"),
        };
        vec![
            format!(
                "CREATE FUNCTION {function}() RETURNS trigger\n  LANGUAGE plpgsql SECURITY INVOKER SET search_path = \
                 pg_catalog, pg_temp\nAS {quotes}{body}{quotes}"
            ),
            format!(
                "CREATE TRIGGER {on_insert} BEFORE INSERT ON {table}\n  FOR EACH ROW{on_insert_of}\n  EXECUTE FUNCTION \
                 {function}()"
            ),
            format!(
                "CREATE TRIGGER {on_update} BEFORE UPDATE{of} ON {table}\n  FOR EACH ROW WHEN (({})\n    AND \
                 current_setting('shipctl.backfill', true) IS DISTINCT FROM 'on')\n  EXECUTE FUNCTION {function}()",
                work.on_update
            ),
            // Also for rows that logical replication brings.
            format!(
                "ALTER TABLE {table} ENABLE ALWAYS TRIGGER {on_insert}, ENABLE ALWAYS TRIGGER {on_update}"
            ),
        ]
    }

    /// Removes the triggers and their function, in an order in which nothing is left that calls what is gone.
    pub fn remove(&self, if_exists: bool) -> Vec<String> {
        let table = readable_table(&self.table);
        let exists = if if_exists { "IF EXISTS " } else { "" };
        vec![
            format!("DROP TRIGGER {exists}{} ON {table}", readable(&self.on_insert)),
            format!("DROP TRIGGER {exists}{} ON {table}", readable(&self.on_update)),
            format!("DROP FUNCTION {exists}{}()", self.function()),
        ]
    }

    /// The function lives beside its table.
    fn function(&self) -> String {
        match &self.table.schema {
            Some(schema) => format!("{}.{}", readable(schema), readable(&self.function)),
            None => readable(&self.function),
        }
    }
}

/// A condition that is true where two values of one type are not the very same. It compares them byte by byte, so that
/// 1.0 and 1.00 differ, types without equality will do, and no search path has a say.
pub fn differ(one: &str, other: &str) -> String {
    format!("record_image_ne(ROW({one}), ROW({other}))")
}

/// A condition that is true where an UPDATE changes a column.
pub fn changed(column: &SqlIdentifier) -> String {
    let column = readable(column);
    differ(&format!("NEW.{column}"), &format!("OLD.{column}"))
}

/// Dollar quotes that do not occur in the text.
pub fn quotes_for(text: &str) -> String {
    let mut quotes = "$sync$".to_owned();
    let mut number = 0;
    while text.contains(&quotes) {
        number += 1;
        quotes = format!("$sync{number}$");
    }
    quotes
}
