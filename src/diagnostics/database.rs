//! Reaching the database, and what it answers.

use super::example::{elsewhere, typed};
use super::{Base, Diagnostic, Example, Group};
use crate::domain::Exit::{Failed, Unknown, Usage};

/// The database.
pub(super) const GROUP: Group = Group {
    title: "The database",
    entries: &[
        Diagnostic {
            code: "database-variable-missing",
            exits: &[Usage],
            condition: "shipctl.toml takes the connection string from an environment variable that is not set, or empty.",
            effect: "It is not known which database is meant, and none is guessed.",
            remedy: "Export it: `export DATABASE_URL=postgres://USER@HOST/DATABASE`; the password may come from PGPASSWORD or ~/.pgpass.",
            example: typed(
                Base::Project,
                &[],
                &["env --unset DATABASE_URL shipctl migrate status"],
                &["shipctl migrate status"],
            ),
        },
        Diagnostic {
            code: "connection-string-invalid",
            exits: &[Usage],
            condition: "The connection string is neither a URL nor a list of keywords and values that PostgreSQL's own tools would take. It is not shown, since it may hold a password.",
            effect: "It is not known which database is meant.",
            remedy: "Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or `host=… port=… dbname=… user=…`; in a URL, special characters of the password are percent-encoded.",
            example: typed(
                Base::Project,
                &[],
                &["DATABASE_URL=postgres://app:p@ss@db/shop shipctl migrate status"],
                &["shipctl migrate status"],
            ),
        },
        Diagnostic {
            code: "connection-parameter-unsupported",
            exits: &[Usage],
            condition: "The connection string asks for something that shipctl cannot do, such as a service file, Kerberos, or a list of revoked certificates.",
            effect: "To leave it out silently could lead to another database or weaken the connection.",
            remedy: "Leave it out, or give shipctl a connection string of its own.",
            example: typed(
                Base::Project,
                &[],
                &["DATABASE_URL=service=shop shipctl migrate status"],
                &["shipctl migrate status"],
            ),
        },
        Diagnostic {
            code: "database-user-missing",
            exits: &[Usage],
            condition: "The connection string names no user, and the user that runs shipctl has no name on this machine, as in some containers.",
            effect: "It is not known whom to connect as.",
            remedy: "Add the user to the connection string or set PGUSER.",
            example: Example::Unplayed("it takes a process whose user has no name"),
        },
        Diagnostic {
            code: "database-unreachable",
            exits: &[Unknown],
            condition: "No server answers at the host and port of the connection string, or it accepts nobody now.",
            effect: "What the ledger says is not known, so every gate stays closed.",
            remedy: "Check that the server runs and that host and port are right; `pg_isready` tells from a shell.",
            example: typed(
                Base::Project,
                &[],
                &["DATABASE_URL=postgres://localhost:1/shop shipctl migrate status"],
                &["shipctl migrate status"],
            ),
        },
        Diagnostic {
            code: "database-missing",
            exits: &[Unknown],
            condition: "The server answers, but has no database of that name.",
            effect: "What the ledger says is not known, so every gate stays closed.",
            remedy: "Create it, or correct the database's name in the connection string.",
            example: typed(
                Base::Project,
                &[],
                &["DATABASE_URL=${DATABASE_URL}_old shipctl migrate status"],
                &["shipctl migrate status"],
            ),
        },
        Diagnostic {
            code: "database-refused-login",
            exits: &[Unknown],
            condition: "The server refused the login: a wrong or missing password, a role that may not connect, or a password file that was not used because others may read it.",
            effect: "What the ledger says is not known, so every gate stays closed.",
            remedy: "Check the user and the password (PGPASSWORD, ~/.pgpass with mode 600, or the connection string), and the server's pg_hba.conf.",
            example: elsewhere(
                "tests/integration/connection.rs",
                "a_wrong_or_missing_password_is_a_refused_login_and_never_shown",
            ),
        },
        Diagnostic {
            code: "database-tls",
            exits: &[Unknown, Usage],
            condition: "No encrypted connection can be made as `sslmode` asks: the server has none, its certificate is not trusted or not for that host, or a certificate file cannot be used.",
            effect: "Without it, somebody else could be answering.",
            remedy: "Check sslmode and sslrootcert (PGSSLMODE, PGSSLROOTCERT) against the server's certificate.",
            example: elsewhere(
                "tests/integration/tls.rs",
                "every_sslmode_means_what_libpq_means_by_it",
            ),
        },
        Diagnostic {
            code: "database-too-old",
            exits: &[Usage],
            condition: "The server is older than PostgreSQL 13.",
            effect: "What shipctl relies on is not there, or behaves otherwise.",
            remedy: "Use PostgreSQL 13 or later.",
            example: Example::Unplayed("it takes a server that is no longer supported"),
        },
        Diagnostic {
            code: "database-pooled",
            exits: &[Usage],
            condition: "A pooler in transaction mode stands between shipctl and the database, such as PgBouncer.",
            effect: "It hands one server session to several clients in turn, so a lock or a setting does not stay with the one who made it.",
            remedy: "Give shipctl a direct connection to PostgreSQL, or a pool in session mode.",
            example: elsewhere(
                "tests/integration/pooler.rs",
                "a_run_does_not_begin_through_a_transaction_pooler",
            ),
        },
        Diagnostic {
            code: "pgbouncer-console",
            exits: &[Unknown],
            condition: "What answers at an address in `pgbouncer` is not a PgBouncer's console, or does not answer this role.",
            effect: "The clients behind it are not seen; an old version that idles there would be missed, so connections are only a sample.",
            remedy: "Let `pgbouncer` lead to the port of a PgBouncer, as a role of its `stats_users` or `admin_users`.",
            example: elsewhere(
                "tests/integration/pooler_census.rs",
                "a_console_that_does_not_tell_makes_connections_a_sample",
            ),
        },
        Diagnostic {
            code: "pgbouncer-elsewhere",
            exits: &[Unknown],
            condition: "A PgBouncer in `pgbouncer` does not serve the environment's database now.",
            effect: "Whose clients it has is not known, and the one that does serve the database is perhaps not asked.",
            remedy: "Name the consoles of all PgBouncers that serve the database in `pgbouncer`, and no others.",
            example: elsewhere(
                "tests/integration/pooler_census.rs",
                "a_console_that_does_not_tell_makes_connections_a_sample",
            ),
        },
        Diagnostic {
            code: "pgbouncer-several",
            exits: &[Unknown],
            condition: "What `pgbouncer` leads to may be several PgBouncers: a connection string with several hosts, a name with several addresses, processes that share a port (`so_reuseport`), or peers (`SHOW PEERS`).",
            effect: "Each knows its own clients only, and one is asked, so connections are only a sample.",
            remedy: "Give each PgBouncer an address of its own and list them all in `pgbouncer`; or have services report by a heartbeat or an endpoint.",
            example: elsewhere(
                "tests/integration/pooler_census.rs",
                "one_of_several_pgbouncers_does_not_pass_for_all",
            ),
        },
        Diagnostic {
            code: "pgbouncer-too-old",
            exits: &[Unknown],
            condition: "A PgBouncer in `pgbouncer` does not tell the names of its clients, as before its version 1.18.",
            effect: "Which versions are connected through it is not known, so connections are only a sample.",
            remedy: "Update PgBouncer, or have services report by a heartbeat or an endpoint.",
            example: Example::Unplayed("it takes a PgBouncer that is no longer to be had"),
        },
        Diagnostic {
            code: "database-standby",
            exits: &[Unknown],
            condition: "The server that answers is a standby.",
            effect: "Its ledger lags behind, and it sees only the clients that read from it: an old version that writes would not be seen.",
            remedy: "Name the primary; with several hosts, add `target_session_attrs=read-write`.",
            example: elsewhere(
                "tests/integration/adversary.rs",
                "a_standby_does_not_pass_for_the_database",
            ),
        },
        Diagnostic {
            code: "database-permission",
            exits: &[Failed],
            condition: "The role that shipctl connects as may not do something that was needed; the message says what.",
            effect: "The command could not be carried out. What was committed before is recorded.",
            remedy: "Grant the right to the role, or let shipctl connect as the owner of the tables.",
            example: typed(
                Base::Project,
                &[],
                &[
                    "psql -c 'CREATE TABLE migrations (id text, name text, applied_at timestamptz)'",
                    "DATABASE_URL=$DATABASE_URL'?options=-crole%3Dpg_monitor' shipctl migrate status",
                ],
                &[
                    "psql -c 'CREATE TABLE migrations (id text, name text, applied_at timestamptz)'",
                    "shipctl migrate status",
                ],
            ),
        },
        Diagnostic {
            code: "database-error",
            exits: &[Failed],
            condition: "The server refused something that shipctl asked of it, with a reason that has no code of its own here; the message holds the server's words and its SQLSTATE.",
            effect: "The command could not be carried out. What was committed before is recorded.",
            remedy: "Deal with what the server says; then run the command again.",
            example: typed(
                Base::Project,
                &[(
                    "migrations/0001_colours.sql",
                    "-- UP\nCREATE TABLE colours (name text);\n",
                )],
                &[
                    "psql -c 'CREATE TABLE migrations (id text, name text CHECK (length(name) < 3), applied_at timestamptz)'",
                    "shipctl migrate up",
                ],
                &[
                    "psql -c 'CREATE TABLE migrations (id text, name text, applied_at timestamptz)'",
                    "shipctl migrate up",
                ],
            ),
        },
        Diagnostic {
            code: "database-connection-lost",
            exits: &[Failed],
            condition: "The connection to the database ended while something was at work: the server was restarted, the network broke, or somebody ended the session.",
            effect: "The transaction at hand was rolled back by the server. A statement that cannot run in a transaction may have taken effect; the next run finds out.",
            remedy: "See that the database is up, then run the command again: what was committed is recorded.",
            example: elsewhere(
                "tests/integration/crash.rs",
                "a_server_that_goes_down_ends_the_run_and_loses_nothing",
            ),
        },
    ],
};
