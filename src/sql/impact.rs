//! What the statements of a script do to those who use the database meanwhile: the one source for previews, checks and
//! checklists.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Effect, Lock, LockMode, Script, Statement, effect};

/// What is ended after this time at the latest is told to hold its locks for a moment.
const A_MOMENT: Duration = Duration::from_secs(2);

/// What one statement does, in its script.
#[derive(Clone, Debug)]
pub struct Impact<'a> {
    /// The statement.
    pub statement: &'a Statement,
    /// What it takes away, builds or changes.
    pub effect: Effect,
    /// Its locks, and how long each is held where it stands.
    pub locks: Vec<Lock>,
    /// A check that was validated before saves it the scan.
    pub scan_saved: bool,
    /// It is ended after this time, so that its locks are not held for longer, whatever it would do under them.
    pub ended_after: Option<Duration>,
}

impl Impact<'_> {
    /// The strongest of its locks.
    pub fn strongest(&self) -> Option<&Lock> {
        self.locks.iter().max_by_key(|lock| (lock.mode, lock.long))
    }

    /// The lock that keeps writers out for as long as the statement goes through the table.
    pub fn stall(&self) -> Option<&Lock> {
        self.locks
            .iter()
            .find(|lock| lock.long && lock.mode >= LockMode::Share)
    }

    /// It as JSON: where it is, its locks and its effect.
    pub fn as_json(&self) -> Value {
        json!({
            "line": self.statement.line,
            "sql": self.statement.text,
            "locks": self.locks,
            "takes_away": self.effect.takes_away,
            "ended_after_ms": self.ended_after.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
        })
    }
}

/// What each statement of a script does, in order.
pub fn impacts(script: &Script) -> Vec<Impact<'_>> {
    // Checks of the same table, each with its column, until they are validated; and the columns of those that are.
    let mut checked: Vec<(String, String, String)> = Vec::new();
    let mut proven: Vec<(String, String)> = Vec::new();
    let timeouts = script.steps.iter().flat_map(|step| timeouts(&step.statements));
    script
        .statements()
        .zip(timeouts)
        .map(|(statement, ended_after)| {
            let effect = effect(&statement.text);
            let mut locks = statement.locks.clone();
            let mut scan_saved = false;
            if let Some(table) = &effect.altered_table {
                if let Some((name, column)) = &effect.checks_not_null {
                    checked.push((table.clone(), name.clone(), column.clone()));
                }
                if let Some(name) = &effect.validates {
                    let found = checked.iter().find(|(of, known, _)| (of, known) == (table, name));
                    proven.extend(found.map(|(table, _, column)| (table.clone(), column.clone())));
                }
                let is_proven = |column: &String| proven.contains(&(table.clone(), column.clone()));
                if effect.sets_not_null.as_ref().is_some_and(is_proven) {
                    scan_saved = true;
                    locks.iter_mut().for_each(|lock| lock.long = false);
                }
                if let Some(name) = &effect.drops_constraint {
                    checked.retain(|(of, known, column)| {
                        let goes = (of, known) == (table, name);
                        if goes {
                            proven.retain(|one| *one != (of.clone(), column.clone()));
                        }
                        !goes
                    });
                }
            }
            if ended_after.is_some_and(|limit| limit <= A_MOMENT) {
                locks.iter_mut().for_each(|lock| lock.long = false);
            }
            Impact {
                statement,
                effect,
                locks,
                scan_saved,
                ended_after,
            }
        })
        .collect()
}

/// The shortest time after which a statement among those of a transaction is ended, by what that says itself.
pub fn ended_after(statements: &[Statement]) -> Option<Duration> {
    timeouts(statements).into_iter().flatten().min()
}

/// After what time each statement of a transaction is ended: what was said before it.
fn timeouts(statements: &[Statement]) -> Vec<Option<Duration>> {
    let mut limit = None;
    statements
        .iter()
        .map(|statement| {
            if statement.text.to_ascii_lowercase().contains("statement_timeout") {
                limit = timeout_set_by(&statement.text);
                return None;
            }
            limit
        })
        .collect()
}

/// The limit that `SET LOCAL statement_timeout = '2s'` sets. What is written in any other way is taken for none.
fn timeout_set_by(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let value = text
        .strip_prefix("set local statement_timeout = '")?
        .strip_suffix('\'')?;
    let unit = value.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = value.split_at_checked(unit)?;
    let number = number.parse().ok().filter(|number| *number > 0)?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use miette::NamedSource;

    use super::*;
    use crate::domain::SourceText;

    fn longs(sql: &str) -> Vec<bool> {
        let source = SourceText::new(NamedSource::new("x.sql", sql.to_owned()));
        let script = Script::parse(&source, 0..sql.len()).unwrap();
        impacts(&script)
            .iter()
            .map(|impact| impact.stall().is_some())
            .collect()
    }

    #[test]
    fn what_is_ended_after_a_moment_keeps_nobody_waiting() {
        let scan = "ALTER TABLE t ALTER COLUMN c TYPE bigint";
        let with = |set: &str, between: &str| longs(&format!("BEGIN; {set}; {between}{scan}; COMMIT")).pop();
        assert_eq!(with("SET LOCAL statement_timeout = '2s'", ""), Some(false));
        assert_eq!(
            with("SET LOCAL statement_timeout = '500ms'", "SELECT 1; "),
            Some(false)
        );
        for set in [
            "SET LOCAL statement_timeout = '60s'",
            "SET LOCAL statement_timeout = '0s'",
            "SET LOCAL statement_timeout = '2min'",
            "SET LOCAL statement_timeout TO DEFAULT",
            "SET LOCAL lock_timeout = '2s'",
        ] {
            assert_eq!(with(set, ""), Some(true), "{set}");
        }
        let set = "SET LOCAL statement_timeout = '2s'";
        assert_eq!(with(set, "RESET statement_timeout; "), Some(true));
        // Outside of its transaction it holds no longer.
        assert_eq!(
            longs(&format!("BEGIN; {set}; SELECT 1; COMMIT; {scan}")).pop(),
            Some(true)
        );
        assert_eq!(longs(&format!("{set}; {scan}")).pop(), Some(true));
    }

    #[test]
    fn set_not_null_scans_unless_a_check_of_the_very_column_was_validated_before() {
        let add = "ALTER TABLE t ADD CONSTRAINT k CHECK (\"a b\" IS NOT NULL) NOT VALID;\n";
        let validate = "ALTER TABLE t VALIDATE CONSTRAINT k;\n";
        let set = "ALTER TABLE t ALTER COLUMN \"a b\" SET NOT NULL;\n";
        assert_eq!(longs(&[add, validate, set].concat()), [false, false, false]);
        assert_eq!(longs(&[add, set].concat()), [false, true]);
        assert_eq!(longs(set), [true]);
        let drop = "ALTER TABLE t DROP CONSTRAINT k;\n";
        assert_eq!(
            longs(&[add, validate, drop, set].concat()),
            [false, false, false, true]
        );
        let other = set.replace("TABLE t", "TABLE u");
        assert_eq!(longs(&[add, validate, &other].concat()), [false, false, true]);
        let another = validate.replace("CONSTRAINT k", "CONSTRAINT l");
        assert_eq!(longs(&[add, &another, set].concat()), [false, false, true]);
    }
}
