//! Another default, which no row gets that was meant to have the old one.
//!
//! always-write → set-default. Code that leaves a column out means the default that it knows: object-relational mappers
//! leave out a value that equals it. So all code gives the value itself before the default changes under it.

use super::draft::{Draft, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{Order, Patience, Recipe, Refused, TableColumn, TableFacts};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{readable, readable_table};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The column.
    pub column: SqlIdentifier,
    /// The new default, an SQL expression.
    pub default: String,
    /// Running code that leaves the column out is to get the new default, and no code phase is needed.
    pub at_once: bool,
}

/// The recipe for `shipctl plan set-default TABLE.COLUMN EXPRESSION`.
///
/// # Errors
/// No such column; it has this default already; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::SetDefault;
    let column = facts.column(&wish.column)?;
    let full = facts.column_name(&column.name);
    let is_same = |old: &String| same_expression(old, wish.default.trim());
    if column.default.as_ref().is_some_and(is_same) && column.other_defaults.is_empty() {
        return Err(already(format!(
            "the default of {full} is {} already",
            wish.default
        )));
    }
    refuse_unless_none(kind, &full.to_string(), &obstacles(facts, column))?;

    let subject = Subject {
        kind,
        table: &facts.table,
        columns: std::slice::from_ref(&column.name),
        name: None,
        title: format!("Another default for {}.{}", facts.table.name, column.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    // An INSERT that leaves it out fails until now, unless it gets a value by other ways.
    let nobody_leaves_it_out = column.not_null && column.default.is_none() && !column.filled_by_others;
    let by_itself = nobody_leaves_it_out || wish.at_once;
    if !by_itself {
        draft.code(
            "always-write",
            &format!("Code gives {} itself in every INSERT", column.name),
            &[],
            &[&full],
            &[
                "Also where the value is the old default (or NULL): object-relational mappers leave such values out and would",
                "get the new default. Their models may name the new default once `set-default` is done.",
            ],
        );
    }
    let comment = if by_itself {
        "Code that leaves the column out gets the new default from here on."
    } else {
        "Older code, which may leave the column out and mean the old default, cannot come back from here on."
    };
    draft.schema(SchemaPhase {
        id: "set-default",
        kind: "expand",
        title: format!("{} has its new default", column.name),
        comments: &[comment],
        explanation: &[
            "It holds for new rows only; none is rewritten.",
            "The way back does restrict: do not undo it while code runs that counts on the new default.",
        ],
        up: Sql::each([alter(
            facts,
            column,
            &format!("SET DEFAULT {}", default_expression(&wish.default)),
        )]),
        down: Sql::each([old_default(facts, column)]),
        patience: Patience::default(),
    });
    let remarks = vec![format!(
        "Rows that are there keep their values. Code that counts on the new default of {} is deployed only after \
         `set-default`.",
        column.name
    )];
    Ok(draft.finish(remarks))
}

/// What keeps the default of a column from being changed, and from coming back as it was.
pub(super) fn obstacles(facts: &TableFacts, column: &TableColumn) -> Vec<Refused> {
    let mut refused = facts.refused.clone();
    let mut refuse = |what: String, why: &str| {
        refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    if column.identity {
        refuse(
            format!("identity of {}", column.name),
            "an identity column hands out its own values and has no default; run ALTER COLUMN … DROP IDENTITY first",
        );
    }
    if column.generated {
        refuse(
            format!("generated column {}", column.name),
            "its values are computed, so that it has no default",
        );
    }
    for child in &column.other_defaults {
        refuse(
            format!("default of {} in {child}", column.name),
            "it is another than in the parent, would be overwritten with it, and would not come back; make it the same first",
        );
    }
    refused
}

/// `ALTER TABLE … ALTER COLUMN … action`.
pub(super) fn alter(facts: &TableFacts, column: &TableColumn, action: &str) -> String {
    format!(
        "ALTER TABLE {} ALTER COLUMN {} {action}",
        readable_table(&facts.table),
        readable(&column.name)
    )
}

/// The statement that brings back the default which the column has now.
pub(super) fn old_default(facts: &TableFacts, column: &TableColumn) -> String {
    match &column.default {
        Some(default) => alter(facts, column, &format!("SET DEFAULT {default}")),
        None => alter(facts, column, "DROP DEFAULT"),
    }
}

/// A default expression for `DEFAULT`, in parentheses where what is around it could be taken for a part of it.
pub(super) fn default_expression(expression: &str) -> String {
    let expression = expression.trim();
    let is_text = expression.len() > 1
        && expression
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''))
            .is_some_and(|inside| !inside.contains(['\'', '\\']));
    let is_word = expression
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    let is_call = expression.strip_suffix("()").is_some_and(|name| {
        name.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    });
    if is_text || is_word || is_call {
        return expression.to_owned();
    }
    // A comment at its end must not swallow the parenthesis.
    let end = if expression.contains("--") { "\n" } else { "" };
    format!("({expression}{end})")
}

/// Whether PostgreSQL's text of a default is what was typed, but for the type that it adds to a constant.
fn same_expression(deparsed: &str, typed: &str) -> bool {
    let Some(rest) = deparsed.strip_prefix(typed) else {
        return false;
    };
    let cast = rest.strip_prefix("::");
    rest.is_empty()
        || cast.is_some_and(|name| {
            name.chars()
                .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | '"' | '[' | ']'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_known_again_and_stands_by_itself() {
        assert!(same_expression("'en'::text", "'en'"));
        assert!(same_expression("'en'::character varying", "'en'"));
        assert!(same_expression("0", "0"));
        assert!(!same_expression("10", "1"));
        for plain in ["'en'", "now()", "42", "app.next()"] {
            assert_eq!(default_expression(plain), plain);
        }
        assert_eq!(default_expression("-1"), "(-1)");
        assert_eq!(default_expression("'a' || 'b'"), "('a' || 'b')");
        assert_eq!(default_expression("1 -- one"), "(1 -- one\n)");
        assert!(!same_expression("'en'::text || 'x'::text", "'en'"));
    }
}
