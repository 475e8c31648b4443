//! The SQL that makes and removes constraints and their indexes, and what is known to go wrong with their names.

use super::{Refused, TableFacts};
use crate::domain::{SqlIdentifier, TableName};
use crate::sql::{complaint, literal, readable, readable_table};

/// Adds a constraint; `definition` is all that stands behind its name.
pub fn add(table: &TableName, name: &SqlIdentifier, definition: &str) -> String {
    format!(
        "ALTER TABLE {} ADD CONSTRAINT {} {definition}",
        readable_table(table),
        readable(name)
    )
}

/// Makes a constraint of a unique index of the same name; `deferrable` is what may follow.
pub fn add_unique_by_index(table: &TableName, name: &SqlIdentifier, deferrable: &str) -> String {
    add(
        table,
        name,
        &format!("UNIQUE USING INDEX {}{deferrable}", readable(name)),
    )
}

/// Looks at the rows that were there before a constraint that is NOT VALID.
pub fn validate(table: &TableName, name: &SqlIdentifier) -> String {
    format!(
        "ALTER TABLE {} VALIDATE CONSTRAINT {}",
        readable_table(table),
        readable(name)
    )
}

/// Removes a constraint.
pub fn drop(table: &TableName, name: &SqlIdentifier) -> String {
    format!(
        "ALTER TABLE {} DROP CONSTRAINT {}",
        readable_table(table),
        readable(name)
    )
}

/// Removes a unique constraint, and its index where that stands alone since the constraint was never made of it.
pub fn drop_with_index(table: &TableName, name: &SqlIdentifier) -> Vec<String> {
    vec![
        format!(
            "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
            readable_table(table),
            readable(name)
        ),
        format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index(table, name)),
    ]
}

/// Says what a constraint is for.
pub fn comment(table: &TableName, name: &SqlIdentifier, text: &str) -> String {
    format!(
        "COMMENT ON CONSTRAINT {} ON {} IS {}",
        readable(name),
        readable_table(table),
        literal(text)
    )
}

/// An index for SQL: indexes live in the schema of their table.
pub fn index(table: &TableName, name: &SqlIdentifier) -> String {
    readable_table(&TableName {
        schema: table.schema.clone(),
        name: name.clone(),
    })
}

/// Names with commas between them.
pub fn list(names: &[SqlIdentifier]) -> String {
    names.iter().map(readable).collect::<Vec<_>>().join(", ")
}

/// Columns of which one is named twice.
pub fn twice(columns: &[SqlIdentifier]) -> Option<Refused> {
    let (_, column) = columns
        .iter()
        .enumerate()
        .find(|(place, column)| columns.iter().take(*place).any(|other| other == *column))?;
    Some(Refused {
        what: format!("column {column}"),
        why: "it is named twice".to_owned(),
    })
}

/// Why a constraint of the table cannot have this name.
pub fn name_in_use(facts: &TableFacts, name: &SqlIdentifier) -> Option<Refused> {
    let own = facts.constraints.iter().find(|one| one.name == *name);
    let (table, why) = match own {
        Some(one) if !one.validated && !one.definition.ends_with("NOT ENFORCED") => (
            &facts.table,
            "the name is in use, by one that is NOT VALID: validate that (ALTER TABLE … VALIDATE CONSTRAINT), drop it, \
             or choose another name",
        ),
        _ if facts.constraint_names.contains(name) => (
            &facts.table,
            "the name is in use; drop that one first, or choose another name",
        ),
        _ => (
            &facts.below.iter().find(|one| one.name == *name)?.table,
            "the constraint goes on to that table, where the name is in use; choose another",
        ),
    };
    Some(Refused {
        what: format!("constraint {name} of {table}"),
        why: why.to_owned(),
    })
}

/// Why an index of the table cannot have this name.
pub fn index_name_in_use(facts: &TableFacts, name: &SqlIdentifier) -> Option<Refused> {
    if !facts.relations.contains(name) {
        return None;
    }
    let is_leftover = facts.indexes.iter().any(|one| one.name == *name && !one.valid);
    Some(if is_leftover {
        Refused {
            what: format!("index {name}"),
            why: format!(
                "it is left of a build that failed; DROP INDEX CONCURRENTLY {} first",
                index(&facts.table, name)
            ),
        }
    } else {
        Refused {
            what: format!("relation {name}"),
            why: "a table, index, sequence or view of the schema has the name; choose another with --name"
                .to_owned(),
        }
    })
}

/// What to do where a partitioned table is to have a unique index, which no operation makes.
pub fn unique_of_partitioned(facts: &TableFacts) -> Refused {
    let table = readable_table(&facts.table);
    Refused {
        what: format!("partitioned table {}", facts.table),
        why: format!(
            "that its columns are unique is not planned yet; by hand, where they hold those of the partition key, and once no \
             code writes duplicates: CREATE UNIQUE INDEX … ON ONLY {table}, in each partition CREATE UNIQUE INDEX CONCURRENTLY, \
             and each of these by ALTER INDEX … ATTACH PARTITION"
        ),
    }
}

/// A query that fails where a condition holds for any row, and says so.
pub fn fail_if_any(table: &TableName, condition: &str, message: &str) -> String {
    let rows = format!("FROM {} WHERE {condition} LIMIT 1", readable_table(table));
    complaint(message, &rows)
}
