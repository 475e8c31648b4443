//! `shipctl plan OPERATION`: writes a plan and its migrations. One file an operation.

mod add_check;
mod add_column;
mod add_enum_value;
mod add_foreign_key;
mod add_identity;
mod add_index;
mod add_primary_key;
mod add_unique;
mod attach_partition;
mod change_type;
mod columns;
mod create_table;
mod custom;
mod detach_partition;
mod drop_column;
mod drop_constraint;
mod drop_default;
mod drop_enum_value;
mod drop_index;
mod drop_not_null;
mod drop_table;
mod extract_json;
mod files;
mod merge_columns;
mod move_column;
mod rename;
mod rename_enum_value;
mod rename_table;
mod replace_index;
mod reshape;
mod set_default;
mod set_not_null;
mod split_column;
mod sync;
mod widen_key;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::Context;
use crate::domain::{EnvironmentName, Exit, PlanId, Problem, SqlIdentifier};
use crate::observe::catalog::{self, Expression};
use crate::observe::git::Repository;
use crate::plan::{self, ChangeKind, PhaseDetail};
use crate::postgres::{Session, ledger};
use crate::project::Project;
use crate::recipe::add_column::more_than_a_type;
use crate::recipe::{KnownPlans, Order, Patience, Recipe, TableFacts, refuse_unless_none};
use crate::sql;

/// The migrations of a plan whose number is not told.
const MOST_MIGRATIONS: usize = 8;

/// Write a plan and its migrations for an operation.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The catalog of the database is read, and nothing is changed in it. Each operation becomes phases
that keep old and new code working; `shipctl run` carries them out, `shipctl rollback` undoes them.

Examples:
  shipctl plan rename users.name display_name      see `shipctl plan rename --help` for more
  shipctl plan set-not-null users.locale --fill \"'en'\"
  shipctl plan add-index users 'lower(email)'
  shipctl plan drop-column users.nickname --dry-run")]
pub struct Args {
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Debug, clap::Subcommand)]
enum Operation {
    /// Rename a column while old and new code run
    Rename(rename::Args),
    /// Add a column
    AddColumn(add_column::Args),
    /// Drop a column
    DropColumn(drop_column::Args),
    /// Make a column NOT NULL
    SetNotNull(set_not_null::Args),
    /// Let a column be NULL
    DropNotNull(drop_not_null::Args),
    /// Give a column another default
    SetDefault(set_default::Args),
    /// Take a column's default away
    DropDefault(drop_default::Args),
    /// Add a check that no row may violate
    AddCheck(add_check::Args),
    /// Let columns refer only to rows of another table
    AddForeignKey(add_foreign_key::Args),
    /// Let no two rows hold the same in some columns
    AddUnique(add_unique::Args),
    /// Give a column another type
    ChangeType(change_type::Args),
    /// Give a key a wider type, with every column that refers to it
    WidenKey(widen_key::Args),
    /// Let a column hand out its own values
    AddIdentity(add_identity::Args),
    /// Give a table a primary key
    AddPrimaryKey(add_primary_key::Args),
    /// Drop a check, foreign key or unique constraint
    DropConstraint(drop_constraint::Args),
    /// Add an index
    AddIndex(add_index::Args),
    /// Drop an index
    DropIndex(drop_index::Args),
    /// Make a table
    CreateTable(create_table::Args),
    /// Rename a table while old and new code run
    RenameTable(rename_table::Args),
    /// Drop a table
    DropTable(drop_table::Args),
    /// Let an index take the place of another
    ReplaceIndex(replace_index::Args),
    /// Add a value to an enum type
    AddEnumValue(add_enum_value::Args),
    /// Rename a value of an enum type while old and new code run
    RenameEnumValue(rename_enum_value::Args),
    /// Forbid a value of an enum type everywhere
    DropEnumValue(drop_enum_value::Args),
    /// Make a plan of phases and SQL of your own
    Custom(custom::Args),
    /// Make a column of what stands in JSON documents
    ExtractJson(extract_json::Args),
    /// Split a column into several
    SplitColumn(split_column::Args),
    /// Merge several columns into one
    MergeColumns(merge_columns::Args),
    /// Move a column to another table
    MoveColumn(move_column::Args),
    /// Make a table a partition of another
    AttachPartition(attach_partition::Args),
    /// Make a partition a table of its own
    DetachPartition(detach_partition::Args),
}

/// What all operations are asked for.
#[derive(Debug, clap::Args)]
struct Making {
    /// Read the catalog of this environment's database (default: the only environment)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// The plan's id (default: made from the names)
    #[arg(long, value_name = "ID")]
    id: Option<PlanId>,

