//! The answer of `shipctl can-deploy`: yes or no for each service, plan by plan, with the shortest way to a yes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::way::{self, Leg};
use super::{judgement, style, time};
use crate::domain::{CommitId, EnvironmentName, PhaseId, PlanId, ServiceName};
use crate::safety::{Doubt, Judgement, Lease, ReasonCode, Verdict, Version};

/// The answer for one service.
pub struct Answer {
    /// The version that was judged.
    pub version: Version,
    /// The first line of its commit's message.
    pub subject: Option<String>,
    /// What all plans say together.
    pub judgement: Judgement,
    /// What each plan says.
    pub plans: Vec<PlanAnswer>,
}

/// What one plan says.
pub struct PlanAnswer {
    /// The plan.
    pub plan: PlanId,
    /// What it says.
    pub judgement: Judgement,
    /// The shortest way to a yes: empty where it is one, `None` where no way was found.
    pub way: Option<Vec<Leg>>,
}

impl PlanAnswer {
    /// The phase that decides: the one that the gravest reason is about.
    fn deciding(&self) -> Option<&PhaseId> {
        self.judgement.reasons.first()?.phase.as_ref()
    }
}

/// The whole answer.
pub struct Deployable<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The revision as it was asked about.
    pub revision: &'a str,
    /// One for each service that was judged.
    pub answers: Vec<Answer>,
    /// Services that were not judged, and why.
    pub elsewhere: &'a [(ServiceName, Doubt)],
    /// The lease that was taken.
    pub lease: Option<Lease>,
    /// Whether one was asked for.
    pub lease_wanted: bool,
    /// The moment of the look.
    pub now: Timestamp,
}

impl Deployable<'_> {
    /// The gravest verdict of all services.
    pub fn verdict(&self) -> Verdict {
        self.answers
            .iter()
            .map(|answer| answer.judgement.verdict())
            .max()
            .unwrap_or(Verdict::Unknown)
    }

    /// The answer as people read it.
    pub fn text(&self) -> String {
        let mut text = self.headline();
        for alike in self.grouped() {
            text += &services_text(&alike);
        }
        for (service, doubt) in self.elsewhere {
            let line = format!("{service} was not judged: {}", doubt.why);
            text += &format!("\n  {}\n", style::paint(style::DIM, line));
        }
        text += &self.lease_text();
        text
    }

    fn headline(&self) -> String {
        let verdict = self.verdict();
        let revision = self.revision;
        let commits: BTreeSet<&CommitId> = self.answers.iter().map(|one| &one.version.commit).collect();
        let named = match (commits.first(), commits.len()) {
            (Some(commit), 1) if commit.short().starts_with(revision) || revision == commit.as_str() => {
                commit.short().to_owned()
            }
            (Some(commit), 1) => format!("{revision} ({})", commit.short()),
            _ => revision.to_owned(),
        };
        let words = match verdict {
            Verdict::Go => "may be deployed to",
            Verdict::Waiting => "may not be deployed yet to",
            Verdict::Unknown => "cannot be cleared for",
            Verdict::Blocked => "must not be deployed to",
        };
        let word = match verdict {
            Verdict::Go => "GO",
            Verdict::Blocked => "NO",
            _ => judgement::mark(verdict).1,
        };
        let (sign, _, style) = judgement::mark(verdict);
        format!(
            "{} {named} {words} {}\n",
            style::paint(style.bold(), format!("{sign} {word}")),
            self.environment
        )
    }

    fn lease_text(&self) -> String {
        let Some(lease) = &self.lease else {
            return match self.lease_wanted {
                true => format!("\n{}\n", style::paint(style::DIM, "no lease was taken")),
                false => String::new(),
            };
        };
        let mut text = format!(
            "\n{} until {} ({}); contract phases wait for its end\n",
            style::paint(style::HEADING, "Leased"),
            time::absolute(lease.until),
            time::relative(self.now, lease.until)
        );
        let mut lead = style::paint(style::HEADING, "Once it is deployed:");
        for version in &lease.versions {
            let command = format!(
                "shipctl deployed record {} {} --env {}",
                version.service,
                version.commit.short(),
                self.environment
            );
            text += &format!("{lead} {}\n", style::paint(style::NAME, command));
            lead = " ".repeat("Once it is deployed:".len());
        }
        text
    }

    /// Services that get the same answer for the same commit, so that it is shown once for all of them. Answers are the
    /// same if they name the same reasons of the same phases; the words differ only by the service.
    fn grouped(&self) -> Vec<Vec<&Answer>> {
        type Said<'a> = (&'a CommitId, Vec<(ReasonCode, &'a PlanId, Option<&'a PhaseId>)>);
        let mut groups: Vec<(Said<'_>, Vec<&Answer>)> = Vec::new();
        for answer in &self.answers {
            let reasons = answer.judgement.reasons.iter();
            let said: Said<'_> = (
                &answer.version.commit,
                reasons
                    .map(|reason| (reason.code, &reason.plan, reason.phase.as_ref()))
                    .collect(),
            );
            match groups.iter_mut().find(|(known, _)| *known == said) {
                Some((_, alike)) => alike.push(answer),
                None => groups.push((said, vec![answer])),
            }
        }
        groups.into_iter().map(|(_, alike)| alike).collect()
    }

    /// The answer as programs read it.
    pub fn as_json(&self) -> Value {
        let reasons: Vec<Value> = self
            .answers
            .iter()
            .flat_map(|answer| {
                answer.judgement.reasons.iter().map(|reason| {
                    let mut value = judgement::reason_as_json(reason);
                    value["service"] = json!(answer.version.service);
                    value
                })
            })
            .collect();
        json!({
            "verdict": self.verdict(),
            "environment": self.environment,
            "revision": self.revision,
            "reasons": reasons,
            "services": self.answers.iter().map(|answer| {
                let mut value = judgement::as_json(&answer.judgement);
                value["service"] = json!(answer.version.service);
                value["commit"] = json!(answer.version.commit);
                value["subject"] = json!(answer.subject);
                value["plans"] = answer.plans.iter().map(plan_json).collect();
                value
            }).collect::<Vec<_>>(),
            "not_judged": self.elsewhere.iter().map(|(service, doubt)| {
                json!({ "service": service, "why": doubt.why, "fix": doubt.fix })
            }).collect::<Vec<_>>(),
            "lease": self.lease.as_ref().map(|lease| lease_json(lease, self.now)),
        })
    }
}

