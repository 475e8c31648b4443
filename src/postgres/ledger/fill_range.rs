//! The ranges of a fill that is under way, shared by its workers: in one process, in several, on several machines.

use tokio_postgres::{Client, GenericClient, Row, Statement};

use super::checkpoint::CheckpointKey;
use super::schema::exists;
use super::{Access, describe};
use crate::domain::{EnvironmentName, PhaseId, PlanId, Problem};

/// Whose ranges they are.
#[derive(Clone, Copy, Debug)]
pub struct FillKey<'a> {
    /// The environment, plan, phase and activity.
    pub of: CheckpointKey<'a>,
    /// The effort, with its pass; ranges of another one mean nothing.
    pub effort: &'a str,
}

/// A part of a table that is to be filled, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillRange {
    /// Its place in the fill, from 0.
    pub number: i32,
    /// The table or partition, quoted for SQL.
    pub relation: String,
    /// Its first block.
    pub first_block: i64,
    /// The block behind its last; `None` is the table's end, wherever that is by then.
    pub end_block: Option<i64>,
    /// How often it was gone through.
    pub round: i16,
    /// The block at which it goes on.
    pub next_block: i64,
    /// Where it is walked by its key instead: the last one that was dealt with.
    pub last_key: Option<Vec<String>>,
    /// Whether nothing is left of it.
    pub done: bool,
    /// Rows looked at, estimated.
    pub rows_done: u64,
    /// Rows changed.
    pub rows_changed: u64,
    /// Of those, the rows whose new version did not fit into their block.
    pub rows_moved: u64,
}

impl FillRange {
    /// A range that nobody has begun.
    pub fn new(number: i32, relation: &str, first_block: i64, end_block: Option<i64>) -> Self {
        Self {
            number,
            relation: relation.to_owned(),
            first_block,
            end_block,
            round: 0,
            next_block: first_block,
            last_key: None,
            done: false,
            rows_done: 0,
            rows_changed: 0,
            rows_moved: 0,
        }
    }

    fn read(row: &Row) -> Self {
        let count = |column: &str| row.get::<_, i64>(column).unsigned_abs();
        Self {
            number: row.get("number"),
            relation: row.get("relation"),
            first_block: row.get("first_block"),
            end_block: row.get("end_block"),
            round: row.get("round"),
            next_block: row.get("next_block"),
            last_key: row.get("last_key"),
            done: row.get("done"),
            rows_done: count("rows_done"),
            rows_changed: count("rows_changed"),
            rows_moved: count("rows_moved"),
        }
    }
}

/// What all ranges of a fill come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FillTotals {
    /// Ranges in all.
    pub ranges: u64,
    /// Those of which something is left.
    pub left: u64,
    /// Rows looked at, estimated.
    pub rows_done: u64,
    /// Rows changed.
    pub rows_changed: u64,
    /// Of those, the rows whose new version did not fit into their block.
    pub rows_moved: u64,
}

const READING: &str = "reading the ranges of a fill";
const WRITING: &str = "writing down the ranges of a fill";

const COLUMNS: &str = "number, relation, first_block, end_block, round, next_block, last_key, done,
                       rows_done, rows_changed, rows_moved";

/// Since when the server process `$6` is there: process ids are used again.
const SINCE: &str = "SELECT backend_start FROM pg_stat_activity WHERE pid = $6";

const OF_THE_FILL: &str = "environment = $1 AND plan = $2 AND phase = $3 AND activity = $4 AND effort = $5";

impl<'a> FillKey<'a> {
    /// As the first five parameters of every statement here.
    fn parts(&self) -> [&'a str; 5] {
        [
            self.of.environment.as_str(),
            self.of.plan.as_str(),
            self.of.phase.as_str(),
            self.of.activity,
            self.effort,
        ]
    }
}

/// Every range of the fill, in order.
///
/// # Errors
/// The database cannot be asked.
pub async fn all(client: &impl GenericClient, key: FillKey<'_>) -> Result<Vec<FillRange>, Problem> {
    let [environment, plan, phase, activity, effort] = key.parts();
    let rows = client
        .query(
            &format!("SELECT {COLUMNS} FROM shipctl.fill_ranges WHERE {OF_THE_FILL} ORDER BY number"),
            &[&environment, &plan, &phase, &activity, &effort],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, READING))?;
    Ok(rows.iter().map(FillRange::read).collect())
}