    /// Show the files and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// What has to be waited for before something is taken away.
#[derive(Clone, Debug, clap::Args)]
struct PatienceArgs {
    /// How long the new code must have run everywhere before the old things may be dropped (0s: not at all)
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    soak: String,

    /// How many people must approve the drop
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    approvals: u32,
}

impl PatienceArgs {
    fn patience(self) -> Result<Patience, Problem> {
        Ok(Patience {
            soak: checked_soak(self.soak)?,
            approvals: self.approvals,
        })
    }
}

/// Where plans are made: the project, and the databases that its environments name.
struct Workshop<'a> {
    project: Project,
    context: &'a Context,
    /// The plans in the ledger of the database that was asked.
    in_ledger: Mutex<Vec<String>>,
    /// The environment whose database was asked.
    asked: Mutex<Option<EnvironmentName>>,
}

impl Workshop<'_> {
    async fn session(&self, making: &Making) -> Result<Session, Problem> {
        let environment = self.context.environment(&self.project, making.env.as_ref())?;
        let session = self.context.session(environment, "plan").await?;
        let ids = ledger::plan_ids(session.client()).await?;
        *self.in_ledger.lock().unwrap_or_else(PoisonError::into_inner) = ids;
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(environment.name.clone());
        Ok(session)
    }

    /// What is worth knowing of the fills of a plan: the triggers that fire for each row. Without a database it is not known.
    async fn remarks_on_fills(&self, recipe: &Recipe) -> Result<Vec<String>, Problem> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let plan = files::read_back(recipe, &self.project)?;
        let fills = plan.phases().iter().filter_map(|phase| match &phase.detail {
            PhaseDetail::Backfill(fill) => Some((&phase.id, fill)),
            _ => None,
        });
        let fills: Vec<_> = fills.collect();
        if asked.is_none() || fills.is_empty() {
            return Ok(Vec::new());
        }
        let environment = self.context.environment(&self.project, asked.as_ref())?;
        let session = self.context.session(environment, "plan").await?;
        let mut remarks = Vec::new();
        for (phase, fill) in fills {
            let columns: Vec<SqlIdentifier> = fill.set.iter().map(|set| set.column.clone()).collect();
            let triggers = catalog::fired_by_updates(&session, &fill.table, &columns).await?;
            if !triggers.is_empty() {
                remarks.push(format!(
                    "Each row that {phase} fills fires {} of {}, as any UPDATE of it does.",
                    triggers.join(" and "),
                    fill.table
                ));
            }
        }
        Ok(remarks)
    }

    fn order(&self, making: &Making) -> Result<Order, Problem> {
        self.order_of(making, MOST_MIGRATIONS)
    }

    /// The same for so many migrations.
    fn order_of(&self, making: &Making, migrations: usize) -> Result<Order, Problem> {
        let in_ledger = self.in_ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used: BTreeSet<String> = in_ledger.iter().cloned().collect();
        used.extend(self.in_trailers()?);
        // A folder that cannot be read cannot be written to either, which is told then.
        let files = plan::plan_files(&self.project)
            .unwrap_or_default()
            .iter()
            .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .collect();
        Ok(Order {
            id: making.id.clone(),
            now: files::free_moment(&self.project, Timestamp::now(), migrations)?,
            known: KnownPlans { files, used },
        })
    }

    /// The plans that a commit's trailer names, here and in the repositories of services. A folder that is no repository has
    /// none.
    fn in_trailers(&self) -> Result<BTreeSet<String>, Problem> {
        let services = self.project.environments.values().flat_map(|one| &one.services);
        let folders: BTreeSet<&Path> = services
            .filter_map(|service| service.repository.as_deref())
            .chain([self.project.root.as_path()])
            .collect();
        let mut found = BTreeSet::new();
        for folder in folders {
            let repository = match Repository::discover(folder) {
                Ok(repository) => repository,
                Err(problem) if problem.code() == "no-repository" => continue,
                Err(problem) => return Err(problem),
            };
            let plans = repository.plans_in_trailers().map_err(|doubt| {
                let problem = Problem::new(Exit::Unknown, "repository-unreadable", doubt.why);
                match doubt.fix {
                    Some(fix) => problem.fix(fix),
                    None => problem,
                }
            })?;
            found.extend(plans);
        }
        Ok(found)
    }
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { operation } = args;
    let workshop = Workshop {
        project: context.project()?,
        context,
        in_ledger: Mutex::default(),
        asked: Mutex::default(),
    };
    macro_rules! made {
        ($operation:ident, $args:ident) => {
            (
                $args.making.dry_run,
                $operation::recipe($args, &workshop).await,
            )
        };
    }
    let (dry_run, recipe) = match operation {
        Operation::Rename(args) => made!(rename, args),
        Operation::AddColumn(args) => made!(add_column, args),
        Operation::DropColumn(args) => made!(drop_column, args),
        Operation::SetNotNull(args) => made!(set_not_null, args),
        Operation::DropNotNull(args) => made!(drop_not_null, args),
        Operation::SetDefault(args) => made!(set_default, args),
        Operation::DropDefault(args) => made!(drop_default, args),
        Operation::AddCheck(args) => made!(add_check, args),
        Operation::AddForeignKey(args) => made!(add_foreign_key, args),
        Operation::AddUnique(args) => made!(add_unique, args),
        Operation::ChangeType(args) => made!(change_type, args),
        Operation::WidenKey(args) => made!(widen_key, args),
        Operation::AddIdentity(args) => made!(add_identity, args),
        Operation::AddPrimaryKey(args) => made!(add_primary_key, args),
        Operation::DropConstraint(args) => made!(drop_constraint, args),
        Operation::AddIndex(args) => made!(add_index, args),
        Operation::DropIndex(args) => made!(drop_index, args),
        Operation::CreateTable(args) => made!(create_table, args),
        Operation::RenameTable(args) => made!(rename_table, args),
        Operation::DropTable(args) => made!(drop_table, args),
        Operation::ReplaceIndex(args) => made!(replace_index, args),
        Operation::AddEnumValue(args) => made!(add_enum_value, args),
        Operation::RenameEnumValue(args) => made!(rename_enum_value, args),
        Operation::DropEnumValue(args) => made!(drop_enum_value, args),
        Operation::Custom(args) => (args.dry_run, custom::recipe(args, &workshop).await),
        Operation::ExtractJson(args) => made!(extract_json, args),
        Operation::SplitColumn(args) => made!(split_column, args),
        Operation::MergeColumns(args) => made!(merge_columns, args),
        Operation::MoveColumn(args) => made!(move_column, args),
        Operation::AttachPartition(args) => made!(attach_partition, args),
        Operation::DetachPartition(args) => made!(detach_partition, args),
    };
    let mut recipe = recipe?;
    let remarks = workshop.remarks_on_fills(&recipe).await?;
    recipe.remarks.extend(remarks);
    files::finish(&recipe, &workshop.project, dry_run, context)
}

