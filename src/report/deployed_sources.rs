//! The census, source by source: what each saw, what the gates may conclude from it, and what would help.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::deployed::{Deployed, sees};
use super::style::{self, paint};
use super::{Table, time};
use crate::domain::{CommitId, ServiceName};
use crate::safety::{
    Completeness, Coverage, Doubt, ServiceCensus, Sighting, SourceReport, Verdict, proves_absence,
};

/// When a version was seen first and last, as far as is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its service.
    pub service: ServiceName,
    /// Its commit.
    pub commit: CommitId,
    /// The first sighting.
    pub first_seen: Timestamp,
    /// The last.
    pub last_seen: Timestamp,
}

/// What is explained.
pub struct Explained<'a> {
    /// The census.
    pub deployed: &'a Deployed<'a>,
    /// What earlier looks saw.
    pub remembered: &'a [Remembered],
}

/// The gates that ask what runs, with what each has to know.
const GATES: [(&str, &str); 3] = [
    ("run", "every version contains each code phase above"),
    ("rollback", "no version contains a code phase below"),
    ("can-deploy", "the new version may run beside every one of them"),
];

/// How many versions are shown to people, those seen last first.
const LATEST: usize = 8;

impl Explained<'_> {
    /// A paragraph for each service.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", paint(style::HEADING, self.deployed.environment));
        for census in self.deployed.fleet.services.values() {
            let _ = writeln!(text, "\n  {}", paint(style::HEADING, &census.service));
            for report in self.reports_of(&census.service) {
                self.source(report, &mut text);
            }
            self.gates(census, &mut text);
            self.versions(census, &mut text);
        }
        text.push('\n');
        text.push_str(&self.deployed.doubts_text());
        text.push_str(&self.deployed.conclusion());
        text
    }

    fn reports_of<'s>(&'s self, service: &'s ServiceName) -> impl Iterator<Item = &'s SourceReport> {
        self.deployed
            .reports
            .iter()
            .filter(move |report| report.service == *service)
    }

    fn source(&self, report: &SourceReport, text: &mut String) {
        let absence = proves_absence(report);
        let window = report.coverage.as_ref().is_none_or(|coverage| coverage.covered);
        let sign = match (&absence, window) {
            (Ok(()), true) => paint(style::GOOD, "✓"),
            _ => paint(style::CAUTION, "?"),
        };
        let _ = writeln!(
            text,
            "    {sign} {}, which sees {}",
            paint(style::NAME, &report.source),
            sees(report.completeness)
        );
        let mut line = |what: &str, said: &str| {
            let _ = writeln!(text, "        {}{said}", paint(style::DIM, format!("{what:<14}")));
        };
        line("saw", &saw(&report.sightings));
        line("presence", presence(report));
        match &absence {
            Ok(()) => line("absence", "may prove that a version is gone"),
            Err(against) => {
                for (index, doubt) in against.iter().enumerate() {
                    let lead = if index == 0 {
                        "proves nothing, because "
                    } else {
                        "and because "
                    };
                    line(
                        if index == 0 { "absence" } else { "" },
                        &format!("{lead}{}", doubt.why),
                    );
                }
            }
        }
        if let Some(coverage) = &report.coverage {
            line("drain window", &covered(coverage, self.deployed.now));
        }
        if !report.lingering.is_empty() {
            line("still counts", &saw(&report.lingering));
        }
        // Doubts have their remedies below; what merely limits a source is told here only.
        for doubt in &report.limits {
            if let Some(fix) = &doubt.fix {
                line("fix", fix);
            }
        }
    }

    fn gates(&self, census: &ServiceCensus, text: &mut String) {
        let mut table = Table::without_heading(2);
        for (gate, condition) in GATES {
            let said = match self.verdict(census) {
                Verdict::Go => format!("may open, if {condition}"),
                _ => format!("stays closed: not known for certain whether {condition}"),
            };
            table.row([paint(style::NAME, gate), said]);
        }
        text.push_str(&table.render(4));
    }

    fn versions(&self, census: &ServiceCensus, text: &mut String) {
        let mut versions: Vec<&Remembered> = self
            .remembered
            .iter()
            .filter(|version| version.service == census.service)
            .collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.last_seen));
        let mut table = Table::without_heading(3);
        for version in versions.into_iter().take(LATEST) {
            table.row([
                paint(style::NAME, version.commit.short()),
                format!(
                    "first seen {}",
                    time::relative(self.deployed.now, version.first_seen)
                ),
                format!(
                    "last seen {}",
                    time::relative(self.deployed.now, version.last_seen)
                ),
            ]);
        }
        if !table.is_empty() {
            text.push_str(&table.render(4));
        }
    }

    /// Whether what a service runs is known, as far as gates ask.
    fn verdict(&self, census: &ServiceCensus) -> Verdict {
        if census.doubts.is_empty() && self.deployed.fleet.strangers.is_empty() {
            Verdict::Go
        } else {
            Verdict::Unknown
        }
    }

    /// The same for programs: one object a service.
    pub fn as_json(&self) -> Value {
        let services = self.deployed.fleet.services.values().map(|census| {
            let sources: Vec<Value> = self.reports_of(&census.service).map(source_as_json).collect();
            let gates: Vec<Value> = GATES
                .iter()
                .map(|(gate, condition)| {
                    json!({ "gate": gate, "verdict": self.verdict(census), "condition": condition })
                })
                .collect();
            let versions: Vec<Value> = self
                .remembered
                .iter()
                .filter(|version| version.service == census.service)
                .map(|version| {
                    json!({
                        "commit": version.commit,
                        "first_seen": version.first_seen,
                        "last_seen": version.last_seen,
                    })
                })
                .collect();
            json!({
                "service": census.service,
                "gates": gates,
                "sources": sources,
                "remembered": versions,
            })
        });
        Value::Array(services.collect())
    }
}

