//! Carries out one phase, or undoes it: from the record that it starts to the record that it is done.

use std::time::Duration;

use super::attempt::Attempt;
use super::clearance::FreshClearance;
use super::crash_probe::{ProbeAnswer, remove_leftover, settled};
use super::engine::Hold;
use super::event::Event;
use super::failpoint::{Failpoint, reach};
use super::fill::{self, Fill};
use super::outside::PREDECESSOR;
use super::script::{self, Ended, Job};
use super::standoff::Standoff;
use crate::domain::{Exit, Problem};
use crate::ledger::{Record, StoredRecord, fold};
use crate::observe::Situation;
use crate::plan::{BackfillPhase, MigrationPhase, Phase, PhaseDetail};
use crate::safety::{Clearance, Decision, Direction, Judgement, PhaseKind, PhaseShape, Progress};
use crate::sql::{CrashProbe, Script, Transactional};

/// How carrying out a phase ended without an error.
#[derive(Debug)]
pub(in crate::execute) enum Outcome {
    /// It is done (or undone).
    Done {
        /// Rows changed, for a fill.
        rows: Option<u64>,
    },
    /// Its gate closed while it ran. What took effect is recorded; it can be resumed.
    Closed(Judgement),
}

/// Carries out the phase in the clearance's direction.
///
/// # Errors
/// What the phase runs into; that it failed is recorded where the ledger can be written.
pub(in crate::execute) async fn perform(
    hold: &mut Hold<'_>,
    phase: &Phase,
    clearance: FreshClearance,
    situation: &Situation,
) -> Result<Outcome, Problem> {
    let direction = clearance.clearance().direction();
    let records: Vec<StoredRecord> = own_records(hold, situation);
    let mut begun = false;
    let result = carry_out(hold, phase, clearance, &records, &mut begun).await;
    // What never began has not failed, and must not look as though parts of it were in effect.
    if let (Err(problem), true) = (&result, begun) {
        let record = Record::PhaseFailed {
            phase: phase.id.clone(),
            direction,
            error: problem.message().lines().collect::<Vec<_>>().join(" "),
        };
        reach(Failpoint::PhaseFailing).await;
        // Where this cannot be written (the connection or the lock is gone), the start without an end says enough.
        if let Err(error) = hold.append(&[record]).await {
            tracing::debug!(%error, "the failure is not recorded");
        }
        reach(Failpoint::PhaseFailed).await;
    }
    result
}

/// The plan's own records of a situation.
pub(in crate::execute) fn own_records(hold: &Hold<'_>, situation: &Situation) -> Vec<StoredRecord> {
    situation
        .records
        .iter()
        .filter(|stored| stored.plan.as_ref() == Some(hold.plan.id()))
        .cloned()
        .collect()
}

/// The shape of a phase of the plan.
///
/// # Errors
/// The plan has no such phase, which cannot happen.
fn shape_of<'p>(hold: &Hold<'p>, phase: &Phase) -> Result<&'p PhaseShape, Problem> {
    hold.plan.shape().phase(&phase.id).ok_or_else(|| {
        Problem::new(
            Exit::Failed,
            "phase-without-shape",
            format!("{} has no phase {}", hold.plan.id(), phase.id),
        )
    })
}

/// Takes a clearance for a phase, if the facts it rests on are still fresh.
///
/// # Errors
/// `stale-clearance` (exit 3).
pub(in crate::execute) fn admit(
    hold: &Hold<'_>,
    phase: &Phase,
    clearance: Clearance,
    situation: &Situation,
) -> Result<FreshClearance, Problem> {
    let direction = clearance.direction();
    FreshClearance::admit(
        clearance,
        &situation.facts,
        shape_of(hold, phase)?,
        direction,
        hold.now(),
        hold.engine.pace.fresh,
    )
}

