//! A column that goes, after the code that used it, together with everything that hangs on it alone.
//!
//! ignore → drop. Where an INSERT without the column would be refused, or would leave what readers cannot bear:
//! stop-reading → relax → ignore → drop. NOT NULL, checks and the like hold until nobody reads the column, and go before
//! code leaves it out; so does a default that would be twice the same in a unique index. Indexes and constraints go one by
//! one before the column, so that each lock is short.

use super::draft::{Draft, Fill, SchemaPhase, Sql, Subject, refuse_unless_none};
use super::set_default::default_expression;
use super::{
    CheckFacts, ColumnFacts, DefaultValue, Dependent, ForeignKeyFacts, IndexFacts, IndexedValue, Order,
    Patience, Recipe, Refused, carry, dependents,
};
use crate::domain::{Problem, SqlIdentifier, TableName};
use crate::plan::ChangeKind;
use crate::sql::{readable, readable_table};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What rows get that have no value when the plan is undone.
    pub fill: Option<String>,
    /// What may go along though other columns have a part in it, or though it is no part of the table.
    pub dependents: Vec<TableName>,
    /// What has to be waited for before the column goes.
    pub patience: Patience,
    /// The names of all constraints of the table.
    pub constraint_names: Vec<SqlIdentifier>,
    /// The server's version, as `server_version_num`.
    pub server_version: u32,
}

/// What goes before code leaves the column out, or with the column.
struct Going<'a> {
    facts: &'a ColumnFacts,
    default: bool,
    not_null: bool,
    checks: Vec<&'a CheckFacts>,
    foreign_keys: Vec<&'a ForeignKeyFacts>,
    indexes: Vec<&'a IndexFacts>,
}

impl Going<'_> {
    fn is_anything(&self) -> bool {
        self.default
            || self.not_null
            || !self.checks.is_empty()
            || !self.foreign_keys.is_empty()
            || !self.indexes.is_empty()
    }
}

