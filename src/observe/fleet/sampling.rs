//! Drain windows: a source's earlier looks, read from the ledger and held against the present one, which is kept as well.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Probing, doubt_of};
use crate::domain::Problem;
use crate::postgres::ledger::samples::{self, SampleKey};
use crate::safety::{Completeness, Doubt, DrainWindow, Sample, Sighting, SourceReport, Version, drain};

/// What is known of earlier looks, and what becomes of this one.
enum Memory {
    Kept(Vec<Sample>),
    /// They can be read, and no more are added to them.
    ReadOnly(Vec<Sample>, Doubt),
    None(Doubt),
}

/// Adds to a report what its source saw within the drain window, and a doubt unless the window is covered. `key` tells the
/// source from others of the service.
pub(super) async fn cover(probing: &Probing<'_>, key: &str, window: DrainWindow, report: &mut SourceReport) {
    let now = probing.now.checked_add(probing.skew).unwrap_or(probing.now);
    // That it saw nobody makes a look no less complete: between two jobs there may be nobody to see.
    let complete =
        report.completeness == Completeness::Full && report.doubts.is_empty() && report.limits.is_empty();
    let present = Sample {
        at: now,
        complete,
        sightings: report.sightings.clone(),
    };
    let key = SampleKey {
        environment: &probing.environment.name,
        service: &report.service,
        source: key,
    };
    let memory = remember(probing, key, window, &present)
        .await
        .unwrap_or_else(|problem| Memory::None(doubt_of(&problem)));
    let (earlier, obstacle) = match memory {
        Memory::Kept(earlier) => (earlier, None),
        Memory::ReadOnly(earlier, obstacle) => (earlier, Some(obstacle)),
        Memory::None(obstacle) => (Vec::new(), Some(obstacle)),
    };
    let who = format!("`{}` of {}", report.source, report.service);
    let found = drain(window, &report.sightings, complete, &earlier, now, &who);
    report.coverage = Some(found.coverage);
    report.lingering = found.lingering.iter().map(late).collect();
    if let Some(doubt) = found.doubt {
        // As long as no look is kept, no number of them would help.
        report.doubts.push(match obstacle {
            Some(obstacle) => Doubt {
                why: format!("{}; {}", doubt.why, obstacle.why),
                fix: obstacle.fix,
            },
            None => doubt,
        });
    }
}

async fn remember(
    probing: &Probing<'_>,
    key: SampleKey<'_>,
    window: DrainWindow,
    present: &Sample,
) -> Result<Memory, Problem> {
    let session = match probing.database("drain window") {
        Ok(session) => session,
        Err(doubt) => return Ok(Memory::None(doubt)),
    };
    let client = session.client();
    let rights = samples::rights(client).await?;
    if !rights.read {
        let doubt = Doubt::new(
            "this database keeps no looks: it has no ledger, an older one, or one we may not read",
        )
        .fix(format!(
            "shipctl deployed record {} REV --env {} creates the ledger or brings it up to date; {}",
            key.service,
            key.environment,
            rights.grant(samples::PRIVILEGES, samples::TABLE)
        ));
        return Ok(Memory::None(doubt));
    }
    let forget = present.at.checked_sub(window.horizon()).unwrap_or(Timestamp::MIN);
    let earlier = samples::since(client, key, forget).await?;
    if !rights.write {
        let doubt = Doubt::new("our role may not keep this look")
            .fix(rights.grant(samples::PRIVILEGES, samples::TABLE));
        return Ok(Memory::ReadOnly(earlier, doubt));
    }
    let worth_keeping = earlier.last().is_none_or(|last| {
        last.complete != present.complete
            || versions(last) != versions(present)
            || present.at.duration_since(last.at) >= window.worth_keeping_after()
    });
    if worth_keeping {
        samples::keep(client, key, present, forget).await?;
    }
    Ok(Memory::Kept(earlier))
}

fn versions(sample: &Sample) -> BTreeSet<Version> {
    sample.sightings.iter().map(Sighting::version).collect()
}

/// A sighting of something that is not seen any more, named so that people see why it counts.
fn late(sighting: &Sighting) -> Sighting {
    Sighting {
        instance: format!(
            "{}, last seen {}",
            sighting.instance,
            sighting.observed_at.strftime("%H:%M:%SZ")
        ),
        ..sighting.clone()
    }
}
