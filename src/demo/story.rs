//! The story: every scene of the rename, with the refusals when they are due, checked as they are played.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Config, NoTls};

use super::Telling;
use super::application::{DISPLAY_NAME, DUAL_WRITE, NAME, READ_DISPLAY_NAME, Release};
use super::outcome::{Outcome, PhaseOutcome, Refusal};
use super::stage::{DATABASE, ENVIRONMENT, Performed, Stage};
use super::traffic::{Instance, Shared, fill_sql};
use crate::domain::{CommitId, Exit, Problem};
use crate::ledger::Record;
use crate::postgres::{Session, ledger};
use crate::safety::Direction;

/// The plan's id, as `shipctl plan rename users.name display_name` makes it.
const PLAN: &str = "rename-users-name";
/// How many instances each service runs.
const FLEET: [(&str, usize); 2] = [("web", 3), ("worker", 2)];

/// How long old and new instances work side by side at each step of a rollout, so that each meets what the other wrote.
const ROLLOUT_STEP: Duration = Duration::from_millis(300);

/// The running services.
struct Services {
    url: String,
    shared: Arc<Shared>,
    running: Vec<(&'static str, Instance)>,
}

impl Services {
    /// Replaces the instances of one service one by one, as a rolling deployment does.
    async fn deploy(
        &mut self,
        service: &'static str,
        commit: &CommitId,
        release: Release,
    ) -> Result<(), Problem> {
        let (old, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|(name, _)| *name == service);
        self.running = others;
        let mut old = old.into_iter();
        let count = FLEET
            .iter()
            .find(|(name, _)| *name == service)
            .map_or(1, |(_, count)| *count);
        for _ in 0..count {
            let started =
                Instance::start(&self.url, service, commit, release, Arc::clone(&self.shared)).await?;
            self.running.push((service, started));
            tokio::time::sleep(ROLLOUT_STEP).await;
            if let Some((_, instance)) = old.next() {
                instance.stop().await;
            }
        }
        for (_, instance) in old {
            instance.stop().await;
        }
        Ok(())
    }

    async fn deploy_everywhere(&mut self, commit: &CommitId, release: Release) -> Result<(), Problem> {
        for (service, _) in FLEET {
            self.deploy(service, commit, release).await?;
        }
        Ok(())
    }

