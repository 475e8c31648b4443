//! The shortest way to a yes: its steps in words, each with the command to type.

use std::collections::BTreeMap;

use serde::Serialize;

use super::style::{self, paint};
use crate::domain::{EnvironmentName, PhaseId};
use crate::safety::{PlanShape, Version, WayStep};

/// One thing to do: a step, or several that one command takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leg {
    /// In words.
    pub words: String,
    /// The command to type, where there is one.
    pub command: Option<String>,
    /// The steps.
    pub steps: Vec<WayStep>,
}

/// What has to be done, in order.
pub fn legs(way: &[WayStep], plan: &PlanShape, environment: &EnvironmentName) -> Vec<Leg> {
    let mut legs: Vec<Leg> = Vec::new();
    let mut groups: Vec<Vec<WayStep>> = Vec::new();
    for step in way {
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|last| go_together(last, step, plan)) => {
                group.push(step.clone());
            }
            _ => groups.push(vec![step.clone()]),
        }
    }
    for steps in groups {
        let words: Vec<String> = steps.iter().map(words).collect();
        let command = steps.last().and_then(|last| command(last, plan, environment));
        legs.push(Leg {
            words: words.join(", then "),
            command,
            steps,
        });
    }
    legs
}

/// Whether one command takes both steps.
fn go_together(one: &WayStep, next: &WayStep, plan: &PlanShape) -> bool {
    match (one, next) {
        (WayStep::Run { phase } | WayStep::Verify { phase }, WayStep::Run { phase: next }) => {
            plan.is_above(phase, next)
        }
        (
            WayStep::Undo { phase } | WayStep::Restore { phase },
            WayStep::Undo { phase: next } | WayStep::Restore { phase: next },
        ) => plan.is_above(next, phase),
        _ => false,
    }
}

fn words(step: &WayStep) -> String {
    match step {
        WayStep::FindOut { fix } => fix.clone(),
        WayStep::Deploy {
            versions,
            contains,
            known: true,
        } => {
            let what = match list(contains.iter().map(PhaseId::as_str)) {
                none if none.is_empty() => String::new(),
                phases => format!(" ({phases})"),
            };
            format!("deploy {}{what}", targets(versions))
        }
        WayStep::Deploy {
            versions, contains, ..
        } => {
            let services = list(versions.iter().map(|version| version.service.as_str()));
            match list(contains.iter().map(PhaseId::as_str)) {
                none if none.is_empty() => {
                    format!("deploy code from before the plan to {services}")
                }
                phases => format!("write the code of {phases}, and deploy it to {services}"),
            }
        }
        WayStep::AwaitDeployment { what } => format!("wait for the deployment of {what}"),
        WayStep::Approve { phase } => format!("have {phase} approved"),
        WayStep::Soak { phase } => format!("wait until the soak before {phase} is over"),
        WayStep::Run { phase } => format!("run {phase}"),
        WayStep::Verify { phase } => format!("verify {phase} again"),
        WayStep::Restore { phase } => format!("restore what {phase} no longer wrote"),
        WayStep::Undo { phase } => format!("undo {phase}"),
    }
}

fn command(step: &WayStep, plan: &PlanShape, environment: &EnvironmentName) -> Option<String> {
    let id = plan.id();
    match step {
        WayStep::FindOut { .. } | WayStep::AwaitDeployment { .. } => None,
        WayStep::Deploy {
            versions,
            known: true,
            ..
        } => {
            let first = versions.first()?;
            let service = match versions.len() {
                1 => format!(" --service {}", first.service),
                _ => String::new(),
            };
            Some(format!(
                "shipctl can-deploy {} --env {environment}{service}",
                first.commit.short()
            ))
        }
        WayStep::Deploy { contains, .. } => {
            let phase = contains.first()?;
            Some(format!("shipctl checklist {id} {phase}"))
        }
        WayStep::Approve { phase } => Some(format!(
            "shipctl approve {id} {phase} --env {environment} --reason \"…\""
        )),
        WayStep::Soak { phase } => Some(format!(
            "shipctl run {id} --env {environment} --to {phase} --watch"
        )),
        WayStep::Run { phase } => Some(format!("shipctl run {id} --env {environment} --to {phase}")),
        // It is verified on the way to what comes after.
        WayStep::Verify { .. } => Some(format!("shipctl run {id} --env {environment}")),
        WayStep::Restore { phase } | WayStep::Undo { phase } => {
            let to = plan
                .phase(phase)
                .and_then(|shape| shape.needs.first())
                .map_or_else(|| "--all".to_owned(), |need| format!("--to {need}"));
            Some(format!("shipctl rollback {id} --env {environment} {to}"))
        }
    }
}

/// `4be1c2d3a to web and worker`.
fn targets(versions: &[Version]) -> String {
    let mut services: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for version in versions {
        services
            .entry(version.commit.short())
            .or_default()
            .push(version.service.as_str());
    }
    let parts: Vec<String> = services
        .into_iter()
        .map(|(commit, services)| format!("{commit} to {}", list(services)))
        .collect();
    parts.join(", ")
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.into_iter().collect();
    match items.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The way as people read it: a line a step, with its command below; moved in by `indent` spaces.
pub fn text(legs: Option<&[Leg]>, indent: usize) -> String {
    let Some(legs) = legs else {
        let line = "no safe way to a yes was found from here";
        return format!("{:indent$}{}\n", "", paint(style::CAUTION, line));
    };
    if legs.is_empty() {
        return String::new();
    }
    let heading = paint(style::HEADING, "the shortest way to a yes:");
    let mut text = format!("{:indent$}{heading}\n", "");
    for (number, leg) in legs.iter().enumerate() {
        for (line, words) in leg.words.lines().enumerate() {
            let lead = match line {
                0 => format!("{}.", number + 1),
                _ => "  ".to_owned(),
            };
            text += &format!("{:indent$}  {lead} {words}\n", "");
        }
        if let Some(command) = &leg.command {
            text += &format!("{:indent$}     {}\n", "", paint(style::NAME, command));
        }
    }
    text
}
