//! What can be wrong with what was typed.

use super::example::{GUARD, typed, written};
use super::{Base, Diagnostic, Group};
use crate::domain::Exit::{Failed, Unknown, Usage};

const PROTECTED: &str = r#"[environments.production]
database = "env:DATABASE_URL"
protected = true

[[environments.production.services]]
name = "web"
source = { kind = "recorded" }
"#;

const TWO_SERVICES: &str = r#"[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
source = { kind = "recorded" }

[[environments.production.services]]
name = "worker"
source = { kind = "recorded" }
"#;

const OF_THE_WEB: &str = r#"id = "email"

[[phase]]
id = "write"
kind = "code"
services = ["web"]
"#;

/// The command line.
pub(super) const GROUP: Group = Group {
    title: "The command line",
    entries: &[
        Diagnostic {
            code: "usage",
            exits: &[Usage],
            condition: "The command line cannot be understood: an unknown command or option, a value of the wrong form, or something that is missing.",
            effect: "Nothing was done.",
            remedy: "See `shipctl help`, or `shipctl COMMAND --help`, which has examples.",
            example: typed(Base::Rename, &[], &["shipctl graph"], &["shipctl graph rename"]),
        },
        Diagnostic {
            code: "unknown-code",
            exits: &[Usage],
            condition: "`shipctl explain` was asked for a code that does not exist.",
            effect: "There is nothing to explain.",
            remedy: "Type the code that is suggested; `shipctl explain` alone lists all of them.",
            example: typed(
                Base::Nothing,
                &[],
                &["shipctl explain rollback-flor"],
                &["shipctl explain rollback-floor"],
            ),
        },
        Diagnostic {
            code: "no-such-folder",
            exits: &[Usage],
            condition: "The folder given with -C does not exist or cannot be entered.",
            effect: "Nothing was done.",
            remedy: "Correct the path; it is taken from the folder in which the command was typed.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl -C plan check"],
                &["shipctl -C plans check"],
            ),
        },
        Diagnostic {
            code: "not-a-code-phase",
            exits: &[Usage],
            condition: "A commit is to be linked to a phase that is not of kind `code`.",
            effect: "Only code phases are satisfied by a commit; on any other it would say nothing.",
            remedy: "Name one of the code phases that the message lists.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl link rename add HEAD"],
                &["shipctl link rename dual-write dual-write"],
            ),
        },
        Diagnostic {
            code: "service-not-concerned",
            exits: &[Usage],
            condition: "A commit is to be linked to a code phase for a service that is not among the phase's `services`.",
            effect: "The link would never be looked at.",
            remedy: "Add the service to the phase's `services`, or leave --service out.",
            example: typed(
                Base::Project,
                &[("shipctl.toml", TWO_SERVICES), ("plans/email.toml", OF_THE_WEB)],
                &["shipctl link email write HEAD --service worker"],
                &["shipctl link email write HEAD --service web"],
            ),
        },
        Diagnostic {
            code: "no-gate",
            exits: &[Usage],
            condition: "`shipctl approve` was asked for a phase whose gate asks for no approval.",
            effect: "An approval would change nothing, and somebody would believe it did. A code phase is satisfied by what runs, which no approval can replace.",
            remedy: "See which phase waits with `shipctl status`; a gate is declared in the plan, with `gate = { approvals = 1 }`.",
            example: typed(
                Base::Rename,
                &[(
                    "plans/careful.toml",
                    "id = \"careful\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\n",
                )],
                &["shipctl approve rename add --reason 'looks right'"],
                &["shipctl approve careful tell --reason 'they know'"],
            ),
        },
        Diagnostic {
            code: "empty-reason",
            exits: &[Usage],
            condition: "An approval was given with an empty reason.",
            effect: "The reason is what the audit trail will say.",
            remedy: "Say in a few words what was looked at.",
            example: typed(
                Base::Rename,
                &[(
                    "plans/careful.toml",
                    "id = \"careful\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\n",
                )],
                &["shipctl approve careful tell --reason ''"],
                &["shipctl approve careful tell --reason 'they know'"],
            ),
        },
        Diagnostic {
            code: "override-without-reason",
            exits: &[Usage],
            condition: "--override was given with a --reason that is empty.",
            effect: "The reason is what the audit trail will say.",
            remedy: "Say why the gate is passed all the same.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --to add --override fleet-unknown --reason ' '"],
                &["shipctl run rename --to add --override fleet-unknown --reason 'nothing runs yet'"],
            ),
        },
        Diagnostic {
            code: "reason-for-nothing",
            exits: &[Usage],
            condition: "--reason was given, but neither --override nor --cancel-blockers, which are what it would be the reason for.",
            effect: "Whoever typed it may believe that a gate was set aside.",
            remedy: "Leave --reason out, or name what is to be set aside with --override CODE.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --to add --reason 'nothing runs yet'"],
                &["shipctl run rename --to add"],
            ),
        },
        Diagnostic {
            code: "unknown-reason-code",
            exits: &[Usage],
            condition: "--override names a code that no reason has.",
            effect: "Nothing would be set aside.",
            remedy: "Take the code from the brackets behind the reason, such as `old-version-running`.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --to add --override old-version --reason 'nothing runs yet'"],
                &["shipctl run rename --to add --override old-version-running --reason 'nothing runs yet'"],
            ),
        },
        Diagnostic {
            code: "override-too-wide",
            exits: &[Usage],
            condition: "--override was given without --to, or together with --watch.",
            effect: "Whoever sets a reason aside has one phase and the present moment in mind, not what comes after.",
            remedy: "Name the phase whose gate is to be passed with --to PHASE.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --override fleet-unknown --reason 'nothing runs yet'"],
                &["shipctl run rename --to add --override fleet-unknown --reason 'nothing runs yet'"],
            ),
        },
        Diagnostic {
            code: "bad-interval",
            exits: &[Usage],
            condition: "--interval of `shipctl run --watch` is not a number of seconds that can be waited.",
            effect: "Nothing was done.",
            remedy: "Write a number of seconds, such as `--interval 10`.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --to add --watch --interval=-1"],
                &["shipctl run rename --to add --watch --interval=10"],
            ),
        },
        Diagnostic {
            code: "bad-duration",
            exits: &[Usage],
            condition: "--wait-for-blockers or --cancel-blockers was given something that is not a duration.",
            effect: "Nothing was done.",
            remedy: "Write it as 30s, 10min or 2h, behind an equals sign.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --to add --wait-for-blockers=long"],
                &["shipctl run rename --to add --wait-for-blockers=10min"],
            ),
        },
        Diagnostic {
            code: "bad-lock-timeout",
            exits: &[Usage],
            condition: "--lock-timeout is not a duration, or longer than a minute.",
            effect: "Everybody who comes after a statement that waits for a strong lock waits behind it, so that a long wait stops all traffic on the table.",
            remedy: "Write a short time, such as 100ms or 2s; it is tried again and again. `--wait-for-blockers` waits long without a place in the line.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl run rename --to add --lock-timeout 5min"],
                &["shipctl run rename --to add --lock-timeout 250ms"],
            ),
        },
        Diagnostic {
            code: "cancel-without-reason",
            exits: &[Usage],
            condition: "--cancel-blockers was given in a protected environment without --reason.",
            effect: "It ends sessions of others, and the audit trail says why.",
            remedy: "Add --reason TEXT.",
            example: typed(
                Base::Rename,
                &[("shipctl.toml", PROTECTED)],
                &["shipctl run rename --to add --cancel-blockers"],
                &["shipctl run rename --to add --cancel-blockers --reason 'agreed with the owners'"],
            ),
        },
        Diagnostic {
            code: "invalid-instance",
            exits: &[Usage],
            condition: "--instance of `shipctl deployed record` is empty or holds control characters.",
            effect: "The record could not be told from another.",
            remedy: "Write the instance's name as one line of text, or leave --instance out for the whole service.",
            example: typed(
                Base::Project,
                &[],
                &["shipctl deployed record web HEAD --instance ''"],
                &["shipctl deployed record web HEAD --instance web-1"],
            ),
        },
        Diagnostic {
            code: "no-services",
            exits: &[Unknown],
            condition: "`shipctl can-deploy` was asked in an environment that declares no service.",
            effect: "Nothing is known of what runs, so nothing can be told.",
            remedy: "Declare what runs there with [[environments.NAME.services]] in shipctl.toml.",
            example: written(
                Base::Rename,
                &[(
                    "shipctl.toml",
                    "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n",
                )],
                &[],
                &["shipctl can-deploy old"],
            ),
        },
        Diagnostic {
            code: "no-runtime",
            exits: &[Failed],
            condition: "The operating system gave the program no threads or no way to wait for input and output.",
            effect: "Nothing was done.",
            remedy: "See the limits of this user and machine (`ulimit -a`), and try again.",
            example: GUARD,
        },
    ],
};
