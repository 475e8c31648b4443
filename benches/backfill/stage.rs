//! The private cluster, the table in its fresh state, and a project on which the real program is run.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use git2::{IndexAddOption, Repository, Signature};
use serde_json::Value;
use shipctl::postgres::Cluster;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::Outcome;

/// The id of the plan that `shipctl plan rename users.name display_name` writes.
const PLAN: &str = "rename-users-name";

/// Settings of the cluster beyond PostgreSQL's defaults: memory as a small server would have it, and checkpoints rare
/// enough that none falls into one run and not into the next.
const SETTINGS: [(&str, &str); 5] = [
    ("shared_buffers", "512MB"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "30min"),
    ("max_connections", "100"),
    ("log_checkpoints", "off"),
];

/// Settings that are told beside those, since figures depend on them.
const TOLD: [&str; 5] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "autovacuum",
];

/// The table: about 110 bytes a row, with an index on the column that is renamed and one on another.
const TABLE: &str = "
    CREATE TABLE users (
        id bigint PRIMARY KEY,
        name text NOT NULL,
        email text NOT NULL,
        visits integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX users_name_idx ON users (name);
    CREATE INDEX users_created_at_idx ON users (created_at);";

/// How the table was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistics {
    /// Vacuumed and analyzed, as a table in production is.
    Vacuumed,
    /// Analyzed only, for the comparison with the next.
    Analyzed,
    /// Never analyzed, and autovacuum does not come by.
    Never,
}

/// The cluster and what lies in it.
pub(crate) struct Stage {
    cluster: Cluster,
    number: AtomicU32,
}

impl Stage {
    /// Starts the cluster.
    pub async fn set_up() -> Outcome<Self> {
        let mut builder = Cluster::builder();
        for (key, value) in SETTINGS {
            builder = builder.setting(key, value);
        }
        Ok(Self {
            cluster: builder.start().map_err(|problem| problem.to_string())?,
            number: AtomicU32::new(0),
        })
    }

    /// A connection to one of its databases.
    pub async fn connect(&self, database: &str) -> Outcome<Client> {
        connect(&self.cluster.url(database)).await
    }

    /// What the server calls itself.
    pub async fn server_version(&self) -> Outcome<String> {
        let client = self.connect("postgres").await?;
        Ok(client.query_one("SHOW server_version", &[]).await?.get(0))
    }

    /// The settings that figures depend on.
    pub async fn settings(&self) -> Outcome<Vec<(String, String)>> {
        let client = self.connect("postgres").await?;
        let mut all = Vec::new();
        for name in SETTINGS.iter().map(|(name, _)| *name).chain(TOLD) {
            let row = client.query_one("SELECT current_setting($1)", &[&name]).await?;
            all.push((name.to_owned(), row.get(0)));
        }
        Ok(all)
    }

    /// Fills a table that runs copy, so that each begins with the same bytes; the name of its database.
    pub async fn seed(&self, rows: u64, statistics: Statistics) -> Outcome<String> {
        let name = self.create_database(None).await?;
        let client = self.connect(&name).await?;
        // Keys and indexes come first: making them afterwards would count the rows.
        client.batch_execute(TABLE).await?;
        if statistics != Statistics::Vacuumed {
            client
                .batch_execute("ALTER TABLE users SET (autovacuum_enabled = false)")
                .await?;
        }
        client
            .batch_execute(&format!(
                "INSERT INTO users (id, name, email, created_at)
                 SELECT n, 'Person number ' || n, 'person' || n || '@example.org', now() - n * interval '1 second'
                 FROM generate_series(1, {rows}) AS n"
            ))
            .await?;
        let afterwards = match statistics {
            Statistics::Vacuumed => "VACUUM (ANALYZE) users",
            Statistics::Analyzed => "ANALYZE users",
            // The first reader marks rows as committed; ANALYZE does so too.
            Statistics::Never => "SELECT count(*) FROM users",
        };
        client.batch_execute(afterwards).await?;
        Ok(name)
    }

    /// A database of one run's own, with the same bytes as the seed, and nothing left to be written to disk.
    pub async fn copy(&self, seed: &str) -> Outcome<Run> {
        let database = self.create_database(Some(seed)).await?;
        let client = self.connect(&database).await?;
        client.batch_execute("CHECKPOINT").await?;
        // Every run starts with the table in memory.
        client
            .batch_execute("SELECT count(visits) FROM users; SELECT sum(id) FROM users")
            .await?;
        Ok(Run {
            url: self.cluster.url(&database),
            database,
            client,
        })
    }

    async fn create_database(&self, template: Option<&str>) -> Outcome<String> {
        let name = format!("bench_{}", self.number.fetch_add(1, Ordering::Relaxed));
        let admin = self.connect("postgres").await?;
        let template = template.map_or_else(String::new, |seed| format!(" TEMPLATE {seed}"));
        // The connection that filled the template may still be closing.
        let mut attempt = 0;
        loop {
            match admin
                .batch_execute(&format!("CREATE DATABASE {name}{template}"))
                .await
            {
                Ok(()) => return Ok(name),
                Err(_) if attempt < 50 => attempt += 1,
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Removes a database, whoever is still connected.
    pub async fn remove(&self, database: &str) -> Outcome<()> {
        let admin = self.connect("postgres").await?;
        admin
            .batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)"))
            .await?;
        Ok(())
    }
}

/// Connects, and keeps the connection going until the client is dropped.
pub(crate) async fn connect(url: &str) -> Outcome<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        // What breaks reaches the client's next query.
        let _ = connection.await;
    });
    Ok(client)
}

