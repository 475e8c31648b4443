//! `shipctl plan OPERATION`: writes a plan and its migrations, all of them or none.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::Context;
use crate::domain::{ColumnName, EnvironmentName, Exit, PlanId, Problem, SqlIdentifier};
use crate::observe::catalog;
use crate::plan::{self, Plan, SyncMode};
use crate::project::Project;
use crate::recipe::rename_column::{self, Wish};
use crate::recipe::{ColumnFacts, Recipe};
use crate::report::planned;
use crate::sql;

/// Write a plan and its migrations for an operation.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  shipctl plan rename users.name display_name      see `shipctl plan rename --help` for more")]
pub struct Args {
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Debug, clap::Subcommand)]
enum Operation {
    /// Rename a column while old and new code run
    Rename(RenameArgs),
}

/// How running code is kept in step while both columns exist.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Sync {
    /// The application writes both columns for a while
    #[default]
    Code,
    /// A trigger copies what is written to either column to the other
    Trigger,
}

impl From<Sync> for SyncMode {
    fn from(sync: Sync) -> Self {
        match sync {
            Sync::Code => Self::Code,
            Sync::Trigger => Self::Trigger,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shipctl plan rename users.name display_name
  shipctl plan rename 'app.\"Users\".\"userName\"' '\"displayName\"' --env production
  shipctl plan rename users.name display_name --sync trigger             (one pull request instead of three)
  shipctl plan rename users.name display_name --type text --not-null     (no database needed)")]
struct RenameArgs {
    /// The column: TABLE.COLUMN or SCHEMA.TABLE.COLUMN, quoted (\"…\") as in SQL where needed
    column: ColumnName,

    /// Its new name
    to: SqlIdentifier,

    /// Read the column from this environment's database (default: the only environment)
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Take this type instead of asking a database; indexes and constraints are then not carried over
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "env")]
    data_type: Option<String>,

    /// With --type: the column is NOT NULL
    #[arg(long, requires = "data_type")]
    not_null: bool,

    /// With --type: its default, an SQL expression
    #[arg(long, value_name = "EXPRESSION", requires = "data_type")]
    default: Option<String>,

    /// The plan's id (default: made from the names)
    #[arg(long, value_name = "ID")]
    id: Option<PlanId>,

    /// How long the new code must have run everywhere before the old column may be dropped (0s: not at all)
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    soak: String,

    /// How many people must approve the drop
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    approvals: u32,

    /// What keeps both columns in step while old and new code run
    #[arg(long, value_enum, default_value_t)]
    sync: Sync,

    /// Show the files and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { operation } = args;
    match operation {
        Operation::Rename(args) => rename(args, context).await,
    }
}

async fn rename(args: RenameArgs, context: &Context) -> Result<Exit, Problem> {
    let RenameArgs {
        column,
        to,
        env,
        data_type,
        not_null,
        default,
        id,
        soak,
        approvals,
        sync,
        dry_run,
    } = args;
    let project = context.project()?;
    let wish = Wish {
        to,
        id,
        soak: checked_soak(soak)?,
        approvals,
        sync: sync.into(),
    };
    let facts = match data_type {
        Some(data_type) => given_facts(column, data_type, not_null, default)?,
        None => {
            let environment = context.environment(&project, env.as_ref())?;
            let session = context.session(environment, "plan").await?;
            catalog::column_facts(&session, &column).await?
        }
    };
    let recipe = rename_column::recipe(&facts, &wish, free_moment(&project, Timestamp::now())?)?;
    finish(&recipe, &project, dry_run, context)
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

fn given_facts(
    column: ColumnName,
    data_type: String,
    not_null: bool,
    default: Option<String>,
) -> Result<ColumnFacts, Problem> {
    let usage = |what: &str, text: &str, why: String| {
        Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!("`{text}` is not a usable {what}: {why}"),
        )
    };
    sql::check_expression(&format!("NULL::{data_type}")).map_err(|why| usage("type", &data_type, why))?;
    if let Some(default) = &default {
        sql::check_expression(default).map_err(|why| usage("default", default, why))?;
    }
    let mut facts = ColumnFacts::plain(column, data_type);
    facts.not_null = not_null;
    facts.default = default;
    facts.remarks.push(
        "No database was asked: indexes, constraints, grants and whatever else hangs on the column are not carried \
         over. Generate the plan with --env to have them."
            .to_owned(),
    );
    Ok(facts)
}

/// The first moment from `now` on at which the recipe's migrations get ids that no other migration has.
fn free_moment(project: &Project, now: Timestamp) -> Result<Timestamp, Problem> {
    let taken = sql::names(&project.migrations)?;
    let is_free = |moment: Timestamp| {
        rename_column::stamps(moment)
            .iter()
            .all(|stamp| !taken.iter().any(|name| name.starts_with(stamp.as_str())))
    };
    let mut moment = now;
    while !is_free(moment) {
        moment = moment
            .checked_add(SignedDuration::from_secs(1))
            .map_err(|error| Problem::new(Exit::Failed, "no-free-moment", error.to_string()))?;
    }
    Ok(moment)
}

/// Checks what a recipe brought forth, writes it and tells about it.
fn finish(recipe: &Recipe, project: &Project, dry_run: bool, context: &Context) -> Result<Exit, Problem> {
    let plan_path = project.plans.join(&recipe.plan_file);
    let mut files = vec![(plan_path.clone(), recipe.plan_text.as_str())];
    for (name, text) in &recipe.migrations {
        files.push((project.migrations.join(name), text.as_str()));
    }
    refuse_to_overwrite(&files, context)?;
    let plan = check_before_writing(recipe, &plan_path)?;
    if !dry_run {
        write_all(&files)?;
    }
    let shown: Vec<(String, &str)> = files
        .iter()
        .map(|(path, text)| (context.display_path(path).to_string(), *text))
        .collect();
    planned::show(&context.console, &plan, &shown, &recipe.remarks, dry_run);
    Ok(Exit::Done)
}

fn refuse_to_overwrite(files: &[(PathBuf, &str)], context: &Context) -> Result<(), Problem> {
    let existing: Vec<String> = files
        .iter()
        // A dangling link counts as well: it is there.
        .filter(|(path, _)| path.symlink_metadata().is_ok())
        .map(|(path, _)| context.display_path(path).to_string())
        .collect();
    if existing.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        Exit::Usage,
        "would-overwrite",
        format!("these files exist already: {}", existing.join(", ")),
    )
    .because("a plan that is in use must not be replaced behind its back; nothing was written")
    .fix("remove them if they are leftovers, or give the new plan another id with --id"))
}

