//! The SQL that makes, copies and removes what a column carries: one statement a string, without the semicolon.

mod copies;

pub use copies::{check_as, check_for, foreign_key_as, foreign_key_for, index_as, index_for};

use super::names::LONGEST_NAME;
use super::{
    CheckFacts, ColumnFacts, ColumnGrant, Comparison, Deferrable, ForeignKeyFacts, IndexFacts, IndexKey,
    IndexedValue, Refused,
};
use crate::domain::{SqlIdentifier, TableName};
use crate::sql::{literal, readable, readable_table};

/// `ALTER TABLE t ADD COLUMN name type`, nullable and without a default, and all that hangs on the column alone.
pub fn add_column(facts: &ColumnFacts, name: &SqlIdentifier) -> Vec<String> {
    let table = readable_table(&facts.column.table);
    let column = readable(name);
    let alter = |action: String| format!("ALTER TABLE {table} ALTER COLUMN {column} {action}");

    let collation = facts
        .collation
        .as_ref()
        .map(|collation| format!(" COLLATE {collation}"))
        .unwrap_or_default();
    let mut statements = vec![format!(
        "ALTER TABLE {table} ADD COLUMN {column} {}{collation}",
        facts.data_type
    )];
    // On its own, so that it holds for new rows only and rewrites none.
    statements.extend(set_default(facts, name));
    statements.extend(set_storage(facts, name));
    statements.extend(
        facts
            .statistics
            .iter()
            .map(|target| alter(format!("SET STATISTICS {target}"))),
    );
    if !facts.options.is_empty() {
        statements.push(alter(format!("SET ({})", options(&facts.options))));
    }
    statements.extend(
        facts
            .comment
            .iter()
            .map(|comment| format!("COMMENT ON COLUMN {table}.{column} IS {}", literal(comment))),
    );
    statements.extend(
        facts
            .grants
            .iter()
            .map(|grant| grant_column(&table, &column, grant)),
    );
    statements
}

/// Gives a column the storage and the compression that are not those of its type.
pub fn set_storage(facts: &ColumnFacts, name: &SqlIdentifier) -> Vec<String> {
    let (table, column) = (readable_table(&facts.column.table), readable(name));
    let storage = facts
        .storage
        .iter()
        .map(|storage| format!("SET STORAGE {storage}"));
    let compression = facts
        .compression
        .iter()
        .map(|method| format!("SET COMPRESSION {method}"));
    storage
        .chain(compression)
        .map(|action| format!("ALTER TABLE {table} ALTER COLUMN {column} {action}"))
        .collect()
}

/// Gives a column the default, where there is one.
pub fn set_default(facts: &ColumnFacts, name: &SqlIdentifier) -> Option<String> {
    let table = readable_table(&facts.column.table);
    facts.default.as_ref().map(|default| {
        format!(
            "ALTER TABLE {table} ALTER COLUMN {} SET DEFAULT {default}",
            readable(name)
        )
    })
}

/// Takes a column's default away.
pub fn drop_default(facts: &ColumnFacts, name: &SqlIdentifier) -> String {
    format!(
        "ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT",
        readable_table(&facts.column.table),
        readable(name)
    )
}

fn grant_column(table: &str, column: &str, grant: &ColumnGrant) -> String {
    let ColumnGrant {
        grantee,
        privilege,
        grantable,
    } = grant;
    let grantee = grantee.as_ref().map_or_else(|| "PUBLIC".to_owned(), readable);
    let option = if *grantable { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {privilege} ({column}) ON {table} TO {grantee}{option}")
}

/// Makes NOT NULL of a column without a long lock: a check that is validated while writers go on, and that saves
/// SET NOT NULL its scan.
pub fn set_not_null(table: &TableName, name: &SqlIdentifier) -> Vec<String> {
    let table = readable_table(table);
    let column = readable(name);
    let check = readable(&not_null_check(name));
    vec![
        format!("ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID"),
        format!("ALTER TABLE {table} VALIDATE CONSTRAINT {check}"),
        format!("ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL"),
        format!("ALTER TABLE {table} DROP CONSTRAINT {check}"),
    ]
}

/// Takes back [`set_not_null`], wherever it stopped.
pub fn drop_not_null(table: &TableName, name: &SqlIdentifier) -> Vec<String> {
    let table = readable_table(table);
    vec![
        format!(
            "ALTER TABLE {table} ALTER COLUMN {} DROP NOT NULL",
            readable(name)
        ),
        format!(
            "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {}",
            readable(&not_null_check(name))
        ),
    ]
}

/// A constraint of the user's own that has the name of the check which [`set_not_null`] makes and drops.
pub fn not_null_check_taken<'a>(
    mut names: impl Iterator<Item = &'a SqlIdentifier>,
    name: &SqlIdentifier,
) -> Option<Refused> {
    let check = not_null_check(name);
    let taken = names.any(|one| *one == check);
    taken.then(|| Refused {
        what: format!("constraint {check}"),
        why: format!(
            "the check that saves making {name} NOT NULL its scan would have that name; rename it first"
        ),
    })
}

