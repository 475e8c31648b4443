//! The measurements: one pair at a time by each way, and many pairs at once.

use std::process::Command;
use std::time::{Duration, Instant};

use shipctl::domain::CommitId;
use shipctl::observe::git::Repository;

use super::Outcome;
use super::history::History;
use super::options::Options;

/// How deep the pairs lie.
const DEPTHS: [usize; 3] = [1_000, 100_000, 600_000];
/// So many code phases and versions make the many pairs.
const PHASES: usize = 100;
const VERSIONS: usize = 20;

/// One pair, by each way.
pub(crate) struct Pair {
    /// How many commits lie between.
    pub depth: usize,
    /// Whether the version descends from the change.
    pub descends: bool,
    /// shipctl's library: the repository opened, the question answered.
    pub shipctl: Duration,
    /// `git merge-base --is-ancestor`, with the start of the process.
    pub git: Duration,
    /// libgit2's `graph_descendant_of`: the repository opened, the question answered.
    pub libgit2: Duration,
}

/// Many pairs together, and the deepest of them alone.
pub(crate) struct Many {
    pub pairs: usize,
    pub together: Duration,
    pub one: Duration,
}

/// Measures single pairs.
pub(crate) fn pairs(history: &History, options: &Options) -> Outcome<Vec<Pair>> {
    let version = history.at(0)?;
    let mut pairs = Vec::new();
    for depth in DEPTHS.into_iter().filter(|depth| *depth < history.commits()) {
        for (descends, change) in [(true, history.at(depth)?), (false, history.fork(depth)?)] {
            let shipctl = median(options.runs, || {
                let answers = Repository::discover(history.path())
                    .map_err(|problem| problem.to_string())?
                    .descends_each(std::slice::from_ref(&version), std::slice::from_ref(&change))
                    .map_err(|doubt| doubt.why)?;
                right(answers == [[descends]])
            })?;
            let git = median(options.runs, || {
                right(by_git(history, &version, &change)? == descends)
            })?;
            // Its answers take seconds where they are deep.
            let runs = if depth >= 100_000 { 1 } else { options.runs };
            let libgit2 = median(runs, || {
                right(by_libgit2(history, &version, &change)? == descends)
            })?;
            pairs.push(Pair {
                depth,
                descends,
                shipctl,
                git,
                libgit2,
            });
        }
    }
    Ok(pairs)
}

/// Measures many pairs against the deepest of them.
pub(crate) fn many(history: &History, options: &Options) -> Outcome<Many> {
    let deepest = 600_000.min(history.commits() * 6 / 10);
    let at = |from: usize, to: usize, count: usize| -> Outcome<Vec<CommitId>> {
        (1..=count)
            .map(|step| history.at((from + (to - from) * step / count) / 100 * 100))
            .collect()
    };
    let changes = at(1_000, deepest, PHASES)?;
    let versions = at(0, 2_000, VERSIONS)?;
    let (last, first) = (
        changes.last().ok_or("no changes")?,
        versions.first().ok_or("no versions")?,
    );
    let ask = |versions: &[CommitId], changes: &[CommitId]| -> Outcome<()> {
        let answers = Repository::discover(history.path())
            .map_err(|problem| problem.to_string())?
            .descends_each(versions, changes)
            .map_err(|doubt| doubt.why)?;
        right(answers.iter().any(|row| row.contains(&true)))
    };
    let one = median(options.runs, || {
        ask(std::slice::from_ref(first), std::slice::from_ref(last))
    })?;
    let together = median(options.runs, || ask(&versions, &changes))?;
    Ok(Many {
        pairs: versions.len() * changes.len(),
        together,
        one,
    })
}

fn by_git(history: &History, version: &CommitId, change: &CommitId) -> Outcome<bool> {
    let status = Command::new("git")
        .args(["merge-base", "--is-ancestor", change.as_str(), version.as_str()])
        .current_dir(history.path())
        .status()?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(format!("git merge-base: {status}").into()),
    }
}

fn by_libgit2(history: &History, version: &CommitId, change: &CommitId) -> Outcome<bool> {
    let id = |commit: &CommitId| git2::Oid::from_str(commit.as_str());
    let repository = git2::Repository::open(history.path())?;
    Ok(repository.graph_descendant_of(id(version)?, id(change)?)?)
}

fn right(is_right: bool) -> Outcome<()> {
    if is_right {
        Ok(())
    } else {
        Err("a way gave a wrong answer".into())
    }
}

/// The median time of several runs, after one that warms the caches.
fn median(runs: usize, mut run: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    if runs > 1 {
        run()?;
    }
    let mut times = Vec::new();
    for _ in 0..runs {
        let begun = Instant::now();
        run()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times.get(runs / 2).copied().ok_or_else(|| "no runs".into())
}
