//! Tying a commit to a code phase by editing the plan file: comments and layout stay as they are.

use std::io::Write as _;
use std::path::Path;

use toml_edit::{DocumentMut, InlineTable, Item, TableLike, Value};

use super::raw::OWN_REPOSITORY;
use crate::domain::{CommitId, Exit, PhaseId, Problem, ServiceName};

/// A plan file's text with the commit in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The new text.
    pub text: String,
    /// The revision that stood there before.
    pub before: Option<String>,
}

/// Sets the commit of a phase in the text of a plan file; `service` names the service whose repository the commit is
/// in, `None` is the project's own.
///
/// # Errors
/// The text is not TOML, or the phase is not in it.
pub fn link(
    text: &str,
    phase: &PhaseId,
    service: Option<&ServiceName>,
    commit: &CommitId,
) -> Result<Linked, Problem> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Problem::new(
            Exit::Usage,
            "invalid-toml",
            format!("the plan is not valid TOML: {}", error.message()),
        )
    })?;
    let table = find_phase(&mut document, phase).ok_or_else(|| {
        Problem::new(
            Exit::Usage,
            "unknown-phase",
            format!("the plan has no phase `{phase}`"),
        )
    })?;
    let before = set_commit(table, service, commit.as_str());
    let mut text_after = document.to_string();
    // toml_edit ends every line with a line feed alone.
    if text.contains("\r\n") && !text_after.contains("\r\n") {
        text_after = text_after.replace('\n', "\r\n");
    }
    Ok(Linked {
        text: text_after,
        before,
    })
}

/// Puts a file's new text in place of the old one in a single step, so that no reader ever sees half of it.
///
/// # Errors
/// The folder or the file cannot be written.
pub fn replace(path: &Path, text: &str) -> Result<(), Problem> {
    let write = || -> std::io::Result<()> {
        // Behind a symbolic link the file itself is replaced, not the link.
        let path = path.canonicalize()?;
        let permissions = std::fs::metadata(&path)?.permissions();
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(permissions)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| {
        Problem::new(
            Exit::Failed,
            "cannot-write",
            format!("cannot write {}: {error}", path.display()),
        )
    })
}

/// The table of a phase, be the phases `[[phase]]` tables or a list of inline ones.
fn find_phase<'d>(document: &'d mut DocumentMut, phase: &PhaseId) -> Option<&'d mut dyn TableLike> {
    let is_it = |table: &dyn TableLike| table.get("id").and_then(Item::as_str) == Some(phase.as_str());
    match document.get_mut("phase")? {
        Item::ArrayOfTables(tables) => tables
            .iter_mut()
            .find(|table| is_it(*table))
            .map(|table| table as &mut dyn TableLike),
        Item::Value(Value::Array(list)) => list
            .iter_mut()
            .filter_map(Value::as_inline_table_mut)
            .find(|table| is_it(*table))
            .map(|table| table as &mut dyn TableLike),
        _ => None,
    }
}

fn set_commit(table: &mut dyn TableLike, service: Option<&ServiceName>, commit: &str) -> Option<String> {
    let key = service.map_or(OWN_REPOSITORY, ServiceName::as_str);
    match table.get_mut("commit") {
        None => {
            let value: Value = match service {
                None => commit.into(),
                Some(_) => InlineTable::from_iter([(key, Value::from(commit))]).into(),
            };
            table.insert("commit", Item::Value(value));
            None
        }
        Some(Item::Value(value)) if value.is_str() => {
            let before = value.as_str().unwrap_or_default().to_owned();
            // The blanks and the comment around the value belong to the reader.
            let decor = value.decor().clone();
            let replaced = service.is_none();
            *value = if replaced {
                commit.into()
            } else {
                let both = [
                    (OWN_REPOSITORY, Value::from(before.as_str())),
                    (key, commit.into()),
                ];
                InlineTable::from_iter(both).into()
            };
            *value.decor_mut() = decor;
            replaced.then_some(before)
        }
        Some(item) => {
            let by_service = item.as_table_like_mut()?;
            match by_service.get_mut(key) {
                Some(Item::Value(old)) => {
                    let before = old.as_str().map(str::to_owned);
                    let decor = old.decor().clone();
                    *old = Value::from(commit);
                    *old.decor_mut() = decor;
                    before
                }
                _ => {
                    by_service.insert(key, Item::Value(commit.into()));
                    None
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "0123456789abcdef0123456789abcdef01234567";

    fn linked(text: &str, phase: &str, service: Option<&str>) -> Linked {
        let service = service.map(|name| name.parse().unwrap());
        link(
            text,
            &phase.parse().unwrap(),
            service.as_ref(),
            &NEW.parse().unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn comments_and_layout_stay() {
        let text = "# top\nid = \"x\"   # its id\n\n[[phase]]\nid = \"a\"\nkind = \"code\"\ncommit   =  'old' # why\n\n# b is next\n[[phase]]\nid = \"b\"\nkind = \"code\" # code\ngate = { approvals = 1 }\n\n# the end\n";
        let first = linked(text, "a", None);
        assert_eq!(first.before.as_deref(), Some("old"));
        assert_eq!(first.text, text.replace("'old'", &format!("\"{NEW}\"")));
        let second = linked(text, "b", None);
        assert_eq!(second.before, None);
        assert_eq!(
            second.text,
            text.replace(
                "{ approvals = 1 }\n",
                &format!("{{ approvals = 1 }}\ncommit = \"{NEW}\"\n")
            )
        );
    }

    #[test]
    fn another_repository_turns_the_commit_into_a_table() {
        let text = "id = \"x\"\n[[phase]]\nid = \"a\"\ncommit = \"old\" # why\n";
        let both = linked(text, "a", Some("worker"));
        assert_eq!(both.before, None);
        assert!(
            both.text.contains(&format!(
                "commit = {{ \".\" = \"old\", worker = \"{NEW}\" }} # why"
            )),
            "{}",
            both.text
        );
        let again = linked(&both.text, "a", None);
        assert_eq!(again.before.as_deref(), Some("old"));
        assert!(
            again.text.contains(&format!("\".\" = \"{NEW}\", worker")),
            "{}",
            again.text
        );
        let alone = linked("[[phase]]\nid = \"a\"\n", "a", Some("worker"));
        assert!(
            alone.text.contains(&format!("commit = {{ worker = \"{NEW}\" }}")),
            "{}",
            alone.text
        );
    }

    #[test]
    fn a_list_of_inline_phases_and_windows_line_ends_are_kept() {
        let text = "id = \"x\"\r\nphase = [\r\n  { id = \"a\", kind = \"code\" },\r\n]\r\n";
        let result = linked(text, "a", None).text;
        assert!(result.contains(&format!("commit = \"{NEW}\" }}")), "{result}");
        assert!(!result.replace("\r\n", "").contains('\n'), "{result:?}");
    }

    #[test]
    fn a_file_is_replaced_with_its_permissions() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
