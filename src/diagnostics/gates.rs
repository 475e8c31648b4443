//! The reasons of judgements: what keeps a phase from running, a version from being deployed, a phase from being undone.

use super::example::{GUARD, elsewhere, typed, written};
use super::{Base, Diagnostic, Group};
use crate::domain::Exit::{Blocked, Done, Unknown, Waiting};

const HEARTBEATS: &str = r#"psql -c "INSERT INTO shipctl.heartbeats (service, instance, commit) VALUES ('web', 'web-1', '$(git rev-parse dual-write)'), ('cron', 'cron-1', '$(git rev-parse old)')""#;

const HEARTBEAT_SOURCE: &str = r#"[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
source = { kind = "heartbeat" }
"#;

const HEARTBEAT_SOURCE_IGNORING: &str = r#"[environments.production]
database = "env:DATABASE_URL"
ignore_services = ["cron"]

[[environments.production.services]]
name = "web"
source = { kind = "heartbeat" }
"#;

const TWO_INSTANCES: &str = r#"[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
min_instances = 2
source = { kind = "command", argv = ["git", "rev-parse", "deployed"], completeness = "full" }
"#;

const FROM_A_FILE: &str = r#"[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
source = { kind = "file", path = "web.txt", completeness = "full" }
"#;

const APPROVED_PHASE: &str = r#"id = "careful"

[[phase]]
id = "index"
kind = "expand"
migration = "0003_index"
gate = { approvals = 1 }
"#;

const SOAKED_PHASE: &str = r#"id = "careful"

[[phase]]
id = "index"
kind = "expand"
migration = "0003_index"

[[phase]]
id = "comment"
kind = "expand"
needs = ["index"]
migration = "0004_comment"
gate = { soak = "1h" }
"#;

const BRIEFLY_SOAKED_PHASE: &str = r#"id = "careful"

[[phase]]
id = "index"
kind = "expand"
migration = "0003_index"

[[phase]]
id = "comment"
kind = "expand"
needs = ["index"]
migration = "0004_comment"
gate = { soak = "1s" }
"#;

const INDEX: (&str, &str) = (
    "migrations/0003_index.sql",
    "-- UP\nCREATE INDEX users_name ON users (name);\n\n-- DOWN\nDROP INDEX users_name;\n",
);

const COMMENT: (&str, &str) = (
    "migrations/0004_comment.sql",
    "-- UP\nCOMMENT ON TABLE users IS 'People';\n\n-- DOWN\nCOMMENT ON TABLE users IS NULL;\n",
);

