//! Drain windows: a source's earlier looks, read from the ledger and held against the present one, which is kept as well.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Probing, doubt_of};
use crate::domain::{Digest, Problem};
use crate::postgres::ConnectionSettings;
use crate::postgres::ledger::samples::{self, SampleKey};
use crate::project::{Environment, Service, SourceKind};
use crate::safety::{Completeness, Doubt, DrainWindow, Sample, Sighting, SourceReport, Version, drain};

/// What tells a source from the others of its service, and from what it was before its settings were changed: its kind, its number
/// from the second of the kind on, and a digest of all that decides whom it sees. Looks by other settings tell nothing of this one.
pub(super) fn key(environment: &Environment, service: &Service, number: usize) -> String {
    let Some(source) = service.sources.get(number) else {
        return String::new();
    };
    let name = source.kind.name();
    let before = service.sources.iter().take(number);
    let place = match before.filter(|other| other.kind.name() == name).count() {
        0 => name.to_owned(),
        others => format!("{name}#{}", others + 1),
    };
    let mut settings = vec![format!("{:?} {:?}", source.kind, source.drain)];
    // Clients are told apart by the names that every service has, and partly behind poolers.
    if matches!(source.kind, SourceKind::Connections { .. }) {
        settings.push(format!("{:?}", environment.ignore_services));
        let services = environment.services.iter();
        let patterns = services.flat_map(|service| {
            let kinds = service.sources.iter().map(|source| &source.kind);
            kinds.map(move |kind| (&service.name, kind))
        });
        settings.extend(
            patterns
                .filter(|(_, kind)| matches!(kind, SourceKind::Connections { .. }))
                .map(|(name, kind)| format!("{name} {kind:?}")),
        );
        let consoles = environment.pgbouncer.iter();
        settings.extend(consoles.map(|console| {
            ConnectionSettings::resolve(console, &|name| std::env::var(name).ok())
                .map_or_else(|problem| problem.to_string(), |settings| settings.describe())
        }));
    }
    let digest = Digest::of_parts(settings.iter().map(String::as_str));
    format!("{place} {}", digest.short())
}

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::SignedDuration;

    use super::*;
    use crate::domain::Secret;
    use crate::project::{DatabaseSource, Manners, Source};

    fn environment() -> Environment {
        let source = |application_name: &str| Source {
            kind: SourceKind::Connections {
                application_name: application_name.to_owned(),
            },
            timeout: SignedDuration::from_secs(5),
            drain: Some(DrainWindow {
                samples: 5,
                over: SignedDuration::from_mins(2),
            }),
        };
        let service = |name: &str, patterns: &[&str]| Service {
            name: name.parse().unwrap(),
            min_instances: 1,
            max_age: SignedDuration::from_mins(2),
            repository: None,
            sources: patterns.iter().map(|pattern| source(pattern)).collect(),
        };
        Environment {
            name: "production".parse().unwrap(),
            database: DatabaseSource::Variable("X".to_owned()),
            protected: false,
            services: vec![
                service("web", &["web@{commit}", "console@{commit}"]),
                service("worker", &["worker@{commit}"]),
            ],
            ignore_services: BTreeSet::new(),
            pgbouncer: Vec::new(),
            manners: Manners::default(),
        }
    }

    #[test]
    fn whatever_decides_whom_a_source_sees_makes_it_another_one() {
        let own = |change: &dyn Fn(&mut Environment)| {
            let mut environment = environment();
            change(&mut environment);
            key(&environment, &environment.services[0], 0)
        };
        let before = own(&|_| {});
        assert!(before.starts_with("connections "), "{before}");
        assert_eq!(
            own(&|one| one.services[0].sources[0].timeout = SignedDuration::from_secs(9)),
            before
        );
        let pooler = |url: &str| DatabaseSource::Literal(Secret::new(url));
        let changed = [
            own(&|one| one.services[0].sources.swap(0, 1)),
            own(&|one| one.services[0].sources[0].drain = None),
            own(&|one| one.services[1].sources.clear()),
            own(&|one| {
                one.ignore_services.insert("etl".to_owned());
            }),
            own(&|one| one.pgbouncer.push(pooler("postgres://a@one:6432/"))),
            own(&|one| one.pgbouncer.push(pooler("postgres://a@two:6432/"))),
        ];
        let distinct: BTreeSet<&String> = changed.iter().chain([&before]).collect();
        assert_eq!(distinct.len(), changed.len() + 1, "{distinct:?}");
        let environment = environment();
        let second = key(&environment, &environment.services[0], 1);
        assert!(second.starts_with("connections#2 "), "{second}");
    }
}
