//! A primary key, without writers that wait for its index and without a write that it refuses.
//!
//! obey → constrain. NOT NULL comes by a check that is validated while writers go on, the index is built while writers go
//! on, and the key is made of it in a moment. Code that writes duplicates or NULL has to be gone before that begins.

use super::add_check::written;
use super::draft::{Draft, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{
    ConstraintType, IndexDefinition, Order, Patience, Recipe, Refused, TableColumn, TableFacts, TableKind,
    carry, constraint_sql, names,
};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{literal, readable, readable_table};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The columns, in order; those of the index where there are none.
    pub columns: Vec<SqlIdentifier>,
    /// The constraint's name, if it is not to be made of theirs.
    pub name: Option<SqlIdentifier>,
    /// The unique index that becomes that of the key.
    pub using_index: Option<SqlIdentifier>,
}

/// Everything that the files are made from.
struct Key<'a> {
    facts: &'a TableFacts,
    columns: Vec<&'a TableColumn>,
    name: SqlIdentifier,
    index: Option<&'a IndexDefinition>,
}

impl Key<'_> {
    fn names(&self) -> Vec<SqlIdentifier> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    fn list(&self) -> String {
        constraint_sql::list(&self.names())
    }

    fn nullable(&self) -> impl DoubleEndedIterator<Item = &SqlIdentifier> {
        let nullable = self.columns.iter().filter(|column| !column.not_null);
        nullable.map(|column| &column.name)
    }
}

/// The columns that the key will have.
///
/// # Errors
/// No such index.
pub fn columns(facts: &TableFacts, wish: &Wish) -> Result<Vec<SqlIdentifier>, Problem> {
    match &wish.using_index {
        Some(index) if wish.columns.is_empty() => {
            Ok(facts.index(index)?.keys.iter().flatten().cloned().collect())
        }
        _ => Ok(wish.columns.clone()),
    }
}

