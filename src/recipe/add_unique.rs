//! A new unique constraint, without writers that wait for its index and without a write that it refuses.
//!
//! obey → constrain. The index is built while writers go on, and the constraint is made of it. The index refuses
//! duplicates from the middle of its build on, so code that writes some has to be gone before that begins.

use super::draft::{Draft, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{Order, Patience, Recipe, Refused, TableFacts, TableKind, constraint_sql, names};
use crate::domain::{ColumnName, Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{readable, readable_table};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The columns, in order.
    pub columns: Vec<SqlIdentifier>,
    /// The constraint's name, if it is not to be made of theirs.
    pub name: Option<SqlIdentifier>,
}

/// The recipe for `shipctl plan add-unique TABLE COLUMN…`.
///
/// # Errors
/// No such column; the columns are unique already; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let (table, columns) = (&facts.table, &wish.columns);
    for column in columns {
        facts.column(column)?;
    }
    let what = format!("{table} ({})", constraint_sql::list(columns));
    let unique = |index: &&super::IndexDefinition| index.keeps_unique(columns);
    if let Some(index) = facts.indexes.iter().find(unique) {
        return Err(already(format!("{what} is unique already, by {}", index.name)));
    }
    let is_taken =
        |name: &SqlIdentifier| facts.relations.contains(name) || facts.constraint_names.contains(name);
    let name = &wish
        .name
        .clone()
        .unwrap_or_else(|| names::chosen(&table.name, columns, "key", is_taken));
    refuse_unless_none(ChangeKind::AddUnique, &what, &obstacles(facts, name, wish))?;

    let subject = Subject {
        kind: ChangeKind::AddUnique,
        table,
        columns,
        name: Some(name),
        title: format!("Make {} of {} unique", constraint_sql::list(columns), table.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    let full: Vec<ColumnName> = columns.iter().map(|column| facts.column_name(column)).collect();
    draft.code(
        "obey",
        &format!("Code writes no duplicates of {}", constraint_sql::list(columns)),
        // What reads them lives with duplicates until the end.
        &[],
        &full.iter().collect::<Vec<_>>(),
        &[
            "No INSERT and no UPDATE makes a second row with the same values, and code is ready to be refused where two",
            "writers meet. ON CONFLICT with these columns does not work before `constrain`.",
        ],
    );
    constrain(&mut draft, facts, wish, name);
    Ok(draft.finish(remarks(facts, columns)))
}

fn obstacles(facts: &TableFacts, name: &SqlIdentifier, wish: &Wish) -> Vec<Refused> {
    let columns = &wish.columns;
    let mut refused = facts.refused.clone();
    match facts.kind {
        TableKind::Partitioned => refused.push(constraint_sql::unique_of_partitioned(facts)),
        _ => refused.extend(super::add_index::concurrently_refused(facts.server_version)),
    }
    refused.extend(constraint_sql::twice(columns));
    refused.extend(
        constraint_sql::index_name_in_use(facts, name)
            .or_else(|| constraint_sql::name_in_use(&without_below(facts), name)),
    );
    refused
}

/// The facts of the table alone: a unique constraint does not go on to tables that inherit.
fn without_below(facts: &TableFacts) -> TableFacts {
    TableFacts {
        below: Vec::new(),
        ..facts.clone()
    }
}

fn constrain(draft: &mut Draft, facts: &TableFacts, wish: &Wish, name: &SqlIdentifier) {
    let table = &facts.table;
    let built = format!(
        "CREATE UNIQUE INDEX CONCURRENTLY {} ON {} ({})",
        readable(name),
        readable_table(table),
        constraint_sql::list(&wish.columns)
    );
    draft.schema(SchemaPhase {
        id: "constrain",
        kind: "expand",
        title: format!("{name} keeps {} unique", constraint_sql::list(&wish.columns)),
        comments: &["Older code, whose writes may be refused, cannot come back from here on."],
        explanation: &[
            "The index is built while writers go on. Where rows are the same the build fails, names them, and leaves",
            "nothing behind. The constraint is made of the index in a moment.",
        ],
        up: Sql::each([built, constraint_sql::add_unique_by_index(table, name, "")]),
        down: [
            vec![Sql::Remark(
                "The constraint takes its index along; without the constraint the index may be there alone.",
            )],
            Sql::each(constraint_sql::drop_with_index(table, name)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        patience: Patience::default(),
    });
}

fn remarks(facts: &TableFacts, columns: &[SqlIdentifier]) -> Vec<String> {
    let list = constraint_sql::list(columns);
    let mut remarks = vec![format!(
        "Nothing puts rows right that are the same: `constrain` fails, and changes nothing, while there are any. To see \
         them: SELECT {list}, count(*) FROM {} GROUP BY {list} HAVING count(*) > 1;",
        readable_table(&facts.table),
    )];
    let nullable: Vec<String> = facts
        .columns
        .iter()
        .filter(|column| columns.contains(&column.name) && !column.not_null)
        .map(|column| column.name.to_string())
        .collect();
    if !nullable.is_empty() {
        remarks.push(format!(
            "{} may be NULL, and rows with NULL are never the same.",
            nullable.join(" and ")
        ));
    }
    if facts.kind == TableKind::OfAFamily {
        remarks.push(format!(
            "{} is one of several tables that inherit: only its own rows are kept unique among themselves.",
            facts.table
        ));
    }
    remarks
}
