//! Old and new code at work through every phase of an operation, for as long as the gates let each run: no statement fails, no
//! read is stale, no write is lost. On the way there, and back.
//!
//! The gates are those of the program: it runs the phases, is asked before each deployment, and finds the clients by their
//! `application_name`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shipctl::domain::CommitId;
use shipctl::plan::{Phase, PhaseDetail, Plan};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{SERVICES, planned};
use crate::support::{Project, eventually};

/// What a version of the code says to the database. `{id}` is the key of a row and `{n}` a number that is another each time.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// Inserts a row.
    pub insert: &'static str,
    /// Changes it.
    pub update: &'static str,
    /// Reads it: one text, which is `v{n}` after what was written.
    pub read: &'static str,
    /// Deletes it.
    pub delete: &'static str,
}

/// An operation, and the code that lives through it.
pub struct Story {
    pub name: &'static str,
    /// Makes the table, with the rows 1 to 50, each `v` and its number.
    pub ddl: &'static str,
    /// What follows `shipctl plan`.
    pub arguments: &'static [&'static str],
    /// The code before the plan, and that of each code phase.
    pub code: Vec<Code>,
    /// Whether what the old code reads is still there after the way back.
    pub back: bool,
}

const ROWS: i64 = 50;

/// What a row holds, if it is there.
type Row = Arc<tokio::sync::Mutex<Option<String>>>;

/// What each row holds, as the clients know it. Who holds the lock of a row is alone with it.
struct Truth {
    rows: Mutex<BTreeMap<i64, Row>>,
    next_row: AtomicI64,
    next_value: AtomicI64,
    turns: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Truth {
    fn row(&self, id: i64) -> Row {
        let mut rows = self.rows.lock().unwrap();
        let first = (id <= ROWS).then(|| format!("v{id}"));
        Arc::clone(
            rows.entry(id)
                .or_insert_with(|| Arc::new(tokio::sync::Mutex::new(first))),
        )
    }

    fn new_value(&self) -> i64 {
        self.next_value.fetch_add(1, Ordering::Relaxed)
    }

    fn failed(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }
}

fn spoken(template: &str, id: i64, value: i64) -> String {
    template
        .replace("{id}", &id.to_string())
        .replace("{n}", &value.to_string())
}

async fn read(client: &Client, code: Code, id: i64) -> Result<Option<String>, tokio_postgres::Error> {
    let messages = client.simple_query(&spoken(code.read, id, 0)).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    });
    Ok(row)
}

/// One instance: it inserts, updates, deletes and reads until it is told to stop.
struct Instance {
    stop: Arc<AtomicBool>,
    work: JoinHandle<()>,
}

impl Instance {
    async fn start(
        project: &Project,
        who: String,
        commit: &CommitId,
        code: Code,
        truth: &Arc<Truth>,
    ) -> Self {
        let mut config: tokio_postgres::Config = project.database.url.parse().unwrap();
        config.application_name(format!("web@{commit}"));
        let (client, connection) = config.connect(NoTls).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (told, truth) = (Arc::clone(&stop), Arc::clone(truth));
        let work = tokio::spawn(async move {
            let connection = tokio::spawn(connection);
            let mut turn = 0_i64;
            while !told.load(Ordering::Relaxed) {
                turn += 1;
                if let Err(error) = live(&client, code, &truth, turn).await {
                    let error = error
                        .as_db_error()
                        .map_or_else(|| error.to_string(), ToString::to_string);
                    truth.failed(format!("{who}: {error}"));
                    break;
                }
                truth.turns.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            drop(client);
            let _ = connection.await;
        });
        Self { stop, work }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.work.await.unwrap();
    }
}

async fn live(client: &Client, code: Code, truth: &Truth, turn: i64) -> Result<(), tokio_postgres::Error> {
    let value = truth.new_value();
    let id = match turn % 8 {
        0 => truth.next_row.fetch_add(1, Ordering::Relaxed),
        // Any row, now and then the same one for both.
        _ => 1 + (turn * 7 + value) % (truth.next_row.load(Ordering::Relaxed) - 1),
    };
    let row = truth.row(id);
    let mut held = row.lock().await;
    let statement = match turn % 16 {
        0..4 | 8..12 if held.is_none() => code.insert,
        0..4 | 8..12 => code.update,
        4 if held.is_some() => code.delete,
        _ => {
            let found = read(client, code, id).await?;
            if found != *held {
                truth.failed(format!("row {id} is {found:?}, and {held:?} was written"));
            }
            return Ok(());
        }
    };
    client.simple_query(&spoken(statement, id, value)).await?;
    *held = (statement != code.delete).then(|| format!("v{value}"));
    Ok(())
}

/// The story as it goes on.
struct Stage<'a> {
    story: &'a Story,
    project: Arc<Project>,
    plan: Plan,
    commits: Vec<CommitId>,
    truth: Arc<Truth>,
    running: Vec<Instance>,
    version: usize,
    mend: Option<&'static str>,
}

