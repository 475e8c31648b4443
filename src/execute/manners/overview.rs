//! What holds for a plan's fills, for people: the limits in force and what can be watched here.

use tokio_postgres::Client;

use super::disk;
use crate::domain::{PlanId, Problem};
use crate::execute::control::limits_of;
use crate::ledger::{InForce, Pause};
use crate::postgres::ledger;
use crate::project::Environment;

/// What holds for a plan's fills in an environment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The pause in force.
    pub paused: Option<Pause>,
    /// The limits in force.
    pub limits: InForce,
    /// How many replicas are named; none stands for those that the server knows of.
    pub replicas: usize,
    /// Why free disk space cannot be known, where it cannot.
    pub disk_unknown: Option<&'static str>,
}

/// Looks up what holds for a plan's fills.
///
/// # Errors
/// The database cannot be asked.
pub async fn overview(
    client: &Client,
    environment: &Environment,
    plan: &PlanId,
) -> Result<Overview, Problem> {
    let control = ledger::control_if_any(client, &environment.name, plan).await?;
    Ok(Overview {
        limits: limits_of(environment, &control),
        paused: control.paused,
        replicas: environment.manners.replicas.len(),
        disk_unknown: disk::place(client).await?.err(),
    })
}
