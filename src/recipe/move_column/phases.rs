//! The phases in which a column moves.

use super::sides::{Carried, Sides};
use super::triggers::Triggers;
use super::{Held, Move, obstacles, remarks};
use crate::domain::Problem;
use crate::plan::{ChangeKind, SyncMode};
use crate::recipe::draft::{Draft, SchemaPhase, Sql, Subject};
use crate::recipe::{Order, Patience, Recipe, carry};
use crate::sql::{complaint, literal, readable, readable_table};

/// The plan so far, and what it is made from.
struct Making<'a> {
    asked: &'a Move<'a>,
    sides: &'a Sides,
    held: &'a Held<'a>,
    triggers: &'a Triggers,
    carried: &'a Carried,
    /// Both sides in words: `users.bio`, `profiles.about`.
    old: String,
    new: String,
    draft: Draft,
    /// How long the new code must have run before the way back is closed for the old.
    soak: Option<String>,
}

/// The plan.
pub(super) fn plan(
    asked: &Move<'_>,
    sides: &Sides,
    held: &Held<'_>,
    triggers: &Triggers,
    carried: &Carried,
    order: &Order,
) -> Result<Recipe, Problem> {
    let column = &asked.facts.column;
    let (old, new) = (
        format!("{}.{}", column.table.name, column.column),
        format!("{}.{}", asked.target.table.name, asked.name),
    );
    let subject = Subject {
        kind: ChangeKind::MoveColumn,
        table: &column.table,
        columns: std::slice::from_ref(&column.column),
        name: None,
        title: format!("Move {old} to {new}"),
    };
    let mut making = Making {
        draft: Draft::new(&subject, order)?,
        asked,
        sides,
        held,
        triggers,
        carried,
        old,
        new,
        soak: asked.wish.patience.soak.clone(),
    };
    making.phases();
    Ok(making.draft.finish(remarks::of(asked, sides)))
}

