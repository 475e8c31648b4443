//! What is compared with an undisturbed run: the schema, the data, how often each row was written, and the ledger.

use shipctl::postgres::Session;

/// Everything that is in the catalog, and what the ledger counts as done. Whatever somebody left behind shows here: an
/// index that is not valid, a constraint, a trigger, a function.
const CATALOG: &str = "
    WITH relation AS (
        SELECT c.oid, c.relkind, c.relpersistence, format('%I.%I', n.nspname, c.relname) AS name
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
    SELECT concat_ws(' ', 'relation', name, relkind, relpersistence) FROM relation
    UNION ALL SELECT concat_ws(' ', 'column', name, attname, format_type(atttypid, atttypmod), attnotnull,
                               attidentity, attgenerated, pg_get_expr(adbin, adrelid))
      FROM relation JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    UNION ALL SELECT concat_ws(' ', 'constraint', name, conname, pg_get_constraintdef(c.oid), convalidated)
      FROM relation JOIN pg_constraint c ON conrelid = relation.oid
    UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid, indisready, indislive)
      FROM relation JOIN pg_index ON indrelid = oid
    UNION ALL SELECT concat_ws(' ', 'partition', name, inhparent::regclass, inhdetachpending)
      FROM relation JOIN pg_inherits ON inhrelid = oid
    UNION ALL SELECT concat_ws(' ', 'trigger', name, pg_get_triggerdef(t.oid), tgenabled)
      FROM relation JOIN pg_trigger t ON tgrelid = relation.oid AND NOT tgisinternal
    UNION ALL SELECT concat_ws(' ', 'function', p.oid::regprocedure, md5(prosrc))
      FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL SELECT concat_ws(' ', 'ledger', kind, phase, payload ->> 'direction', payload ->> 'step', payload ->> 'rows',
                               count(*))
      FROM shipctl.events WHERE kind IN ('phase-finished', 'step-finished')
     GROUP BY kind, phase, payload ->> 'direction', payload ->> 'step', payload ->> 'rows'";

/// The tables, with what of their rows must be the same. Of a checkpoint only that it is there: a fill that vouches for a
/// moment begins anew after a kill, and then has less to write. What looks saw is no state: they may be taken at any time.
const TABLES: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), CASE
               WHEN n.nspname <> 'shipctl' THEN 'jsonb_strip_nulls(to_jsonb(t))'
               WHEN c.relname = 'migrations' THEN 'jsonb_build_array(id, name)'
               WHEN c.relname = 'migration_digests' THEN 'jsonb_build_array(id, name, digest)'
               WHEN c.relname = 'checkpoints' THEN 'jsonb_build_array(environment, plan, phase, activity)'
               ELSE '''null''::jsonb' END
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT (n.nspname = 'shipctl' AND c.relname IN ('events', 'version_sightings', 'fleet_samples'))
     ORDER BY 1";

/// The state of a database that has a ledger, a line for each thing.
pub async fn state(session: &Session) -> Vec<String> {
    let client = session.client();
    let mut lines: Vec<String> = client
        .query(CATALOG, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    for table in client.query(TABLES, &[]).await.unwrap() {
        let (name, what): (String, String) = (table.get(0), table.get(1));
        // Rows that occur twice count twice.
        let sql = format!(
            "SELECT count(*) || ' ' || coalesce(md5(string_agg(row, ' ' ORDER BY row)), '')
               FROM (SELECT ({what})::text AS row FROM {name} AS t) AS rows"
        );
        let rows: String = client.query_one(&sql, &[]).await.unwrap().get(0);
        lines.push(format!("rows {name} {rows}"));
    }
    lines.sort();
    lines
}

/// The lines that only one side has.
pub fn difference(expected: &[String], found: &[String]) -> String {
    let only = |these: &[String], those: &[String], sign: &str| -> Vec<String> {
        these
            .iter()
            .filter(|line| !those.contains(line))
            .map(|line| format!("{sign} {line}"))
            .collect()
    };
    let mut lines = only(expected, found, "-");
    lines.extend(only(found, expected, "+"));
    lines.join("\n")
}
