//! The boxes, and the evidence by which they are ticked.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Checklist, Item, PhaseData, PlanData};
use crate::domain::{Digest, EnvironmentName, PhaseId};
use crate::ledger::{Record, StoredRecord};
use crate::plan::{Phase, PhaseDetail, Plan};
use crate::report::graph;
use crate::report::planned::trailer;
use crate::safety::Direction;
use crate::sql::{Impact, LockMode, impacts};

/// What was run and undone in an environment, as its ledger tells: the last time for each phase and direction, if the
/// phase was then what it is now.
#[derive(Clone, Debug)]
pub struct Tests {
    environment: EnvironmentName,
    finished: BTreeMap<(PhaseId, bool), Timestamp>,
}

impl Tests {
    /// Reads a plan's records. A phase that was edited since it ran counts as never run.
    pub fn from_records(environment: &EnvironmentName, plan: &Plan, records: &[StoredRecord]) -> Self {
        let mut started: BTreeMap<(PhaseId, bool), Digest> = BTreeMap::new();
        let mut finished = BTreeMap::new();
        let key =
            |phase: &PhaseId, direction: &Direction| (phase.clone(), matches!(direction, Direction::Forward));
        for stored in records
            .iter()
            .filter(|stored| stored.plan.as_ref() == Some(plan.id()))
        {
            match &stored.record {
                Record::PhaseStarted {
                    phase,
                    direction,
                    digest,
                    ..
                } => {
                    started.insert(key(phase, direction), digest.clone());
                }
                Record::PhaseFinished { phase, direction, .. } => {
                    let key = key(phase, direction);
                    let now = plan.shape().phase(phase).map(|shape| &shape.digest);
                    if now.is_some() && now == started.get(&key) {
                        finished.insert(key, stored.at);
                    }
                }
                _ => {}
            }
        }
        Self {
            environment: environment.clone(),
            finished,
        }
    }
}

/// The checklist of one phase, or of the whole plan; `tests` is what a ledger tells, where one was asked.
pub fn checklist(plan: &Plan, phase: Option<&Phase>, tests: Option<&Tests>) -> Checklist {
    let scope: Vec<&Phase> = match phase {
        Some(phase) => vec![phase],
        None => plan.phases().iter().collect(),
    };
    let ids = |shapes: Vec<&PhaseId>| {
        shapes
            .into_iter()
            .filter_map(|id| plan.phase(id))
            .map(|phase| phase_data(plan, phase))
            .collect()
    };
    let shape = plan.shape();
    Checklist {
        plan: PlanData {
            id: plan.id().to_string(),
            title: plan.title().to_owned(),
            file: plan
                .path()
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
        },
        phase: phase.map(|phase| phase_data(plan, phase)),
        phases: plan
            .phases()
            .iter()
            .map(|phase| phase_data(plan, phase))
            .collect(),
        before: phase.map_or_else(Vec::new, |phase| {
            ids(shape.above(&phase.id).map(|shape| &shape.id).collect())
        }),
        after: phase.map_or_else(Vec::new, |phase| {
            ids(shape.below(&phase.id).map(|shape| &shape.id).collect())
        }),
        trailers: plan
            .phases()
            .iter()
            .filter(|phase| matches!(phase.detail, PhaseDetail::Code(_)))
            .map(|phase| trailer(plan, phase))
            .collect(),
        items: items(&scope, tests),
        mermaid: graph::mermaid(plan).trim_end().to_owned(),
        environment: tests.map(|tests| tests.environment.to_string()),
    }
}

fn phase_data(plan: &Plan, phase: &Phase) -> PhaseData {
    let columns = |columns: Option<&Vec<crate::domain::ColumnName>>| {
        columns.into_iter().flatten().map(ToString::to_string).collect()
    };
    let (migration, reads, writes) = match &phase.detail {
        PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => {
            (Some(run.migration.name.clone()), Vec::new(), Vec::new())
        }
        PhaseDetail::Code(code) => (None, columns(code.reads.as_ref()), columns(code.writes.as_ref())),
        PhaseDetail::Backfill(_) | PhaseDetail::Manual { .. } => (None, Vec::new(), Vec::new()),
    };
    PhaseData {
        id: phase.id.to_string(),
        kind: phase.kind().as_str().to_owned(),
        title: phase.title.clone(),
        migration,
        trailer: matches!(phase.detail, PhaseDetail::Code(_)).then(|| trailer(plan, phase)),
        reads,
        writes,
    }
}

