//! Measures the backfill, the live workload beside it and the DDL phases, against what people do without shipctl.
//!
//! `cargo bench` runs a short form, `cargo bench -- --full` the long one, `cargo bench -- --help` names the options. All
//! of it happens in a private PostgreSQL cluster with `fsync` on, and shipctl runs as what it is: the release binary, a
//! child process, on a plan that `shipctl plan rename` wrote, with its gates satisfied by a fleet that is told to it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints; it is no part of the program"
)]

mod acceptance;
mod child;
mod computing;
mod ddl;
mod figures;
mod live;
mod methods;
mod options;
mod project;
mod report;
mod reshape;
mod stage;
mod table;
mod throughput;
mod traffic;

use std::process::ExitCode;

use figures::Machine;
use options::{Options, Part};
use project::Abilities;
use report::Report;
use stage::{SMALL_SERVER, Stage, UNTOUCHED};

/// What can go wrong in a benchmark: anything, and it ends it.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo says so when it means benchmarks; `cargo test --all-targets` runs this program without it.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("the benchmarks run with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(&arguments) {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}; `cargo bench -- --help` names the options");
            return ExitCode::from(2);
        }
    };
    match tokio::runtime::Runtime::new()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(measure(&options)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Outcome<()> {
    let abilities = Abilities::look()?;
    let stage = Stage::set_up(SMALL_SERVER).await?;
    let mut report = Report::new(Machine::look(&stage).await?, options);
    print!("{}", report.head());
    if options.does(Part::Throughput) {
        let (measured, skipped) = throughput::measure(&stage, options, abilities).await?;
        report.throughput = measured;
        report.skip(skipped);
        print!("{}", report.throughput_table());
    }
    if options.does(Part::Defaults) {
        let untouched = Stage::set_up(UNTOUCHED).await?;
        let (measured, skipped) = throughput::again(&untouched, options, abilities).await?;
        report.defaults = measured;
        report.skip(skipped);
        print!("{}", report.defaults_table());
    }
    if options.does(Part::Memory) {
        report.memory = throughput::memory(&stage, options, abilities).await?;
        print!("{}", report.memory_table());
    }
    if options.does(Part::Live) {
        let measured = live::fills(&stage, options, abilities).await?;
        report.live = measured.fills;
        report.computing = measured.computing;
        report.skip(measured.skipped);
        print!("{}", report.live_table());
    }
    if options.does(Part::Ddl) {
        report.ddl = ddl::phases(&stage, options).await?;
        print!("{}", report.ddl_table());
    }
    print!("{}{}", report.left_out(), report.acceptance_table());
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