/// What the ranges of the fill come to.
///
/// # Errors
/// The database cannot be asked.
pub async fn totals(client: &impl GenericClient, key: FillKey<'_>) -> Result<FillTotals, Problem> {
    let [environment, plan, phase, activity, effort] = key.parts();
    let row = client
        .query_one(
            &format!(
                "SELECT count(*), count(*) FILTER (WHERE NOT done), coalesce(sum(rows_done), 0)::bigint,
                        coalesce(sum(rows_changed), 0)::bigint, coalesce(sum(rows_moved), 0)::bigint
                   FROM shipctl.fill_ranges WHERE {OF_THE_FILL}"
            ),
            &[&environment, &plan, &phase, &activity, &effort],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, READING))?;
    let count = |column: usize| row.get::<_, i64>(column).unsigned_abs();
    Ok(FillTotals {
        ranges: count(0),
        left: count(1),
        rows_done: count(2),
        rows_changed: count(3),
        rows_moved: count(4),
    })
}

/// Makes the ranges those of the run whose lock the server process `run` holds: adds `ranges`, which nobody has begun, after
/// forgetting those of other efforts and of relations that are not in `relations`.
///
/// # Errors
/// The database refuses.
pub async fn lay_out(
    client: &impl GenericClient,
    key: FillKey<'_>,
    run: i32,
    relations: &[&str],
    ranges: &[FillRange],
) -> Result<(), Problem> {
    let [environment, plan, phase, activity, effort] = key.parts();
    let failed = |error: tokio_postgres::Error| describe(&error, Access::Write, WRITING);
    client
        .execute(
            "DELETE FROM shipctl.fill_ranges
              WHERE environment = $1 AND plan = $2 AND phase = $3 AND activity = $4
                AND (effort <> $5 OR relation <> ALL ($6::text[]))",
            &[&environment, &plan, &phase, &activity, &effort, &relations],
        )
        .await
        .map_err(failed)?;
    let numbers: Vec<i32> = ranges.iter().map(|range| range.number).collect();
    let names: Vec<&str> = ranges.iter().map(|range| range.relation.as_str()).collect();
    let firsts: Vec<i64> = ranges.iter().map(|range| range.first_block).collect();
    let ends: Vec<Option<i64>> = ranges.iter().map(|range| range.end_block).collect();
    client
        .execute(
            &format!(
                "UPDATE shipctl.fill_ranges SET run_process = $6, run_since = ({SINCE}) WHERE {OF_THE_FILL}"
            ),
            &[&environment, &plan, &phase, &activity, &effort, &run],
        )
        .await
        .map_err(failed)?;
    client
        .execute(
            &format!(
                "INSERT INTO shipctl.fill_ranges
                    (environment, plan, phase, activity, effort, run_process, run_since, number, relation, first_block,
                     end_block, next_block)
             SELECT $1, $2, $3, $4, $5, $6, ({SINCE}), number, relation, first_block, end_block, first_block
               FROM unnest($7::int[], $8::text[], $9::bigint[], $10::bigint[])
                 AS range (number, relation, first_block, end_block)"
            ),
            &[
                &environment,
                &plan,
                &phase,
                &activity,
                &effort,
                &run,
                &numbers,
                &names,
                &firsts,
                &ends,
            ],
        )
        .await
        .map(drop)
        .map_err(failed)
}

/// Forgets the ranges of a fill, of whatever effort.
///
/// # Errors
/// The database refuses.
pub async fn clear(client: &impl GenericClient, of: CheckpointKey<'_>) -> Result<(), Problem> {
    client
        .execute(
            "DELETE FROM shipctl.fill_ranges
              WHERE environment = $1 AND plan = $2 AND phase = $3 AND activity = $4",
            &[
                &of.environment.as_str(),
                &of.plan.as_str(),
                &of.phase.as_str(),
                &of.activity,
            ],
        )
        .await
        .map(drop)
        .map_err(|error| describe(&error, Access::Write, WRITING))
}

/// A fill of which something is left, as another process finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFill {
    /// The phase.
    pub phase: PhaseId,
    /// What is done: `backfill`, `refill` or `restore`.
    pub activity: String,
    /// The effort, with its pass.
    pub effort: String,
}

