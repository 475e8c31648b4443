//! A new index, built while writers go on.
//!
//! An ordinary table's in one statement. A partitioned table's cannot be built concurrently: its own is made empty and
//! invalid, one is built for each partition and attached, and the last makes it valid. A partition that came after the plan
//! was made has none, and keeps it invalid, so that the migration ends by looking whether it is valid.

use std::collections::BTreeSet;

use super::draft::{Draft, SchemaPhase, Sql, Subject, refuse_unless_none};
use super::{
    IndexDefinition, Order, Patience, Recipe, Refused, TableFacts, TableKind, carry, constraint_sql,
};
use crate::domain::{Exit, Problem};
use crate::domain::{SqlIdentifier, TableName};
use crate::plan::ChangeKind;
use crate::sql::{IndexKeyText, columns_read, literal, readable, readable_table};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The keys, as SQL.
    pub keys: Vec<IndexKeyText>,
    /// Its name, where it is not to be made from the keys.
    pub name: Option<SqlIdentifier>,
    /// UNIQUE.
    pub unique: bool,
    /// The access method, where it is not btree.
    pub method: Option<SqlIdentifier>,
    /// Columns that are only carried along.
    pub include: Vec<SqlIdentifier>,
    /// The rows that it holds, as a condition; `None` is all.
    pub condition: Option<String>,
}

/// The recipe for `shipctl plan add-index TABLE KEY…`.
///
/// # Errors
/// A column or table that is not there; a name that is taken; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::AddIndex;
    let columns = columns(facts, wish)?;
    let name = name(facts, wish, "--name")?;
    let mut refused = facts.refused.clone();
    refused.extend(concurrently_refused(facts.server_version));
    let deeper = facts
        .partitions
        .iter()
        .filter(|partition| partition.is_partitioned);
    refused.extend(deeper.map(|partition| {
        Refused {
            what: format!("partitions of the partition {}", partition.table),
            why: "an index is built for one level of partitions; make one for it first, and then this one"
                .to_owned(),
        }
    }));
    let foreign = facts.partitions.iter().filter(|partition| partition.is_foreign);
    refused.extend(foreign.map(|partition| Refused {
        what: format!("foreign partition {}", partition.table),
        why: "it can have no index, so that the one of the whole table would never be valid; give each of the other partitions \
              its own: shipctl plan add-index PARTITION KEY"
            .to_owned(),
    }));
    if facts.kind == TableKind::Partitioned && wish.unique {
        refused.push(constraint_sql::unique_of_partitioned(facts));
    }
    refuse_unless_none(kind, &facts.table.to_string(), &refused)?;

    let subject = Subject {
        kind,
        table: &facts.table,
        columns: &columns,
        name: Some(&name),
        title: format!("Index {} by {}", facts.table.name, keys(wish)),
    };
    let mut draft = Draft::new(&subject, order)?;
    if wish.unique {
        obey(&mut draft, facts, wish);
    }
    let (up, down) = match facts.kind {
        TableKind::Partitioned => of_partitions(facts, wish, &name),
        _ => (
            vec![Sql::Statement(create(
                wish,
                "CONCURRENTLY ",
                Some(&name),
                &facts.table,
            ))],
            vec![Sql::Statement(drop(&facts.table, &name, "CONCURRENTLY "))],
        ),
    };
    draft.schema(SchemaPhase {
        id: "build",
        kind: "expand",
        title: format!("Build {name}"),
        comments: &[],
        explanation: &[
            "Built while writers go on; what a failed attempt leaves behind is dropped and built again.",
        ],
        up,
        down,
        patience: Patience::default(),
    });
    let mut remarks = Vec::new();
    let twins = facts.indexes.iter().filter(|index| is_twin(index, wish));
    remarks.extend(twins.map(|twin| format!("{} has the same keys already.", twin.name)));
    if wish.unique {
        remarks.push(format!(
            "`build` fails, and leaves no index, while two rows have the same {}.",
            keys(wish)
        ));
    }
    Ok(draft.finish(remarks))
}