/// The recipe for `shipctl plan drop-column TABLE.COLUMN`.
///
/// # Errors
/// What stands in the way.
pub fn recipe(facts: &ColumnFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::DropColumn;
    let full = &facts.column;
    let name = &full.column;
    refuse_unless_none(kind, &full.to_string(), &obstacles(facts, wish))?;

    let subject = Subject {
        kind,
        table: &full.table,
        columns: std::slice::from_ref(name),
        name: None,
        title: format!("Drop {}.{name}", full.table.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    let (before, with) = split(facts, wish);
    let is_held = before.is_anything();
    if is_held {
        draft.code(
            "stop-reading",
            &format!("Nothing reads {name}"),
            &[],
            &[full],
            &[
                "It still gives the column a value wherever it did. No SELECT * and no RETURNING *: prepared statements with",
                "them fail once the column is gone.",
            ],
        );
        draft.schema(SchemaPhase {
            id: "relax",
            kind: "expand",
            title: format!("{name} may be left out"),
            comments: &["Older code, which reads what this guarded, cannot come back from here on."],
            explanation: &[
                "What would refuse a row without the column goes before code leaves it out. Nobody reads it by now.",
                "The way back does restrict: it fails, and changes nothing more, while rows do not obey it.",
            ],
            up: relax(&before),
            down: bring_back(&before),
            patience: Patience::default(),
        });
    }
    draft.code(
        "ignore",
        &format!("Nothing uses {name}"),
        &[],
        &[],
        &["It neither reads nor writes the column: no SELECT *, no RETURNING *, no INSERT without a list of columns. Jobs,",
          "reports and functions of the database count as well."],
    );
    let is_filled = format!("{} IS NOT NULL", readable(name));
    let restored = wish.fill.clone().or_else(|| {
        // What was NOT NULL can only be so again once every row has a value.
        let is_unique = facts.indexes.iter().any(|index| index.unique);
        facts.default.clone().filter(|_| before.not_null && !is_unique)
    });
    let why = "The way back: rows without a value get this one. What they held is gone.";
    if let (true, Some(expression)) = (is_held, &restored) {
        draft.restore(why, &Fill::column(full, expression, is_filled.clone()));
    }
    draft.schema(drop_phase(&before, &with, wish));
    if let (false, Some(expression)) = (is_held, &restored) {
        draft.restore(why, &Fill::column(full, expression, is_filled.clone()));
    }
    Ok(draft.finish(remarks(&before, is_held && restored.is_none())))
}

fn drop_phase(before: &Going<'_>, with: &Going<'_>, wish: &Wish) -> SchemaPhase<'static> {
    let facts = with.facts;
    let name = &facts.column.column;
    let (going, _) = let_go(facts, wish);
    let mut up = Sql::each(going.iter().map(|dependent| dependent.drop.clone()));
    up.extend(take_away(with));
    up.push(Sql::Statement(format!(
        "ALTER TABLE {} DROP COLUMN {}",
        readable_table(&facts.column.table),
        readable(name)
    )));
    let mut down = vec![Sql::Remark(
        "The column comes back with all that hung on it, but not with its values: these are lost.",
    )];
    down.extend(Sql::each(add_column(before)));
    down.extend(bring_back(with));
    down.extend(Sql::each(
        going.iter().flat_map(|dependent| dependent.make.clone()),
    ));
    SchemaPhase {
        id: "drop",
        kind: "contract",
        title: format!("Drop {name}"),
        comments: &["The values are lost from here on: the way back brings an empty column."],
        explanation: &[
            "What hangs on the column goes first, one by one: each lock is short, and indexes take none.",
        ],
        up,
        down,
        patience: wish.patience.clone(),
    }
}

/// Adds the column as it was when it went. NOT NULL comes with the default, in one statement that touches no row.
fn add_column(before: &Going<'_>) -> Vec<String> {
    let facts = before.facts;
    let name = &facts.column.column;
    let is_strict = facts.not_null && !before.not_null;
    let mut statements = carry::add_column(facts, name);
    if is_strict || before.default {
        let on_its_own = carry::set_default(facts, name);
        statements.retain(|statement| Some(statement) != on_its_own.as_ref());
    }
    if let (true, Some(default), Some(add)) = (is_strict, &facts.default, statements.first_mut()) {
        add.push_str(&format!(" DEFAULT {} NOT NULL", default_expression(default)));
    }
    statements
}

/// What goes before code leaves the column out, and what goes with the column.
fn split<'a>(facts: &'a ColumnFacts, wish: &Wish) -> (Going<'a>, Going<'a>) {
    let has_default = facts.default.is_some();
    // A default can violate what NULL cannot: twice the same value, one that refers to nothing.
    let frees_default = has_default
        && (facts.indexes.iter().any(|index| index.unique)
            || !facts.foreign_keys.is_empty()
            || !facts.refuse_default.is_empty());
    let becomes_null = !has_default || frees_default;
    // A NULL among the keys is like no other; one that an expression or a condition looks at may be.
    let is_key = |index: &IndexFacts| {
        index
            .keys
            .iter()
            .any(|key| key.what == IndexedValue::Column(facts.column.column.clone()))
    };
    let is_strict_index =
        |index: &&IndexFacts| becomes_null && index.unique && (index.nulls_not_distinct || !is_key(index));
    let is_strict_key = |key: &&ForeignKeyFacts| becomes_null && key.match_full && key.columns.len() > 1;
    let is_strict_check = |check: &&CheckFacts| becomes_null && facts.refuse_null.contains(&check.name);
    let (strict_checks, checks): (Vec<_>, Vec<_>) = facts.checks.iter().partition(is_strict_check);
    let (strict_keys, foreign_keys): (Vec<_>, Vec<_>) = facts.foreign_keys.iter().partition(is_strict_key);
    let (strict_indexes, indexes): (Vec<_>, Vec<_>) = facts.indexes.iter().partition(is_strict_index);
    let mut before = Going {
        facts,
        default: frees_default,
        not_null: false,
        checks: strict_checks,
        foreign_keys: strict_keys,
        indexes: strict_indexes,
    };
    // Where a default is one value for all rows, NOT NULL comes back with the column and finds it everywhere.
    let comes_back = !becomes_null && facts.default_value != DefaultValue::Another && wish.fill.is_none();
    before.not_null = facts.not_null && (before.is_anything() || !comes_back);
    let with = Going {
        facts,
        // They go with the column, and come with it.
        default: false,
        not_null: false,
        checks,
        foreign_keys,
        indexes,
    };
    (before, with)
}

/// Takes away what would refuse a row without the column.
fn relax(before: &Going<'_>) -> Vec<Sql> {
    let mut sql = take_away(before);
    if !before.not_null {
        let facts = before.facts;
        sql.push(Sql::Remark(
            "It may be NULL already; this line tells `shipctl check` so.",
        ));
        sql.extend(Sql::each(
            carry::drop_not_null(&facts.column.table, &facts.column.column)
                .into_iter()
                .take(1),
        ));
    }
    sql
}

