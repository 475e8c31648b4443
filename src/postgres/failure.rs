//! The server's and the driver's errors in words, free of secrets.

use std::error::Error as _;

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use super::ConnectionSettings;
use crate::domain::{Exit, Problem};

/// An error of the server or the connection as a problem, with SQLSTATE, detail and hint, free of secrets.
/// `doing` completes "while …".
pub fn describe_error(error: &tokio_postgres::Error, doing: &str) -> Problem {
    let Some(server) = error.as_db_error() else {
        let why = chain(error);
        return if is_lost(error) {
            Problem::new(
                Exit::Failed,
                "database-connection-lost",
                format!("the connection to the database was lost while {doing}"),
            )
            .because(why)
            .fix("see that the database is up, then run the command again: what was committed is recorded")
        } else {
            Problem::new(Exit::Failed, "database-error", format!("{why} while {doing}"))
        };
    };
    let code = server.code();
    let message = format!("{} (SQLSTATE {}) while {doing}", server.message(), code.code());
    let problem = if is_lost(error) {
        Problem::new(Exit::Failed, "database-connection-lost", message)
            .fix("see that the database is up, then run the command again: what was committed is recorded")
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        Problem::new(Exit::Failed, "database-permission", message)
    } else if *code == SqlState::INVALID_SQL_STATEMENT_NAME || *code == SqlState::DUPLICATE_PSTATEMENT {
        // Our own prepared statement is unknown to, or taken in, a session that is not ours alone.
        Problem::new(Exit::Usage, "database-pooled", message)
            .fix("a pooler seems to stand between: give shipctl a direct connection to PostgreSQL")
    } else {
        Problem::new(Exit::Failed, "database-error", message)
    };
    let problem = match particulars(server) {
        Some(more) => problem.because(more),
        None => problem,
    };
    match server.hint() {
        Some(hint) if problem.remedy().is_none() => problem.fix(hint.to_owned()),
        _ => problem,
    }
}

/// Whether the session is gone with this error.
pub(super) fn is_lost(error: &tokio_postgres::Error) -> bool {
    if let Some(code) = error.code() {
        return code.code().starts_with("08")
            || [
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::IDLE_SESSION_TIMEOUT,
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            ]
            .contains(code);
    }
    error.is_closed()
        || error
            .source()
            .is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some())
}

/// Detail, the place inside the statement, and the function that was running.
fn particulars(server: &DbError) -> Option<String> {
    let mut lines = Vec::new();
    if let Some(detail) = server.detail() {
        lines.push(detail.to_owned());
    }
    match server.position() {
        Some(ErrorPosition::Original(at)) => lines.push(format!("at character {at} of the statement")),
        Some(ErrorPosition::Internal { position, query }) => {
            lines.push(format!("at character {position} of the inner query: {query}"));
        }
        None => {}
    }
    if let Some(place) = server.where_() {
        lines.push(place.to_owned());
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The driver's error with its causes, in one line.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// Why no session came about.
pub(super) fn describe_refusal(error: &tokio_postgres::Error, settings: &ConnectionSettings) -> Problem {
    let place = settings.describe();
    if let Some(server) = error.as_db_error() {
        let code = server.code();
        let said = format!("the server says: {} (SQLSTATE {})", server.message(), code.code());
        return if [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        ]
        .contains(code)
        {
            refused_login(settings, said)
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            Problem::new(
                Exit::Unknown,
                "database-missing",
                format!("there is no such database: {place}"),
            )
            .because(said)
            .fix("create it, or correct the database's name in the connection string")
        } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            Problem::new(
                Exit::Unknown,
                "database-refused-login",
                format!("the role may not connect: {place}"),
            )
            .because(said)
            .fix("grant it with GRANT CONNECT ON DATABASE … TO …")
        } else {
            unreachable(&place, said)
        };
    }
    let why = chain(error);
    if why.contains("password missing") {
        return refused_login(
            settings,
            "the server asks for a password, and none is known".to_owned(),
        );
    }
    if why.contains("TLS") || why.contains("certificate") {
        return Problem::new(
            Exit::Unknown,
            "database-tls",
            format!("no encrypted connection can be made: {place}"),
        )
        .because(why)
        .fix("check sslmode and sslrootcert against the server's certificate");
    }
    if why.starts_with("authentication error") {
        return refused_login(settings, why);
    }
    unreachable(&place, why)
}

/// No answer from the server.
pub(super) fn unreachable(place: &str, why: String) -> Problem {
    Problem::new(
        Exit::Unknown,
        "database-unreachable",
        format!("the database cannot be reached: {place}"),
    )
    .because(why)
    .fix("check that the server runs and that host and port are right; pg_isready tells from a shell")
}

fn refused_login(settings: &ConnectionSettings, why: String) -> Problem {
    let fix = match settings.ignored_password_file() {
        Some(file) => format!(
            "{} was not used, because others may read it: chmod 600 {}",
            file.display(),
            file.display()
        ),
        None => {
            "check the user and the password (PGPASSWORD, ~/.pgpass, or the connection string)".to_owned()
        }
    };
    Problem::new(
        Exit::Unknown,
        "database-refused-login",
        format!("the database refused the login: {}", settings.describe()),
    )
    .because(why)
    .fix(fix)
}
