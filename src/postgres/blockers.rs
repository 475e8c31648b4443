//! Who stands in the way: sessions that hold locks which conflict with what is to run. They are named, looked for before a
//! lock is asked for, and ended where somebody wants that.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::{Client, Row};

use super::describe_error;
use crate::domain::{Problem, TableName};
use crate::ledger::Ending;
use crate::sql::LockMode;

/// How much of a query's text is shown.
const SHOWN_QUERY: usize = 80;

/// How the sessions of this program name themselves.
const OWN: &str = "shipctl ";

/// A session that stood in the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blocker {
    /// Its server process; 0 stands for a prepared transaction.
    pub pid: i32,
    /// Its application name, if it has one.
    pub application: Option<String>,
    /// Its role.
    pub user: Option<String>,
    /// `active`, `idle in transaction` …; unknown where the role may not see it.
    pub state: Option<String>,
    /// How long its transaction has been open.
    pub transaction_age: Option<Duration>,
    /// The beginning of its current or last query.
    pub query: Option<String>,
    /// What kind of server process it is: `client backend`, `autovacuum worker` …
    pub kind: Option<String>,
    /// When its server process started, which tells it from a later one of the same number.
    pub started: Option<Timestamp>,
    /// Its transaction, as `pg_locks` names it (for a prepared transaction too).
    pub transaction: Option<String>,
    /// The lock it holds that is in the way. `None` where none was seen: it may only stand in line as well.
    pub holds: Option<String>,
    /// The name of a prepared transaction.
    pub prepared: Option<String>,
    /// Whether our role may end it.
    pub may_end: bool,
}

/// Why a session is not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spared {
    /// It is a prepared transaction: whoever prepared it may still commit it.
    Prepared,
    /// It is a session of this program.
    Own,
    /// It is a server process that serves no client: replication, a worker.
    NotAClient,
    /// It keeps the database from running out of transaction ids.
    Wraparound,
    /// It holds no lock that is in the way; it waits as well.
    Waits,
    /// What it does is not known: our role may not see it.
    Unseen,
    /// Our role may not end it.
    NotAllowed,
}

impl fmt::Display for Spared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepared => "whoever prepared the transaction may still commit it",
            Self::Own => "it is a session of shipctl",
            Self::NotAClient => "it serves no client",
            Self::Wraparound => "it prevents transaction id wraparound",
            Self::Waits => "it only waits as well",
            Self::Unseen => "our role may not see what it does",
            Self::NotAllowed => "our role may not end it",
        })
    }
}

impl Blocker {
    /// Whether both are the same transaction.
    pub fn is_same(&self, other: &Self) -> bool {
        self.pid == other.pid && self.transaction == other.transaction
    }

    /// How it may be ended: what is at work is cancelled, what idles in a transaction loses its connection.
    ///
    /// # Errors
    /// Why it is left alone.
    pub fn ending(&self) -> Result<Ending, Spared> {
        if self.pid == 0 {
            return Err(Spared::Prepared);
        }
        if self
            .application
            .as_ref()
            .is_some_and(|name| name.starts_with(OWN))
        {
            return Err(Spared::Own);
        }
        let (Some(kind), Some(state), Some(_)) = (&self.kind, &self.state, self.started) else {
            return Err(Spared::Unseen);
        };
        match kind.as_str() {
            "client backend" => {}
            "autovacuum worker" => match &self.query {
                None => return Err(Spared::Unseen),
                Some(query) if query.contains("to prevent wraparound") => return Err(Spared::Wraparound),
                Some(_) => {}
            },
            _ => return Err(Spared::NotAClient),
        }
        if self.holds.is_none() || self.transaction.is_none() {
            return Err(Spared::Waits);
        }
        let ending = match state.as_str() {
            "active" | "fastpath function call" => Ending::Cancelled,
            "idle in transaction" | "idle in transaction (aborted)" => Ending::Terminated,
            _ => return Err(Spared::Unseen),
        };
        if self.may_end {
            Ok(ending)
        } else {
            Err(Spared::NotAllowed)
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return match &self.prepared {
                Some(name) => write!(f, "the prepared transaction `{name}` (see pg_prepared_xacts)"),
                None => f.write_str("a prepared transaction (see pg_prepared_xacts)"),
            };
        }
        write!(f, "process {}", self.pid)?;
        if let Some(application) = &self.application {
            write!(f, " `{application}`")?;
        }
        if let Some(user) = &self.user {
            write!(f, " as {user}")?;
        }
        if let Some(state) = &self.state {
            write!(f, ", {state}")?;
        }
        if let Some(age) = self.transaction_age {
            write!(f, ", transaction open for {:.1} s", age.as_secs_f64())?;
        }
        if let Some(query) = &self.query {
            write!(f, ": {query}")?;
        }
        Ok(())
    }
}

