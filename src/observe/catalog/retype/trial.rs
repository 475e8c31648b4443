//! The trial of a change of type.

use tokio_postgres::Client;

use super::super::{Place, Purpose, Table, ask, column, get, qualify};
use super::{Known, NewType, run};
use crate::domain::{ColumnName, Exit, Problem, SqlIdentifier, TableName};
use crate::plan::ChangeKind;
use crate::recipe::change_type::{Conversion, TypeFacts};
use crate::recipe::{ColumnFacts, Refused, refuse_unless_none};
use crate::sql::{columns_read, readable, readable_table};

/// A zone in which every time differs from that of UTC.
const ELSEWHERE: &str = "SET LOCAL TimeZone = '<+05>-05'";

/// One way to write the change.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    data_type: String,
    pub(super) using: Option<String>,
}

impl Attempt {
    /// The type without a collation.
    pub(super) fn bare_type(&self) -> &str {
        let (data_type, _) = self
            .data_type
            .split_once(" COLLATE ")
            .unwrap_or((self.data_type.as_str(), ""));
        data_type
    }
}

/// What the server did to the copy.
struct Done {
    rewritten: bool,
    rebuilt: bool,
    scanned: bool,
}

/// The change on an empty copy of the table, in a transaction that is rolled back.
pub(super) struct Trial<'a> {
    pub(super) client: &'a Client,
    new: &'a NewType<'a>,
    pub(super) column: ColumnName,
    pub(super) copy: TableName,
}

impl<'a> Trial<'a> {
    pub(super) fn new(client: &'a Client, facts: &ColumnFacts, new: &'a NewType<'a>) -> Self {
        Self {
            client,
            new,
            column: facts.column.clone(),
            // Of the same name, by which expressions may call its columns.
            copy: TableName {
                schema: Some(SqlIdentifier::from_catalog("pg_temp".to_owned())),
                name: facts.column.table.name.clone(),
            },
        }
    }

    /// Makes the copy, changes it there and back, and tells what became of it.
    pub(super) async fn facts(&self, known: Known) -> Result<TypeFacts, Problem> {
        let Known {
            facts,
            mut refused_in_place,
            mut sequence,
        } = known;
        let place = self.copied().await?;
        let oid = place.table.oid;
        let there = match self.new.using {
            Some(text) => Some(self.understood("--using", text, oid).await?),
            None => None,
        };
        let attempts = self.attempts(
            (self.new.data_type, facts.collation.as_deref()),
            there.as_deref(),
            self.new.data_type,
        );
        // With all that is on the column: it has to bear the new type.
        let attempt = self.first_that_works(&attempts).await?;
        let unstable_there = self.is_unstable(&attempt).await?;
        for check in &facts.checks {
            self.execute(&format!(
                "ALTER TABLE {} DROP CONSTRAINT {}",
                readable_table(&self.copy),
                readable(&check.name)
            ))
            .await?;
        }
        let mut refused_swap = self.lacking(&attempt, oid).await?;
        self.execute("SAVEPOINT as_it_is").await?;
        let mut done = self.done(&attempt, oid).await?;
        let mut needs_utc = false;
        if !done.rewritten {
            self.execute("ROLLBACK TO SAVEPOINT as_it_is").await?;
            self.execute(ELSEWHERE).await?;
            needs_utc = self.done(&attempt, oid).await?.rewritten;
            self.execute("ROLLBACK TO SAVEPOINT as_it_is").await?;
            done = self.done(&attempt, oid).await?;
        }
        let changed = column::describe(self.client, &place).await?;
        let unfit = self.unfit_keys(&facts).await?;
        refused_swap.extend(unfit.iter().cloned());
        refused_in_place.extend(unfit);
        let kinds = self.kinds(&facts.column, oid).await?;
        let WayBack {
            conversion: back,
            rewrites: back_rewrites,
            lacking,
        } = self.way_back(&facts, oid, &kinds).await?;
        refused_swap.extend(lacking);
        let there = Conversion {
            expression: match there {
                Some(expression) => Some(expression),
                None => attempt
                    .using
                    .is_some()
                    .then(|| format!("({})::{}", readable(&self.column.column), changed.data_type)),
            },
            unstable: unstable_there && !kinds.is_plain_enum,
        };
        let data_types = (facts.data_type.as_str(), changed.data_type.as_str());
        refused_swap.extend(
            self.tried_in_a_trigger((&there, back.as_ref()), data_types)
                .await?,
        );
        let types = ["smallint", "integer", "bigint"];
        if let Some(sequence) = &mut sequence
            && sequence.data_type == facts.data_type
            && types.contains(&changed.data_type.as_str())
        {
            sequence.types = Some((facts.data_type.clone(), changed.data_type.clone()));
        }
        Ok(TypeFacts {
            there,
            changed: ColumnFacts {
                data_type: changed.data_type,
                collation: changed.collation,
                comparison: changed.comparison,
                default: changed.default,
                storage: changed.storage,
                compression: changed.compression,
                refused: changed.refused,
                ..facts.clone()
            },
            column: facts,
            back,
            not_in_place: match done {
                Done { rewritten: true, .. } => Some("PostgreSQL rewrites the table"),
                Done { rebuilt: true, .. } => Some("PostgreSQL builds an index anew"),
                Done { scanned: true, .. } => Some("PostgreSQL looks at every row"),
                _ => None,
            },
            back_rewrites,
            needs_utc,
            refused_in_place,
            refused_swap,
            sequence,
        })
    }