fn source_as_json(report: &SourceReport) -> Value {
    let against = proves_absence(report).err().unwrap_or_default();
    let covered = report.coverage.as_ref().is_none_or(|coverage| coverage.covered);
    let doubts: Vec<Doubt> = report.doubts.iter().chain(&report.limits).cloned().collect();
    json!({
        "source": report.source,
        "completeness": report.completeness,
        "instances": report.sightings.len(),
        "versions": by_version(&report.sightings).into_keys().collect::<Vec<_>>(),
        "proves_presence": !report.sightings.is_empty() && report.completeness != Completeness::Claim,
        "proves_absence": against.is_empty() && covered,
        "because": against.iter().map(|doubt| doubt.why.as_str()).collect::<Vec<_>>(),
        "doubts": doubts,
        "drain_window": report.coverage.as_ref().map(|coverage| json!({
            "samples": coverage.window.samples,
            "over_seconds": coverage.window.over.as_secs(),
            "counted": coverage.counted,
            "since": coverage.since,
            "covered": coverage.covered,
        })),
        "lingering": by_version(&report.lingering).into_keys().collect::<Vec<_>>(),
    })
}

fn presence(report: &SourceReport) -> &'static str {
    match report.completeness {
        _ if report.sightings.is_empty() => "nothing was seen",
        Completeness::Claim => "adds what was said to run to what others saw",
        _ => "what it saw runs, and one version that lacks a phase closes a gate",
    }
}

/// `2 instances of 3f2a9c1d2, 1 of 88c01d7aa`.
fn saw(sightings: &[Sighting]) -> String {
    let versions = by_version(sightings);
    if versions.is_empty() {
        return "nothing".to_owned();
    }
    versions
        .into_iter()
        .enumerate()
        .map(|(index, (commit, instances))| match (index, instances.len()) {
            (0, 1) => format!("1 instance of {}", commit.short()),
            (0, count) => format!("{count} instances of {}", commit.short()),
            (_, count) => format!("{count} of {}", commit.short()),
        })
        .collect::<Vec<_>>()
        .join(", ")
}

fn by_version(sightings: &[Sighting]) -> BTreeMap<&CommitId, BTreeSet<&str>> {
    let mut versions: BTreeMap<&CommitId, BTreeSet<&str>> = BTreeMap::new();
    for sighting in sightings {
        versions
            .entry(&sighting.commit)
            .or_default()
            .insert(&sighting.instance);
    }
    versions
}

