//! The validated plan. A `Plan` that exists is acyclic and complete.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Operation;
use crate::domain::{
    ColumnName, Digest, LockTimeout, PhaseId, PlanId, Problem, ServiceName, SourceText, SqlIdentifier,
    TableName,
};
use crate::safety::{Gate, PhaseKind, PlanShape, Services};
use crate::sql::MigrationFile;

/// A validated release plan.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(in crate::plan) id: PlanId,
    pub(in crate::plan) title: String,
    pub(in crate::plan) operation: Option<Operation>,
    pub(in crate::plan) phases: Vec<Phase>,
    pub(in crate::plan) shape: PlanShape,
    pub(in crate::plan) path: PathBuf,
    pub(in crate::plan) source: SourceText,
    pub(in crate::plan) warnings: Vec<Problem>,
}

impl Plan {
    /// Its id.
    pub fn id(&self) -> &PlanId {
        &self.id
    }

    /// Its title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What it does, where it was generated from an operation.
    pub fn operation(&self) -> Option<&Operation> {
        self.operation.as_ref()
    }

    /// The phases, each after all it needs; otherwise in file order.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// One phase.
    pub fn phase(&self, id: &PhaseId) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.id == *id)
    }

    /// The code phases, in order.
    pub fn code_phases(&self) -> impl Iterator<Item = (&Phase, &CodePhase)> {
        self.phases.iter().filter_map(|phase| match &phase.detail {
            PhaseDetail::Code(code) => Some((phase, code)),
            _ => None,
        })
    }

    /// The phases that need this one directly, in order.
    pub fn needed_by<'p>(&'p self, id: &'p PhaseId) -> impl Iterator<Item = &'p Phase> {
        self.phases.iter().filter(move |phase| phase.needs.contains(id))
    }

    /// Every table that the plan names: its operation, migrations, fills, and the columns that its code uses.
    pub fn tables(&self) -> BTreeSet<&TableName> {
        let mut tables: BTreeSet<&TableName> = self.operation.iter().filter_map(Operation::table).collect();
        for phase in &self.phases {
            let restore = match &phase.detail {
                PhaseDetail::Expand(migration) | PhaseDetail::Contract(migration) => {
                    let statements = migration
                        .migration
                        .up
                        .steps
                        .iter()
                        .flat_map(|step| &step.statements);
                    let locks = statements.flat_map(|statement| &statement.locks);
                    tables.extend(locks.filter_map(|lock| lock.table.as_ref()));
                    migration.restore.as_ref()
                }
                PhaseDetail::Backfill(fill) => Some(fill),
                PhaseDetail::Code(code) => {
                    let columns = code.reads.iter().chain(&code.writes).flatten();
                    tables.extend(columns.map(|column| &column.table));
                    code.restore.as_ref()
                }
                PhaseDetail::Manual { .. } => None,
            };
            tables.extend(restore.map(|fill| &fill.table));
        }
        tables
    }

    /// The phases in layers: each phase one layer below the lowest of those it needs.
    pub fn layers(&self) -> Vec<Vec<&Phase>> {
        let mut depth: BTreeMap<&PhaseId, usize> = BTreeMap::new();
        let mut layers: Vec<Vec<&Phase>> = Vec::new();
        for phase in &self.phases {
            let deepest = phase.needs.iter().filter_map(|need| depth.get(need)).max();
            let at = deepest.map_or(0, |layer| layer + 1);
            depth.insert(&phase.id, at);
            if layers.len() <= at {
                layers.push(Vec::new());
            }
            layers[at].push(phase);
        }
        layers
    }

    /// Remarks that stop nothing.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What the rules need of it.
    pub fn shape(&self) -> &PlanShape {
        &self.shape
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's text, for pointing into.
    pub fn source(&self) -> &SourceText {
        &self.source
    }

    /// The digest of the file's text.
    pub fn digest(&self) -> Digest {
        Digest::of(self.source.inner())
    }
}

/// What keeps two columns in step while both are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncMode {
    /// The application writes both.
    #[default]
    Code,
    /// A trigger copies what either side writes to the other.
    Trigger,
}

impl SyncMode {
    /// The word used in plan files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Trigger => "trigger",
        }
    }
}

/// One phase.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Its id.
    pub id: PhaseId,
    /// One line for people; empty if none was given.
    pub title: String,
    /// What it needs directly, in file order.
    pub needs: Vec<PhaseId>,
    /// Its gate.
    pub gate: Gate,
    /// What it does.
    pub detail: PhaseDetail,
    /// Where its table stands in the plan file, in bytes.
    pub span: std::ops::Range<usize>,
    /// Where the phases that it needs stand there, in bytes, from the first to the last.
    pub needs_span: Option<std::ops::Range<usize>>,
}