fn not_null_check(name: &SqlIdentifier) -> SqlIdentifier {
    interim(name, "_is_set")
}

/// A name made of another and a suffix, within PostgreSQL's limit.
pub fn interim(name: &SqlIdentifier, suffix: &str) -> SqlIdentifier {
    let room = LONGEST_NAME - suffix.len();
    if name.as_str().len() <= room {
        return SqlIdentifier::from_catalog(format!("{}{suffix}", name.as_str()));
    }
    let digest = crate::domain::Digest::of(name.as_str());
    let mark: String = digest.as_str().chars().take(6).collect();
    let mut end = room - mark.len() - 1;
    while !name.as_str().is_char_boundary(end) {
        end -= 1;
    }
    let start = name.as_str().get(..end).unwrap_or_default();
    SqlIdentifier::from_catalog(format!("{start}_{mark}{suffix}"))
}

/// Adds a check constraint: not valid first, validated after.
pub fn add_check(facts: &ColumnFacts, check: &CheckFacts) -> Vec<String> {
    let table = readable_table(&facts.column.table);
    let name = readable(&check.name);
    let inherit = if check.no_inherit { " NO INHERIT" } else { "" };
    let mut statements = vec![format!(
        "ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({}){inherit} NOT VALID",
        check.expression
    )];
    if check.validated {
        statements.push(format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}"));
    }
    statements.extend(comment_on_constraint(&table, &name, check.comment.as_deref()));
    statements
}

/// Adds a foreign key: not valid first, validated after.
pub fn add_foreign_key(facts: &ColumnFacts, key: &ForeignKeyFacts) -> Vec<String> {
    add_foreign_key_to(&facts.column.table, key)
}

/// The same for a table.
pub fn add_foreign_key_to(table: &TableName, key: &ForeignKeyFacts) -> Vec<String> {
    let table = readable_table(table);
    let name = readable(&key.name);
    let mut sql = format!(
        "ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({}) REFERENCES {} ({})",
        list(&key.columns),
        readable_table(&key.target),
        list(&key.target_columns)
    );
    if key.match_full {
        sql.push_str(" MATCH FULL");
    }
    for (event, action) in [("UPDATE", &key.on_update), ("DELETE", &key.on_delete)] {
        if let Some(action) = action {
            sql.push_str(&format!(" ON {event} {action}"));
        }
    }
    sql.push_str(deferrable(key.deferrable));
    sql.push_str(" NOT VALID");
    let mut statements = vec![sql];
    if key.validated {
        statements.push(format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}"));
    }
    statements.extend(comment_on_constraint(&table, &name, key.comment.as_deref()));
    statements
}

/// Builds an index without stopping writers, and the unique constraint on top of it where it has one.
pub fn add_index(facts: &ColumnFacts, index: &IndexFacts) -> Vec<String> {
    let table = readable_table(&facts.column.table);
    let name = readable(&index.name);
    let unique = if index.unique { "UNIQUE " } else { "" };
    let keys: Vec<String> = index.keys.iter().map(index_key).collect();
    let mut sql = format!(
        "CREATE {unique}INDEX CONCURRENTLY {name} ON {table} USING {} ({})",
        readable(&index.method),
        keys.join(", ")
    );
    if !index.include.is_empty() {
        sql.push_str(&format!(" INCLUDE ({})", list(&index.include)));
    }
    if index.nulls_not_distinct {
        sql.push_str(" NULLS NOT DISTINCT");
    }
    if !index.options.is_empty() {
        sql.push_str(&format!(" WITH ({})", options(&index.options)));
    }
    if let Some(tablespace) = &index.tablespace {
        sql.push_str(&format!(" TABLESPACE {}", readable(tablespace)));
    }
    if let Some(predicate) = &index.predicate {
        sql.push_str(&format!(" WHERE ({predicate})"));
    }
    let mut statements = vec![sql];
    let qualified = index_name(facts, &index.name);
    if let Some(constraint) = &index.constraint {
        statements.push(format!(
            "ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}{}",
            deferrable(constraint.deferrable)
        ));
        statements.extend(comment_on_constraint(
            &table,
            &name,
            constraint.comment.as_deref(),
        ));
    }
    statements.extend(
        index
            .comment
            .iter()
            .map(|comment| format!("COMMENT ON INDEX {qualified} IS {}", literal(comment))),
    );
    statements.extend(index.statistics.iter().map(|(number, target)| {
        format!("ALTER INDEX {qualified} ALTER COLUMN {number} SET STATISTICS {target}")
    }));
    statements
}

