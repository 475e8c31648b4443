//! Making the ledger and bringing it up to date, by the embedded migrations.

use tokio_postgres::{GenericClient, Transaction};

use super::{Access, describe};
use crate::domain::{Exit, Problem};
use crate::postgres::Session;

/// One embedded migration of the ledger.
struct Migration {
    id: &'static str,
    name: &'static str,
    text: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        id: "0001",
        name: "0001_ledger",
        text: include_str!("../../../migrations/0001_ledger.sql"),
    },
    Migration {
        id: "0002",
        name: "0002_fill_ranges",
        text: include_str!("../../../migrations/0002_fill_ranges.sql"),
    },
    Migration {
        id: "0003",
        name: "0003_leases",
        text: include_str!("../../../migrations/0003_leases.sql"),
    },
    Migration {
        id: "0004",
        name: "0004_sightings",
        text: include_str!("../../../migrations/0004_sightings.sql"),
    },
];

/// The advisory lock under which the ledger is changed: the same for every program, in every database.
const LOCK: i64 = 0x7368_6970_6374_6c00;

const CREATING: &str = "creating or upgrading the ledger";

/// Whether the ledger exists in this database. Reading never creates it.
///
/// # Errors
/// The database cannot be asked.
pub async fn exists(client: &impl GenericClient) -> Result<bool, Problem> {
    // From the catalog, which everybody may read, rather than by to_regclass, which needs USAGE on the schema.
    let found = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                             WHERE n.nspname = 'shipctl' AND c.relname = 'ledger_versions')",
            &[],
        )
        .await;
    found
        .map(|row| row.get(0))
        .map_err(|error| describe(&error, Access::Read, "looking for the ledger"))
}

/// Creates the ledger or brings it up to date with the embedded migrations. Two at once do not collide.
///
/// # Errors
/// The role may not create it (with the GRANTs that would help); the ledger is newer than this program.
pub async fn ensure(session: &mut Session) -> Result<(), Problem> {
    if exists(session.client()).await? && missing(session.client()).await?.is_empty() {
        return Ok(());
    }
    // One transaction for each, under a lock of the transaction; what another program did meanwhile is seen then.
    for _ in MIGRATIONS {
        let failed = |error: tokio_postgres::Error| describe(&error, Access::Create, CREATING);
        let transaction = session.client_mut().transaction().await.map_err(failed)?;
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
            .await
            .map_err(failed)?;
        let next = if exists(&transaction).await? {
            missing(&transaction).await?.into_iter().next()
        } else {
            create_schema(&transaction).await?;
            MIGRATIONS.first()
        };
        if let Some(migration) = next {
            transaction.batch_execute(up(migration)).await.map_err(failed)?;
            transaction
                .execute(
                    "INSERT INTO shipctl.ledger_versions (id, name) VALUES ($1, $2)",
                    &[&migration.id, &migration.name],
                )
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

/// Makes the schema unless there is one: asking with IF NOT EXISTS would need CREATE on the database in either case.
async fn create_schema(transaction: &Transaction<'_>) -> Result<(), Problem> {
    let failed = |error: tokio_postgres::Error| describe(&error, Access::Create, CREATING);
    let there = transaction
        .query_opt(
            "SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'shipctl'",
            &[],
        )
        .await
        .map_err(failed)?;
    if there.is_none() {
        transaction
            .batch_execute("CREATE SCHEMA shipctl; COMMENT ON SCHEMA shipctl IS 'The ledger of shipctl'")
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// The embedded migrations that this ledger does not have.
async fn missing(client: &impl GenericClient) -> Result<Vec<&'static Migration>, Problem> {
    let rows = client
        .query("SELECT id FROM shipctl.ledger_versions", &[])
        .await
        .map_err(|error| describe(&error, Access::Read, "reading the ledger's version"))?;
    let applied: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if let Some(unknown) = applied
        .iter()
        .find(|id| !MIGRATIONS.iter().any(|migration| migration.id == **id))
    {
        return Err(newer(&format!("its version {unknown} is not known here")));
    }
    Ok(MIGRATIONS
        .iter()
        .filter(|migration| !applied.iter().any(|id| id == migration.id))
        .collect())
}

/// The ledger was written by a newer program.
pub(super) fn newer(why: &str) -> Problem {
    Problem::new(
        Exit::Usage,
        "ledger-newer",
        "the ledger in this database was written by a newer shipctl",
    )
    .because(why)
    .fix(format!(
        "use a newer shipctl than {} with this database",
        env!("CARGO_PKG_VERSION")
    ))
}

/// The text between the markers. The files are our own, so that a line is all there is to recognise.
fn up(migration: &Migration) -> &'static str {
    let after = migration
        .text
        .split_once("\n-- UP\n")
        .map_or("", |(_, after)| after);
    after.split_once("\n-- DOWN\n").map_or(after, |(up, _)| up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_migration_has_both_sides_and_its_place() {
        for (i, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.id, format!("{:04}", i + 1));
            assert!(migration.name.starts_with(migration.id));
            assert!(up(migration).contains("CREATE") && !up(migration).contains("DROP TABLE"));
            assert!(migration.text.contains("\n-- DOWN\n"));
        }
    }
}
