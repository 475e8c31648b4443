//! From `database = …` and the PG* variables to connection settings (placeholder until the logic lands).

use crate::domain::{Exit, Problem};
use crate::project::DatabaseSource;

/// Everything needed to connect. Never shows a password, in `Debug` neither.
#[derive(Clone)]
pub struct ConnectionSettings {}

impl ConnectionSettings {
    /// Resolves the source with `variable` reading environment variables: a libpq URL or keyword string; PG* variables
    /// (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGPASSFILE, PGSSLMODE, PGSSLROOTCERT …) and the password file
    /// fill in what is missing.
    ///
    /// # Errors
    /// The variable is not set; the text is not a connection string. The text itself is never quoted.
    pub fn resolve(
        source: &DatabaseSource,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Problem> {
        let _ = (source, variable);
        Err(Problem::new(Exit::Usage, "not-built", "cannot connect yet"))
    }

    /// Where it leads, for people, without the password: `app on db.internal:5432 as deploy`.
    pub fn describe(&self) -> String {
        String::new()
    }
}