impl Stage<'_> {
    async fn start(&mut self, version: usize) -> Vec<Instance> {
        let code = self.story.code[version];
        let mut started = Vec::new();
        for _ in 0..2 {
            let who = format!("version {version}");
            let commit = &self.commits[version];
            started.push(Instance::start(&self.project, who, commit, code, &self.truth).await);
        }
        started
    }

    /// Lets both versions run side by side for a while, then stops the one before.
    async fn deploy(&mut self, version: usize) {
        let started = self.start(version).await;
        self.live_on().await;
        for one in std::mem::replace(&mut self.running, started) {
            one.end().await;
        }
        let gone = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web@{}'",
            self.commits[self.version]
        );
        let database = &self.project.database;
        eventually("the version before is gone", || async {
            database.value(&gone).await.as_deref() == Some("0")
        })
        .await;
        self.version = version;
        self.live_on().await;
    }

    /// Waits until every client had some turns.
    async fn live_on(&self) {
        let aim = self.truth.turns.load(Ordering::Relaxed) + 60;
        let truth = &self.truth;
        eventually("the clients had their turns", || async {
            truth.turns.load(Ordering::Relaxed) >= aim || !truth.failures.lock().unwrap().is_empty()
        })
        .await;
        self.no_failures("");
    }

    fn no_failures(&self, when: &str) {
        let failures = self.truth.failures.lock().unwrap();
        assert!(failures.is_empty(), "{}{when}: {failures:#?}", self.story.name);
    }

    /// The program, while the clients go on.
    async fn shipctl(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = self.project.shipctl(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    async fn done(&self, arguments: &[&str]) {
        let (is_done, said) = self.shipctl(arguments).await;
        self.no_failures(&format!(" while {arguments:?}"));
        assert!(is_done, "{}: {arguments:?}: {said}", self.story.name);
    }

    async fn may_deploy(&self, version: usize) -> bool {
        let commit = self.commits[version].to_string();
        self.shipctl(&["can-deploy", &commit]).await.0
    }

    /// Undoes what is below the phase before this one.
    async fn undo(&self, at: usize) {
        let id = self.plan.id().to_string();
        let before = at
            .checked_sub(1)
            .map(|before| self.plan.phases()[before].id.to_string());
        let to = match &before {
            Some(before) => vec!["rollback", &id, "--to", before],
            None => vec!["rollback", &id, "--all"],
        };
        let takes_back = matches!(self.plan.phases()[at].detail, PhaseDetail::Expand(_));
        if let Some(mend) = self.mend.filter(|_| takes_back) {
            let (is_done, said) = self.shipctl(&to).await;
            assert!(!is_done, "{}: {to:?}: {said}", self.story.name);
            self.no_failures(" while the way back is refused");
            self.project.database.execute(mend).await;
        }
        self.done(&to).await;
    }

    async fn there(&mut self) {
        let id = self.plan.id().to_string();
        let phases: Vec<Phase> = self.plan.phases().to_vec();
        for phase in phases {
            match phase.detail {
                PhaseDetail::Code(_) => {
                    let next = self.version + 1;
                    assert!(self.may_deploy(next).await, "{}: {}", self.story.name, phase.id);
                    self.deploy(next).await;
                }
                _ => {
                    if matches!(phase.detail, PhaseDetail::Contract(_)) {
                        // Not every one asks for an approval.
                        let approve = ["approve", &id, phase.id.as_str(), "--reason", "seen"];
                        self.shipctl(&approve).await;
                    }
                    self.done(&["run", &id, "--yes", "--to", phase.id.as_str()]).await;
                    self.live_on().await;
                }
            }
        }
    }

    async fn back(&mut self) {
        let phases: Vec<Phase> = self.plan.phases().to_vec();
        for (at, phase) in phases.iter().enumerate().rev() {
            let PhaseDetail::Code(code) = &phase.detail else {
                self.undo(at).await;
                self.live_on().await;
                continue;
            };
            let before = self.version - 1;
            if !self.may_deploy(before).await {
                self.undo(at).await;
            } else if code.restore.is_some() {
                self.deploy(before).await;
                self.undo(at).await;
                continue;
            }
            assert!(
                self.may_deploy(before).await,
                "{}: back over {}",
                self.story.name,
                phase.id
            );
            self.deploy(before).await;
        }
    }

    /// Every row holds what was written last.
    async fn nothing_is_lost(&self) {
        let session = self.project.database.session().await;
        let code = self.story.code[self.version];
        let rows: Vec<_> = {
            let rows = self.truth.rows.lock().unwrap();
            rows.iter().map(|(id, row)| (*id, Arc::clone(row))).collect()
        };
        for (id, row) in rows {
            let held = row.lock().await;
            let found = read(session.client(), code, id).await.unwrap();
            assert_eq!(
                found, *held,
                "{}: row {id}, and what was written last",
                self.story.name
            );
        }
    }
}

/// Tells a story to its end, and back to its beginning.
pub async fn live_through(story: &Story) {
    live_through_with(story, &[], None).await;
}

/// The same, with files that the plan is made of, and where the way back is refused at first, what somebody does to the rows
/// before it is tried again.
pub async fn live_through_with(story: &Story, files: &[(&str, &str)], mend: Option<&'static str>) {
    let project = Project::new(SERVICES).await;
    project.database.execute(story.ddl).await;
    for (path, text) in files {
        project.repo.write(path, text);
    }
    let plan = planned(&project, story.arguments);
    let mut commits = vec![project.repo.commit("Plan it")];
    for phase in plan.code_phases() {
        project.repo.write("RELEASE", phase.0.id.as_str());
        commits.push(
            project
                .repo
                .commit(&format!("Release\n\nShip-Phase: {}/{}", plan.id(), phase.0.id)),
        );
    }
    assert_eq!(
        commits.len(),
        story.code.len(),
        "{}: code for each phase",
        story.name
    );
    let truth = Arc::new(Truth {
        rows: Mutex::default(),
        next_row: AtomicI64::new(ROWS + 1),
        next_value: AtomicI64::new(1000),
        turns: AtomicU64::new(0),
        failures: Mutex::default(),
    });
    let mut stage = Stage {
        story,
        project: Arc::new(project),
        plan,
        commits,
        truth,
        running: Vec::new(),
        version: 0,
        mend,
    };
    stage.running = stage.start(0).await;
    stage.live_on().await;
    stage.there().await;
    stage.nothing_is_lost().await;
    if story.back {
        stage.back().await;
        stage.nothing_is_lost().await;
    }
    for one in std::mem::take(&mut stage.running) {
        one.end().await;
    }
    stage.no_failures("");
}
