//! The trigger that keeps the old and the new column in step, whoever writes which.
//!
//! On INSERT the new column decides where it was given, the old one otherwise; on UPDATE the side that changed decides,
//! and the new column where both did. The trigger changes only the row at hand, so there is nothing to loop.

use super::Rename;
use crate::recipe::sync_trigger::{SyncTrigger, Work, changed, differ};
use crate::recipe::{ColumnFacts, DefaultValue, Refused};
use crate::sql::readable;

/// The trigger of a column that is to be renamed.
///
/// # Errors
/// A trigger that would fire after it.
pub(super) fn named(facts: &ColumnFacts) -> Result<SyncTrigger, Refused> {
    let column = &facts.column;
    let label = format!("{}_{}", column.table.name.as_str(), column.column.as_str());
    SyncTrigger::named(&column.table, &label, facts.before_triggers.iter().flatten())
}

/// Whether the new column may have the default while both columns exist: only where both get the same value of it can
/// the trigger tell what was given from what was left out.
pub(super) fn shares_default(facts: &ColumnFacts) -> bool {
    facts.default.is_none() || facts.default_value == DefaultValue::Same
}

/// Makes the function and its triggers.
pub(super) fn create(rename: &Rename<'_>, trigger: &SyncTrigger) -> Vec<String> {
    let facts = rename.facts;
    let (old_name, new_name) = (rename.old(), rename.new_name());
    let (old, new) = (readable(old_name), readable(new_name));
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
        changed(new_name)
    );
    // Where another trigger may change a column that the UPDATE does not name, each row has to be looked at.
    let is_alone = facts
        .before_triggers
        .as_ref()
        .is_some_and(|others| !others.iter().any(|trigger| trigger.on_update));
    let both = [old_name, new_name];
    trigger.create(&Work {
        body,
        on_insert: differ(&format!("NEW.{old}"), &format!("NEW.{new}")),
        on_update: format!("{} OR {}", changed(old_name), changed(new_name)),
        of: is_alone.then_some(&both[..]),
    })
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
