//! The tables that a dropped foreign key referred to: they are locked with it, and the statement does not name them.

use super::{Lock, LockMode, Script, effect};
use crate::domain::TableName;

/// Adds these locks, where either side of a migration tells what the constraint was.
pub(super) fn lock_them(up: &mut Script, down: Option<&mut Script>) {
    let mut added: Vec<(String, String, TableName)> = Vec::new();
    for statement in up
        .statements()
        .chain(down.iter().flat_map(|down| down.statements()))
    {
        let effect = effect(&statement.text);
        if let (Some(table), Some((name, referenced))) = (effect.altered_table, effect.adds_foreign_key) {
            added.push((table, name, referenced));
        }
    }
    if added.is_empty() {
        return;
    }
    let sides = std::iter::once(up).chain(down);
    for statement in sides
        .flat_map(|side| &mut side.steps)
        .flat_map(|step| &mut step.statements)
    {
        let effect = effect(&statement.text);
        let (Some(table), Some(name)) = (effect.altered_table, effect.drops_constraint) else {
            continue;
        };
        let of_this = added
            .iter()
            .filter(|(of, known, _)| (of, known) == (&table, &name));
        for (_, _, referenced) in of_this {
            let is_locked = |lock: &Lock| lock.table.as_ref() == Some(referenced);
            if !statement.locks.iter().any(is_locked) {
                statement.locks.push(Lock {
                    table: Some(referenced.clone()),
                    mode: LockMode::AccessExclusive,
                    long: false,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::MigrationFile;

    #[test]
    fn a_foreign_key_that_goes_locks_what_it_referred_to() {
        let text = "-- UP\nALTER TABLE a ADD CONSTRAINT \"K 1\" FOREIGN KEY (b) REFERENCES s.b (id) NOT VALID;\n\
                    ALTER TABLE a ADD CONSTRAINT own FOREIGN KEY (c) REFERENCES a (id) NOT VALID;\n\
                    -- DOWN\nALTER TABLE a DROP CONSTRAINT own;\nALTER TABLE a DROP CONSTRAINT IF EXISTS \"K 1\";\n\
                    ALTER TABLE c DROP CONSTRAINT \"K 1\";\n";
        let locked = |text: &str| {
            let file = MigrationFile::from_text("x", text).unwrap();
            let down = file.down.unwrap();
            let tables = down.statements().map(|statement| {
                let of = statement.locks.iter().filter_map(|lock| lock.table.as_ref());
                of.map(ToString::to_string).collect::<Vec<_>>().join(" ")
            });
            tables.collect::<Vec<_>>()
        };
        assert_eq!(locked(text), ["a", "a s.b", "c"]);
    }
}