/// Removes an index, or the constraint that it serves.
pub fn drop_index(facts: &ColumnFacts, index: &IndexFacts, if_exists: bool) -> Vec<String> {
    let exists = if if_exists { "IF EXISTS " } else { "" };
    let concurrently = format!(
        "DROP INDEX CONCURRENTLY {exists}{}",
        index_name(facts, &index.name)
    );
    match (&index.constraint, if_exists) {
        (None, _) => vec![concurrently],
        (Some(_), false) => vec![drop_constraint(facts, &index.name, false)],
        // The constraint takes its index along; without the constraint the index may be there alone.
        (Some(_), true) => vec![drop_constraint(facts, &index.name, true), concurrently],
    }
}

/// Removes a constraint.
pub fn drop_constraint(facts: &ColumnFacts, name: &SqlIdentifier, if_exists: bool) -> String {
    let exists = if if_exists { "IF EXISTS " } else { "" };
    format!(
        "ALTER TABLE {} DROP CONSTRAINT {exists}{}",
        readable_table(&facts.column.table),
        readable(name)
    )
}

/// Gives a constraint another name.
pub fn rename_constraint(facts: &ColumnFacts, from: &SqlIdentifier, to: &SqlIdentifier) -> String {
    format!(
        "ALTER TABLE {} RENAME CONSTRAINT {} TO {}",
        readable_table(&facts.column.table),
        readable(from),
        readable(to)
    )
}

/// Gives an index (with the constraint that it serves) another name.
pub fn rename_index(
    facts: &ColumnFacts,
    index: &IndexFacts,
    from: &SqlIdentifier,
    to: &SqlIdentifier,
) -> String {
    if index.constraint.is_some() {
        return rename_constraint(facts, from, to);
    }
    format!(
        "ALTER INDEX {} RENAME TO {}",
        index_name(facts, from),
        readable(to)
    )
}

/// Marks the index on which the table was clustered.
pub fn cluster_on(facts: &ColumnFacts, name: &SqlIdentifier) -> String {
    format!(
        "ALTER TABLE {} CLUSTER ON {}",
        readable_table(&facts.column.table),
        readable(name)
    )
}

/// A condition that is true where both columns hold the same.
pub fn same(comparison: Comparison, one: &SqlIdentifier, other: &SqlIdentifier) -> String {
    same_values(comparison, &readable(one), &readable(other))
}

/// A condition that is true where two values of one type are the same.
pub fn same_values(comparison: Comparison, one: &str, other: &str) -> String {
    match comparison {
        Comparison::Equality => format!("{one} IS NOT DISTINCT FROM {other}"),
        Comparison::Text => format!("({one})::text IS NOT DISTINCT FROM ({other})::text"),
        Comparison::Bytes => {
            format!("({one})::text COLLATE \"C\" IS NOT DISTINCT FROM ({other})::text COLLATE \"C\"")
        }
    }
}

fn index_key(key: &IndexKey) -> String {
    let mut sql = match &key.what {
        IndexedValue::Column(column) => readable(column),
        IndexedValue::Expression(text) => text.clone(),
    };
    if let Some(collation) = &key.collation {
        sql.push_str(&format!(" COLLATE {collation}"));
    }
    if let Some(class) = &key.operator_class {
        sql.push_str(&format!(" {class}"));
    }
    if key.descending {
        sql.push_str(" DESC");
    }
    match key.nulls_first {
        Some(true) => sql.push_str(" NULLS FIRST"),
        Some(false) => sql.push_str(" NULLS LAST"),
        None => {}
    }
    sql
}

/// An index's name for SQL: indexes live in the schema of their table.
fn index_name(facts: &ColumnFacts, name: &SqlIdentifier) -> String {
    match &facts.column.table.schema {
        Some(schema) => format!("{}.{}", readable(schema), readable(name)),
        None => readable(name),
    }
}

fn comment_on_constraint(table: &str, name: &str, comment: Option<&str>) -> Option<String> {
    comment.map(|comment| format!("COMMENT ON CONSTRAINT {name} ON {table} IS {}", literal(comment)))
}

fn deferrable(deferrable: Deferrable) -> &'static str {
    match deferrable {
        Deferrable::No => "",
        Deferrable::Immediate => " DEFERRABLE",
        Deferrable::Deferred => " DEFERRABLE INITIALLY DEFERRED",
    }
}

fn list(names: &[SqlIdentifier]) -> String {
    names.iter().map(readable).collect::<Vec<_>>().join(", ")
}

fn options(options: &[(String, String)]) -> String {
    options
        .iter()
        .map(|(name, value)| {
            format!(
                "{} = {}",
                readable(&SqlIdentifier::from_catalog(name.clone())),
                literal(value)
            )
        })
        .collect::<Vec<_>>()
        .join(", ")
}
