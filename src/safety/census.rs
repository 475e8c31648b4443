//! Combining what the sources said into the fleet. Whatever may be missing or wrong becomes a doubt.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

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
        .filter(|report| report.sightings.is_empty() && report.doubts.is_empty())
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
        .filter(|report| report.completeness == Completeness::Full && !report.sightings.is_empty())
        .collect();
    let expected = reports
        .iter()
        .any(|report| report.completeness == Completeness::Full);
    // One that is declared but saw nothing has its doubt above already.
    if full.is_empty() && !expected {
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
            .map(|report| distinct_instances(report, service))
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
    doubts.dedup();
    ServiceCensus {
        service: service.clone(),
        sightings,
        doubts,
    }
}

fn distinct_instances(report: &SourceReport, service: &crate::domain::ServiceName) -> usize {
    let instances: BTreeSet<&str> = report
        .sightings
        .iter()
        .filter(|sighting| sighting.service == *service)
        .map(|sighting| sighting.instance.as_str())
        .collect();
    instances.len()
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
                "{} of {} was last seen by {} {age:#} ago, longer than its `max_age` of {:#}",
                sighting.instance, sighting.service, sighting.source, requirement.max_age
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

    use super::*;
    use crate::safety::samples::{at, sighting};

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
            service: "web".parse().unwrap(),
            source: "connections".to_owned(),
            completeness: Completeness::Full,
            sightings,
            doubts: Vec::new(),
            strangers: Vec::new(),
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

    #[test]
    fn services_that_nobody_declared_are_strangers() {
        let mut seen = report(vec![sighting("web", 1, at(990))]);
        seen.sightings.push(sighting("cron", 1, at(990)));
        let fleet = combine(&[requirement()], &[seen], at(1000));
        assert_eq!(fleet.strangers.len(), 1);
        assert_eq!(fleet.services.len(), 1);
    }
}
