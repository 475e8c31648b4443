//! The locks that statements take are no stronger than those they are declared to take: compared with `pg_locks` whenever a
//! test runs a migration.

use std::collections::BTreeMap;
use std::time::Duration;

use shipctl::domain::TableName;
use shipctl::postgres::Session;
use shipctl::sql::{LockMode, Statement, Step, Transactional};

use super::support::cluster;

/// The table locks of a session on what is not PostgreSQL's own, by the table that they are about: an index's and a
/// TOAST table's are taken with those of its table, a sequence's stop no rows.
const HELD: &str = "
    SELECT c.oid, l.mode
      FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE l.pid = $1 AND l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg\\_temp%'";

type Held = BTreeMap<u32, LockMode>;

/// The tables that there are, each with its name and the names of those above it: what is declared of a table is declared of
/// its partitions and children.
type Tables = BTreeMap<u32, Vec<String>>;

fn mode(name: &str) -> LockMode {
    let found = LockMode::ALL.into_iter().find(|mode| mode.catalog_name() == name);
    found.unwrap_or_else(|| panic!("{name} is no mode of a table's lock"))
}

async fn held(session: &Session, pid: i32) -> Held {
    let mut found = Held::new();
    for row in session.client().query(HELD, &[&pid]).await.unwrap() {
        let mode = mode(row.get(1));
        let strongest = found.entry(row.get(0)).or_insert(mode);
        *strongest = (*strongest).max(mode);
    }
    found
}

/// Whether a table is one that the catalog calls so.
fn is_same(declared: &TableName, found: &str) -> bool {
    let found: TableName = found.parse().unwrap();
    found.name == declared.name
        && declared
            .schema
            .as_ref()
            .is_none_or(|schema| found.schema.as_ref() == Some(schema))
}

async fn tables(session: &Session) -> Tables {
    let sql = "
        WITH RECURSIVE family AS (
            SELECT c.oid, c.oid AS above FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
            UNION SELECT f.oid, i.inhparent FROM family f JOIN pg_inherits i ON i.inhrelid = f.above)
        SELECT f.oid, array_agg(format('%I.%I', m.nspname, a.relname) ORDER BY f.above <> f.oid)
          FROM family f JOIN pg_class a ON a.oid = f.above JOIN pg_namespace m ON m.oid = a.relnamespace
         GROUP BY 1";
    let rows = session.client().query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Compares; `before` are the locks that the transaction had already, and `there` the tables that others can see, by the names
/// that they have for the statement.
fn compare(statement: &Statement, before: &Held, after: &Held, there: &Tables) {
    for (table, mode) in after {
        let Some(family) = there.get(table).filter(|_| before.get(table) < Some(mode)) else {
            continue;
        };
        let of_table = statement.locks.iter().filter(|lock| match &lock.table {
            Some(declared) => family.iter().any(|one| is_same(declared, one)),
            None => true,
        });
        let declared = of_table.map(|lock| lock.mode).max();
        // What a plain statement needs to read its own words is no lock that anybody waits for.
        assert!(
            declared >= Some(*mode) || *mode <= LockMode::RowExclusive,
            "{}\ntakes {} on {}, and declares {:?}",
            statement.text,
            mode.as_str(),
            family[0],
            statement.locks
        );
    }
}

/// Runs a step, and compares what each of its statements takes with what it declares.
pub async fn run(session: &Session, step: &Step) {
    let client = session.client();
    if step
        .statements
        .iter()
        .any(|one| one.transactional != Transactional::Yes)
    {
        return run_outside(session, step).await;
    }
    let pid = session.backend_pid();
    let visible = tables(session).await;
    client.batch_execute("BEGIN").await.unwrap();
    for statement in &step.statements {
        let before = held(session, pid).await;
        let mut there = tables(session).await;
        there.retain(|table, _| visible.contains_key(table));
        execute(session, statement).await;
        compare(statement, &before, &held(session, pid).await, &there);
    }
    client.batch_execute("COMMIT").await.unwrap();
}

/// Looks at what it holds from beside, again and again, as nothing holds it up.
async fn run_outside(session: &Session, step: &Step) {
    let pid = session.backend_pid();
    let there = tables(session).await;
    let name: String = session
        .client()
        .query_one("SELECT current_database()::text", &[])
        .await
        .unwrap()
        .get(0);
    let aside = Session::open(&cluster().settings(&name).unwrap(), "beside")
        .await
        .unwrap();
    for statement in &step.statements {
        let mut running = std::pin::pin!(execute(session, statement));
        loop {
            let looked = async {
                let found = held(&aside, pid).await;
                compare(statement, &Held::new(), &found, &there);
                tokio::time::sleep(Duration::from_micros(200)).await;
            };
            tokio::select! {
                () = &mut running => break,
                () = looked => {}
            }
        }
    }
}

async fn execute(session: &Session, statement: &Statement) {
    if let Err(error) = session.client().batch_execute(&statement.text).await {
        panic!(
            "{}: {}",
            statement.text,
            error
                .as_db_error()
                .map_or_else(|| error.to_string(), ToString::to_string)
        );
    }
}
