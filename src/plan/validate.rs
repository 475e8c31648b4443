//! From what is written to a plan: the phases seen together, and every contradiction among them reported.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::graph::Needs;
use super::raw::{RawCode, RawDetail, RawPhase, RawPlan};
use super::shape::{abandons, shape_of};
use super::{CodePhase, MigrationPhase, Phase, PhaseDetail, Plan, SyncMode};
use crate::domain::{Exit, PhaseId, Problem, ServiceName, did_you_mean};
use crate::project::document::{Document, sort_by_place};
use crate::project::reader::Placed;
use crate::safety::proof::same_table;
use crate::safety::{PhaseKind, PlanShape, Services};
use crate::sql;

/// What a plan is checked against.
pub(super) struct Surroundings<'a> {
    /// The folder of the migrations.
    pub(super) migrations: &'a Path,
    /// Every service of the project; `None` if it is not known which there are.
    pub(super) services: Option<&'a BTreeSet<ServiceName>>,
}

/// Builds the plan; problems go to `document`. `None` only if there are any.
pub(super) fn build(
    raw: RawPlan,
    path: PathBuf,
    document: &Document,
    around: &Surroundings<'_>,
) -> Option<Plan> {
    let mut warnings = Vec::new();
    let places = places_of_ids(&raw.phases, document);
    if raw.phases.is_empty() {
        document.report(
            Problem::new(Exit::Usage, "no-phases", "the plan has no phases")
                .fix("add [[phase]] tables, or let `shipctl plan rename TABLE.COLUMN NEW` write a plan"),
        );
    }
    let needs = needs_of(&raw.phases, &places, document);
    let acyclic = report_cycles(&raw.phases, &needs, document);
    if acyclic {
        check_order(&raw.phases, &needs, document, &mut warnings);
    }
    check_migrations_used_once(&raw.phases, document);
    check_services(&raw.phases, document, around);
    remark_shared_commits(&raw.phases, document, &mut warnings);

    let phases: Vec<Option<Phase>> = raw
        .phases
        .into_iter()
        .map(|phase| finish_phase(phase, document, around, &mut warnings))
        .collect();
    let phases: Vec<Phase> = phases.into_iter().collect::<Option<_>>()?;
    if acyclic {
        check_triggers(&phases, &needs, document);
    }
    let id = raw.id?;
    if document.has_problems() {
        return None;
    }

    let shapes = phases
        .iter()
        .enumerate()
        .map(|(at, phase)| shape_of(phase, abandons(at, &phases, &needs)))
        .collect();
    // Everything that could make this fail was reported above, so that this is never reached in practice.
    let shape = match PlanShape::new(id.value.clone(), shapes) {
        Ok(shape) => shape,
        Err(error) => {
            document.mistake(
                "invalid-graph",
                error.to_string(),
                id.span,
                "in this plan",
                "correct `needs`",
            );
            return None;
        }
    };
    let mut by_id: BTreeMap<PhaseId, Phase> = phases
        .into_iter()
        .map(|phase| (phase.id.clone(), phase))
        .collect();
    let phases = shape.phases().filter_map(|one| by_id.remove(&one.id)).collect();
    sort_by_place(&mut warnings);
    let title = if raw.title.is_empty() {
        id.value.to_string()
    } else {
        raw.title
    };
    Some(Plan {
        id: id.value,
        title,
        operation: raw.operation,
        phases,
        shape,
        path,
        source: document.source().clone(),
        warnings,
    })
}

/// The first phase with each id; a second one is reported.
fn places_of_ids(phases: &[RawPhase], document: &Document) -> BTreeMap<PhaseId, usize> {
    let mut places: BTreeMap<PhaseId, usize> = BTreeMap::new();
    for (at, phase) in phases.iter().enumerate() {
        let Some(id) = &phase.id else { continue };
        match places.get(&id.value).and_then(|first| phases[*first].id.as_ref()) {
            Some(first) => document.report(
                Problem::new(
                    Exit::Usage,
                    "duplicate-phase",
                    format!("two phases have the id `{}`", id.value),
                )
                .at(document.source(), id.span.clone(), "used again here")
                .at(document.source(), first.span.clone(), "first used here")
                .fix("give one of them another id"),
            ),
            None => {
                places.insert(id.value.clone(), at);
            }
        }
    }
    places
}

