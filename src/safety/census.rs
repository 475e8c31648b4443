//! Combining what the sources said into the fleet. Whatever may be missing or wrong becomes a doubt.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    Completeness, Doubt, Fleet, ServiceCensus, ServiceRequirement, Sighting, SourceReport, Stranger,
};
use crate::domain::CommitId;

/// Combines what the sources said into the fleet: the union of the sightings, and a doubt for whatever is missing,
/// stale or contradictory. Every required service is in the result, seen or not.
pub fn combine(requirements: &[ServiceRequirement], reports: &[SourceReport], now: Timestamp) -> Fleet {
    let mut fleet = Fleet::default();
    for requirement in requirements {
        let own: Vec<&SourceReport> = reports
            .iter()
            .filter(|report| report.service == requirement.service)
            .collect();
        fleet
            .services
            .insert(requirement.service.clone(), census(requirement, &own, now));
    }
    let declared: BTreeSet<_> = requirements
        .iter()
        .map(|requirement| &requirement.service)
        .collect();
    for report in reports {
        fleet.strangers.extend(report.strangers.iter().cloned());
        // What bears a name that nobody declared is a stranger, however it was reported.
        let undeclared = report
            .sightings
            .iter()
            .filter(|sighting| !declared.contains(&sighting.service));
        fleet.strangers.extend(undeclared.map(|sighting| Stranger {
            name: sighting.service.to_string(),
            commit: sighting.commit.clone(),
            source: sighting.source.clone(),
        }));
    }
    fleet
}

/// Whether a version that this source did not see is not there, as far as the source goes.
///
/// # Errors
/// Why its absence from the report proves nothing.
pub fn proves_absence(report: &SourceReport) -> Result<(), Vec<Doubt>> {
    let service = &report.service;
    let mut against = report.limits.clone();
    match report.completeness {
        Completeness::Full => {}
        Completeness::Sample if !report.limits.is_empty() => {}
        Completeness::Sample => against.push(Doubt::new(format!(
            "what it sees is a sample of {service}, and others may run something else"
        ))),
        Completeness::Claim => against.push(Doubt::new(format!(
            "it repeats what was said of {service}, and nobody looked"
        ))),
    }
    against.extend(report.doubts.iter().cloned());
    if against.is_empty() && saw_nobody(report) {
        against.push(Doubt::new(format!(
            "it saw no instance of {service} at all, so it has more likely looked in the wrong place"
        )));
    }
    if against.is_empty() { Ok(()) } else { Err(against) }
}

/// Whether a source saw all there is, if it was not mistaken.
fn enumerates(report: &SourceReport) -> bool {
    report.completeness == Completeness::Full && report.limits.is_empty()
}

/// Whether a source saw nobody, neither now nor within its drain window: it has more likely looked in the wrong place. Within
/// the window, workers may come and go.
fn saw_nobody(report: &SourceReport) -> bool {
    report.sightings.is_empty() && report.lingering.is_empty()
}

