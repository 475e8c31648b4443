//! The example application's releases: each is the SQL that one commit of `examples/accounts` runs.

/// One release of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// What it is called in the story.
    pub name: &'static str,
    /// The subject of its commit.
    pub subject: &'static str,
    /// The code phase it satisfies, which its commit names in a trailer.
    pub phase: Option<&'static str>,
    /// Adds a person (name, email) and returns the id.
    pub add: &'static str,
    /// Renames a person (id, name).
    pub rename: &'static str,
    /// Reads a person's name by id.
    pub show: &'static str,
}

macro_rules! release {
    ($folder:literal, $subject:literal, $phase:expr) => {
        Release {
            name: $folder,
            subject: $subject,
            phase: $phase,
            add: include_str!(concat!("../../examples/accounts/history/", $folder, "/add.sql")),
            rename: include_str!(concat!(
                "../../examples/accounts/history/",
                $folder,
                "/rename.sql"
            )),
            show: include_str!(concat!("../../examples/accounts/history/", $folder, "/show.sql")),
        }
    };
}

/// Reads and writes `name`.
pub const NAME: Release = release!("1-name", "Keep people by name", None);
/// Writes both columns, reads `name`.
pub const DUAL_WRITE: Release = release!("2-dual-write", "Write name and display_name", Some("dual-write"));
/// Writes both columns, reads `display_name`.
pub const READ_DISPLAY_NAME: Release =
    release!("3-read-display-name", "Read display_name", Some("switch-read"));
/// Knows `display_name` only.
pub const DISPLAY_NAME: Release = release!("4-display-name", "Write display_name only", Some("stop-write"));

/// The table, as the first release found it.
pub const SCHEMA: &str = include_str!("../../examples/accounts/schema.sql");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_release_knows_nothing_of_the_new_column_and_the_last_nothing_of_the_old() {
        for sql in [NAME.add, NAME.rename, NAME.show] {
            assert!(!sql.contains("display_name"), "{sql}");
        }
        for sql in [DISPLAY_NAME.add, DISPLAY_NAME.rename, DISPLAY_NAME.show] {
            assert!(!sql.replace("display_name", "").contains("name"), "{sql}");
        }
    }
}
