//! A new check constraint, without a scan under an exclusive lock and without a write that it refuses.
//!
//! obey → fill → constrain. Code that writes what the check will refuse has to be gone before it is there, also before it
//! is valid: a check that is NOT VALID refuses new rows, and every UPDATE of an old row that violates it, whatever the
//! UPDATE changes. So it is not added before the rows that are there obey.

use super::draft::{Draft, Fill, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{ConstraintType, Order, Patience, Recipe, Refused, TableColumn, TableFacts, constraint_sql};
use crate::domain::{ColumnName, Problem, SqlIdentifier};
use crate::plan::{ChangeKind, SyncMode};
use crate::sql::columns_read;

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The check's name.
    pub name: SqlIdentifier,
    /// What must not be false of any row; the database has understood it.
    pub expression: String,
    /// The column that rows which violate it get another value in, and the value; `None` where there are none.
    pub fill: Option<(SqlIdentifier, String)>,
}

/// The recipe for `shipctl plan add-check TABLE NAME EXPRESSION`.
///
/// # Errors
/// It is there already; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let (name, columns) = (&wish.name, read(facts, &wish.expression));
    let expression = closed(&wish.expression);
    let definition = format!("CHECK ({expression})");
    let same = facts.constraints.iter().find(|one| {
        one.kind == ConstraintType::Check
            && one.validated
            && [definition.clone(), format!("CHECK (({expression}))")].contains(&one.definition)
    });
    if let Some(same) = same {
        let message = format!("{} has this check already: {}", facts.table, same.name);
        return Err(already(message));
    }
    let mut refused = facts.refused.clone();
    refused.extend(constraint_sql::name_in_use(facts, name));
    if let Some((fill, _)) = &wish.fill {
        refused.extend(no_fill(facts.column(fill)?, &columns));
    }
    refuse_unless_none(ChangeKind::AddCheck, &format!("{} {name}", facts.table), &refused)?;

    let subject = Subject {
        kind: ChangeKind::AddCheck,
        table: &facts.table,
        columns: &columns.iter().map(|one| one.name.clone()).collect::<Vec<_>>(),
        name: Some(name),
        title: format!("Check {name} of {}", facts.table.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    obey(&mut draft, facts, name, &columns);
    if let Some((fill, value)) = &wish.fill {
        draft.backfill(
            "fill",
            &format!("Set {fill} anew in rows that violate {name}, in batches"),
            &Fill::column(
                &facts.column_name(fill),
                value,
                // As in a check, NULL is no violation.
                format!("({expression}) IS NOT FALSE"),
            ),
            SyncMode::Code,
            &[
                "What it overwrites is lost from here on: undoing the plan does not bring it back.",
                "Rows for which `verify` holds are left alone, so that it can be stopped and run again at any time.",
            ],
        );
    }
    constrain(&mut draft, facts, wish, &expression);
    let mut remarks = Vec::new();
    if let Some((fill, _)) = &wish.fill {
        remarks.push(format!(
            "`fill` overwrites {fill} in rows that violate {name}, and undoing the plan does not bring back what was there. \
             Keep a copy if it may be needed."
        ));
    } else {
        remarks.push(format!(
            "Nothing puts rows right that violate {name}: `constrain` fails, and changes nothing, while there are any. \
             With --fill 'COLUMN = EXPRESSION' a backfill sets a column in them first.",
        ));
    }
    Ok(draft.finish(remarks))
}

/// The columns that the check is about. A name of the table itself stands for the whole row.
fn read<'f>(facts: &'f TableFacts, expression: &str) -> Vec<&'f TableColumn> {
    let (named, _) = columns_read(expression, &facts.table);
    let whole = named.contains(&facts.table.name) && facts.column(&facts.table.name).is_err();
    facts
        .columns
        .iter()
        .filter(|column| whole || named.contains(&column.name))
        .collect()
}

/// An expression after which a parenthesis can stand: not inside a comment.
fn closed(expression: &str) -> String {
    let line_end = if expression.contains("--") { "\n" } else { "" };
    format!("{}{line_end}", expression.trim())
}

fn no_fill(column: &TableColumn, columns: &[&TableColumn]) -> Option<Refused> {
    let name = &column.name;
    let (what, why) = if column.generated {
        (
            format!("generated column {name}"),
            "its values are computed, so that no fill can set them; set what it is computed from",
        )
    } else if columns.iter().all(|one| one.name != *name) {
        (
            format!("--fill of {name}"),
            "the check does not look at this column, so that rows would violate it still",
        )
    } else {
        return None;
    };
    Some(Refused {
        what,
        why: why.to_owned(),
    })
}

/// What code writes that gives these columns their values.
pub(super) fn written(facts: &TableFacts, columns: &[&TableColumn]) -> Vec<ColumnName> {
    let mut written: Vec<ColumnName> = Vec::new();
    for column in columns {
        // What is computed gets its value from what it is computed of.
        let default = column.default.as_deref().filter(|_| column.generated);
        let (sources, _) = columns_read(default.unwrap_or_default(), &facts.table);
        let all = facts
            .columns
            .iter()
            .filter(|one| one.name == column.name || sources.contains(&one.name));
        written.extend(all.map(|one| facts.column_name(&one.name)));
    }
    written.sort();
    written.dedup();
    written
}

fn obey(draft: &mut Draft, facts: &TableFacts, name: &SqlIdentifier, columns: &[&TableColumn]) {
    let written = written(facts, columns);
    draft.code(
        "obey",
        &format!("Code writes nothing that {name} refuses"),
        // It lives with rows of both kinds.
        &[],
        &written.iter().collect::<Vec<_>>(),
        &[
            "After every INSERT and UPDATE, the check is true of the row, or NULL. Where a default does not obey,",
            "every INSERT gives a value.",
        ],
    );
}

fn constrain(draft: &mut Draft, facts: &TableFacts, wish: &Wish, expression: &str) {
    let (table, name) = (&facts.table, &wish.name);
    let mut up = Vec::new();
    if wish.fill.is_none() {
        up.push(Sql::Remark(
            "Fails while rows violate it, before anything is refused.",
        ));
        up.push(Sql::Statement(constraint_sql::fail_if_any(
            table,
            &format!("NOT ({expression})"),
            &format!("{table} holds rows that violate {name}"),
        )));
    }
    up.push(Sql::Statement(constraint_sql::add(
        table,
        name,
        &format!("CHECK ({expression}) NOT VALID"),
    )));
    up.push(Sql::Statement(constraint_sql::validate(table, name)));
    draft.schema(SchemaPhase {
        id: "constrain",
        kind: "expand",
        title: format!("{name} is checked"),
        comments: &["Older code, whose writes may be refused, cannot come back from here on."],
        explanation: &[
            "NOT VALID takes its lock for a moment only; VALIDATE reads the rows while writers go on.",
            "From NOT VALID on, an UPDATE of a row that violates the check fails, whatever it changes.",
        ],
        up,
        down: vec![Sql::Statement(constraint_sql::drop(table, name))],
        patience: Patience::default(),
    });
}
