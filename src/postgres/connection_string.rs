//! Taking libpq connection strings apart: `postgres://…` URLs and `key=value` strings.
//!
//! The text may hold a password in any place where a reader of a mistyped string would not expect it, so no error
//! repeats any part of the text.

use std::collections::BTreeMap;

use crate::domain::{Exit, Problem};

/// The parameters of a connection string by libpq's names.
pub(super) type Parameters = BTreeMap<String, String>;

/// What a parameter means to us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Support {
    Used,
    /// Without meaning here, and harmless to leave out.
    Ignored,
    /// Leaving it out would connect differently from what was asked for.
    Refused,
}

const PARAMETERS: &[(&str, Support)] = &[
    ("application_name", Support::Ignored),
    ("channel_binding", Support::Used),
    ("client_encoding", Support::Ignored),
    ("connect_timeout", Support::Used),
    ("dbname", Support::Used),
    ("fallback_application_name", Support::Ignored),
    ("gssdelegation", Support::Ignored),
    ("gssencmode", Support::Used),
    ("gsslib", Support::Ignored),
    ("host", Support::Used),
    ("hostaddr", Support::Used),
    ("keepalives", Support::Ignored),
    ("keepalives_count", Support::Ignored),
    ("keepalives_idle", Support::Ignored),
    ("keepalives_interval", Support::Ignored),
    ("krbsrvname", Support::Ignored),
    ("load_balance_hosts", Support::Used),
    ("max_protocol_version", Support::Ignored),
    ("min_protocol_version", Support::Ignored),
    ("options", Support::Used),
    ("passfile", Support::Used),
    ("password", Support::Used),
    ("port", Support::Used),
    ("replication", Support::Refused),
    ("require_auth", Support::Refused),
    ("requirepeer", Support::Refused),
    ("service", Support::Refused),
    ("servicefile", Support::Refused),
    ("sslcert", Support::Used),
    ("sslcertmode", Support::Ignored),
    ("sslcompression", Support::Ignored),
    ("sslcrl", Support::Refused),
    ("sslcrldir", Support::Refused),
    ("sslkey", Support::Used),
    ("ssl_max_protocol_version", Support::Ignored),
    ("ssl_min_protocol_version", Support::Used),
    ("sslmode", Support::Used),
    ("sslnegotiation", Support::Used),
    ("sslpassword", Support::Refused),
    ("sslrootcert", Support::Used),
    ("sslsni", Support::Ignored),
    ("target_session_attrs", Support::Used),
    ("tcp_user_timeout", Support::Ignored),
    ("user", Support::Used),
];

/// Takes a connection string apart. An empty one is fine: everything then comes from the surroundings.
///
/// # Errors
/// It is neither a URL nor a keyword string; it holds a parameter that is unknown or cannot be honoured.
pub(super) fn parse(text: &str) -> Result<Parameters, Problem> {
    let text = text.trim();
    let pairs = match text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"))
    {
        Some(rest) => url(rest)?,
        None => keywords(text)?,
    };
    let mut parameters = Parameters::new();
    for (key, value) in pairs {
        // JDBC's spelling, which libpq takes as well.
        let (key, value) = match (key.as_str(), value.as_str()) {
            ("ssl", "true") => ("sslmode".to_owned(), "require".to_owned()),
            _ => (key, value),
        };
        match PARAMETERS.iter().find(|(known, _)| *known == key) {
            None => {
                return Err(
                    invalid("it holds a parameter that PostgreSQL does not know")
                        .fix("in a URL, percent-encode the characters `@ : / ? # & %` of the password; in a keyword string, quote values with ''"),
                );
            }
            Some((name, Support::Refused)) => return Err(refused(name)),
            Some((_, Support::Ignored)) => {}
            Some((name, Support::Used)) => {
                parameters.insert((*name).to_owned(), value);
            }
        }
    }
    if parameters.get("gssencmode").is_some_and(|mode| mode == "require") {
        return Err(refused("gssencmode=require"));
    }
    Ok(parameters)
}

/// The problem with a parameter that cannot be honoured; leaving it out silently could weaken the connection.
pub(super) fn refused(parameter: &str) -> Problem {
    Problem::new(
        Exit::Usage,
        "connection-parameter-unsupported",
        format!("shipctl cannot honour the connection parameter `{parameter}`"),
    )
    .fix("leave it out, or give shipctl a connection string of its own")
}

/// A connection string that cannot be used, without any of its text.
pub(super) fn invalid(why: &str) -> Problem {
    Problem::new(
        Exit::Usage,
        "connection-string-invalid",
        "the database's connection string cannot be understood",
    )
    .because(format!(
        "{why} (the string is not shown, since it may hold a password)"
    ))
    .fix("write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or host=… port=… dbname=… user=…")
}

