//! A new column that no running code stumbles over, and that is added at once whatever the table's size.
//!
//! Nullable, or with a default that is one value for all rows: add → use. Where rows need values of their own, or a value
//! each: add → write → fill → constrain → read. Code that writes it stands above the fill, so that no row is left behind,
//! and code that counts on it below.

use super::draft::{Draft, Fill, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::set_default::default_expression;
use super::{DefaultValue, Order, Patience, Recipe, Refused, TableFacts, TableKind, carry};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::{ChangeKind, SyncMode};
use crate::sql::{literal, readable, readable_table};

/// Names that PostgreSQL keeps for itself.
pub(super) const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The column.
    pub column: SqlIdentifier,
    /// Its default, an SQL expression.
    pub default: Option<String>,
    /// What the rows that are there get, an SQL expression over their other columns.
    pub fill: Option<String>,
    /// It is NOT NULL in the end.
    pub not_null: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// What the database says of the new column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewColumnFacts {
    /// Its type as `format_type` writes it.
    pub data_type: String,
    /// The type is a domain with constraints or a default.
    pub constrained_domain: bool,
    /// Whether its default is one value for all rows.
    pub default_value: DefaultValue,
    /// Publications of its table.
    pub publications: Vec<String>,
    /// Roles that have privileges on single columns of its table.
    pub column_grantees: Vec<String>,
}

/// The recipe for `shipctl plan add-column TABLE.COLUMN TYPE`.
///
/// # Errors
/// The column is there already; what stands in the way.
pub fn recipe(
    facts: &TableFacts,
    new: &NewColumnFacts,
    wish: &Wish,
    order: &Order,
) -> Result<Recipe, Problem> {
    let kind = ChangeKind::AddColumn;
    let full = facts.column_name(&wish.column);
    let known = facts.columns.iter().find(|column| column.name == wish.column);
    if known.is_some_and(|column| column.data_type == new.data_type) {
        return Err(already(format!(
            "{full} is there already, and is {}",
            new.data_type
        )));
    }
    refuse_unless_none(kind, &full.to_string(), &obstacles(facts, new, wish))?;

    let subject = Subject {
        kind,
        table: &facts.table,
        columns: std::slice::from_ref(&wish.column),
        name: None,
        title: format!("Add {}.{}", facts.table.name, wish.column),
    };
    let mut draft = Draft::new(&subject, order)?;
    let fill = fill(new, wish);
    let (table, column) = (readable_table(&facts.table), readable(&wish.column));
    draft.schema(SchemaPhase {
        id: "add",
        kind: "expand",
        title: format!("Add {}", wish.column),
        comments: &[
            "Statements that were prepared with SELECT * or RETURNING * fail once it is there (\"cached plan must not change",
            "result type\"), also behind poolers: name the columns there first, or be ready to prepare them again.",
        ],
        explanation: &["No row is rewritten or looked at, and running code may leave the column out."],
        up: Sql::each(add(&table, &column, new, wish, fill.is_some())),
        down: {
            let mut down = vec![Sql::Remark("What was written to the column is lost with it.")];
            down.extend(Sql::each([format!("ALTER TABLE {table} DROP COLUMN IF EXISTS {column}")]));
            down
        },
        patience: Patience::default(),
    });
    let Some(fill) = &fill else {
        let title = format!("Code uses {}", wish.column);
        let filled = [&full];
        let reads = if wish.not_null { &filled[..] } else { &[][..] };
        let comment = match (wish.not_null, &wish.default) {
            (true, _) => "Every row has a value by then.",
            (false, Some(_)) => {
                "Every row has a value by then; it may be NULL nevertheless, where code writes NULL."
            }
            (false, None) => "It bears NULL, which is what the rows that are there have.",
        };
        draft.code("use", &title, reads, &[&full], &[comment]);
        return Ok(draft.finish(remarks(facts, new, wish)));
    };
    draft.code(
        "write",
        &format!("Code gives {} a value", wish.column),
        &[],
        &[&full],
        &[
            "Every INSERT gives it a value and nothing sets it to NULL. It does not count on rows that are not filled yet.",
        ],
    );
    draft.backfill(
        "fill",
        &format!("Fill {} in the rows that are there, in batches", wish.column),
        &Fill::column(&full, fill, format!("{column} IS NOT NULL")),
        SyncMode::Code,
        &["Rows for which `verify` holds are left alone, so that it can be stopped and run again at any time."],
    );
    if wish.not_null {
        draft.schema(SchemaPhase {
            id: "constrain",
            kind: "expand",
            title: format!("{} is NOT NULL", wish.column),
            comments: &["Older code, which may leave it NULL, cannot come back from here on."],
            explanation: &["SET NOT NULL finds the validated check and does not scan the table."],
            up: Sql::each(carry::set_not_null(&facts.table, &wish.column)),
            down: Sql::each(carry::drop_not_null(&facts.table, &wish.column)),
            patience: Patience::default(),
        });
    }
    draft.code(
        "read",
        &format!("Code counts on {}", wish.column),
        &[&full],
        &[&full],
        &["Every row has a value by then."],
    );
    Ok(draft.finish(remarks(facts, new, wish)))
}

