//! What is to be measured, and how much of it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

const HELP: &str = "\
cargo bench -- [OPTIONS]

  --full              1,000,000 rows, 5 runs, longer windows (or SHIPCTL_BENCH_FULL=1)
  --rows N            rows of the table
  --live-rows N       rows of the table beside whose fill the clients work
  --loop-rows N       rows that the row-by-row loop is given
  --runs N            runs of each measurement; the median is shown
  --memory-rows N,…   rows of the tables on which shipctl's memory is measured
  --only PART,…       throughput, defaults, memory, live, ddl
  --quiet SECONDS     before each run, wait up to so long until others leave the processors alone
  --json FILE         writes everything that was measured, each single run too
  -h, --help          this text

`defaults` is the throughput with PostgreSQL's own shared_buffers; it is done with --full, or where it is named.
RESHAPE_BIN=/path/to/reshape measures reshape as well; without it, it is left out.";

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Rows a second, size and WAL of each way to fill the column.
    Throughput,
    /// The main ways again, on a server with the default `shared_buffers`.
    Defaults,
    /// shipctl's own memory at several sizes.
    Memory,
    /// Clients beside a fill.
    Live,
    /// Clients beside the phases that change the schema.
    Ddl,
}

impl Part {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "throughput" => Ok(Self::Throughput),
            "defaults" => Ok(Self::Defaults),
            "memory" => Ok(Self::Memory),
            "live" => Ok(Self::Live),
            "ddl" => Ok(Self::Ddl),
            _ => Err(format!("there is no part `{name}`")),
        }
    }
}

/// How much is measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Options {
    /// `short` or `full`.
    pub mode: &'static str,
    /// Rows of the table.
    pub rows: u64,
    /// Rows of the table beside whose fill the clients work: a fill of a second has too few operations in it to tell a p99.
    pub live_rows: u64,
    /// Runs of each measurement.
    pub runs: usize,
    /// Rows of the tables for the memory.
    pub memory_rows: Vec<u64>,
    /// How long the workload runs alone before something is done beside it.
    #[serde(skip)]
    pub baseline: Duration,
    /// How long a session sits in an open transaction on the table.
    #[serde(skip)]
    pub blocker: Duration,
    /// Rows that the row-by-row loop is given; its rate is taken from them.
    pub loop_rows: u64,
    /// How long each run waits for a quiet machine, at most.
    #[serde(skip)]
    pub quiet: Duration,
    #[serde(skip)]
    only: Vec<Part>,
    /// Where the JSON goes.
    #[serde(skip)]
    pub json: Option<PathBuf>,
}

impl Options {
    fn of(full: bool) -> Self {
        Self {
            mode: if full { "full" } else { "short" },
            rows: if full { 1_000_000 } else { 200_000 },
            live_rows: if full { 2_000_000 } else { 500_000 },
            runs: if full { 5 } else { 3 },
            memory_rows: if full {
                vec![1_000_000, 20_000_000]
            } else {
                vec![200_000, 800_000]
            },
            baseline: Duration::from_secs(if full { 20 } else { 5 }),
            blocker: Duration::from_secs(3),
            loop_rows: if full { 10_000 } else { 3_000 },
            quiet: Duration::ZERO,
            only: Vec::new(),
            json: None,
        }
    }

    /// From the arguments and the environment; `None` where only help was asked for.
    pub fn parse(arguments: &[String]) -> Result<Option<Self>, String> {
        let full = arguments.iter().any(|argument| argument == "--full")
            || std::env::var("SHIPCTL_BENCH_FULL").is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
        let mut options = Self::of(full);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--bench" | "--full" => {}
                "--rows" => options.rows = number(value()?)?,
                "--live-rows" => options.live_rows = number(value()?)?,
                "--loop-rows" => options.loop_rows = number(value()?)?,
                "--runs" => options.runs = usize::try_from(number(value()?)?).unwrap_or(usize::MAX),
                "--memory-rows" => {
                    options.memory_rows = value()?.split(',').map(number).collect::<Result<_, _>>()?;
                }
                "--quiet" => options.quiet = Duration::from_secs(number(value()?)?),
                "--only" => {
                    options.only = value()?.split(',').map(Part::parse).collect::<Result<_, _>>()?;
                }
                "--json" => options.json = Some(PathBuf::from(value()?)),
                "-h" | "--help" => {
                    println!("{HELP}");
                    return Ok(None);
                }
                other => return Err(format!("`{other}` is not an option")),
            }
        }
        let tables = [options.rows, options.live_rows];
        if tables
            .iter()
            .chain(&options.memory_rows)
            .any(|rows| *rows < 1_000)
            || options.runs == 0
        {
            return Err("at least 1,000 rows and one run are needed".to_owned());
        }
        if options.loop_rows == 0 || options.loop_rows > options.rows.min(options.live_rows) {
            return Err("the row-by-row loop cannot be given no row, or more rows than there are".to_owned());
        }
        Ok(Some(options))
    }

    /// Whether this part is wanted.
    pub fn does(&self, part: Part) -> bool {
        match part {
            Part::Defaults if self.only.is_empty() => self.mode == "full",
            _ => self.only.is_empty() || self.only.contains(&part),
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.replace('_', "")
        .parse()
        .map_err(|_| format!("`{text}` is not a number"))
}
