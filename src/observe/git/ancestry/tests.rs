//! Every pair of random histories, by the commit-graph in each of its states, against what the parents of each say.

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
    import(fixture, &stream);
}

fn import(fixture: &Fixture, stream: &str) {
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

/// What each commit reaches, itself included. They are in an order in which parents come first.
fn reached_by_parents(fixture: &Fixture, commits: &[CommitId]) -> Vec<Vec<bool>> {
    let repository = fixture.open();
    let ids: Vec<Oid> = commits.iter().map(|id| oid(id).unwrap()).collect();
    let mut reached: Vec<Vec<bool>> = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        let mut row = vec![false; ids.len()];
        row[at] = true;
        for parent in repository.inner.find_commit(*id).unwrap().parent_ids() {
            let parent = ids.iter().position(|other| *other == parent).unwrap();
            for (here, there) in row.iter_mut().zip(&reached[parent]) {
                *here |= there;
            }
        }
        reached.push(row);
    }
    reached
}

fn agrees_with_the_parents(fixture: &Fixture, count: usize, uses_graph: bool) {
    let commits = commits(fixture, count);
    let truth = reached_by_parents(fixture, &commits);
    let repository = fixture.open();
    assert_eq!(repository.commit_graph().is_some(), uses_graph);
    assert_eq!(repository.descends_each(&commits, &commits).unwrap(), truth);
    let mut swept = fixture.open();
    if uses_graph {
        swept.commit_graph().unwrap();
        swept.graph.get_mut().unwrap().as_mut().unwrap().sweep_at_once();
    }
    assert_eq!(swept.descends_each(&commits, &commits).unwrap(), truth);
    let effort = swept.commit_graph().map(CommitGraph::effort);
    assert_eq!(effort.is_some_and(|effort| effort.swept), uses_graph);
    let alone = fixture.open();
    let id = |at: usize| oid(&commits[at]).unwrap();
    for (one, other) in (0..count).zip(7..count) {
        assert_eq!(alone.reaches(id(one), id(other)).unwrap(), truth[one][other]);
        assert_eq!(alone.reaches(id(other), id(one)).unwrap(), truth[other][one]);
        let only = |one: usize, other: usize| {
            let both = truth[one].iter().zip(&truth[other]);
            both.filter(|(one, other)| **one && !**other).count()
        };
        // Without the graph, libgit2 counts, by dates.
        if uses_graph {
            let counted = repository.distance(id(one), id(other)).unwrap();
            assert_eq!(counted, (only(one, other), only(other, one)));
        }
    }
}

#[test]
fn every_pair_is_answered_right_in_each_state_of_the_graph() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let fixture = Fixture::new();
        grow(&fixture, &mut random, 0, 50);
        agrees_with_the_parents(&fixture, 50, false);
        fixture.git(&["commit-graph", "write", "--reachable"]);
        agrees_with_the_parents(&fixture, 50, true);
        // Commits above the graph, reached by more starting points than fit into one walk.
        grow(&fixture, &mut random, 50, 75);
        agrees_with_the_parents(&fixture, 75, true);
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
    agrees_with_the_parents(&fixture, 75, true);
}

/// A line of `length` commits that are `step` seconds apart, under a branch; `from` is where it begins.
fn line(fixture: &Fixture, branch: &str, from: Option<&str>, length: usize, start: i64, step: i64) {
    let mut stream = String::new();
    for number in 0..length {
        let date = start + number as i64 * step;
        writeln!(
            stream,
            "commit refs/heads/{branch}\ncommitter A <a@example.org> {date} +0000\ndata 1\nx"
        )
        .unwrap();
        if let (0, Some(from)) = (number, from) {
            writeln!(stream, "from {from}^0").unwrap();
        }
        writeln!(stream).unwrap();
    }
    import(fixture, &stream);
}

