//! Deployments under way: who was told yes may deploy until the lease ends, and what is deployed counts as running
//! meanwhile, although nobody has seen it yet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::coexist::conflict;
use super::everyone::concerning;
use super::findings::{Findings, ids, list, moment, name};
use super::{Containment, Doubt, Facts, PhaseKind, PhaseShape, ReasonCode, Verdict, Version};

/// The answer "yes, deploy", held for a while by whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The place of its first record in the ledger.
    pub id: i64,
    /// Who holds it.
    pub holder: String,
    /// The revision as it was asked about.
    pub revision: String,
    /// What is being deployed, as far as it was not given back.
    pub versions: BTreeSet<Version>,
    /// Since when, by the database's clock.
    pub since: Timestamp,
    /// Until when; from then on it does not count.
    pub until: Timestamp,
}

impl Lease {
    /// Whether it still counts.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// The holder without an address.
    pub fn name(&self) -> &str {
        self.holder.split(" <").next().unwrap_or(&self.holder)
    }

    /// What is deployed where, such as `3f2a9c1d2 to web and worker`.
    pub fn what(&self) -> String {
        let mut services: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for version in &self.versions {
            services
                .entry(version.commit.short())
                .or_default()
                .push(version.service.to_string());
        }
        let parts: Vec<String> = services
            .into_iter()
            .map(|(commit, services)| format!("{commit} to {}", list(&services)))
            .collect();
        list(&parts)
    }
}

impl Facts {
    /// The leases that count now.
    pub fn live_leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(|lease| lease.is_live(self.now))
    }

    /// What is being deployed and was not seen running yet, each with its lease. What was seen is judged like
    /// everything that runs.
    pub fn arriving(&self) -> BTreeMap<&Version, &Lease> {
        let running = self.fleet.versions();
        self.live_leases()
            .flat_map(|lease| lease.versions.iter().map(move |version| (version, lease)))
            .filter(|(version, _)| !running.contains(*version))
            .collect()
    }
}

