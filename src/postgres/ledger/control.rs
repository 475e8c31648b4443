//! Reading what operators said about a plan's run, and keeping two that speak at once apart.

use tokio_postgres::GenericClient;

use super::events::read_kinds;
use super::schema::exists;
use super::{Access, describe};
use crate::domain::{EnvironmentName, PlanId, Problem};
use crate::ledger::{Control, control as fold};
use crate::postgres::describe_error;

/// The kinds of records that control is folded from.
const KINDS: [&str; 3] = ["paused", "resumed", "throttled"];

/// The control of a plan as it is now: one query, cheap enough to be repeated while a run goes on. The ledger must exist.
///
/// # Errors
/// The database cannot be asked; a record that this program cannot read (it is newer).
pub async fn control(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    plan: &PlanId,
) -> Result<Control, Problem> {
    read_kinds(client, environment, Some(plan), &KINDS)
        .await
        .map(|records| fold(&records))
}

/// As [`control`], where there may be no ledger yet.
///
/// # Errors
/// As [`control`].
pub async fn control_if_any(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    plan: &PlanId,
) -> Result<Control, Problem> {
    if exists(client).await? {
        control(client, environment, plan).await
    } else {
        Ok(Control::default())
    }
}

/// Lets one transaction at a time change the control of a plan; held until `transaction` ends. Whoever is told that a
/// plan is paused already can rely on it: nobody resumed it in between.
///
/// # Errors
/// The database cannot be asked.
pub async fn lock_control(
    transaction: &tokio_postgres::Transaction<'_>,
    environment: &EnvironmentName,
    plan: &PlanId,
) -> Result<(), Problem> {
    let subject = format!("shipctl control {environment}/{plan}");
    transaction
        .execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
            &[&subject],
        )
        .await
        .map(drop)
        .map_err(|error| describe_error(&error, "waiting for another who controls the run"))
}

/// Whether the ledger knows anything of a plan.
///
/// # Errors
/// The database cannot be asked.
pub async fn is_known(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    plan: &PlanId,
) -> Result<bool, Problem> {
    if !exists(client).await? {
        return Ok(false);
    }
    client
        .query_one(
            "SELECT EXISTS (SELECT FROM shipctl.events WHERE environment = $1 AND plan = $2)",
            &[&environment.as_str(), &plan.as_str()],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|error| describe(&error, Access::Read, "reading the ledger"))
}