fn census(requirement: &ServiceRequirement, reports: &[&SourceReport], now: Timestamp) -> ServiceCensus {
    let service = &requirement.service;
    // A source that was asked about one service may see instances of another; the union is by what was seen.
    let sightings: Vec<Sighting> = reports
        .iter()
        .flat_map(|report| &report.sightings)
        .filter(|sighting| sighting.service == *service)
        .cloned()
        .collect();
    let mut doubts: Vec<Doubt> = reports
        .iter()
        .flat_map(|report| &report.doubts)
        .cloned()
        .collect();

    if reports.len() < requirement.sources.max(1) {
        doubts.push(Doubt::new(format!(
            "only {} of the {} sources of {service} reported",
            reports.len(),
            requirement.sources.max(1)
        )));
    }
    // A source that enumerates everything and finds nothing has more likely looked in the wrong place.
    // One that said itself why it saw nothing has said enough.
    for report in reports
        .iter()
        .filter(|report| saw_nobody(report) && report.doubts.is_empty() && report.limits.is_empty())
    {
        doubts.push(
            Doubt::new(format!("{} saw no instance of {service}", report.source)).fix(format!(
                "check that {service} runs, and that its instances report their commit to `{}`",
                report.source
            )),
        );
    }
    // A source's own count, as two sources may call one instance by two names.
    let full: Vec<&&SourceReport> = reports
        .iter()
        .filter(|report| enumerates(report) && !saw_nobody(report))
        .collect();
    let expected = reports.iter().any(|report| enumerates(report));
    // What saw less than its kind does says why, and what would help.
    let limits: Vec<Doubt> = reports
        .iter()
        .flat_map(|report| &report.limits)
        .cloned()
        .collect();
    // One that is declared but saw nothing has its doubt above already.
    if full.is_empty() && !expected && !limits.is_empty() {
        doubts.extend(limits);
    } else if full.is_empty() && !expected {
        let kinds: BTreeSet<&str> = reports.iter().map(|report| report.source.as_str()).collect();
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let other = format!("declare a source for {service} that sees every instance, such as `connections`");
        let fix = if kinds.contains(&"http") {
            format!(
                "if the name in the `url` stands for the address of each instance of {service}, set `every_address = true`; \
                 else {other}"
            )
        } else {
            other
        };
        doubts.push(
            Doubt::new(format!(
                "nothing that was asked enumerates every instance of {service} ({})",
                if kinds.is_empty() {
                    "no source".to_owned()
                } else {
                    kinds.join(", ")
                }
            ))
            .fix(fix),
        );
    } else if !full.is_empty() {
        let most = full
            .iter()
            .map(|report| instances_at_once(report, service))
            .max()
            .unwrap_or(0);
        let demanded = usize::try_from(requirement.min_instances).unwrap_or(usize::MAX);
        if most < demanded {
            doubts.push(
                Doubt::new(format!(
                    "{most} of at least {demanded} instances of {service} were seen"
                ))
                .fix(format!(
                    "start the missing instances of {service}, or correct its `min_instances`"
                )),
            );
        }
    }
    doubts.extend(stale(requirement, &sightings, now));
    doubts.extend(contradictions(requirement, &sightings));
    let mut once: Vec<Doubt> = Vec::new();
    for doubt in doubts {
        if !once.contains(&doubt) {
            once.push(doubt);
        }
    }
    let doubts = once;
    // What was seen within a drain window counts as running, however old the sighting is.
    let lingering = reports
        .iter()
        .flat_map(|report| &report.lingering)
        .filter(|sighting| sighting.service == *service);
    let sightings = sightings.iter().chain(lingering).cloned().collect();
    ServiceCensus {
        service: service.clone(),
        sightings,
        doubts,
    }
}

/// How many instances the source sees now. Where it sees nobody and its drain window says that they only rest, those that one
/// earlier look saw: a process that comes back under another name is still one.
fn instances_at_once(report: &SourceReport, service: &crate::domain::ServiceName) -> usize {
    let instances: BTreeSet<&str> = report
        .sightings
        .iter()
        .filter(|sighting| sighting.service == *service)
        .map(|sighting| sighting.instance.as_str())
        .collect();
    if instances.is_empty() && !report.lingering.is_empty() {
        report.coverage.map_or(1, |coverage| coverage.at_once.max(1))
    } else {
        instances.len()
    }
}

/// Looks that are too old, or that a wrong clock dates after now. A claim does not age: it never shows that something
/// is gone, and that something was said to be there stays true until it is said otherwise.
fn stale(requirement: &ServiceRequirement, sightings: &[Sighting], now: Timestamp) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for sighting in sightings {
        if sighting.completeness == Completeness::Claim {
            continue;
        }
        let age = now.duration_since(sighting.observed_at);
        if age > requirement.max_age {
            doubts.push(Doubt::new(format!(
                "{} of {} was last seen by {} {:#} ago, longer than its `max_age` of {:#}",
                sighting.instance,
                sighting.service,
                sighting.source,
                SignedDuration::from_secs(age.as_secs()),
                requirement.max_age
            )));
        } else if age < -requirement.max_age {
            doubts.push(
                Doubt::new(format!(
                    "{} dates {} of {} in the future ({})",
                    sighting.source, sighting.instance, sighting.service, sighting.observed_at
                ))
                .fix("set the clocks right"),
            );
        }
    }
    doubts
}

