//! The tables, and everything as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::figures::{Latency, Machine, median};
use super::live::{Change, Fill};
use super::options::Options;
use super::throughput::{Measured, Memory, Single};
use super::traffic::{CLIENTS, RATE};

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report<'o> {
    pub machine: Machine,
    pub options: &'o Options,
    pub throughput: Vec<Measured>,
    pub memory: Vec<Memory>,
    pub live: Vec<Fill>,
    pub ddl: Vec<Change>,
}

impl<'o> Report<'o> {
    /// Nothing measured yet.
    pub fn new(machine: Machine, options: &'o Options) -> Self {
        Self {
            machine,
            options,
            throughput: Vec::new(),
            memory: Vec::new(),
            live: Vec::new(),
            ddl: Vec::new(),
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
            "shipctl {} on PostgreSQL {}, {} cores ({}), {} MiB, Linux {}; load average before: {}\n{}\n\
             {} mode: {} rows, medians of {} runs\n",
            machine.shipctl,
            machine.postgres,
            machine.cores,
            machine.cpu.as_deref().unwrap_or("unknown"),
            machine.memory_mib.unwrap_or(0),
            machine.kernel.as_deref().unwrap_or("unknown"),
            machine.load_average_before.as_deref().unwrap_or("unknown"),
            settings.join(", "),
            self.options.mode,
            thousands(self.options.rows as f64),
            self.options.runs,
        )
    }

    /// Rows a second, with ratios to the single UPDATE of the same round.
    pub fn throughput_table(&self) -> String {
        let Some(single) = self.throughput.first() else {
            return String::new();
        };
        let mut rows = Vec::new();
        for way in &self.throughput {
            rows.push(vec![
                way.name.clone(),
                thousands(way.median(|run| run.filled.rate())),
                times(way.ratio(single, |run| run.filled.rate())),
                spread(way),
                times(way.median(|run| run.growth)),
                thousands(way.median(|run| run.wal_a_row)),
                whole(way.runs.iter().filter_map(|run| run.others_busy)),
            ]);
            if way.runs.iter().all(|run| run.filled.fill_rate().is_some()) {
                let rate = |run: &Single| run.filled.fill_rate().unwrap_or(f64::NAN);
                rows.push(vec![
                    "  of which the fill alone".to_owned(),
                    thousands(way.median(rate)),
                    times(way.ratio(single, rate)),
                ]);
            }
        }
        let mut text = table(
            "Throughput, nothing else going on",
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
        );
        let _ = writeln!(
            text,
            "The row-by-row loop was given {} rows; its rate is taken from them.",
            thousands(self.options.loop_rows as f64)
        );
        if std::env::var_os("RESHAPE_BIN").is_none() {
            text.push_str("reshape is left out: RESHAPE_BIN does not name its binary.\n");
        }
        text
    }

    /// Memory at two sizes.
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
        table(
            "shipctl's own memory, one run each",
            &["", "peak MiB", "rows/s"],
            &rows,
        )
    }

    /// Clients beside a fill.
    pub fn live_table(&self) -> String {
        let mut rows = Vec::new();
        for fill in &self.live {
            let (before, during) = fill.latencies();
            rows.push([vec!["clients alone".to_owned(), String::new()], latency(&before)].concat());
            let mut row = vec![
                format!("beside {}", fill.name),
                thousands(fill.median(|run| run.filled.rate())),
            ];
            row.extend(latency(&during));
            row.push(times(fill.median(|run| run.during.p99 / run.before.p99)));
            row.push(times(fill.median(|run| run.growth)));
            row.push(whole(fill.runs.iter().filter_map(|run| run.others_busy)));
            rows.push(row);
        }
        table(
            &format!(
                "Clients ({CLIENTS} connections, {RATE} transactions a second) beside a fill; milliseconds"
            ),
            &[
                "",
                "fill rows/s",
                "p50",
                "p95",
                "p99",
                "max",
                "errors",
                "p99 to alone",
                "size after",
                "others' CPU %",
            ],
            &rows,
        )
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

fn latency(felt: &Latency) -> Vec<String> {
    let mut cells: Vec<String> = [felt.p50, felt.p95, felt.p99, felt.max]
        .iter()
        .map(|ms| format!("{ms:.1}"))
        .collect();
    cells.push(felt.errors.to_string());
    cells
}

fn times(ratio: f64) -> String {
    if ratio < 0.1 {
        format!("{ratio:.4}x")
    } else {
        format!("{ratio:.2}x")
    }
}

fn whole(values: impl Iterator<Item = f64>) -> String {
    format!("{:.0}", median(values))
}

/// The slowest and the fastest run.
fn spread(way: &Measured) -> String {
    let rates = || way.runs.iter().map(|run| run.filled.rate());
    let (slowest, fastest) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    format!("{}–{}", thousands(slowest), thousands(fastest))
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns aligned: names to the left, figures to the right.
fn table(title: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            std::iter::once(&head)
                .chain(rows)
                .map(|row| cell(row, column).chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = format!("\n{title}\n");
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (column, width) in widths.iter().enumerate() {
            let value = cell(row, column);
            let padding = " ".repeat(width.saturating_sub(value.chars().count()));
            match column {
                0 => line += &format!("{value}{padding}"),
                _ => line += &format!("  {padding}{value}"),
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
