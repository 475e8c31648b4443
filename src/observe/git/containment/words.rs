//! What is said about a version and a code phase: evidence, and doubts with what to do about them.

use git2::Oid;

use super::Question;
use crate::observe::git::reverts::Fate;
use crate::observe::git::{Repository, commit_id, short};
use crate::safety::{Containment, Doubt, Version};

impl Question<'_> {
    /// The answer where something happened to `change`, which the version has.
    pub(super) fn undone(&self, change: Oid, fate: Fate) -> Result<Containment, Doubt> {
        let has = format!(
            "{} contains {} of {}/{}",
            self.subject(),
            short(change),
            self.plan,
            self.phase
        );
        let why = match fate {
            Fate::Stands => {
                return Ok(Containment::Yes { evidence: has });
            }
            Fate::TakenBack(by) => {
                return Ok(Containment::No {
                    evidence: format!("{has}, but {} takes it back: its patch is the inverse", short(by)),
                });
            }
            Fate::InPart(by) => format!(
                "{has}, but {} takes it back, and not, or not only, by the inverse of its patch: part of it may be left",
                short(by)
            ),
            Fate::Reworked(by) => format!(
                "{has}, but {} takes it back, and the files were changed since: it may have been made anew",
                short(by)
            ),
            Fate::Gone => format!(
                "{has}, but every file that it changed reads as it did before: it was taken back, or lost in a merge"
            ),
            Fate::Lost(by) => format!(
                "{has}, but {} took it back without a word, or lost it in a merge, and nothing made it again",
                short(by)
            ),
        };
        Err(Doubt::new(why).fix(format!(
            "deploy a version in which it is made again, and tie that commit to the phase: shipctl link {} {} REV; \
             or let the plan say what the code must contain (`content` or `probe`)",
            self.plan, self.phase
        )))
    }

    /// The doubt where a commit claims to be the phase's, but is another patch.
    /// `git` is the program, aimed at the repository.
    pub(super) fn only_claimed(
        &self,
        change: Oid,
        commit: Oid,
        (how, acceptable): (&str, bool),
        git: &str,
    ) -> Doubt {
        let why = format!(
            "{} does not descend from {} of {}/{}, but contains {}, {how}",
            self.subject(),
            short(change),
            self.plan,
            self.phase,
            short(commit)
        );
        let accept = if acceptable {
            "if it does the same, accept that in the plan: `accept = [\"message\"]` in the phase; or "
        } else {
            ""
        };
        Doubt::new(why).fix(format!(
            "compare them: {git} range-diff {}^! {}^!; {accept}let the plan say what the code must contain (`content` or \
             `probe`)",
            short(change),
            short(commit)
        ))
    }

    /// The doubt where no commit shows the change, but its revert would change something.
    pub(super) fn some_remains(&self, change: Oid) -> Doubt {
        Doubt::new(format!(
            "{} does not descend from {} of {}/{}, and has no commit with the same patch; but some of it could be taken out \
             of that version without a conflict, so that some of it may be there",
            self.subject(),
            short(change),
            self.plan,
            self.phase
        ))
        .fix("let the plan say what the code must contain (`content` or `probe`)")
    }

    /// The doubt where a commit bears the phase's trailer, but is not the one that the plan names.
    pub(super) fn other_carrier(&self, change: Oid, carrier: Oid) -> Doubt {
        Doubt::new(format!(
            "{} does not descend from {}, the commit of {}/{}, but contains {}, whose trailer says that it belongs to \
             the same phase",
            self.subject(),
            short(change),
            self.plan,
            self.phase,
            short(carrier)
        ))
        .fix(
            "deploy a descendant of the phase's commit, or remove the commit from the plan so that the trailer counts, \
             or accept trailers beside it: `accept = [\"message\"]` in the phase",
        )
    }

    /// The doubt where a version has some of a phase's commits under other ids, or has them in different states.
    pub(super) fn only_some(&self, missing: Option<Oid>) -> Doubt {
        let what = match missing {
            Some(commit) => format!("but nothing that is the same patch as {}", short(commit)),
            None => "but some of them were taken back".to_owned(),
        };
        Doubt::new(format!(
            "{} contains commits that are the same patch as commits with the trailer of {}/{}, {what}",
            self.subject(),
            self.plan,
            self.phase
        ))
        .fix(self.name_the_commit())
    }

    /// The doubt where too many commits bear the trailer on other lines of history.
    pub(super) fn too_many_carriers(&self, count: usize) -> Doubt {
        Doubt::new(format!(
            "{count} commits outside of {} bear the trailer of {}/{}, too many to look for each under another id",
            self.subject(),
            self.plan,
            self.phase
        ))
        .fix(self.name_the_commit())
    }

    /// The advice to leave no doubt which commit is meant.
    pub(super) fn name_the_commit(&self) -> String {
        format!(
            "name the phase's commit: shipctl link {} {} REV",
            self.plan, self.phase
        )
    }
}

impl Repository {
    /// The evidence of ancestry.
    pub(super) fn descent(&self, question: &Question<'_>, change: Oid) -> Result<String, Doubt> {
        let Version { service, .. } = question.version;
        if question.at == change {
            return Ok(format!("{service} {} is the commit itself", short(change)));
        }
        let (later, _) = self.distance(question.at, change)?;
        let subject = self.title(change)?;
        Ok(format!(
            "{} descends from {}{subject}, {}",
            question.subject(),
            short(change),
            commits(later, "later")
        ))
    }

    /// The evidence by a commit that is the phase's under another id.
    pub(super) fn same(
        &self,
        question: &Question<'_>,
        change: Oid,
        commit: Oid,
        how: &str,
    ) -> Result<Containment, Doubt> {
        Ok(Containment::Yes {
            evidence: format!(
                "{} contains {}{}, {how}; the commit of {}/{} is {}",
                question.subject(),
                short(commit),
                self.title(commit)?,
                question.plan,
                question.phase,
                short(change)
            ),
        })
    }

    /// The commit's title as it follows an id.
    fn title(&self, commit: Oid) -> Result<String, Doubt> {
        Ok(self
            .summary(&commit_id(commit)?)
            .map(|summary| format!(" (\"{}\")", summary.subject))
            .unwrap_or_default())
    }
}

/// So many commits.
pub(super) fn commits(count: usize, how: &str) -> String {
    match count {
        1 => format!("1 commit {how}"),
        _ => format!("{count} commits {how}"),
    }
}
