//! Whether a version contains a code phase: the evidence in order, strongest first.
//!
//! 1. Content probes of the plan, where there are any, settle it.
//! 2. Otherwise the phase's commit for this repository: the version is it or descends from it, and no revert
//!    stands between them.
//! 3. Otherwise, without a commit, the commits that bear the phase's trailer, judged in the same way.
//!
//! Further kinds of equivalence (the same patch under another id) belong between "not reachable" and the final answer in
//! [`Repository::not_reached`].

use git2::Oid;

use super::{Repository, Scope, commit_id, short};
use crate::domain::{PhaseId, PlanId, ServiceName};
use crate::plan::{CodePhase, Commit};
use crate::safety::{Containment, Doubt, Version};

/// A question, with what is needed to answer it in words.
struct Question<'a> {
    version: &'a Version,
    at: Oid,
    plan: &'a PlanId,
    phase: &'a PhaseId,
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
        };
        if let Some(answer) = self.probe_content(at, &code.content)? {
            return Ok(answer);
        }
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
        match self.reverted_by(change, question.at)? {
            None if self.is_gone_from(change, question.at) => Err(gone(question, change)),
            None => Ok(Containment::Yes {
                evidence: self.descent(question, change)?,
            }),
            Some(by) => Err(reverted(question, change, by)),
        }
    }

    /// The answer where the phase's commit is not in the version's history as far as this clone has it.
    fn not_reached(&self, question: &Question<'_>, change: Oid) -> Result<Containment, Doubt> {
        let (plan, phase) = (question.plan, question.phase);
        self.history_is_whole(question)?;
        for carrier in self.carriers(question.at, plan, phase)? {
            let carrier = carrier.id;
            if self.reaches(question.at, carrier)? {
                return Err(Doubt::new(format!(
                    "{} does not descend from {}, the commit of {plan}/{phase}, but contains {}, whose trailer says \
                     that it belongs to the same phase",
                    question.subject(),
                    short(change),
                    short(carrier)
                ))
                .fix(
                    "deploy a descendant of the phase's commit, or remove the commit from the plan so that the \
                     trailer counts",
                ));
            }
        }
        let evidence = if self.reaches(change, question.at)? {
            let (later, _) = self.distance(change, question.at)?;
            format!(
                "{} is older than {}, the commit of {plan}/{phase} ({})",
                question.subject(),
                short(change),
                commits(later, "before it")
            )
        } else {
            format!(
                "{} does not descend from {}, the commit of {plan}/{phase}",
                question.subject(),
                short(change)
            )
        };
        Ok(Containment::No { evidence })
    }

    fn by_trailer(&self, question: &Question<'_>) -> Result<Containment, Doubt> {
        let (plan, phase) = (question.plan, question.phase);
        let (mut inside, mut outside, mut quoting) = (Vec::new(), Vec::new(), Vec::new());
        for carrier in self.carriers(question.at, plan, phase)? {
            let here = self.reaches(question.at, carrier.id)?;
            match (here, carrier.quoted) {
                (true, true) => quoting.push(carrier.id),
                (true, false) => inside.push(carrier.id),
                (false, true) => {}
                (false, false) => outside.push(carrier.id),
            }
        }
        if let (true, Some(quote)) = (inside.is_empty(), quoting.first()) {
            return Err(Doubt::new(format!(
                "{} contains {}, whose message names {plan}/{phase}, but in a revert or in a block of code",
                question.subject(),
                short(*quote)
            ))
            .fix(format!(
                "name the phase's commit: shipctl link {plan} {phase} REV"
            )));
        }
        if inside.is_empty() {
            self.history_is_whole(question)?;
            return Ok(Containment::No {
                evidence: format!(
                    "{} has no commit with the trailer `Ship-Phase: {plan}/{phase}` in its history",
                    question.subject()
                ),
            });
        }
        let (mut standing, mut taken_back) = (Vec::new(), Vec::new());
        for carrier in inside {
            match self.reverted_by(carrier, question.at)? {
                None if self.is_gone_from(carrier, question.at) => return Err(gone(question, carrier)),
                None => standing.push(carrier),
                Some(by) => taken_back.push((carrier, by)),
            }
        }
        // A commit that was taken back does not count against the phase if it was made anew afterwards.
        for (carrier, by) in taken_back {
            let mut made_anew = false;
            for later in &standing {
                made_anew |= self.reaches(*later, by)?;
            }
            if !made_anew {
                return Err(reverted(question, carrier, by));
            }
        }
        self.nothing_follows(question, &standing, &outside)?;
        let Some(change) = standing.first() else {
            return Err(Doubt::new(format!(
                "{} has no commit of {plan}/{phase} left that was not taken back",
                question.subject()
            )));
        };
        Ok(Containment::Yes {
            evidence: format!(
                "{}, and its trailer names {plan}/{phase}",
                self.descent(question, *change)?
            ),
        })
    }

    /// Refuses a version that has the first commits of a phase but not the later ones built on them. A merge brings
    /// nothing of its own, so that it may be missing.
    fn nothing_follows(&self, question: &Question<'_>, inside: &[Oid], outside: &[Oid]) -> Result<(), Doubt> {
        for later in outside {
            let merges = self
                .inner
                .find_commit(*later)
                .is_ok_and(|commit| commit.parent_count() > 1);
            if merges {
                continue;
            }
            for earlier in inside {
                if self.reaches(*later, *earlier)? {
                    return Err(Doubt::new(format!(
                        "{} contains {} of {}/{}, but not {}, which builds on it and has the same trailer",
                        question.subject(),
                        short(*earlier),
                        question.plan,
                        question.phase,
                        short(*later)
                    ))
                    .fix(format!(
                        "deploy a version that contains {}, or name the phase's commit: shipctl link {} {} REV",
                        short(*later),
                        question.plan,
                        question.phase
                    )));
                }
            }
        }
        Ok(())
    }

    /// Refuses to say no where the history is cut short.
    fn history_is_whole(&self, question: &Question<'_>) -> Result<(), Doubt> {
        if self.is_shallow() {
            return Err(Doubt::new(format!(
                "the history of {} is cut short in the clone {}, so it cannot be told whether it contains {}/{}",
                short(question.at),
                self.folder().display(),
                question.plan,
                question.phase
            ))
            .fix(self.deepen()));
        }
        Ok(())
    }

    fn descent(&self, question: &Question<'_>, change: Oid) -> Result<String, Doubt> {
        let Version { service, .. } = question.version;
        if question.at == change {
            return Ok(format!("{service} {} is the commit itself", short(change)));
        }
        let (later, _) = self.distance(question.at, change)?;
        let subject = self
            .summary(&commit_id(change)?)
            .map(|summary| format!(" (\"{}\")", summary.subject))
            .unwrap_or_default();
        Ok(format!(
            "{} descends from {}{subject}, {}",
            question.subject(),
            short(change),
            commits(later, "later")
        ))
    }
}

fn reverted(question: &Question<'_>, change: Oid, by: Oid) -> Doubt {
    Doubt::new(format!(
        "{} contains {} of {}/{}, but {} takes it back",
        question.subject(),
        short(change),
        question.plan,
        question.phase,
        short(by)
    ))
    .fix(format!(
        "deploy a version in which it is made again, and tie that commit to the phase: shipctl link {} {} REV; \
         or let the plan say what the code must contain (`content`)",
        question.plan, question.phase
    ))
}

fn gone(question: &Question<'_>, change: Oid) -> Doubt {
    Doubt::new(format!(
        "{} descends from {} of {}/{}, but every file that it changed reads as it did before: it was taken back, or \
         lost in a merge",
        question.subject(),
        short(change),
        question.plan,
        question.phase
    ))
    .fix(format!(
        "deploy a version in which it is made again, and tie that commit to the phase: shipctl link {} {} REV; \
         or let the plan say what the code must contain (`content`)",
        question.plan, question.phase
    ))
}

fn commits(count: usize, how: &str) -> String {
    match count {
        1 => format!("1 commit {how}"),
        _ => format!("{count} commits {how}"),
    }
}

#[cfg(test)]
mod tests;
