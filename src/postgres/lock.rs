//! One run per plan and environment: an advisory lock on a session of its own.
//!
//! Two keys belong to every lock. The *run key* is held by the lock's session for as long as the run lives. The *effect
//! key* is held, shared, by every transaction that changes something for the run. Whoever takes the run key over from a
//! run whose lock session died waits until the effect key is free, so that an effect still under way can never overlap
//! with those of the next run.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, GenericClient, Statement};

use super::retry::AttemptError;
use super::{ConnectionSettings, Session, describe_error};
use crate::domain::{Digest, EnvironmentName, Exit, PlanId, Problem};

/// How long a new run waits for the last effect of one that died.
const LAST_EFFECT_ENDS_WITHIN: Duration = Duration::from_secs(15);

/// How often a lock that somebody else holds is tried again.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often the two sessions of the pooler test are asked in turn.
const POOLER_ROUNDS: usize = 3;

/// The lock of one plan in one environment, held as long as this value and its session live.
#[derive(Debug)]
pub struct RunLock {
    session: Session,
    key: Key,
    subject: String,
}

/// The two advisory lock keys of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    run: i64,
    effect: i64,
}

impl Key {
    fn of(parts: &[&str]) -> Self {
        let digest = Digest::of_parts(["shipctl"].into_iter().chain(parts.iter().copied()));
        let number = |from: usize| {
            digest
                .as_str()
                .get(from..from + 16)
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .unwrap_or_default()
                .cast_signed()
        };
        Self {
            run: number(0),
            effect: number(16),
        }
    }
}

impl RunLock {
    /// Takes the lock, or says who holds it.
    ///
    /// # Errors
    /// `run-locked` (exit 6), naming the holder: process id, application, address, since when; `database-pooled` (exit
    /// 2) where a pooler stands between, which would lend the lock's session to others.
    pub async fn acquire(
        settings: &ConnectionSettings,
        environment: &EnvironmentName,
        plan: &PlanId,
    ) -> Result<Self, Problem> {
        Self::acquire_for(
            settings,
            &subject(environment, plan),
            &["plan", environment.as_str(), plan.as_str()],
        )
        .await
    }

