//! The phases in which columns take the place of others.

use super::{Held, Reshape, listed, obstacles};
use crate::domain::{ColumnName, Problem, SqlIdentifier};
use crate::plan::SyncMode;
use crate::recipe::draft::{Draft, SchemaPhase, Sql, Subject};
use crate::recipe::sync_trigger::SyncTrigger;
use crate::recipe::two_way::TwoWay;
use crate::recipe::{Order, Patience, Recipe, carry};
use crate::sql::{readable, readable_table};

/// The plan so far, and what it is made from.
struct Making<'a> {
    reshape: &'a Reshape<'a>,
    held: &'a Held<'a>,
    both: &'a TwoWay<'a>,
    /// What makes the trigger and takes it away, where there is one.
    create: Vec<String>,
    trigger: Option<&'a SyncTrigger>,
    /// The names of both sides, in words.
    old: String,
    new: String,
    draft: Draft,
    /// How long the new code must have run before the way back is closed for the old.
    soak: Option<String>,
}

/// The plan.
pub(super) fn plan(
    reshape: &Reshape<'_>,
    held: &Held<'_>,
    trigger: Option<&SyncTrigger>,
    order: &Order,
) -> Result<Recipe, Problem> {
    let both = reshape.two_way();
    let all: Vec<&SqlIdentifier> = reshape.old_names().chain(reshape.new_names()).collect();
    let create = match (trigger, reshape.old.first()) {
        (Some(trigger), Some(facts)) => trigger.create(&both.work(facts, &all)),
        _ => Vec::new(),
    };
    let columns: Vec<SqlIdentifier> = all.iter().copied().cloned().collect();
    let (old, new) = (
        listed(reshape.old_names(), " and "),
        listed(reshape.new_names(), " and "),
    );
    let table = &reshape.table.table;
    let subject = Subject {
        kind: reshape.kind,
        table,
        columns: &columns,
        name: None,
        title: match reshape.old {
            [_] => format!("Split {}.{old} into {new}", table.name),
            _ => format!("Merge {old} of {} into {new}", table.name),
        },
    };
    let mut making = Making {
        draft: Draft::new(&subject, order)?,
        reshape,
        held,
        both: &both,
        create,
        trigger,
        old,
        new,
        soak: reshape.wish.patience.soak.clone(),
    };
    making.phases();
    Ok(making.draft.finish(obstacles::remarks(reshape, held)))
}

