//! The ledger, and who holds what.

use super::example::{GUARD, elsewhere, typed};
use super::{Base, Diagnostic, Example, Group};
use crate::domain::Exit::{Blocked, Failed, Locked, Unknown, Usage, Waiting};

/// The ledger.
pub(super) const GROUP: Group = Group {
    title: "The ledger and its locks",
    entries: &[
        Diagnostic {
            code: "ledger-permission",
            exits: &[Failed, Unknown],
            condition: "The role that shipctl connects as may not make the schema `shipctl`, read it, or write to it.",
            effect: "Without its ledger shipctl neither knows what has taken effect nor could record what it does, so it does nothing.",
            remedy: "Grant what the message lists, as the owner of the schema or of the database.",
            example: typed(
                Base::Rename,
                &[],
                &["DATABASE_URL=$DATABASE_URL'?options=-crole%3Dpg_monitor' shipctl run rename --to add"],
                &["shipctl run rename --to add"],
            ),
        },
        Diagnostic {
            code: "ledger-newer",
            exits: &[Usage],
            condition: "The ledger in this database was written by a newer shipctl: it has a version or a record that this program does not know.",
            effect: "A record that is not understood could be the one that forbids what is asked.",
            remedy: "Use the newer shipctl with this database.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    r#"psql -c "INSERT INTO shipctl.ledger_versions (id, name) VALUES ('9999', '9999_later')""#,
                    "shipctl run rename --to add",
                ],
                &["shipctl run rename --to add", "shipctl run rename --to add"],
            ),
        },
        Diagnostic {
            code: "ledger-unknown",
            exits: &[Unknown],
            condition: "The environment's database cannot be asked, so it is not known which phases have taken effect; or the role \
                        may not read, or not write down, which versions were seen.",
            effect: "What is not known opens no gate.",
            remedy: "See that the database can be reached, or type the GRANT that is shown, and ask again.",
            example: elsewhere(
                "tests/integration/sightings.rs",
                "what_was_seen_before_is_unknown_to_a_role_that_may_not_read_it",
            ),
        },
        Diagnostic {
            code: "ledger-record",
            exits: &[Failed],
            condition: "A record could not be put into the form in which the ledger keeps it.",
            effect: "What cannot be recorded is not done: both are one transaction.",
            remedy: "Report it with the command that was typed.",
            example: GUARD,
        },
        Diagnostic {
            code: "other-environment",
            exits: &[Unknown],
            condition: "Phases are in effect in this database under the name of another environment: the environment was renamed in shipctl.toml, or two environments name the same database.",
            effect: "What took effect would look as though it had never begun, and what runs under the other name is not seen.",
            remedy: "Call a renamed environment as before; if these are two, correct `database` of one, or declare the services of both in one.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "sed -i s/environments.production/environments.live/ shipctl.toml",
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
            code: "no-such-lease",
            exits: &[Usage],
            condition: "No lease is held for the revision that was to be given up.",
            effect: "There is nothing that keeps a contract phase from starting, at least not that.",
            remedy: "See what is held with `shipctl lease`.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --to add", "shipctl lease release old"],
                &[
                    "shipctl run rename --to add",
                    "shipctl can-deploy old --lease 15m",
                    "shipctl lease release old",
                ],
            ),
        },
        Diagnostic {
            code: "lease-of-another",
            exits: &[Blocked],
            condition: "The lease that is to be given up was taken by somebody else, and no reason is given.",
            effect: "They were told that they may deploy; once the lease is gone, contract phases start.",
            remedy: "Make sure that nothing is being deployed, and say why with --reason TEXT.",
            example: typed(
                Base::Rename,
                &[],
                &[
                    "shipctl run rename --to add",
                    "SHIPCTL_ACTOR=Grace shipctl can-deploy old --lease 15m",
                    "shipctl lease release old",
                ],
                &[
                    "shipctl run rename --to add",
                    "SHIPCTL_ACTOR=Grace shipctl can-deploy old --lease 15m",
                    "shipctl lease release old --reason 'the pipeline was cancelled'",
                ],
            ),
        },
        Diagnostic {
            code: "ledger-busy",
            exits: &[Waiting],
            condition: "A lease was to be taken, and each time the ledger had changed since the judgement it would rest on.",
            effect: "A lease is given only by what is still true when it is written.",
            remedy: "Ask again: by then the other run or deployment has been written down.",
            example: Example::Unplayed("it takes a ledger that changes five times within a moment"),
        },
        Diagnostic {
            code: "ledger-locked",
            exits: &[Locked],
            condition: "Somebody else takes a lease or begins a phase in this environment, and does not come to an end within some seconds.",
            effect: "Only one of them is let through at a time, so that a lease and a contract phase never miss one another.",
            remedy: "Try again; if it stays so, look for a session `shipctl …` that hangs in a transaction.",
            example: Example::Unplayed("it takes a session that hangs in the middle of writing one record"),
        },
        Diagnostic {
            code: "bad-lease",
            exits: &[Usage],
            condition: "A lease would last beyond the end of time.",
            effect: "Contract phases would wait for ever.",
            remedy: "Write a time of a day at most, such as `--lease 15m`.",
            example: GUARD,
        },
        Diagnostic {
            code: "lease-lost",
            exits: &[Failed],
            condition: "A lease that was just written is not in the ledger.",
            effect: "Nothing would keep contract phases from starting, so the deployment is not told to go.",
            remedy: "Report it with the command that was typed.",
            example: GUARD,
        },
        Diagnostic {
            code: "run-locked",
            exits: &[Locked],
            condition: "Another process runs the same plan in this environment, or migrations of this database; or its last statement is still going on in the server.",
            effect: "Two at once would get into each other's way.",
            remedy: "Wait for it; the message names the session that holds the lock. For a fill, `shipctl run PLAN --join` helps.",
            example: elsewhere(
                "tests/integration/lock.rs",
                "a_second_run_is_refused_and_told_who_holds_the_lock",
            ),
        },
        Diagnostic {
            code: "run-lock-lost",
            exits: &[Locked],
            condition: "The session that held the run's lock has ended, while the run was still going on.",
            effect: "Another run may have begun, so this one changes nothing more.",
            remedy: "See why the connection ended (a server restart, the network, pg_terminate_backend), then run again.",
            example: elsewhere(
                "tests/integration/lock.rs",
                "a_run_whose_lock_session_died_changes_nothing_any_more",
            ),
        },
        Diagnostic {
            code: "still-running",
            exits: &[Locked],
            condition: "A statement that an earlier run began outside any transaction is still at work in the server.",
            effect: "To begin it a second time would get into its way.",
            remedy: "Wait for it, or end it with SELECT pg_terminate_backend(PID); then run the same command again.",
            example: Example::Unplayed(
                "it takes a server that is still at work minutes after its client has gone",
            ),
        },
    ],
};
