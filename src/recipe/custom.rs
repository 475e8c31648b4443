//! A plan of phases and SQL that somebody wrote: the files, as the operations write theirs.

use super::draft::{Draft, Fill, SchemaPhase, Sql};
use super::{Order, Patience, Recipe};
use crate::domain::{ColumnName, PhaseId, PlanId, Problem, SqlIdentifier, TableName};
use crate::plan::SyncMode;
use crate::sql::readable;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The plan's id.
    pub id: PlanId,
    /// Its title.
    pub title: String,
    /// Its phases, each after the one before.
    pub phases: Vec<Phase>,
    /// What has to be waited for before something is taken away.
    pub patience: Patience,
}

/// A phase.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Its id.
    pub id: PhaseId,
    /// Its title.
    pub title: String,
    /// What it does.
    pub work: Work,
}

/// What a phase does.
#[derive(Clone, Debug)]
pub enum Work {
    /// Runs a migration.
    Migration {
        /// It takes something away.
        is_contract: bool,
        /// The way there.
        up: String,
        /// The way back; `None` where there is none.
        down: Option<String>,
    },
    /// Waits for code.
    Code {
        /// The columns that it reads and writes, where that is said.
        uses: Option<(Vec<ColumnName>, Vec<ColumnName>)>,
    },
    /// Fills rows of a table.
    Backfill {
        /// The table.
        table: TableName,
        /// Each column with its expression.
        set: Vec<(SqlIdentifier, String)>,
        /// What holds of rows that need nothing.
        verify: Option<String>,
        /// What keeps rows right that are written meanwhile.
        kept: SyncMode,
    },
    /// Waits for a person.
    Manual {
        /// What the person is to do.
        instructions: String,
    },
}

/// The recipe for `shipctl plan custom ID`.
///
/// # Errors
/// The id is that of an earlier plan.
pub fn recipe(wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let mut draft = Draft::custom(&wish.id, &wish.title, order)?;
    let mut remarks = Vec::new();
    let mut has_code_above = false;
    for phase in &wish.phases {
        let (id, title) = (phase.id.as_str(), phase.title.as_str());
        match &phase.work {
            Work::Migration {
                is_contract,
                up,
                down,
            } => {
                let mut patience = Patience::default();
                if *is_contract {
                    patience = wish.patience.clone();
                    // Nothing to soak: no release comes before.
                    patience.soak = patience.soak.filter(|_| has_code_above);
                }
                draft.schema(SchemaPhase {
                    id,
                    kind: if *is_contract { "contract" } else { "expand" },
                    title: title.to_owned(),
                    comments: &[],
                    explanation: &[],
                    up: vec![Sql::Written(up.clone())],
                    down: down.iter().cloned().map(Sql::Written).collect(),
                    patience,
                });
                if down.is_none() {
                    remarks.push(format!(
                        "{id} cannot be undone once it has run, and so neither can anything above it."
                    ));
                }
            }
            Work::Code { uses: Some(uses) } => {
                has_code_above = true;
                let (reads, writes): (Vec<&ColumnName>, Vec<&ColumnName>) =
                    (uses.0.iter().collect(), uses.1.iter().collect());
                draft.code(id, title, &reads, &writes, &[]);
            }
            Work::Code { uses: None } => {
                has_code_above = true;
                draft.undeclared_code(id, title, &[]);
            }
            Work::Backfill {
                table,
                set,
                verify,
                kept,
            } => {
                let fill = Fill {
                    table,
                    set: set.iter().map(|(column, text)| (column, text.clone())).collect(),
                    verify: verify.clone().unwrap_or_else(|| every_value_is_set(set)),
                };
                draft.backfill(id, title, &fill, *kept, &[]);
            }
            Work::Manual { instructions } => draft.manual(id, title, instructions),
        }
    }
    Ok(draft.finish(remarks))
}

/// That every column has its value, as SQL.
fn every_value_is_set(set: &[(SqlIdentifier, String)]) -> String {
    let each: Vec<String> = set
        .iter()
        .map(|(column, text)| {
            // A comment at the end of the expression must not swallow the parenthesis.
            let end = if text.contains("--") { "\n" } else { "" };
            format!("{} IS NOT DISTINCT FROM ({text}{end})", readable(column))
        })
        .collect();
    each.join(" AND ")
}
