//! What the statements of a script do to those who use the database meanwhile: the one source for previews, checks and
//! checklists.

use serde_json::{Value, json};

use super::{Effect, Lock, LockMode, Script, Statement, effect};

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
        })
    }
}

/// What each statement of a script does, in order.
pub fn impacts(script: &Script) -> Vec<Impact<'_>> {
    // Checks of the same table, each with its column, until they are validated; and the columns of those that are.
    let mut checked: Vec<(String, String, String)> = Vec::new();
    let mut proven: Vec<(String, String)> = Vec::new();
    script
        .statements()
        .map(|statement| {
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
            Impact {
                statement,
                effect,
                locks,
                scan_saved,
            }
        })
        .collect()
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