/// The graph of those needs that make sense; the others are reported.
fn needs_of(phases: &[RawPhase], places: &BTreeMap<PhaseId, usize>, document: &Document) -> Needs {
    let known: Vec<&str> = places.keys().map(PhaseId::as_str).collect();
    let mut edges = Vec::new();
    for (at, phase) in phases.iter().enumerate() {
        let name = name_of(phase);
        for need in &phase.needs {
            match places.get(&need.value) {
                _ if phase.id.as_ref().is_some_and(|id| id.value == need.value) => document.mistake(
                    "needs-itself",
                    format!("{name} needs itself"),
                    need.span.clone(),
                    "this is the phase's own id",
                    "take it out of `needs`",
                ),
                Some(needed) => edges.push((*needed, at)),
                None => document.mistake(
                    "unknown-phase",
                    format!("{name} needs `{}`, which does not exist", need.value),
                    need.span.clone(),
                    "no phase has this id",
                    did_you_mean(need.value.as_str(), &known),
                ),
            }
        }
    }
    Needs::new(phases.len(), edges)
}

/// Reports circles, and says whether there are none.
fn report_cycles(phases: &[RawPhase], needs: &Needs, document: &Document) -> bool {
    let cycles = needs.cycles();
    for circle in &cycles {
        let id = |at: usize| phases[at].id.as_ref().map_or("?", |id| id.value.as_str());
        let steps: Vec<&str> = circle.iter().chain(circle.first()).map(|at| id(*at)).collect();
        let mut problem = Problem::new(
            Exit::Usage,
            "cycle",
            format!("these phases need one another: {}", steps.join(" → ")),
        )
        .because("none of them could ever be the first to run")
        .fix("take one of these needs out");
        for pair in circle.iter().zip(circle.iter().cycle().skip(1)) {
            let place = phases[*pair.0]
                .needs
                .iter()
                .find(|need| need.value.as_str() == id(*pair.1));
            if let Some(need) = place {
                let label = format!("{} needs {}", id(*pair.0), id(*pair.1));
                problem = problem.at(document.source(), need.span.clone(), label);
            }
        }
        document.report(problem);
    }
    cycles.is_empty()
}

/// What must stand above what.
fn check_order(phases: &[RawPhase], needs: &Needs, document: &Document, warnings: &mut Vec<Problem>) {
    for (at, phase) in phases.iter().enumerate() {
        let Some(kind) = &phase.kind else { continue };
        let code_above = needs
            .above(at)
            .into_iter()
            .any(|above| kind_of(&phases[above]) == Some(PhaseKind::Code));
        if code_above {
            continue;
        }
        match kind.value {
            PhaseKind::Contract if phase.gate.approvals == 0 => document.report(
                Problem::new(
                    Exit::Usage,
                    "ungated-contract",
                    format!("{} takes something away, but nothing gates it", name_of(phase)),
                )
                .because("no code phase stands above it, so nothing proves that the code which needs it is gone")
                .at(document.source(), kind.span.clone(), "a contract phase")
                .fix("let it need the code phase that stops using it, or add `gate = { approvals = 1 }`"),
            ),
            PhaseKind::Backfill if !is_synced_by_trigger(phase) => warnings.push(
                Problem::warning(
                    "backfill-without-writer",
                    format!("no code phase stands above {}", name_of(phase)),
                )
                .because("rows written after the backfill has passed keep the old state, unless a trigger fills them")
                .at(document.source(), kind.span.clone(), "a backfill")
                .fix(
                    "let it need the code phase that writes both sides, or the phase that creates the trigger, with \
                     `synced_by = \"trigger\"`",
                ),
            ),
            _ => {}
        }
    }
}

fn is_synced_by_trigger(phase: &RawPhase) -> bool {
    matches!(&phase.detail, Some(RawDetail::Backfill(fill)) if fill.synced_by == SyncMode::Trigger)
}

