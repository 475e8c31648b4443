//! `shipctl init`

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Context;
use crate::domain::{Exit, Problem};
use crate::project::{self, FILE_NAME, Scaffold};
use crate::report::style;

/// Set up shipctl.toml, plans/ and migrations/ here
///
/// Creates what is missing and never changes what is there, so it can be run again at any time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shipctl init
  shipctl init --service web")]
pub struct Args {
    /// The name of the service to begin with; the folder's name if none is given
    #[arg(long, value_name = "NAME")]
    service: Option<crate::domain::ServiceName>,
}

/// Where repositories commonly keep their migrations, in order of preference.
const MIGRATION_FOLDERS: [&str; 3] = ["migrations", "db/migrations", "db/migrate"];

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { service } = args;
    let root = &context.directory;
    let mut made = Made::default();

    let file = root.join(FILE_NAME);
    let folder = root.file_name().map(|name| name.to_string_lossy().into_owned());
    let service = service.or_else(|| Scaffold::service_for(folder.as_deref().unwrap_or_default()));
    if let Some(service) = service {
        let found = MIGRATION_FOLDERS
            .into_iter()
            .find(|folder| root.join(folder).is_dir());
        let scaffold = Scaffold {
            service,
            migrations: found.unwrap_or(MIGRATION_FOLDERS[0]).to_owned(),
        };
        made.file(&file, &scaffold.text())?;
    }
    // The folders are those that the file names, be it new or not.
    let project = project::load(&file)?;
    made.folder(&project.plans)?;
    made.folder(&project.migrations)?;

    let console = &context.console;
    let shown = |path: &PathBuf| context.display_path(path).to_string();
    console.json(&json!({
        "created": made.created.iter().map(shown).collect::<Vec<_>>(),
        "kept": made.kept.iter().map(shown).collect::<Vec<_>>(),
    }));
    for path in &made.created {
        console.result(&format!(
            "  {}  {}",
            style::paint(style::GOOD, "created"),
            shown(path)
        ));
    }
    for path in &made.kept {
        console.result(&format!(
            "  {}     {}",
            style::paint(style::DIM, "kept"),
            shown(path)
        ));
    }
    console.note(&next_steps(&made, root));
    Ok(Exit::Done)
}

fn next_steps(made: &Made, root: &Path) -> String {
    let mut steps = String::from("\nNext:\n");
    let mut step = |command: &str, what: &str| {
        let command = style::paint(style::NAME, format!("{command:<46}"));
        steps.push_str(&format!("  {command} {what}\n"));
    };
    if made.created.iter().any(|path| path.ends_with(FILE_NAME)) {
        step(
            "$EDITOR shipctl.toml",
            "say where the database is and what runs where",
        );
    }
    step("shipctl check", "see whether all of it is valid");
    step("shipctl deployed", "see which commits are running");
    step("shipctl plan rename TABLE.COLUMN NEW_NAME", "write a first plan");
    if !root.ancestors().any(|folder| folder.join(".git").exists()) {
        step(
            "git init",
            "code phases are tied to commits: shipctl needs a repository",
        );
    }
    steps
}

/// What was made and what was there, in order.
#[derive(Default)]
struct Made {
    created: Vec<PathBuf>,
    kept: Vec<PathBuf>,
}

impl Made {
    fn file(&mut self, path: &Path, text: &str) -> Result<(), Problem> {
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())
                    .map_err(|error| cannot_create(path, &error))?;
                self.created.push(path.to_path_buf());
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.kept.push(path.to_path_buf()),
            Err(error) => return Err(cannot_create(path, &error)),
        }
        Ok(())
    }

    /// A folder that git keeps although it is empty.
    fn folder(&mut self, path: &Path) -> Result<(), Problem> {
        if path.is_dir() {
            self.kept.push(path.to_path_buf());
            return Ok(());
        }
        fs::create_dir_all(path).map_err(|error| cannot_create(path, &error))?;
        let keeper = path.join(".gitkeep");
        fs::write(&keeper, "").map_err(|error| cannot_create(&keeper, &error))?;
        self.created.push(path.to_path_buf());
        Ok(())
    }
}

fn cannot_create(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(
        Exit::Failed,
        "cannot-create",
        format!("cannot create {}: {error}", path.display()),
    )
    .fix("see who may write there, and that the disk has room")
}
