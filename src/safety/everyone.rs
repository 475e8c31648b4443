//! Statements about every running version: all contain a code phase, none does. Neither is ever true of nobody.

use std::collections::BTreeSet;

use super::findings::{Findings, ids, is_or_are, list, name_running};
use super::{Containment, Doubt, PhaseShape, ReasonCode, Services, Verdict};
use crate::domain::ServiceName;

impl Findings<'_> {
    /// Objects unless the whole fleet is known and every version contains every one of the code phases that concern
    /// its service.
    pub(super) fn everyone_contains(&mut self, phases: &[&PhaseShape]) {
        self.fleet_is_known(phases);
        for version in self.facts.fleet.versions() {
            let mut lacking = Vec::new();
            let mut shown = Vec::new();
            for phase in concerning(phases, &version.service) {
                match self.contains(&version, &phase.id) {
                    Containment::Yes { evidence } => {
                        self.supports(format!(
                            "{} contains {}: {evidence}",
                            name_running(&version, self.facts),
                            phase.id
                        ));
                    }
                    Containment::No { evidence } => {
                        lacking.push(phase);
                        shown.push(format!("{}: {evidence}", phase.id));
                    }
                    Containment::Unknown(doubt) => self.containment_unknown(&version, phase, doubt),
                }
            }
            let Some(first) = lacking.first() else { continue };
            let fix = format!(
                "deploy a version that contains {} to {}; then: {}",
                first.id,
                version.service,
                self.run_command()
            );
            self.against(
                ReasonCode::OldVersionRunning,
                Verdict::Blocked,
                Some(&first.id),
                format!(
                    "{} does not contain {}",
                    name_running(&version, self.facts),
                    ids(&lacking)
                ),
                shown,
                Some(fix),
            );
        }
    }

    /// Objects unless the whole fleet is known and no version contains any of the code phases.
    pub(super) fn nobody_contains(&mut self, phases: &[&PhaseShape]) {
        self.fleet_is_known(phases);
        for version in self.facts.fleet.versions() {
            let mut containing = Vec::new();
            let mut shown = Vec::new();
            for phase in concerning(phases, &version.service) {
                match self.contains(&version, &phase.id) {
                    Containment::No { evidence } => {
                        self.supports(format!(
                            "{} does not contain {}: {evidence}",
                            name_running(&version, self.facts),
                            phase.id
                        ));
                    }
                    Containment::Yes { evidence } => {
                        containing.push(phase);
                        shown.push(format!("{}: {evidence}", phase.id));
                    }
                    Containment::Unknown(doubt) => self.containment_unknown(&version, phase, doubt),
                }
            }
            let Some(last) = containing.last() else { continue };
            let fix = format!(
                "deploy a version without {} to {} (ask first: shipctl can-deploy REV --env {} --service {})",
                ids(&containing),
                version.service,
                self.facts.environment,
                version.service
            );
            self.against(
                ReasonCode::NewVersionRunning,
                Verdict::Blocked,
                Some(&last.id),
                format!(
                    "{} contains {}",
                    name_running(&version, self.facts),
                    ids(&containing)
                ),
                shown,
                Some(fix),
            );
        }
    }

    /// Objects unless every declared service that one of the code phases concerns is fully known, and there is one.
    /// Does nothing where there is no code phase: then the fleet does not matter.
    pub(super) fn fleet_is_known(&mut self, phases: &[&PhaseShape]) {
        let Some(first) = phases.first() else { return };
        let fleet = &self.facts.fleet;
        let show = format!("shipctl deployed --env {}", self.facts.environment);
        for phase in phases {
            if !fleet
                .services
                .keys()
                .any(|service| phase.services.include(service))
            {
                let concerned = match &phase.services {
                    Services::All => "no service is declared".to_owned(),
                    Services::Only(names) => format!(
                        "it concerns {}, and no such service is declared",
                        list(&names.iter().map(ServiceName::to_string).collect::<Vec<_>>())
                    ),
                };
                self.against(
                    ReasonCode::FleetUnknown,
                    Verdict::Unknown,
                    Some(&phase.id),
                    format!("who runs {} cannot be told: {concerned}", phase.id),
                    Vec::new(),
                    Some(format!(
                        "declare the services of {} in shipctl.toml",
                        self.facts.environment
                    )),
                );
            }
        }
        let mut doubtful: Vec<(&ServiceName, Vec<Doubt>)> = Vec::new();
        for (service, census) in &fleet.services {
            if concerning(phases, service).next().is_none() {
                continue;
            }
            let mut doubts = census.doubts.clone();
            if census.sightings.is_empty() && doubts.is_empty() {
                doubts.push(Doubt::new(format!("no instance of {service} was seen")));
            }
            if !doubts.is_empty() {
                doubtful.push((service, doubts));
            }
        }
        for (service, doubts) in doubtful {
            let fix = doubts
                .iter()
                .find_map(|doubt| doubt.fix.clone())
                .unwrap_or_else(|| show.clone());
            self.against(
                ReasonCode::FleetUnknown,
                Verdict::Unknown,
                concerning(phases, service).next().map(|phase| &phase.id),
                format!("what {service} runs is not known for certain"),
                doubts.into_iter().map(|doubt| doubt.why).collect(),
                Some(fix),
            );
        }
        if !fleet.strangers.is_empty() {
            let names: BTreeSet<String> = fleet
                .strangers
                .iter()
                .map(|stranger| format!("`{}`", stranger.name))
                .collect();
            let names: Vec<String> = names.into_iter().collect();
            let shown = fleet
                .strangers
                .iter()
                .map(|stranger| {
                    format!(
                        "{}@{} seen by {}",
                        stranger.name,
                        stranger.commit.short(),
                        stranger.source
                    )
                })
                .collect();
            self.against(
                ReasonCode::UndeclaredService,
                Verdict::Unknown,
                Some(&first.id),
                format!(
                    "{} {} running, but not declared in {}",
                    list(&names),
                    is_or_are(names.len()),
                    self.facts.environment
                ),
                shown,
                Some("declare it as a service in shipctl.toml, or list it in `ignore_services` if it never touches these tables".to_owned()),
            );
        }
    }
}

/// Those of the phases that concern a service.
pub(super) fn concerning<'p>(
    phases: &[&'p PhaseShape],
    service: &ServiceName,
) -> impl Iterator<Item = &'p PhaseShape> {
    phases
        .iter()
        .copied()
        .filter(move |phase| phase.services.include(service))
}
