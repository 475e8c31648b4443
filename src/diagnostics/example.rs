//! Examples: what a person could type to meet a code, and what to type to get past it.

/// What brings a code about.
#[derive(Clone, Copy, Debug)]
pub enum Example {
    /// Two scenes that tests play: the last command of the first reports the code; that of the second succeeds without it.
    Played {
        /// Reports the code.
        bad: Scene,
        /// Does not.
        good: Scene,
    },
    /// What cannot be typed (a server that crashes, a network that breaks): a test that brings it about.
    Elsewhere {
        /// The test's file, from the root of the repository.
        file: &'static str,
        /// The test's name.
        test: &'static str,
    },
    /// Nothing plays it, and why not.
    Unplayed(&'static str),
}

/// Why nothing plays it: it guards against mistakes within the program.
pub(super) const GUARD: Example = Example::Unplayed(
    "it guards against mistakes within the program; nothing that a person does should ever meet it",
);

/// Files and commands.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// What is there before.
    pub base: Base,
    /// Files written first: path and text.
    pub files: &'static [(&'static str, &'static str)],
    /// Typed one after the other, in the root of the project.
    pub commands: &'static [&'static str],
}

/// Where a scene begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// An empty folder.
    Nothing,
    /// A git repository with this `shipctl.toml` ([`Base::project_file`]) and an empty database at `DATABASE_URL`.
    Project,
    /// The same with the plan `rename` ([`RENAME_PLAN`]), a table to match, and a commit for each code phase, tagged with its
    /// name; `old` is the commit before. What runs is what the tag `deployed` says: at first `old`.
    Rename,
}

/// The plan of [`Base::Rename`].
pub const RENAME_PLAN: &str = r#"id = "rename"

[[phase]]
id = "add"
kind = "expand"
migration = "0001_add"

[[phase]]
id = "dual-write"
kind = "code"
needs = ["add"]
reads = ["users.name"]
writes = ["users.name", "users.display_name"]

[[phase]]
id = "backfill"
kind = "backfill"
needs = ["dual-write"]
table = "users"
set = { display_name = "name" }

[[phase]]
id = "switch-read"
kind = "code"
needs = ["backfill"]
reads = ["users.display_name"]
writes = ["users.name", "users.display_name"]

[[phase]]
id = "stop-write"
kind = "code"
needs = ["switch-read"]
reads = ["users.display_name"]
writes = ["users.display_name"]
restore = { table = "users", set = { name = "display_name" } }

[[phase]]
id = "drop"
kind = "contract"
needs = ["stop-write"]
migration = "0002_drop"
"#;

/// The migrations of [`RENAME_PLAN`]: path and text.
pub const RENAME_MIGRATIONS: [(&str, &str); 2] = [
    (
        "migrations/0001_add.sql",
        "-- UP\nALTER TABLE users ADD COLUMN display_name text;\n\n-- DOWN\nALTER TABLE users DROP COLUMN display_name;\n",
    ),
    (
        "migrations/0002_drop.sql",
        "-- UP\nALTER TABLE users DROP COLUMN name;\n\n-- DOWN\nALTER TABLE users ADD COLUMN name text;\n",
    ),
];

impl Base {
    /// The `shipctl.toml` that is there.
    pub fn project_file(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Project => Some(
                r#"[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
source = { kind = "recorded" }
"#,
            ),
            Self::Rename => Some(
                r#"[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
source = { kind = "command", argv = ["git", "rev-parse", "deployed^{commit}"], completeness = "full" }
"#,
            ),
        }
    }
}

/// What `shipctl check` refuses and what it accepts, in a project.
pub(super) const fn checked(
    bad: &'static [(&'static str, &'static str)],
    good: &'static [(&'static str, &'static str)],
) -> Example {
    const CHECK: &[&str] = &["shipctl check"];
    Example::Played {
        bad: Scene {
            base: Base::Project,
            files: bad,
            commands: CHECK,
        },
        good: Scene {
            base: Base::Project,
            files: good,
            commands: CHECK,
        },
    }
}

/// Commands on the same ground and the same files.
pub(super) const fn typed(
    base: Base,
    files: &'static [(&'static str, &'static str)],
    bad: &'static [&'static str],
    good: &'static [&'static str],
) -> Example {
    Example::Played {
        bad: Scene {
            base,
            files,
            commands: bad,
        },
        good: Scene {
            base,
            files,
            commands: good,
        },
    }
}

/// The same commands with other files.
pub(super) const fn written(
    base: Base,
    bad: &'static [(&'static str, &'static str)],
    good: &'static [(&'static str, &'static str)],
    commands: &'static [&'static str],
) -> Example {
    Example::Played {
        bad: Scene {
            base,
            files: bad,
            commands,
        },
        good: Scene {
            base,
            files: good,
            commands,
        },
    }
}

/// A test that brings it about.
pub(super) const fn elsewhere(file: &'static str, test: &'static str) -> Example {
    Example::Elsewhere { file, test }
}
