//! One scenario at work on a cluster of the campaign's own: its repository, its database, and the code that is deployed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use shipctl::domain::CommitId;
use shipctl::postgres::{Cluster, Session};
use tokio_postgres::{Client, NoTls};

use super::scenario::{Scenario, Station};
use super::support::{Repo, eventually};

/// The password that every command is given, and that nothing may ever print.
pub const SECRET: &str = "sesame-and-lilies";

/// A cluster for one lane of the campaign. What it has committed survives when the server is shut down at once.
pub fn start_cluster() -> Cluster {
    Cluster::builder()
        // A server that crashes leaves the operating system's memory as it is.
        .setting("fsync", "off")
        .setting("full_page_writes", "off")
        .setting("max_wal_size", "4GB")
        .start()
        .unwrap()
}

/// One scenario on one cluster.
pub struct World<'c> {
    pub cluster: &'c Cluster,
    pub name: &'static str,
    repo: Repo,
    commits: BTreeMap<&'static str, CommitId>,
    fleet: Vec<Client>,
}

impl<'c> World<'c> {
    /// Makes the repository, the database and a commit for each release.
    pub async fn new(cluster: &'c Cluster, scenario: &Scenario) -> Self {
        let mut world = Self {
            cluster,
            name: scenario.name,
            repo: Repo::new(),
            commits: BTreeMap::new(),
            fleet: Vec::new(),
        };
        for folder in ["plans", "migrations", "templates"] {
            std::fs::create_dir_all(world.repo.path().join(folder)).unwrap();
        }
        for (path, text) in &scenario.files {
            world.repo.write(path, text);
        }
        world.admin(&format!("CREATE DATABASE {}", world.name)).await;
        world.execute(&scenario.setup).await;
        if let Some(args) = scenario.generated_by {
            let output = world.command(args).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", said(&output));
        }
        for release in scenario.releases {
            world.repo.write("RELEASE", release);
            let message = match *release {
                "first" => "The first release".to_owned(),
                phase => format!("Ship {phase}\n\nShip-Phase: {}/{phase}", scenario.plan),
            };
            world.commits.insert(release, world.repo.commit(&message));
        }
        world
    }

    /// A session with the scenario's database.
    pub async fn session(&self) -> Session {
        let settings = self.cluster.settings(self.name).unwrap();
        Session::open(&settings, "test").await.unwrap()
    }

    /// Runs statements in the scenario's database.
    pub async fn execute(&self, sql: &str) {
        self.session().await.client().batch_execute(sql).await.unwrap();
    }

    /// Runs a statement in another database of the cluster.
    pub async fn admin(&self, sql: &str) {
        self.admin_session()
            .await
            .client()
            .batch_execute(sql)
            .await
            .unwrap();
    }

    async fn admin_session(&self) -> Session {
        let settings = self.cluster.settings("postgres").unwrap();
        Session::open(&settings, "test-admin").await.unwrap()
    }

    /// Ends the server processes of this database whose application name begins so, and waits until they are gone. How
    /// many they were.
    pub async fn terminate(&self, application: &str) -> i64 {
        let admin = self.admin_session().await;
        let ended = admin
            .client()
            .query_one(
                "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                  WHERE datname = $1 AND starts_with(application_name, $2)",
                &[&self.name, &application],
            )
            .await
            .unwrap();
        ended.get(0)
    }

    /// Keeps the database as it is now under another name, for going back to. Nobody may be connected.
    pub async fn keep(&self, snapshot: &str) {
        self.admin(&format!("CREATE DATABASE {snapshot} TEMPLATE {}", self.name))
            .await;
    }

    /// Puts the database back. With a checkpoint, since PostgreSQL 15 and later copy a database through the log: without
    /// one, a copied sequence would count on values that only the original had logged ahead, and a crash would set it back.
    pub async fn go_back(&self, snapshot: &str) {
        self.admin(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await;
        self.admin(&format!("CREATE DATABASE {} TEMPLATE {snapshot}", self.name))
            .await;
        self.admin("CHECKPOINT").await;
    }

    /// Connects one instance of each service with the station's code, instead of those that were there.
    pub async fn deploy(&mut self, station: &Station) {
        self.fleet.clear();
        for (service, code) in ["web", "worker"].into_iter().zip(station.code) {
            let Some(commit) = self.commits.get(code) else {
                continue;
            };
            let mut config: tokio_postgres::Config = self.cluster.url(self.name).parse().unwrap();
            config.application_name(format!("{service}@{commit}"));
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(async move {
                let _ = connection.await;
            });
            client.simple_query("SELECT 1").await.unwrap();
            self.fleet.push(client);
        }
    }

    /// Disconnects the instances, and waits until the server has seen off everybody. A session that the program left
    /// behind would show here.
    pub async fn leave(&mut self) {
        self.fleet.clear();
        let admin = self.admin_session().await;
        let (client, name) = (admin.client(), &self.name);
        eventually("nobody is connected any more", || async {
            client
                .query_one(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = $1",
                    &[name],
                )
                .await
                .unwrap()
                .get::<_, i64>(0)
                == 0
        })
        .await;
    }

    /// The program, with nothing of this process's environment but the path.
    pub fn command(&self, args: &[&str]) -> Command {
        let url = self.cluster.url(self.name);
        let url = url.replacen("postgres@", &format!("postgres:{SECRET}@"), 1);
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("shipctl"));
        command
            .args(args)
            .current_dir(self.repo.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.repo.path())
            .env("SHIPCTL_ACTOR", "Ada <ada@example.org>")
            .env("DATABASE_URL", url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str], failpoint: Option<&str>) -> Output {
        let mut command = self.command(args);
        if let Some(failpoint) = failpoint {
            command.env("SHIPCTL_FAILPOINT", failpoint);
        }
        command.output().unwrap()
    }

    /// Runs the program, noting the failpoints that it comes by; how long it took.
    pub fn run_noting(&self, args: &[&str], file: &Path) -> (Output, Vec<String>, Duration) {
        let begun = Instant::now();
        let output = self.run(args, Some(&format!("log={}", file.display())));
        let took = begun.elapsed();
        let points = std::fs::read_to_string(file).unwrap_or_default();
        let _ = std::fs::remove_file(file);
        (output, points.lines().map(str::to_owned).collect(), took)
    }
}

/// All that a program said.
pub fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