/// One statement of a forward side, with what its text tells.
struct Line<'a> {
    file: &'a str,
    impact: Impact<'a>,
}

impl Line<'_> {
    fn place(&self) -> String {
        format!("`{}:{}`", self.file, self.impact.statement.line)
    }
}

fn items(scope: &[&Phase], tests: Option<&Tests>) -> Vec<Item> {
    let mut lines = Vec::new();
    for phase in scope {
        if let PhaseDetail::Expand(run) | PhaseDetail::Contract(run) = &phase.detail {
            let file = run.migration.up_source.name();
            lines.extend(impacts(&run.migration.up).into_iter().map(|impact| Line {
                file: file.rsplit('/').next().unwrap_or(file),
                impact,
            }));
        }
    }
    let mut items = vec![
        compatible(&lines),
        concurrent(&lines),
        batched(scope, &lines),
        tested(
            scope,
            tests,
            false,
            "rollback-tested",
            "Rollback script tested",
            "undone",
            "run it and roll it back where it does no harm",
        ),
        tested(
            scope,
            tests,
            true,
            "tested-on-data",
            "Migration tested on production-like data",
            "run",
            "run the phase in an environment whose data is like production's",
        ),
        locks(&lines),
    ];
    items.extend(scope.iter().filter_map(|phase| code(phase)));
    items
}

fn item(id: &'static str, text: &str, evidence: Vec<String>, todo: Option<String>) -> Item {
    Item {
        id,
        text: text.to_owned(),
        // No box without evidence.
        done: todo.is_none() && !evidence.is_empty(),
        evidence,
        todo,
    }
}

fn nothing_runs() -> Vec<String> {
    vec!["no migration runs here".to_owned()]
}

fn files(lines: &[Line<'_>]) -> String {
    let mut names: Vec<String> = lines.iter().map(|line| format!("`{}`", line.file)).collect();
    names.dedup();
    names.join(", ")
}

fn compatible(lines: &[Line<'_>]) -> Item {
    let (id, text) = ("backward-compatible", "Migration backward compatible");
    if lines.is_empty() {
        return item(id, text, nothing_runs(), None);
    }
    let taking: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            line.impact
                .effect
                .takes_away
                .map(|why| format!("{}: {} ({why})", line.place(), line.impact.statement.summary))
        })
        .collect();
    if taking.is_empty() {
        return item(
            id,
            text,
            vec![format!("{}: every statement only adds", files(lines))],
            None,
        );
    }
    let todo = "see that every version that can still run by then works without what these take away; \
                `shipctl run` waits until the versions that the plan names are gone";
    item(id, text, taking, Some(todo.to_owned()))
}

