//! How much is to be measured.

const HELP: &str = "\
cargo bench --bench ancestry -- [OPTIONS]

  --commits N   commits of the history (100,000)
  --runs N      runs of each measurement (5); the median is shown
  -h, --help    this text";

/// How much is measured.
pub(crate) struct Options {
    /// Commits of the history.
    pub commits: usize,
    /// Runs of each measurement.
    pub runs: usize,
}

impl Options {
    /// Reads the arguments; `None` if only help was wanted.
    pub fn parse(arguments: &[String]) -> Result<Option<Self>, String> {
        let mut options = Self {
            commits: 100_000,
            runs: 5,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut number = |least: usize| {
                let text = rest.next().ok_or_else(|| format!("{argument} needs a number"))?;
                text.replace([',', '_'], "")
                    .parse::<usize>()
                    .ok()
                    .filter(|number| *number >= least)
                    .ok_or_else(|| format!("{argument} needs a number of at least {least}"))
            };
            match argument.as_str() {
                "--bench" => {}
                "--commits" => options.commits = number(10_000)?,
                "--runs" => options.runs = number(1)?,
                "-h" | "--help" => {
                    println!("{HELP}");
                    return Ok(None);
                }
                other => return Err(format!("there is no option {other}")),
            }
        }
        Ok(Some(options))
    }
}
