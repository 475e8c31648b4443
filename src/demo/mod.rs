//! `shipctl demo`: the whole rename under live traffic, on a private PostgreSQL and a temporary git repository.
//!
//! Nothing is pretended: the commands are the real program run in the repository, the clients are real connections that
//! run the releases' own SQL, and the story fails if a command ends otherwise than it should.

mod application;
mod outcome;
mod stage;
mod story;
mod traffic;

use std::fmt::Write as _;

pub use outcome::Outcome;
use stage::{Performed, Stage};
use traffic::Shared;

use crate::domain::{Exit, Problem};
use crate::report::{Console, style};

/// What the demo is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rows in the table at the beginning.
    pub rows: u64,
    /// Leave everything running at the end until Ctrl-C.
    pub keep: bool,
}

/// Plays the demo and prints how it ended.
///
/// # Errors
/// No PostgreSQL; something went otherwise than it should; Ctrl-C.
pub async fn run(options: Options, console: &Console) -> Result<Exit, Problem> {
    let stage = Stage::set_up()?;
    let telling = Telling {
        console: console.clone(),
        scenes: std::sync::atomic::AtomicU32::new(0),
    };
    let outcome = tokio::select! {
        outcome = story::play(&stage, options.rows, &telling) => outcome?,
        _ = tokio::signal::ctrl_c() => {
            console.note("Interrupted; PostgreSQL and the repository are cleared away.");
            return Ok(Exit::Interrupted);
        }
    };
    console.json(&outcome);
    console.result(&table(&outcome));
    if options.keep {
        keep(stage, console).await;
    }
    Ok(if outcome.is_good() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn keep(stage: Stage, console: &Console) {
    let url = stage.url();
    let (folder, _cluster) = stage.keep();
    console.note(&format!(
        "\nEverything is kept running until Ctrl-C. In another terminal:\n  cd {}\n  export DATABASE_URL={url}\n  shipctl status",
        folder.display()
    ));
    // Without a signal handler there is nothing to wait for.
    let _ = tokio::signal::ctrl_c().await;
}

/// Tells the story on standard output, for people.
pub(crate) struct Telling {
    console: Console,
    scenes: std::sync::atomic::AtomicU32,
}

impl Telling {
    fn scene(&self, title: &str) {
        let number = self.scenes.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        self.console.result(&format!(
            "\n{}",
            style::paint(style::HEADING, format!("{number}. {title}"))
        ));
    }

    fn say(&self, text: &str) {
        self.console.result(&format!("   {text}"));
    }

    fn command(&self, arguments: &[&str], performed: &Performed) {
        let line = format!("$ shipctl {}", arguments.join(" "));
        let mut text = format!("   {}\n", style::paint(style::NAME, line));
        for line in performed.stderr.lines().chain(performed.stdout.lines()) {
            let _ = writeln!(text, "     {line}");
        }
        if performed.code != Some(0) {
            let code = performed
                .code
                .map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
            let _ = writeln!(text, "     {}", style::paint(style::CAUTION, format!("({code})")));
        }
        self.console.result(&text);
    }

    async fn traffic(&self, shared: &Shared) {
        let felt = shared.felt().await;
        let bad = felt.errors + felt.wrong + felt.lost;
        let colour = if bad == 0 { style::GOOD } else { style::BAD };
        self.say(&style::paint(
            colour,
            format!(
                "Clients so far: {} operations, longest {} ms, {} errors, {} wrong or missing answers.",
                felt.operations,
                felt.longest.as_millis(),
                felt.errors,
                felt.wrong + felt.lost
            ),
        ));
    }
}

/// The closing table.
fn table(outcome: &Outcome) -> String {
    let mut text = format!("\n{}\n\n", style::paint(style::HEADING, "How it ended"));
    let _ = writeln!(
        text,
        "   {:<12} {:>10} {:>10} {:>10}",
        "phase", "duration", "rows", "rows/s"
    );
    for phase in &outcome.phases {
        let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), |value| value.to_string());
        let duration = format!(
            "{:.2} s",
            std::time::Duration::from_millis(phase.duration_ms).as_secs_f64()
        );
        let _ = writeln!(
            text,
            "   {:<12} {duration:>10} {:>10} {:>10}",
            phase.phase,
            number(phase.rows),
            number(phase.rows_per_second)
        );
    }
    let _ = writeln!(text);
    let mut line = |label: &str, value: String, good: bool| {
        let value = style::paint(if good { style::GOOD } else { style::BAD }, value);
        let _ = writeln!(text, "   {label:<34} {value}");
    };
    line("operations of the clients", outcome.operations.to_string(), true);
    line(
        "longest stall a client felt",
        format!("{} ms", outcome.max_stall_ms),
        true,
    );
    line(
        "client errors",
        outcome.app_errors.to_string(),
        outcome.app_errors == 0,
    );
    line("lost rows", outcome.lost_rows.to_string(), outcome.lost_rows == 0);
    line(
        "wrong rows",
        outcome.wrong_rows.to_string(),
        outcome.wrong_rows == 0,
    );
    for refusal in &outcome.refusals {
        line("refused, as it should be", refusal.tried.to_owned(), true);
    }
    for error in &outcome.app_error_texts {
        line("a client's error", error.clone(), false);
    }
    text
}