fn concurrent(lines: &[Line<'_>]) -> Item {
    let (id, text) = ("indexes-concurrent", "Indexes created concurrently");
    let built: Vec<&Line<'_>> = lines
        .iter()
        .filter(|line| line.impact.effect.builds_index.is_some())
        .collect();
    let blocking: Vec<String> = built
        .iter()
        .filter(|line| line.impact.effect.builds_index == Some(false))
        .map(|line| {
            format!(
                "{}: {} stops writers while it runs",
                line.place(),
                line.impact.statement.summary
            )
        })
        .collect();
    if !blocking.is_empty() {
        return item(
            id,
            text,
            blocking,
            Some("use CREATE INDEX CONCURRENTLY, unless the table is new and empty".to_owned()),
        );
    }
    let evidence = match (lines.is_empty(), built.is_empty()) {
        (true, _) => nothing_runs(),
        (false, true) => vec![format!("no index is created in {}", files(lines))],
        (false, false) => built
            .iter()
            .map(|line| format!("{}: {}", line.place(), line.impact.statement.summary))
            .collect(),
    };
    item(id, text, evidence, None)
}

fn batched(scope: &[&Phase], lines: &[Line<'_>]) -> Item {
    let (id, text) = ("data-batched", "Large data migrations batched");
    let changing: Vec<String> = lines
        .iter()
        .filter(|line| line.impact.effect.changes_rows)
        .map(|line| format!("{}: {}", line.place(), line.impact.statement.summary))
        .collect();
    if !changing.is_empty() {
        return item(
            id,
            text,
            changing,
            Some("move it into a backfill phase, or see that it touches few rows".to_owned()),
        );
    }
    let mut evidence: Vec<String> = scope
        .iter()
        .filter_map(|phase| match &phase.detail {
            PhaseDetail::Backfill(fill) => {
                Some(format!("phase `{}` fills {} in batches", phase.id, fill.table))
            }
            _ => None,
        })
        .collect();
    if !lines.is_empty() {
        evidence.push(format!("no statement of {} changes rows", files(lines)));
    }
    if evidence.is_empty() {
        evidence = nothing_runs();
    }
    item(id, text, evidence, None)
}

fn tested(
    scope: &[&Phase],
    tests: Option<&Tests>,
    forward: bool,
    id: &'static str,
    text: &str,
    done: &str,
    how: &str,
) -> Item {
    let phases: Vec<&&Phase> = scope.iter().filter(|phase| phase.kind().is_schema()).collect();
    if phases.is_empty() {
        return item(id, text, nothing_runs(), None);
    }
    let Some(tests) = tests else {
        return item(
            id,
            text,
            Vec::new(),
            Some(format!(
                "{how}, then make this list again with `--env` and that environment's name"
            )),
        );
    };
    let mut evidence = Vec::new();
    let mut missing = Vec::new();
    for phase in phases {
        match tests.finished.get(&(phase.id.clone(), forward)) {
            Some(at) => evidence.push(format!(
                "phase `{}` was {done} in `{}` on {}",
                phase.id,
                tests.environment,
                at.strftime("%Y-%m-%d %H:%M UTC")
            )),
            None => missing.push(format!("`{}`", phase.id)),
        }
    }
    let todo = (!missing.is_empty()).then(|| {
        format!(
            "{how}; not yet {done} in `{}` as it stands: {}",
            tests.environment,
            missing.join(", ")
        )
    });
    item(id, text, evidence, todo)
}

fn locks(lines: &[Line<'_>]) -> Item {
    let (id, text) = ("lock-time", "Estimated lock time acceptable");
    if lines.is_empty() {
        return item(id, text, nothing_runs(), None);
    }
    let mut evidence = Vec::new();
    for line in lines {
        let Some(strongest) = line.impact.strongest() else {
            continue;
        };
        if strongest.mode < LockMode::Share {
            continue;
        }
        let time = match (line.impact.stall(), line.impact.scan_saved) {
            (Some(_), _) => "while it goes through the table",
            (None, true) => "for a moment: the validated check saves the scan",
            (None, false) => "for a moment",
        };
        evidence.push(format!(
            "{}: {} takes {}, {time}",
            line.place(),
            line.impact.statement.summary,
            strongest.mode.as_str()
        ));
    }
    let unknown = lines
        .iter()
        .any(|line| line.impact.locks.is_empty() && line.impact.effect.takes_away.is_some());
    let todo = if lines.iter().any(|line| line.impact.stall().is_some()) {
        Some("these stop writers or readers for as long as they run: estimate how long that is".to_owned())
    } else if unknown {
        Some("not every statement's locks are known: look at them".to_owned())
    } else {
        None
    };
    if evidence.is_empty() && todo.is_none() {
        evidence.push(format!("{}: no lock that stops writers", files(lines)));
    }
    item(id, text, evidence, todo)
}

/// What the code of a code phase must do, for a person to confirm.
fn code(phase: &Phase) -> Option<Item> {
    let PhaseDetail::Code(code) = &phase.detail else {
        return None;
    };
    let named = |columns: &Option<Vec<crate::domain::ColumnName>>| {
        columns.as_ref().map(|columns| {
            columns
                .iter()
                .map(|column| format!("`{column}`"))
                .collect::<Vec<_>>()
                .join(", ")
        })
    };
    let mut evidence = Vec::new();
    evidence.extend(named(&code.reads).map(|columns| format!("reads {columns}")));
    evidence.extend(named(&code.writes).map(|columns| format!("writes {columns}")));
    Some(item(
        "code",
        &format!("Code of phase `{}` does what the plan says", phase.id),
        evidence,
        Some("see that it reads and writes these columns and no others of the plan".to_owned()),
    ))
}
