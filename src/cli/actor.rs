//! Who is acting: the name that goes into the ledger with every record. It opens nothing by itself.

use std::path::Path;

/// The longest name that is kept, in characters.
const LONGEST: usize = 200;

/// The actor: the variable `SHIPCTL_ACTOR`, or the person that git is configured for in `folder`
/// (`Ada Lovelace <ada@example.org>`), or the user of the operating system.
pub fn resolve(folder: &Path) -> String {
    choose([
        std::env::var("SHIPCTL_ACTOR").ok(),
        git_person(folder),
        std::env::var("USER").ok(),
        std::env::var("LOGNAME").ok(),
    ])
    .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// The first candidate that is a usable name: one line without control characters.
fn choose(candidates: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    candidates.into_iter().flatten().find_map(|name| {
        let printable: String = name.chars().filter(|c| !c.is_control()).collect();
        let name: String = printable.trim().chars().take(LONGEST).collect();
        (!name.is_empty()).then_some(name)
    })
}

fn git_person(folder: &Path) -> Option<String> {
    let config = git2::Repository::discover(folder)
        .and_then(|repository| repository.config())
        .or_else(|_| git2::Config::open_default())
        .ok()?;
    let value = |key: &str| config.get_string(key).ok().filter(|text| !text.trim().is_empty());
    match (value("user.name"), value("user.email")) {
        (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_usable_name_is_taken_as_one_line() {
        let given = [
            None,
            Some(" \n".to_owned()),
            Some("Ada\u{1b}[31m\nLovelace ".to_owned()),
            Some("root".to_owned()),
        ];
        assert_eq!(choose(given).as_deref(), Some("Ada[31mLovelace"));
        assert_eq!(choose([None, Some(String::new())]), None);
    }

    #[test]
    fn a_repository_tells_its_person() {
        let folder = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(folder.path()).unwrap();
        let mut config = repository.config().unwrap();
        config.set_str("user.name", "Ada").unwrap();
        config.set_str("user.email", "ada@example.org").unwrap();
        assert_eq!(
            git_person(folder.path()).as_deref(),
            Some("Ada <ada@example.org>")
        );
    }
}
