//! Finding the local PostgreSQL server's programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::domain::{Exit, Problem};

/// The folder that holds `initdb`, `pg_ctl` and `postgres`.
///
/// # Errors
/// They are nowhere to be found; says what to install.
pub(super) fn find() -> Result<PathBuf, Problem> {
    if let Some(asked) = std::env::var_os("SHIPCTL_PG_BIN") {
        let asked = PathBuf::from(asked);
        return if is_complete(&asked) {
            Ok(asked)
        } else {
            Err(missing(&format!(
                "SHIPCTL_PG_BIN names {}, which does not hold initdb, pg_ctl and postgres",
                asked.display()
            )))
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).filter_map(|folder| {
        // Links in PATH lead to the folder where the programs find each other and their files.
        let program = folder.join("initdb").canonicalize().ok()?;
        program.parent().map(Path::to_owned)
    });
    in_path
        .chain(versions("/usr/lib/postgresql", "bin"))
        .chain(versions("/usr", "bin"))
        .chain([
            PathBuf::from("/usr/local/pgsql/bin"),
            PathBuf::from("/usr/pgsql/bin"),
            PathBuf::from("/opt/homebrew/bin"),
            PathBuf::from("/Applications/Postgres.app/Contents/Versions/latest/bin"),
        ])
        .chain(versions("/opt/homebrew/opt", "bin"))
        .chain(versions("/usr/local/opt", "bin"))
        .find(|folder| is_complete(folder))
        .or_else(|| from_pg_config().filter(|folder| is_complete(folder)))
        .ok_or_else(|| missing("initdb, pg_ctl and postgres were not found"))
}

/// The subfolders of `base` that are named after a version (`15`, `pgsql-15`, `postgresql@15`), newest first.
fn versions(base: &str, inner: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?;
            let version = ["pgsql-", "postgresql@"]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix))
                .unwrap_or(name)
                .parse()
                .ok()?;
            Some((version, entry.path().join(inner)))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim()))
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

fn missing(why: &str) -> Problem {
    Problem::new(
        Exit::Failed,
        "postgresql-missing",
        "a private PostgreSQL needs the server's programs on this machine",
    )
    .because(why)
    .fix(
        "install them (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; \
         macOS: brew install postgresql), or set SHIPCTL_PG_BIN to their folder",
    )
}
