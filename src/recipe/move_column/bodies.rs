//! What the functions of both tables' triggers do, in PL/pgSQL. Columns of the rows that statements look at are never variables.

use super::sides::{Side, Sides};
use super::triggers::{FILLING, NOT_FILLING};
use crate::recipe::sync_trigger::differ;
use crate::sql::{literal, readable};

/// The function of one table, to be written.
pub(super) struct Body<'a> {
    pub(super) own: &'a Side,
    pub(super) their: &'a Side,
    pub(super) sides: &'a Sides,
    pub(super) of_source: bool,
    /// What the column has where an INSERT leaves it out.
    pub(super) default: Option<&'a str>,
}

impl Body<'_> {
    /// Of the table that is referred to, whose rows are there before the others'.
    pub(super) fn of_referred(&self) -> String {
        self.whole("", &format!("  {}\n", self.hand_on()))
    }

    /// The same, where rows of the other table are made for values.
    pub(super) fn of_creating(&self) -> String {
        let (own, their) = (self.own, self.their);
        let (column, theirs) = (own.name(), their.name());
        let keys: Vec<String> = their.keys.iter().map(readable).collect();
        let own_keys: Vec<String> = own
            .keys
            .iter()
            .map(|key| format!("NEW.{}", readable(key)))
            .collect();
        let insert = format!(
            "INSERT INTO {} AS theirs ({keys}, {theirs})
      VALUES ({}, NEW.{column})
      ON CONFLICT ({keys})",
            their.table(),
            own_keys.join(", "),
            keys = keys.join(", "),
        );
        let differs = differ(&format!("theirs.{theirs}"), &format!("EXCLUDED.{theirs}"));
        self.whole(
            "",
            &format!(
                "  IF NEW.{column} IS NOT NULL AND {FILLING} THEN
    {insert} DO NOTHING;
  ELSIF NEW.{column} IS NOT NULL THEN
    {insert} DO UPDATE SET {theirs} = EXCLUDED.{theirs}
      WHERE {differs};
  ELSIF TG_OP = 'UPDATE' AND {NOT_FILLING} THEN
    {}
  END IF;
",
                self.hand_on()
            ),
        )
    }

    /// Of the table that refers to the other.
    pub(super) fn of_referring(&self) -> String {
        let (own, their) = (self.own, self.their);
        let (column, theirs, their_table) = (own.name(), their.name(), their.table());
        let (found, ours) = (self.found(), own.pairs("ours", own, "NEW"));
        let not_given = match self.default {
            None => format!("NEW.{column} IS NULL"),
            Some(default) => format!(
                "(NEW.{column} IS NULL OR NOT {})",
                differ(&format!("NEW.{column}"), default)
            ),
        };
        // A default that was not given is one all the same where the other row has no value.
        let kept = match self.default {
            None => format!("theirs.{theirs}"),
            Some(_) => format!("coalesce(theirs.{theirs}, NEW.{column})"),
        };
        let take = format!(
            "UPDATE {} AS ours SET {column} = moved.held
        WHERE {ours}
          AND {};",
            own.table(),
            differ(&format!("ours.{column}"), "moved.held")
        );
        let came = format!(
            "  IF TG_WHEN = 'BEFORE' AND TG_OP = 'INSERT' THEN
    IF {not_given}
      AND NOT EXISTS (SELECT FROM {} AS ours WHERE {ours}) THEN
      {}
      IF moved.held IS NOT NULL THEN
        NEW.{column} := moved.held;
      END IF;
    END IF;
    RETURN NEW;
  END IF;
",
            own.table(),
            self.locked(),
        );
        // Where the partner's key changed and this row's followed, what was written with it has been handed on by now.
        let is_other = format!(
            "EXISTS (SELECT FROM {} AS ours WHERE {ours} AND {})",
            own.table(),
            differ(&format!("ours.{column}"), "moved.held")
        );
        // A row of the source that pairs anew keeps its value, and so the other takes it.
        let hands_over = if self.of_source {
            format!(
                "ELSIF moved.held IS NULL THEN
      UPDATE {their_table} AS theirs SET {theirs} = NEW.{column}
        WHERE {found};
    "
            )
        } else {
            String::new()
        };
        let message = literal(&format!(
            "the key of a row of {} cannot change: {} moves, and the new partner of the row in {} holds another value",
            own.column.table, self.sides.source.column, their.column.table
        ));
        let wrote = format!(
            "  IF TG_OP = 'INSERT' AND {FILLING} THEN
    NULL;
  ELSIF TG_OP = 'INSERT' AND {not_given} THEN
    UPDATE {their_table} AS theirs SET {theirs} = {kept}
      WHERE {found}
      RETURNING theirs.{theirs} INTO moved.held;
    IF moved.held IS NOT NULL THEN
      {take}
    END IF;
  ELSIF TG_OP = 'INSERT' THEN
    UPDATE {their_table} AS theirs SET {theirs} = NEW.{column}
      WHERE {found};
  ELSIF {changed} THEN
    {hand_on}
  ELSE
    UPDATE {their_table} AS theirs SET {theirs} = theirs.{theirs}
      WHERE {found}
      RETURNING theirs.{theirs} INTO moved.held;
    IF NOT FOUND OR NOT {is_other} THEN
      NULL;
    ELSIF NEW.{column} IS NULL THEN
      {take}
    {hands_over}ELSE
      RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
        MESSAGE = {message},
        HINT = 'let both rows hold the same first, or wait until the column has moved';
    END IF;
  END IF;
",
            changed = differ(&format!("NEW.{column}"), &format!("OLD.{column}")),
            hand_on = self.hand_on(),
        );
        self.whole(&came, &wrote)
    }

    /// What is done before a row is inserted, and after one was written; what a fill sets is read again in between.
    fn whole(&self, came: &str, wrote: &str) -> String {
        let (column, theirs) = (self.own.name(), self.their.name());
        let taken = if self.of_source {
            self.sides.at_source("moved.held")
        } else {
            "moved.held".to_owned()
        };
        format!(
            "#variable_conflict use_column
<<moved>>
DECLARE
  held {}.{theirs}%TYPE;
BEGIN
{came}  IF TG_WHEN = 'BEFORE' THEN
    {}
    IF FOUND THEN
      NEW.{column} := {taken};
    END IF;
    RETURN NEW;
  END IF;
{wrote}  RETURN NULL;
END moved",
            self.their.table(),
            self.locked(),
        )
    }

    /// Reads the other row, locked so that nobody writes it before this one is there for him to see.
    fn locked(&self) -> String {
        format!(
            "SELECT theirs.{} INTO moved.held FROM {} AS theirs
        WHERE {} FOR NO KEY UPDATE;",
            self.their.name(),
            self.their.table(),
            self.found()
        )
    }

    /// Writes the other row where it differs.
    fn hand_on(&self) -> String {
        let (column, theirs) = (self.own.name(), self.their.name());
        format!(
            "UPDATE {} AS theirs SET {theirs} = NEW.{column}
      WHERE {}
        AND {};",
            self.their.table(),
            self.found(),
            differ(&format!("theirs.{theirs}"), &format!("NEW.{column}"))
        )
    }

    fn found(&self) -> String {
        self.their.pairs("theirs", self.own, "NEW")
    }
}