impl Phase {
    /// Its kind.
    pub fn kind(&self) -> PhaseKind {
        match &self.detail {
            PhaseDetail::Expand(_) => PhaseKind::Expand,
            PhaseDetail::Backfill(_) => PhaseKind::Backfill,
            PhaseDetail::Contract(_) => PhaseKind::Contract,
            PhaseDetail::Code(_) => PhaseKind::Code,
            PhaseDetail::Manual { .. } => PhaseKind::Manual,
        }
    }
}

/// What a phase does.
#[derive(Clone, Debug)]
pub enum PhaseDetail {
    /// Runs a migration that only adds.
    Expand(MigrationPhase),
    /// Fills data in batches.
    Backfill(BackfillPhase),
    /// Runs a migration that takes away.
    Contract(MigrationPhase),
    /// Waits for code.
    Code(CodePhase),
    /// Waits for a person.
    Manual {
        /// What the person is to do.
        instructions: String,
    },
}

/// A phase that runs a migration file.
#[derive(Clone, Debug)]
pub struct MigrationPhase {
    /// The migration, read and parsed.
    pub migration: MigrationFile,
    /// What fills the data when the phase is undone: run in batches after the DOWN side (key `restore`).
    pub restore: Option<BackfillPhase>,
    /// How patient its statements are with locks, where the plan says so.
    pub locks: PhaseLocks,
}

/// How patient the statements of a phase are with locks that others hold; what is left out is as everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseLocks {
    /// How long one that holds up others waits at a time (key `lock_timeout`).
    pub timeout: Option<LockTimeout>,
    /// How often each is tried (key `lock_attempts`); at least once.
    pub attempts: Option<u32>,
}

/// A batched fill: `UPDATE table SET … WHERE (verify) IS NOT TRUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillPhase {
    /// The table.
    pub table: TableName,
    /// What is set.
    pub set: Vec<ColumnAssignment>,
    /// A boolean SQL expression that is true for each row that needs nothing. Where the file gives none:
    /// `column IS NOT DISTINCT FROM (expression)` for each assignment.
    pub verify: String,
    /// What fills rows that are written after the fill has passed them: the code phases above, or a trigger that a
    /// phase above creates (key `synced_by`).
    pub synced_by: SyncMode,
}

/// One column and the SQL expression it is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnAssignment {
    /// The column.
    pub column: SqlIdentifier,
    /// The expression, checked to be exactly one.
    pub expression: String,
}

impl ColumnAssignment {
    /// The column is set to itself: nothing is filled, and `verify` only looks.
    pub fn is_idle(&self) -> bool {
        let column: Result<SqlIdentifier, _> = self.expression.parse();
        column.is_ok_and(|column| column == self.column)
    }
}

/// A phase that is satisfied by a commit being deployed.
#[derive(Clone, Debug)]
pub struct CodePhase {
    /// The services it concerns.
    pub services: Services,
    /// The columns that this code reads.
    pub reads: Option<Vec<ColumnName>>,
    /// The columns that this code writes.
    pub writes: Option<Vec<ColumnName>>,
    /// The commits: one for each repository; empty means found by the `Ship-Phase` trailer.
    pub commits: Vec<Commit>,
    /// Which claims of other commits to be that one count (key `accept`).
    pub accepts: Vec<Claim>,
    /// What must be present or absent in the tree (outranks ancestry; keys `content` and `probe`).
    pub content: Vec<ContentProbe>,
    /// What brings abandoned data up to date, so that older readers may come back (key `restore`).
    pub restore: Option<BackfillPhase>,
}

/// The commit of a code phase in one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The service whose repository it is in; `None` is the project's own repository.
    pub service: Option<ServiceName>,
    /// The revision as written.
    pub revision: String,
    /// Where it stands in the file.
    pub span: std::ops::Range<usize>,
}

/// What a commit may say of itself without its patch showing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Its message names the phase's commit as what it was made from, or bears the phase's trailer.
    Message,
}

impl Claim {
    /// The word used in plan files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
        }
    }
}

/// A pattern that must be present in or absent from a version's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentProbe {
    /// What is looked for.
    pub pattern: ContentPattern,
    /// Where: files, folders with all that is in them, or globs.
    pub paths: Vec<String>,
    /// Whether it must be there (true) or must not (false).
    pub present: bool,
}

/// What a content probe looks for in files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentPattern {
    /// A text as it stands.
    Text(String),
    /// A regular expression, checked to be one; `^` and `$` match at every line.
    Regex(String),
}

impl ContentPattern {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(pattern) | Self::Regex(pattern) => pattern,
        }
    }
}

/// Whether a path of a probe is a glob rather than a file or folder.
pub fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}