/// What the rows that are there are filled with: what was asked for, or a default that is another for each row.
fn fill(new: &NewColumnFacts, wish: &Wish) -> Option<String> {
    let each_its_own = wish
        .default
        .clone()
        .filter(|_| new.default_value == DefaultValue::Another);
    wish.fill.clone().or(each_its_own)
}

/// The statements that add it. A default in the same statement holds for the rows that are there, without touching them;
/// on its own it is for new rows only.
fn add(table: &str, column: &str, new: &NewColumnFacts, wish: &Wish, is_filled: bool) -> Vec<String> {
    let default = wish.default.as_deref().map(default_expression);
    let mut sql = format!("ALTER TABLE {table} ADD COLUMN {column} {}", new.data_type);
    let mut later = Vec::new();
    match default {
        Some(default) if is_filled => {
            later.push(format!(
                "ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default}"
            ));
        }
        Some(default) => {
            sql.push_str(&format!(" DEFAULT {default}"));
            if wish.not_null {
                sql.push_str(" NOT NULL");
            }
        }
        None => {}
    }
    let comment = wish
        .comment
        .as_ref()
        .map(|comment| format!("COMMENT ON COLUMN {table}.{column} IS {}", literal(comment)));
    [sql].into_iter().chain(later).chain(comment).collect()
}

fn remarks(facts: &TableFacts, new: &NewColumnFacts, wish: &Wish) -> Vec<String> {
    let mut remarks = vec![format!(
        "Statements on {} that were prepared with SELECT * or RETURNING * fail once the column is there (\"cached plan must \
         not change result type\").",
        facts.table.name
    )];
    if let (DefaultValue::Another, Some(default)) = (new.default_value, &wish.default) {
        remarks.push(format!(
            "The default ({default}) is another value for each row: to add the column with it would rewrite the table under an \
             exclusive lock. The rows that are there are filled in batches instead."
        ));
    }
    if !new.column_grantees.is_empty() {
        remarks.push(format!(
            "{}: privileges on single columns of {} do not go on to the new one. GRANT them after `add`, where they are needed.",
            new.column_grantees.join(", "),
            facts.table.name
        ));
    }
    if !new.publications.is_empty() {
        remarks.push(format!(
            "{} is published ({}): its subscribers need the column before it is added here.",
            facts.table.name,
            new.publications.join(", ")
        ));
    }
    remarks
}

