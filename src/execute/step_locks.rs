//! The locks of a step: how long it may wait for them, and who would wait behind it.

use std::time::Duration;

use super::engine::Hold;
use crate::domain::{Problem, TableName};
use crate::postgres::LockPatience;
use crate::postgres::blockers::{Wanted, relations_of};
use crate::sql::{CrashProbe, LockMode, Statement, Transactional, ended_after};

/// Whether clients wait behind statements that run together, while these wait for their locks. Of what is not known at all,
/// only what runs outside a transaction holds up nobody: no table lock belongs to it, or it is a block that commits in
/// parts and cannot be tried again.
pub(in crate::execute) fn holds_up_others(statements: &[Statement], transactional: bool) -> bool {
    // A partition is locked once nobody finds it through its table any more; to give up by then would leave it half detached.
    let detaches = |statement: &Statement| {
        matches!(
            statement.transactional,
            Transactional::No(CrashProbe::PartitionDetached { .. })
        )
    };
    if statements.iter().any(detaches) {
        return false;
    }
    let mut locks = statements
        .iter()
        .flat_map(|statement| &statement.locks)
        .peekable();
    match locks.peek() {
        Some(_) => locks.any(|lock| lock.mode.is_strong()),
        None => transactional,
    }
}

/// How long statements that run together may wait for their locks: long where they hold up nobody while they wait, and longest
/// where an index would have to be built anew.
pub(in crate::execute) fn patience_for(
    patience: &LockPatience,
    statements: &[Statement],
    transactional: bool,
) -> Duration {
    let builds = |statement: &Statement| {
        matches!(
            statement.transactional,
            Transactional::No(CrashProbe::IndexBuilt { .. } | CrashProbe::Reindexed { .. })
        )
    };
    if holds_up_others(statements, transactional) {
        // A statement that is ended for taking long is ended for good, and waiting for its lock counts: it steps back before.
        ended_after(statements).map_or(patience.timeout, |limit| patience.timeout.min(limit / 2))
    } else if statements.iter().any(builds) {
        patience.build_timeout
    } else {
        patience.long_timeout
    }
}

/// The tables that statements will lock so that others wait, as the catalog knows them.
///
/// # Errors
/// The database cannot be asked.
pub(in crate::execute) async fn wanted(
    hold: &Hold<'_>,
    statements: &[Statement],
) -> Result<Vec<Wanted>, Problem> {
    let strong: Vec<(&TableName, LockMode)> = statements
        .iter()
        .flat_map(|statement| &statement.locks)
        .filter(|lock| lock.mode.is_strong())
        .filter_map(|lock| lock.table.as_ref().map(|table| (table, lock.mode)))
        .collect();
    if strong.is_empty() {
        return Ok(Vec::new());
    }
    relations_of(hold.work.client(), &strong).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use miette::NamedSource;

    use super::*;
    use crate::sql::Script;

    #[test]
    fn only_what_holds_up_nobody_may_wait_long() {
        let patience = LockPatience::default();
        let timeout = |text: &str| {
            let source = Arc::new(NamedSource::new("test.sql", text.to_owned()));
            let script = Script::parse(&source, 0..text.len()).unwrap();
            let step = script.steps.first().unwrap();
            patience_for(&patience, &step.statements, step.transactional())
        };
        for text in [
            "ALTER TABLE t VALIDATE CONSTRAINT c",
            "DROP INDEX CONCURRENTLY i",
            "UPDATE t SET a = 1 WHERE id = 1",
            "CREATE DATABASE d",
            "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        ] {
            assert_eq!(timeout(text), patience.long_timeout, "{text}");
        }
        for text in [
            "CREATE INDEX CONCURRENTLY i ON t (a)",
            "REINDEX INDEX CONCURRENTLY i",
        ] {
            assert_eq!(timeout(text), patience.build_timeout, "{text}");
        }
        for text in [
            "ALTER TABLE t ADD COLUMN a int",
            "CREATE INDEX i ON t (a)",
            "BEGIN; ALTER TABLE t VALIDATE CONSTRAINT c; ALTER TABLE t ADD COLUMN a int; COMMIT",
            "DO $$BEGIN PERFORM 1; END$$",
            "BEGIN; SET LOCAL statement_timeout = '2s'; ALTER TABLE t ALTER COLUMN c TYPE text; COMMIT",
            // Outside a transaction, and in everybody's way all the same.
            "VACUUM FULL t",
        ] {
            assert_eq!(timeout(text), patience.timeout, "{text}");
        }
        let short = "BEGIN; SET LOCAL statement_timeout = '100ms'; ALTER TABLE t ADD COLUMN a int; COMMIT";
        assert_eq!(timeout(short), Duration::from_millis(50));
    }
}