async fn carry_out(
    hold: &mut Hold<'_>,
    phase: &Phase,
    mut clearance: FreshClearance,
    records: &[StoredRecord],
    begun: &mut bool,
) -> Result<Outcome, Problem> {
    let direction = clearance.clearance().direction();
    let first_start = match fold(records).progress(&phase.id) {
        Progress::Started { at } | Progress::Reverting { at } => *at,
        Progress::Failed { started_at, .. } if direction == Direction::Forward => *started_at,
        _ => hold.now(),
    };
    let mut attempt = Attempt::read(records, &phase.id, direction);
    while !start(hold, phase, &clearance).await? {
        // A deployment was let go ahead since the facts were gathered.
        let situation = hold.look().await?;
        match hold.decide(&phase.id, direction, &situation) {
            Decision::Refused(judgement) => return Ok(Outcome::Closed(judgement)),
            Decision::Cleared(cleared) => {
                let without = hold.decide_without_overrides(&phase.id, direction, &situation);
                clearance = admit(hold, phase, cleared, &situation)?
                    .with_overridden(hold.set_aside(&phase.id, without));
            }
        }
    }
    *begun = true;
    if attempt.begun.is_none() {
        // The record just written is the first of this effort.
        attempt.begun = Attempt::read(&hold.records().await?, &phase.id, direction).begun;
    }
    fill::reset_session(hold).await?;

    let rows = match (&phase.detail, direction) {
        (PhaseDetail::Expand(run) | PhaseDetail::Contract(run), Direction::Forward) => {
            let job = Job {
                phase: &phase.id,
                direction,
                script: &run.migration.up,
                source: &run.migration.up_source,
                lenient: false,
                strict: phase.kind() == PhaseKind::Contract,
                patience: hold.locks.patience(hold.patience, run.locks),
                standoff: &Standoff::default(),
            };
            if let Some(judgement) = scripted(hold, phase, &job, &mut attempt, &mut clearance).await? {
                return Ok(Outcome::Closed(judgement));
            }
            None
        }
        (PhaseDetail::Expand(run) | PhaseDetail::Contract(run), Direction::Reverse) => {
            if let Some(judgement) = undo(hold, phase, run, &mut attempt, &mut clearance).await? {
                return Ok(Outcome::Closed(judgement));
            }
            match &run.restore {
                Some(spec) => Some(filled(hold, phase, spec, "restore", &attempt).await?),
                None => None,
            }
        }
        (PhaseDetail::Backfill(spec), Direction::Forward) => {
            Some(filled(hold, phase, spec, "backfill", &attempt).await?)
        }
        // The data goes with the column that the phases above added.
        (PhaseDetail::Backfill(_), Direction::Reverse) => {
            for activity in ["backfill", "refill"] {
                fill::forget(hold, &phase.id, activity).await?;
            }
            None
        }
        // A person's work is undone by a person.
        (PhaseDetail::Manual { .. } | PhaseDetail::Code(_), _) => None,
    };

    let duration = hold
        .now()
        .duration_since(first_start)
        .max(jiff::SignedDuration::ZERO);
    let duration = Duration::try_from(duration).unwrap_or_default();
    reach(Failpoint::PhaseFinishing).await;
    hold.append(&[Record::PhaseFinished {
        phase: phase.id.clone(),
        direction,
        rows,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
    }])
    .await?;
    reach(Failpoint::PhaseFinished).await;
    hold.tell(Event::PhaseFinished {
        phase: phase.id.clone(),
        direction,
        rows,
        duration,
    });
    Ok(Outcome::Done { rows })
}

/// Records that the phase starts, with the evidence it is started on; `false` if a deployment is under way that the
/// evidence does not know of.
async fn start(hold: &mut Hold<'_>, phase: &Phase, clearance: &FreshClearance) -> Result<bool, Problem> {
    let cleared = clearance.clearance();
    let started = Record::PhaseStarted {
        phase: phase.id.clone(),
        direction: cleared.direction(),
        digest: cleared.digest().clone(),
        observed_at: cleared.observed_at(),
        fleet: clearance.fleet().clone(),
        judgement: cleared.judgement().clone(),
    };
    let mut records: Vec<Record> = clearance.overridden().into_iter().cloned().collect();
    records.push(started);
    reach(Failpoint::PhaseStarting).await;
    if !hold
        .append_unless_leased(&records, clearance.clearance().observed_at(), |lease| {
            clearance.knows(lease)
        })
        .await?
    {
        return Ok(false);
    }
    reach(Failpoint::PhaseStarted).await;
    hold.tell(Event::PhaseStarted {
        phase: phase.id.clone(),
        direction: cleared.direction(),
    });
    Ok(true)
}