    pub(super) async fn execute(&self, sql: &str) -> Result<(), Problem> {
        self.client.batch_execute(sql).await.map_err(run)
    }

    /// Makes the copy, and finds the column in it.
    async fn copied(&self) -> Result<Place, Problem> {
        let make = format!(
            "CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING STATISTICS)",
            readable_table(&self.copy),
            readable_table(&self.column.table)
        );
        if let Err(error) = self.client.batch_execute(&make).await {
            let Some(said) = error.as_db_error() else {
                return Err(run(error));
            };
            let refused = Refused {
                what: format!("a copy of {}", self.column.table),
                why: format!(
                    "the change is tried on an empty temporary one, which cannot be made: {}",
                    said.message()
                ),
            };
            refuse_unless_none(ChangeKind::ChangeType, &self.column.to_string(), &[refused])?;
        }
        let rows = ask(
            self.client,
            "the copy",
            "select c.oid from pg_catalog.pg_class c
              where c.relnamespace = pg_catalog.pg_my_temp_schema() and c.relname = $1",
            &[&self.copy.name.as_str()],
        )
        .await?;
        let row = rows.first().ok_or_else(|| {
            Problem::new(
                Exit::Failed,
                "catalog-unreadable",
                "the copy of the table is not found",
            )
        })?;
        let found = Table {
            oid: get(row, "oid")?,
            name: self.column.table.clone(),
        };
        column::find(self.client, found, &self.column.column, Purpose::Retype).await
    }

    /// The ways to write a change, the plainest first: with the collation that there is, and by a cast where values are not
    /// taken over by themselves.
    fn attempts(
        &self,
        (data_type, collation): (&str, Option<&str>),
        using: Option<&str>,
        cast: &str,
    ) -> Vec<Attempt> {
        let with = collation.map(|collation| format!("{data_type} COLLATE {collation}"));
        let mut attempts = Vec::new();
        for data_type in with.into_iter().chain([data_type.to_owned()]) {
            let mut push = |using: Option<String>| {
                attempts.push(Attempt {
                    data_type: data_type.clone(),
                    using,
                });
            };
            match using {
                Some(using) => push(Some(using.to_owned())),
                None => {
                    push(None);
                    push(Some(format!("{}::{cast}", readable(&self.column.column))));
                }
            }
        }
        attempts
    }

    fn statement(&self, attempt: &Attempt) -> String {
        let using = attempt
            .using
            .as_ref()
            .map_or_else(String::new, |using| format!(" USING {using}"));
        format!(
            "ALTER TABLE {} ALTER COLUMN {} TYPE {}{using}",
            readable_table(&self.copy),
            readable(&self.column.column),
            attempt.data_type
        )
    }

