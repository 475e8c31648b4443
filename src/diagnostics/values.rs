//! Keys and values that cannot stand in a plan or in `shipctl.toml`.

use super::example::checked;
use super::{Diagnostic, Group};
use crate::domain::Exit::Usage;

/// Keys and values.
pub(super) const GROUP: Group = Group {
    title: "Keys and values of files",
    entries: &[
        Diagnostic {
            code: "unknown-key",
            exits: &[Usage],
            condition: "A key in a plan or in shipctl.toml is not one that can stand there.",
            effect: "It would do nothing, while whoever wrote it believes that it does: a misspelt `needs` would let a phase run too early.",
            remedy: "Correct it to the key that is suggested, or take it out; docs/files.md lists every key.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstruction = \"Tell the analysts\"\ninstructions = \"Tell the analysts\"\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\n",
                )],
            ),
        },
        Diagnostic {
            code: "misplaced-key",
            exits: &[Usage],
            condition: "A key is known, but phases of this kind do not have it.",
            effect: "It would do nothing here: a `commit` on a schema phase ties it to no code.",
            remedy: "Move it to the phase it was meant for, or correct the phase's `kind`.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\nservices = [\"web\"]\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\nservices = [\"web\"]\n",
                )],
            ),
        },
        Diagnostic {
            code: "missing-key",
            exits: &[Usage],
            condition: "Something that has to be said is not: a plan without `id`, a phase without `kind`, a backfill without `set`, a service without a source.",
            effect: "What is left open would have to be guessed, and nothing that changes a database is guessed.",
            remedy: "Add the key; the message shows how it is written.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\ninstructions = \"Tell the analysts\"\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\n",
                )],
            ),
        },
        Diagnostic {
            code: "wrong-type",
            exits: &[Usage],
            condition: "A value is of another type than the key takes: a text where a list is needed, a number where a text in quotes is.",
            effect: "The value cannot be read, so the file as a whole is not used.",
            remedy: "Write it as the message says.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = 1\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"1\"\n",
                )],
            ),
        },
        Diagnostic {
            code: "invalid-value",
            exits: &[Usage],
            condition: "A value has the right type and still cannot be: an identifier with spaces, a duration that is none, a kind of phase or source that does not exist, an `application_name` without `{commit}`.",
            effect: "The value has no meaning, so the file as a whole is not used.",
            remedy: "Correct it as the label at its place says.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manuel\"\ninstructions = \"Tell the analysts\"\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"tell\"\nkind = \"manual\"\ninstructions = \"Tell the analysts\"\n",
                )],
            ),
        },
        Diagnostic {
            code: "not-an-expression",
            exits: &[Usage],
            condition: "What stands under `set` or `verify` of a fill is not exactly one SQL expression.",
            effect: "It is put into an UPDATE between parentheses; anything but one expression could change what that statement does.",
            remedy: "Write one expression, such as `lower(name)`; put a query in parentheses.",
            example: checked(
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\nneeds = [\"write\"]\ntable = \"users\"\nset = { email = \"name, admin = true\" }\n",
                )],
                &[(
                    "plans/email.toml",
                    "id = \"email\"\n\n[[phase]]\nid = \"write\"\nkind = \"code\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\nneeds = [\"write\"]\ntable = \"users\"\nset = { email = \"lower(name)\" }\n",
                )],
            ),
        },
    ],
};
