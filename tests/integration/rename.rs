//! A repository with the sample rename, its releases, and clients that run them: a stage for judging.

use std::collections::BTreeMap;

use shipctl::domain::{CommitId, Digest, PlanId};
use shipctl::ledger::Record;
use shipctl::plan;
use shipctl::postgres::ledger;
use shipctl::project;
use shipctl::safety::{Direction, Fleet, Judgement};
use tokio_postgres::{Client, NoTls};

use super::support::Project;

pub const PLAN: &str = "rename-users-name";

const SERVICES: &str = r#"
[[environments.production.services]]
name = "web"
source = { kind = "connections", application_name = "web@{commit}" }

[[environments.production.services]]
name = "worker"
source = { kind = "connections", application_name = "worker@{commit}" }
"#;

/// The stage.
pub struct Stage {
    pub project: Project,
    clients: BTreeMap<String, Vec<Client>>,
}

impl Stage {
    /// Two services, the sample plan, and a first release.
    pub async fn new() -> Self {
        Self::with(&format!(
            "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n{SERVICES}"
        ))
        .await
    }

    /// With these environments.
    pub async fn with(environments: &str) -> Self {
        let project = Project::with_config(environments).await;
        let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
        let plan = std::fs::read_to_string(samples.join(format!("{PLAN}.toml"))).unwrap();
        project.repo.write(&format!("plans/{PLAN}.toml"), &plan);
        for file in std::fs::read_dir(samples.join("migrations")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            project.repo.write(&format!("migrations/{name}"), &text);
        }
        project
            .database
            .execute("CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL)")
            .await;
        Self {
            project,
            clients: BTreeMap::new(),
        }
    }

    /// Commits a release; with a phase, its commit bears the phase's trailer.
    pub fn release(&self, subject: &str, phase: Option<&str>) -> CommitId {
        self.project.repo.write("RELEASE", subject);
        let trailer = phase.map_or_else(String::new, |phase| format!("\n\nShip-Phase: {PLAN}/{phase}"));
        self.project.repo.commit(&format!("{subject}{trailer}"))
    }

    /// Replaces every instance of a service by one that runs `commit`.
    pub async fn deploy(&mut self, service: &str, commit: &CommitId) {
        self.stop(service).await;
        self.start(service, commit).await;
    }

    /// Starts one more instance.
    pub async fn start(&mut self, service: &str, commit: &CommitId) {
        let mut config: tokio_postgres::Config = self.project.database.url.parse().unwrap();
        config.application_name(format!("{service}@{commit}"));
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        client.simple_query("SELECT 1").await.unwrap();
        self.clients.entry(service.to_owned()).or_default().push(client);
    }

    /// Stops the instance that was started last, and waits until the database has seen it off.
    pub async fn leave(&mut self, service: &str) {
        let client = self.clients.get_mut(service).and_then(Vec::pop).unwrap();
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
        let pid: i32 = row.get(0);
        drop(client);
        let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        let database = &self.project.database;
        super::support::eventually("the instance is gone", || async {
            database.value(&gone).await.as_deref() == Some("0")
        })
        .await;
    }

    /// Stops every instance of a service, and waits until the database has seen them off.
    pub async fn stop(&mut self, service: &str) {
        let Some(clients) = self.clients.remove(service) else {
            return;
        };
        drop(clients);
        let database = &self.project.database;
        let gone = format!(
            "SELECT count(*)::text FROM pg_stat_activity
              WHERE datname = current_database() AND application_name LIKE '{service}@%'"
        );
        super::support::eventually("the instances are gone", || async {
            database.value(&gone).await.as_deref() == Some("0")
        })
        .await;
    }

    /// Records that a phase was run to its end, as a run would.
    pub async fn done(&self, phase: &str) {
        let project = project::discover(self.project.repo.path()).unwrap();
        let plan = plan::find(&project, PLAN).unwrap();
        let id = phase.parse().unwrap();
        let digest = plan.shape().phase(&id).unwrap().digest.clone();
        let mut session = self.project.database.session().await;
        ledger::ensure(&mut session).await.unwrap();
        self.append(&Record::PlanRegistered {
            digest: plan.digest(),
            source: plan.source().inner().clone(),
            migrations: migrations(&plan),
        })
        .await;
        self.append(&Record::PhaseStarted {
            phase: id.clone(),
            direction: Direction::Forward,
            digest,
            observed_at: jiff::Timestamp::now(),
            fleet: Fleet::default(),
            judgement: Judgement::default(),
        })
        .await;
        self.append(&Record::PhaseFinished {
            phase: id,
            direction: Direction::Forward,
            rows: (phase == "backfill").then_some(1_234_567),
            duration_ms: 1449,
        })
        .await;
    }

    /// Appends a record of the plan.
    pub async fn append(&self, record: &Record) {
        let session = self.project.database.session().await;
        let plan: PlanId = PLAN.parse().unwrap();
        ledger::append(
            session.client(),
            &"production".parse().unwrap(),
            Some(&plan),
            "Ada <ada@example.org>",
            record,
        )
        .await
        .unwrap();
    }

    /// The digest of a phase as the plan stands.
    pub fn digest(&self, phase: &str) -> Digest {
        let project = project::discover(self.project.repo.path()).unwrap();
        let plan = plan::find(&project, PLAN).unwrap();
        plan.shape()
            .phase(&phase.parse().unwrap())
            .unwrap()
            .digest
            .clone()
    }

    /// Runs the program; returns the exit code and both outputs.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.project.shipctl(args).output().unwrap();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    /// Runs the program with `--json`; returns the exit code and the document.
    pub fn json(&self, args: &[&str]) -> (i32, serde_json::Value) {
        let mut args = args.to_vec();
        args.push("--json");
        let (exit, out, error) = self.run(&args);
        let value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}{error}"));
        (exit, value)
    }
}

fn migrations(plan: &plan::Plan) -> BTreeMap<String, String> {
    plan.phases()
        .iter()
        .filter_map(|phase| match &phase.detail {
            plan::PhaseDetail::Expand(migration) | plan::PhaseDetail::Contract(migration) => Some((
                migration.migration.name.clone(),
                migration.migration.up_source.inner().clone(),
            )),
            _ => None,
        })
        .collect()
}