    async fn stop(&mut self) {
        for (_, instance) in self.running.drain(..) {
            instance.stop().await;
        }
    }
}

/// Plays the whole story on a stage.
///
/// # Errors
/// A command of the program ended otherwise than the story needs; PostgreSQL or git failed.
pub async fn play(stage: &Stage, rows: u64, telling: &Telling) -> Result<Outcome, Problem> {
    let database = prepare(stage, rows, telling).await?;
    let shared = Arc::new(Shared::new(rows));
    let mut services = Services {
        url: stage.url(),
        shared: Arc::clone(&shared),
        running: Vec::new(),
    };
    let outcome = scenes(stage, rows, telling, &mut services, &database).await;
    services.stop().await;
    outcome
}

async fn connect(url: &str) -> Result<Client, Problem> {
    let mut config: Config = url.parse().map_err(|error| database_failed(&error))?;
    // The census of the program that is shown must not take the stage hand for a client that hides its version.
    config.application_name("shipctl demo");
    let (client, connection) = config
        .connect(NoTls)
        .await
        .map_err(|error| database_failed(&error))?;
    tokio::spawn(async move {
        // An error of the connection reaches the next query.
        let _ = connection.await;
    });
    Ok(client)
}

async fn prepare(stage: &Stage, rows: u64, telling: &Telling) -> Result<Client, Problem> {
    telling.scene("A table with people in it");
    let maintenance = connect(&stage.maintenance_url()).await?;
    maintenance
        .batch_execute(&format!("CREATE DATABASE {DATABASE}"))
        .await
        .map_err(|error| database_failed(&error))?;
    let database = connect(&stage.url()).await?;
    let started = Instant::now();
    for sql in [super::application::SCHEMA, &fill_sql(rows)] {
        database
            .batch_execute(sql)
            .await
            .map_err(|error| database_failed(&error))?;
    }
    telling.say(&format!(
        "A private PostgreSQL holds `users` with {rows} rows (filled in {:.1} s).",
        started.elapsed().as_secs_f64()
    ));
    Ok(database)
}

async fn scenes(
    stage: &Stage,
    rows: u64,
    telling: &Telling,
    services: &mut Services,
    database: &Client,
) -> Result<Outcome, Problem> {
    let mut refusals = Vec::new();
    let shared = Arc::clone(&services.shared);
    let play = Play { stage, telling };

    let first = stage.commit_release(&NAME, PLAN)?;
    services.deploy_everywhere(&first, NAME).await?;
    telling.say(
        "Three instances of `web` and two of `worker` run the first release; each reads and writes `name`.",
    );

    telling.scene("Plan the rename");
    play.goes(&[
        "plan",
        "rename",
        "users.name",
        "display_name",
        "--env",
        ENVIRONMENT,
        "--soak",
        "2s",
    ])
    .await?;
    stage.commit("Plan the rename of users.name")?;
    play.goes(&["graph", PLAN]).await?;
    play.goes(&["run", PLAN, "--env", ENVIRONMENT, "--to", "add", "--yes"])
        .await?;
    telling.traffic(&shared).await;

    telling.scene("Too early: the backfill while old code still runs");
    let refused = play
        .refused(&["gate", PLAN, "backfill", "--env", ENVIRONMENT], Exit::Blocked)
        .await?;
    refusals.push(Refusal::new("backfill while the old code still runs", &refused));

    telling.scene("Release 2 writes both columns");
    let dual_write = stage.commit_release(&DUAL_WRITE, PLAN)?;
    play.goes(&["can-deploy", dual_write.as_str(), "--env", ENVIRONMENT])
        .await?;
    services.deploy_everywhere(&dual_write, DUAL_WRITE).await?;
    telling.say("Rolled out, one instance after the other.");
    play.goes(&["deployed", "--env", ENVIRONMENT]).await?;
    play.goes(&["run", PLAN, "--env", ENVIRONMENT, "--to", "constrain", "--yes"])
        .await?;
    telling.traffic(&shared).await;

    telling.scene("Release 3 reads the new column");
    let switch_read = stage.commit_release(&READ_DISPLAY_NAME, PLAN)?;
    play.goes(&["can-deploy", switch_read.as_str(), "--env", ENVIRONMENT])
        .await?;
    services
        .deploy_everywhere(&switch_read, READ_DISPLAY_NAME)
        .await?;
    play.goes(&[
        "approve",
        PLAN,
        "relax",
        "--env",
        ENVIRONMENT,
        "--reason",
        "the new column is read everywhere",
    ])
    .await?;
    play.goes(&["run", PLAN, "--env", ENVIRONMENT, "--to", "relax", "--yes"])
        .await?;
    telling.traffic(&shared).await;

    telling.scene("Too early: the drop while a worker still writes the old column");
    let stop_write = stage.commit_release(&DISPLAY_NAME, PLAN)?;
    play.goes(&["can-deploy", stop_write.as_str(), "--env", ENVIRONMENT])
        .await?;
    services.deploy("web", &stop_write, DISPLAY_NAME).await?;
    telling.say("Release 4 has reached `web`, but not `worker`.");
    play.goes(&[
        "approve",
        PLAN,
        "drop",
        "--env",
        ENVIRONMENT,
        "--reason",
        "the old column is not read any more",
    ])
    .await?;
    let refused = play
        .refused(&["run", PLAN, "--env", ENVIRONMENT, "--yes"], Exit::Blocked)
        .await?;
    refusals.push(Refusal::new("drop while a worker still dual-writes", &refused));

    telling.scene("Release 4 everywhere, and the drop");
    services.deploy("worker", &stop_write, DISPLAY_NAME).await?;
    play.goes(&["status", PLAN, "--env", ENVIRONMENT]).await?;
    play.goes(&[
        "run",
        PLAN,
        "--env",
        ENVIRONMENT,
        "--watch",
        "--interval",
        "1",
        "--yes",
    ])
    .await?;
    telling.traffic(&shared).await;

    telling.scene("Too late: back to the first release");
    let refused = play
        .refused(
            &["can-deploy", first.as_str(), "--env", ENVIRONMENT],
            Exit::Blocked,
        )
        .await?;
    refusals.push(Refusal::new("deploying the old commit after the drop", &refused));
    play.goes(&["status", PLAN, "--env", ENVIRONMENT]).await?;

    services.stop().await;
    let felt = shared.felt().await;
    let (total, lost, wrong) = shared
        .audit(database, "display_name")
        .await
        .map_err(|error| database_failed(&error))?;
    Ok(Outcome {
        rows,
        rows_at_the_end: total,
        operations: felt.operations,
        lost_rows: lost + felt.lost,
        wrong_rows: wrong + felt.wrong,
        app_errors: felt.errors,
        app_error_texts: felt.error_texts,
        max_stall_ms: u64::try_from(felt.longest.as_millis()).unwrap_or(u64::MAX),
        refusals,
        phases: phases(stage).await?,
    })
}

/// Runs commands of the program, tells them with their output, and holds them to what the story needs.
struct Play<'a> {
    stage: &'a Stage,
    telling: &'a Telling,
}

