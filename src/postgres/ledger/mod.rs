//! The ledger's store in the target database, schema `shipctl`.

pub mod checkpoint;
mod control;
mod events;
pub mod fill_range;
mod heartbeat;
mod lease;
mod rights;
pub mod samples;
mod schema;
pub mod sightings;

pub use control::{control, control_if_any, is_known, lock_control};
pub use events::{append, other_environments, plan_ids, read};
pub use heartbeat::{Heartbeat, recent_heartbeats, reporting_services};
pub use lease::{clock, is_as_read, leases, leases_since, lock_course};
pub use schema::{ensure, exists};

use tokio_postgres::error::SqlState;

use super::describe_error;
use crate::domain::{Exit, Problem};

/// Which permissions an access to the ledger needs.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
    Create,
}

/// An error met at the ledger; one about permissions says which GRANTs would help.
fn describe(error: &tokio_postgres::Error, access: Access, doing: &str) -> Problem {
    if error.code() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return describe_error(error, doing);
    }
    let said = error
        .as_db_error()
        .map(|server| server.message().to_owned())
        .unwrap_or_default();
    let (exit, fix) = match access {
        Access::Read => (
            Exit::Unknown,
            "as the owner of schema shipctl: GRANT USAGE ON SCHEMA shipctl TO role; \
             GRANT SELECT ON ALL TABLES IN SCHEMA shipctl TO role;",
        ),
        Access::Write => (
            Exit::Failed,
            "as the owner of schema shipctl: GRANT USAGE ON SCHEMA shipctl TO role; \
             GRANT SELECT, INSERT ON shipctl.events TO role; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON shipctl.checkpoints, shipctl.fill_ranges, \
             shipctl.migrations, shipctl.migration_digests, shipctl.version_sightings, shipctl.fleet_samples TO role;",
        ),
        Access::Create => (
            Exit::Failed,
            "as a superuser or the database's owner: CREATE SCHEMA shipctl AUTHORIZATION role; \
             or GRANT CREATE ON DATABASE name TO role;",
        ),
    };
    Problem::new(
        exit,
        "ledger-permission",
        format!("the database role may not use the ledger: {said}"),
    )
    .because(format!("it was needed for {doing}"))
    .fix(fix)
}
