//! One plain runner a database: an advisory lock on a session of its own.

use std::time::{Duration, Instant};

use tokio_postgres::GenericClient;

use crate::domain::{Exit, Problem};
use crate::postgres::{ConnectionSettings, Session, describe_error};

/// The lock's key (the bytes of `shipctl` and a version). Advisory locks are a database's own.
const KEY: i64 = 0x73_68_69_70_63_74_6c_01;

/// How long the second of two runners waits for the first.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it tries.
const POLL: Duration = Duration::from_millis(250);

/// The lock, held as long as this value lives. Its session serves to look on while another one works.
pub(super) struct RunnerLock {
    session: Session,
}

impl RunnerLock {
    /// Takes the lock; waits a while for another runner, and tells `waiting` for whom.
    ///
    /// # Errors
    /// `migrate-locked` (exit 6), naming the holder.
    pub(super) async fn acquire(
        settings: &ConnectionSettings,
        mut waiting: impl FnMut(&str),
    ) -> Result<Self, Problem> {
        let session = Session::open(settings, "migrate lock").await?;
        let started = Instant::now();
        let mut told = false;
        loop {
            let taken: bool = session
                .client()
                .query_one("SELECT pg_try_advisory_lock($1)", &[&KEY])
                .await
                .map_err(|error| describe_error(&error, "taking the runner's lock"))?
                .get(0);
            if taken {
                return Ok(Self { session });
            }
            let holder = holder(session.client()).await?;
            if started.elapsed() >= PATIENCE {
                return Err(Problem::new(
                    Exit::Locked,
                    "migrate-locked",
                    "another run of shipctl migrate is at work on this database",
                )
                .because(holder)
                .fix("wait until it is done; then look with shipctl migrate status"));
            }
            if !std::mem::replace(&mut told, true) {
                waiting(&holder);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The lock's session, to look on with.
    pub(super) fn monitor(&self) -> &tokio_postgres::Client {
        self.session.client()
    }

    /// Proves on another session that the lock is still held, so that a run whose lock died changes nothing any more.
    ///
    /// # Errors
    /// `migrate-lock-lost` (exit 6).
    pub(super) async fn assert_held(&self, client: &impl GenericClient) -> Result<(), Problem> {
        let held: bool = client
            .query_one(
                "SELECT EXISTS (SELECT 1 FROM pg_locks
                  WHERE locktype = 'advisory' AND granted AND pid = $2 AND objsubid = 1
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND (classid::bigint << 32 | objid::bigint) = $1)",
                &[&KEY, &self.session.backend_pid()],
            )
            .await
            .map_err(|error| describe_error(&error, "checking the runner's lock"))?
            .get(0);
        if held {
            return Ok(());
        }
        Err(Problem::new(
            Exit::Locked,
            "migrate-lock-lost",
            "the runner's lock was lost, so another run may be at work",
        )
        .because("the session that held it was closed by the server or the network")
        .fix("run the same command again"))
    }
}

async fn holder(client: &impl GenericClient) -> Result<String, Problem> {
    let row = client
        .query_opt(
            "SELECT l.pid, coalesce(nullif(a.application_name, ''), 'an unnamed client'),
                    coalesce(a.client_addr::text, 'this machine or an address that is not shown'),
                    date_trunc('second', a.backend_start)::text
               FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
              WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND (l.classid::bigint << 32 | l.objid::bigint) = $1",
            &[&KEY],
        )
        .await
        .map_err(|error| describe_error(&error, "looking who holds the runner's lock"))?;
    Ok(match row {
        Some(row) => {
            let since: Option<String> = row.get(3);
            format!(
                "server process {} ({}, from {}{}) holds the lock",
                row.get::<_, i32>(0),
                row.get::<_, String>(1),
                row.get::<_, String>(2),
                since.map_or(String::new(), |since| format!(", connected since {since}")),
            )
        }
        None => "the holder has just let go".to_owned(),
    })
}
