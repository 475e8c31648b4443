//! The tables, and everything as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::acceptance::{Target, targets};
use super::computing::Beside;
use super::ddl::Change;
use super::figures::{Latency, Machine, greatest, least, median};
use super::live::Fill;
use super::options::Options;
use super::reshape::Reshape;
use super::stage::{SMALL_SERVER, UNTOUCHED};
use super::table::{aligned, table, thousands, times};
use super::throughput::{Measured, Memory};
use super::traffic::{CLIENTS, RATE};

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report<'o> {
    pub machine: Machine,
    pub options: &'o Options,
    pub throughput: Vec<Measured>,
    /// The main ways on a server with PostgreSQL's own `shared_buffers`.
    pub defaults: Vec<Measured>,
    pub memory: Vec<Memory>,
    pub live: Vec<Fill>,
    /// The same clients beside a program that only computes.
    pub computing: Vec<Beside>,
    pub ddl: Vec<Change>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
    /// What is to be reached, once everything is measured.
    pub acceptance: Vec<Target>,
}

impl<'o> Report<'o> {
    /// Nothing measured yet.
    pub fn new(machine: Machine, options: &'o Options) -> Self {
        Self {
            machine,
            options,
            throughput: Vec::new(),
            defaults: Vec::new(),
            memory: Vec::new(),
            live: Vec::new(),
            computing: Vec::new(),
            ddl: Vec::new(),
            skipped: Vec::new(),
            acceptance: Vec::new(),
        }
    }

    /// Notes what was left out.
    pub fn skip(&mut self, skipped: Vec<String>) {
        for why in skipped {
            if !self.skipped.contains(&why) {
                self.skipped.push(why);
            }
        }
    }

    /// Where and what.
    pub fn head(&self) -> String {
        let machine = &self.machine;
        let settings: Vec<String> = machine
            .postgres_settings
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        format!(
            "shipctl {} (commit {}) on PostgreSQL {}, {} cores ({}), {} MiB, Linux {}; load average before: {}\n{}\n\
             {} mode: {} rows, {} beside clients, medians of {} runs\n",
            machine.shipctl,
            machine.commit.as_deref().unwrap_or("unknown"),
            machine.postgres,
            machine.cores,
            machine.cpu.as_deref().unwrap_or("unknown"),
            machine.memory_mib.unwrap_or(0),
            machine.kernel.as_deref().unwrap_or("unknown"),
            machine.load_average_before.as_deref().unwrap_or("unknown"),
            settings.join(", "),
            self.options.mode,
            thousands(self.options.rows as f64),
            thousands(self.options.live_rows as f64),
            self.options.runs,
        )
    }

    /// Rows a second, with ratios to the single UPDATE of the same round.
    pub fn throughput_table(&self) -> String {
        let mut text = ways_table(
            &format!("Throughput, nothing else going on, shared_buffers = {SMALL_SERVER}"),
            &self.throughput,
        );
        let _ = writeln!(
            text,
            "The row-by-row loop was given {} rows; its rate is taken from them.",
            thousands(self.options.loop_rows as f64)
        );
        for way in &self.throughput {
            let wrong: u64 = way.runs.iter().map(|run| run.wrong).sum();
            if wrong > 0 {
                let _ = writeln!(text, "{} left {} rows wrong.", way.name, thousands(wrong as f64));
            }
            let late: u32 = way.runs.iter().map(|run| run.filled.late).sum();
            if late > 0 {
                let _ = writeln!(text, "{}: {late} came too late to join.", way.name);
            }
        }
        if Reshape::binary().is_none() {
            text.push_str("reshape is left out: RESHAPE_BIN does not name its binary.\n");
        }
        text
    }

    /// The same of the main ways, with PostgreSQL's own memory.
    pub fn defaults_table(&self) -> String {
        let title = format!("Throughput, nothing else going on, shared_buffers = {UNTOUCHED}");
        ways_table(&title, &self.defaults)
    }

    /// What was left out, and why.
    pub fn left_out(&self) -> String {
        let first = if self.skipped.is_empty() { "" } else { "\n" };
        std::iter::once(first.to_owned())
            .chain(self.skipped.iter().map(|why| format!("Left out: {why}.\n")))
            .collect()
    }

    /// Memory at several sizes.
    pub fn memory_table(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .memory
            .iter()
            .map(|one| {
                vec![
                    format!("{} rows", thousands(one.rows as f64)),
                    one.kib.map_or_else(
                        || "unknown".to_owned(),
                        |kib| format!("{:.1}", kib as f64 / 1024.0),
                    ),
                    thousands(one.rate),
                ]
            })
            .collect();
        let how = self.memory.first().map_or("shipctl", |one| &one.name);
        table(
            &format!("shipctl's own memory on a table of two narrow columns, one run each ({how})"),
            &["", "peak MiB", "rows/s"],
            &rows,
        )
    }