#[test]
fn a_long_walk_is_ended_by_dates_without_trusting_any_clock() {
    let fixture = Fixture::new();
    line(&fixture, "base", None, 10, 1_700_000_000, 60);
    line(
        &fixture,
        "main",
        Some("refs/heads/base"),
        5_000,
        1_700_001_000,
        60,
    );
    // A new commit on the old line, and lines of commits whose clocks were years behind.
    line(&fixture, "late", Some("refs/heads/base"), 1, 1_800_000_000, 60);
    line(
        &fixture,
        "slow",
        Some("refs/heads/late"),
        4_000,
        1_000_000_000,
        -60,
    );
    for split in [false, true] {
        if split {
            std::fs::remove_file(fixture.path().join(".git/objects/info/commit-graph")).unwrap();
            fixture.git(&["commit-graph", "write", "--reachable", "--split"]);
        } else {
            fixture.git(&["commit-graph", "write", "--reachable"]);
        }
        let repository = fixture.open();
        let commit = |name: &str| repository.resolve(name).unwrap();
        let answers = repository
            .descends_each(
                &[commit("main"), commit("slow")],
                &[commit("late"), commit("base"), commit("slow~3500")],
            )
            .unwrap();
        assert_eq!(answers, [[false, true, false], [true, true, true]]);
        // Alone, where nothing older keeps the walk going.
        for (from, to, reached) in [
            ("main", "late", false),
            ("slow", "late", true),
            ("slow", "slow~3500", true),
        ] {
            let repository = fixture.open();
            let answers = repository.descends_each(&[commit(from)], &[commit(to)]).unwrap();
            assert_eq!(answers, [[reached]], "{from} {to}");
            let steps = repository.commit_graph().unwrap().effort().steps;
            // Clocks that were behind are not taken at their word, and the way to what is there has to be gone.
            assert_eq!(steps, if reached { 2_000.min(steps) } else { 0 }, "{from} {to}");
        }
    }
}

#[test]
fn a_date_for_which_the_graph_has_no_room_ends_no_walk() {
    let fixture = Fixture::new();
    line(&fixture, "now", None, 1, 1_700_000_000, 60);
    // The graph keeps 34 bits.
    line(&fixture, "future", Some("refs/heads/now"), 3, 1 << 34, 60);
    fixture.git(&["commit-graph", "write", "--reachable"]);
    let repository = fixture.open();
    let commit = |name: &str| repository.resolve(name).unwrap();
    let answers = repository.descends_each(&[commit("future")], &[commit("now")]);
    assert_eq!(answers.unwrap(), [[true]]);
}

#[test]
fn a_long_way_is_swept_and_a_stretch_of_it_is_as_long_as_the_dates_leave_it() {
    let fixture = Fixture::new();
    line(&fixture, "base", None, 10, 1_700_000_000, 60);
    line(
        &fixture,
        "main",
        Some("refs/heads/base"),
        9_000,
        1_700_001_000,
        60,
    );
    // In the middle of the time of the other line.
    line(
        &fixture,
        "late",
        Some("refs/heads/base"),
        1,
        1_700_001_000 + 60 * 2_000,
        60,
    );
    fixture.git(&["commit-graph", "write", "--reachable"]);
    for (to, reached, swept) in [
        ("base", true, true),
        ("late", false, true),
        ("main~2400", true, false),
    ] {
        let repository = fixture.open();
        let commit = |name: &str| repository.resolve(name).unwrap();
        let answers = repository.descends_each(&[commit("main")], &[commit(to)]);
        assert_eq!(answers.unwrap(), [[reached]], "{to}");
        let effort = repository.commit_graph().unwrap().effort();
        assert_eq!(effort.swept, swept, "{to}: {effort:?}");
    }
}

#[test]
fn files_that_are_not_those_of_the_graph_are_not_read() {
    let fixture = Fixture::new();
    fixture.commit("first");
    fixture.git(&["commit-graph", "write", "--reachable"]);
    let path = fixture.path().join(".git/objects/info/commit-graph");
    let graph = gix_commitgraph::File::at(&path).unwrap();
    let open = |checksum: &[u8]| super::super::graph_files::Layer::open(&path, 1, checksum).is_some();
    let checksum = graph.checksum().as_bytes().to_owned();
    assert!(open(&checksum));
    fixture.commit("second");
    fixture.git(&["commit-graph", "write", "--reachable"]);
    assert!(!open(&checksum));
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