fn covered(coverage: &Coverage, now: Timestamp) -> String {
    let (window, looks) = (coverage.window, coverage.counted);
    let looks = match looks {
        1 => "1 look".to_owned(),
        _ => format!("{looks} looks"),
    };
    let since = time::relative(now, coverage.since);
    if coverage.covered {
        format!(
            "covered: {looks} since {since}, {} over {:#} are needed",
            window.samples, window.over
        )
    } else {
        format!(
            "not covered yet: {looks} since {since}, {} over {:#} are needed, at most {} apart",
            window.samples,
            window.over,
            time::rough(window.pace())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::{DrainWindow, Fleet};

    const OLD: &str = "0123456789abcdef0123456789abcdef01234567";

    fn report(source: &str, completeness: Completeness) -> SourceReport {
        let service: ServiceName = "web".parse().unwrap();
        SourceReport {
            sightings: vec![Sighting {
                service: service.clone(),
                instance: "a".to_owned(),
                commit: OLD.parse().unwrap(),
                observed_at: "2026-11-22T10:00:00Z".parse().unwrap(),
                source: source.to_owned(),
                completeness,
            }],
            ..SourceReport::new(service, source, completeness)
        }
    }

    fn explain<R>(reports: &[SourceReport], doubts: Vec<Doubt>, with: impl FnOnce(&Explained<'_>) -> R) -> R {
        let mut fleet = Fleet::default();
        let service: ServiceName = "web".parse().unwrap();
        fleet.services.insert(
            service.clone(),
            ServiceCensus {
                service: service.clone(),
                sightings: reports[0].sightings.clone(),
                doubts,
            },
        );
        let now = "2026-11-22T10:00:42Z".parse().unwrap();
        with(&Explained {
            deployed: &Deployed {
                environment: &"production".parse().unwrap(),
                fleet: &fleet,
                reports,
                subjects: &BTreeMap::new(),
                now,
            },
            remembered: &[Remembered {
                service,
                commit: OLD.parse().unwrap(),
                first_seen: "2026-11-22T08:00:00Z".parse().unwrap(),
                last_seen: now,
            }],
        })
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn each_source_says_what_it_may_prove_and_why_not() {
        let reports = [
            report("connections", Completeness::Full),
            report("http", Completeness::Sample),
            report("recorded", Completeness::Claim),
        ];
        let text = plain(&explain(&reports, Vec::new(), |explained| explained.text()));
        for said in [
            "✓ connections, which sees every instance",
            "saw           1 instance of 012345678",
            "may prove that a version is gone",
            "? http, which sees some instances",
            "proves nothing, because what it sees is a sample of web",
            "nobody looked",
            "run         may open, if every version contains",
            "first seen 2h ago",
        ] {
            assert!(text.contains(said), "{said} is not in\n{text}");
        }
        let json = explain(&reports, Vec::new(), |explained| explained.as_json());
        assert_eq!(json[0]["sources"][0]["proves_absence"], true);
        assert_eq!(json[0]["sources"][1]["proves_absence"], false);
        assert_eq!(json[0]["sources"][2]["proves_presence"], false);
        assert_eq!(json[0]["gates"][0]["verdict"], "go");
    }

    #[test]
    fn what_limits_a_source_and_a_window_that_is_not_covered_are_told() {
        let mut limited = report("connections", Completeness::Sample);
        limited.limits = vec![Doubt::new("a pooler hides clients").fix("name its console")];
        limited.coverage = Some(Coverage {
            window: DrainWindow {
                samples: 5,
                over: jiff::SignedDuration::from_mins(2),
            },
            counted: 3,
            covered: false,
            since: "2026-11-22T10:00:00Z".parse().unwrap(),
            at_once: 1,
        });
        let doubts = vec![Doubt::new("a pooler hides clients")];
        let text = plain(&explain(&[limited], doubts, |explained| explained.text()));
        for said in [
            "because a pooler hides clients",
            "fix           name its console",
            "not covered yet: 3 looks since 42s ago, 5 over 2m are needed, at most 30s apart",
            "stays closed",
        ] {
            assert!(text.contains(said), "{said} is not in\n{text}");
        }
    }
}
