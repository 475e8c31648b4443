//! The same change made by `reshape`: its whole `migration start`, which adds the column and fills it in one go.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use super::Outcome;

/// What it takes its connection from before it looks at its arguments.
const ENVIRONMENT: [&str; 6] = [
    "DB_URL",
    "DB_HOST",
    "DB_PORT",
    "DB_USERNAME",
    "DB_PASSWORD",
    "DB_NAME",
];

/// reshape with its migration, for one database.
pub(crate) struct Reshape {
    binary: PathBuf,
    url: String,
    folder: TempDir,
}

impl Reshape {
    /// The binary that `RESHAPE_BIN` names.
    pub fn binary() -> Option<PathBuf> {
        std::env::var_os("RESHAPE_BIN")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }

    /// Writes the migration.
    pub fn set_up(binary: &Path, url: &str) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("shipctl-bench-").tempdir()?;
        std::fs::create_dir(folder.path().join("migrations"))?;
        std::fs::write(
            folder.path().join("migrations/1_add_display_name.toml"),
            "[[actions]]\ntype = \"add_column\"\ntable = \"users\"\nup = \"name\"\n\n\
             [actions.column]\nname = \"display_name\"\ntype = \"TEXT\"\n",
        )?;
        Ok(Self {
            // It runs in a folder of its own.
            binary: std::path::absolute(binary)?,
            url: url.to_owned(),
            folder,
        })
    }

    /// Adds the column and fills it.
    pub async fn fill(&self) -> Outcome<()> {
        self.migration("start").await
    }

    /// Gives the column its final name.
    pub async fn complete(&self) -> Outcome<()> {
        self.migration("complete").await
    }

    async fn migration(&self, word: &str) -> Outcome<()> {
        let mut command = Command::new(&self.binary);
        for name in ENVIRONMENT {
            command.env_remove(name);
        }
        let output = command
            .args(["migration", word, "--url", &self.url])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| format!("{}: {error}", self.binary.display()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "`reshape migration {word}` ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
        .into())
    }
}
