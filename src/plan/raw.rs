//! A plan file as it is written: every key read and checked by itself, before the phases are seen together.

use std::collections::BTreeSet;
use std::ops::Range;

use super::probe::read_probes;
use super::raw_operation;
use super::{BackfillPhase, Claim, ColumnAssignment, Commit, ContentProbe, Operation, PhaseLocks, SyncMode};
use crate::domain::{ColumnName, PhaseId, PlanId, ServiceName, SqlIdentifier, TableName, did_you_mean};
use crate::project::reader::{Placed, StringOrTable, Table};
use crate::safety::{Gate, PhaseKind};
use crate::sql;

const KINDS: [PhaseKind; 5] = [
    PhaseKind::Expand,
    PhaseKind::Backfill,
    PhaseKind::Contract,
    PhaseKind::Code,
    PhaseKind::Manual,
];

/// The key under which a `commit` table holds the project's own repository.
pub(super) const OWN_REPOSITORY: &str = ".";

/// The file.
pub(super) struct RawPlan {
    pub(super) id: Option<Placed<PlanId>>,
    pub(super) title: String,
    pub(super) operation: Option<Operation>,
    pub(super) phases: Vec<RawPhase>,
}

/// One phase; what could not be read is missing, and was reported.
pub(super) struct RawPhase {
    pub(super) span: Range<usize>,
    pub(super) id: Option<Placed<PhaseId>>,
    pub(super) title: String,
    pub(super) needs: Vec<Placed<PhaseId>>,
    pub(super) gate: Gate,
    pub(super) kind: Option<Placed<PhaseKind>>,
    pub(super) detail: Option<RawDetail>,
}

/// What is particular to its kind.
pub(super) enum RawDetail {
    Migration {
        migration: Placed<String>,
        restore: Option<BackfillPhase>,
        locks: PhaseLocks,
    },
    Backfill(BackfillPhase),
    Code(RawCode),
    Manual {
        instructions: String,
    },
}

/// The keys of a code phase.
pub(super) struct RawCode {
    pub(super) services: Option<Vec<Placed<ServiceName>>>,
    pub(super) reads: Option<Vec<ColumnName>>,
    pub(super) writes: Option<Vec<ColumnName>>,
    pub(super) commits: Vec<Commit>,
    pub(super) accepts: Vec<Claim>,
    pub(super) content: Vec<ContentProbe>,
    pub(super) restore: Option<BackfillPhase>,
}

/// Reads the whole file.
pub(super) fn read_plan(file: Table<'_, '_>) -> RawPlan {
    let id = file
        .required_string("id", "id = \"rename-users-name\"")
        .and_then(|id| file.parse_text::<PlanId>("id", &id));
    let title = file.string("title").map(|title| title.value).unwrap_or_default();
    let operation = file.table("operation").and_then(raw_operation::read);
    let phases: Vec<RawPhase> = file
        .tables("phase")
        .unwrap_or_default()
        .into_iter()
        .map(read_phase)
        .collect();
    if phases.is_empty() && !file.has("phase") {
        file.missing("phase", "[[phase]]");
    }
    file.finish();
    RawPlan {
        id,
        title,
        operation,
        phases,
    }
}

/// What keeps columns in step, under this key; the code unless it says otherwise.
pub(super) fn read_sync(table: &Table<'_, '_>, key: &'static str) -> SyncMode {
    const MODES: [SyncMode; 2] = [SyncMode::Code, SyncMode::Trigger];
    let Some(word) = table.string(key) else {
        return SyncMode::default();
    };
    let found = MODES.into_iter().find(|mode| mode.as_str() == word.value);
    if found.is_none() {
        table.invalid(
            key,
            word.span,
            "either the code or a trigger keeps columns in step",
            did_you_mean(&word.value, &MODES.map(SyncMode::as_str)),
        );
    }
    found.unwrap_or_default()
}

fn read_phase(mut table: Table<'_, '_>) -> RawPhase {
    let id = table.required_string("id", "id = \"add\"");
    if let Some(id) = &id {
        table.call(format!("phase `{}`", id.value));
    }
    let id = id.and_then(|id| table.parse_text::<PhaseId>("id", &id));
    let title = table.string("title").map(|title| title.value).unwrap_or_default();
    let needs = table.parsed_list::<PhaseId>("needs").unwrap_or_default();
    let gate = table.table("gate").map(read_gate).unwrap_or_default();
    let kind = read_kind(&table);
    let detail = match &kind {
        Some(kind) => {
            refuse_keys_of_other_kinds(&table, kind.value);
            read_detail(&table, kind.value)
        }
        None => {
            // Without a kind nobody can say which keys belong here, except those of no kind at all.
            for (key, _, _) in KEYS_OF_KINDS {
                table.accept(key);
            }
            None
        }
    };
    let span = table.span();
    table.finish();
    RawPhase {
        span,
        id,
        title,
        needs,
        gate,
        kind,
        detail,
    }
}

