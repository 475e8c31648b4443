//! The audit trail in words: one line a record.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::style::{self, paint};
use super::time::one_line;
use super::{Table, manners, time};
use crate::ledger::{EndedSession, Ending, LeaseEnding, Record, StoredRecord, Word};
use crate::safety::{Direction, Fleet};

/// The records as a table: when, who, what about, what happened.
pub fn table(records: &[StoredRecord]) -> String {
    let mut table = Table::new(["when", "who", "what", "happened"]);
    for stored in records {
        let subject = match (&stored.plan, stored.record.phase()) {
            (Some(plan), Some(phase)) => format!("{plan}/{phase}"),
            (Some(plan), None) => plan.to_string(),
            (None, _) => "-".to_owned(),
        };
        table.row([
            paint(style::DIM, time::absolute(stored.at)),
            one_line(&stored.actor),
            subject,
            one_line(&words(&stored.record)),
        ]);
    }
    table.render(0)
}

/// What a record says.
pub fn words(record: &Record) -> String {
    match record {
        Record::PlanRegistered {
            digest, migrations, ..
        } => format!(
            "plan and {} migrations stored (digest {})",
            migrations.len(),
            digest.short()
        ),
        Record::PhaseStarted { direction, fleet, .. } => match direction {
            Direction::Forward => format!("started; {}", running(fleet)),
            Direction::Reverse => format!("undoing started; {}", running(fleet)),
        },
        Record::StepStarted { step, .. } => format!("step {} begins outside a transaction", step + 1),
        Record::StepFinished {
            step, duration_ms, ..
        } => format!("step {} took effect in {}", step + 1, took(*duration_ms)),
        Record::StepSettled {
            step, happened, word, ..
        } => {
            let said = match word {
                Word::Server => "the server says",
                Word::Person => "looked at by hand",
            };
            let not = if *happened { "took" } else { "took no" };
            format!("{said}: step {} {not} effect", step + 1)
        }
        Record::PhaseFinished {
            direction,
            rows,
            duration_ms,
            ..
        } => {
            let what = match direction {
                Direction::Forward => "done",
                Direction::Reverse => "undone",
            };
            let rows = rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
            format!("{what} in {}{rows}", took(*duration_ms))
        }
        Record::PhaseFailed { direction, error, .. } => match direction {
            Direction::Forward => format!("failed: {error}"),
            Direction::Reverse => format!("undoing failed: {error}"),
        },
        Record::BackfillVerified { rows, .. } => format!("verified again, {rows} rows filled again"),
        Record::DataRestored { rows, .. } => format!("abandoned data restored, {rows} rows"),
        Record::Approved { reason, .. } => format!("approved: {reason}"),
        Record::Overridden { codes, reason, .. } => format!("set aside {}: {reason}", codes.join(", ")),
        Record::BlockersEnded {
            step,
            sessions,
            reason,
            ..
        } => {
            let sessions: Vec<String> = sessions.iter().map(ended).collect();
            let reason = reason
                .as_ref()
                .map_or(String::new(), |reason| format!(" ({reason})"));
            format!(
                "for the lock of step {}, ended: {}{reason}",
                step + 1,
                sessions.join("; ")
            )
        }
        Record::FleetObserved { fleet, satisfied } => {
            let holding: Vec<&str> = satisfied
                .iter()
                .filter(|(_, whole)| **whole)
                .map(|(phase, _)| phase.as_str())
                .collect();
            let holding = if holding.is_empty() {
                String::new()
            } else {
                format!("; all contain {}", holding.join(", "))
            };
            format!("looked; {}{holding}", running(fleet))
        }
        Record::DeploymentRecorded { sighting } => format!(
            "deployment of {} to {} recorded",
            sighting.commit.short(),
            sighting.service
        ),
        Record::LeaseTaken {
            revision,
            versions,
            until,
        } => {
            let services: Vec<&str> = versions.iter().map(|version| version.service.as_str()).collect();
            format!(
                "deploys {revision} to {} until {}",
                services.join(", "),
                time::absolute(*until)
            )
        }
        Record::LeaseReturned {
            services,
            ending,
            reason,
            ..
        } => {
            let services: Vec<&str> = services.iter().map(crate::domain::ServiceName::as_str).collect();
            let reason = reason
                .as_ref()
                .map_or(String::new(), |reason| format!(": {reason}"));
            let how = match ending {
                LeaseEnding::Deployed => "deployed",
                LeaseEnding::Released => "given up",
            };
            format!("lease of {} returned, {how}{reason}", services.join(", "))
        }
        Record::Paused { reason: None } => "paused".to_owned(),
        Record::Paused { reason: Some(reason) } => format!("paused: {reason}"),
        Record::Resumed => "resumed".to_owned(),
        Record::Throttled { clear, limits } => match (clear, limits.is_empty()) {
            (true, true) => "throttling ended: what shipctl.toml says holds again".to_owned(),
            (true, false) => format!("throttled anew: {}", manners::set(limits)),
            (false, _) => format!("throttled: {}", manners::set(limits)),
        },
    }
}

/// `process 4711 `report` as ada, terminated`.
fn ended(session: &EndedSession) -> String {
    let name = session
        .application
        .as_ref()
        .map_or(String::new(), |name| format!(" `{name}`"));
    let user = session
        .user
        .as_ref()
        .map_or(String::new(), |user| format!(" as {user}"));
    let how = match session.ending {
        Ending::Cancelled => "cancelled",
        Ending::Terminated => "terminated",
    };
    format!("process {}{name}{user}, {how}", session.pid)
}

fn took(milliseconds: u64) -> String {
    time::took(SignedDuration::from_millis(
        i64::try_from(milliseconds).unwrap_or(i64::MAX),
    ))
}

/// `web 3f2a9c1d2 ×3, worker 1b1c9ea2f (in doubt)`.
fn running(fleet: &Fleet) -> String {
    let mut parts = Vec::new();
    for census in fleet.services.values() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for sighting in &census.sightings {
            *counts.entry(sighting.commit.short()).or_default() += 1;
        }
        let doubt = if census.doubts.is_empty() {
            ""
        } else {
            " (in doubt)"
        };
        if counts.is_empty() {
            parts.push(format!("{} nowhere seen{doubt}", census.service));
        }
        for (commit, count) in counts {
            let times = if count > 1 {
                format!(" ×{count}")
            } else {
                String::new()
            };
            parts.push(format!("{} {commit}{times}{doubt}", census.service));
        }
    }
    if parts.is_empty() {
        "no service is declared".to_owned()
    } else {
        format!("running: {}", parts.join(", "))
    }
}
