//! What everything that runs does to a schema, at rest and between the steps of a script.

use std::collections::BTreeMap;

use super::harm::{self, Cannot, Found};
use super::model::{Columns, Model, one, places};
use super::schema::{Op, Refusal, Schema};

impl Model<'_> {
    /// The schema once some versions have been at work in it, unless something fails.
    pub(super) fn worked_in(&self, running: &[usize], mut schema: Schema) -> Result<Schema, Found> {
        let mut stale_by = Vec::new();
        for version in running {
            let Some(model) = self.versions.get(*version) else {
                continue;
            };
            let worked = self.worked_in_by(schema, model);
            if worked.valid != schema.valid {
                stale_by.push((*version, schema.valid & !worked.valid));
            }
            schema = worked;
        }
        for version in running {
            harm::of(self, schema, *version, &stale_by)?;
        }
        Ok(schema)
    }

    /// The schema after a script, with everything that runs at work after each step of it.
    pub(super) fn after_script(
        &self,
        running: &[usize],
        mut schema: Schema,
        steps: &[Vec<Op>],
    ) -> Result<Schema, Found> {
        let before = schema.exists;
        let mut contents = Contents::default();
        for ops in steps {
            let mut unfilled = 0;
            for op in ops {
                contents.after(op, &schema);
                unfilled |= schema.apply(op).map_err(refused)?;
            }
            if let Some(column) = places(self.exchanged(&contents, running, before & schema.exists)).next() {
                return Err(Found::Lost { column });
            }
            schema = self.worked_in(running, schema)?;
            if let Some(column) = places(unfilled).next() {
                return Err(Found::CannotRun {
                    column,
                    why: Cannot::Unfilled,
                });
            }
        }
        let renamed = steps.iter().flatten().fold(0, |all, op| match op {
            Op::Move { from, .. } => all | one(*from),
            _ => all,
        });
        // What goes and has a copy must be whole in the copy.
        for column in places(before & !schema.exists & !renamed) {
            let partners = self.partners.get(column).copied().unwrap_or(0);
            if partners != 0
                && partners & schema.exists & schema.valid == 0
                && self.perishable & one(column) != 0
            {
                return Err(Found::Lost { column });
            }
        }
        Ok(schema)
    }

    /// The columns that a running version reads, that were there before, and that hold the values of another one now, or
    /// none. Views are made anew from what they read. Whether what takes the place of another holds the same, only the worst
    /// denies where no backfill says so.
    fn exchanged(&self, contents: &Contents, running: &[usize], columns: Columns) -> Columns {
        let read = running
            .iter()
            .filter_map(|version| self.versions.get(*version))
            .fold(0, |all, version| all | version.reads);
        let mut exchanged = contents.made_anew;
        for (to, origin) in &contents.moved {
            let same = self.copies.get(*to).copied().unwrap_or(0);
            if self.is_worst && same & one(*origin) == 0 {
                exchanged |= one(*to);
            }
        }
        exchanged & columns & read & !self.of_views
    }
}

/// Which columns hold other values than before a script, and since when a name belongs to another column.
#[derive(Default)]
struct Contents {
    /// Columns that went and came back empty.
    made_anew: Columns,
    /// Columns with those whose name they have taken.
    moved: BTreeMap<usize, usize>,
}

impl Contents {
    /// What becomes of it by an operation on a schema.
    fn after(&mut self, op: &Op, schema: &Schema) {
        match *op {
            Op::Add(ref addition) if schema.exists & one(addition.column) == 0 => {
                self.made_anew |= one(addition.column);
                self.moved.remove(&addition.column);
            }
            Op::Move { from, to } => {
                let origin = self.moved.remove(&from).unwrap_or(from);
                if origin != to {
                    self.moved.insert(to, origin);
                }
                let is_new = self.made_anew & one(from) != 0;
                self.made_anew &= !(one(from) | one(to));
                if is_new {
                    self.made_anew |= one(to);
                }
            }
            Op::Fill { target, .. } => self.made_anew &= !one(target),
            _ => {}
        }
    }
}

fn refused(refusal: Refusal) -> Found {
    let (column, why) = match refusal {
        Refusal::Exists(column) => (column, Cannot::Exists),
        Refusal::Missing(column) => (column, Cannot::Missing),
        Refusal::Depended { column, guard } => (column, Cannot::Depended(guard)),
    };
    Found::CannotRun { column, why }
}