/// The columns that are keys by themselves; all that it uses are there.
pub(super) fn columns(facts: &TableFacts, wish: &Wish) -> Result<Vec<SqlIdentifier>, Problem> {
    let of_keys = wish.keys.iter().flat_map(|key| &key.columns);
    for column in of_keys.chain(&wish.include) {
        facts.column(column)?;
    }
    Ok(wish.keys.iter().filter_map(|key| key.column.clone()).collect())
}

/// The release before a unique index begins to refuse.
pub(super) fn obey(draft: &mut Draft, facts: &TableFacts, wish: &Wish) {
    let decides = wish
        .condition
        .as_ref()
        .map(|condition| columns_read(condition, &facts.table).0);
    let written: BTreeSet<_> = wish
        .keys
        .iter()
        .flat_map(|key| key.columns.iter().cloned())
        .chain(decides.into_iter().flatten())
        .collect();
    let named: Vec<_> = written.iter().map(|column| facts.column_name(column)).collect();
    draft.code(
        "obey",
        &format!("Code never writes {} twice", keys(wish)),
        &[],
        &named.iter().collect::<Vec<_>>(),
        &["From the next phase on the database refuses what would be there twice, while it builds already."],
    );
}

/// Whether an index has the keys and nothing besides.
pub(super) fn is_twin(index: &IndexDefinition, wish: &Wish) -> bool {
    let method = wish.method.as_ref().map_or("btree", SqlIdentifier::as_str);
    let same = format!(" USING {method} ({})", keys(wish));
    index.definition.ends_with(&same)
}

/// The keys as they were given.
pub(super) fn keys(wish: &Wish) -> String {
    let keys: Vec<&str> = wish.keys.iter().map(|key| key.text.as_str()).collect();
    keys.join(", ")
}

/// Up to 14.3, CREATE INDEX CONCURRENTLY may leave rows out of the index.
pub(super) fn concurrently_refused(server_version: u32) -> Option<Refused> {
    (140_000..140_004).contains(&server_version).then(|| Refused {
        what: "PostgreSQL 14 before 14.4".to_owned(),
        why: "CREATE INDEX CONCURRENTLY may leave rows out of the index there; update the server first"
            .to_owned(),
    })
}

/// The name that was asked for with `option`, or one as PostgreSQL would make it.
pub(super) fn name(facts: &TableFacts, wish: &Wish, option: &str) -> Result<SqlIdentifier, Problem> {
    if let Some(name) = &wish.name {
        if facts.relations.contains(name) {
            return Err(Problem::new(
                Exit::Usage,
                "name-taken",
                format!(
                    "{name} is the name of something else in the schema of {}",
                    facts.table
                ),
            )
            .because("tables, indexes, sequences and views of a schema share their names")
            .fix(format!("choose another with {option}")));
        }
        return Ok(name.clone());
    }
    let parts: Vec<&str> = wish
        .keys
        .iter()
        .map(|key| key.column.as_ref().map_or("expr", SqlIdentifier::as_str))
        .chain(wish.include.iter().map(SqlIdentifier::as_str))
        .collect();
    let whole = SqlIdentifier::from_catalog(format!("{}_{}", facts.table.name.as_str(), parts.join("_")));
    let tried = (0u32..).map(|number| {
        let suffix = if number == 0 {
            "_idx".to_owned()
        } else {
            format!("_idx{number}")
        };
        carry::interim(&whole, &suffix)
    });
    let mut free = tried.filter(|name| !facts.relations.contains(name));
    // There are more numbers than names.
    Ok(free.next().unwrap_or(whole))
}