/// A backfill that counts on a trigger has one: a migration above it creates a trigger on its table.
fn check_triggers(phases: &[Phase], needs: &Needs, document: &Document) {
    for (at, phase) in phases.iter().enumerate() {
        let fill = match &phase.detail {
            PhaseDetail::Backfill(fill) if fill.synced_by == SyncMode::Trigger => fill,
            _ => continue,
        };
        let has_trigger = needs
            .above(at)
            .into_iter()
            .any(|above| match &phases[above].detail {
                PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => {
                    run.migration.up.statements().any(|statement| {
                        sql::effect(&statement.text)
                            .creates_trigger_on
                            .is_some_and(|table| same_table(&table, &fill.table))
                    })
                }
                _ => false,
            });
        if !has_trigger {
            document.report(
                Problem::new(
                    Exit::Usage,
                    "no-trigger",
                    format!(
                        "no phase above `{}` creates a trigger on {}",
                        phase.id, fill.table
                    ),
                )
                .because(
                    "`synced_by = \"trigger\"` says that a trigger fills the rows that are written meanwhile",
                )
                .at(document.source(), phase.span.clone(), "counts on a trigger")
                .fix("let it need the phase whose migration creates the trigger"),
            );
        }
    }
}

fn check_migrations_used_once(phases: &[RawPhase], document: &Document) {
    let mut used: BTreeMap<&str, &Placed<String>> = BTreeMap::new();
    for phase in phases {
        let Some(RawDetail::Migration { migration, .. }) = &phase.detail else {
            continue;
        };
        if let Some(first) = used.insert(&migration.value, migration) {
            document.report(
                Problem::new(
                    Exit::Usage,
                    "migration-used-twice",
                    format!("two phases run the migration `{}`", migration.value),
                )
                .at(document.source(), migration.span.clone(), "again here")
                .at(document.source(), first.span.clone(), "first here")
                .fix("give each phase a migration of its own"),
            );
        }
    }
}

fn check_services(phases: &[RawPhase], document: &Document, around: &Surroundings<'_>) {
    let Some(declared) = around.services else {
        return;
    };
    let known: Vec<&str> = declared.iter().map(ServiceName::as_str).collect();
    let unknown = |service: &ServiceName, span: &std::ops::Range<usize>| {
        if !declared.contains(service) {
            document.mistake(
                "unknown-service",
                format!("no environment declares a service `{service}`"),
                span.clone(),
                "not declared in shipctl.toml",
                did_you_mean(service.as_str(), &known),
            );
        }
    };
    for phase in phases {
        if let Some(RawDetail::Code(code)) = &phase.detail {
            for service in code.services.iter().flatten() {
                unknown(&service.value, &service.span);
            }
            for commit in &code.commits {
                if let Some(service) = &commit.service {
                    unknown(service, &commit.span);
                }
            }
        }
    }
}

fn remark_shared_commits(phases: &[RawPhase], document: &Document, warnings: &mut Vec<Problem>) {
    let mut seen = BTreeMap::new();
    for phase in phases {
        let Some(RawDetail::Code(code)) = &phase.detail else {
            continue;
        };
        for commit in &code.commits {
            let key = (commit.service.clone(), commit.revision.clone());
            if let Some((first, place)) = seen.insert(key, (name_of(phase), commit.span.clone())) {
                warnings.push(
                    Problem::warning(
                        "same-commit",
                        format!("{} and {first} name the same commit", name_of(phase)),
                    )
                    .because("what lies between two code phases cannot run while both are deployed at once")
                    .at(document.source(), commit.span.clone(), "the same revision")
                    .at(document.source(), place, "as here")
                    .fix("link each code phase to its own commit"),
                );
            }
        }
    }
}

