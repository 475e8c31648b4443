//! The ways to fill the new column: shipctl's, and what people write by hand or use instead.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Outcome;
use super::project::{Project, Start};
use super::reshape::Reshape;
use super::stage::Run;

/// Rows in each batch of the loops written by hand.
const BATCH: i64 = 1_000;
/// How long the row-by-row loop rests after each batch.
const PAUSE: Duration = Duration::from_millis(100);

/// A way to fill the column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// `shipctl run … --to backfill`.
    Shipctl(Start),
    /// One `UPDATE users SET display_name = name`.
    SingleUpdate,
    /// A loop over ranges of 1,000 primary keys, one commit a batch.
    Keyset,
    /// A trigger does the work; a loop touches 1,000 rows at a time so that it fires.
    TriggerTouch,
    /// A client reads 1,000 rows, writes each with an UPDATE of its own, and rests for 100 ms.
    RowLoop {
        /// The rows it is given.
        rows: u64,
    },
    /// The binary of `reshape`.
    Reshape(PathBuf),
}

/// What a fill came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Filled {
    /// Rows that were filled.
    pub rows: u64,
    /// From start to end, with everything that belongs to it.
    pub seconds: f64,
    /// For shipctl: when it began to write rows, from its start.
    pub fill_from: Option<f64>,
    /// For shipctl: how long it wrote rows, without starting and verifying.
    pub fill_seconds: Option<f64>,
    /// For shipctl: the greatest resident memory of any of its processes.
    pub memory_kib: Option<u64>,
    /// For shipctl: processes that came to join too late.
    pub late: u32,
}

impl Filled {
    /// Rows a second, over everything.
    pub fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    /// Rows a second while rows were written; over everything where nothing else belongs to it.
    pub fn fill_rate(&self) -> f64 {
        self.rows as f64 / self.fill_seconds.unwrap_or(self.seconds)
    }
}

/// A fill that only has to be started.
pub(crate) struct Prepared<'r> {
    run: &'r Run,
    rows: u64,
    how: How,
}

enum How {
    Shipctl(Project, Start),
    Reshape(Reshape),
    Sql(Method),
}

impl Method {
    /// What it is called in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Shipctl(start) => start.name(),
            Self::SingleUpdate => "one UPDATE".to_owned(),
            Self::Keyset => "keyset batches of 1,000".to_owned(),
            Self::TriggerTouch => "trigger, touched in batches".to_owned(),
            Self::RowLoop { .. } => "row-by-row loop".to_owned(),
            Self::Reshape(_) => "reshape".to_owned(),
        }
    }

    /// What people do without shipctl, as far as it can be measured here.
    pub fn others(loop_rows: u64) -> Vec<Self> {
        let mut all = vec![
            Self::Keyset,
            Self::TriggerTouch,
            Self::RowLoop { rows: loop_rows },
        ];
        all.extend(Reshape::binary().map(Self::Reshape));
        all
    }

    /// Does everything that comes before the fill: the column, the trigger, shipctl's plan.
    pub async fn prepare<'r>(&self, run: &'r Run, rows: u64) -> Outcome<Prepared<'r>> {
        let add = "ALTER TABLE users ADD COLUMN display_name text";
        let how = match self {
            Self::Shipctl(start) => {
                let project = Project::set_up(run).await?;
                project.run_to("add").await?;
                project.deploy(Some("dual-write"))?;
                How::Shipctl(project, *start)
            }
            Self::Reshape(binary) => How::Reshape(Reshape::set_up(binary, &run.url)?),
            Self::TriggerTouch => {
                run.client.batch_execute(add).await?;
                run.client
                    .batch_execute(
                        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
                             $$ BEGIN NEW.display_name := NEW.name; RETURN NEW; END $$;
                         CREATE TRIGGER fill BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION fill()",
                    )
                    .await?;
                How::Sql(self.clone())
            }
            _ => {
                run.client.batch_execute(add).await?;
                How::Sql(self.clone())
            }
        };
        Ok(Prepared { run, rows, how })
    }
}

impl Prepared<'_> {
    /// Fills.
    pub async fn fill(&self) -> Outcome<Filled> {
        let started = Instant::now();
        let mut filled = Filled {
            rows: self.rows,
            seconds: 0.0,
            fill_from: None,
            fill_seconds: None,
            memory_kib: None,
            late: 0,
        };
        match &self.how {
            How::Shipctl(project, start) => {
                let ended = project.fill(*start).await?;
                let fill = ended.first.fill();
                filled.fill_from = fill.map(|(from, _)| from.as_secs_f64());
                filled.fill_seconds = fill.map(|(_, took)| took.as_secs_f64());
                filled.memory_kib = ended.memory_kib;
                filled.late = ended.late;
            }
            How::Reshape(reshape) => reshape.fill().await?,
            How::Sql(Method::SingleUpdate) => {
                let sql = "UPDATE users SET display_name = name";
                filled.rows = self.run.client.execute(sql, &[]).await?;
            }
            How::Sql(Method::RowLoop { rows }) => filled.rows = self.row_by_row(*rows).await?,
            How::Sql(Method::TriggerTouch) => self.batches("id = id").await?,
            How::Sql(_) => self.batches("display_name = name").await?,
        }
        filled.seconds = started.elapsed().as_secs_f64();
        Ok(filled)
    }

    /// The rows that were left out or filled wrongly, of those that it was given.
    pub async fn wrong(&self) -> Outcome<u64> {
        let given = match &self.how {
            // It loops in the order of the keys, which have no gaps.
            How::Sql(Method::RowLoop { rows }) => *rows,
            // Until then its column has a name of its own.
            How::Reshape(reshape) => {
                reshape.complete().await?;
                self.rows
            }
            _ => self.rows,
        };
        self.run.wrong(given).await
    }

    /// As one would write it with care: the end of a range is looked up in the index, then the range is updated. Written
    /// as one statement with a join, the planner may scan the whole table for each batch.
    async fn batches(&self, set: &str) -> Outcome<()> {
        let client = &self.run.client;
        let bound = client
            .prepare(&format!(
                "SELECT max(id) FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT {BATCH}) AS batch"
            ))
            .await?;
        let update = client
            .prepare(&format!("UPDATE users SET {set} WHERE id > $1 AND id <= $2"))
            .await?;
        let mut after: i64 = 0;
        while let Some(upper) = client
            .query_one(&bound, &[&after])
            .await?
            .get::<_, Option<i64>>(0)
        {
            client.execute(&update, &[&after, &upper]).await?;
            after = upper;
        }
        Ok(())
    }

    async fn row_by_row(&self, rows: u64) -> Outcome<u64> {
        let client = &self.run.client;
        let read = client
            .prepare("SELECT id, name FROM users WHERE id > $1 ORDER BY id LIMIT $2")
            .await?;
        let write = client
            .prepare("UPDATE users SET display_name = $2 WHERE id = $1")
            .await?;
        let (mut after, mut done): (i64, u64) = (0, 0);
        while done < rows {
            let limit = i64::try_from(rows - done).unwrap_or(BATCH).min(BATCH);
            let batch = client.query(&read, &[&after, &limit]).await?;
            for row in &batch {
                let (id, name): (i64, &str) = (row.get(0), row.get(1));
                client.execute(&write, &[&id, &name]).await?;
                after = id;
            }
            if batch.is_empty() {
                break;
            }
            done += batch.len() as u64;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(done)
    }
}
