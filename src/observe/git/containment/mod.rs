//! Whether a version contains a code phase: the evidence in order, strongest first.
//!
//! 1. Content probes of the plan, where there are any, settle it.
//! 2. Otherwise the phase's commit for this repository: the version is it or descends from it, and nothing between them
//!    takes it back.
//! 3. Otherwise a commit of the version that is the same patch, or that a message says to be the same where the plan
//!    accepts that.
//! 4. A no, only where the change could not be taken out of the version.
//! 5. Without a commit, the commits that bear the phase's trailer, judged in the same way.

mod by_trailer;
mod words;

use git2::Oid;

use super::equivalents::Found;
use super::reverts::Fate;
use super::{Repository, Scope, short};
use crate::domain::{PhaseId, PlanId, ServiceName};
use crate::plan::{Claim, CodePhase, Commit};
use crate::safety::{Containment, Doubt, Version};

/// A question, with what is needed to answer it in words.
struct Question<'a> {
    version: &'a Version,
    at: Oid,
    plan: &'a PlanId,
    phase: &'a PhaseId,
    /// Whether what a message says of a commit will do.
    accepts_messages: bool,
}

impl Question<'_> {
    /// The beginning of every answer: `web 4be1…`. It need not run: the question may be whether it can be deployed.
    fn subject(&self) -> String {
        format!("{} {}", self.version.service, short(self.at))
    }
}

impl Repository {
    /// Whether a version contains a code phase, with the evidence. Strongest evidence first; what cannot be told is
    /// Unknown.
    pub fn contains(
        &self,
        version: &Version,
        plan: &PlanId,
        phase: &PhaseId,
        code: &CodePhase,
    ) -> Containment {
        self.settle(version, plan, phase, code)
            .unwrap_or_else(Containment::Unknown)
    }

    fn settle(
        &self,
        version: &Version,
        plan: &PlanId,
        phase: &PhaseId,
        code: &CodePhase,
    ) -> Result<Containment, Doubt> {
        let at = self.locate(&version.commit).map_err(|doubt| Doubt {
            why: format!(
                "a version of {} cannot be examined: {}",
                version.service, doubt.why
            ),
            ..doubt
        })?;
        let question = Question {
            version,
            at,
            plan,
            phase,
            accepts_messages: code.accepts.contains(&Claim::Message),
        };
        if let Some(answer) = self.probe_content(at, &code.content)? {
            return Ok(answer);
        }
        self.history_is_genuine()?;
        match self.entry(&version.service, &code.commits) {
            Some(commit) => self.by_commit(&question, commit),
            None if code.commits.is_empty() => self.by_trailer(&question),
            None => match self.by_trailer(&question)? {
                Containment::No { .. } => Err(Doubt::new(format!(
                    "{plan}/{phase} names commits, but none for the repository of {}",
                    version.service
                ))
                .fix(format!(
                    "shipctl link {plan} {phase} REV --service {}, or leave {} out of the phase's `services`",
                    version.service, version.service
                ))),
                answer => Ok(answer),
            },
        }
    }

    /// The code phase's commit entry that counts in this repository.
    pub(super) fn entry<'c>(&self, service: &ServiceName, commits: &'c [Commit]) -> Option<&'c Commit> {
        match &self.scope {
            Scope::Project => commits
                .iter()
                .find(|commit| commit.service.as_ref() == Some(service))
                .or_else(|| commits.iter().find(|commit| commit.service.is_none())),
            Scope::Services(here) => commits
                .iter()
                .find(|commit| commit.service.as_ref() == Some(service))
                .or_else(|| {
                    commits
                        .iter()
                        .find(|commit| commit.service.as_ref().is_some_and(|other| here.contains(other)))
                }),
        }
    }

    fn by_commit(&self, question: &Question<'_>, commit: &Commit) -> Result<Containment, Doubt> {
        let (plan, phase) = (question.plan, question.phase);
        let change = self.resolve_for_good(&commit.revision).map_err(|doubt| Doubt {
            why: format!("the commit of {plan}/{phase} is not known here: {}", doubt.why),
            ..doubt
        })?;
        let change = self.locate(&change)?;
        if !self.reaches(question.at, change)? {
            return self.not_reached(question, change);
        }
        match self.fate(change, &[], question.at)? {
            Fate::Stands => Ok(Containment::Yes {
                evidence: self.descent(question, change)?,
            }),
            fate => question.undone(change, fate),
        }
    }

    /// The answer where the phase's commit is not in the version's history as far as this clone has it.
    fn not_reached(&self, question: &Question<'_>, change: Oid) -> Result<Containment, Doubt> {
        let (plan, phase) = (question.plan, question.phase);
        if let Some(answer) = self.by_equivalent(question, change)? {
            return Ok(answer);
        }
        self.history_is_whole(&format!("{} contains {plan}/{phase}", question.subject()))?;
        self.nothing_remains(question, change)?;
        let evidence = if self.reaches(change, question.at)? {
            let (later, _) = self.distance(change, question.at)?;
            format!(
                "{} is older than {}, the commit of {plan}/{phase} ({})",
                question.subject(),
                short(change),
                words::commits(later, "before it")
            )
        } else {
            format!(
                "{} does not descend from {}, the commit of {plan}/{phase}, and has no commit with the same patch",
                question.subject(),
                short(change)
            )
        };
        Ok(Containment::No { evidence })
    }

    /// Refuses to say no where the revert of the change would change something in the version.
    fn nothing_remains(&self, question: &Question<'_>, change: Oid) -> Result<(), Doubt> {
        if self.could_be_taken_out(change, question.at)? {
            return Err(question.some_remains(change));
        }
        Ok(())
    }

    /// The answer by commits that are the phase's under another id, or say that they are; `None` without any.
    fn by_equivalent(&self, question: &Question<'_>, change: Oid) -> Result<Option<Containment>, Doubt> {
        match self.equivalent(change, question.at, question.accepts_messages)? {
            Found::Same { commit, how, .. } => {
                return self.same(question, change, commit, &how).map(Some);
            }
            Found::Undone { commit, fate, .. } => return question.undone(commit, fate).map(Some),
            Found::Claimed {
                commit,
                how,
                acceptable,
            } => return Err(question.only_claimed(change, commit, (&how, acceptable), &self.git())),
            Found::Nothing => {}
        }
        // What bears the phase's trailer without being the commit that the plan names.
        for carrier in self.carriers(question.at, question.plan, question.phase)? {
            if !self.reaches(question.at, carrier.id)? {
                continue;
            }
            if !question.accepts_messages || carrier.quoted {
                return Err(question.other_carrier(change, carrier.id));
            }
            return match self.fate(carrier.id, &[change], question.at)? {
                Fate::Stands => {
                    let how = "whose trailer names the phase, which the plan accepts";
                    self.same(question, change, carrier.id, how).map(Some)
                }
                fate => question.undone(carrier.id, fate).map(Some),
            };
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
