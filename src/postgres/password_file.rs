//! The password file (`~/.pgpass`): lines `host:port:database:user:password`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::domain::Secret;

/// What the file had to say.
pub(super) enum Lookup {
    /// The password for this login.
    Found(Secret),
    /// No line fits, or there is no such file.
    Nothing,
    /// Others may read the file, so that it is not used, as libpq does.
    TooOpen,
}

/// Looks a login up. `host` is the host name, or the socket folder.
pub(super) fn look_up(path: &Path, host: &str, port: u16, database: &str, user: &str) -> Lookup {
    let Ok(metadata) = fs::metadata(path) else {
        return Lookup::Nothing;
    };
    if !metadata.is_file() {
        return Lookup::Nothing;
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Lookup::TooOpen;
    }
    let Ok(text) = fs::read_to_string(path) else {
        return Lookup::Nothing;
    };
    match find(&text, host, port, database, user) {
        Some(password) => Lookup::Found(Secret::new(password)),
        None => Lookup::Nothing,
    }
}

fn find(text: &str, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
    let port = port.to_string();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut fields = fields(line).into_iter();
            let (line_host, line_port, line_database, line_user, password) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            let fits = |pattern: &str, value: &str| pattern == "*" || pattern == value;
            // A socket folder goes by its path or by `localhost`.
            let host_fits = fits(&line_host, host) || (host.starts_with('/') && line_host == "localhost");
            (host_fits
                && fits(&line_port, &port)
                && fits(&line_database, database)
                && fits(&line_user, user)
                && !password.is_empty())
            .then_some(password)
        })
}

/// The fields of a line; `\` takes the meaning from the `:` or `\` that follows.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => fields.push(String::new()),
            '\\' => {
                let escaped = chars.next();
                if let Some(field) = fields.last_mut() {
                    field.extend(escaped);
                }
            }
            other => {
                if let Some(field) = fields.last_mut() {
                    field.push(other);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_wins() {
        let text =
            "# host:5432:db:u:commented\nother:5432:db:u:no\nhost:*:db:u:se\\:cr\\\\et\n*:*:*:*:late\n";
        assert_eq!(find(text, "host", 5432, "db", "u").as_deref(), Some("se:cr\\et"));
        assert_eq!(find(text, "host", 5432, "db2", "u").as_deref(), Some("late"));
        assert_eq!(
            find("localhost:1:d:u:x", "/var/run/postgresql", 1, "d", "u").as_deref(),
            Some("x")
        );
        assert_eq!(find("h:1:d:u", "h", 1, "d", "u"), None);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "*:*:*:*:secret\n").unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(look_up(file.path(), "h", 1, "d", "u"), Lookup::TooOpen));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(look_up(file.path(), "h", 1, "d", "u"), Lookup::Found(_)));
    }
}
