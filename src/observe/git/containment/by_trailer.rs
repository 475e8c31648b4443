//! A code phase without a commit: the commits that bear its trailer are the phase.

use git2::Oid;

use super::Question;
use crate::observe::git::equivalents::Found;
use crate::observe::git::reverts::Fate;
use crate::observe::git::{Repository, short};
use crate::safety::{Containment, Doubt};

/// How many commits with the trailer are looked for under other ids.
const CARRIERS_AT_MOST: usize = 64;

impl Repository {
    pub(super) fn by_trailer(&self, question: &Question<'_>) -> Result<Containment, Doubt> {
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
            .fix(question.name_the_commit()));
        }
        if inside.is_empty() {
            if let Some(answer) = self.by_equivalents(question, &outside)? {
                return Ok(answer);
            }
            self.history_is_whole(&format!("{} contains {plan}/{phase}", question.subject()))?;
            for carrier in &outside {
                self.nothing_remains(question, *carrier)?;
            }
            return Ok(Containment::No {
                evidence: format!(
                    "{} has no commit with the trailer `Ship-Phase: {plan}/{phase}` in its history",
                    question.subject()
                ),
            });
        }
        let (mut standing, mut undone) = (Vec::new(), Vec::new());
        for carrier in inside {
            match self.fate(carrier, &[], question.at)? {
                Fate::Stands => standing.push(carrier),
                Fate::Gone => return question.undone(carrier, Fate::Gone),
                fate => undone.push((carrier, fate)),
            }
        }
        // A commit that was taken back does not count against the phase if it was made anew afterwards.
        let mut left = None;
        for (carrier, fate) in &undone {
            let mut made_anew = false;
            for later in &standing {
                made_anew |= self.reaches(*later, fate.by().unwrap_or(*carrier))?
                    && self.share_a_file(*later, *carrier)?;
            }
            match fate {
                _ if made_anew => {}
                // That all of it is gone can be said only if nothing of it is left.
                Fate::TakenBack(_) if standing.is_empty() => left = left.or(Some((*carrier, *fate))),
                Fate::TakenBack(by) => return question.undone(*carrier, Fate::InPart(*by)),
                _ => return question.undone(*carrier, *fate),
            }
        }
        if let Some((carrier, fate)) = left {
            return question.undone(carrier, fate);
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
    /// nothing of its own, so that it may be missing where all that it brought is there.
    fn nothing_follows(&self, question: &Question<'_>, inside: &[Oid], outside: &[Oid]) -> Result<(), Doubt> {
        for later in outside {
            if self.is_merge_of_what_is_in(*later, question.at)? {
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

    fn is_merge_of_what_is_in(&self, merge: Oid, version: Oid) -> Result<bool, Doubt> {
        let brought = self.brought_by(merge).map_err(|error| self.unreadable(&error))?;
        for commit in &brought {
            if !self.reaches(version, *commit)? {
                return Ok(false);
            }
        }
        Ok(!brought.is_empty())
    }

    /// The answer by commits that are those with the trailer under another id: squashed or picked without it. All of them
    /// have to be found, each by itself or with the branch that it lies on, and all or none have to stand.
    fn by_equivalents(
        &self,
        question: &Question<'_>,
        carriers: &[Oid],
    ) -> Result<Option<Containment>, Doubt> {
        if carriers.len() > CARRIERS_AT_MOST {
            return Err(question.too_many_carriers(carriers.len()));
        }
        let (mut answers, mut missing, mut through) = (Vec::new(), Vec::new(), Vec::new());
        for carrier in carriers {
            match self.equivalent(*carrier, question.at, question.accepts_messages)? {
                Found::Same {
                    commit,
                    how,
                    through: end,
                } => {
                    answers.push(self.same(question, *carrier, commit, &how)?);
                    through.extend(end);
                }
                Found::Undone {
                    commit,
                    fate,
                    through: end,
                } => {
                    answers.push(question.undone(commit, fate)?);
                    through.extend(end);
                }
                Found::Claimed {
                    commit,
                    how,
                    acceptable,
                } => return Err(question.only_claimed(*carrier, commit, (&how, acceptable), &self.git())),
                Found::Nothing => missing.push(*carrier),
            }
        }
        let agree = answers
            .iter()
            .all(|answer| matches!(answer, Containment::Yes { .. }))
            || answers
                .iter()
                .all(|answer| matches!(answer, Containment::No { .. }));
        let Some(answer) = answers.pop() else {
            return Ok(None);
        };
        if !agree {
            return Err(question.only_some(None));
        }
        for carrier in missing {
            if !self.is_part_of_any(carrier, &through)? {
                return Err(question.only_some(Some(carrier)));
            }
        }
        Ok(Some(answer))
    }

    /// Whether a commit lies on one of these branches, each named by its end, and stands there.
    fn is_part_of_any(&self, commit: Oid, branches: &[Oid]) -> Result<bool, Doubt> {
        for end in branches {
            if self.reaches(*end, commit)? && self.fate(commit, &[], *end)? == Fate::Stands {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
