//! `shipctl plan custom`: a plan of phases and SQL of one's own.

use std::path::Path;

use super::columns::split;
use super::{Making, PatienceArgs, Workshop, files};
use crate::domain::{
    ColumnName, EnvironmentName, Exit, PhaseId, PlanId, Problem, SqlIdentifier, TableName, did_you_mean,
};
use crate::plan::SyncMode;
use crate::recipe::custom::{self, Phase, Wish, Work};
use crate::recipe::{Patience, Recipe};
use crate::report::proof::proof_of;
use crate::sql::MigrationFile;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The phases stand in the order in which they are given, each needing the one before:
  --phase expand:ID=FILE      SQL that only adds; the file has a `-- UP` and a `-- DOWN` side
  --phase code:ID[=TITLE]     a release of yours; say with --reads and --writes what it uses
  --phase backfill:ID         rows are filled in batches: --set ID:TABLE.COLUMN=EXPRESSION
  --phase contract:ID=FILE    SQL that takes away, once everything that runs has the code above
  --phase manual:ID=TEXT      what a person does
The plan and its migrations are validated and proved, and written only if no state that the gates
permit is found in which something fails. No database is asked, unless --env names one: its ledger
then tells whether the id was used before.

Example:
  shipctl plan custom order-totals --title 'Keep totals of orders' \\
    --phase expand:add=add.sql \\
    --phase 'code:write=Code writes totals' --writes write:orders.total --reads write: \\
    --phase backfill:fill --set 'fill:orders.total=price * number' \\
    --phase 'code:read=Code reads totals' --reads read:orders.total --writes read:orders.total")]
pub(super) struct Args {
    /// The plan's id
    id: PlanId,

    /// What the plan is for, in one line (default: its id)
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,

    /// A phase: KIND:ID, with `=` and its SQL file, title or instructions; may be repeated
    #[arg(long = "phase", required = true, value_name = "KIND:ID[=WHAT]")]
    phases: Vec<String>,

    /// What a code phase reads: PHASE:TABLE.COLUMN,… (`PHASE:` is nothing); may be repeated
    #[arg(long, value_name = "PHASE:COLUMNS")]
    reads: Vec<String>,

    /// What a code phase writes, likewise
    #[arg(long, value_name = "PHASE:COLUMNS")]
    writes: Vec<String>,

    /// What a backfill sets: PHASE:TABLE.COLUMN=EXPRESSION; may be repeated
    #[arg(long, value_name = "PHASE:COLUMN=SQL")]
    set: Vec<String>,

    /// Which rows need nothing from a backfill: PHASE:CONDITION (default: those that have the values)
    #[arg(long, value_name = "PHASE:SQL")]
    verify: Vec<String>,

    /// A backfill whose rows are kept right meanwhile by a trigger that a phase above creates
    #[arg(long, value_name = "PHASE")]
    synced_by_trigger: Vec<PhaseId>,

    /// A phase whose SQL has no DOWN side on purpose: it cannot be undone
    #[arg(long, value_name = "PHASE")]
    no_way_back: Vec<PhaseId>,

    #[command(flatten)]
    patience: PatienceArgs,

