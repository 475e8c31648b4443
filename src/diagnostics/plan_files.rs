//! What can be wrong with a plan file, and what shipctl remarks on in one.

use super::example::{GUARD, checked, elsewhere, typed};
use super::{Base, Diagnostic, Group};
use crate::domain::Exit::{Done, Unknown, Usage};

const MIGRATION: (&str, &str) = (
    "migrations/0001_add.sql",
    "-- UP\nALTER TABLE users ADD COLUMN email text;\n\n-- DOWN\nALTER TABLE users DROP COLUMN email;\n",
);

const ONE_PHASE: &str = r#"id = "email"

[[phase]]
id = "add"
kind = "expand"
migration = "0001_add"
"#;

const GATED: &str = r#"id = "email"

[[phase]]
id = "stop-using"
kind = "code"

[[phase]]
id = "drop"
kind = "contract"
needs = ["stop-using"]
migration = "0001_add"
"#;

/// Plan files.
pub(super) const GROUP: Group = Group {
    title: "Plan files",
    entries: &[
        Diagnostic {
            code: "no-phases",
            exits: &[Usage],
            condition: "A plan has no phase at all.",
            effect: "It would be complete before it began, and every gate that asks for it would be open.",
            remedy: "Add [[phase]] tables, or let `shipctl plan rename TABLE.COLUMN NEW` write a plan.",
            example: checked(
                &[("plans/email.toml", "id = \"email\"\nphase = []\n")],
                &[("plans/email.toml", ONE_PHASE), MIGRATION],
            ),
        },
        Diagnostic {
            code: "duplicate-phase",
            exits: &[Usage],
            condition: "Two phases of a plan have the same id.",
            effect: "`needs` and the ledger's records could mean either of them.",
            remedy: "Give one of them another id, and see which of the two each `needs` means.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the support\"\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\n\n[[phase]]\nid = \"tell-support\"\nkind = \"manual\"\ninstructions = \"Tell the support\"\n",
                )],
            ),
        },
        Diagnostic {
            code: "needs-itself",
            exits: &[Usage],
            condition: "A phase names itself in its `needs`.",
            effect: "It would have to be done before it could begin.",
            remedy: "Take it out of `needs`, or write the phase that was meant.",
            example: checked(
                &[
                    (
                        "plans/email.toml",
                        "id = \"email\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nneeds = [\"add\"]\nmigration = \"0001_add\"\n",
                    ),
                    MIGRATION,
                ],
                &[("plans/email.toml", ONE_PHASE), MIGRATION],
            ),
        },
        Diagnostic {
            code: "unknown-phase",
            exits: &[Usage],
            condition: "A phase is named, in `needs` or on the command line, that the plan does not have.",
            effect: "A need that means nothing would let the phase run too early.",
            remedy: "Write the id that is suggested; `shipctl graph PLAN` shows all of them.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl gate rename dropp"],
                &["shipctl gate rename add"],
            ),
        },
        Diagnostic {
            code: "cycle",
            exits: &[Usage],
            condition: "Phases need one another in a circle.",
            effect: "None of them could ever be the first to run.",
            remedy: "Take one of the needs out; the labels show each of them.",
            example: checked(
                &[
                    (
                        "plans/email.toml",
                        "id = \"email\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nneeds = [\"write\"]\nmigration = \"0001_add\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\nneeds = [\"add\"]\n",
                    ),
                    MIGRATION,
                ],
                &[
                    (
                        "plans/email.toml",
                        "id = \"email\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nmigration = \"0001_add\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\nneeds = [\"add\"]\n",
                    ),
                    MIGRATION,
                ],
            ),
        },
        Diagnostic {
            code: "invalid-graph",
            exits: &[Usage],
            condition: "The phases do not form a graph that can be walked, in a way that the other checks of `needs` did not name.",
            effect: "No order of phases could be relied on, so the plan is not used.",
            remedy: "Correct `needs`; if the file looks right, report it, since another check should have named the mistake.",
            example: GUARD,
        },
        Diagnostic {
            code: "ungated-contract",
            exits: &[Usage],
            condition: "A contract phase has no code phase above it and asks for no approval.",
            effect: "It takes something away, and nothing proves that the code which needs it is gone.",
            remedy: "Let it need the code phase that stops using what it takes away, or add `gate = { approvals = 1 }`.",
            example: checked(
                &[
                    (
                        "plans/email.toml",
                        "id = \"email\"\n\n[[phase]]\nid = \"drop\"\nkind = \"contract\"\nmigration = \"0001_add\"\n",
                    ),
                    MIGRATION,
                ],
                &[("plans/email.toml", GATED), MIGRATION],
            ),
        },
        Diagnostic {
            code: "backfill-without-writer",
            exits: &[Done],
            condition: "No code phase stands above a backfill, and it does not say `synced_by = \"trigger\"`.",
            effect: "Rows that are written after the backfill has passed them keep the old state, so it is out of date as soon as it ends.",
            remedy: "Let it need the code phase that writes both sides, or the phase that creates the trigger, with `synced_by = \"trigger\"`.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\ntable = \"users\"\nset = { email = \"lower(name)\" }\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\nneeds = [\"write\"]\ntable = \"users\"\nset = { email = \"lower(name)\" }\n",
                )],
            ),
        },
        Diagnostic {
            code: "no-trigger",
            exits: &[Usage],
            condition: "A backfill says `synced_by = \"trigger\"`, and no phase above it has a migration that creates a trigger on its table.",
            effect: "Nothing would fill the rows that are written meanwhile, and the backfill would be believed all the same.",
            remedy: "Let it need the phase whose migration creates the trigger, or leave `synced_by` out and let it need a code phase.",
            example: checked(
                &[
                    (
                        "plans/email.toml",
                        "id = \"email\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nmigration = \"0001_add\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\nneeds = [\"add\"]\ntable = \"users\"\nset = { email = \"lower(name)\" }\nsynced_by = \"trigger\"\n",
                    ),
                    MIGRATION,
                ],
                &[
                    (
                        "plans/email.toml",
                        "id = \"email\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nmigration = \"0001_add\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\nneeds = [\"add\"]\ntable = \"users\"\nset = { email = \"lower(name)\" }\nsynced_by = \"trigger\"\n",
                    ),
                    (
                        "migrations/0001_add.sql",
                        "-- UP\nCREATE TRIGGER email BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION set_email();\n\n-- DOWN\nDROP TRIGGER email ON users;\n",
                    ),
                ],
            ),
        },
        Diagnostic {
            code: "missing-migration",
            exits: &[Usage],
            condition: "A phase names a migration that is not in the migrations folder.",
            effect: "The phase has nothing to run.",
            remedy: "Correct the name to the one suggested, or make the file with `shipctl migrate new NAME`.",
            example: checked(
                &[("plans/email.toml", ONE_PHASE)],
                &[("plans/email.toml", ONE_PHASE), MIGRATION],
            ),
        },
        Diagnostic {
            code: "migration-used-twice",
            exits: &[Usage],
            condition: "Two phases of a plan run the same migration.",
            effect: "The second would find done what the first did, and undoing one would take away what the other needs.",
            remedy: "Give each phase a migration of its own.",
            example: checked(
                &[
                    (
                        "plans/email.toml",
                        "id = \"email\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nmigration = \"0001_add\"\n\n[[phase]]\nid = \"more\"\nkind = \"expand\"\nneeds = [\"add\"]\nmigration = \"0001_add\"\n",
                    ),
                    MIGRATION,
                ],
                &[("plans/email.toml", ONE_PHASE), MIGRATION],
            ),
        },
        Diagnostic {
            code: "unknown-service",
            exits: &[Usage],
            condition: "A service is named, in a plan or on the command line, that is not declared in shipctl.toml.",
            effect: "Nothing watches a service that is not declared, so a phase that concerns only it could never be told to be satisfied.",
            remedy: "Write the name that is suggested, or declare the service with a [[environments.NAME.services]] table.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\nservices = [\"wep\"]\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\nservices = [\"web\"]\n",
                )],
            ),
        },
        Diagnostic {
            code: "same-commit",
            exits: &[Done],
            condition: "Two code phases of a plan name the same commit.",
            effect: "What lies between them can never run while only the first is deployed, since both arrive at once.",
            remedy: "Link each code phase to its own commit: `shipctl link PLAN PHASE REV`.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\ncommit = \"3f2a9c1\"\n\n[[phase]]\nid = \"read\"\nkind = \"code\"\nneeds = [\"write\"]\ncommit = \"3f2a9c1\"\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\ncommit = \"3f2a9c1\"\n\n[[phase]]\nid = \"read\"\nkind = \"code\"\nneeds = [\"write\"]\ncommit = \"81d0c2e\"\n",
                )],
            ),
        },
        Diagnostic {
            code: "scan-under-lock",
            exits: &[Done],
            condition: "Between BEGIN and COMMIT of a plan's migration, a statement goes through a whole table after an earlier one has taken a lock that others wait for.",
            effect: "A lock is kept until the transaction ends, so whoever needs the table waits for the whole scan.",
            remedy: "Move the long statement behind COMMIT, so that it runs by itself.",
            example: checked(
                &[
                    ("plans/email.toml", ONE_PHASE),
                    (
                        "migrations/0001_add.sql",
                        "-- UP\nBEGIN;\nALTER TABLE users ADD CONSTRAINT named CHECK (name <> '') NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT named;\nCOMMIT;\n\n-- DOWN\nALTER TABLE users DROP CONSTRAINT named;\n",
                    ),
                ],
                &[
                    ("plans/email.toml", ONE_PHASE),
                    (
                        "migrations/0001_add.sql",
                        "-- UP\nALTER TABLE users ADD CONSTRAINT named CHECK (name <> '') NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT named;\n\n-- DOWN\nALTER TABLE users DROP CONSTRAINT named;\n",
                    ),
                ],
            ),
        },
        Diagnostic {
            code: "id-mismatch",
            exits: &[Usage],
            condition: "A plan in the plans folder has another id than its file's name.",
            effect: "People would type one name and the ledger would know it by another; a renamed file would look like a plan that has never begun.",
            remedy: "Write the id as the file is called, or rename the file. Of a plan that has begun, keep the id.",
            example: checked(
                &[("plans/mail.toml", ONE_PHASE), MIGRATION],
                &[("plans/email.toml", ONE_PHASE), MIGRATION],
            ),
        },
        Diagnostic {
            code: "no-such-plan",
            exits: &[Usage],
            condition: "No plan has the id or path that was typed.",
            effect: "There is nothing to do the command with.",
            remedy: "Type the id that is suggested: the name of a file in the plans folder without `.toml`, or a path.",
            example: typed(
                Base::Rename,
                &[],
                &["shipctl check rennme"],
                &["shipctl check rename"],
            ),
        },
        Diagnostic {
            code: "invalid-plan",
            exits: &[Usage],
            condition: "A file could not be made into a plan, in a way that no other check named.",
            effect: "Nothing is run from a file that was not understood as a whole.",
            remedy: "Compare the file with docs/files.md; report it, since another check should have named the mistake.",
            example: GUARD,
        },
        Diagnostic {
            code: "plan-outdated",
            exits: &[Unknown],
            condition: "The plan's text in this checkout was in force once, but another has taken its place: the checkout is older than what took effect.",
            effect: "An older plan has fewer phases and gates than the one that holds, so nothing opens on it.",
            remedy: "Work from a checkout with the newer plan, or edit the plan anew.",
            example: elsewhere(
                "tests/integration/adversary.rs",
                "an_older_checkout_with_an_older_plan_opens_nothing",
            ),
        },
        Diagnostic {
            code: "several-problems",
            exits: &[Usage],
            condition: "More than one mistake was found at the same time.",
            effect: "The command ends with the gravest of them; all are shown, so that they can be mended in one go.",
            remedy: "Mend each of them; every one has a code of its own to explain.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\ntilte = \"Add an address\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\ntitle = \"Add an address\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\n",
                )],
            ),
        },
    ],
};
