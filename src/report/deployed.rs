//! The census: which service runs which commit where, how that is known, and what is not.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::style::{self, paint};
use super::{Table, time};
use crate::domain::{CommitId, EnvironmentName, ServiceName};
use crate::safety::{Completeness, Doubt, Fleet, ReasonCode, ServiceCensus, Sighting, SourceReport, Verdict};

/// How long a subject is shown, in characters.
const LONGEST_SUBJECT: usize = 48;

/// Subjects of commits, where the commits are known here. A commit belongs to its service's repository.
pub type Subjects = BTreeMap<(ServiceName, CommitId), String>;

/// What is shown.
pub struct Deployed<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The combined census.
    pub fleet: &'a Fleet,
    /// What each source said.
    pub reports: &'a [SourceReport],
    /// First lines of the commits' messages.
    pub subjects: &'a Subjects,
    /// The moment of the look.
    pub now: Timestamp,
}

impl Deployed<'_> {
    /// Whether every service is known: [`Verdict::Go`] or [`Verdict::Unknown`]. An environment without services is not.
    pub fn verdict(&self) -> Verdict {
        let known = !self.fleet.services.is_empty()
            && self.fleet.strangers.is_empty()
            && self
                .fleet
                .services
                .values()
                .all(|census| census.doubts.is_empty());
        if known { Verdict::Go } else { Verdict::Unknown }
    }

    /// The table with the doubts below it. Instances of one commit share a line unless `each` is set.
    pub fn text(&self, each: bool) -> String {
        let mut text = format!("{}\n\n", paint(style::HEADING, self.environment));
        let mut table = Table::new([
            "service", "instance", "commit", "subject", "seen", "source", "sees",
        ]);
        for census in self.fleet.services.values() {
            self.rows(census, each, &mut table);
        }
        text.push_str(&table.render(2));
        text.push('\n');
        text.push_str(&self.doubts_text());
        text.push_str(&self.conclusion());
        if self.verdict() != Verdict::Go {
            let _ = writeln!(
                text,
                "{} shipctl deployed --env {} --explain",
                paint(style::DIM, "Next:"),
                self.environment
            );
        }
        text
    }

    /// What is not known, each with what to do about it, and an empty line behind; nothing where all is known.
    pub(super) fn doubts_text(&self) -> String {
        let mut text = String::new();
        for (_, about, doubt) in &self.doubts() {
            let _ = writeln!(
                text,
                "  {} {}: {}",
                paint(style::CAUTION, "?"),
                paint(style::HEADING, about),
                doubt.why
            );
            if let Some(fix) = &doubt.fix {
                let _ = writeln!(text, "      {} {fix}", paint(style::NAME, "fix:"));
            }
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    pub(super) fn conclusion(&self) -> String {
        match self.verdict() {
            Verdict::Go => format!("{} everything that runs is known\n", paint(style::GOOD, "✓")),
            _ => format!(
                "{} not everything that runs is known, so gates that depend on it stay closed\n",
                paint(style::CAUTION, "?")
            ),
        }
    }

    fn rows(&self, census: &ServiceCensus, each: bool, table: &mut Table) {
        if census.sightings.is_empty() {
            let nothing = paint(style::CAUTION, "none seen");
            table.row([census.service.to_string(), nothing]);
            return;
        }
        let mut groups: BTreeMap<(&CommitId, &str, Completeness), Vec<&Sighting>> = BTreeMap::new();
        for sighting in &census.sightings {
            groups
                .entry((&sighting.commit, &sighting.source, sighting.completeness))
                .or_default()
                .push(sighting);
        }
        for ((commit, source, completeness), group) in groups {
            let lines: Vec<(String, Timestamp)> = if each || group.len() == 1 {
                group
                    .iter()
                    .map(|one| (one.instance.clone(), one.observed_at))
                    .collect()
            } else {
                let oldest = group.iter().map(|one| one.observed_at).min();
                vec![(format!("{} instances", group.len()), oldest.unwrap_or(self.now))]
            };
            for (instance, seen) in lines {
                table.row([
                    census.service.to_string(),
                    instance,
                    paint(style::NAME, commit.short()),
                    self.subject(&census.service, commit),
                    time::relative(self.now, seen),
                    source.to_owned(),
                    sees(completeness).to_owned(),
                ]);
            }
        }
    }

    fn subject(&self, service: &ServiceName, commit: &CommitId) -> String {
        match self.subjects.get(&(service.clone(), commit.clone())) {
            None => paint(style::DIM, "(not in this clone)"),
            Some(subject) if subject.chars().count() > LONGEST_SUBJECT => {
                let cut: String = subject.chars().take(LONGEST_SUBJECT - 1).collect();
                format!("{}…", cut.trim_end())
            }
            Some(subject) => subject.clone(),
        }
    }

    /// Everything that is not known: a code, what it is about, and why.
    fn doubts(&self) -> Vec<(ReasonCode, String, Doubt)> {
        let mut doubts: Vec<(ReasonCode, String, Doubt)> = Vec::new();
        if self.fleet.services.is_empty() {
            let doubt =
                Doubt::new("no services are declared, so nothing can be known of what runs").fix(format!(
                    "add a [[environments.{}.services]] table to shipctl.toml",
                    self.environment
                ));
            doubts.push((ReasonCode::FleetUnknown, self.environment.to_string(), doubt));
        }
        for census in self.fleet.services.values() {
            for doubt in &census.doubts {
                let entry = (
                    ReasonCode::FleetUnknown,
                    census.service.to_string(),
                    doubt.clone(),
                );
                if !doubts.contains(&entry) {
                    doubts.push(entry);
                }
            }
        }
        for stranger in &self.fleet.strangers {
            let doubt = Doubt::new(format!(
                "runs {} (seen by {}), but no service of that name is declared",
                stranger.commit.short(),
                stranger.source
            ))
            .fix(format!(
                "declare {0} in shipctl.toml, or put \"{0}\" into `ignore_services` of [environments.{1}]",
                stranger.name, self.environment
            ));
            doubts.push((ReasonCode::UndeclaredService, stranger.name.clone(), doubt));
        }
        doubts
    }

    /// Everything, for programs.
    pub fn as_json(&self) -> Value {
        let reasons: Vec<Value> = self
            .doubts()
            .into_iter()
            .map(|(code, about, doubt)| {
                json!({
                    "code": code,
                    "verdict": Verdict::Unknown,
                    "phase": Value::Null,
                    "service": about,
                    "message": doubt.why,
                    "evidence": [],
                    "fix": doubt.fix,
                })
            })
            .collect();
        let services: Vec<Value> = self
            .fleet
            .services
            .values()
            .map(|census| {
                let instances: Vec<Value> = census
                    .sightings
                    .iter()
                    .map(|sighting| {
                        let key = (census.service.clone(), sighting.commit.clone());
                        json!({
                            "instance": sighting.instance,
                            "commit": sighting.commit,
                            "subject": self.subjects.get(&key),
                            "observed_at": sighting.observed_at,
                            "source": sighting.source,
                            "completeness": sighting.completeness,
                        })
                    })
                    .collect();
                json!({
                    "service": census.service,
                    "known": census.doubts.is_empty(),
                    "instances": instances,
                    "doubts": census.doubts,
                })
            })
            .collect();
        json!({
            "environment": self.environment,
            "at": self.now,
            "verdict": self.verdict(),
            "reasons": reasons,
            "services": services,
            "strangers": self.fleet.strangers,
            "sources": self.reports,
        })
    }
}

pub(super) fn sees(completeness: Completeness) -> &'static str {
    match completeness {
        Completeness::Full => "every instance",
        Completeness::Sample => "some instances",
        Completeness::Claim => "what was said",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef01234567";

    fn census(instances: &[&str], doubts: Vec<Doubt>) -> ServiceCensus {
        ServiceCensus {
            service: "web".parse().unwrap(),
            sightings: instances
                .iter()
                .map(|instance| Sighting {
                    service: "web".parse().unwrap(),
                    instance: (*instance).to_owned(),
                    commit: OLD.parse().unwrap(),
                    observed_at: "2026-11-22T10:00:00Z".parse().unwrap(),
                    source: "connections".to_owned(),
                    completeness: Completeness::Full,
                })
                .collect(),
            doubts,
        }
    }

    fn show<R>(fleet: &Fleet, with: impl FnOnce(&Deployed<'_>) -> R) -> R {
        let key = ("web".parse().unwrap(), OLD.parse().unwrap());
        with(&Deployed {
            environment: &"production".parse().unwrap(),
            fleet,
            reports: &[],
            subjects: &[(key, "Write both columns".to_owned())].into_iter().collect(),
            now: "2026-11-22T10:00:42Z".parse().unwrap(),
        })
    }

    fn fleet(census: ServiceCensus) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.services.insert(census.service.clone(), census);
        fleet
    }

    #[test]
    fn instances_of_one_commit_share_a_line_unless_each_is_asked_for() {
        let fleet = fleet(census(&["a", "b", "c"], Vec::new()));
        let text = show(&fleet, |deployed| deployed.text(false));
        assert!(
            text.contains("3 instances") && text.contains("Write both columns"),
            "{text}"
        );
        assert!(text.contains("42s ago"), "{text}");
        let text = show(&fleet, |deployed| deployed.text(true));
        assert!(
            !text.contains("3 instances") && text.lines().count() > 6,
            "{text}"
        );
        assert_eq!(show(&fleet, |deployed| deployed.verdict()), Verdict::Go);
    }

    #[test]
    fn doubts_come_with_their_remedy_and_close_the_verdict() {
        let doubt = Doubt::new("one is missing").fix("start it");
        let fleet = fleet(census(&["a"], vec![doubt.clone(), doubt]));
        let text = show(&fleet, |deployed| deployed.text(false));
        assert_eq!(text.matches("one is missing").count(), 1, "{text}");
        assert!(text.contains("start it"), "{text}");
        assert_eq!(show(&fleet, |deployed| deployed.verdict()), Verdict::Unknown);
        let json = show(&fleet, |deployed| deployed.as_json());
        assert_eq!(json["reasons"][0]["fix"], "start it");
    }

    #[test]
    fn an_environment_without_services_is_not_known() {
        let fleet = Fleet::default();
        assert_eq!(show(&fleet, |deployed| deployed.verdict()), Verdict::Unknown);
        assert!(show(&fleet, |deployed| deployed.text(false)).contains("no services are declared"));
    }
}
