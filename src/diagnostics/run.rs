//! Running and undoing phases.

use super::example::{GUARD, elsewhere, typed, written};
use super::{Base, Diagnostic, Example, Group};
use crate::domain::Exit::{Blocked, Failed, Interrupted, Unknown, Usage};

/// Running and undoing.
pub(super) const GROUP: Group = Group {
    title: "Running and undoing phases",
    entries: &[
        Diagnostic {
            code: "step-failed",
            exits: &[Failed],
            condition: "The server refused a statement of a phase's migration.",
            effect: "Nothing of that statement took effect. What ran before it is recorded and will not run again; the phase counts as failed, and as being in effect.",
            remedy: "Mend the statement that is shown, as long as nothing of the phase took effect, or what it met in the database; then `shipctl run` goes on where it stopped.",
            example: written(
                Base::Rename,
                &[(
                    "migrations/0001_add.sql",
                    "-- UP\nALTER TABLE customers ADD COLUMN display_name text;\n\n-- DOWN\nALTER TABLE customers DROP COLUMN display_name;\n",
                )],
                &[],
                &["shipctl run rename --to add"],
            ),
        },
        Diagnostic {
            code: "lock-not-had",
            exits: &[Failed],
            condition: "A statement needs a lock that others hold, and did not get it in any of its attempts, each of which waits for a short time only.",
            effect: "Nothing of that statement took effect. To wait longer would hold up everybody who comes after.",
            remedy: "See to the sessions that the message names, and run again; or use --wait-for-blockers, or --cancel-blockers.",
            example: elsewhere(
                "tests/integration/lock.rs",
                "giving_up_names_who_stood_in_the_way",
            ),
        },
        Diagnostic {
            code: "plan-diverged",
            exits: &[Blocked],
            condition: "A phase that has begun reads otherwise now, in the plan or in its migration; the message shows which lines.",
            effect: "What has run cannot be run again in another form, and the file would no longer tell what happened.",
            remedy: "Restore the text that ran, and put the change into a phase of its own. For `--join`, check out the commit from which the run was started.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "sed -i s/text/varchar/ migrations/0001_add.sql",
                    "shipctl run rename --to add",
                ],
                &["shipctl run rename --to add", "shipctl run rename --to add"],
            ),
        },
        Diagnostic {
            code: "indeterminate",
            exits: &[Failed],
            condition: "An earlier run ended within a statement that cannot run in a transaction, and the database cannot tell whether it took effect (CREATE DATABASE, a DO block that commits).",
            effect: "To run it again could do its work twice; to pass over it could leave it out.",
            remedy: "Look whether it took effect; then run again with --it-happened or with --it-did-not-happen. The answer is recorded.",
            example: elsewhere(
                "tests/integration/crash.rs",
                "what_nobody_knows_is_asked_and_the_answer_recorded",
            ),
        },
        Diagnostic {
            code: "index-unusable",
            exits: &[Failed],
            condition: "An index that was to be built exists, but is marked as not usable by the server, and this run did not leave it behind.",
            effect: "It costs every write and serves no query; IF NOT EXISTS would keep it and report success.",
            remedy: "Drop it with DROP INDEX CONCURRENTLY, as the message says; then run the same command again.",
            example: Example::Unplayed(
                "unusable leftovers are dropped and built again; this is left for those that come in between",
            ),
        },
        Diagnostic {
            code: "undo-uncertain",
            exits: &[Failed],
            condition: "A phase stopped half-way because something of the same name existed before, and is now to be undone.",
            effect: "Its DOWN side could take away what was there before and was never the plan's.",
            remedy: "Remove the obstacle and finish the phase with `shipctl run`; then it can be undone.",
            example: typed(
                Base::Rename,
                &[(
                    "migrations/0001_add.sql",
                    "-- UP\nCREATE INDEX users_name ON users (name);\nALTER TABLE users ADD COLUMN display_name text;\n\n-- DOWN\nALTER TABLE users DROP COLUMN display_name;\nDROP INDEX users_name;\n",
                )],
                &[
                    "psql -c 'ALTER TABLE users ADD COLUMN display_name text'",
                    "shipctl run rename --to add",
                    "shipctl rollback rename --all",
                ],
                &["shipctl run rename --to add", "shipctl rollback rename --all"],
            ),
        },
        Diagnostic {
            code: "interrupted",
            exits: &[Interrupted],
            condition: "Somebody asked the command to stop, with Ctrl-C or a request to terminate.",
            effect: "The transaction at hand was rolled back; what was finished before is recorded.",
            remedy: "Run the same command again to carry on where it stopped.",
            example: elsewhere("tests/integration/crash.rs", "an_interrupt_ends_the_run_in_order"),
        },
        Diagnostic {
            code: "stale-clearance",
            exits: &[Unknown],
            condition: "The facts that a phase was judged by were too old when it was to begin: a look at the fleet took too long, or a clock jumped.",
            effect: "What was seen then may not be so any more.",
            remedy: "Run the same command again; if it stays, see which source is slow with `shipctl deployed -v`.",
            example: Example::Unplayed("it takes a clock that jumps between a look and the phase it was for"),
        },
        Diagnostic {
            code: "wrong-clearance",
            exits: &[Failed],
            condition: "A phase was about to run by the permission for another.",
            effect: "No phase runs that was not judged.",
            remedy: "Report it with the command that was typed.",
            example: GUARD,
        },
        Diagnostic {
            code: "phase-without-shape",
            exits: &[Failed],
            condition: "A phase is in the plan, but not in the graph that is judged.",
            effect: "No phase runs that was not judged.",
            remedy: "Report it with the plan.",
            example: GUARD,
        },
        Diagnostic {
            code: "not-transactional-in-group",
            exits: &[Usage],
            condition: "A group of statements holds one that cannot run in a transaction, and the check of the file did not notice.",
            effect: "The group could take effect in part.",
            remedy: "Move the statement out of BEGIN and COMMIT, and report it.",
            example: GUARD,
        },
    ],
};