/// Services with the same answer: the verdict, then the reasons plan by plan.
fn services_text(alike: &[&Answer]) -> String {
    let Some(answer) = alike.first() else {
        return String::new();
    };
    let names: Vec<&str> = alike.iter().map(|one| one.version.service.as_str()).collect();
    let commit = answer.version.commit.short();
    let one = format!("{} {commit}", answer.version.service);
    let of_all = |text: &str| match alike.len() {
        1 => text.to_owned(),
        _ => text.replace(&one, commit),
    };
    let (sign, _, mark_style) = judgement::mark(answer.judgement.verdict());
    let subject = answer.subject.as_deref().unwrap_or_default();
    let mut text = format!(
        "\n{} {}  {} {}\n",
        style::paint(mark_style, sign),
        style::paint(style::HEADING, names.join(", ")),
        answer.version.commit.short(),
        style::paint(style::DIM, subject)
    );
    let mut by_plan: BTreeMap<&PlanId, Judgement> = BTreeMap::new();
    for reason in &answer.judgement.reasons {
        by_plan
            .entry(&reason.plan)
            .or_default()
            .reasons
            .push(reason.clone());
    }
    for (plan, reasons) in by_plan {
        let said = answer.plans.iter().find(|one| one.plan == *plan);
        let decided = said
            .and_then(PlanAnswer::deciding)
            .map_or_else(String::new, |phase| format!(": decided by {phase}"));
        text += &format!(
            "  {}\n",
            style::paint(style::DIM, format!("plan {plan}{decided}"))
        );
        text += &of_all(&judgement::reasons(&reasons, 2));
        if let Some(said) = said
            && said.judgement.verdict() != Verdict::Unknown
        {
            text += &way::text(said.way.as_deref(), 4);
        }
    }
    if answer.judgement.verdict() == Verdict::Go {
        text += &of_all(&judgement::evidence(&answer.judgement, 4));
    }
    text
}

fn plan_json(said: &PlanAnswer) -> Value {
    json!({
        "plan": said.plan,
        "verdict": said.judgement.verdict(),
        "phase": said.deciding(),
        "evidence": said.judgement.evidence,
        "way": said.way,
    })
}

/// A lease as programs read it.
pub fn lease_json(lease: &Lease, now: Timestamp) -> Value {
    json!({
        "id": lease.id,
        "holder": lease.holder,
        "revision": lease.revision,
        "versions": lease.versions,
        "since": lease.since,
        "until": lease.until,
        "live": lease.is_live(now),
    })
}