/// The statement that tries the index on a copy of the table, unless it looks at whole rows: those of a copy are of another
/// type.
pub fn trial(wish: &Wish, table: &TableName) -> Option<impl FnOnce(&TableName) -> String> {
    let texts = wish
        .keys
        .iter()
        .filter(|key| key.column.is_none())
        .map(|key| &key.text);
    let is_of_rows = texts
        .chain(&wish.condition)
        .any(|text| columns_read(text, table).0.contains(&table.name));
    (!is_of_rows).then_some(|copy: &TableName| create(wish, "", None, copy))
}

pub(super) fn create(wish: &Wish, how: &str, name: Option<&SqlIdentifier>, table: &TableName) -> String {
    let unique = if wish.unique { "UNIQUE " } else { "" };
    let only = if how.is_empty() { "ONLY " } else { "" };
    let method = wish
        .method
        .as_ref()
        .map(|method| format!(" USING {}", readable(method)));
    let include = wish.include.iter().map(readable).collect::<Vec<_>>().join(", ");
    let include = if include.is_empty() {
        String::new()
    } else {
        format!(" INCLUDE ({include})")
    };
    let condition = wish
        .condition
        .as_ref()
        .map(|condition| format!(" WHERE ({condition})"));
    format!(
        "CREATE {unique}INDEX {how}{}ON {only}{}{} ({}){include}{}",
        name.map(|name| format!("{} ", readable(name)))
            .unwrap_or_default(),
        readable_table(table),
        method.unwrap_or_default(),
        keys(wish),
        condition.unwrap_or_default()
    )
}

pub(super) fn in_schema_of(table: &TableName, name: &SqlIdentifier) -> String {
    readable_table(&TableName {
        schema: table.schema.clone(),
        name: name.clone(),
    })
}

pub(super) fn drop(table: &TableName, name: &SqlIdentifier, how: &str) -> String {
    format!("DROP INDEX {how}IF EXISTS {}", in_schema_of(table, name))
}

fn of_partitions(facts: &TableFacts, wish: &Wish, name: &SqlIdentifier) -> (Vec<Sql>, Vec<Sql>) {
    let mut up = vec![
        Sql::Remark("Empty and not used until every partition has its own."),
        Sql::Statement(create(wish, "", Some(name), &facts.table)),
    ];
    let mut down = vec![
        Sql::Remark("Those of the partitions go with it, as soon as they are attached."),
        Sql::Statement(drop(&facts.table, name, "")),
    ];
    for partition in &facts.partitions {
        // A suffix of the partition's own name keeps names apart, also where both are long.
        let whole =
            SqlIdentifier::from_catalog(format!("{}_{}", partition.table.name.as_str(), name.as_str()));
        let own = carry::interim(&whole, "_part");
        up.push(Sql::Statement(create(
            wish,
            "CONCURRENTLY ",
            Some(&own),
            &partition.table,
        )));
        up.push(Sql::Statement(format!(
            "ALTER INDEX {} ATTACH PARTITION {}",
            in_schema_of(&facts.table, name),
            in_schema_of(&partition.table, &own)
        )));
        down.push(Sql::Statement(drop(&partition.table, &own, "CONCURRENTLY ")));
    }
    up.push(Sql::Remark(
        "Fails while a partition has none, which came after the plan was made.",
    ));
    up.push(Sql::Statement(fail_if_invalid(&facts.table, name)));
    (up, down)
}

/// Fails while the index of a partitioned table is invalid, and says what to do.
fn fail_if_invalid(table: &TableName, name: &SqlIdentifier) -> String {
    let catalog = TableName {
        schema: Some(SqlIdentifier::from_catalog("pg_catalog".to_owned())),
        name: SqlIdentifier::from_catalog("pg_index".to_owned()),
    };
    let index = in_schema_of(table, name);
    constraint_sql::fail_if_any(
        &catalog,
        &format!(
            "indexrelid = {}::pg_catalog.regclass AND NOT indisvalid",
            literal(&index)
        ),
        &format!(
            "{index} is not valid, since a partition came after the plan was made: build its own with CREATE INDEX \
             CONCURRENTLY, ALTER INDEX {index} ATTACH PARTITION it, and run again"
        ),
    )
}
