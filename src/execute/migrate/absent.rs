//! Migrations of plans whose files are not in this checkout: they stay behind their gates all the same.

use std::collections::BTreeMap;

use tokio_postgres::GenericClient;

use super::Owner;
use crate::domain::{PhaseId, PlanId, Problem};
use crate::postgres::describe_error;
use crate::sql::MigrationFile;

/// The owners of those files that belong to plans which are not here: the ledger knows some of them, and generated
/// files say it in their first line.
///
/// # Errors
/// The ledger cannot be asked.
pub(super) async fn owners(
    client: &impl GenericClient,
    has_ledger: bool,
    files: &[MigrationFile],
) -> Result<BTreeMap<String, Owner>, Problem> {
    let mut owners: BTreeMap<String, Owner> = files
        .iter()
        .filter_map(|file| {
            let (plan, phase) = said_by(file.up_source.inner())?;
            let owner = Owner {
                plan,
                phase: Some(phase),
            };
            Some((file.name.clone(), owner))
        })
        .collect();
    if !has_ledger {
        return Ok(owners);
    }
    let rows = client
        .query(
            "SELECT DISTINCT plan, jsonb_object_keys(payload -> 'migrations') FROM shipctl.events
              WHERE kind = 'plan-registered' AND plan IS NOT NULL",
            &[],
        )
        .await
        .map_err(|error| describe_error(&error, "reading which migrations belong to plans"))?;
    for row in rows {
        let (plan, name): (&str, String) = (row.get(0), row.get(1));
        if let Ok(plan) = plan.parse() {
            owners.entry(name).or_insert(Owner { plan, phase: None });
        }
    }
    Ok(owners)
}

/// The plan and phase in a file's first line: `-- rename-users-name · phase drop`.
fn said_by(text: &str) -> Option<(PlanId, PhaseId)> {
    let (plan, phase) = text
        .lines()
        .next()?
        .strip_prefix("-- ")?
        .split_once(" · phase ")?;
    Some((plan.parse().ok()?, phase.trim_end().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::said_by;

    #[test]
    fn generated_files_say_whose_they_are() {
        let (plan, phase) = said_by("-- rename-users-name · phase drop\n-- UP\n").unwrap();
        assert_eq!((plan.as_str(), phase.as_str()), ("rename-users-name", "drop"));
        assert!(said_by("-- UP\nSELECT 1;").is_none());
        assert!(said_by("").is_none());
    }
}
