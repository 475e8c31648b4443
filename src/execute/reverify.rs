//! The way out of a taint: verifies a backfill again, and fills what is not right.

use std::collections::BTreeSet;

use super::engine::Hold;
use super::failpoint::{Failpoint, reach};
use super::fill::{self, Fill};
use super::phase::admit;
use crate::domain::{PhaseId, Problem};
use crate::ledger::Record;
use crate::observe::Situation;
use crate::plan::PhaseDetail;
use crate::postgres::interrupted;
use crate::safety::{Decision, Direction, Judgement, PhaseKind, ReasonCode, intruders, may_verify, tainted};

/// What became of a tainted backfill.
pub(super) enum Verified {
    /// It was verified, and filled again where needed.
    Done {
        /// The backfill.
        of: PhaseId,
        /// Rows that were filled again.
        rows: u64,
    },
    /// It may not be, or is not the matter.
    Closed(Judgement),
}

/// What became of verifying one backfill.
enum One {
    Done(u64),
    /// The rules do not permit it.
    Refused(Judgement),
    /// A version that taints it ran meanwhile; what was seen after that.
    Spoilt(Box<Situation>),
}

/// Verifies the first tainted backfill above a phase that was refused for its taint.
pub(super) async fn above(
    hold: &mut Hold<'_>,
    phase: &PhaseId,
    judgement: &Judgement,
    situation: &Situation,
) -> Result<Verified, Problem> {
    let closed = || Verified::Closed(judgement.clone());
    if !judgement
        .reasons
        .iter()
        .any(|reason| reason.code == ReasonCode::Tainted)
    {
        return Ok(closed());
    }
    let tainted_backfill = hold
        .plan
        .shape()
        .above(phase)
        .filter(|above| above.kind == PhaseKind::Backfill)
        .map(|above| above.id.clone())
        .find(|above| is_tainted(hold, above, situation));
    let Some(of) = tainted_backfill else {
        return Ok(closed());
    };
    Ok(match verify(hold, &of, situation).await? {
        One::Done(rows) => Verified::Done { of, rows },
        One::Refused(why) => Verified::Closed(judgement.clone().and(why)),
        One::Spoilt(after) => {
            Verified::Closed(hold.decide(phase, Direction::Forward, &after).judgement().clone())
        }
    })
}

/// Verifies a backfill that is done, if it is tainted; `None` if it is not, or if what taints it was set aside: while
/// that goes on, no verification would count.
pub(super) async fn itself(
    hold: &mut Hold<'_>,
    of: &PhaseId,
    situation: &Situation,
) -> Result<Option<Verified>, Problem> {
    let mut looked = None;
    loop {
        let situation = looked.as_deref().unwrap_or(situation);
        if !is_tainted(hold, of, situation) {
            return Ok(None);
        }
        let may = |set_aside| may_verify(hold.plan.shape(), of, &situation.facts, &set_aside);
        let only_by_override = matches!(may(BTreeSet::new()), Decision::Refused(_))
            && matches!(may(hold.overridden(of)), Decision::Cleared(_));
        if only_by_override {
            hold.note(
                of,
                "not verified: what writes past it was set aside, and still may",
            );
            return Ok(None);
        }
        match verify(hold, of, situation).await? {
            One::Done(rows) => return Ok(Some(Verified::Done { of: of.clone(), rows })),
            One::Refused(why) => return Ok(Some(Verified::Closed(why))),
            // If it has gone again, there is nothing to wait for.
            One::Spoilt(after) => looked = Some(after),
        }
    }
}

fn is_tainted(hold: &Hold<'_>, of: &PhaseId, situation: &Situation) -> bool {
    !tainted(hold.plan.shape(), of, &situation.facts).is_empty()
}

async fn verify(hold: &mut Hold<'_>, of: &PhaseId, situation: &Situation) -> Result<One, Problem> {
    let plan = hold.plan;
    let Some((phase, PhaseDetail::Backfill(spec))) = plan.phase(of).map(|one| (one, &one.detail)) else {
        return Ok(One::Refused(Judgement::default()));
    };
    let clearance = match may_verify(plan.shape(), of, &situation.facts, &hold.overridden(of)) {
        Decision::Refused(why) => return Ok(One::Refused(why)),
        Decision::Cleared(clearance) => clearance,
    };
    admit(hold, phase, clearance, situation)?;
    let without = may_verify(plan.shape(), of, &situation.facts, &BTreeSet::new());
    if let Some(record) = hold.set_aside(of, without) {
        reach(Failpoint::OverrideRecording).await;
        hold.append(&[record]).await?;
        reach(Failpoint::OverrideRecorded).await;
    }
    let since = situation.facts.observed_at;
    hold.note(
        of,
        "verifying again: a version without its dual-write was seen since",
    );
    let fill = Fill {
        phase: of,
        spec,
        activity: "refill",
        // A verification that was broken off begins anew, since it vouches for a moment.
        effort: format!("verify {since}"),
        watch: true,
        must_be_clean: true,
    };
    let rows = refill(hold, &fill).await?;
    // What came in meanwhile, and may be gone again, wrote rows that the verification had passed already.
    let after = hold.look().await?;
    if let Some((version, _)) = intruders(plan.shape(), of, &after.facts, since).first() {
        hold.note(
            of,
            format!(
                "{} of {} ran during the verification, which therefore does not count",
                version.commit.short(),
                version.service
            ),
        );
        return Ok(One::Spoilt(Box::new(after)));
    }
    reach(Failpoint::VerificationRecording).await;
    hold.append(&[Record::BackfillVerified {
        phase: of.clone(),
        since,
        rows,
    }])
    .await?;
    reach(Failpoint::VerificationRecorded).await;
    Ok(One::Done(rows))
}

async fn refill(hold: &mut Hold<'_>, fill: &Fill<'_>) -> Result<u64, Problem> {
    fill::reset_session(hold).await?;
    let started = std::time::Instant::now();
    let rows = fill::until_clean(hold, fill).await?;
    if hold.engine.stop.is_requested() {
        return Err(interrupted());
    }
    hold.note(
        fill.phase,
        format!(
            "verified in {:.1} s; {rows} rows filled again",
            started.elapsed().as_secs_f64()
        ),
    );
    Ok(rows)
}
