//! A long history with merges, made by `git fast-import`, and its commit-graph.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use shipctl::domain::CommitId;

use super::Outcome;

/// Every so many commits, a branch of two commits is merged.
const MERGE_EVERY: usize = 10;
/// How deep the branches begin that were never merged.
const FORKS: [usize; 3] = [1_000, 100_000, 600_000];

/// The history.
pub(crate) struct History {
    folder: tempfile::TempDir,
    commits: usize,
    /// In the order in which they were made.
    ids: Vec<String>,
}

impl History {
    /// Makes it in a temporary folder.
    pub fn build(commits: usize) -> Outcome<Self> {
        let mut history = Self {
            folder: tempfile::tempdir()?,
            commits,
            ids: Vec::new(),
        };
        history.git(&["init", "--quiet", "--initial-branch=main"])?;
        let mut child = Command::new("git")
            .args(["fast-import", "--quiet", "--export-marks=.git/marks"])
            .current_dir(history.path())
            .stdin(Stdio::piped())
            .spawn()?;
        let stream = child.stdin.take().ok_or("git fast-import takes no input")?;
        history.write(BufWriter::new(stream))?;
        if !child.wait()?.success() {
            return Err("git fast-import failed".into());
        }
        // In the order of their numbers: `:1 0123…`.
        let marks = std::fs::read_to_string(history.path().join(".git/marks"))?;
        history.ids = marks
            .lines()
            .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
            .collect();
        history.git(&["commit-graph", "write", "--reachable", "--no-progress"])?;
        Ok(history)
    }

    fn write(&self, mut stream: impl Write) -> Outcome<()> {
        let mut mainline = 0;
        for number in 1..=self.commits {
            let side = self.is_of_a_branch(number);
            let parent = if side && self.is_of_a_branch(number - 1) {
                number - 1
            } else {
                mainline
            };
            writeln!(
                stream,
                "commit refs/heads/{}\nmark :{number}\ncommitter A <a@example.org> {} +0000",
                if side { "side" } else { "main" },
                1_000_000_000 + number * 60
            )?;
            let message = format!("Change number {number} of the benchmark's history\n");
            write!(stream, "data {}\n{message}", message.len())?;
            if parent > 0 {
                writeln!(stream, "from :{parent}")?;
            }
            if !side && self.is_of_a_branch(number - 1) {
                writeln!(stream, "merge :{}", number - 1)?;
            }
            writeln!(stream)?;
            if !side {
                mainline = number;
            }
        }
        for depth in FORKS.iter().filter(|depth| **depth < self.commits) {
            writeln!(
                stream,
                "commit refs/heads/fork-{depth}\ncommitter A <a@example.org> {} +0000\ndata 5\nFork\nfrom :{}\n",
                1_000_000_000 + self.commits * 60,
                self.number_at(*depth)
            )?;
        }
        stream.flush()?;
        Ok(())
    }

    /// Two of ten commits are a branch that the next one merges.
    fn is_of_a_branch(&self, number: usize) -> bool {
        matches!(number % MERGE_EVERY, 7 | 8) && number + MERGE_EVERY <= self.commits
    }

    /// The mainline commit that so many come after, or a few more.
    fn number_at(&self, depth: usize) -> usize {
        let mut number = self.commits.saturating_sub(depth).max(1);
        while self.is_of_a_branch(number) {
            number -= 1;
        }
        number
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// How many commits.
    pub fn commits(&self) -> usize {
        self.commits
    }

    /// The mainline commit that so many commits come after (a few more where that one is of a branch).
    pub fn at(&self, depth: usize) -> Outcome<CommitId> {
        let id = self.ids.get(self.number_at(depth) - 1);
        Ok(id.ok_or("the history is not that deep")?.parse()?)
    }

    /// A commit that nothing merged, on a branch that began at this depth.
    pub fn fork(&self, depth: usize) -> Outcome<CommitId> {
        Ok(self.git(&["rev-parse", &format!("fork-{depth}")])?.parse()?)
    }

    /// Which git this is.
    pub fn git_version(&self) -> Outcome<String> {
        self.git(&["--version"])
    }

    /// The size of the commit-graph in bytes.
    pub fn graph_size(&self) -> Outcome<u64> {
        Ok(std::fs::metadata(self.path().join(".git/objects/info/commit-graph"))?.len())
    }

    fn git(&self, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .output()?;
        if !output.status.success() {
            return Err(format!("git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}