/// The recipe for `shipctl plan add-primary-key TABLE COLUMN…`.
///
/// # Errors
/// No such column or index; the columns are the primary key already; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let table = &facts.table;
    let index = wish
        .using_index
        .as_ref()
        .map(|name| facts.index(name))
        .transpose()?;
    let named = columns(facts, wish)?;
    let columns: Vec<&TableColumn> = named
        .iter()
        .map(|column| facts.column(column))
        .collect::<Result<_, _>>()?;
    let there = facts
        .constraints
        .iter()
        .find(|one| one.kind == ConstraintType::PrimaryKey);
    if let Some(same) = there.filter(|one| one.columns == named) {
        return Err(already(format!(
            "{} is the primary key of {table} already, by {}",
            constraint_sql::list(&named),
            same.name
        )));
    }
    let is_taken =
        |name: &SqlIdentifier| facts.relations.contains(name) || facts.constraint_names.contains(name);
    let name = match (&wish.name, index) {
        (Some(name), _) => name.clone(),
        // As PostgreSQL: the constraint takes the name of its index.
        (None, Some(index)) => index.name.clone(),
        (None, None) => names::chosen(&table.name, &[], "pkey", is_taken),
    };
    let key = Key {
        facts,
        columns,
        name,
        index,
    };
    let mut refused = facts.refused.clone();
    refused.extend(there.map(|one| {
        Refused {
            what: format!("primary key {} of {table}", one.name),
            why:
                "a table has one at most; drop it by a migration of your own first, once nothing refers to it"
                    .to_owned(),
        }
    }));
    refused.extend(obstacles(&key, &named));
    refuse_unless_none(
        ChangeKind::AddPrimaryKey,
        &format!("{table} ({})", key.list()),
        &refused,
    )?;

    let subject = Subject {
        kind: ChangeKind::AddPrimaryKey,
        table,
        columns: &named,
        name: Some(&key.name),
        title: format!("Make {} the primary key of {}", key.list(), table.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    draft.code(
        "obey",
        &format!("Code writes no duplicates of {}, and never NULL", key.list()),
        // What reads them lives with duplicates and NULL until the end.
        &[],
        &written(facts, &key.columns).iter().collect::<Vec<_>>(),
        &[
            "Every INSERT gives each of them a value, also where a default used to do; no INSERT and no UPDATE makes a",
            "second row with the same values, and code is ready to be refused where two writers meet. ON CONFLICT with",
            "these columns does not work before `constrain`.",
        ],
    );
    constrain(&mut draft, &key);
    Ok(draft.finish(remarks(&key)))
}

fn obstacles(key: &Key<'_>, named: &[SqlIdentifier]) -> Vec<Refused> {
    let facts = key.facts;
    let mut refused = Vec::new();
    match facts.kind {
        TableKind::Partitioned => refused.push(constraint_sql::unique_of_partitioned(facts)),
        _ => refused.extend(super::add_index::concurrently_refused(facts.server_version)),
    }
    if facts.kind == TableKind::OfAFamily {
        refused.push(Refused {
            what: format!("inheritance of {}", facts.table),
            why: "NOT NULL, which a primary key demands, comes from a parent or goes on to children"
                .to_owned(),
        });
    }
    refused.extend(constraint_sql::twice(named));
    if named.is_empty() {
        refused.push(Refused {
            what: format!("no column of {}", facts.table),
            why: "a primary key has columns, not expressions".to_owned(),
        });
    }
    for column in key.nullable() {
        refused.extend(carry::not_null_check_taken(facts.constraint_names(), column));
    }
    for column in &key.columns {
        refused.extend(unusable_not_null(column));
    }
    match key.index {
        Some(index) => refused.extend(unusable_index(key, index, named)),
        None => refused.extend(
            constraint_sql::index_name_in_use(facts, &key.name)
                .or_else(|| constraint_sql::name_in_use(facts, &key.name)),
        ),
    }
    refused
}

/// A NOT NULL (PostgreSQL 18) on which no primary key can rest.
fn unusable_not_null(column: &TableColumn) -> Option<Refused> {
    let constraint = column.named_not_null.as_ref()?;
    let why = if constraint.no_inherit {
        "it is NO INHERIT, on which no primary key can rest; make it INHERIT first (ALTER CONSTRAINT)"
    } else if !constraint.validated {
        "it is NOT VALID, on which no primary key can rest; VALIDATE CONSTRAINT first"
    } else {
        return None;
    };
    Some(Refused {
        what: format!("NOT NULL constraint {}", constraint.name),
        why: why.to_owned(),
    })
}

/// Why a primary key cannot be made of an index, or could not be unmade.
fn unusable_index(key: &Key<'_>, index: &IndexDefinition, named: &[SqlIdentifier]) -> Vec<Refused> {
    let facts = key.facts;
    let keys: Vec<SqlIdentifier> = index.keys.iter().flatten().cloned().collect();
    let mut refused = Vec::new();
    let mut refuse = |why: &str| {
        refused.push(Refused {
            what: format!("index {}", index.name),
            why: why.to_owned(),
        });
    };
    if let Some(constraint) = &index.constraint {
        refuse(&format!(
            "it serves the constraint {constraint}; leave out --using-index, and drop that one afterwards if it is not needed"
        ));
    } else if !index.valid {
        refuse(
            "it is left of a build that failed; drop it (DROP INDEX CONCURRENTLY) and leave out --using-index",
        );
    } else if !index.keeps_unique(named) || keys != named || !index.default_order {
        refuse(
            "a primary key needs a unique btree index of all rows that has these columns in this order, and neither \
             expressions, DESC, operator classes nor collations of its own; leave out --using-index",
        );
    } else if index.nulls_not_distinct {
        refuse("it is NULLS NOT DISTINCT, of which PostgreSQL makes no primary key; leave out --using-index");
    } else if index
        .named(&index.name)
        .and_then(|named| named.concurrently())
        .is_none()
    {
        refuse(
            "its definition is not understood, so that it could not be brought back; leave out --using-index",
        );
    } else if let Some(reference) = index.referenced_by.first() {
        refuse(&format!(
            "{reference} refers to it, so that the key could not be undone; leave out --using-index"
        ));
    }
    let twin = interim_index(index);
    if facts.relations.contains(&twin) {
        refused.push(Refused {
            what: format!("relation {twin}"),
            why: "the index that the way back builds would have that name; rename it first".to_owned(),
        });
    }
    if key.name != index.name {
        refused.extend(
            constraint_sql::index_name_in_use(facts, &key.name)
                .or_else(|| constraint_sql::name_in_use(facts, &key.name)),
        );
    } else {
        refused.extend(constraint_sql::name_in_use(facts, &key.name));
    }
    refused
}

fn interim_index(index: &IndexDefinition) -> SqlIdentifier {
    carry::interim(&index.name, "_next")
}

fn constrain(draft: &mut Draft, key: &Key<'_>) {
    let (table, name) = (&key.facts.table, &key.name);
    let nullable: Vec<&SqlIdentifier> = key.nullable().collect();
    let mut up = Vec::new();
    if !nullable.is_empty() {
        up.push(Sql::Remark(
            "Fails while a row is NULL in one of them, before anything is refused.",
        ));
        // Each by itself, so that it says in which.
        up.extend(nullable.iter().map(|column| {
            Sql::Statement(constraint_sql::fail_if_any(
                table,
                &format!("{} IS NULL", readable(column)),
                &format!("{table} holds rows in which {column} is NULL"),
            ))
        }));
    }
    for column in &nullable {
        up.extend(Sql::each(carry::set_not_null(table, column)));
    }
    let (used, mut down) = match key.index {
        Some(index) => (index.name.clone(), bring_back_index(key, index)),
        None => {
            up.push(Sql::Statement(format!(
                "CREATE UNIQUE INDEX CONCURRENTLY {} ON {} ({})",
                readable(name),
                readable_table(table),
                key.list()
            )));
            let mut down = vec![Sql::Remark(
                "The constraint takes its index along; without the constraint the index may be there alone.",
            )];
            down.extend(Sql::each(constraint_sql::drop_with_index(table, name)));
            (name.clone(), down)
        }
    };
    up.push(Sql::in_a_moment([constraint_sql::add(
        table,
        name,
        &format!("PRIMARY KEY USING INDEX {}", readable(&used)),
    )]));
    for column in nullable.iter().rev() {
        down.extend(Sql::each(carry::drop_not_null(table, column)));
    }
    draft.schema(SchemaPhase {
        id: "constrain",
        kind: "expand",
        title: format!("{} is the primary key", key.list()),
        comments: &["Older code, whose writes may be refused, cannot come back from here on."],
        explanation: &[
            "SET NOT NULL finds a validated check and does not scan the table, nor does the key, which finds NOT NULL and",
            "the index. That is built while writers go on: where rows are the same the build fails, names them, and leaves",
            "nothing behind.",
        ],
        up,
        down,
        patience: Patience::default(),
    });
}

/// The way back of a key that was made of an index: it would go with the key, so that another is built before that.
fn bring_back_index(key: &Key<'_>, index: &IndexDefinition) -> Vec<Sql> {
    let table = &key.facts.table;
    let twin = interim_index(index);
    let mut sql = vec![Sql::Remark(
        "The index would go with the key: another is built first, so that the columns stay unique.",
    )];
    let twin_name = constraint_sql::index(table, &twin);
    let old_name = constraint_sql::index(table, &index.name);
    sql.extend(
        index
            .named(&twin)
            .and_then(|named| named.concurrently())
            .map(Sql::Statement),
    );
    if let Some(comment) = &index.comment {
        sql.push(Sql::Statement(format!(
            "COMMENT ON INDEX {twin_name} IS {}",
            literal(comment)
        )));
    }
    if index.clustered {
        sql.push(Sql::Statement(format!(
            "ALTER TABLE {} CLUSTER ON {}",
            readable_table(table),
            readable(&twin)
        )));
    }
    if index.replica_identity {
        sql.push(Sql::Statement(format!(
            "ALTER TABLE {} REPLICA IDENTITY USING INDEX {}",
            readable_table(table),
            readable(&twin)
        )));
    }
    sql.push(Sql::Statement(format!(
        "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
        readable_table(table),
        readable(&key.name)
    )));
    sql.push(Sql::Statement(format!(
        "DROP INDEX CONCURRENTLY IF EXISTS {old_name}"
    )));
    sql.push(Sql::Statement(format!(
        "ALTER INDEX {twin_name} RENAME TO {}",
        readable(&index.name)
    )));
    sql
}

fn remarks(key: &Key<'_>) -> Vec<String> {
    let (list, table) = (key.list(), readable_table(&key.facts.table));
    let mut remarks = Vec::new();
    let nullable: Vec<String> = key
        .nullable()
        .map(|column| format!("{} IS NULL", readable(column)))
        .collect();
    if !nullable.is_empty() {
        remarks.push(format!(
            "Nothing fills rows that are NULL: `constrain` fails, and changes nothing, while there are any. To see them: \
             SELECT * FROM {table} WHERE {};",
            nullable.join(" OR ")
        ));
    }
    if key.index.is_none() {
        remarks.push(format!(
            "Nothing puts rows right that are the same: `constrain` fails, and changes nothing, while there are any. To see \
             them: SELECT {list}, count(*) FROM {table} GROUP BY {list} HAVING count(*) > 1;"
        ));
        let names = key.names();
        let same = |index: &&IndexDefinition| index.keeps_unique(&names);
        remarks.extend(key.facts.indexes.iter().find(same).map(|index| match &index.constraint {
            Some(constraint) => format!(
                "{list} is unique already, by the constraint {constraint}: once nothing refers to it, it is needed no more \
                 (`shipctl plan drop-constraint`)."
            ),
            None => format!(
                "{list} is unique already, by the index {0}: with --using-index {0} the key is made of it.",
                index.name
            ),
        }));
    }
    if key.facts.published {
        remarks.push(format!(
            "{} is published. Unless its REPLICA IDENTITY says otherwise, its rows are told apart by this key from then on; \
             undone, they are again what they were, and where that is nothing PostgreSQL refuses UPDATE and DELETE.",
            key.facts.table
        ));
    }
    remarks
}
