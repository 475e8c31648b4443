//! The trigger that keeps the old and the new column in step, whoever writes which.
//!
//! On INSERT the new column decides where it was given, the old one otherwise; on UPDATE the side that changed decides,
//! and the new column where both did. The trigger changes only the row at hand, so there is nothing to loop.

use super::Rename;
use crate::domain::SqlIdentifier;
use crate::recipe::carry;
use crate::recipe::{ColumnFacts, DefaultValue, Refused};
use crate::sql::{readable, readable_table};

/// Longer prefixes are not tried.
const LONGEST_PREFIX: usize = 12;

/// The names of the function and its two triggers.
pub(super) struct Names {
    function: SqlIdentifier,
    on_insert: SqlIdentifier,
    on_update: SqlIdentifier,
}

impl Names {
    /// Names that sort behind those of the table's other triggers, so that these fire last and see what those changed.
    ///
    /// # Errors
    /// The trigger that sorts behind any such name.
    pub(super) fn for_column(facts: &ColumnFacts) -> Result<Self, Refused> {
        let column = &facts.column;
        let others = facts.before_triggers.iter().flatten();
        let last = others
            .map(|trigger| &trigger.name)
            .max_by_key(|name| name.as_str());
        let mut prefix = "zz".to_owned();
        loop {
            let base = SqlIdentifier::from_catalog(format!(
                "{prefix}_sync_{}_{}",
                column.table.name.as_str(),
                column.column.as_str()
            ));
            let names = Self {
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
}

/// Whether the new column may have the default while both columns exist: only where both get the same value of it can
/// the trigger tell what was given from what was left out.
pub(super) fn shares_default(facts: &ColumnFacts) -> bool {
    facts.default.is_none() || facts.default_value == DefaultValue::Same
}

/// Makes the function and its triggers.
pub(super) fn create(rename: &Rename<'_>, names: &Names) -> Vec<String> {
    let facts = rename.facts;
    let table = readable_table(&facts.column.table);
    let (old, new) = (readable(rename.old()), readable(rename.new_name()));
    let function = function_name(facts, names);
    let (on_insert, on_update) = (readable(&names.on_insert), readable(&names.on_update));
    let changed = |column: &str| differ(&format!("NEW.{column}"), &format!("OLD.{column}"));

    let given = match &facts.default {
        Some(default) if shares_default(facts) => differ(
            &format!("NEW.{new}"),
            &format!("({default})::{}", facts.data_type),
        ),
        _ => format!("NEW.{new} IS NOT NULL"),
    };
    let body = format!(
        "
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF {given} THEN
      NEW.{old} := NEW.{new};
    ELSE
      NEW.{new} := NEW.{old};
    END IF;
  ELSIF {} THEN
    NEW.{old} := NEW.{new};
  ELSE
    NEW.{new} := NEW.{old};
  END IF;
  RETURN NEW;
END
",
        changed(&new)
    );
    let quotes = quotes_for(&body);
    // Where another trigger may change a column that the UPDATE does not name, each row has to be looked at.
    let is_alone = facts
        .before_triggers
        .as_ref()
        .is_some_and(|others| !others.iter().any(|trigger| trigger.on_update));
    let of = if is_alone {
        format!(" OF {old}, {new}")
    } else {
        String::new()
    };
    vec![
        format!(
            "CREATE FUNCTION {function}() RETURNS trigger\n  LANGUAGE plpgsql SECURITY INVOKER SET search_path = \
             pg_catalog, pg_temp\nAS {quotes}{body}{quotes}"
        ),
        format!(
            "CREATE TRIGGER {on_insert} BEFORE INSERT ON {table}\n  FOR EACH ROW WHEN ({})\n  EXECUTE FUNCTION \
             {function}()",
            differ(&format!("NEW.{old}"), &format!("NEW.{new}"))
        ),
        format!(
            "CREATE TRIGGER {on_update} BEFORE UPDATE{of} ON {table}\n  FOR EACH ROW WHEN (({} OR {})\n    AND \
             current_setting('shipctl.backfill', true) IS DISTINCT FROM 'on')\n  EXECUTE FUNCTION {function}()",
            changed(&old),
            changed(&new)
        ),
        // Also for rows that logical replication brings.
        format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {on_insert}, ENABLE ALWAYS TRIGGER {on_update}"),
    ]
}

/// Removes the triggers and their function, in an order in which nothing is left that calls what is gone.
pub(super) fn remove(rename: &Rename<'_>, names: &Names, if_exists: bool) -> Vec<String> {
    let facts = rename.facts;
    let table = readable_table(&facts.column.table);
    let exists = if if_exists { "IF EXISTS " } else { "" };
    vec![
        format!("DROP TRIGGER {exists}{} ON {table}", readable(&names.on_insert)),
        format!("DROP TRIGGER {exists}{} ON {table}", readable(&names.on_update)),
        format!("DROP FUNCTION {exists}{}()", function_name(facts, names)),
    ]
}

/// What the reader should know of the trigger.
pub(super) fn remarks(rename: &Rename<'_>) -> Vec<String> {
    let facts = rename.facts;
    let (old, new) = (rename.old(), rename.new_name());
    let mut remarks = Vec::new();
    let others: Vec<String> = facts
        .before_triggers
        .iter()
        .flatten()
        .map(|trigger| trigger.name.to_string())
        .collect();
    if !others.is_empty() {
        remarks.push(format!(
            "Triggers that fire before the one which keeps the columns in step see only the side that was written. \
             Those that use {old} must use {new} as well: {}.",
            others.join(", ")
        ));
    }
    if let (Some(default), false) = (&facts.default, shares_default(facts)) {
        remarks.push(format!(
            "The default of {old} ({default}) is not known to be the same value each time, so {new} gets it with the last phase. \
             Until then an INSERT that sets {new} to NULL gets the default of {old}, as if it had left {new} out."
        ));
    }
    remarks
}

/// The function lives beside its table.
fn function_name(facts: &ColumnFacts, names: &Names) -> String {
    match &facts.column.table.schema {
        Some(schema) => format!("{}.{}", readable(schema), readable(&names.function)),
        None => readable(&names.function),
    }
}

/// A condition that is true where two values of one type are not the very same. It compares them byte by byte, so that
/// 1.0 and 1.00 differ, types without equality will do, and no search path has a say.
fn differ(one: &str, other: &str) -> String {
    format!("record_image_ne(ROW({one}), ROW({other}))")
}

/// Dollar quotes that do not occur in the text.
fn quotes_for(text: &str) -> String {
    let mut quotes = "$sync$".to_owned();
    let mut number = 0;
    while text.contains(&quotes) {
        number += 1;
        quotes = format!("$sync{number}$");
    }
    quotes
}
