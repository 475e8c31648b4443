//! What can be wrong with `shipctl.toml`, and with finding and reading files.

use super::example::{checked, typed};
use super::{Base, Diagnostic, Example, Group, Scene};
use crate::domain::Exit::{Blocked, Done, Failed, Usage};

/// `shipctl.toml`.
pub(super) const GROUP: Group = Group {
    title: "The project and its files",
    entries: &[
        Diagnostic {
            code: "no-project",
            exits: &[Usage],
            condition: "There is no shipctl.toml in this folder or in one above it, up to the root of the git repository.",
            effect: "It is not known which environments, plans and migrations there are.",
            remedy: "Run `shipctl init` at the root of the repository, or say where the project is with -C DIR.",
            example: typed(
                Base::Nothing,
                &[],
                &["shipctl check"],
                &["shipctl init", "shipctl check"],
            ),
        },
        Diagnostic {
            code: "invalid-toml",
            exits: &[Usage],
            condition: "shipctl.toml or a plan is not TOML.",
            effect: "What was read of the rest would be a guess, so only this is reported.",
            remedy: "Correct the place that is shown; texts stand in quotes, and a table's name in brackets.",
            example: checked(
                &[("plans/email.toml", "id = email\n")],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\n",
                )],
            ),
        },
        Diagnostic {
            code: "unreadable-file",
            exits: &[Usage],
            condition: "shipctl.toml or a plan cannot be read: it may not be read by this user, is larger than one MiB, or is not UTF-8.",
            effect: "What it says is not known, and nothing is done without it.",
            remedy: "See who may read it, and save it as UTF-8.",
            example: typed(
                Base::Project,
                &[],
                &[
                    "mkdir plans",
                    r"printf '\377' > plans/email.toml",
                    "shipctl check",
                ],
                &["shipctl check"],
            ),
        },
        Diagnostic {
            code: "unreadable-folder",
            exits: &[Usage],
            condition: "The folder of the plans cannot be read: it is a file, or this user may not look into it.",
            effect: "A plan that is not seen would not be asked, so no answer is given at all.",
            remedy: "Correct `plans` in the [project] table of shipctl.toml, or see who may read the folder.",
            example: typed(
                Base::Project,
                &[],
                &["touch plans", "shipctl check"],
                &["mkdir plans", "shipctl check"],
            ),
        },
        Diagnostic {
            code: "duplicate-service",
            exits: &[Usage],
            condition: "An environment declares two services of the same name.",
            effect: "What one of them runs would be taken for what the other runs.",
            remedy: "Give one of them another name, or put both sources into one `sources = [ … ]`.",
            example: checked(
                &[(
                    "shipctl.toml",
                    "[environments.production]\n\n[[environments.production.services]]\nname = \"web\"\nsource = { kind = \"heartbeat\" }\n\n[[environments.production.services]]\nname = \"web\"\nsource = { kind = \"recorded\" }\n",
                )],
                &[(
                    "shipctl.toml",
                    "[environments.production]\n\n[[environments.production.services]]\nname = \"web\"\nsources = [{ kind = \"heartbeat\" }, { kind = \"recorded\" }]\n",
                )],
            ),
        },
        Diagnostic {
            code: "password-in-file",
            exits: &[Done],
            condition: "A connection string in shipctl.toml holds a password.",
            effect: "Whoever can read the repository, now or in its history, can read it.",
            remedy: "Write \"env:\" and the name of a variable, or leave the password to PGPASSWORD or ~/.pgpass; and change the password.",
            example: checked(
                &[(
                    "shipctl.toml",
                    "[environments.production]\ndatabase = \"postgres://app:secret@db/shop\"\n",
                )],
                &[(
                    "shipctl.toml",
                    "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n",
                )],
            ),
        },
        Diagnostic {
            code: "no-environment",
            exits: &[Usage],
            condition: "shipctl.toml declares no environment, and the command needs one.",
            effect: "There is no database to ask and no service to look at.",
            remedy: "Add an [environments.NAME] table with `database = \"env:DATABASE_URL\"`.",
            example: Example::Played {
                bad: Scene {
                    base: Base::Project,
                    files: &[("shipctl.toml", "[project]\n")],
                    commands: &["shipctl migrate status"],
                },
                good: Scene {
                    base: Base::Project,
                    files: &[],
                    commands: &["shipctl migrate status"],
                },
            },
        },
        Diagnostic {
            code: "which-environment",
            exits: &[Usage],
            condition: "Several environments are declared, and the command was not told which one.",
            effect: "To guess could mean to change production.",
            remedy: "Say which with --env NAME.",
            example: typed(
                Base::Project,
                &[(
                    "shipctl.toml",
                    "[environments.staging]\ndatabase = \"env:DATABASE_URL\"\n\n[environments.production]\ndatabase = \"env:PRODUCTION_URL\"\n",
                )],
                &["shipctl migrate status"],
                &["shipctl migrate status --env staging"],
            ),
        },
        Diagnostic {
            code: "unknown-environment",
            exits: &[Usage],
            condition: "--env names an environment that shipctl.toml does not declare.",
            effect: "There is no database to ask and no service to look at.",
            remedy: "Type the name that is suggested, or declare it.",
            example: typed(
                Base::Project,
                &[],
                &["shipctl migrate status --env prodution"],
                &["shipctl migrate status --env production"],
            ),
        },
        Diagnostic {
            code: "environment-protected",
            exits: &[Blocked],
            condition: "`shipctl migrate down` is to undo a migration in an environment with `protected = true`.",
            effect: "Undoing a migration may lose data.",
            remedy: "Make sure that it is meant, and add --yes.",
            example: typed(
                Base::Project,
                &[(
                    "shipctl.toml",
                    "[environments.production]\ndatabase = \"env:DATABASE_URL\"\nprotected = true\n",
                )],
                &["shipctl migrate down"],
                &["shipctl migrate down --yes"],
            ),
        },
        Diagnostic {
            code: "template-invalid",
            exits: &[Usage],
            condition: "The project's checklist.md.hbs is not a Handlebars template.",
            effect: "No checklist can be made from it.",
            remedy: "Correct it at the place that is shown, or delete it: then the one that comes with shipctl is used.",
            example: typed(
                Base::Rename,
                &[("templates/checklist.md.hbs", "{{#if title}} {{title}}\n")],
                &["shipctl checklist rename"],
                &["rm templates/checklist.md.hbs", "shipctl checklist rename"],
            ),
        },
        Diagnostic {
            code: "template-failed",
            exits: &[Usage],
            condition: "The project's checklist.md.hbs uses a name that does not exist.",
            effect: "An empty place in a checklist looks like nothing to do, so none is made.",
            remedy: "Use the names that docs/templates.md lists.",
            example: typed(
                Base::Rename,
                &[("templates/checklist.md.hbs", "{{tilte}}\n")],
                &["shipctl checklist rename"],
                &["rm templates/checklist.md.hbs", "shipctl checklist rename"],
            ),
        },
        Diagnostic {
            code: "template-unreadable",
            exits: &[Usage],
            condition: "The project's checklist.md.hbs is there, but cannot be read.",
            effect: "To use the built-in template instead would leave out what the project asks for.",
            remedy: "See who may read it, and save it as UTF-8.",
            example: typed(
                Base::Rename,
                &[],
                &["mkdir -p templates/checklist.md.hbs", "shipctl checklist rename"],
                &["shipctl checklist rename"],
            ),
        },
        Diagnostic {
            code: "cannot-create",
            exits: &[Failed],
            condition: "`shipctl init` cannot make a file or folder.",
            effect: "The project is set up in part; what was made stays.",
            remedy: "See who may write there, what stands in the way, and that the disk has room; then run it again, since it keeps what is there.",
            example: typed(
                Base::Nothing,
                &[],
                &["touch plans", "shipctl init"],
                &["shipctl init"],
            ),
        },
        Diagnostic {
            code: "cannot-write",
            exits: &[Failed],
            condition: "A plan, or a migration that `shipctl plan` makes, cannot be written.",
            effect: "Nothing of it was written: all files come at once, or none.",
            remedy: "See who may write there, what stands in the way, and that the disk has room.",
            example: typed(
                Base::Project,
                &[],
                &["touch plans", "shipctl plan rename users.name title --type text"],
                &["shipctl plan rename users.name title --type text"],
            ),
        },
    ],
};