/// Reads the plan and its migrations back as any other command would.
fn check_before_writing(recipe: &Recipe, plan_path: &Path) -> Result<Plan, Problem> {
    let staged = tempfile::tempdir().map_err(|error| cannot_write(&std::env::temp_dir(), &error))?;
    for (name, text) in &recipe.migrations {
        let path = staged.path().join(name);
        fs::write(&path, text).map_err(|error| cannot_write(&path, &error))?;
    }
    plan::parse(plan_path, &recipe.plan_text, staged.path())
}

/// Writes every file under a temporary name first; none stays if one fails.
fn write_all(files: &[(PathBuf, &str)]) -> Result<(), Problem> {
    let mut staged = Vec::new();
    for (path, text) in files {
        staged.push((
            path,
            stage(path, text).map_err(|error| cannot_write(path, &error))?,
        ));
    }
    let mut written: Vec<&PathBuf> = Vec::new();
    for (path, file) in staged {
        if let Err(error) = file.persist_noclobber(path) {
            for done in written {
                // Nothing more can be done if it cannot be removed; the first error is what matters.
                let _ = fs::remove_file(done);
            }
            return Err(cannot_write(path, &error.error));
        }
        written.push(path);
    }
    Ok(())
}

fn stage(path: &Path, text: &str) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".shipctl-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The user's umask takes away from this, as for any new file.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(
        Exit::Failed,
        "cannot-write",
        format!("cannot write {}: {error}", path.display()),
    )
}
