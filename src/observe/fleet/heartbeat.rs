//! `heartbeat`: rows that instances upsert into the ledger, aged by the database's clock.

use super::{Findings, Probing, Seen, doubt_of, reading, shown};
use crate::postgres::ledger;
use crate::project::{HeartbeatSource, Service};
use crate::safety::{Doubt, Stranger};

pub(super) async fn ask(
    probing: &Probing<'_>,
    service: &Service,
    settings: &HeartbeatSource,
) -> Result<Findings, Doubt> {
    let client = probing.database("heartbeat")?.client();
    if !ledger::exists(client)
        .await
        .map_err(|problem| doubt_of(&problem))?
    {
        return Err(
            Doubt::new("this database has no ledger yet, and so no table shipctl.heartbeats").fix(format!(
                "shipctl deployed record {} REV --env {} (it creates the ledger); then let instances report",
                service.name, probing.environment.name
            )),
        );
    }
    // An instance that has not written for so long is gone.
    let beats = ledger::recent_heartbeats(client, service.name.as_str(), settings.ttl)
        .await
        .map_err(|problem| doubt_of(&problem))?;
    let mut findings = Findings::default();
    for beat in beats {
        let instance = shown(&beat.instance);
        match beat.commit.trim().parse() {
            Ok(commit) => findings.seen.push(Seen {
                instance,
                commit,
                at: beat.observed_at,
            }),
            Err(_) => findings.doubts.push(
                Doubt::new(format!(
                    "instance {instance} of {} {}",
                    service.name,
                    reading::not_a_commit(&beat.commit)
                ))
                .fix(format!(
                    "have {} write its full commit id into shipctl.heartbeats",
                    service.name
                )),
            ),
        }
    }
    let known = |name: &str| {
        probing.environment.ignore_services.contains(name)
            || probing
                .environment
                .services
                .iter()
                .any(|declared| declared.name.as_str() == name)
    };
    let reporting = ledger::reporting_services(client, settings.ttl)
        .await
        .map_err(|problem| doubt_of(&problem))?;
    for (name, commit) in reporting {
        if !known(&name)
            && let Ok(commit) = commit.trim().parse()
        {
            findings.strangers.push(Stranger {
                name: shown(&name),
                commit,
                source: "heartbeat".to_owned(),
            });
        }
    }
    Ok(findings)
}