/// One instance that is said to run two commits.
fn contradictions(requirement: &ServiceRequirement, sightings: &[Sighting]) -> Vec<Doubt> {
    let mut commits: BTreeMap<&str, BTreeSet<&CommitId>> = BTreeMap::new();
    for sighting in sightings {
        commits
            .entry(&sighting.instance)
            .or_default()
            .insert(&sighting.commit);
    }
    commits
        .into_iter()
        .filter(|(_, commits)| commits.len() > 1)
        .map(|(instance, commits)| {
            let commits: Vec<&str> = commits.iter().map(|commit| commit.short()).collect();
            Doubt::new(format!(
                "instance {instance} of {} is reported with more than one commit: {}",
                requirement.service,
                commits.join(", ")
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::safety::samples::{at, sighting};
    use crate::safety::{Coverage, DrainWindow};

    fn requirement() -> ServiceRequirement {
        ServiceRequirement {
            service: "web".parse().unwrap(),
            sources: 1,
            min_instances: 1,
            max_age: SignedDuration::from_secs(120),
        }
    }

    fn report(sightings: Vec<Sighting>) -> SourceReport {
        SourceReport {
            sightings,
            ..SourceReport::new("web".parse().unwrap(), "connections", Completeness::Full)
        }
    }

    fn doubts(requirement: &ServiceRequirement, reports: &[SourceReport]) -> Vec<String> {
        combine(std::slice::from_ref(requirement), reports, at(1000)).services[&requirement.service]
            .doubts
            .iter()
            .map(|doubt| doubt.why.clone())
            .collect()
    }

    #[test]
    fn what_asks_one_address_is_told_how_to_ask_them_all() {
        let mut one = report(vec![sighting("web", 1, at(990))]);
        one.completeness = Completeness::Sample;
        let fix = |report: &SourceReport| {
            let fleet = combine(&[requirement()], std::slice::from_ref(report), at(1000));
            fleet.services[&requirement().service].doubts[0]
                .fix
                .clone()
                .unwrap()
        };
        assert!(!fix(&one).contains("every_address"));
        one.source = "http".to_owned();
        assert!(fix(&one).contains("`every_address = true`"));
    }

    #[test]
    fn a_source_that_sees_every_instance_leaves_no_doubt() {
        let seen = report(vec![sighting("web", 1, at(990))]);
        assert_eq!(doubts(&requirement(), &[seen]), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_or_wrong_is_a_doubt() {
        let fresh = || vec![sighting("web", 1, at(990))];
        assert!(!doubts(&requirement(), &[]).is_empty(), "no report");
        assert!(
            !doubts(&requirement(), &[report(vec![])]).is_empty(),
            "nothing seen"
        );
        let two = ServiceRequirement {
            sources: 2,
            ..requirement()
        };
        assert_eq!(
            doubts(&two, &[report(fresh())]),
            ["only 1 of the 2 sources of web reported"]
        );
        let more = ServiceRequirement {
            min_instances: 2,
            ..requirement()
        };
        assert_eq!(
            doubts(&more, &[report(fresh())]),
            ["1 of at least 2 instances of web were seen"]
        );
        let sample = SourceReport {
            completeness: Completeness::Sample,
            ..report(fresh())
        };
        assert_eq!(doubts(&requirement(), &[sample]).len(), 1);
        let old = report(vec![sighting("web", 1, at(800))]);
        assert!(doubts(&requirement(), &[old])[0].contains("longer than its `max_age`"));
        let future = report(vec![sighting("web", 1, at(5000))]);
        assert!(doubts(&requirement(), &[future])[0].contains("in the future"));
        let mut twice = fresh();
        twice.push(Sighting {
            commit: "a".repeat(40).parse().unwrap(),
            ..twice[0].clone()
        });
        assert!(doubts(&requirement(), &[report(twice)])[0].contains("more than one commit"));
    }

    #[test]
    fn two_names_of_one_instance_do_not_make_two() {
        let more = ServiceRequirement {
            sources: 2,
            min_instances: 2,
            ..requirement()
        };
        let one = report(vec![sighting("web", 1, at(990))]);
        let mut same = one.clone();
        same.sightings[0].instance = "10.0.0.1".to_owned();
        assert_eq!(doubts(&more, &[one, same]).len(), 1);
    }

    /// A source that a pooler keeps from seeing everything.
    fn limited() -> SourceReport {
        SourceReport {
            completeness: Completeness::Sample,
            limits: vec![Doubt::new("a pooler hides clients")],
            ..report(vec![sighting("web", 1, at(990))])
        }
    }

    #[test]
    fn what_limits_a_source_matters_only_where_no_other_sees_everything() {
        assert_eq!(doubts(&requirement(), &[limited()]), ["a pooler hides clients"]);
        let two = ServiceRequirement {
            sources: 2,
            ..requirement()
        };
        let mut pods = report(vec![sighting("web", 1, at(990))]);
        pods.source = "kubernetes".to_owned();
        assert_eq!(doubts(&two, &[limited(), pods]), Vec::<String>::new());
    }

    #[test]
    fn a_version_within_the_drain_window_counts_as_running_though_its_sighting_is_old() {
        let seen = SourceReport {
            lingering: vec![sighting("web", 0, at(500))],
            ..report(vec![sighting("web", 1, at(990))])
        };
        let fleet = combine(&[requirement()], &[seen], at(1000));
        let census = &fleet.services[&requirement().service];
        assert_eq!((census.versions().len(), census.doubts.len()), (2, 0));
    }

    #[test]
    fn workers_that_were_seen_within_the_drain_window_make_up_for_a_look_that_sees_none() {
        let resting = SourceReport {
            lingering: vec![sighting("web", 1, at(900))],
            ..report(vec![])
        };
        assert_eq!(proves_absence(&resting), Ok(()));
        assert_eq!(
            doubts(&requirement(), std::slice::from_ref(&resting)),
            Vec::<String>::new()
        );
        assert_eq!(doubts(&requirement(), &[report(vec![])]).len(), 1);
    }

    #[test]
    fn processes_that_only_linger_do_not_stand_in_for_missing_instances() {
        let three = ServiceRequirement {
            min_instances: 3,
            ..requirement()
        };
        let process = |number: usize, level: usize| Sighting {
            instance: format!("{number}@10.0.0.5, last seen 10:15:03Z"),
            ..sighting("web", level, at(900))
        };
        let missing = |seen: Vec<Sighting>, at_once: usize| {
            let report = SourceReport {
                lingering: (1..=4).map(|number| process(number, 0)).collect(),
                coverage: Some(Coverage {
                    window: DrainWindow {
                        samples: 2,
                        over: SignedDuration::from_secs(100),
                    },
                    counted: 2,
                    covered: true,
                    since: at(900),
                    at_once,
                }),
                ..report(seen)
            };
            doubts(&three, &[report])
        };
        // One worker, a process for each job; three at once that rest; and old ones beside too few new ones.
        assert_eq!(missing(vec![], 1), ["1 of at least 3 instances of web were seen"]);
        assert_eq!(missing(vec![], 3), Vec::<String>::new());
        assert_eq!(
            missing(vec![sighting("web", 1, at(990))], 4),
            ["1 of at least 3 instances of web were seen"]
        );
    }

    #[test]
    fn absence_is_proven_only_by_a_source_that_sees_everything_and_doubts_nothing() {
        let seen = report(vec![sighting("web", 1, at(990))]);
        assert_eq!(proves_absence(&seen), Ok(()));
        let cannot = |report: &SourceReport| proves_absence(report).unwrap_err()[0].why.clone();
        assert_eq!(cannot(&limited()), "a pooler hides clients");
        assert!(cannot(&report(vec![])).contains("no instance"));
        for (completeness, why) in [
            (Completeness::Sample, "sample"),
            (Completeness::Claim, "nobody looked"),
        ] {
            let less = SourceReport {
                completeness,
                ..seen.clone()
            };
            assert!(cannot(&less).contains(why));
        }
        let doubtful = SourceReport {
            doubts: vec![Doubt::new("one did not answer")],
            ..seen
        };
        assert_eq!(cannot(&doubtful), "one did not answer");
    }

    fn any_report() -> impl Strategy<Value = SourceReport> {
        let completeness = prop_oneof![
            Just(Completeness::Claim),
            Just(Completeness::Sample),
            Just(Completeness::Full)
        ];
        let levels = || proptest::collection::vec(0_usize..3, 0..3);
        (completeness, levels(), levels(), any::<bool>(), any::<bool>()).prop_map(
            |(completeness, seen, lingering, doubted, limited)| SourceReport {
                completeness,
                lingering: lingering
                    .iter()
                    .map(|level| sighting("web", *level, at(500)))
                    .collect(),
                doubts: doubted.then(|| Doubt::new("doubtful")).into_iter().collect(),
                limits: limited.then(|| Doubt::new("limited")).into_iter().collect(),
                ..report(
                    seen.iter()
                        .map(|level| sighting("web", *level, at(990)))
                        .collect(),
                )
            },
        )
    }

    proptest! {
        /// What is told of a source alone and what the gates go by agree: a service is known only if a source proves what is
        /// absent, every source answered without a doubt, and whatever any of them saw is counted.
        #[test]
        fn a_service_is_known_only_by_a_source_that_proves_absence(reports in proptest::collection::vec(any_report(), 0..4)) {
            let requirement = ServiceRequirement { sources: reports.len(), ..requirement() };
            let fleet = combine(std::slice::from_ref(&requirement), &reports, at(1000));
            let census = &fleet.services[&requirement.service];
            if census.doubts.is_empty() {
                prop_assert!(reports.iter().any(|report| proves_absence(report).is_ok()));
                prop_assert!(reports.iter().all(|report| report.doubts.is_empty()));
            }
            for seen in reports.iter().flat_map(|report| report.sightings.iter().chain(&report.lingering)) {
                prop_assert!(census.versions().contains(&seen.version()));
            }
        }
    }

    #[test]
    fn services_that_nobody_declared_are_strangers() {
        let mut seen = report(vec![sighting("web", 1, at(990))]);
        seen.sightings.push(sighting("cron", 1, at(990)));
        let fleet = combine(&[requirement()], &[seen], at(1000));
        assert_eq!(fleet.strangers.len(), 1);
        assert_eq!(fleet.services.len(), 1);
    }
}
