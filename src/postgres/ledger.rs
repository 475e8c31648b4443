//! The ledger's store in the target database, schema `shipctl` (placeholder until the logic lands).

use tokio_postgres::GenericClient;

use super::Session;
use crate::domain::{EnvironmentName, PlanId, Problem};
use crate::ledger::{Record, StoredRecord};

/// Whether the ledger exists in this database. Reading never creates it.
///
/// # Errors
/// The database cannot be asked.
pub async fn exists(client: &impl GenericClient) -> Result<bool, Problem> {
    let _ = client;
    Ok(false)
}

/// Creates the ledger or brings it up to date with the embedded migrations. Two at once do not collide.
///
/// # Errors
/// The role may not create it (with the GRANTs that would help); the ledger is newer than this program.
pub async fn ensure(session: &mut Session) -> Result<(), Problem> {
    let _ = session;
    Ok(())
}

/// Appends a record in the name of `actor`; inside the caller's transaction if `client` is one.
///
/// # Errors
/// The database refuses.
pub async fn append(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    plan: Option<&PlanId>,
    actor: &str,
    record: &Record,
) -> Result<i64, Problem> {
    let _ = (client, environment, plan, actor, record);
    Ok(0)
}

/// The records of one environment in order: those of one plan, or all. Empty where the ledger does not exist.
///
/// # Errors
/// The database cannot be asked; a record that this program cannot read (it is newer).
pub async fn read(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    plan: Option<&PlanId>,
) -> Result<Vec<StoredRecord>, Problem> {
    let _ = (client, environment, plan);
    Ok(Vec::new())
}