impl Findings<'_> {
    /// Asks the forward rules about what is being deployed. A contract phase that is not in effect does not start while
    /// anything is. Any other phase, and a contract phase that has to be finished, only needs what is deployed to contain
    /// the code phases above, as it does of everything that runs.
    pub(super) fn deployments_permit(&mut self, shape: &PhaseShape, above: &[&PhaseShape]) {
        if shape.kind == PhaseKind::Contract && !self.progress(&shape.id).may_have_effect() {
            self.nothing_is_being_deployed(shape);
        } else {
            self.arriving_contain(above);
        }
    }

    fn nothing_is_being_deployed(&mut self, shape: &PhaseShape) {
        for lease in self.facts.live_leases() {
            self.against(
                ReasonCode::DeploymentUnderWay,
                Verdict::Waiting,
                Some(&shape.id),
                format!("{} does not start while {}", shape.id, under_way(lease)),
                vec![held(lease, self.facts.now)],
                Some(self.until_it_ends(lease)),
            );
        }
    }

    /// Waits for deployments of versions that lack one of the code phases.
    pub(super) fn arriving_contain(&mut self, phases: &[&PhaseShape]) {
        self.arriving_answer(phases, false);
    }

    /// Waits for deployments of versions that contain one of the code phases.
    pub(super) fn arriving_lack(&mut self, phases: &[&PhaseShape]) {
        self.arriving_answer(phases, true);
    }

    /// Waits for deployments of versions for which the answer is `contained`, for any of the phases.
    fn arriving_answer(&mut self, phases: &[&PhaseShape], contained: bool) {
        for (version, lease) in self.facts.arriving() {
            let mut meant = Vec::new();
            let mut shown = vec![held(lease, self.facts.now)];
            for phase in concerning(phases, &version.service) {
                match self.contains(version, &phase.id) {
                    Containment::Unknown(doubt) => self.containment_unknown(version, phase, doubt),
                    Containment::Yes { evidence } if contained => {
                        meant.push(phase);
                        shown.push(format!("{}: {evidence}", phase.id));
                    }
                    Containment::No { evidence } if !contained => {
                        meant.push(phase);
                        shown.push(format!("{}: {evidence}", phase.id));
                    }
                    Containment::Yes { .. } | Containment::No { .. } => {}
                }
            }
            let Some(first) = meant.first() else { continue };
            self.against(
                ReasonCode::DeploymentUnderWay,
                Verdict::Waiting,
                Some(&first.id),
                format!(
                    "{}, and that {} {}",
                    under_way(lease),
                    if contained { "contains" } else { "does not contain" },
                    ids(&meant)
                ),
                shown,
                Some(self.until_it_ends(lease)),
            );
        }
    }

    /// While it is rolled out, the version may meet what others are deploying.
    pub(super) fn coexists_with_arriving(&mut self, version: &Version) {
        for (other, lease) in self.facts.arriving() {
            let Some(found) = conflict(self.plan, version, other, self.facts) else {
                continue;
            };
            if let Some(doubt) = &found.doubt
                && self.is_asked_for(version, doubt)
            {
                continue;
            }
            let builds = format!(
                "{} contains {}, {} lacks {}, which it builds on",
                name(&found.ahead),
                found.contains,
                name(&found.behind),
                found.lacks
            );
            let shown = held(lease, self.facts.now);
            match found.doubt {
                None => self.against(
                    ReasonCode::DeploymentUnderWay,
                    Verdict::Waiting,
                    Some(&found.contains),
                    format!(
                        "{}, which must not run together with {}: {builds}",
                        under_way(lease),
                        name(version)
                    ),
                    vec![shown],
                    Some(self.until_it_ends(lease)),
                ),
                Some(Doubt { why, fix }) => self.against(
                    ReasonCode::CannotCoexist,
                    Verdict::Unknown,
                    Some(&found.contains),
                    format!(
                        "{}, and whether that may run together with {} is not known",
                        under_way(lease),
                        name(version)
                    ),
                    vec![why, shown],
                    fix,
                ),
            }
        }
    }

    fn until_it_ends(&self, lease: &Lease) -> String {
        let environment = &self.facts.environment;
        let record = match (lease.versions.first(), lease.versions.len()) {
            (Some(version), 1) => format!(
                "shipctl deployed record {} {} --env {environment}",
                version.service,
                version.commit.short()
            ),
            _ => format!("shipctl deployed record SERVICE REV --env {environment}"),
        };
        let revision = lease
            .versions
            .first()
            .map_or(lease.revision.as_str(), |version| version.commit.short());
        format!(
            "wait until it is recorded ({record}) or ends at {};\nif nobody deploys it any more: shipctl lease release \
             {revision} --env {environment}",
            moment(lease.until)
        )
    }
}

/// `ci deploys 3f2a9c1d2 to web`.
fn under_way(lease: &Lease) -> String {
    format!("{} deploys {}", lease.name(), lease.what())
}

