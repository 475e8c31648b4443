//! The `shipctl` program: parse, run, and turn the outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(shipctl::cli::main().code())
}