fn url(rest: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    let (location, query) = match rest.split_once('?') {
        Some((location, query)) => (location, Some(query)),
        None => (rest, None),
    };
    let (authority, database) = match location.split_once('/') {
        Some((authority, database)) => (authority, Some(database)),
        None => (location, None),
    };
    let (login, hosts) = match authority.split_once('@') {
        Some((login, hosts)) => (Some(login), hosts),
        None => (None, authority),
    };
    // A bare `@` or `/` further on is a password's, written without percent-encoding.
    if hosts.contains('@') || database.is_some_and(|name| name.contains(['@', '/'])) {
        return Err(invalid("there is an `@` or `/` too many").fix(
            "percent-encode the special characters of the password: `@` as %40, `/` as %2F, `:` as %3A",
        ));
    }
    if let Some(login) = login {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        push(&mut pairs, "user", user)?;
        push(&mut pairs, "password", password.unwrap_or_default())?;
    }
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[') {
            Some(bracketed) => {
                let (address, after) = bracketed
                    .split_once(']')
                    .ok_or_else(|| invalid("a `[` is never closed"))?;
                match after.strip_prefix(':') {
                    Some(port) => (address, port),
                    None if after.is_empty() => (address, ""),
                    None => return Err(invalid("after `]`, a port or a comma is expected")),
                }
            }
            None => host.split_once(':').unwrap_or((host, "")),
        };
        names.push(decode(name)?);
        ports.push(port);
    }
    if names.iter().any(|name| !name.is_empty()) {
        pairs.push(("host".to_owned(), names.join(",")));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        pairs.push(("port".to_owned(), ports.join(",")));
    }
    push(&mut pairs, "dbname", database.unwrap_or_default())?;
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| invalid("after `?`, KEY=VALUE pairs are expected"))?;
        pairs.push((decode(key)?, decode(value)?));
    }
    Ok(pairs)
}

fn push(pairs: &mut Vec<(String, String)>, key: &str, encoded: &str) -> Result<(), Problem> {
    if !encoded.is_empty() {
        pairs.push((key.to_owned(), decode(encoded)?));
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, Problem> {
    let wrong = || invalid("a `%` is not followed by two hexadecimal digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.get(..2).ok_or_else(wrong)?;
        let value = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|value| *value != 0)
            .ok_or_else(wrong)?;
        bytes.push(value);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8"))
}

fn keywords(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(pairs);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_whitespace()) {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.next() != Some('=') {
            return Err(invalid("a `=` is missing after a keyword"));
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\'') if quoted => break,
                Some('\\') => value.extend(chars.next()),
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
                None if quoted => return Err(invalid("a quoted value is never closed")),
                None => break,
            }
        }
        pairs.push((key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(
            parsed("postgresql://us%40er:p%3Aw@h1:1,[::1]:2/db?sslmode=verify-full&application_name=x"),
            pairs(&[
                ("dbname", "db"),
                ("host", "h1,::1"),
                ("password", "p:w"),
                ("port", "1,2"),
                ("sslmode", "verify-full"),
                ("user", "us@er"),
            ])
        );
        assert_eq!(
            parsed("postgres:///db?host=/run/pg"),
            pairs(&[("dbname", "db"), ("host", "/run/pg")])
        );
        assert_eq!(
            parsed("postgres://%2Frun%2Fpg/db"),
            pairs(&[("dbname", "db"), ("host", "/run/pg")])
        );
        assert!(parsed("").is_empty());
    }

    #[test]
    fn keyword_strings_are_taken_apart() {
        assert_eq!(
            parsed(r"host = h  password='it\'s a \\ secret' user=u\ v dbname=''"),
            pairs(&[
                ("dbname", ""),
                ("host", "h"),
                ("password", r"it's a \ secret"),
                ("user", "u v"),
            ])
        );
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for text in [
            "host=h sslcrl=/x",
            "postgres://h/?service=x",
            "gssencmode=require",
        ] {
            assert_eq!(
                parse(text).unwrap_err().code(),
                "connection-parameter-unsupported",
                "{text}"
            );
        }
    }

    #[test]
    fn errors_repeat_nothing_of_the_text() {
        for text in [
            "postgres://u:hun@ter2@host/db",
            "postgres://u:hun/ter2@host/db",
            "postgres://u:hun?ter2=ter2@host/db",
            "postgres://u:ter2%zz@host/db",
            "postgres://u@[ter2",
            "mysql://u:ter2@host/db",
            "password='ter2",
            "ter2",
            "hunter2=hunter2",
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.exit(), Exit::Usage);
            let shown = format!("{problem:?} {problem} {:?}", problem.remedy());
            assert!(!shown.contains("ter2"), "{text}: {shown}");
        }
    }
}