    async fn first_that_works(&self, attempts: &[Attempt]) -> Result<Attempt, Problem> {
        let mut said = None;
        for attempt in attempts {
            match self.works(attempt).await? {
                None => return Ok(attempt.clone()),
                // Of what was tried without more than was asked for.
                Some(message) => said = said.or(Some(message)),
            }
        }
        Err(Problem::new(
            Exit::Usage,
            "invalid-sql",
            format!(
                "the database does not make {} of {}",
                self.new.data_type, self.column
            ),
        )
        .because(said.unwrap_or_default())
        .fix("say how with --using 'EXPRESSION', or drop first what does not bear the new type; nothing was written"))
    }

    /// What the server says against an attempt.
    async fn works(&self, attempt: &Attempt) -> Result<Option<String>, Problem> {
        self.execute("SAVEPOINT attempt").await?;
        let answer = self.client.batch_execute(&self.statement(attempt)).await;
        self.execute("ROLLBACK TO SAVEPOINT attempt").await?;
        match answer {
            Ok(()) => Ok(None),
            Err(error) => match error.as_db_error() {
                Some(said) => Ok(Some(said.message().to_owned())),
                None => Err(run(error)),
            },
        }
    }

    /// Makes the change, and sees what became of the copy.
    async fn done(&self, attempt: &Attempt, oid: u32) -> Result<Done, Problem> {
        let before = self.measured(oid).await?;
        self.execute(&self.statement(attempt)).await?;
        let after = self.measured(oid).await?;
        Ok(Done {
            rewritten: before.0 != after.0,
            rebuilt: before.1 != after.1,
            scanned: before.2 != after.2,
        })
    }

    async fn measured(&self, oid: u32) -> Result<(u32, Vec<u32>, i64), Problem> {
        let rows = ask(
            self.client,
            "the files of the copy",
            "select pg_catalog.pg_relation_filenode($1::oid::regclass) as heap,
                    array(select pg_catalog.pg_relation_filenode(i.indexrelid) from pg_catalog.pg_index i
                           where i.indrelid = $1::oid order by 1) as indexes,
                    pg_catalog.pg_stat_get_xact_numscans($1::oid) as scans",
            &[&oid],
        )
        .await?;
        let row = rows.first().ok_or_else(|| {
            Problem::new(
                Exit::Failed,
                "catalog-unreadable",
                "the copy of the table is not found",
            )
        })?;
        Ok((get(row, "heap")?, get(row, "indexes")?, get(row, "scans")?))
    }

    /// Whether what comes of a conversion depends on more than the value: nothing but IMMUTABLE can be generated. The cast is
    /// part of it, also where it would go without saying.
    async fn is_unstable(&self, attempt: &Attempt) -> Result<bool, Problem> {
        let own = readable(&self.column.column);
        let data_type = attempt.bare_type();
        let add = format!(
            "ALTER TABLE {} ADD COLUMN shipctl_trial {data_type} GENERATED ALWAYS AS (({}\n)::{data_type}) STORED",
            readable_table(&self.copy),
            attempt.using.as_ref().unwrap_or(&own)
        );
        self.execute("SAVEPOINT attempt").await?;
        let answer = self.client.batch_execute(&add).await;
        self.execute("ROLLBACK TO SAVEPOINT attempt").await?;
        match answer {
            Ok(()) => Ok(false),
            Err(error) if error.as_db_error().is_some() => Ok(true),
            Err(error) => Err(run(error)),
        }
    }