    /// Who runs a plan in an environment now, in words; `None` if nobody does. Takes no lock.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn at_work(
        client: &Client,
        environment: &EnvironmentName,
        plan: &PlanId,
    ) -> Result<Option<String>, Problem> {
        let key = Key::of(&["plan", environment.as_str(), plan.as_str()]);
        let holder = holder(client, key.run).await?;
        Ok(holder.pid.map(|_| holder.words))
    }

    /// Takes a lock for something else than a plan's run. `parts` make the key; `subject` is for people, such as
    /// `a migration of this database`.
    ///
    /// # Errors
    /// As [`RunLock::acquire`].
    pub async fn acquire_for(
        settings: &ConnectionSettings,
        subject: &str,
        parts: &[&str],
    ) -> Result<Self, Problem> {
        Self::acquire_within(settings, subject, parts, Duration::ZERO, |_| {}).await
    }

    /// As [`RunLock::acquire_for`], but waits for the holder for at most `patience`, and tells `waiting` once for whom.
    ///
    /// # Errors
    /// As [`RunLock::acquire`].
    pub async fn acquire_within(
        settings: &ConnectionSettings,
        subject: &str,
        parts: &[&str],
        patience: Duration,
        mut waiting: impl FnMut(&str),
    ) -> Result<Self, Problem> {
        let session = Session::open(settings, &purpose()).await?;
        refuse_pooler(settings, &session).await?;
        let lock = Self {
            session,
            key: Key::of(parts),
            subject: subject.to_owned(),
        };
        let client = lock.session.client();
        let begun = tokio::time::Instant::now();
        let mut told = false;
        while !try_lock(client, lock.key.run).await? {
            let holder = holder(client, lock.key.run).await?;
            if begun.elapsed() >= patience {
                return Err(Problem::new(
                    Exit::Locked,
                    "run-locked",
                    format!("{subject} is already going on"),
                )
                .because(format!("the lock is held by {}", holder.words))
                .fix(holder.fix()));
            }
            if !std::mem::replace(&mut told, true) {
                waiting(&holder.words);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        lock.wait_for_last_effect().await?;
        Ok(lock)
    }

    /// Proves, on another session, that the lock is still held by this value's session. Called at the start of every
    /// effect's transaction, so that a run whose lock session died changes nothing any more; until that transaction
    /// ends, no other run begins.
    ///
    /// # Errors
    /// `run-lock-lost` (exit 6).
    pub async fn assert_held(&self, client: &impl GenericClient) -> Result<(), Problem> {
        let failed = |error: tokio_postgres::Error| describe_error(&error, ASKING);
        // First the effect key, then the look: a new run does it in the opposite order.
        let shared = client
            .query_one(SHARE_EFFECT, &[&self.key.effect])
            .await
            .map_err(failed)?;
        let held = client
            .query_one(IS_HELD, &[&self.key.run, &self.session.backend_pid()])
            .await
            .map_err(failed)?;
        if shared.get(0) && held.get(0) && !self.is_lost() {
            return Ok(());
        }
        Err(lost(&self.subject))
    }

    /// Who vouches for the run: what another session needs to prove that the lock is still held.
    pub fn witness(&self) -> Witness {
        Witness {
            key: self.key,
            holder: self.session.backend_pid(),
            subject: self.subject.clone(),
        }
    }

    /// Whether the lock's connection is known to have ended.
    pub fn is_lost(&self) -> bool {
        self.session.client().is_closed()
    }

    /// The server process that holds the lock.
    pub fn backend_pid(&self) -> i32 {
        self.session.backend_pid()
    }

    /// The lock's session, for looking at others while an effect runs. Nothing may be changed on it.
    pub fn client(&self) -> &Client {
        self.session.client()
    }

    async fn wait_for_last_effect(&self) -> Result<(), Problem> {
        let client = self.session.client();
        let begun = tokio::time::Instant::now();
        while !try_lock(client, self.key.effect).await? {
            if begun.elapsed() > LAST_EFFECT_ENDS_WITHIN {
                let holder = holder(client, self.key.effect).await?;
                return Err(Problem::new(
                    Exit::Locked,
                    "run-locked",
                    format!(
                        "{} has ended, but its last statement is still going on",
                        self.subject
                    ),
                )
                .because(format!("it is run by {}", holder.words))
                .fix(holder.fix()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        client
            .execute("SELECT pg_advisory_unlock($1)", &[&self.key.effect])
            .await
            .map(drop)
            .map_err(|error| describe_error(&error, "taking the run lock"))
    }
}

type Parameter<'p> = &'p (dyn ToSql + Sync);

const ASKING: &str = "checking the run lock";

/// Takes the effect key until the transaction ends, beside the run's other effects.
const SHARE_EFFECT: &str = "SELECT pg_try_advisory_xact_lock_shared($1)";

/// Whether a server process holds the run key.
const IS_HELD: &str = "SELECT EXISTS (SELECT FROM pg_locks
      WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid = $2
        AND classid::bigint = ($1::bigint >> 32) & 4294967295
        AND objid::bigint = $1::bigint & 4294967295
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";

fn lost(subject: &str) -> Problem {
    Problem::new(
        Exit::Locked,
        "run-lock-lost",
        format!("the lock of {subject} was lost"),
    )
    .because(
        "the session that held it has ended, so that another run may have begun; nothing more was changed",
    )
    .fix("see why the connection ended (server restart, network, pg_terminate_backend), then run again")
}

/// A run as others see it: which server process holds its lock.
#[derive(Clone, Debug)]
pub struct Witness {
    key: Key,
    holder: i32,
    subject: String,
}

impl Witness {
    /// The run of a plan that is under way, by whichever process; `None` if there is none.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn of_run(
        client: &Client,
        environment: &EnvironmentName,
        plan: &PlanId,
    ) -> Result<Option<Self>, Problem> {
        let key = Key::of(&["plan", environment.as_str(), plan.as_str()]);
        let holder = holder(client, key.run).await?;
        Ok(holder.pid.map(|holder| Self {
            key,
            holder,
            subject: subject(environment, plan),
        }))
    }

    /// The server process that holds the run's lock.
    pub fn holder(&self) -> i32 {
        self.holder
    }

    /// Whether the run still holds its lock.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn is_at_work(&self, client: &Client) -> Result<bool, Problem> {
        client
            .query_one(IS_HELD, &[&self.key.run, &self.holder])
            .await
            .map(|row| row.get(0))
            .map_err(|error| describe_error(&error, ASKING))
    }

    /// Prepares the proof on a session that changes things for the run again and again.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn fence(&self, client: &Client) -> Result<Fence, Problem> {
        let failed = |error: tokio_postgres::Error| describe_error(&error, ASKING);
        Ok(Fence {
            witness: self.clone(),
            share: client.prepare(SHARE_EFFECT).await.map_err(failed)?,
            held: client.prepare(IS_HELD).await.map_err(failed)?,
        })
    }
}

/// As [`RunLock::assert_held`], prepared on one session, in one round trip.
#[derive(Clone, Debug)]
pub struct Fence {
    witness: Witness,
    share: Statement,
    held: Statement,
}

impl Fence {
    /// Proves that the run's lock is held; until the transaction that `client` is in ends, no other run begins.
    ///
    /// # Errors
    /// `run-lock-lost` (exit 6) as a problem; what the database says.
    pub async fn assert_held(&self, client: &Client) -> Result<(), AttemptError> {
        let Witness { key, holder, subject } = &self.witness;
        // Sent together; the server takes them in this order, on which the proof rests.
        let (effect, run): ([Parameter<'_>; 1], [Parameter<'_>; 2]) = ([&key.effect], [&key.run, holder]);
        let (shared, held) = tokio::try_join!(
            biased;
            client.query_one(&self.share, &effect),
            client.query_one(&self.held, &run),
        )?;
        if shared.get(0) && held.get(0) {
            Ok(())
        } else {
            Err(lost(subject).into())
        }
    }
}

fn subject(environment: &EnvironmentName, plan: &PlanId) -> String {
    format!("a run of {plan} in {environment}")
}

async fn try_lock(client: &Client, key: i64) -> Result<bool, Problem> {
    client
        .query_one("SELECT pg_try_advisory_lock($1)", &[&key])
        .await
        .map(|row| row.get(0))
        .map_err(|error| describe_error(&error, "taking the run lock"))
}

/// Who holds a lock.
struct Holder {
    pid: Option<i32>,
    words: String,
}

impl Holder {
    fn fix(&self) -> String {
        match self.pid {
            Some(pid) => format!(
                "wait until it has ended; if its program is gone, end its session: SELECT pg_terminate_backend({pid})"
            ),
            None => "try again".to_owned(),
        }
    }
}

async fn holder(client: &Client, key: i64) -> Result<Holder, Problem> {
    let row = client
        .query_opt(
            "SELECT l.pid, a.application_name, a.usename::text, host(a.client_addr),
                    to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"')
               FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
              WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                AND l.classid::bigint = ($1::bigint >> 32) & 4294967295
                AND l.objid::bigint = $1::bigint & 4294967295
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              LIMIT 1",
            &[&key],
        )
        .await
        .map_err(|error| describe_error(&error, "looking for the holder of the run lock"))?;
    let Some(row) = row else {
        return Ok(Holder {
            pid: None,
            words: "a session that has just ended".to_owned(),
        });
    };
    let pid: Option<i32> = row.get(0);
    let text = |column: usize| row.get::<_, Option<&str>>(column).filter(|text| !text.is_empty());
    let mut words = match text(1) {
        Some(name) => format!("`{name}`"),
        None => "an unnamed session".to_owned(),
    };
    if let Some(pid) = pid {
        words.push_str(&format!(", server process {pid}"));
    }
    if let Some(user) = text(2) {
        words.push_str(&format!(", as {user}"));
    }
    match text(3) {
        Some(address) => words.push_str(&format!(", from {address}")),
        None => words.push_str(", over a local socket or from an address this role may not see"),
    }
    if let Some(since) = text(4) {
        words.push_str(&format!(", since {since}"));
    }
    Ok(Holder { pid, words })
}

/// A transaction-pooling pooler lends one server session to many clients. It shows when two clients are served by the
/// same process, or when one client is served by another process than before.
async fn refuse_pooler(settings: &ConnectionSettings, session: &Session) -> Result<(), Problem> {
    let other = Session::open(settings, "pooler test").await?;
    let mut pooled = other.backend_pid() == session.backend_pid();
    for _ in 0..POOLER_ROUNDS {
        for one in [session, &other] {
            let row = one
                .client()
                .query_one("SELECT pg_backend_pid()", &[])
                .await
                .map_err(|error| describe_error(&error, "testing for a connection pooler"))?;
            pooled |= row.get::<_, i32>(0) != one.backend_pid();
        }
    }
    if !pooled {
        return Ok(());
    }
    Err(Problem::new(
        Exit::Usage,
        "database-pooled",
        format!("a pooler stands between shipctl and the database: {}", settings.describe()),
    )
    .because("it hands one server session to several clients in turn, so that a lock or a setting does not stay with the one who made it")
    .fix("give shipctl a direct connection to PostgreSQL, or a pool in session mode"))
}

/// `lock HOST:PID`, so that a refusal tells where the holder runs. The session cuts what does not fit.
fn purpose() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host: String = host.chars().take(36).collect();
    format!("lock {host}:{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_every_part() {
        let keys = [
            Key::of(&["plan", "a", "b"]),
            Key::of(&["plan", "ab", ""]),
            Key::of(&["plan", "b", "a"]),
            Key::of(&["migrate"]),
        ];
        for (i, one) in keys.iter().enumerate() {
            assert_ne!(one.run, one.effect);
            assert!(keys.iter().skip(i + 1).all(|other| other != one));
        }
    }

    #[test]
    fn the_name_of_the_lock_session_fits() {
        assert!(format!("shipctl {}", purpose()).len() <= 63);
    }
}
