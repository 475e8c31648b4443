//! `--format`: how the commands that pipelines ask report, besides `--json`.

/// For whom a command reports.
#[derive(Debug, clap::Args)]
pub(super) struct Reporting {
    /// How to report: text for people, or workflow commands that GitHub shows beside the lines of a pull request
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Text for people
    Text,
    /// Annotations for GitHub's workflows
    Github,
}

impl Reporting {
    /// Whether a workflow of GitHub reads it.
    pub(super) fn is_github(&self) -> bool {
        self.format == Format::Github
    }
}