    /// Ask this environment's ledger whether the id was used before
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Show the files and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// The recipe.
pub(super) async fn recipe(args: Args, workshop: &Workshop<'_>) -> Result<Recipe, Problem> {
    let making = Making {
        env: args.env.clone(),
        id: Some(args.id.clone()),
        dry_run: args.dry_run,
    };
    let patience = args.patience.clone().patience()?;
    let wish = wish(&args, patience, &workshop.context.directory)?;
    if making.env.is_some() {
        workshop.session(&making).await?;
    }
    let mut recipe = custom::recipe(&wish, &workshop.order(&making)?)?;

    let plan = files::read_back(&recipe, &workshop.project)?;
    let proof = proof_of(std::slice::from_ref(&plan), &workshop.project.service_names());
    if let Some(problem) = Problem::bundle(proof.problems.clone(), "the plan is not safe") {
        return Err(problem);
    }
    let warnings = plan.warnings().iter().chain(&proof.warnings);
    // What the recipe says itself is not said twice.
    let warnings = warnings.filter(|one| one.code() != "no-way-back");
    for warning in warnings {
        recipe.remarks.push(match (warning.why(), warning.remedy()) {
            (_, Some(fix)) => format!("{}: {fix}", warning.message()),
            (Some(why), None) => format!("{}: {why}", warning.message()),
            (None, None) => warning.message().to_owned(),
        });
    }
    if let Some((_, words)) = proof.summary(plan.id()) {
        recipe.remarks.push(format!("The proof: {words}."));
    }
    Ok(recipe)
}

fn invalid(message: String, fix: impl Into<String>) -> Problem {
    Problem::new(Exit::Usage, "custom-phase", message).fix(fix)
}

/// What was asked for.
fn wish(args: &Args, patience: Patience, folder: &Path) -> Result<Wish, Problem> {
    let mut phases: Vec<Phase> = Vec::new();
    for text in &args.phases {
        let phase = phase(text, folder)?;
        if phases.iter().any(|other| other.id == phase.id) {
            return Err(invalid(
                format!("two phases have the id `{}`", phase.id),
                "give one of them another id",
            ));
        }
        phases.push(phase);
    }
    for (flag, texts) in [("--reads", &args.reads), ("--writes", &args.writes)] {
        for text in texts {
            let (phase, list) = of_phase(flag, text, &mut phases)?;
            let Work::Code { uses } = &mut phase.work else {
                return Err(of_another_kind(flag, phase, "a code phase"));
            };
            let (reads, writes) = uses.get_or_insert_with(Default::default);
            let columns = if flag == "--reads" { reads } else { writes };
            for column in split(list, ',').iter().map(|one| one.trim()) {
                if !column.is_empty() {
                    columns.push(parsed::<ColumnName>(flag, column)?);
                }
            }
        }
    }
    for text in &args.set {
        let (phase, text) = of_phase("--set", text, &mut phases)?;
        let Work::Backfill { table, set, .. } = &mut phase.work else {
            return Err(of_another_kind("--set", phase, "a backfill"));
        };
        let column = split(text, '=').first().copied().unwrap_or_default();
        let Some(expression) = text.get(column.len() + 1..) else {
            return Err(invalid(
                format!("`{text}` sets nothing"),
                "write --set PHASE:TABLE.COLUMN=EXPRESSION",
            ));
        };
        let column: ColumnName = parsed("--set", column.trim())?;
        if !set.is_empty() && *table != column.table {
            return Err(invalid(
                format!("{} sets columns of {table} and {}", phase.id, column.table),
                "a backfill fills one table: make two phases",
            ));
        }
        *table = column.table;
        set.push((column.column, expression.trim().to_owned()));
    }
    for text in &args.verify {
        let (phase, condition) = of_phase("--verify", text, &mut phases)?;
        let Work::Backfill { verify, .. } = &mut phase.work else {
            return Err(of_another_kind("--verify", phase, "a backfill"));
        };
        *verify = Some(condition.trim().to_owned());
    }
    for id in &args.synced_by_trigger {
        let phase = called("--synced-by-trigger", id.as_str(), &mut phases)?;
        let Work::Backfill { kept, .. } = &mut phase.work else {
            return Err(of_another_kind("--synced-by-trigger", phase, "a backfill"));
        };
        *kept = SyncMode::Trigger;
    }
    for id in &args.no_way_back {
        let phase = called("--no-way-back", id.as_str(), &mut phases)?;
        if !matches!(phase.work, Work::Migration { down: None, .. }) {
            return Err(invalid(
                format!("{id} has a way back, or needs none"),
                "leave --no-way-back out",
            ));
        }
    }
    for phase in &phases {
        complete(phase, &args.no_way_back)?;
    }
    Ok(Wish {
        id: args.id.clone(),
        title: args.title.clone().unwrap_or_else(|| worded(args.id.as_str())),
        phases,
        patience,
    })
}

/// Refuses a phase of which something is not said.
fn complete(phase: &Phase, no_way_back: &[PhaseId]) -> Result<(), Problem> {
    let id = &phase.id;
    match &phase.work {
        Work::Migration { down: None, .. } if !no_way_back.contains(id) => Err(invalid(
            format!("the SQL of {id} has no DOWN side"),
            format!(
                "add a `-- DOWN` line and the SQL that takes it back below (SELECT 1; where nothing needs to be), or say with \
                 --no-way-back {id} that it cannot be undone"
            ),
        )
        .because("the phase could not be undone once it has run, and so neither could anything above it")),
        Work::Backfill { set, .. } if set.is_empty() => Err(invalid(
            format!("the backfill {id} sets nothing"),
            format!("say what: --set '{id}:TABLE.COLUMN=EXPRESSION'"),
        )),
        _ => Ok(()),
    }
}

/// `KIND:ID` or `KIND:ID=WHAT`.
fn phase(text: &str, folder: &Path) -> Result<Phase, Problem> {
    let (head, what) = match text.split_once('=') {
        Some((head, what)) => (head, Some(what)),
        None => (text, None),
    };
    let Some((kind, id)) = head.split_once(':') else {
        return Err(invalid(
            format!("`{text}` is no phase"),
            "write --phase KIND:ID, such as --phase expand:add=add.sql",
        ));
    };
    let id: PhaseId = parsed("--phase", id)?;
    let needed = |what_it_is: &str| {
        what.ok_or_else(|| {
            invalid(
                format!("{id} lacks {what_it_is}"),
                format!(
                    "write --phase '{kind}:{id}={}'",
                    what_it_is.to_uppercase().replace(' ', "-")
                ),
            )
        })
    };
    let (title, work) = match kind {
        "expand" | "contract" => (
            None,
            migration(kind == "contract", &id, &folder.join(needed("sql file")?))?,
        ),
        "code" => (what, Work::Code { uses: None }),
        "backfill" => (
            what,
            Work::Backfill {
                table: TableName {
                    schema: None,
                    name: SqlIdentifier::from_catalog(String::new()),
                },
                set: Vec::new(),
                verify: None,
                kept: SyncMode::Code,
            },
        ),
        "manual" => (
            None,
            Work::Manual {
                instructions: needed("instructions")?.to_owned(),
            },
        ),
        _ => {
            return Err(invalid(
                format!("`{kind}` is no kind of phase"),
                did_you_mean(kind, &["expand", "backfill", "contract", "code", "manual"]),
            ));
        }
    };
    Ok(Phase {
        title: title.map_or_else(|| worded(id.as_str()), str::to_owned),
        id,
        work,
    })
}

fn migration(is_contract: bool, id: &PhaseId, path: &Path) -> Result<Work, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        invalid(
            format!("cannot read the SQL of {id}, {}: {error}", path.display()),
            "write it into a file with a `-- UP` and a `-- DOWN` side",
        )
    })?;
    let name = path.display().to_string();
    let file = MigrationFile::from_text(name.strip_suffix(".sql").unwrap_or(&name), &text)?;
    if file.up.steps.is_empty() {
        return Err(invalid(
            format!("the SQL of {id} does nothing"),
            format!(
                "write the statements into {}, below a `-- UP` line",
                path.display()
            ),
        ));
    }
    Ok(Work::Migration {
        is_contract,
        up: file.up_text,
        down: file.down_text,
    })
}

