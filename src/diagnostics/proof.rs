//! What `shipctl check` finds when it proves plans.

use super::example::{checked, typed};
use super::{Base, Diagnostic, Group};
use crate::domain::Exit::{Blocked, Done};

const DROP: (&str, &str) = (
    "migrations/0001_drop.sql",
    "-- UP\nALTER TABLE users DROP COLUMN nickname;\n\n-- DOWN\nALTER TABLE users ADD COLUMN nickname text;\n",
);

/// The proof of plans.
pub(super) const GROUP: Group = Group {
    title: "The proof of plans",
    entries: &[
        Diagnostic {
            code: "plan-unsafe",
            exits: &[Blocked],
            condition: "The gates of a plan permit a state in which a version that may run then fails or loses data, for what the code phases say that they read and write, and for what the migrations do. The shortest way there is shown.",
            effect: "Somebody who types only what shipctl allows can get there: nothing would stop them.",
            remedy: "Do what the message says, mostly to let a phase need another; docs/proof.md tells what is taken into account.",
            example: checked(
                &[
                    (
                        "plans/retire.toml",
                        "id = \"retire\"\n\n[[phase]]\nid = \"stop-using\"\nkind = \"code\"\nreads = [\"users.name\"]\nwrites = [\"users.name\", \"users.nickname\"]\n\n[[phase]]\nid = \"drop\"\nkind = \"contract\"\nneeds = [\"stop-using\"]\nmigration = \"0001_drop\"\n",
                    ),
                    DROP,
                ],
                &[
                    (
                        "plans/retire.toml",
                        "id = \"retire\"\n\n[[phase]]\nid = \"stop-using\"\nkind = \"code\"\nreads = [\"users.name\"]\nwrites = [\"users.name\"]\n\n[[phase]]\nid = \"drop\"\nkind = \"contract\"\nneeds = [\"stop-using\"]\nmigration = \"0001_drop\"\n",
                    ),
                    DROP,
                ],
            ),
        },
        Diagnostic {
            code: "plans-collide",
            exits: &[Blocked],
            condition: "Plans that are each safe are not safe together: the gates permit a state of both in which a version that may run then fails or loses data.",
            effect: "Each plan's gates look at its own phases only, so that nothing would stop it.",
            remedy: "Carry one of them through before the other is begun, or make one plan of both.",
            example: typed(
                Base::Project,
                &[],
                &[
                    "shipctl plan rename users.name label --type text --not-null --id label",
                    "shipctl plan rename users.name title --type text --not-null --id title",
                    "shipctl check",
                ],
                &[
                    "shipctl plan rename users.name label --type text --not-null --id label",
                    "shipctl plan rename users.mail email --type text --not-null --id email",
                    "shipctl check",
                ],
            ),
        },
        Diagnostic {
            code: "plans-touch-one-column",
            exits: &[Done, Blocked],
            condition: "Two plans touch the same column, and at least one of them changes it.",
            effect: "What one of them counts on may not hold once the other has begun.",
            remedy: "Carry one of them through before the other is begun.",
            example: typed(
                Base::Project,
                &[],
                &[
                    "shipctl plan rename users.name label --type text --not-null --id label",
                    "shipctl plan rename users.name title --type text --not-null --id title",
                    "shipctl check",
                ],
                &[
                    "shipctl plan rename users.name label --type text --not-null --id label",
                    "shipctl plan rename users.mail email --type text --not-null --id email",
                    "shipctl check",
                ],
            ),
        },
        Diagnostic {
            code: "not-proved",
            exits: &[Done, Blocked],
            condition: "A plan could not be proved as a whole: a code phase does not say what it reads and writes, a migration does something that is not understood, an assumption had to be made, or there are too many states.",
            effect: "It may be safe, but that is a claim; the gates hold all the same.",
            remedy: "Declare `reads` and `writes` of each code phase, and see by hand what the message names.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\nreads = [\"users.name\"]\nwrites = [\"users.name\"]\n",
                )],
            ),
        },
    ],
};