/// What a lock is on, in one text, so that two can be compared.
const TAG: &str = "concat_ws('/', locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid, objsubid)";

/// Which mode that is wanted conflicts with which that is held.
static CONFLICTS: LazyLock<String> = LazyLock::new(|| {
    let pairs: Vec<String> = LockMode::ALL
        .into_iter()
        .flat_map(|wanted| LockMode::ALL.map(|held| (wanted, held)))
        .filter(|(wanted, held)| wanted.conflicts_with(*held))
        .map(|(wanted, held)| format!("('{}', '{}')", wanted.catalog_name(), held.catalog_name()))
        .collect();
    pairs.join(", ")
});

/// Describes those in the way: `found(pid, transaction, holds)` says who they are, with pid 0 for a prepared transaction.
fn describing(with: &str, found: &str) -> String {
    format!(
        "WITH {with}
         conflicts(wanted, held) AS (VALUES {}),
         locks AS MATERIALIZED (SELECT *, {TAG} AS tag FROM pg_locks),
         found AS ({found})
         SELECT DISTINCT ON (f.pid, f.transaction)
                f.pid, f.transaction, f.holds, nullif(a.application_name, ''), a.usename::text, a.state,
                extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8,
                left(btrim(regexp_replace(a.query, '\\s+', ' ', 'g')), 200), a.backend_type, a.backend_start, p.gid,
                (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
                OR (NOT coalesce((SELECT rolsuper FROM pg_roles WHERE oid = a.usesysid), true)
                    AND (pg_has_role(a.usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))
           FROM found f
           LEFT JOIN pg_stat_activity a ON a.pid = f.pid
           LEFT JOIN LATERAL (
                SELECT p.* FROM pg_prepared_xacts p JOIN locks l ON l.transactionid = p.transaction
                 WHERE f.pid = 0 AND l.pid IS NULL AND l.virtualtransaction = f.transaction AND l.granted
                 LIMIT 1) p ON true
          ORDER BY f.pid, f.transaction, f.holds NULLS LAST",
        *CONFLICTS
    )
}

fn read(rows: &[Row]) -> Vec<Blocker> {
    let mut blockers: Vec<Blocker> = rows
        .iter()
        .map(|row| Blocker {
            pid: row.get(0),
            transaction: row.get(1),
            holds: row.get(2),
            application: row.get(3),
            user: row.get(4),
            state: row.get(5),
            transaction_age: row
                .get::<_, Option<f64>>(6)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()),
            query: row
                .get::<_, Option<&str>>(7)
                .filter(|query| !query.is_empty() && *query != "<insufficient privilege>")
                .map(shortened),
            kind: row.get(8),
            started: row.get(9),
            prepared: row.get(10),
            may_end: row.get::<_, Option<bool>>(11).unwrap_or(false),
        })
        .collect();
    // The oldest transaction first: it is the likeliest to be the reason.
    blockers.sort_by_key(|blocker| std::cmp::Reverse(blocker.transaction_age));
    blockers
}

/// The sessions that a server process waits for, as another session sees them.
///
/// # Errors
/// The database cannot be asked.
pub async fn blockers_of(monitor: &Client, pid: i32) -> Result<Vec<Blocker>, Problem> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        describing(
            "blocking AS MATERIALIZED (SELECT DISTINCT pid FROM unnest(pg_blocking_pids($1)) AS pid),",
            "SELECT b.pid, coalesce(h.virtualtransaction, o.virtualtransaction) AS transaction, h.tag AS holds
               FROM blocking b
               LEFT JOIN LATERAL (
                    SELECT l.virtualtransaction, l.tag
                      FROM locks w JOIN locks l USING (tag) JOIN conflicts c ON c.wanted = w.mode AND c.held = l.mode
                     WHERE w.pid = $1 AND NOT w.granted AND l.granted AND coalesce(l.pid, 0) = b.pid
                     LIMIT 1) h ON true
               LEFT JOIN LATERAL (SELECT virtualtransaction FROM locks WHERE locks.pid = b.pid LIMIT 1) o ON true",
        )
    });
    monitor
        .query(SQL.as_str(), &[&pid])
        .await
        .map(|rows| read(&rows))
        .map_err(|error| describe_error(&error, "looking who holds the lock"))
}