impl Making<'_> {
    fn phases(&mut self) {
        let (asked, sides) = (self.asked, self.sides);
        self.tolerate();
        self.add();
        if asked.wish.create_rows {
            self.draft.backfill(
                "create-rows",
                &format!("Make the rows of {} that values lack", asked.target.table.name),
                &sides.create_rows(),
                SyncMode::Trigger,
                &[
                    "It writes rows of the source as they are, and the trigger makes the row of each that has a value.",
                    "So it does for rows that come.",
                ],
            );
        }
        self.draft.backfill(
            "backfill",
            &format!("Fill {} in batches", self.new),
            &sides.fill_target(),
            SyncMode::Trigger,
            &[
                "No code has to change before: the triggers take care of what is written meanwhile. What is filled is read again with",
                "the source's row locked, so that nothing newer is written over.",
            ],
        );
        self.constrain();
        self.switch();
        if asked.wish.create_rows || !asked.key.of_target {
            // `tolerate` says that it writes the old column, and this code does not.
            self.draft.restore(
                "The triggers have kept the old side as it should be; undone, this finds nothing to do.",
                &sides.fill_source(),
            );
        }
        self.compare();
        self.relax();
        self.drop();
        self.draft
            .restore("Runs in batches after the DOWN side.", &sides.fill_source());
    }

    /// What code has to bear once the triggers are there, though it knows the old column only.
    fn tolerate(&mut self) {
        let asked = self.asked;
        let (source, target) = (&asked.source.table.name, &asked.target.table.name);
        let (title, mut comments) = if asked.wish.create_rows {
            (
                format!("Code that inserts into {target} says ON CONFLICT … DO UPDATE"),
                vec![
                    format!(
                        "From `add` on, a row of {target} may be there already where the code inserts one: the triggers make it as soon"
                    ),
                    format!(
                        "as a row of {source} has a value. So let it say INSERT … ON CONFLICT … DO UPDATE."
                    ),
                ],
            )
        } else if !asked.key.of_target {
            (
                format!("Code leaves no value of {} behind at a row of {target}", self.old),
                vec![
                    format!("From `add` on, a row of {source} that is deleted, or pairs with another row of {target}, leaves its value with"),
                    "the row it paired with, and the next row that comes without a value takes it, since new code leaves it out. So until"
                        .to_owned(),
                    format!("the plan is done, let code that pairs a row of {source} anew give the value (NULL counts as none); or, before"),
                    format!("the row goes, let it set the value NULL; or let it delete the row of {target} too."),
                    format!("An UPDATE that pairs a row anew hands its value to that row of {target} where it has none. Where both have one,"),
                    "and they differ, it fails: let it give the value too.".to_owned(),
                ],
            )
        } else {
            return;
        };
        comments.push(
            "Code that does nothing of the kind bears it already: name its commit with `shipctl link`."
                .to_owned(),
        );
        let comments: Vec<&str> = comments.iter().map(String::as_str).collect();
        let old = &self.sides.source.column;
        self.draft.code("tolerate", &title, &[old], &[old], &comments);
    }

    fn add(&mut self) {
        let asked = self.asked;
        let mut make = carry::add_column(&self.carried.facts, asked.name);
        make.extend(self.triggers.create(asked, self.sides));
        make.extend(self.triggers.create_making(asked, self.sides));
        let mut undo = self.triggers.remove_making(asked, self.sides, true);
        undo.extend(self.triggers.remove(asked, self.sides, true));
        undo.push(format!(
            "ALTER TABLE {} DROP COLUMN IF EXISTS {}",
            readable_table(&asked.target.table),
            readable(asked.name)
        ));
        let up = vec![
            Sql::Together(make),
            Sql::Remark("It is so already, or this fails: the line tells `shipctl check`."),
            Sql::Together(self.may_be_left_out()),
        ];
        self.draft.schema(SchemaPhase {
            id: "add",
            kind: "expand",
            title: format!(
                "Add {}, and triggers that keep it in step with {}",
                self.new, self.old
            ),
            comments: &[
                "Statements that were prepared with SELECT * or RETURNING * fail once it is there (\"cached plan must not change result",
                "type\"), also behind poolers: name the columns there first, or be ready to prepare them again.",
                "Whoever writes one row of a pair writes the other right after: code that writes both, in the other order, and at the same",
                "moment, may meet a deadlock (which PostgreSQL ends), as code that writes both by itself would.",
            ],
            explanation: &[
                "The new column starts empty and nullable: no row is rewritten. From the moment it is there, triggers on both tables hand",
                "on what is written to one of them. They are not called for UPDATEs that concern neither.",
            ],
            up,
            down: vec![Sql::Together(undo)],
            patience: Patience::default(),
        });
    }

    /// That new code may leave the old column out has to be told to the proof, which sees no catalog: by statements that change
    /// nothing, once it is sure that they do not. What was planned from may be another by now.
    fn may_be_left_out(&self) -> Vec<String> {
        let facts = self.asked.facts;
        let full = &facts.column;
        let (table, name) = (readable_table(&full.table), readable(&full.column));
        let (at, called) = (literal(&table), literal(full.column.as_str()));
        let (still, told) = match (&facts.default, carry::set_default(facts, &full.column)) {
            (Some(default), Some(set)) => (
                complaint(
                    &format!(
                        "{full} does not have the default any more that it had when this was planned; plan it again"
                    ),
                    &format!(
                        "WHERE (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d JOIN pg_attribute AS a ON a.attrelid = \
                         d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = {at}::regclass AND a.attname = {called}) IS DISTINCT FROM {}",
                        literal(default)
                    ),
                ),
                set,
            ),
            _ => (
                complaint(
                    &format!("{full} is NOT NULL by now, and new code will leave it out; plan it again"),
                    &format!(
                        "WHERE EXISTS (SELECT FROM pg_attribute WHERE attrelid = {at}::regclass AND attname = {called} AND attnotnull)"
                    ),
                ),
                format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL"),
            ),
        };
        // By which the default was written when it was planned.
        vec!["SET LOCAL search_path = ''".to_owned(), still, told]
    }

    fn constrain(&mut self) {
        let (asked, carried) = (self.asked, self.carried);
        let facts = &carried.facts;
        // Nothing that looks at the source's rows later may make any at the target: somebody may have deleted them there.
        let mut up = self.triggers.remove_making(asked, self.sides, false);
        let mut down = Vec::new();
        for (_, twin) in &carried.indexes {
            up.extend(carry::add_index(facts, twin));
        }
        for check in &carried.checks {
            up.extend(carry::add_check(facts, check));
        }
        for key in &carried.foreign_keys {
            up.extend(carry::add_foreign_key(facts, key));
        }
        if asked.is_strict() {
            up.extend(carry::set_not_null(&asked.target.table, asked.name));
            down.extend(carry::drop_not_null(&asked.target.table, asked.name));
        }
        for key in carried.foreign_keys.iter().rev() {
            down.push(carry::drop_constraint(facts, &key.name, true));
        }
        for check in carried.checks.iter().rev() {
            down.push(carry::drop_constraint(facts, &check.name, true));
        }
        for (_, twin) in carried.indexes.iter().rev() {
            down.extend(carry::drop_index(facts, twin, true));
        }
        if up.is_empty() {
            return;
        }
        let mut down = Sql::each(down);
        let making = self.triggers.create_making(asked, self.sides);
        if !making.is_empty() {
            down.push(Sql::Together(making));
        }
        let comments: &[&str] = if asked.wish.create_rows {
            &["From here on no fill makes rows any more: who deletes one at the target has it stay away."]
        } else {
            &[]
        };
        self.draft.schema(SchemaPhase {
            id: "constrain",
            kind: "expand",
            title: format!("Give {} what holds and serves {}", self.new, self.old),
            comments,
            explanation: &[
                "Built and validated while writers go on. Names that end in _next are interim; the last phase gives the old ones.",
            ],
            up: Sql::each(up),
            down,
            patience: Patience::default(),
        });
    }

    fn switch(&mut self) {
        let new = &self.sides.target.column;
        let mut comments = vec![
            "Old and new code may run side by side, and may come and go: each sees what the other writes."
                .to_owned(),
        ];
        if self.asked.wish.create_rows {
            comments.push(format!(
                "A row of {} may be there already where the code inserts one: let it say ON CONFLICT … DO UPDATE.",
                self.asked.target.table.name
            ));
        }
        comments.push(format!(
            "Remove every mention of {}, ORM mappings and `SELECT *` included.",
            self.old
        ));
        let comments: Vec<&str> = comments.iter().map(String::as_str).collect();
        self.draft.code(
            "switch",
            &format!("Code reads and writes {} in place of {}", self.new, self.old),
            &[new],
            &[new],
            &comments,
        );
    }

    fn compare(&mut self) {
        let lossy = self.asked.wish.lossy;
        let mut comments = vec!["It changes nothing. It fails, and names rows, where both sides differ."];
        if !lossy {
            comments = vec![
                "It changes nothing. It fails, and names rows, where both sides differ, or where a value would be lost since its row pairs",
                "with none: make the rows, set the values NULL, or plan with --create-rows or --lossy.",
            ];
            if self.sides.spares_default() {
                comments.push(
                    "A value that is the column's default may be one that nobody wrote, and counts as none.",
                );
            }
        }
        self.draft.backfill(
            "compare",
            &format!("All of {} is in {}", self.old, self.new),
            &self.sides.compare(lossy),
            SyncMode::Code,
            &comments,
        );
        let patience = self.waits();
        self.draft.gate(&patience);
    }

    /// The soak belongs to the first phase that closes the way back for the code.
    fn waits(&mut self) -> Patience {
        Patience {
            soak: self.soak.take(),
            approvals: 0,
        }
    }

    fn relax(&mut self) {
        let held = self.held;
        let (old, comments) = (
            self.old.clone(),
            ["From here on the old code can come back only after this is undone."],
        );
        if let Some(phase) = held.relaxing(&old, &comments, || self.waits()) {
            self.draft.schema(phase);
        }
    }

    fn drop(&mut self) {
        let (asked, carried) = (self.asked, self.carried);
        let facts = &carried.facts;
        let column = &asked.facts.column;
        let (going, _) = obstacles::let_go(asked);
        let mut take = self.triggers.remove(asked, self.sides, false);
        take.push(format!(
            "ALTER TABLE {} DROP COLUMN {}",
            readable_table(&column.table),
            readable(&column.column)
        ));
        let mut bring = Vec::new();
        let with_default = crate::recipe::ColumnFacts {
            default: asked.facts.default.clone(),
            ..facts.clone()
        };
        for (index, twin) in &carried.indexes {
            take.push(carry::rename_index(facts, index, &twin.name, &index.name));
            bring.push(carry::rename_index(facts, index, &index.name, &twin.name));
        }
        if let Some(default) = carry::set_default(&with_default, asked.name) {
            take.push(default);
            bring.push(carry::drop_default(facts, asked.name));
        }
        bring.extend(carry::add_column(asked.facts, &column.column));
        bring.extend(self.triggers.create(asked, self.sides));

        let mut up = Sql::each(going.iter().map(|dependent| dependent.drop.clone()));
        up.extend(self.held.drop_indexes());
        up.push(Sql::Remark(
            "Together, so that at no moment a trigger writes a column that is gone.",
        ));
        up.push(Sql::Together(take));
        let mut down = vec![
            Sql::Remark("What goes comes back empty; the phase's `restore` fills it in batches afterwards."),
            Sql::Together(bring),
        ];
        down.extend(self.held.build_indexes());
        down.extend(Sql::each(
            going.iter().flat_map(|dependent| dependent.make.clone()),
        ));
        let patience = Patience {
            soak: self.soak.take(),
            approvals: asked.wish.patience.approvals,
        };
        self.draft.schema(SchemaPhase {
            id: "drop",
            kind: "contract",
            title: format!("Drop {} and the triggers", self.old),
            comments: &["The point of no cheap return: undoing it adds the column again and fills it from the new side."],
            explanation: &["No running version reads or writes what goes any more."],
            up,
            down,
            patience,
        });
    }
}
