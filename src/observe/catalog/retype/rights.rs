//! Whether the triggers of a second column work for those who write the table: conversions are tried as a trigger works
//! them out, and what they call must be allowed to every role that may write.
//!
//! What a function calls inside is seen only as far as the value that is tried runs it, and rights inside of it are not.

use super::super::{ask, get};
use super::run;
use super::trial::{Attempt, Trial};
use crate::domain::Problem;
use crate::recipe::Refused;
use crate::recipe::change_type::Conversion;
use crate::sql::{readable, readable_table};

/// Rows that are looked at for a value to try.
const LOOKED_AT: u32 = 100;

impl Trial<'_> {
    /// The first value of the column that is found in a few rows, as SQL.
    fn a_value(&self) -> String {
        let (table, name) = (readable_table(&self.column.table), readable(&self.column.column));
        format!(
            "SELECT {name} FROM (SELECT {name} FROM {table} LIMIT {LOOKED_AT}) AS seen WHERE {name} IS NOT NULL LIMIT 1"
        )
    }

    /// Works the conversions out as the triggers do, of NULL and of a value that is there: a name that is not found there is
    /// an obstacle. What is wrong with one value alone is not.
    pub(super) async fn tried_in_a_trigger(
        &self,
        (there, back): (&Conversion, Option<&Conversion>),
        (old, new): (&str, &str),
    ) -> Result<Vec<Refused>, Problem> {
        let name = readable(&self.column.column);
        let alias = readable(&self.column.table.name);
        let made = |conversion: &Conversion, of: &str, data_type: &str| {
            let expression = conversion.expression.as_ref().unwrap_or(&name);
            format!("SELECT ({expression}\n)::{data_type} AS {name} FROM ({of}) AS {alias}")
        };
        let mut tried = Vec::new();
        for of in [format!("SELECT NULL::{old} AS {name}"), self.a_value()] {
            let converted = made(there, &of, new);
            tried.extend(back.map(|back| (made(back, &converted, old), old)));
            tried.push((converted, new));
        }
        if let Some(back) = back {
            tried.push((made(back, &format!("SELECT NULL::{new} AS {name}"), old), old));
        }
        // The way there first: where it fails, what is made of it does as well.
        tried.sort_by_key(|(_, to)| *to != new);
        for (sql, to) in tried {
            self.execute("SAVEPOINT attempt").await?;
            self.execute("SET LOCAL search_path = pg_catalog, pg_temp")
                .await?;
            let answer = self.client.batch_execute(&sql).await;
            self.execute("ROLLBACK TO SAVEPOINT attempt").await?;
            let Err(error) = answer else { continue };
            let Some(said) = error.as_db_error() else {
                return Err(run(error));
            };
            let code = said.code().code();
            let is_a_name = (code.starts_with("42") && code != "42501") || code == "3F000";
            if is_a_name {
                return Ok(vec![Refused {
                    what: format!("the conversion to {to}"),
                    why: format!(
                        "the trigger works it out with search_path = pg_catalog, pg_temp, by which it fails: {}; write every name \
                         that it and its functions use with its schema, or give the function a search_path of its own (ALTER \
                         FUNCTION … SET search_path)",
                        said.message()
                    ),
                }]);
            }
        }
        Ok(Vec::new())
    }

    /// What a conversion uses and roles that may write the table must not; `oid` is the copy as it is before the conversion.
    pub(super) async fn lacking(&self, attempt: &Attempt, oid: u32) -> Result<Vec<Refused>, Problem> {
        let (table, name) = (readable_table(&self.copy), readable(&self.column.column));
        let (expression, to) = (attempt.using.as_ref().unwrap_or(&name), attempt.bare_type());
        self.execute("SAVEPOINT attempt").await?;
        self.execute(&format!(
            "ALTER TABLE {table} ADD CONSTRAINT shipctl_trial CHECK ((({expression}\n)::{to}) IS NOT NULL)"
        ))
        .await?;
        let rows = ask(
            self.client,
            "the rights of those who write",
            "with used as (
                 select d.refclassid as class, d.refobjid as id
                   from pg_catalog.pg_constraint k
                   join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_constraint'::regclass and d.objid = k.oid
                  where k.conrelid = $1 and k.conname = 'shipctl_trial'
             ), functions as (
                 select u.id from used u where u.class = 'pg_catalog.pg_proc'::regclass
                 union
                 select o.oprcode::oid from used u join pg_catalog.pg_operator o
                     on u.class = 'pg_catalog.pg_operator'::regclass and o.oid = u.id
             ), schemas as (
                 -- By their names in the trigger; an assignment without an expression names none.
                 select p.pronamespace as id from used u join pg_catalog.pg_proc p
                     on u.class = 'pg_catalog.pg_proc'::regclass and p.oid = u.id
                 union
                 select o.oprnamespace from used u join pg_catalog.pg_operator o
                     on u.class = 'pg_catalog.pg_operator'::regclass and o.oid = u.id
                 union
                 select t.typnamespace from used u join pg_catalog.pg_type t
                     on u.class = 'pg_catalog.pg_type'::regclass and t.oid = u.id
                 union
                 select t.typnamespace from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
                  where a.attrelid = $1 and a.attname = $3
                 union
                 select c.collnamespace from pg_catalog.pg_attribute a join pg_catalog.pg_collation c on c.oid = a.attcollation
                  where a.attrelid = $1 and a.attname = $3
             ), writers as (
                 select r.oid, r.rolname from pg_catalog.pg_roles r
                  where not r.rolsuper and r.rolname !~ '^pg_'
                    and pg_catalog.has_any_column_privilege(r.oid, pg_catalog.to_regclass($2)::oid, 'INSERT, UPDATE')
             ), lacked as (
                 select pg_catalog.format('EXECUTE ON FUNCTION %s', p.oid::regprocedure) as what, w.rolname
                   from functions f join pg_catalog.pg_proc p on p.oid = f.id
                  cross join writers w
                  where not pg_catalog.has_function_privilege(w.oid, p.oid, 'EXECUTE')
                 union
                 select pg_catalog.format('USAGE ON SCHEMA %I', n.nspname), w.rolname
                   from schemas s join pg_catalog.pg_namespace n on n.oid = s.id
                  cross join writers w
                  where $4 and not pg_catalog.has_schema_privilege(w.oid, n.oid, 'USAGE')
             )
             select what, pg_catalog.string_agg(pg_catalog.quote_ident(rolname), ', ' order by rolname) as roles
               from lacked group by 1 order by 1",
            &[
                &oid,
                &self.column.table.quoted(),
                &self.column.column.as_str(),
                &attempt.using.is_some(),
            ],
        )
        .await?;
        self.execute("ROLLBACK TO SAVEPOINT attempt").await?;
        rows.iter()
            .map(|row| {
                let (what, roles): (String, String) = (get(row, "what")?, get(row, "roles")?);
                Ok(Refused {
                    what: format!("{what} for {roles}"),
                    why: format!(
                        "whoever may write {} works the conversion to {to} out in a trigger, with rights of their own; run GRANT \
                         {what} TO {roles} first",
                        self.column.table
                    ),
                })
            })
            .collect()
    }
}