/// A table by its catalog id, and the mode in which it is to be locked.
pub type Wanted = (u32, LockMode);

/// The tables that locks are wanted on, with those that inherit from them or are their partitions. To be asked on the
/// session that will take the locks, whose search path decides. What does not exist is left out.
///
/// # Errors
/// The database cannot be asked.
pub async fn relations_of(
    client: &Client,
    tables: &[(&TableName, LockMode)],
) -> Result<Vec<Wanted>, Problem> {
    let names: Vec<String> = tables.iter().map(|(table, _)| table.quoted()).collect();
    let modes: Vec<&str> = tables.iter().map(|(_, mode)| mode.catalog_name()).collect();
    let rows = client
        .query(
            "WITH RECURSIVE tree(relation, mode) AS (
                SELECT to_regclass(w.name)::oid, w.mode FROM unnest($1::text[], $2::text[]) AS w(name, mode)
                UNION
                SELECT i.inhrelid, tree.mode FROM tree JOIN pg_inherits i ON i.inhparent = tree.relation)
             SELECT relation, mode FROM tree WHERE relation IS NOT NULL",
            &[&names, &modes],
        )
        .await
        .map_err(|error| describe_error(&error, "looking up the tables to lock"))?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let name: &str = row.get(1);
            let mode = LockMode::ALL
                .into_iter()
                .find(|mode| mode.catalog_name() == name)?;
            Some((row.get(0), mode))
        })
        .collect())
}

/// Who holds locks that conflict with those that are wanted, and who of those `seen` before still holds what was in the way.
/// Asks for no lock itself. `worker` is the session that wants them.
///
/// # Errors
/// The database cannot be asked.
pub async fn holders_of(
    monitor: &Client,
    wanted: &[Wanted],
    seen: &[Blocker],
    worker: i32,
) -> Result<Vec<Blocker>, Problem> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        describing(
            "wanted(relation, mode) AS (SELECT * FROM unnest($1::oid[], $2::text[])),
             seen(transaction, tag) AS (SELECT * FROM unnest($3::text[], $4::text[])),",
            "SELECT coalesce(leader.leader_pid, l.pid, 0) AS pid, l.virtualtransaction AS transaction, l.tag AS holds
               FROM locks l LEFT JOIN pg_stat_activity leader ON leader.pid = l.pid
              WHERE l.granted AND l.pid IS DISTINCT FROM $5
                AND (EXISTS (SELECT FROM seen WHERE seen.transaction = l.virtualtransaction AND seen.tag = l.tag)
                     OR l.locktype = 'relation'
                        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                        AND EXISTS (SELECT FROM wanted w JOIN conflicts c ON c.wanted = w.mode
                                     WHERE w.relation = l.relation AND c.held = l.mode))",
        )
    });
    let (relations, modes): (Vec<u32>, Vec<&str>) = wanted
        .iter()
        .map(|(relation, mode)| (*relation, mode.catalog_name()))
        .unzip();
    let (transactions, tags): (Vec<&str>, Vec<&str>) = seen
        .iter()
        .filter_map(|blocker| blocker.transaction.as_deref().zip(blocker.holds.as_deref()))
        .unzip();
    monitor
        .query(SQL.as_str(), &[&relations, &modes, &transactions, &tags, &worker])
        .await
        .map(|rows| read(&rows))
        .map_err(|error| describe_error(&error, "looking who holds the lock"))
}

/// Describes a session that something waits for, by its process.
///
/// # Errors
/// The database cannot be asked.
pub async fn session_of(monitor: &Client, pid: i32) -> Result<Option<Blocker>, Problem> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        describing(
            "",
            "SELECT l.pid, l.virtualtransaction AS transaction, NULL::text AS holds FROM locks l WHERE l.pid = $1",
        )
    });
    monitor
        .query(SQL.as_str(), &[&pid])
        .await
        .map(|rows| read(&rows).into_iter().next())
        .map_err(|error| describe_error(&error, "looking who holds the lock"))
}