fn obstacles(facts: &TableFacts, new: &NewColumnFacts, wish: &Wish) -> Vec<Refused> {
    let mut refused = facts.refused.clone();
    let mut refuse = |what: String, why: &str| {
        refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    if let Some(column) = facts.columns.iter().find(|column| column.name == wish.column) {
        refuse(
            format!("column {} of type {}", column.name, column.data_type),
            "a column of that name is there already; choose another name, or drop it first",
        );
    }
    if SYSTEM_COLUMNS.contains(&wish.column.as_str()) {
        refuse(
            format!("the name {}", wish.column),
            "PostgreSQL keeps it for itself; choose another",
        );
    }
    if facts.kind == TableKind::OfAFamily || facts.has_parent {
        refuse(
            format!("inheritance of {}", facts.table),
            "a column that goes on to children, or comes from a parent later, is added to all of them by hand",
        );
    }
    if new.constrained_domain {
        refuse(
            format!("domain {}", new.data_type),
            "adding a column of a domain with constraints or a default rewrites the table under an exclusive lock; add one of \
             the domain's base type, and the same as a check with `shipctl plan add-check`",
        );
    }
    if wish.not_null && wish.default.is_none() && wish.fill.is_none() {
        refuse(
            "NOT NULL without a default".to_owned(),
            "running code leaves the column out, and the rows that are there have no value; say with --fill what these get, or \
             with --default what all get",
        );
    }
    refused.extend(
        carry::not_null_check_taken(facts.constraint_names(), &wish.column).filter(|_| wish.not_null),
    );
    refused
}

/// What was typed as a type and is more than that, each with the way that there is.
pub fn more_than_a_type(text: &str) -> Vec<Refused> {
    // What is quoted is a name.
    let bare: String = text.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words: Vec<String> = bare
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .map(str::to_ascii_lowercase)
        .collect();
    let has = |names: &[&str]| words.iter().find(|word| names.contains(&word.as_str()));
    let mut refused = Vec::new();
    let mut refuse = |what: &str, why: &str| {
        refused.push(Refused {
            what: what.to_owned(),
            why: why.to_owned(),
        });
    };
    if let Some(word) = has(&[
        "serial",
        "serial2",
        "serial4",
        "serial8",
        "smallserial",
        "bigserial",
    ]) {
        refuse(
            word,
            "the values of a sequence rewrite the table under an exclusive lock; create the sequence, then add a bigint with \
             --default \"nextval('…')\", whose rows are filled in batches",
        );
    }
    if has(&["identity"]).is_some() {
        refuse(
            "an identity column",
            "its values rewrite the table under an exclusive lock; add a bigint with --not-null and --fill first, and make it \
             an identity by a migration of your own",
        );
    } else if has(&["generated"]).is_some() {
        refuse(
            "a generated column",
            "its values rewrite the table under an exclusive lock; add a plain column that code (or a trigger) writes, with \
             --fill",
        );
    }
    if let Some(word) = has(&[
        "check",
        "unique",
        "primary",
        "references",
        "constraint",
        "exclude",
    ]) {
        refuse(
            &format!("{word} in the type"),
            "it would scan the table under an exclusive lock; add the column alone and the constraint by a plan of its own",
        );
    }
    if has(&["null", "default"]).is_some() && has(&["generated"]).is_none() {
        refuse(
            "NULL or DEFAULT in the type",
            "say it with --not-null and --default",
        );
    }
    if has(&["collate"]).is_some() {
        refuse(
            "COLLATE in the type",
            "a collation cannot be given here yet; add the column by a migration of your own",
        );
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::more_than_a_type;

    #[test]
    fn what_is_more_than_a_type_is_named() {
        for plain in [
            "text",
            "varchar(20)",
            "timestamp with time zone",
            "\"check\"",
            "app.\"My Default\"[]",
        ] {
            assert!(more_than_a_type(plain).is_empty(), "{plain}");
        }
        for (text, what) in [
            ("BigSerial", "bigserial"),
            ("int GENERATED ALWAYS AS IDENTITY", "an identity column"),
            ("int GENERATED ALWAYS AS (a + 1) STORED", "a generated column"),
            ("int REFERENCES users", "references in the type"),
            ("int NOT NULL", "NULL or DEFAULT in the type"),
            ("text COLLATE \"C\"", "COLLATE in the type"),
        ] {
            assert_eq!(
                more_than_a_type(text).first().map(|one| one.what.as_str()),
                Some(what)
            );
        }
    }
}
