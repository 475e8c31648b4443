//! Whether the foreign keys of a column bear its new type: PostgreSQL compares only what is alike.

use super::run;
use super::trial::Trial;
use crate::domain::{Problem, SqlIdentifier};
use crate::recipe::{ColumnFacts, Refused};
use crate::sql::{readable, readable_table};

impl Trial<'_> {
    /// The foreign keys that cannot be made on the changed copy, each tried with an empty copy of what it refers to.
    pub(super) async fn unfit_keys(&self, facts: &ColumnFacts) -> Result<Vec<Refused>, Problem> {
        let mut unfit = Vec::new();
        for key in &facts.foreign_keys {
            let list = |columns: &[SqlIdentifier]| {
                let names: Vec<String> = columns.iter().map(readable).collect();
                names.join(", ")
            };
            let referred_to = "pg_temp.shipctl_trial_target";
            self.execute("SAVEPOINT attempt").await?;
            let answer = self
                .client
                .batch_execute(&format!(
                    "CREATE TEMPORARY TABLE shipctl_trial_target (LIKE {} INCLUDING INDEXES);
                     ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {referred_to} ({})",
                    readable_table(&key.target),
                    readable_table(&self.copy),
                    list(&key.columns),
                    list(&key.target_columns)
                ))
                .await;
            self.execute("ROLLBACK TO SAVEPOINT attempt").await?;
            let Err(error) = answer else { continue };
            let Some(said) = error.as_db_error() else {
                return Err(run(error));
            };
            let detail = said
                .detail()
                .map_or_else(String::new, |detail| format!(": {detail}"));
            unfit.push(Refused {
                what: format!("foreign key {}", key.name),
                why: format!(
                    "tried on empty copies, it does not bear the new type ({}{detail}); change what it refers to first, or drop \
                     it before and make it anew after",
                    said.message()
                ),
            });
        }
        Ok(unfit)
    }
}