/// Who holds it, for how long already, and until when.
fn held(lease: &Lease, now: Timestamp) -> String {
    let seconds = now.duration_since(lease.since).as_secs().max(0);
    let age = match seconds {
        0..120 => format!("{seconds}s"),
        _ => format!("{}m", seconds / 60),
    };
    format!(
        "{} has held the lease since {} ({age}), until {}",
        lease.holder,
        moment(lease.since),
        moment(lease.until)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::samples::{at, codes, facts, id, rename, state, version};
    use crate::safety::{Progress, can_deploy, judge, may_revert, may_verify};

    const ALL: [&str; 5] = ["add", "backfill", "constrain", "relax", "drop"];

    fn lease(versions: &[Version], until: i64) -> Lease {
        Lease {
            id: until,
            holder: "ci <ci@example.org>".to_owned(),
            revision: "HEAD".to_owned(),
            versions: versions.iter().cloned().collect(),
            since: at(940),
            until: at(until),
        }
    }

    fn run(phase: &str, facts: &Facts) -> (Verdict, Vec<ReasonCode>) {
        let decision = judge(&rename(), &id(phase), facts, &BTreeSet::new());
        (decision.verdict(), codes(&decision))
    }

    fn deploy(version: &Version, facts: &Facts) -> (Verdict, Vec<ReasonCode>) {
        let judgement = can_deploy(version, &[rename()], facts);
        let codes = judgement.reasons.iter().map(|reason| reason.code).collect();
        (judgement.verdict(), codes)
    }

    #[test]
    fn a_contract_phase_does_not_start_beside_a_deployment_until_the_lease_is_over() {
        let mut facts = facts(&[("web", 2)], &ALL[..3]);
        assert_eq!(run("relax", &facts).0, Verdict::Go);
        // Also of what runs already: it may be rolled out to more instances.
        for deployed in [version("web", 2), version("worker", 2), version("web", 1)] {
            facts.leases = vec![lease(&[deployed], 1001)];
            assert_eq!(
                run("relax", &facts),
                (Verdict::Waiting, vec![ReasonCode::DeploymentUnderWay])
            );
        }
        facts.leases = vec![lease(&[version("web", 1)], 1000)];
        assert_eq!(run("relax", &facts).0, Verdict::Go);
    }

    #[test]
    fn the_reason_names_the_holder_the_age_and_the_end() {
        let mut facts = facts(&[("web", 2)], &ALL[..3]);
        facts.leases = vec![lease(&[version("web", 2)], 1600)];
        let decision = judge(&rename(), &id("relax"), &facts, &BTreeSet::new());
        let reason = &decision.judgement().reasons[0];
        assert_eq!(
            reason.message,
            "relax does not start while ci deploys 222222222 to web"
        );
        assert_eq!(
            reason.evidence,
            [
                "ci <ci@example.org> has held the lease since 1970-01-01 00:15:40Z (60s), until 1970-01-01 00:26:40Z"
            ]
        );
        let fix = reason.fix.as_deref().unwrap();
        assert!(
            fix.contains("shipctl deployed record web 222222222 --env production"),
            "{fix}"
        );
        assert!(
            fix.contains("shipctl lease release 222222222 --env production"),
            "{fix}"
        );
    }

    #[test]
    fn other_phases_wait_only_for_deployments_that_they_would_break() {
        let mut facts = facts(&[("web", 1)], &["add"]);
        assert_eq!(run("backfill", &facts).0, Verdict::Go);
        facts.leases = vec![lease(&[version("web", 1), version("worker", 1)], 1001)];
        assert_eq!(run("backfill", &facts).0, Verdict::Go);
        facts.leases = vec![lease(&[version("worker", 0)], 1001)];
        assert_eq!(
            run("backfill", &facts),
            (Verdict::Waiting, vec![ReasonCode::DeploymentUnderWay])
        );
        // What is not known of it closes the phase as it does for what runs.
        facts.leases = vec![lease(&[version("worker", 9)], 1001)];
        assert_eq!(
            run("backfill", &facts),
            (Verdict::Unknown, vec![ReasonCode::ContainmentUnknown])
        );
    }

    #[test]
    fn a_contract_phase_that_is_half_done_is_finished_beside_code_that_works_with_it() {
        let mut facts = facts(&[("web", 2)], &ALL[..3]);
        state(&mut facts, "relax").progress = Progress::Started { at: at(900) };
        facts.leases = vec![lease(&[version("web", 2)], 1001)];
        assert_eq!(run("relax", &facts).0, Verdict::Go);
        facts.leases = vec![lease(&[version("worker", 1)], 1001)];
        assert_eq!(run("relax", &facts).0, Verdict::Waiting);
    }

    #[test]
    fn nothing_is_undone_that_is_needed_by_what_is_being_deployed() {
        let mut facts = facts(&[("web", 2)], &ALL[..4]);
        let undo = |facts: &Facts| may_revert(&rename(), &id("relax"), facts, &BTreeSet::new());
        assert_eq!(undo(&facts).verdict(), Verdict::Go);
        facts.leases = vec![lease(&[version("web", 3)], 1001)];
        assert_eq!(codes(&undo(&facts)), [ReasonCode::DeploymentUnderWay]);
        facts.leases = vec![lease(&[version("web", 2)], 1001)];
        assert_eq!(undo(&facts).verdict(), Verdict::Go);
    }

    #[test]
    fn a_backfill_is_not_verified_while_what_would_taint_it_is_being_deployed() {
        let mut facts = facts(&[("web", 1)], &ALL[..3]);
        let old = crate::safety::samples::sighting("web", 0, at(500));
        facts.history.sightings.push(old);
        let verify = |facts: &Facts| may_verify(&rename(), &id("backfill"), facts, &BTreeSet::new());
        assert_eq!(verify(&facts).verdict(), Verdict::Go);
        facts.leases = vec![lease(&[version("worker", 0)], 1001)];
        assert_eq!(codes(&verify(&facts)), [ReasonCode::DeploymentUnderWay]);
    }

    #[test]
    fn leases_stand_side_by_side_only_if_what_they_deploy_may_run_together() {
        let mut facts = facts(&[("web", 2), ("worker", 2)], &ALL[..4]);
        facts.leases = vec![lease(&[version("web", 3)], 1001)];
        assert_eq!(deploy(&version("worker", 2), &facts).0, Verdict::Go);
        assert_eq!(deploy(&version("web", 3), &facts).0, Verdict::Go);
        facts.leases = vec![lease(&[version("web", 1)], 1001)];
        assert_eq!(
            deploy(&version("worker", 3), &facts),
            (Verdict::Waiting, vec![ReasonCode::DeploymentUnderWay])
        );
        facts.leases = vec![lease(&[version("web", 9)], 1001)];
        assert_eq!(
            deploy(&version("worker", 3), &facts),
            (Verdict::Unknown, vec![ReasonCode::CannotCoexist])
        );
        facts.leases = vec![lease(&[version("web", 1)], 1000)];
        assert_eq!(deploy(&version("worker", 3), &facts).0, Verdict::Go);
    }

    #[test]
    fn a_deployment_waits_for_a_contract_phase_only_where_the_phase_decides() {
        let mut facts = facts(&[("web", 2)], &ALL[..3]);
        let failed = Progress::Failed {
            started_at: at(900),
            at: at(910),
            error: "no".to_owned(),
        };
        for progress in [Progress::Started { at: at(900) }, failed] {
            state(&mut facts, "relax").progress = progress;
            assert_eq!(
                deploy(&version("web", 3), &facts),
                (Verdict::Waiting, vec![ReasonCode::PhaseUnderWay])
            );
            assert_eq!(
                deploy(&version("web", 1), &facts),
                (Verdict::Waiting, vec![ReasonCode::PhaseUnderWay])
            );
            // This one works before, during and after.
            assert_eq!(deploy(&version("web", 2), &facts).0, Verdict::Go);
        }
        state(&mut facts, "relax").progress = Progress::Reverting { at: at(900) };
        assert_eq!(
            deploy(&version("web", 1), &facts),
            (Verdict::Waiting, vec![ReasonCode::PhaseUnderWay])
        );
        assert_eq!(deploy(&version("web", 3), &facts).0, Verdict::Blocked);
        // Once it is over, there is nothing to wait for.
        let facts = crate::safety::samples::facts(&[("web", 2)], &ALL[..4]);
        assert_eq!(
            deploy(&version("web", 1), &facts),
            (Verdict::Blocked, vec![ReasonCode::RollbackFloor])
        );
    }
}
