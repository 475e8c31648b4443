//! Measures how long it takes to tell whether one commit descends from another, against git and libgit2.
//!
//! `cargo bench --bench ancestry` builds a history of 100,000 commits, `-- --commits 1000000` a long one. What is measured
//! is the library's own entry, on a repository that is opened anew for each run.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints; it is no part of the program"
)]

mod history;
mod measure;
mod options;
mod report;

use std::process::ExitCode;

use history::History;
use options::Options;

/// What can go wrong in a benchmark: anything, and it ends it.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

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
            eprintln!("{why}; `cargo bench --bench ancestry -- --help` names the options");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    println!(
        "building a history of {} commits",
        report::thousands(options.commits)
    );
    let history = History::build(options.commits)?;
    println!(
        "{} with a commit-graph of {} MiB\n",
        history.git_version()?,
        history.graph_size()? >> 20
    );
    let pairs = measure::pairs(&history, options)?;
    print!("{}", report::pairs(&pairs));
    let many = measure::many(&history, options)?;
    print!("{}", report::many(&many));
    print!("{}", report::acceptance(&pairs, &many));
    Ok(())
}