/// Runs a script to its end, looking again where the facts grow old; the reasons if the gate closes meanwhile.
async fn scripted(
    hold: &mut Hold<'_>,
    phase: &Phase,
    job: &Job<'_>,
    attempt: &mut Attempt,
    clearance: &mut FreshClearance,
) -> Result<Option<Judgement>, Problem> {
    loop {
        match script::run(hold, job, attempt, clearance).await? {
            Ended::Done => return Ok(None),
            Ended::NeedsLook => {}
        }
        let situation = hold.look().await?;
        match hold.decide(&phase.id, job.direction, &situation) {
            Decision::Refused(judgement) => return Ok(Some(judgement)),
            Decision::Cleared(cleared) => *clearance = admit(hold, phase, cleared, &situation)?,
        }
    }
}

/// Finishes detachments that stopped in the middle, before which nothing can be done about the partition: DOWN attaches it again.
async fn finish_detachments(hold: &Hold<'_>, phase: &Phase, up: &Script) -> Result<bool, Problem> {
    let mut finished = false;
    for statement in up.statements() {
        let Transactional::No(what @ CrashProbe::PartitionDetached { .. }) = &statement.transactional else {
            continue;
        };
        let waiting = |pid| {
            let note = format!("waiting for server process {pid}, which is still at it for an earlier run");
            hold.note(&phase.id, note);
        };
        let answer = settled(hold.work.client(), what, &statement.text, PREDECESSOR, waiting).await?;
        if let ProbeAnswer::Leftover(leftover) = answer {
            hold.note(&phase.id, format!("finishing {leftover} before it is undone"));
            remove_leftover(hold.work.client(), &leftover).await?;
            finished = true;
        }
    }
    Ok(finished)
}

/// Runs the DOWN side. What is done about a phase that was left half-done, [`script`] explains.
async fn undo(
    hold: &mut Hold<'_>,
    phase: &Phase,
    run: &MigrationPhase,
    attempt: &mut Attempt,
    clearance: &mut FreshClearance,
) -> Result<Option<Judgement>, Problem> {
    let detached = attempt.of_half_done && finish_detachments(hold, phase, &run.migration.up).await?;
    if attempt.of_half_done && !attempt.earlier_effect && !detached {
        hold.note(
            &phase.id,
            "no statement of it took effect, so there is nothing to undo",
        );
        return Ok(None);
    }
    if let Some(error) = attempt
        .earlier_error
        .as_deref()
        .filter(|error| met_a_namesake(error))
    {
        return Err(Problem::new(
            Exit::Failed,
            "undo-uncertain",
            format!("{} cannot be undone by itself", phase.id),
        )
        .because(format!(
            "it stopped half-way because something of that name existed before ({error}), and DOWN could take that away"
        ))
        .fix("remove the obstacle and finish the phase with `shipctl run`; then it can be undone"));
    }
    let (Some(script), Some(source)) = (&run.migration.down, &run.migration.down_source) else {
        return Err(no_way_back(phase));
    };
    let job = Job {
        phase: &phase.id,
        direction: Direction::Reverse,
        script,
        source,
        lenient: attempt.of_half_done,
        strict: false,
        patience: hold.locks.patience(hold.patience, run.locks),
        standoff: &Standoff::default(),
    };
    scripted(hold, phase, &job, attempt, clearance).await
}

/// A phase without a DOWN side.
pub(in crate::execute) fn no_way_back(phase: &Phase) -> Problem {
    Problem::new(
        Exit::Blocked,
        "no-way-back",
        format!("the migration of {} has no DOWN side", phase.id),
    )
    .fix("write its DOWN section; it may be added as long as the phase has not begun")
}

/// Whether an error says that an object of the same name exists (SQLSTATE class 42, "duplicate …").
fn met_a_namesake(error: &str) -> bool {
    ["42P07", "42701", "42710", "42P06", "42723"]
        .iter()
        .any(|state| error.contains(&format!("SQLSTATE {state}")))
}

async fn filled(
    hold: &mut Hold<'_>,
    phase: &Phase,
    spec: &BackfillPhase,
    activity: &'static str,
    attempt: &Attempt,
) -> Result<u64, Problem> {
    let fill = Fill {
        phase: &phase.id,
        spec,
        activity,
        effort: format!("from {}", attempt.begun.unwrap_or_default()),
        watch: activity == "backfill",
        must_be_clean: activity == "backfill",
    };
    fill::until_clean(hold, &fill).await
}