    /// Clients beside a fill.
    pub fn live_table(&self) -> String {
        let runs = || self.live.iter().flat_map(|fill| &fill.runs);
        let alone = Latency::median(&runs().map(|run| run.before).collect::<Vec<_>>());
        let mut rows = vec![
            [
                vec!["alone".to_owned(), String::new(), String::new()],
                latency(&alone),
            ]
            .concat(),
        ];
        if !self.computing.is_empty() {
            rows.push(
                [
                    vec![
                        "a program that only computes".to_owned(),
                        String::new(),
                        String::new(),
                    ],
                    latency(&Beside::felt(&self.computing)),
                    vec![times(Beside::p99_ratio(&self.computing))],
                ]
                .concat(),
            );
        }
        for fill in &self.live {
            let during = fill.felt(|run| run.during);
            let mut row = vec![
                fill.shown(),
                thousands(fill.median(|run| run.filled.fill_rate())),
                times(
                    fill.single_update(&self.live)
                        .map_or(f64::NAN, |one| fill.fill_ratio(one)),
                ),
            ];
            row.extend(latency(&Latency {
                // Whatever it was in the middle of: it is the same client that waited.
                max: fill.felt(|run| run.whole).max,
                ..during
            }));
            row.push(times(fill.p99_ratio()));
            row.push(format!("{:.1}", during.operations as f64 / f64::from(RATE)));
            row.push(times(fill.median(|run| run.growth)));
            row.push(whole(fill.runs.iter().filter_map(|run| run.others_busy)));
            rows.push(row);
        }
        let mut text = table(
            &format!(
                "Clients ({CLIENTS} connections, {RATE} transactions a second) beside a fill of {} rows; milliseconds",
                thousands(self.options.live_rows as f64)
            ),
            &[
                "clients beside",
                "fill rows/s",
                "of one UPDATE",
                "p50",
                "p95",
                "p99",
                "max",
                "errors",
                "p99 to alone",
                "seconds",
                "size after",
                "others' CPU %",
            ],
            &rows,
        );
        let p99 = || runs().map(|run| run.before.p99);
        let _ = writeln!(
            text,
            "The maximum is that of all runs. Clients alone had a p99 of {:.1} to {:.1} ms over {} windows; of their \
             waits, the harness itself is up to {:.2} ms (p99 of how late a free client woke).",
            least(p99()),
            greatest(p99()),
            p99().count(),
            alone.late_p99
        );
        text
    }

    /// What is to be reached.
    pub fn acceptance_table(&mut self) -> String {
        self.acceptance = targets(self);
        let rows: Vec<Vec<String>> = self
            .acceptance
            .iter()
            .map(|target| {
                let verdict = match (target.met, &target.figure) {
                    (Some(true), _) => "met",
                    (Some(false), _) => "NOT MET",
                    (None, Some(_)) => "not judged",
                    (None, None) => "not measured",
                };
                vec![
                    target.what.clone(),
                    target.wanted.clone(),
                    target.figure.clone().unwrap_or_default(),
                    verdict.to_owned(),
                    target.remark.clone(),
                ]
            })
            .collect();
        if rows.is_empty() {
            return String::new();
        }
        let head = ["", "target", "measured", "", ""];
        let mut text = aligned("Acceptance", &head, &rows, &[1, 2]);
        let _ = writeln!(
            text,
            "{} met, {} not met, {} not judged or not measured.",
            self.acceptance.iter().filter(|one| one.met == Some(true)).count(),
            self.acceptance
                .iter()
                .filter(|one| one.met == Some(false))
                .count(),
            self.acceptance.iter().filter(|one| one.met.is_none()).count()
        );
        text
    }

    /// Clients beside each change of the schema.
    pub fn ddl_table(&self) -> String {
        let mut text = String::new();
        for blocked in [false, true] {
            let rows: Vec<Vec<String>> = self
                .ddl
                .iter()
                .filter(|change| change.blocked == blocked)
                .map(|change| {
                    let mut row = vec![
                        change.name.clone(),
                        format!("{:.2}", change.median(|run| run.seconds)),
                    ];
                    row.extend(latency(&change.during()));
                    row.push(format!("{:.0}", change.median(|run| run.lock_retries as f64)));
                    row.push(whole(change.runs.iter().filter_map(|run| run.others_busy)));
                    row
                })
                .collect();
            let title = if blocked {
                format!(
                    "Clients beside changes of the schema, while another session sits in a transaction on the table for \
                     {} s; milliseconds",
                    self.options.blocker.as_secs()
                )
            } else {
                "Clients beside changes of the schema; milliseconds".to_owned()
            };
            text += &table(
                &title,
                &[
                    "",
                    "took s",
                    "p50",
                    "p95",
                    "p99",
                    "max",
                    "errors",
                    "lock retries",
                    "others' CPU %",
                ],
                &rows,
            );
        }
        text
    }
}

/// Every way, with ratios to the first, which is the single UPDATE.
fn ways_table(title: &str, ways: &[Measured]) -> String {
    let Some(single) = ways.first() else {
        return String::new();
    };
    let mut rows = Vec::new();
    for way in ways {
        rows.push(vec![
            way.name.clone(),
            thousands(way.median(|run| run.filled.rate())),
            times(way.ratio(single, |run| run.filled.rate())),
            spread(way),
            times(way.median(|run| run.growth)),
            thousands(way.median(|run| run.wal_a_row)),
            whole(way.runs.iter().filter_map(|run| run.others_busy)),
        ]);
        if way.has_fill_alone() {
            rows.push(vec![
                "  of which the fill alone".to_owned(),
                thousands(way.median(|run| run.filled.fill_rate())),
                times(way.fill_ratio(single)),
            ]);
        }
    }
    table(
        title,
        &[
            "",
            "rows/s",
            "of one UPDATE",
            "slowest–fastest",
            "size after",
            "WAL B/row",
            "others' CPU %",
        ],
        &rows,
    )
}

fn latency(felt: &Latency) -> Vec<String> {
    let mut cells: Vec<String> = [felt.p50, felt.p95, felt.p99, felt.max]
        .iter()
        .map(|ms| format!("{ms:.1}"))
        .collect();
    cells.push(felt.errors.to_string());
    cells
}

fn whole(values: impl Iterator<Item = f64>) -> String {
    format!("{:.0}", median(values))
}

/// The slowest and the fastest run.
fn spread(way: &Measured) -> String {
    let rates = || way.runs.iter().map(|run| run.filled.rate());
    format!("{}–{}", thousands(least(rates())), thousands(greatest(rates())))
}