/// The phase with its migration read; `None` if something of it is missing, which was reported.
fn finish_phase(
    raw: RawPhase,
    document: &Document,
    around: &Surroundings<'_>,
    warnings: &mut Vec<Problem>,
) -> Option<Phase> {
    let name = name_of(&raw);
    let detail = match raw.detail? {
        RawDetail::Migration {
            migration,
            restore,
            locks,
        } => {
            let found = find_migration(&name, &migration, document, around, warnings)?;
            remark_scans_under_locks(&found, warnings);
            let phase = MigrationPhase {
                migration: found,
                restore,
                locks,
            };
            match raw.kind.as_ref().map(|kind| kind.value) {
                Some(PhaseKind::Contract) => PhaseDetail::Contract(phase),
                _ => PhaseDetail::Expand(phase),
            }
        }
        RawDetail::Backfill(fill) => PhaseDetail::Backfill(fill),
        RawDetail::Code(code) => PhaseDetail::Code(finish_code(code)),
        RawDetail::Manual { instructions } => PhaseDetail::Manual { instructions },
    };
    let starts = raw.needs.iter().map(|need| need.span.start).min();
    let needs_span = starts.zip(raw.needs.iter().map(|need| need.span.end).max());
    let mut needs: Vec<PhaseId> = Vec::new();
    for need in raw.needs {
        if !needs.contains(&need.value) {
            needs.push(need.value);
        }
    }
    Some(Phase {
        id: raw.id?.value,
        title: raw.title,
        needs,
        gate: raw.gate,
        detail,
        span: raw.span,
        needs_span: needs_span.map(|(start, end)| start..end),
    })
}

fn finish_code(code: RawCode) -> CodePhase {
    CodePhase {
        services: code.services.map_or(Services::All, |names| {
            Services::Only(names.into_iter().map(|name| name.value).collect())
        }),
        reads: code.reads,
        writes: code.writes,
        commits: code.commits,
        accepts: code.accepts,
        content: code.content,
        restore: code.restore,
    }
}

fn find_migration(
    phase: &str,
    wanted: &Placed<String>,
    document: &Document,
    around: &Surroundings<'_>,
    warnings: &mut Vec<Problem>,
) -> Option<sql::MigrationFile> {
    match sql::find(around.migrations, &wanted.value) {
        Ok(Some(migration)) => {
            if migration.down.is_none() {
                warnings.push(
                    Problem::warning(
                        "no-way-back",
                        format!("the migration of {phase} has no DOWN side"),
                    )
                    .because("the phase cannot be undone once it has run")
                    .at(document.source(), wanted.span.clone(), "this migration")
                    .fix("add a `-- DOWN` section"),
                );
            }
            Some(migration)
        }
        Ok(None) => {
            let names = sql::names(around.migrations).unwrap_or_default();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let near = crate::domain::nearest(&wanted.value, names);
            let fix = if near.is_empty() {
                format!("create it: `shipctl migrate new {}`", wanted.value)
            } else {
                did_you_mean(&wanted.value, &near)
            };
            document.mistake(
                "missing-migration",
                format!("the migration of {phase} does not exist"),
                wanted.span.clone(),
                format!("not found in {}", around.migrations.display()),
                fix,
            );
            None
        }
        Err(problem) => {
            document.report(problem);
            None
        }
    }
}

/// Brackets in which a table is scanned while everybody waits for a lock that was taken before.
fn remark_scans_under_locks(migration: &sql::MigrationFile, warnings: &mut Vec<Problem>) {
    let up = Some((&migration.up, &migration.up_source));
    let down = migration.down.as_ref().zip(migration.down_source.as_ref());
    for (script, source) in up.into_iter().chain(down) {
        for (locks, scans) in script.steps.iter().filter_map(sql::Step::scan_under_lock) {
            let span = |statement: &sql::Statement| statement.offset..statement.offset + statement.text.len();
            warnings.push(
                Problem::warning(
                    "scan-under-lock",
                    format!("{}:{}: this takes long while clients wait for a lock", source.name(), scans.line),
                )
                .because(
                    "a lock is kept until the transaction ends, so that whoever needs the table waits for the whole scan",
                )
                .at(source, span(scans), "goes through the table")
                .at(source, span(locks), "locks it, for the rest of the transaction")
                .fix("move the long statement behind COMMIT, so that it runs by itself"),
            );
        }
    }
}

fn kind_of(phase: &RawPhase) -> Option<PhaseKind> {
    phase.kind.as_ref().map(|kind| kind.value)
}

fn name_of(phase: &RawPhase) -> String {
    phase
        .id
        .as_ref()
        .map_or_else(|| "a phase".to_owned(), |id| format!("phase `{}`", id.value))
}
