//! The phases of a swap, each also as its SQL alone: where several columns are swapped together, their pieces go into one phase.

use super::Swap;
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::SyncMode;
use crate::recipe::change_type::{Wish, type_of};
use crate::recipe::draft::{Draft, Fill, SchemaPhase, Sql};
use crate::recipe::{Patience, carry};
use crate::sql::{readable, replace_column};

/// Both sides of a piece of a phase.
pub(in crate::recipe) struct Sides<T> {
    /// The way there.
    pub(in crate::recipe) up: Vec<T>,
    /// The way back.
    pub(in crate::recipe) down: Vec<T>,
}

/// What a fill gives a column, and what holds of a row that is filled.
pub(in crate::recipe) struct Filled<'a> {
    /// The column.
    pub(in crate::recipe) column: &'a SqlIdentifier,
    /// What it gets.
    pub(in crate::recipe) expression: String,
    /// What holds of a row that is filled.
    pub(in crate::recipe) verify: String,
}

impl Swap<'_> {
    /// The fill of one column.
    fn fill_of<'f>(&'f self, filled: Filled<'f>) -> Fill<'f> {
        Fill {
            table: &self.facts.column.column.table,
            set: vec![(filled.column, filled.expression)],
            verify: filled.verify,
        }
    }

    /// Makes the new column, and what fills it.
    pub(in crate::recipe) fn add_sql(&self) -> Result<Sides<String>, Problem> {
        let mut up = carry::add_column(&Self::bare(&self.facts.changed), &self.next);
        up.extend(self.trigger_there()?);
        let mut down = self.there.remove(true);
        down.push(format!(
            "ALTER TABLE {} DROP COLUMN IF EXISTS {}",
            self.table(),
            readable(&self.next)
        ));
        Ok(Sides { up, down })
    }

    pub(super) fn add(&self, draft: &mut Draft) -> Result<(), Problem> {
        let Sides { up, down } = self.add_sql()?;
        draft.schema(SchemaPhase {
            id: "add",
            kind: "expand",
            title: format!("Add {}, and a trigger that fills it from {}", self.next, self.name()),
            comments: &["From here on a write fails whose value the new type does not hold: older code cannot come back."],
            explanation: &[
                "The new column starts empty and nullable: no row is rewritten. From the moment it is there, a trigger makes its",
                "values of those that are written to the old one. It is called only where that changes, and not for shipctl's own",
                "backfill.",
            ],
            up: vec![Sql::Together(up)],
            down: vec![Sql::Together(down)],
            patience: Patience::default(),
        });
        Ok(())
    }

    /// The values of the new column.
    pub(in crate::recipe) fn filled(&self) -> Filled<'_> {
        let facts = self.facts;
        Filled {
            column: &self.next,
            expression: self.expression(&facts.there),
            verify: carry::same_values(
                facts.changed.comparison,
                &readable(&self.next),
                &self.converted(&facts.there, &facts.changed),
            ),
        }
    }

    pub(super) fn fill(&self, draft: &mut Draft) {
        draft.backfill(
            "backfill",
            &format!("Fill {} from {} in batches", self.next, self.name()),
            &self.fill_of(self.filled()),
            SyncMode::Trigger,
            &["The trigger takes care of what is written meanwhile."],
        );
    }

    /// Gives the new column what the old one has.
    pub(in crate::recipe) fn constrain_sql(&self) -> Sides<Sql> {
        let facts = &self.facts.column;
        let table = &facts.column.table;
        let mut up = Sql::each(self.for_next.make(facts));
        let mut down = Vec::new();
        if facts.not_null {
            up.push(Sql::Remark(
                "SET NOT NULL finds the validated check and does not scan the table.",
            ));
            up.extend(Sql::each(carry::set_not_null(table, &self.next)));
            down.extend(Sql::each(carry::drop_not_null(table, &self.next)));
        }
        up.push(Sql::Statement(format!(
            "ANALYZE {} ({})",
            self.table(),
            readable(&self.next)
        )));
        down.extend(Sql::each(self.for_next.remove(facts, true)));
        Sides { up, down }
    }

    pub(super) fn constrain(&self, draft: &mut Draft) {
        let Sides { up, mut down } = self.constrain_sql();
        if down.is_empty() {
            down.push(Sql::Remark("Statistics go with the column."));
            down.push(Sql::Statement("SELECT 1".to_owned()));
        }
        draft.schema(SchemaPhase {
            id: "constrain",
            kind: "expand",
            title: format!("Give {} the indexes and constraints of {}", self.next, self.name()),
            comments: &[],
            explanation: &[
                "The new column is filled: it gets the indexes and constraints of the old one, built while writers go on, and",
                "statistics, so that nobody plans without them after the swap.",
            ],
            up,
            down,
            patience: Patience::default(),
        });
    }

    /// Lets the columns change their names, with all that hangs on them; to be done together.
    pub(in crate::recipe) fn swap_sql(&self) -> Result<Sides<String>, Problem> {
        let (facts, name) = (self.facts, self.name());
        let mut up = self.there.remove(false);
        if facts.column.default.is_some() {
            up.push(carry::drop_default(&facts.column, name));
        }
        up.push(self.rename_column(name, &self.old));
        up.push(self.rename_column(&self.next, name));
        up.extend(carry::set_default(&facts.changed, name));
        up.extend(self.sequence(false));
        up.extend(
            self.renamed(|own, next, old| vec![(own.clone(), old.clone()), (next.clone(), own.clone())]),
        );
        up.extend(self.trigger_back()?);

        let mut down = self.back.remove(false);
        if facts.changed.default.is_some() {
            down.push(carry::drop_default(&facts.column, name));
        }
        down.push(self.rename_column(name, &self.next));
        down.push(self.rename_column(&self.old, name));
        down.extend(carry::set_default(&facts.column, name));
        down.extend(self.sequence(true));
        down.extend(
            self.renamed(|own, next, old| vec![(own.clone(), next.clone()), (old.clone(), own.clone())]),
        );
        down.extend(self.trigger_there()?);
        Ok(Sides { up, down })
    }

    pub(super) fn swap(&self, draft: &mut Draft) -> Result<(), Problem> {
        let Sides { up, down } = self.swap_sql()?;
        draft.schema(SchemaPhase {
            id: "swap",
            kind: "expand",
            title: format!("{} is {}", self.name(), type_of(&self.facts.changed)),
            comments: &[
                "Until the old column is gone, a write fails whose value the old type does not hold: code that needs the new",
                "type's range comes after the plan.",
            ],
            explanation: &[
                "Together, in a moment: both columns change their names, with their defaults, indexes and constraints, and from",
                "then on a trigger makes the old column's values of the new one's, so that this can be undone.",
            ],
            up: vec![Sql::in_a_moment(up)],
            down: vec![Sql::in_a_moment(down)],
            patience: Patience::default(),
        });
        Ok(())
    }

    /// The values of the old column after the swap: what it held before is as good as what the way back would make of the new
    /// one.
    pub(in crate::recipe) fn kept(&self) -> Filled<'_> {
        let facts = self.facts;
        let target = self.full(&self.old);
        let expression = facts.there.expression.as_deref().map_or_else(
            || Ok(readable(&self.old)),
            |expression| replace_column(expression, self.name(), &self.old),
        );
        let mut verify = self.fill_back(&target);
        if let Ok(expression) = expression {
            let other = carry::same_values(
                facts.changed.comparison,
                &readable(self.name()),
                &format!("({expression})::{}", facts.changed.data_type),
            );
            verify = format!("({verify}) OR ({other})");
        }
        Filled {
            column: &self.old,
            expression: self.expression(&self.back_by),
            verify,
        }
    }

    pub(super) fn keep(&self, draft: &mut Draft) {
        draft.backfill(
            "keep",
            &format!("See that {} can take its name back", self.old),
            &self.fill_of(self.kept()),
            SyncMode::Trigger,
            &["Every row is looked at once. There should be nothing to fill: what was there is right, and the trigger makes the rest."],
        );
    }

    /// Frees the old column of what hangs on it; nothing where nothing does.
    pub(in crate::recipe) fn relax_sql(&self) -> Sides<Sql> {
        let facts = &self.facts.column;
        let table = &facts.column.table;
        let mut up = Sql::each(self.for_old.remove(facts, false));
        let mut down = Sql::each(self.for_old.make(facts));
        if facts.not_null {
            up.extend(Sql::each(
                carry::drop_not_null(table, &self.old).into_iter().take(1),
            ));
            down.push(Sql::Remark(
                "SET NOT NULL finds the validated check and does not scan the table.",
            ));
            down.extend(Sql::each(carry::set_not_null(table, &self.old)));
        }
        Sides { up, down }
    }

    /// Takes the old column away with its trigger; to be done together.
    pub(in crate::recipe) fn drop_sql(&self) -> Result<Sides<String>, Problem> {
        let mut up = self.back.remove(false);
        up.push(format!(
            "ALTER TABLE {} DROP COLUMN {}",
            self.table(),
            readable(&self.old)
        ));
        let mut down = carry::add_column(&Self::bare(&self.facts.column), &self.old);
        down.extend(self.trigger_back()?);
        Ok(Sides { up, down })
    }

    /// The values of the old column when it has come back.
    pub(in crate::recipe) fn restored(&self) -> Filled<'_> {
        Filled {
            column: &self.old,
            expression: self.expression(&self.back_by),
            verify: self.fill_back(&self.full(&self.old)),
        }
    }

    pub(super) fn relax_and_drop(&self, draft: &mut Draft, wish: &Wish) -> Result<(), Problem> {
        let mut soak = wish.patience.soak.clone();
        let Sides { up, down } = self.relax_sql();
        if !up.is_empty() {
            draft.schema(SchemaPhase {
                id: "relax",
                kind: "contract",
                title: format!("Free {} of its indexes and constraints", self.old),
                comments: &["From here on the swap can be undone only after this is."],
                explanation: &["Nobody uses the old column by now. What hangs on it goes one by one: each lock is short."],
                up,
                down,
                patience: Patience {
                    soak: soak.take(),
                    approvals: 0,
                },
            });
        }
        let Sides { up, down } = self.drop_sql()?;
        draft.schema(SchemaPhase {
            id: "drop",
            kind: "contract",
            title: format!("Drop {} and the trigger", self.old),
            comments: &["The point of no cheap return: undoing it adds the column again and fills it from the new one."],
            explanation: &["Together, so that at no moment a trigger writes a column that is gone."],
            up: vec![Sql::Together(up)],
            down: vec![
                Sql::Remark("The column comes back empty; the phase's `restore` fills it in batches afterwards."),
                Sql::Together(down),
            ],
            patience: Patience {
                soak,
                approvals: wish.patience.approvals,
            },
        });
        draft.restore(
            "Runs in batches after the DOWN side.",
            &self.fill_of(self.restored()),
        );
        Ok(())
    }
}