    /// An expression over the column, as PostgreSQL writes it with every name qualified.
    async fn understood(&self, what: &str, text: &str, oid: u32) -> Result<String, Problem> {
        let unusable = |why: &str| {
            Problem::new(
                Exit::Usage,
                "invalid-sql",
                format!("`{text}` is not a usable {what}: {why}"),
            )
        };
        let table = readable_table(&self.copy);
        self.execute("SAVEPOINT attempt").await?;
        let add = format!("ALTER TABLE {table} ADD CONSTRAINT shipctl_trial CHECK (({text}\n) IS NOT NULL)");
        if let Err(error) = self.client.batch_execute(&add).await {
            return Err(match error.as_db_error() {
                Some(said) => unusable(&said.message().replace("check constraint", "a conversion")),
                None => run(error),
            });
        }
        let volatile = column::is_volatile(self.client, &format!("SELECT ({text}\n) FROM {table} LIMIT 1"))
            .await
            .map_err(run)?;
        if volatile {
            return Err(unusable("it is another value each time"));
        }
        qualify(self.client).await?;
        let rows = ask(
            self.client,
            "the conversion",
            "select pg_catalog.pg_get_expr(k.conbin, k.conrelid) as text from pg_catalog.pg_constraint k
              where k.conrelid = $1 and k.conname = 'shipctl_trial'",
            &[&oid],
        )
        .await?;
        self.execute("ROLLBACK TO SAVEPOINT attempt").await?;
        let said: String = match rows.first() {
            Some(row) => get(row, "text")?,
            None => String::new(),
        };
        let expression = said
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(" IS NOT NULL)"))
            .ok_or_else(|| unusable("it is not understood"))?;
        let (named, _) = columns_read(expression, &self.column.table);
        if let Some(other) = named.iter().find(|column| **column != self.column.column) {
            return Err(unusable(&format!(
                "it may use {} alone, and not {other}, which may change by itself",
                self.column.column
            )));
        }
        // So that it can stand behind USING.
        Ok(format!("({expression})"))
    }

    /// What kinds of types the old and the new one are, now that the copy is changed.
    async fn kinds(&self, column: &ColumnName, oid: u32) -> Result<Kinds, Problem> {
        let rows = ask(
            self.client,
            "the types",
            "select pg_catalog.bool_or(t.typtype = 'e') as has_enum,
                    pg_catalog.bool_or(t.typcategory in ('D', 'T') or t.typname = 'money') as has_time
               from pg_catalog.pg_attribute a
               join pg_catalog.pg_class c on c.oid = a.attrelid
               join pg_catalog.pg_type t on t.oid = a.atttypid
              where a.attname = $2 and a.attnum > 0
                and (c.oid = $1 or c.oid = pg_catalog.to_regclass($3))",
            &[&oid, &column.column.as_str(), &column.table.quoted()],
        )
        .await?;
        let Some(row) = rows.first() else {
            return Ok(Kinds { is_plain_enum: false });
        };
        let (has_enum, has_time): (bool, bool) = (get(row, "has_enum")?, get(row, "has_time")?);
        Ok(Kinds {
            // What comes of an enum's value depends on no setting, though PostgreSQL does not call it IMMUTABLE.
            is_plain_enum: has_enum && !has_time && self.new.using.is_none() && self.new.back.is_none(),
        })
    }

    /// How the old type comes back, and whether PostgreSQL rewrites or builds anything anew for that.
    async fn way_back(&self, facts: &ColumnFacts, oid: u32, kinds: &Kinds) -> Result<WayBack, Problem> {
        // The old default comes back by itself.
        self.execute(&format!(
            "ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT",
            readable_table(&self.copy),
            readable(&self.column.column)
        ))
        .await?;
        let back = match self.new.back {
            Some(text) => Some(self.understood("--back", text, oid).await?),
            None => None,
        };
        let old = facts.data_type.as_str();
        let attempts = self.attempts((old, facts.collation.as_deref()), back.as_deref(), old);
        for attempt in &attempts {
            if self.works(attempt).await?.is_some() {
                continue;
            }
            let unstable = self.is_unstable(attempt).await? && !kinds.is_plain_enum;
            let lacking = self.lacking(attempt, oid).await?;
            let done = self.done(attempt, oid).await?;
            let conversion = Conversion {
                expression: attempt.using.clone(),
                unstable,
            };
            return Ok(WayBack {
                conversion: Some(conversion),
                rewrites: done.rewritten || done.rebuilt || done.scanned,
                lacking,
            });
        }
        match back {
            Some(_) => Err(Problem::new(
                Exit::Usage,
                "invalid-sql",
                format!(
                    "`{}` is not a usable --back: {old} is not made of it",
                    self.new.back.unwrap_or_default()
                ),
            )),
            None => Ok(WayBack {
                conversion: None,
                rewrites: true,
                lacking: Vec::new(),
            }),
        }
    }
}

/// How the old type comes back.
struct WayBack {
    conversion: Option<Conversion>,
    rewrites: bool,
    /// What writers may not use of it.
    lacking: Vec<Refused>,
}

struct Kinds {
    is_plain_enum: bool,
}
