//! A long campaign of kills: the whole rename forward and back, again and again, killed at random moments, must leave exactly
//! what an undisturbed run leaves. Not part of the usual tests; CONTRIBUTING.md tells how to run it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use shipctl::domain::CommitId;

use super::crash::{program, slow_updates};
use super::rename::{PLAN, Stage};
use super::run::{command, stage, stage_value};

/// A way through the rename whose constraint comes with what cannot run in a transaction.
const CONSTRAIN: &str = "-- UP\n\
    CREATE INDEX CONCURRENTLY users_display_name_idx ON users (display_name);\n\
    ALTER TABLE users ADD CONSTRAINT c CHECK (display_name IS NOT NULL) NOT VALID;\n\
    ALTER TABLE users VALIDATE CONSTRAINT c;\n\
    ALTER TABLE users ALTER COLUMN display_name SET NOT NULL;\n\
    ALTER TABLE users DROP CONSTRAINT c;\n\
    -- DOWN\n\
    ALTER TABLE users ALTER COLUMN display_name DROP NOT NULL;\n\
    DROP INDEX CONCURRENTLY users_display_name_idx;\n";

/// What is compared: the shape of the table, its rows, how often each row was written, what the ledger counts as done.
const LEFT: &str = "
    SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
        SELECT 'column ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull AS line
          FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated
          FROM pg_constraint WHERE conrelid = 'users'::regclass AND contype <> 'n'
        UNION ALL SELECT 'index ' || pg_get_indexdef(indexrelid) || ' ' || indisvalid
          FROM pg_index WHERE indrelid = 'users'::regclass
        UNION ALL SELECT 'rows ' || count(*) || ' ' || md5(string_agg(row.text, ' ' ORDER BY row.text))
          FROM (SELECT jsonb_strip_nulls(to_jsonb(users))::text AS text FROM users) AS row
        UNION ALL SELECT 'written ' || times || ' times: ' || count(*)
          FROM (SELECT count(*) AS times FROM touched GROUP BY id) AS by_row GROUP BY times
        UNION ALL SELECT 'ledger ' || phase || ' ' || (payload ->> 'direction') || ' ' || count(*)
          FROM shipctl.events, mark
         WHERE kind = 'phase-finished' AND sequence > mark.at GROUP BY phase, payload ->> 'direction'
    ) AS lines";

/// Kills runs at random moments, as many as it has left.
struct Killer {
    random: fastrand::Rng,
    left: u32,
    killed: u32,
    runs: u32,
}

impl Killer {
    /// Runs a command until it comes to its end, and demands the exit code 0. Every attempt but the last is killed.
    async fn carry(&mut self, stage: &Stage, args: &[&str]) {
        loop {
            self.runs += 1;
            let mut child = program(stage, args).stderr(Stdio::piped()).spawn().unwrap();
            let begun = Instant::now();
            let moment = (self.left > 0).then(|| Duration::from_millis(self.random.u64(5..500)));
            let status = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break Some(status);
                }
                if moment.is_some_and(|moment| begun.elapsed() >= moment) {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    break None;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            let Some(status) = status else {
                self.left -= 1;
                self.killed += 1;
                continue;
            };
            let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
            match status.code() {
                Some(0) => return,
                // The server has not seen off the session of the run before yet, or ends its last statement.
                Some(6) => tokio::time::sleep(Duration::from_millis(20)).await,
                other => panic!("shipctl {args:?} after {} kills: {other:?}\n{said}", self.killed),
            }
        }
    }
}

/// The whole way forward and back; what is left at each station.
async fn there_and_back(
    stage: &mut Stage,
    commits: &BTreeMap<&str, CommitId>,
    killer: &mut Killer,
) -> Vec<String> {
    stage
        .project
        .database
        .execute(
            "TRUNCATE touched; DROP TABLE IF EXISTS mark; CREATE TABLE mark (at bigint);
             INSERT INTO mark SELECT coalesce(max(sequence), 0) FROM shipctl.events",
        )
        .await;
    let mut left = Vec::new();
    for (code, args) in [
        ("first", ["run", PLAN, "--to", "add"].as_slice()),
        ("dual-write", &["run", PLAN, "--to", "constrain"]),
        ("switch-read", &["run", PLAN, "--to", "relax"]),
        ("stop-write", &["run", PLAN]),
        ("stop-write", &["rollback", PLAN, "--to", "stop-write"]),
        ("switch-read", &["rollback", PLAN, "--to", "switch-read"]),
        ("dual-write", &["rollback", PLAN, "--to", "dual-write"]),
        ("first", &["rollback", PLAN, "--all"]),
    ] {
        for service in ["web", "worker"] {
            stage.deploy(service, &commits[code]).await;
        }
        if args == ["run", PLAN] {
            command(stage, "approve", &["drop", "--reason", "reviewed"], 0);
        }
        killer.carry(stage, args).await;
        left.push(stage_value(stage, LEFT).await);
    }
    left
}

/// A number from the surroundings.
fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

async fn set_out() -> (Stage, BTreeMap<&'static str, CommitId>) {
    let (stage, first) = stage(600).await;
    let file = "migrations/20261122_101501_constrain_users_display_name.sql";
    stage.project.repo.write(file, CONSTRAIN);
    let mut commits = BTreeMap::from([("first", first)]);
    for phase in ["dual-write", "switch-read", "stop-write"] {
        commits.insert(phase, stage.release(&format!("Ship {phase}"), Some(phase)));
    }
    slow_updates(&stage).await;
    let mut session = stage.project.database.session().await;
    shipctl::postgres::ledger::ensure(&mut session).await.unwrap();
    (stage, commits)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; see CONTRIBUTING.md"]
async fn a_rename_killed_at_random_moments_leaves_what_an_undisturbed_one_leaves() {
    let kills = u32::try_from(asked("CAMPAIGN_KILLS", 100)).unwrap();
    let seed = asked("CAMPAIGN_SEED", 1);
    let mut killer = Killer {
        random: fastrand::Rng::with_seed(seed),
        left: 0,
        killed: 0,
        runs: 0,
    };
    let (mut stage, commits) = set_out().await;
    let expected = there_and_back(&mut stage, &commits, &mut killer).await;
    assert_eq!(killer.runs, 8);
    for (station, part) in [
        (1, "written 1 times: 600"),
        (3, "ledger drop forward 1"),
        (7, "ledger add reverse 1"),
    ] {
        assert!(expected[station].contains(part), "{}", expected[station]);
    }

    let (mut stage, commits) = set_out().await;
    let mut rounds = 0;
    while killer.killed < kills {
        rounds += 1;
        // So many in a round that every station sees some.
        killer.left = (kills - killer.killed).min(40);
        let left = there_and_back(&mut stage, &commits, &mut killer).await;
        for (station, (expected, left)) in expected.iter().zip(&left).enumerate() {
            assert_eq!(expected, left, "round {rounds}, station {station}, seed {seed}");
        }
    }
    eprintln!(
        "seed {seed}: {} kills in {} runs, {rounds} rounds",
        killer.killed, killer.runs
    );
}
