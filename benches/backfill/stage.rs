//! The private cluster, and the table in its fresh state.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use shipctl::postgres::Cluster;
use tokio_postgres::{Client, NoTls};

use super::Outcome;

/// `shared_buffers` as a small server would have it.
pub(crate) const SMALL_SERVER: &str = "512MB";
/// `shared_buffers` as PostgreSQL comes.
pub(crate) const UNTOUCHED: &str = "128MB";

/// Settings of the cluster beyond PostgreSQL's defaults and the memory: checkpoints are rare enough that none falls into
/// one run and not into the next.
const SETTINGS: [(&str, &str); 4] = [
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "30min"),
    ("max_connections", "100"),
    ("log_checkpoints", "off"),
];

/// Settings that are told beside those, since figures depend on them.
const TOLD: [&str; 6] = [
    "shared_buffers",
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
    /// Starts the cluster, with so much memory.
    pub async fn set_up(shared_buffers: &str) -> Outcome<Self> {
        let mut builder = Cluster::builder().setting("shared_buffers", shared_buffers);
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
        for name in TOLD.into_iter().chain(SETTINGS.map(|(name, _)| name)) {
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

    /// A table of as few bytes a row as can be, for sizes that others do not fit into; a run's own, without a seed.
    pub async fn narrow(&self, rows: u64) -> Outcome<Run> {
        let database = self.create_database(None).await?;
        let client = self.connect(&database).await?;
        client
            .batch_execute("CREATE TABLE users (id bigint NOT NULL, name text NOT NULL)")
            .await?;
        client
            .batch_execute(&format!(
                "INSERT INTO users SELECT n, 'n' || n % 1000 FROM generate_series(1, {rows}) AS n"
            ))
            .await?;
        client
            .batch_execute("ALTER TABLE users ADD PRIMARY KEY (id)")
            .await?;
        client.batch_execute("VACUUM (ANALYZE) users").await?;
        client.batch_execute("CHECKPOINT").await?;
        Ok(self.run(database, client))
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
        Ok(self.run(database, client))
    }

    fn run(&self, database: String, client: Client) -> Run {
        Run {
            url: self.cluster.url(&database),
            database,
            client,
        }
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

    /// Rows among the first so many keys in which the new column is not what it should be.
    pub async fn wrong(&self, keys: u64) -> Outcome<u64> {
        let sql = "SELECT count(*) FILTER (WHERE display_name IS DISTINCT FROM name), count(*) FROM users WHERE id <= $1";
        let row = self
            .client
            .query_one(sql, &[&i64::try_from(keys).unwrap_or(i64::MAX)])
            .await?;
        let (wrong, all): (i64, i64) = (row.get(0), row.get(1));
        if u64::try_from(all) != Ok(keys) {
            return Err(format!("there are {all} rows where {keys} were").into());
        }
        Ok(u64::try_from(wrong).unwrap_or(0))
    }
}
