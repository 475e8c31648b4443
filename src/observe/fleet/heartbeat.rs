//! `heartbeat`: rows that instances upsert into the ledger, aged by the database's clock.

use jiff::Timestamp;
use tokio_postgres::error::SqlState;

use super::{Findings, Probing, Seen, reading, shown};
use crate::postgres::describe_error;
use crate::project::{HeartbeatSource, Service};
use crate::safety::Doubt;

pub(super) async fn ask(
    probing: &Probing<'_>,
    service: &Service,
    settings: &HeartbeatSource,
) -> Result<Findings, Doubt> {
    let session = probing.database("heartbeat")?;
    let rows = session
        .client()
        .query(
            "SELECT instance, commit, observed_at FROM shipctl.heartbeats \
             WHERE service = $1 AND observed_at > clock_timestamp() - make_interval(secs => $2) ORDER BY instance",
            &[&service.name.as_str(), &settings.ttl.as_secs_f64()],
        )
        .await
        .map_err(|error| unreadable(probing, &error))?;
    let mut findings = Findings::default();
    for row in rows {
        let read = || -> Result<(String, String, Timestamp), tokio_postgres::Error> {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        };
        let (instance, commit, at) = read().map_err(|error| unreadable(probing, &error))?;
        match commit.trim().parse() {
            Ok(commit) => findings.seen.push(Seen {
                instance: shown(&instance),
                commit,
                at,
            }),
            Err(_) => findings.doubts.push(
                Doubt::new(format!(
                    "instance {} of {} {}",
                    shown(&instance),
                    service.name,
                    reading::not_a_commit(&commit)
                ))
                .fix(format!(
                    "have {} write its full commit id into shipctl.heartbeats",
                    service.name
                )),
            ),
        }
    }
    Ok(findings)
}

fn unreadable(probing: &Probing<'_>, error: &tokio_postgres::Error) -> Doubt {
    match error.code() {
        Some(code) if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME => {
            Doubt::new("this database has no table shipctl.heartbeats").fix(format!(
                "create the ledger: shipctl deployed record SERVICE REV --env {}; then let instances report to it",
                probing.environment.name
            ))
        }
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            Doubt::new("this role may not read shipctl.heartbeats")
                .fix("GRANT USAGE ON SCHEMA shipctl TO …; GRANT SELECT ON shipctl.heartbeats TO …")
        }
        _ => Doubt::new(describe_error(error, "reading heartbeats").message()),
    }
}