impl Play<'_> {
    async fn goes(&self, arguments: &[&str]) -> Result<Performed, Problem> {
        self.perform(arguments, Exit::Done).await
    }

    async fn refused(&self, arguments: &[&str], exit: Exit) -> Result<Performed, Problem> {
        self.perform(arguments, exit).await
    }

    async fn perform(&self, arguments: &[&str], exit: Exit) -> Result<Performed, Problem> {
        let performed = self.stage.shipctl(arguments).await?;
        self.telling.command(arguments, &performed);
        if performed.code == Some(i32::from(exit.code())) {
            return Ok(performed);
        }
        Err(Problem::new(
            Exit::Failed,
            "demo-went-wrong",
            format!(
                "`shipctl {}` ended with exit code {}, where the story needs {}",
                arguments.join(" "),
                performed
                    .code
                    .map_or_else(|| "none".to_owned(), |code| code.to_string()),
                exit.code()
            ),
        )
        .because(format!("{}{}", performed.stdout, performed.stderr)))
    }
}

/// What each schema phase did, from the ledger.
async fn phases(stage: &Stage) -> Result<Vec<PhaseOutcome>, Problem> {
    let settings = crate::postgres::ConnectionSettings::resolve(
        &crate::project::DatabaseSource::Literal(crate::domain::Secret::new(stage.url())),
        &|_| None,
    )?;
    let session = Session::open(&settings, "demo").await?;
    let environment = ENVIRONMENT.parse().map_err(|error| name_failed(&error))?;
    let plan = PLAN.parse().map_err(|error| name_failed(&error))?;
    let records = ledger::read(session.client(), &environment, Some(&plan)).await?;
    Ok(records
        .into_iter()
        .filter_map(|stored| match stored.record {
            Record::PhaseFinished {
                phase,
                direction: Direction::Forward,
                rows,
                duration_ms,
            } => Some(PhaseOutcome::new(phase, rows, Duration::from_millis(duration_ms))),
            _ => None,
        })
        .collect())
}

fn database_failed(error: &tokio_postgres::Error) -> Problem {
    Problem::new(
        Exit::Failed,
        "demo-database",
        format!("the demo's database failed: {error}"),
    )
}

fn name_failed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Exit::Failed, "demo-stage", error.to_string())
}