/// Reasons.
pub(super) const GROUP: Group = Group {
    title: "Gates",
    entries: &[
        Diagnostic {
            code: "needs-phase",
            exits: &[Blocked],
            condition: "A schema or manual phase that stands above the asked one in the plan is not done: it has not run yet, failed, was interrupted, or was undone.",
            effect: "The phase builds on what the other one does; run now, it would fail or leave data behind. This order cannot be overridden.",
            remedy: "Run what is missing first; `shipctl run PLAN` takes the phases in order, and `shipctl status PLAN` shows which one is next.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "git tag --force deployed dual-write",
                    "shipctl gate rename backfill",
                ],
                &[
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to add",
                    "shipctl gate rename backfill",
                ],
            ),
        },
        Diagnostic {
            code: "old-version-running",
            exits: &[Blocked],
            condition: "Something runs that does not contain a code phase standing above the asked one. The evidence names the service, the instance, its commit, and what saw it.",
            effect: "That version would read or write what the phase changes as it was before: rows would be missed by a backfill, or its statements would fail from that moment on.",
            remedy: "Deploy a version with the code phase to every service that the phase concerns, wait until the old instances are gone, and ask again. `shipctl deployed` shows what runs.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --to add", "shipctl gate rename backfill"],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl gate rename backfill",
                ],
            ),
        },
        Diagnostic {
            code: "new-version-running",
            exits: &[Blocked],
            condition: "A phase is to be undone, and something runs that contains a code phase standing below it.",
            effect: "The newer code needs what would be taken away; its statements would fail from that moment on.",
            remedy: "Roll the code back first: deploy a version without the code phase (`shipctl can-deploy REV` tells which may go back), then undo the phase.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl rollback rename --all",
                ],
                &["shipctl run rename --to add", "shipctl rollback rename --all"],
            ),
        },
        Diagnostic {
            code: "fleet-unknown",
            exits: &[Unknown],
            condition: "What a service runs is not known for certain: a source failed or saw nothing, fewer instances than `min_instances` were seen, a sighting is too old, one instance reports two commits, only claims and samples are to be had, or no service is declared that the phase concerns.",
            effect: "\"Nothing old is left\" can be told only by something that sees every instance. What is not known opens no gate.",
            remedy: "Read the doubt under the reason and mend the source it names; `shipctl deployed --instances` shows what each source sees. A service with nothing but `recorded` or `git-ref` sources needs one that enumerates its instances.",
            example: written(
                Base::Rename,
                &[("shipctl.toml", TWO_INSTANCES)],
                &[],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl gate rename backfill",
                ],
            ),
        },
        Diagnostic {
            code: "containment-unknown",
            exits: &[Unknown],
            condition: "It cannot be told whether a version contains a code phase: its commit is not in this clone, the clone is shallow, no commit is linked and none carries the phase's Ship-Phase trailer, or a revert leaves it open. It also comes where a plan that is in effect cannot be read.",
            effect: "A version that may be old counts neither as old nor as new, so the gate stays closed.",
            remedy: "Run the command that the reason suggests, mostly `git fetch`, with `--unshallow` in pipelines that clone shallowly; or tie the phase to its commit with `shipctl link PLAN PHASE REV`.",
            example: typed(
                Base::Rename,
                &[("shipctl.toml", FROM_A_FILE)],
                &[
                    "shipctl run rename --to add",
                    "echo 0123456789abcdef0123456789abcdef01234567 > web.txt",
                    "shipctl gate rename backfill",
                ],
                &[
                    "shipctl run rename --to add",
                    "git rev-parse dual-write > web.txt",
                    "shipctl gate rename backfill",
                ],
            ),
        },
        Diagnostic {
            code: "undeclared-service",
            exits: &[Unknown],
            condition: "A version runs under a service name that the environment does not declare: a connection with a name such as `cron@COMMIT`, or a heartbeat. For `can-deploy`, the service asked about is not declared.",
            effect: "A forgotten worker is as able to write the old column as any other. Nobody watches it, so it cannot be waited for.",
            remedy: "Declare it as a service in shipctl.toml, or list it in the environment's `ignore_services` if it never touches these tables.",
            example: written(
                Base::Rename,
                &[("shipctl.toml", HEARTBEAT_SOURCE)],
                &[("shipctl.toml", HEARTBEAT_SOURCE_IGNORING)],
                &[
                    "shipctl run rename --to add",
                    HEARTBEATS,
                    "shipctl gate rename backfill",
                ],
            ),
        },
        Diagnostic {
            code: "schema-not-ready",
            exits: &[Blocked],
            condition: "The version asked about contains a code phase, and a schema phase above that is not done.",
            effect: "The code would use a column, table or index that is not there yet, and fail.",
            remedy: "Run the schema phases first, with `shipctl run PLAN`; then deploy.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl can-deploy dual-write"],
                &["shipctl run rename --to add", "shipctl can-deploy dual-write"],
            ),
        },
        Diagnostic {
            code: "rollback-floor",
            exits: &[Blocked],
            condition: "The version asked about lacks a code phase, and a schema phase below that phase is in effect: it has started and was not wholly undone.",
            effect: "Code that old no longer works with the schema. Once the backfill of a rename has started, code that writes only the old column leaves holes behind it.",
            remedy: "Deploy a version that contains the phase, or undo the schema phases first: `shipctl rollback PLAN --to PHASE`.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "shipctl can-deploy old",
                ],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "shipctl can-deploy dual-write",
                ],
            ),
        },
        Diagnostic {
            code: "cannot-coexist",
            exits: &[Blocked],
            condition: "The version asked about would run beside one that runs now; one of the two has a code phase that the other lacks, and the other lacks a code phase above that as well. Or it has a code phase and lacks one above it itself, as after a revert of the earlier one alone.",
            effect: "While a deployment is rolled out, both run. One would read the old column while the other no longer writes it. A single version that lost the earlier phase does both.",
            remedy: "Deploy the versions in between first, one code phase at a time, and wait until the older ones are gone.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "shipctl can-deploy stop-write",
                ],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "git tag --force deployed switch-read",
                    "shipctl can-deploy stop-write",
                ],
            ),
        },
        Diagnostic {
            code: "data-floor",
            exits: &[Blocked],
            condition: "A version was seen, now or earlier, that no longer writes a column which code phases above it write. The version asked about still reads that column, or a phase is to be undone or filled again that would bring such readers back.",
            effect: "The column is stale from the first row the newer code wrote. Older code would read wrong values, and a backfill from it would overwrite good ones.",
            remedy: "Go back no further than to a version that reads the new column. To get below that, roll the newer code back and let `shipctl rollback PLAN --to PHASE` restore the data.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "git tag --force deployed stop-write",
                    "shipctl gate rename drop",
                    "git tag --force deployed switch-read",
                    "shipctl can-deploy dual-write",
                ],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "git tag --force deployed stop-write",
                    "shipctl gate rename drop",
                    "git tag --force deployed switch-read",
                    "shipctl can-deploy switch-read",
                ],
            ),
        },
        Diagnostic {
            code: "tainted",
            exits: &[Blocked],
            condition: "A version that does not write both sides (or of which that is not known) was seen after a backfill began, even if it has gone again.",
            effect: "Rows that it wrote may lack the new value or hold an old one. Nothing may build on the backfill until it was looked through again.",
            remedy: "Get the old version out of the fleet, then `shipctl run PLAN`: it verifies the backfill again and fills what is wrong.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "git tag --force deployed old",
                    "shipctl gate rename drop",
                    "git tag --force deployed dual-write",
                    "shipctl can-deploy switch-read",
                ],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "git tag --force deployed old",
                    "shipctl gate rename drop",
                    "git tag --force deployed dual-write",
                    "shipctl run rename",
                    "shipctl can-deploy switch-read",
                ],
            ),
        },
        Diagnostic {
            code: "later-phase-in-effect",
            exits: &[Blocked],
            condition: "A phase is to be undone, or data restored, while a phase below is in effect, wholly or in part.",
            effect: "What builds on the phase would lose its ground. This order cannot be overridden.",
            remedy: "Undo what builds on it first; `shipctl rollback PLAN --to PHASE` undoes everything below PHASE in the right order.",
            example: elsewhere(
                "src/safety/revert.rs",
                "phases_are_undone_from_the_end_once_no_code_needs_them",
            ),
        },
        Diagnostic {
            code: "diverged",
            exits: &[Blocked, Unknown],
            condition: "A phase that started reads otherwise now in the plan or its migration than it did when it ran; or a plan is in effect whose file cannot be read here.",
            effect: "What was judged is not what ran, so the answer would be about another change than the one in the database.",
            remedy: "Restore the text that ran (`git log -p` on the plan and its migration), and put the change into a phase of its own.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "sed -i s/text/varchar/ migrations/0001_add.sql",
                    "shipctl gate rename backfill",
                ],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl gate rename backfill",
                ],
            ),
        },
        Diagnostic {
            code: "needs-approval",
            exits: &[Waiting],
            condition: "The phase's gate asks for more approvals than it has. In a protected environment every contract phase asks for at least one. An approval counts once for each person, and is void once the phase or its gate was edited.",
            effect: "Nothing forbids the phase but that nobody has said yes to it as it reads now.",
            remedy: "Have somebody look at the plan and type `shipctl approve PLAN PHASE --reason TEXT`.",
            example: typed(
                Base::Rename,
                &[("plans/careful.toml", APPROVED_PHASE), INDEX],
                &["shipctl gate careful index"],
                &[
                    "shipctl approve careful index --reason 'small table, quiet hour'",
                    "shipctl gate careful index",
                ],
            ),
        },
        Diagnostic {
            code: "soaking",
            exits: &[Waiting],
            condition: "The phase's gate has a `soak`, and what it needs has not held for that long: a schema phase since it was done, a code phase since the first recorded look at which the whole fleet contained it. One look that finds otherwise starts the time again.",
            effect: "The soak is the time in which trouble with the newer code shows while there still is a way back.",
            remedy: "Wait until the moment that the reason names. `shipctl run PLAN --watch` waits and goes on; `shipctl status` counts as a look.",
            example: written(
                Base::Rename,
                &[("plans/careful.toml", SOAKED_PHASE), INDEX, COMMENT],
                &[("plans/careful.toml", BRIEFLY_SOAKED_PHASE), INDEX, COMMENT],
                &[
                    "shipctl run careful --to index",
                    "sleep 1.2",
                    "shipctl gate careful comment",
                ],
            ),
        },
        Diagnostic {
            code: "deployment-under-way",
            exits: &[Waiting],
            condition: "Somebody holds a lease: a version that was told it may be deployed is on its way. A contract phase does not start meanwhile, and a version that must not meet it is not deployed.",
            effect: "What is being deployed counts as running, seen or not; what it needs must not go away under it.",
            remedy: "Wait until the deployment is recorded or the lease is over (`shipctl lease` shows both); `shipctl lease release REV` gives up one that is not needed.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "git tag --force deployed stop-write",
                    "shipctl can-deploy stop-write --lease 15m",
                    "shipctl gate rename drop",
                ],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "git tag --force deployed stop-write",
                    "shipctl can-deploy stop-write --lease 15m",
                    "shipctl lease release stop-write",
                    "shipctl gate rename drop",
                ],
            ),
        },
        Diagnostic {
            code: "phase-under-way",
            exits: &[Waiting],
            condition: "A contract phase is running, being undone, or half done, and whether the version may be deployed depends on how that ends.",
            effect: "Either answer could be wrong a moment later.",
            remedy: "Wait until it is over; if no run is at work on it, finish it with `shipctl run PLAN` or undo it with `shipctl rollback PLAN --to PHASE`.",
            example: typed(
                Base::Rename,
                &[(
                    "migrations/0002_drop.sql",
                    "-- UP\nCREATE INDEX spare ON users (display_name);\nALTER TABLE users DROP COLUMN nick;\n\n-- DOWN\nDROP INDEX spare;\n",
                )],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "git tag --force deployed stop-write",
                    "shipctl run rename",
                    "shipctl can-deploy switch-read",
                ],
                &[
                    "shipctl run rename --to add",
                    "git tag --force deployed dual-write",
                    "shipctl run rename --to backfill",
                    "git tag --force deployed stop-write",
                    "shipctl run rename",
                    "shipctl can-deploy stop-write",
                ],
            ),
        },
        Diagnostic {
            code: "already-done",
            exits: &[Done, Blocked],
            condition: "There is nothing left to do: the phase that is asked about is done, or not in effect where it is to be undone. `shipctl approve` refuses such a phase.",
            effect: "A gate that is asked answers go, and nothing would run; an approval would be of no use, since it ends with the phase.",
            remedy: "Nothing is to be done; `shipctl status PLAN` shows which phase is next.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --to add", "shipctl gate rename add"],
                &["shipctl gate rename add"],
            ),
        },
        Diagnostic {
            code: "not-applicable",
            exits: &[Blocked],
            condition: "The question does not fit the phase: a code phase cannot be run or undone, only deployed, and only a backfill can be verified again.",
            effect: "There is no answer that would mean anything, so none is given that opens a gate.",
            remedy: "Ask `shipctl gate` whether a code phase is satisfied, and `shipctl can-deploy REV` whether a version may be deployed.",
            example: GUARD,
        },
    ],
};