/// The phase that `PHASE:REST` names, and the rest.
fn of_phase<'p, 't>(
    flag: &str,
    text: &'t str,
    phases: &'p mut [Phase],
) -> Result<(&'p mut Phase, &'t str), Problem> {
    let Some((id, rest)) = text.split_once(':') else {
        return Err(invalid(
            format!("{flag} {text} names no phase"),
            format!("write {flag} PHASE:{text}"),
        ));
    };
    Ok((called(flag, id, phases)?, rest))
}

fn called<'p>(flag: &str, id: &str, phases: &'p mut [Phase]) -> Result<&'p mut Phase, Problem> {
    let known: Vec<String> = phases.iter().map(|phase| phase.id.to_string()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let fix = did_you_mean(id, &known);
    phases
        .iter_mut()
        .find(|phase| phase.id.as_str() == id)
        .ok_or_else(|| invalid(format!("{flag} names `{id}`, and no phase has this id"), fix))
}

fn of_another_kind(flag: &str, phase: &Phase, wanted: &str) -> Problem {
    invalid(
        format!("{flag} is about {}, which is not {wanted}", phase.id),
        format!("name {wanted}, or leave {flag} out"),
    )
}

fn parsed<T>(flag: &str, text: &str) -> Result<T, Problem>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        invalid(
            format!("{flag}: {error}"),
            "write it as `shipctl plan custom --help` shows",
        )
    })
}

/// `Add totals` for `add-totals`.
fn worded(id: &str) -> String {
    let words = id.replace(['-', '_', '.'], " ");
    let mut characters = words.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_titles() {
        assert_eq!(worded("add-totals.2"), "Add totals 2");
    }
}