fn read_kind(table: &Table<'_, '_>) -> Option<Placed<PhaseKind>> {
    let word = table.required_string("kind", "kind = \"expand\"")?;
    let found = KINDS.into_iter().find(|kind| kind.as_str() == word.value);
    if found.is_none() {
        table.invalid(
            "kind",
            word.span.clone(),
            "no such kind of phase",
            did_you_mean(&word.value, &KINDS.map(PhaseKind::as_str)),
        );
    }
    Some(Placed {
        value: found?,
        span: word.span,
    })
}

/// Keys that only some kinds have, with those kinds and what the key says.
const KEYS_OF_KINDS: [(&str, &[PhaseKind], &str); 16] = {
    use PhaseKind::{Backfill, Code, Contract, Expand, Manual};
    [
        ("migration", &[Expand, Contract], "which migration runs"),
        (
            "lock_timeout",
            &[Expand, Contract],
            "how long a statement waits for its lock at a time",
        ),
        (
            "lock_attempts",
            &[Expand, Contract],
            "how often a statement is tried whose lock is not free",
        ),
        ("table", &[Backfill], "which table is filled"),
        ("set", &[Backfill], "what is set"),
        ("verify", &[Backfill], "which rows need nothing"),
        (
            "synced_by",
            &[Backfill],
            "what keeps rows in step that are written meanwhile",
        ),
        ("restore", &[Code, Contract], "what undoing it has to fill"),
        ("commit", &[Code], "which commit satisfies it"),
        ("services", &[Code], "which services it concerns"),
        ("reads", &[Code], "which columns the code reads"),
        ("writes", &[Code], "which columns the code writes"),
        ("accept", &[Code], "which claims of commits count"),
        ("content", &[Code], "what the tree must hold"),
        (
            "probe",
            &[Code],
            "what the tree must hold, by a regular expression",
        ),
        ("instructions", &[Manual], "what the person is to do"),
    ]
};

fn refuse_keys_of_other_kinds(table: &Table<'_, '_>, kind: PhaseKind) {
    for (key, kinds, says) in KEYS_OF_KINDS {
        if !kinds.contains(&kind) {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            table.out_of_place(
                key,
                &format!("a phase of kind `{}` has no such key", kind.as_str()),
                &format!("`{key}` says {says}, in phases of kind {}", names.join(" or ")),
            );
        }
    }
}

fn read_gate(mut table: Table<'_, '_>) -> Gate {
    let what = table.what().replace("`gate` of", "the gate of");
    table.call(what);
    let gate = Gate {
        approvals: table.number("approvals", 0).map_or(0, |number| number.value),
        soak: table.duration("soak"),
    };
    table.finish();
    gate
}

fn read_detail(table: &Table<'_, '_>, kind: PhaseKind) -> Option<RawDetail> {
    match kind {
        PhaseKind::Expand | PhaseKind::Contract => {
            let restore = match kind {
                PhaseKind::Contract => table.table("restore").and_then(|inner| read_fill(&inner, true)),
                _ => None,
            };
            let locks = read_locks(table);
            let migration =
                table.required_string("migration", "migration = \"20261122_101500_add_column\"")?;
            let name = migration.value.strip_suffix(".sql").unwrap_or(&migration.value);
            if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
                table.invalid(
                    "migration",
                    migration.span,
                    "the name of a migration in the migrations folder is needed",
                    "write its name without folder",
                );
                return None;
            }
            Some(RawDetail::Migration {
                migration: Placed {
                    value: name.to_owned(),
                    span: migration.span,
                },
                restore,
                locks,
            })
        }
        PhaseKind::Backfill => {
            let synced_by = read_sync(table, "synced_by");
            read_fill(table, false).map(|fill| RawDetail::Backfill(BackfillPhase { synced_by, ..fill }))
        }
        PhaseKind::Code => Some(RawDetail::Code(read_code(table))),
        PhaseKind::Manual => {
            let instructions =
                table.required_string("instructions", "instructions = \"tell the analysts\"")?;
            Some(RawDetail::Manual {
                instructions: instructions.value,
            })
        }
    }
}

/// Reads how patient a phase is with locks.
fn read_locks(table: &Table<'_, '_>) -> PhaseLocks {
    let timeout = table.string("lock_timeout");
    PhaseLocks {
        timeout: timeout
            .and_then(|text| table.parse_text("lock_timeout", &text))
            .map(|timeout| timeout.value),
        attempts: table.number("lock_attempts", 1).map(|number| number.value),
    }
}

/// Reads `table`, `set` and `verify`; `whole` if the table holds nothing else.
fn read_fill(table: &Table<'_, '_>, whole: bool) -> Option<BackfillPhase> {
    let on = table
        .required_string("table", "table = \"users\"")
        .and_then(|text| table.parse_text::<TableName>("table", &text));
    if !table.has("set") {
        table.missing("set", "set = { display_name = \"name\" }");
    }
    let set = table.table("set").map(|inner| read_assignments(&inner));
    let verify = table.string("verify");
    if let Some(verify) = &verify {
        check_expression(table, "verify", verify);
    }
    if whole {
        table.finish();
    }
    let set = set?;
    let verify = verify.map_or_else(|| every_row_is_set(&set), |text| text.value);
    Some(BackfillPhase {
        table: on?.value,
        set,
        verify,
        synced_by: SyncMode::default(),
    })
}