impl Making<'_> {
    fn phases(&mut self) {
        let (reshape, both) = (self.reshape, self.both);
        let full = |name: &SqlIdentifier| reshape.table.column_name(name);
        let old: Vec<ColumnName> = reshape.old_names().map(full).collect();
        let new: Vec<ColumnName> = reshape.new_names().map(full).collect();
        let old: Vec<&ColumnName> = old.iter().collect();
        let new: Vec<&ColumnName> = new.iter().collect();
        let all: Vec<&ColumnName> = old.iter().chain(&new).copied().collect();
        let (old_words, new_words) = (self.old.clone(), self.new.clone());

        self.add();
        if self.trigger.is_none() {
            self.draft.code(
                "dual-write",
                &format!("Code writes {old_words} and {new_words}, and reads {old_words}"),
                &old,
                &all,
                &["Every INSERT and UPDATE that sets a column of the one side sets those of the other to what is made of it."],
            );
        }
        let first = match self.trigger {
            Some(_) => "No code has to change before: the trigger takes care of what is written meanwhile.",
            None => {
                "Rows for which `verify` holds are left alone, so that it can be stopped and run again at any time."
            }
        };
        self.draft.backfill(
            "backfill",
            &format!("Fill {new_words} in batches"),
            &both.fill_new(),
            reshape.wish.sync,
            &[
                first,
                "Rows whose old values were made of the new ones are left as they are.",
            ],
        );
        let not_null = "Where columns become NOT NULL below, it never leaves these NULL.";
        if self.trigger.is_some() {
            let mut comments = vec![
                "Old and new code may run side by side, and may come and go: each sees what the other writes.",
                "What it changes of a value that --from does not make again takes the rest of that value along. Remove every mention",
                "of what goes, ORM mappings and `SELECT *` included.",
            ];
            comments.extend((!reshape.wish.not_null.is_empty()).then_some(not_null));
            self.draft.code(
                "switch",
                &format!("Code reads and writes {new_words} only"),
                &new,
                &new,
                &comments,
            );
        } else {
            let mut comments = vec!["Until the next code phase is out, the previous one can come back."];
            comments.extend((!reshape.wish.not_null.is_empty()).then_some(not_null));
            self.draft.code(
                "switch-read",
                &format!("Code reads {new_words}, and still writes both sides"),
                &new,
                &all,
                &comments,
            );
        }
        self.constrain();
        self.compare();
        self.relax();
        if self.trigger.is_none() {
            self.draft.code(
                "stop-write",
                &format!("Code reads and writes {new_words} only"),
                &new,
                &new,
                &["Remove every mention of what goes, ORM mappings and `SELECT *` included."],
            );
            self.draft.restore(
                "From here on the old side goes stale. This fills it again before older code may come back.",
                &both.fill_old(),
            );
        }
        self.drop();
        self.draft
            .restore("Runs in batches after the DOWN side.", &both.fill_old());
    }

    fn add(&mut self) {
        let table = readable_table(&self.reshape.table.table);
        let add = self.reshape.new.iter().map(|column| {
            format!(
                "ALTER TABLE {table} ADD COLUMN {} {}",
                readable(&column.name),
                column.facts.data_type
            )
        });
        let drop = self
            .reshape
            .new_names()
            .map(|name| format!("ALTER TABLE {table} DROP COLUMN IF EXISTS {}", readable(name)));
        let (up, down) = match self.trigger {
            None => (Sql::each(add), Sql::each(drop)),
            Some(trigger) => {
                let make = add.chain(self.create.iter().cloned()).collect();
                let undo = trigger.remove(true).into_iter().chain(drop).collect();
                (vec![Sql::Together(make)], vec![Sql::Together(undo)])
            }
        };
        let with_trigger = match self.trigger {
            Some(_) => {
                let what = if self.reshape.new.len() == 1 { "it" } else { "them" };
                format!(", and a trigger that keeps {what} in step with {}", self.old)
            }
            None => String::new(),
        };
        let explanation: &[&str] = match self.trigger {
            Some(_) => &[
                "The new columns start empty and nullable: no row is rewritten. From the moment they are there, a trigger makes each",
                "side of what is written to the other. It is not called for UPDATEs that concern neither, nor for shipctl's own fills.",
            ],
            None => &[
                "The new columns start empty and nullable: no row is rewritten, and running code does not notice.",
            ],
        };
        self.draft.schema(SchemaPhase {
            id: "add",
            kind: "expand",
            title: format!("Add {}{with_trigger}", self.new),
            comments: &[
                "Statements that were prepared with SELECT * or RETURNING * fail once they are there (\"cached plan must not change",
                "result type\"), also behind poolers: name the columns there first, or be ready to prepare them again.",
            ],
            explanation,
            up,
            down,
            patience: Patience::default(),
        });
    }

    /// With a trigger, the soak belongs to the first phase that closes the way back for the code.
    fn waits(&mut self) -> Patience {
        Patience {
            soak: self.trigger.and_then(|_| self.soak.take()),
            approvals: 0,
        }
    }

    fn constrain(&mut self) {
        let names = &self.reshape.wish.not_null;
        if names.is_empty() {
            return;
        }
        let table = &self.reshape.table.table;
        let each = |statements: fn(&crate::domain::TableName, &SqlIdentifier) -> Vec<String>| {
            Sql::each(
                names
                    .iter()
                    .flat_map(|name| statements(table, name))
                    .collect::<Vec<_>>(),
            )
        };
        let (up, down) = (each(carry::set_not_null), each(carry::drop_not_null));
        let patience = self.waits();
        self.draft.schema(SchemaPhase {
            id: "constrain",
            kind: "expand",
            title: format!("{} may not be NULL", listed(names.iter(), " and ")),
            comments: &["It fails, and changes nothing that matters, while a row is NULL."],
            explanation: &["SET NOT NULL finds the validated check and does not scan the table."],
            up,
            down,
            patience,
        });
    }

    fn compare(&mut self) {
        if self.reshape.wish.lossy {
            return;
        }
        self.draft.backfill(
            "compare",
            &format!("All of {} can be made of {} again", self.old, self.new),
            &self.both.compare(),
            SyncMode::Code,
            &[
                "It changes nothing. It fails, and names rows, where what was written to the old side would be lost with it: ",
                "mend them, or plan with --lossy.",
            ]
            .map(str::trim_end),
        );
        let patience = self.waits();
        self.draft.gate(&patience);
    }

    fn relax(&mut self) {
        let held = self.held;
        let (old, comments) = (
            self.old.clone(),
            [match self.trigger {
                Some(_) => "From here on the old code can come back only after this is undone.",
                None => "The next code phase leaves the old side unset, which nothing may refuse.",
            }],
        );
        if let Some(phase) = held.relaxing(&old, &comments, || self.waits()) {
            self.draft.schema(phase);
        }
    }

    fn drop(&mut self) {
        let table = readable_table(&self.reshape.table.table);
        let drop = self
            .reshape
            .old_names()
            .map(|name| format!("ALTER TABLE {table} DROP COLUMN {}", readable(name)));
        let add = self
            .reshape
            .old
            .iter()
            .flat_map(|facts| carry::add_column(facts, &facts.column.column));
        let mut up = self.held.drop_indexes();
        let mut down = vec![Sql::Remark(
            "What goes comes back empty; the phase's `restore` fills it in batches afterwards.",
        )];
        if let Some(trigger) = self.trigger {
            up.push(Sql::Remark(
                "Together, so that at no moment a trigger writes a column that is gone.",
            ));
            up.push(Sql::Together(
                trigger.remove(false).into_iter().chain(drop).collect(),
            ));
            down.push(Sql::Together(add.chain(self.create.iter().cloned()).collect()));
        } else {
            up.extend(Sql::each(drop));
            down.extend(Sql::each(add));
        }
        down.extend(self.held.build_indexes());
        let with_trigger = if self.trigger.is_some() {
            " and the trigger"
        } else {
            ""
        };
        let patience = Patience {
            soak: self.soak.take(),
            approvals: self.reshape.wish.patience.approvals,
        };
        self.draft.schema(SchemaPhase {
            id: "drop",
            kind: "contract",
            title: format!("Drop {}{with_trigger}", self.old),
            comments: &["The point of no cheap return: undoing it adds what goes again and fills it from the new side."],
            explanation: &["No running version reads or writes what goes any more."],
            up,
            down,
            patience,
        });
    }
}
