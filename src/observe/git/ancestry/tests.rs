//! Every pair of random histories, by the commit-graph in each of its states, against libgit2's own walk.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::super::fixture::Fixture;
use super::*;

/// Adds commits with random parents, some of them merges, some octopuses, some roots, and tags each by its number.
fn grow(fixture: &Fixture, random: &mut fastrand::Rng, from: usize, to: usize) {
    let mut stream = String::new();
    for number in from..to {
        let mut parents: Vec<usize> = match random.u8(0..20) {
            0 => Vec::new(),
            1 => (0..5).map(|_| random.usize(0..number.max(1))).collect(),
            2..=7 => (0..2)
                .map(|_| random.usize(number.saturating_sub(20)..number.max(1)))
                .collect(),
            _ => vec![random.usize(number.saturating_sub(8)..number.max(1))],
        };
        parents.sort_unstable();
        parents.dedup();
        parents.retain(|parent| *parent < number);
        // Dates that say nothing about the order.
        let date = 1_700_000_000 + random.u32(0..1_000_000);
        writeln!(
            stream,
            "commit refs/tags/c{number}\nmark :{}\ncommitter A <a@example.org> {date} +0000\ndata 1\nx",
            number + 1
        )
        .unwrap();
        for (at, parent) in parents.iter().enumerate() {
            let word = if at == 0 { "from" } else { "merge" };
            // Marks are known within one stream only, names of tags only from one to the next.
            if *parent >= from {
                writeln!(stream, "{word} :{}", parent + 1).unwrap();
            } else {
                writeln!(stream, "{word} refs/tags/c{parent}^0").unwrap();
            }
        }
        writeln!(stream).unwrap();
    }
    let mut child = Command::new("git")
        .args(["fast-import", "--quiet", "--force"])
        .current_dir(fixture.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn commits(fixture: &Fixture, count: usize) -> Vec<CommitId> {
    let repository = fixture.open();
    (0..count)
        .map(|number| repository.resolve(&format!("c{number}")).unwrap())
        .collect()
}

fn agrees_with_libgit2(fixture: &Fixture, commits: &[CommitId], uses_graph: bool) {
    let repository = fixture.open();
    assert_eq!(repository.commit_graph().is_some(), uses_graph);
    let together = repository.descends_each(commits, commits).unwrap();
    let alone = fixture.open();
    for (one, row) in commits.iter().zip(&together) {
        for (other, reached) in commits.iter().zip(row) {
            let (from, to) = (oid(one).unwrap(), oid(other).unwrap());
            let truth = from == to || repository.inner.graph_descendant_of(from, to).unwrap();
            assert_eq!(*reached, truth, "{one} {other}");
            assert_eq!(alone.reaches(from, to).unwrap(), truth, "{one} {other}");
        }
    }
    // libgit2 counts by dates, so what each reaches is counted here.
    for (one, other) in (0..commits.len()).zip(7..commits.len()) {
        let only = |one: usize, other: usize| {
            let (one, other) = (&together[one], &together[other]);
            one.iter()
                .zip(other)
                .filter(|(one, other)| **one && !**other)
                .count()
        };
        let id = |at: usize| oid(&commits[at]).unwrap();
        if uses_graph {
            assert_eq!(
                repository.distance(id(one), id(other)).unwrap(),
                (only(one, other), only(other, one))
            );
        }
    }
}

#[test]
fn the_graph_answers_as_libgit2_does_in_each_of_its_states() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let fixture = Fixture::new();
        grow(&fixture, &mut random, 0, 50);
        agrees_with_libgit2(&fixture, &commits(&fixture, 50), false);
        fixture.git(&["commit-graph", "write", "--reachable"]);
        agrees_with_libgit2(&fixture, &commits(&fixture, 50), true);
        // Commits above the graph, reached by more starting points than fit into one walk.
        grow(&fixture, &mut random, 50, 75);
        agrees_with_libgit2(&fixture, &commits(&fixture, 75), true);
    }
}

#[test]
fn a_chain_of_graphs_answers_like_one() {
    let mut random = fastrand::Rng::with_seed(7);
    let fixture = Fixture::new();
    for part in 0..3 {
        grow(&fixture, &mut random, part * 25, (part + 1) * 25);
        fixture.git(&["commit-graph", "write", "--reachable", "--split=no-merge"]);
    }
    let chain = fixture
        .path()
        .join(".git/objects/info/commit-graphs/commit-graph-chain");
    assert_eq!(std::fs::read_to_string(chain).unwrap().lines().count(), 3);
    agrees_with_libgit2(&fixture, &commits(&fixture, 75), true);
}

#[test]
fn the_graph_is_left_alone_where_it_could_mislead() {
    let fixture = Fixture::new();
    let first = fixture.commit("first");
    let second = fixture.commit("second");
    fixture.git(&["commit-graph", "write", "--reachable"]);
    assert!(fixture.open().commit_graph().is_some());
    fixture.git(&["config", "core.commitGraph", "false"]);
    assert!(fixture.open().commit_graph().is_none());
    fixture.git(&["config", "--unset", "core.commitGraph"]);
    fixture.git(&["replace", first.as_str(), second.as_str()]);
    assert!(fixture.open().commit_graph().is_none());
    fixture.git(&["replace", "-d", first.as_str()]);
    std::fs::create_dir_all(fixture.path().join(".git/info")).unwrap();
    std::fs::write(fixture.path().join(".git/info/grafts"), format!("{second}\n")).unwrap();
    assert!(fixture.open().commit_graph().is_none());
}

#[test]
fn a_damaged_graph_is_not_believed() {
    let fixture = Fixture::new();
    let first = fixture.commit("first");
    let second = fixture.commit("second");
    let graph = fixture.path().join(".git/objects/info/commit-graph");
    for damage in [0, 8, 64] {
        fixture.git(&["commit-graph", "write", "--reachable"]);
        let whole = std::fs::read(&graph).unwrap();
        std::fs::remove_file(&graph).unwrap();
        std::fs::write(&graph, &whole[..damage]).unwrap();
        let repository = fixture.open();
        assert_eq!(
            repository
                .descends_each(&[first.clone(), second.clone()], std::slice::from_ref(&first))
                .unwrap(),
            [[true], [true]]
        );
        std::fs::remove_file(&graph).unwrap();
    }
}