fn checked_soak(soak: String) -> Result<Option<String>, Problem> {
    let usage = |message: String| {
        Problem::new(Exit::Usage, "invalid-soak", message).fix("write it as 24h, 30m or 7d; 0s for none")
    };
    // A day is taken as 24 hours, as in plan files.
    let hours = soak
        .strip_suffix('d')
        .and_then(|days| days.parse::<i64>().ok())
        .map(|days| SignedDuration::from_hours(days.saturating_mul(24)));
    let duration = match hours {
        Some(duration) => duration,
        None => soak
            .parse::<SignedDuration>()
            .map_err(|error| usage(format!("`{soak}` is not a duration: {error}")))?,
    };
    if duration.is_negative() {
        return Err(usage(format!("`{soak}` is negative")));
    }
    Ok((!duration.is_zero()).then_some(soak))
}

/// Refuses what is not an expression on its own.
fn checked_expression(what: &str, text: &str) -> Result<(), Problem> {
    sql::check_expression(text).map_err(|why| invalid_sql(what, text, &why))
}

/// Refuses what is not a type on its own.
fn checked_type(kind: ChangeKind, what: &str, data_type: &str) -> Result<(), Problem> {
    let more = more_than_a_type(data_type);
    refuse_unless_none(kind, &format!("{what} {data_type}"), &more)?;
    sql::check_expression(&format!("NULL::{data_type}")).map_err(|why| invalid_sql("type", data_type, &why))
}

/// Has the database look at what `--fill` puts into a column.
async fn checked_fill(
    session: &Session,
    facts: &TableFacts,
    column: &SqlIdentifier,
    fill: Option<&String>,
) -> Result<(), Problem> {
    let Some(text) = fill else {
        return Ok(());
    };
    let expression = Expression {
        what: "--fill",
        text,
        over_rows: true,
    };
    let data_type = &facts.column(column)?.data_type;
    catalog::check_expressions(session, &facts.table, data_type, &[expression]).await
}

fn invalid_sql(what: &str, text: &str, why: &str) -> Problem {
    Problem::new(
        Exit::Usage,
        "invalid-sql",
        format!("`{text}` is not a usable {what}: {why}"),
    )
}