fn read_assignments(table: &Table<'_, '_>) -> Vec<ColumnAssignment> {
    let mut set: Vec<ColumnAssignment> = Vec::new();
    for (column, expression) in table.named_strings() {
        check_expression(table, &column.value, &expression);
        let Some(name) = table.parse_text::<SqlIdentifier>("set", &column) else {
            continue;
        };
        if set.iter().any(|other| other.column == name.value) {
            table.invalid(
                &column.value,
                column.span,
                "this column is set already",
                "set each column once; names fold to lower case unless they are quoted",
            );
            continue;
        }
        set.push(ColumnAssignment {
            column: name.value,
            expression: expression.value,
        });
    }
    if set.is_empty() {
        table.document().mistake(
            "invalid-value",
            format!("{} sets nothing", table.what()),
            table.span(),
            "no column is set",
            "write `set = { column = \"expression\" }`",
        );
    }
    set
}

fn check_expression(table: &Table<'_, '_>, key: &str, text: &Placed<String>) {
    if let Err(why) = sql::check_expression(&text.value) {
        table.document().mistake(
            "not-an-expression",
            format!("`{key}` of {} is not exactly one SQL expression", table.what()),
            text.span.clone(),
            why,
            "write one expression, such as \"lower(name)\"; put a query in parentheses",
        );
    }
}

/// What `verify` means where it is not given: every column has its value already.
fn every_row_is_set(set: &[ColumnAssignment]) -> String {
    let holds = |one: &ColumnAssignment| {
        // A comment at the end of the expression must not swallow the parenthesis.
        let end = if one.expression.contains("--") { "\n" } else { "" };
        format!(
            "{} IS NOT DISTINCT FROM ({}{end})",
            one.column.quoted(),
            one.expression
        )
    };
    match set {
        [only] => holds(only),
        _ => set
            .iter()
            .map(|one| format!("({})", holds(one)))
            .collect::<Vec<_>>()
            .join(" AND "),
    }
}

fn read_code(table: &Table<'_, '_>) -> RawCode {
    let services = table.parsed_list::<ServiceName>("services");
    if services.as_ref().is_some_and(Vec::is_empty) && table.is_empty_list("services") {
        table.invalid(
            "services",
            table.place_of("services"),
            "a code phase that concerns no service would always be satisfied",
            "name the services, or leave the key out for all of them",
        );
    }
    let columns = |key| {
        table.parsed_list::<ColumnName>(key).map(|names| {
            let mut seen = BTreeSet::new();
            names
                .into_iter()
                .map(|name| name.value)
                .filter(|name| seen.insert(name.clone()))
                .collect()
        })
    };
    let (reads, writes) = (columns("reads"), columns("writes"));
    RawCode {
        services,
        reads,
        writes,
        commits: read_commits(table),
        accepts: read_accepted(table),
        content: read_probes(table),
        restore: table.table("restore").and_then(|inner| read_fill(&inner, true)),
    }
}

fn read_commits(table: &Table<'_, '_>) -> Vec<Commit> {
    let written = match table.string_or_table("commit") {
        None => return Vec::new(),
        Some(StringOrTable::String(revision)) => vec![(None, revision)],
        Some(StringOrTable::Table(by_service)) => by_service
            .named_strings()
            .into_iter()
            .filter_map(|(name, revision)| {
                if name.value == OWN_REPOSITORY {
                    return Some((None, revision));
                }
                let service = by_service.parse_text::<ServiceName>("commit", &name)?;
                Some((Some(service.value), revision))
            })
            .collect(),
    };
    written
        .into_iter()
        .filter_map(|(service, revision)| {
            if revision.value.trim().is_empty() {
                table.invalid(
                    "commit",
                    revision.span,
                    "no revision is given",
                    "write a commit, or leave the key out: the phase is then found by its Ship-Phase trailer",
                );
                return None;
            }
            Some(Commit {
                service,
                revision: revision.value,
                span: revision.span,
            })
        })
        .collect()
}

/// The claims of commits that count as proof.
fn read_accepted(table: &Table<'_, '_>) -> Vec<Claim> {
    const CLAIMS: [Claim; 1] = [Claim::Message];
    let mut accepted = Vec::new();
    for word in table.strings("accept").unwrap_or_default() {
        match CLAIMS.into_iter().find(|claim| claim.as_str() == word.value) {
            Some(claim) => accepted.push(claim),
            None => table.invalid(
                "accept",
                word.span,
                "no such claim",
                did_you_mean(&word.value, &CLAIMS.map(Claim::as_str)),
            ),
        }
    }
    accepted
}