/// The fill of which something is left and that belongs to the run whose lock the server process `run` holds, if there is
/// one. `None` too where there is no ledger. What a run that ended has left behind is nobody's to join.
///
/// # Errors
/// The database cannot be asked.
pub async fn open_fill(
    client: &impl GenericClient,
    environment: &EnvironmentName,
    plan: &PlanId,
    run: i32,
) -> Result<Option<OpenFill>, Problem> {
    if !exists(client).await? {
        return Ok(None);
    }
    let row = client
        .query_opt(
            "SELECT phase, activity, effort FROM shipctl.fill_ranges AS range
              WHERE environment = $1 AND plan = $2 AND NOT done AND run_process = $3
                AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = $3
                             AND backend_start IS NOT DISTINCT FROM range.run_since)
              ORDER BY phase, activity LIMIT 1",
            &[&environment.as_str(), &plan.as_str(), &run],
        )
        .await
        .map_err(|error| describe(&error, Access::Read, READING))?;
    let Some(row) = row else { return Ok(None) };
    let phase = row
        .get::<_, &str>(0)
        .parse()
        .map_err(|error: crate::domain::InvalidIdentifier| super::schema::newer(&error.to_string()))?;
    Ok(Some(OpenFill {
        phase,
        activity: row.get(1),
        effort: row.get(2),
    }))
}

/// Whether the role may not see since when the server process `run` is there, which tells the ranges of its run from
/// those that were left behind. Only members of `pg_read_all_stats` see it of the sessions of other roles.
///
/// # Errors
/// The database cannot be asked.
pub async fn is_hidden(client: &impl GenericClient, run: i32) -> Result<bool, Problem> {
    let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_start IS NULL)";
    client
        .query_one(sql, &[&run])
        .await
        .map(|row| row.get(0))
        .map_err(|error| describe(&error, Access::Read, READING))
}

/// The statements that claim and save, prepared on one session.
#[derive(Clone, Debug)]
pub struct Claims {
    same: Statement,
    next: Statement,
    elsewhere: Statement,
    save: Statement,
}

impl Claims {
    /// Prepares them.
    ///
    /// # Errors
    /// The role may not use the table.
    pub async fn prepare(client: &Client) -> Result<Self, Problem> {
        let failed = |error: tokio_postgres::Error| describe(&error, Access::Write, WRITING);
        let claiming = |which: &str| {
            format!(
                "SELECT {COLUMNS} FROM shipctl.fill_ranges WHERE {OF_THE_FILL} AND NOT done {which} LIMIT 1
                    FOR UPDATE SKIP LOCKED"
            )
        };
        Ok(Self {
            same: client
                .prepare(&claiming("AND number = $6"))
                .await
                .map_err(failed)?,
            next: client
                .prepare(&claiming("ORDER BY begun, number"))
                .await
                .map_err(failed)?,
            elsewhere: client
                .prepare(&claiming("AND number <> $6 ORDER BY begun, number"))
                .await
                .map_err(failed)?,
            save: client
                .prepare(&format!(
                    "UPDATE shipctl.fill_ranges
                        SET round = $7, next_block = $8, last_key = $9, done = $10, rows_done = $11, rows_changed = $12,
                            rows_moved = $13, begun = true
                      WHERE {OF_THE_FILL} AND number = $6"
                ))
                .await
                .map_err(failed)?,
        })
    }

    /// Claims a range until the transaction that `client` is in ends: `last` again if it is given and can be had, or else the first one that
    /// nobody has a claim on, and `avoided` only if there is no other.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim(
        &self,
        client: &Client,
        key: FillKey<'_>,
        last: Option<i32>,
        avoided: Option<i32>,
    ) -> Result<Option<FillRange>, tokio_postgres::Error> {
        let [environment, plan, phase, activity, effort] = key.parts();
        for (statement, number) in [
            (&self.same, last),
            (&self.elsewhere, avoided),
            (&self.same, avoided),
        ] {
            let Some(number) = number else { continue };
            let row = client
                .query_opt(
                    statement,
                    &[&environment, &plan, &phase, &activity, &effort, &number],
                )
                .await?;
            if let Some(row) = row {
                return Ok(Some(FillRange::read(&row)));
            }
        }
        if avoided.is_some() {
            return Ok(None);
        }
        let row = client
            .query_opt(&self.next, &[&environment, &plan, &phase, &activity, &effort])
            .await?;
        Ok(row.as_ref().map(FillRange::read))
    }

    /// Writes down how far a claimed range has come; in the transaction of the rows it counts, which `client` is in.
    ///
    /// # Errors
    /// What the database says.
    pub async fn save(
        &self,
        client: &Client,
        key: FillKey<'_>,
        range: &FillRange,
    ) -> Result<(), tokio_postgres::Error> {
        let [environment, plan, phase, activity, effort] = key.parts();
        let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        client
            .execute(
                &self.save,
                &[
                    &environment,
                    &plan,
                    &phase,
                    &activity,
                    &effort,
                    &range.number,
                    &range.round,
                    &range.next_block,
                    &range.last_key,
                    &range.done,
                    &count(range.rows_done),
                    &count(range.rows_changed),
                    &count(range.rows_moved),
                ],
            )
            .await
            .map(drop)
    }
}