/// Ends a session in one statement with the look whether it is still the one that was seen: the same server process since
/// the same moment, in the same transaction, in the same state, holding the same lock. `false` if it is not, and
/// nothing was done.
///
/// # Errors
/// The database refuses.
pub async fn end(monitor: &Client, blocker: &Blocker, ending: Ending) -> Result<bool, Problem> {
    let (call, states) = match ending {
        Ending::Cancelled => ("pg_cancel_backend", "'active', 'fastpath function call'"),
        Ending::Terminated => (
            "pg_terminate_backend",
            "'idle in transaction', 'idle in transaction (aborted)'",
        ),
    };
    let row = monitor
        .query_opt(
            &format!(
                "SELECT {call}(a.pid) FROM pg_stat_activity a
                  WHERE a.pid = $1 AND a.backend_start = $2 AND a.state IN ({states})
                    AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.virtualtransaction = $3
                                   AND {TAG} = $4)"
            ),
            &[&blocker.pid, &blocker.started, &blocker.transaction, &blocker.holds],
        )
        .await
        .map_err(|error| describe_error(&error, "ending a session that is in the way"))?;
    Ok(row.is_some_and(|row| row.get(0)))
}

fn shortened(query: &str) -> String {
    if query.to_ascii_lowercase().contains("password") {
        return "(a query that names a password is not shown)".to_owned();
    }
    let plain = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    };
    match query.char_indices().nth(SHOWN_QUERY) {
        Some((end, _)) => format!("{}…", plain(&query[..end])),
        None => plain(query),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Blocker {
        Blocker {
            pid: 42,
            application: Some("report".to_owned()),
            user: Some("ada".to_owned()),
            state: Some("idle in transaction".to_owned()),
            transaction_age: Some(Duration::from_millis(12_340)),
            query: Some(shortened(&"select ü ".repeat(30))),
            kind: Some("client backend".to_owned()),
            started: Some(Timestamp::UNIX_EPOCH),
            transaction: Some("3/17".to_owned()),
            holds: Some("relation/5/16384".to_owned()),
            prepared: None,
            may_end: true,
        }
    }

    #[test]
    fn a_blocker_is_described_in_one_line() {
        let text = client().to_string();
        assert!(text.starts_with(
            "process 42 `report` as ada, idle in transaction, transaction open for 12.3 s: select ü"
        ));
        assert!(text.ends_with('…'));
    }

    #[test]
    fn no_password_and_no_control_character_is_shown() {
        assert!(!shortened("ALTER ROLE ada PassWord 'secret'").contains("secret"));
        assert_eq!(shortened("SELECT '\u{1b}[2J'"), "SELECT ' [2J'");
    }

    #[test]
    fn only_clients_that_hold_the_lock_are_ended_and_only_as_their_state_asks() {
        let with = |change: fn(&mut Blocker)| {
            let mut blocker = client();
            change(&mut blocker);
            blocker.ending()
        };
        let kind = |kind: &str, query: Option<&str>| {
            let mut blocker = client();
            blocker.kind = Some(kind.to_owned());
            blocker.query = query.map(str::to_owned);
            blocker.state = Some("active".to_owned());
            blocker.ending()
        };
        assert_eq!(with(|_| {}), Ok(Ending::Terminated));
        assert_eq!(
            with(|b| b.state = Some("active".to_owned())),
            Ok(Ending::Cancelled)
        );
        assert_eq!(
            kind("autovacuum worker", Some("autovacuum: VACUUM t")),
            Ok(Ending::Cancelled)
        );
        for (ending, spared) in [
            (with(|b| b.pid = 0), Spared::Prepared),
            (
                with(|b| b.application = Some("shipctl run".to_owned())),
                Spared::Own,
            ),
            (kind("walsender", None), Spared::NotAClient),
            (kind("background worker", None), Spared::NotAClient),
            (kind("logical replication worker", None), Spared::NotAClient),
            (
                kind(
                    "autovacuum worker",
                    Some("autovacuum: VACUUM t (to prevent wraparound)"),
                ),
                Spared::Wraparound,
            ),
            (kind("autovacuum worker", None), Spared::Unseen),
            (with(|b| b.kind = None), Spared::Unseen),
            (with(|b| b.started = None), Spared::Unseen),
            (with(|b| b.state = None), Spared::Unseen),
            (with(|b| b.state = Some("disabled".to_owned())), Spared::Unseen),
            (with(|b| b.state = Some("idle".to_owned())), Spared::Unseen),
            (with(|b| b.holds = None), Spared::Waits),
            (with(|b| b.may_end = false), Spared::NotAllowed),
        ] {
            assert_eq!(ending, Err(spared));
        }
    }
}
