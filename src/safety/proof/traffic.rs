//! What everything that runs does to a schema, at rest and between the steps of a script.

use super::harm::{self, Cannot, Found};
use super::model::{Model, one, places};
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
        for ops in steps {
            let mut unfilled = 0;
            for op in ops {
                unfilled |= schema.apply(op).map_err(refused)?;
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
}

fn refused(refusal: Refusal) -> Found {
    let (column, why) = match refusal {
        Refusal::Exists(column) => (column, Cannot::Exists),
        Refusal::Missing(column) => (column, Cannot::Missing),
        Refusal::Depended { column, guard } => (column, Cannot::Depended(guard)),
    };
    Found::CannotRun { column, why }
}