/// Takes it away, one by one.
fn take_away(going: &Going<'_>) -> Vec<Sql> {
    let facts = going.facts;
    let mut statements = Vec::new();
    for key in &going.foreign_keys {
        statements.push(carry::drop_constraint(facts, &key.name, false));
    }
    for check in &going.checks {
        statements.push(carry::drop_constraint(facts, &check.name, false));
    }
    for index in &going.indexes {
        statements.extend(carry::drop_index(facts, index, false));
    }
    if going.not_null {
        statements.extend(
            carry::drop_not_null(&facts.column.table, &facts.column.column)
                .into_iter()
                .take(1),
        );
    }
    // After NOT NULL, so that code which leaves it out meets one or the other.
    if going.default {
        statements.push(carry::drop_default(facts, &facts.column.column));
    }
    Sql::each(statements)
}

/// Brings back what was taken away, in the opposite order.
fn bring_back(going: &Going<'_>) -> Vec<Sql> {
    let facts = going.facts;
    let mut statements = Vec::new();
    for index in &going.indexes {
        statements.extend(carry::add_index(facts, index));
        if index.clustered {
            statements.push(carry::cluster_on(facts, &index.name));
        }
    }
    for check in &going.checks {
        statements.extend(carry::add_check(facts, check));
    }
    for key in &going.foreign_keys {
        statements.extend(carry::add_foreign_key(facts, key));
    }
    if going.default {
        statements.extend(carry::set_default(facts, &facts.column.column));
    }
    if going.not_null {
        statements.extend(carry::set_not_null(&facts.column.table, &facts.column.column));
    }
    Sql::each(statements)
}

fn remarks(before: &Going<'_>, cannot_restore: bool) -> Vec<String> {
    let facts = before.facts;
    let name = &facts.column.column;
    let mut remarks = vec![format!(
        "`drop` loses the values of {name}: undone, the column comes back with all that hung on it, but empty (or with its \
         default). Keep a copy if they may be needed."
    )];
    if cannot_restore {
        remarks.push(format!(
            "Once `ignore` ran, `relax` cannot be undone, since new rows have no value for {name}. With --fill EXPRESSION a \
             rollback gives them one first."
        ));
    }
    remarks.extend(facts.remarks.iter().cloned());
    remarks
}

/// What depends on the column and may go, and what else stands in the way.
fn let_go<'a>(facts: &'a ColumnFacts, wish: &Wish) -> (Vec<&'a Dependent>, Vec<Refused>) {
    let shared: Vec<SqlIdentifier> = facts.shared.iter().map(|(name, _)| name.clone()).collect();
    let table = &facts.column.table;
    dependents::let_go(
        &facts.dependents,
        &facts.refused,
        &wish.dependents,
        table,
        &shared,
    )
}

fn obstacles(facts: &ColumnFacts, wish: &Wish) -> Vec<Refused> {
    let (_, mut refused) = let_go(facts, wish);
    for (name, others) in &facts.shared {
        let what = if facts.indexes.iter().any(|one| one.name == *name) {
            "index"
        } else if facts.checks.iter().any(|one| one.name == *name) {
            "check constraint"
        } else if facts.foreign_keys.iter().any(|one| one.name == *name) {
            "foreign key"
        } else {
            // It is refused for other reasons, or is an index that was never finished.
            continue;
        };
        let schema = facts.column.table.schema.as_ref();
        if !wish
            .dependents
            .iter()
            .any(|given| dependents::is_called(given, schema, name))
        {
            let others: Vec<String> = others.iter().map(SqlIdentifier::to_string).collect();
            refused.push(Refused {
                what: format!("{what} {name}"),
                why: format!(
                    "it is also about {} and would silently go with the column; make one without the column if it is needed, and \
                     let this one go with --drop-dependent '{name}'",
                    others.join(", ")
                ),
            });
        }
    }
    if !facts.indexes.is_empty() && (140_000..140_004).contains(&wish.server_version) {
        refused.push(Refused {
            what: "PostgreSQL 14.0 to 14.3".to_owned(),
            why: "its CREATE INDEX CONCURRENTLY, which the way back needs, can leave a corrupt index; update to 14.4 or later"
                .to_owned(),
        });
    }
    refused.extend(
        carry::not_null_check_taken(wish.constraint_names.iter(), &facts.column.column)
            .filter(|_| facts.not_null),
    );
    refused
}