/// One run's database.
pub(crate) struct Run {
    /// Its name.
    pub database: String,
    /// A URL of it.
    pub url: String,
    /// A session with it.
    pub client: Client,
}

impl Run {
    /// Bytes of the table with its indexes.
    pub async fn size(&self) -> Outcome<f64> {
        let sql = "SELECT pg_total_relation_size('users')::float8";
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }

    /// The place in the WAL, in bytes.
    pub async fn wal(&self) -> Outcome<f64> {
        let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8";
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }

    /// Rows in which the new column is not what it should be.
    pub async fn wrong(&self) -> Outcome<i64> {
        let sql = "SELECT count(*) FROM users WHERE display_name IS DISTINCT FROM name";
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }
}

/// A repository with shipctl's project in it, and the fleet as it is told.
pub(crate) struct Project {
    folder: TempDir,
    url: String,
}

/// How a run of the program ended.
pub(crate) struct Ended {
    /// The events it told, each with the moment at which it came, counted from the start.
    pub events: Vec<(Duration, Value)>,
    /// Its greatest resident memory in KiB, where the system tells.
    pub memory_kib: Option<u64>,
}

impl Project {
    /// A project for a run's database, with the plan that `shipctl plan rename` writes.
    pub async fn set_up(run: &Run) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("shipctl-bench-").tempdir()?;
        Repository::init(folder.path())?;
        for name in ["plans", "migrations", "templates"] {
            std::fs::create_dir_all(folder.path().join(name))?;
        }
        std::fs::write(
            folder.path().join("shipctl.toml"),
            "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n\n\
             [[environments.production.services]]\nname = \"web\"\nmax_age = \"24h\"\n\
             source = { kind = \"file\", path = \"fleet\", completeness = \"full\" }\n",
        )?;
        let project = Self {
            folder,
            url: run.url.clone(),
        };
        project
            .shipctl(&[
                "plan",
                "rename",
                "users.name",
                "display_name",
                "--env",
                "production",
                "--id",
                PLAN,
                "--soak",
                "0s",
                "--approvals",
                "0",
            ])
            .await?;
        project.deploy(None)?;
        Ok(project)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Commits a release, with the trailer of its code phase, and says that this is what runs.
    pub fn deploy(&self, phase: Option<&str>) -> Outcome<()> {
        let repository = Repository::open(self.path())?;
        std::fs::write(self.path().join("RELEASE"), phase.unwrap_or("first"))?;
        let mut index = repository.index()?;
        index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
        index.write()?;
        let tree = repository.find_tree(index.write_tree()?)?;
        let author = Signature::now("bench", "bench@example.org")?;
        let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<_> = parent.iter().collect();
        let message = phase.map_or_else(
            || "The first release\n".to_owned(),
            |phase| format!("Ship {phase}\n\nShip-Phase: {PLAN}/{phase}\n"),
        );
        let commit = repository.commit(Some("HEAD"), &author, &author, &message, &tree, &parents)?;
        std::fs::write(
            self.path().join("fleet"),
            format!("web-1 {commit}\nweb-2 {commit}\n"),
        )?;
        Ok(())
    }

    /// Runs the plan up to a phase.
    pub async fn run_to(&self, phase: &str) -> Outcome<Ended> {
        self.shipctl(&[
            "run",
            PLAN,
            "--env",
            "production",
            "--to",
            phase,
            "--yes",
            "--json",
        ])
        .await
    }

    async fn shipctl(&self, arguments: &[&str]) -> Outcome<Ended> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shipctl"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("RUST_LOG")
            .env("DATABASE_URL", &self.url)
            .env("SHIPCTL_ACTOR", "bench")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let words = arguments.join(" ");
        tokio::task::spawn_blocking(move || child(command, &words)).await?
    }
}

/// Runs a child to its end, noting when each line of its output comes.
fn child(mut command: Command, words: &str) -> Outcome<Ended> {
    let started = Instant::now();
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let mut stderr = child.stderr.take().ok_or("no output")?;
    let lines = std::thread::spawn(move || {
        BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .map(|line| (started.elapsed(), line))
            .collect::<Vec<_>>()
    });
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let mut memory_kib = None;
    let status = loop {
        // A high-water mark: the last look before the end is as good as one at the end.
        memory_kib = high_water(child.id()).or(memory_kib);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let lines = lines.join().map_err(|_| "a reader failed")?;
    let said = said.join().map_err(|_| "a reader failed")?;
    if !status.success() {
        let last: Vec<&str> = lines
            .iter()
            .rev()
            .take(3)
            .map(|(_, line)| line.as_str())
            .collect();
        return Err(format!("`shipctl {words}` ended with {status}: {said}{}", last.join("\n")).into());
    }
    Ok(Ended {
        events: lines
            .into_iter()
            .filter_map(|(at, line)| Some((at, serde_json::from_str(&line).ok()?)))
            .collect(),
        memory_kib,
    })
}

fn high_water(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

impl Ended {
    /// How long the fill itself took, without starting, looking at the fleet and verifying.
    pub fn fill(&self) -> Option<Duration> {
        let first = |activity: &str| {
            self.events
                .iter()
                .find(|(_, event)| event["event"] == "progress" && event["activity"] == activity)
                .map(|(at, _)| *at)
        };
        first("verify")?.checked_sub(first("backfill")?)
    }

    /// How often a lock could not be had in time.
    pub fn lock_retries(&self) -> usize {
        self.events
            .iter()
            .filter(|(_, event)| event["event"] == "lock-retry")
            .count()
    }
}
