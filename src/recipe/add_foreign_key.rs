//! A new foreign key, without a scan under a lock that stops writers and without a write that it refuses.
//!
//! index → obey → constrain. Each deletion of a referenced row looks for rows that refer to it, which without an index
//! means a scan. Then code that refers to what is not there, or removes what is referred to, has to be gone before the
//! foreign key is there, also before it is valid.

use super::draft::{Draft, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{
    ConstraintType, Deferrable, IndexDefinition, Order, Patience, Recipe, Refused, TableColumn, TableFacts,
    TableKind, constraint_sql, names,
};
use crate::domain::{ColumnName, Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{readable, readable_table};

/// What happens to rows that refer to one that is deleted, or gets another key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// It is refused, at the end of the statement or of the transaction.
    #[default]
    NoAction,
    /// It is refused at once.
    Restrict,
    /// They go, or change, with it.
    Cascade,
    /// Their columns become NULL.
    SetNull,
    /// Their columns get their defaults.
    SetDefault,
}

impl Action {
    /// As SQL writes it.
    fn sql(self) -> &'static str {
        match self {
            Self::NoAction => "NO ACTION",
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
            Self::SetDefault => "SET DEFAULT",
        }
    }
}

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The columns that refer, in order.
    pub columns: Vec<SqlIdentifier>,
    /// The columns that they refer to, in the same order.
    pub target_columns: Vec<SqlIdentifier>,
    /// The constraint's name, if it is not to be made of the columns'.
    pub name: Option<SqlIdentifier>,
    /// What a deletion does.
    pub on_delete: Action,
    /// What a change of the key does.
    pub on_update: Action,
    /// Whether it can be deferred.
    pub deferrable: Deferrable,
    /// Whether rows that refer are to be found by an index.
    pub index: bool,
}

/// The recipe for `shipctl plan add-foreign-key TABLE.COLUMN TABLE.COLUMN`. `target` is the table that is referred to.
///
/// # Errors
/// No such column; it is there already; what stands in the way.
pub fn recipe(
    facts: &TableFacts,
    target: &TableFacts,
    wish: &Wish,
    order: &Order,
) -> Result<Recipe, Problem> {
    let (table, columns) = (&facts.table, &wish.columns);
    let pairs = pairs(facts, target, wish)?;
    let what = format!("{table} ({})", constraint_sql::list(columns));
    let definition = definition(target, wish);
    let same = facts.constraints.iter().find(|one| {
        one.kind == ConstraintType::ForeignKey && one.validated && one.definition == deparsed(target, wish)
    });
    if let Some(same) = same {
        return Err(already(format!(
            "{what} has this foreign key already: {}",
            same.name
        )));
    }
    let is_taken =
        |name: &SqlIdentifier| facts.relations.contains(name) || facts.constraint_names.contains(name);
    let name = &wish
        .name
        .clone()
        .unwrap_or_else(|| names::chosen(&table.name, columns, "fkey", is_taken));
    let found_by = facts.indexes.iter().find(|index| index.leads_with(columns));
    let builds_index = wish.index && found_by.is_none();

    let mut refused = facts.refused.clone();
    refused.extend(
        target
            .refused
            .iter()
            .filter(|one| !facts.refused.contains(one))
            .cloned(),
    );
    refused.extend(tables_in_the_way(facts, target));
    refused.extend(constraint_sql::twice(columns));
    refused.extend(constraint_sql::twice(&wish.target_columns));
    if columns.len() != wish.target_columns.len() {
        refused.push(Refused {
            what: format!(
                "({}) for ({})",
                constraint_sql::list(columns),
                constraint_sql::list(&wish.target_columns)
            ),
            why: "as many columns must be named on either side, in the same order".to_owned(),
        });
    }
    refused.extend(constraint_sql::name_in_use(facts, name));
    if builds_index {
        let first = format!(
            "its index takes a plan of its own; first: shipctl plan add-index {table} {}",
            constraint_sql::list(columns).replace(", ", " ")
        );
        refused.extend(facts.no_concurrent_build(&first).map(|one| Refused {
            why: format!("{}; or leave the index out with --no-index", one.why),
            ..one
        }));
    }
    refused.extend(
        pairs
            .iter()
            .filter_map(|(one, other)| differ((&one.name, &one.data_type), other)),
    );
    refused.extend(pairs.iter().flat_map(|(one, _)| no_action(one, wish)));
    refused.extend(not_unique(target, &wish.target_columns));
    refuse_unless_none(ChangeKind::AddForeignKey, &what, &refused)?;

    let subject = Subject {
        kind: ChangeKind::AddForeignKey,
        table,
        columns,
        name: Some(name),
        title: format!(
            "Let {}.{} refer to {}.{}",
            table.name,
            constraint_sql::list(columns),
            target.table.name,
            constraint_sql::list(&wish.target_columns)
        ),
    };
    let mut draft = Draft::new(&subject, order)?;
    if builds_index {
        index(&mut draft, facts, columns, is_taken);
    }
    obey(&mut draft, facts, target, wish);
    draft.schema(SchemaPhase {
        id: "constrain",
        kind: "expand",
        title: format!("{name} holds"),
        comments: &["Older code, whose writes may be refused, cannot come back from here on."],
        explanation: &[
            "NOT VALID locks both tables against writers for a moment only; VALIDATE reads the rows while they go on,",
            "and fails while a row refers to what is not there.",
        ],
        up: Sql::each([
            constraint_sql::add(table, name, &format!("{definition} NOT VALID")),
            constraint_sql::validate(table, name),
        ]),
        down: vec![Sql::Statement(constraint_sql::drop(table, name))],
        patience: Patience::default(),
    });
    Ok(draft.finish(remarks(facts, target, wish, found_by.is_some() || builds_index)))
}

/// Each column with the one that it refers to.
fn pairs<'f>(
    facts: &'f TableFacts,
    target: &'f TableFacts,
    wish: &Wish,
) -> Result<Vec<(&'f TableColumn, &'f TableColumn)>, Problem> {
    wish.columns
        .iter()
        .zip(&wish.target_columns)
        .map(|(one, other)| Ok((facts.column(one)?, target.column(other)?)))
        .collect()
}

fn definition(target: &TableFacts, wish: &Wish) -> String {
    format!(
        "FOREIGN KEY ({}) REFERENCES {} ({}){}",
        constraint_sql::list(&wish.columns),
        readable_table(&target.table),
        constraint_sql::list(&wish.target_columns),
        conduct(wish)
    )
}

/// As the catalog would tell it.
fn deparsed(target: &TableFacts, wish: &Wish) -> String {
    definition(target, wish).replacen(
        &format!("{} (", readable_table(&target.table)),
        &format!("{}(", readable_table(&target.table)),
        1,
    )
}

fn conduct(wish: &Wish) -> String {
    let mut sql = String::new();
    for (event, action) in [("UPDATE", wish.on_update), ("DELETE", wish.on_delete)] {
        if action != Action::NoAction {
            sql.push_str(&format!(" ON {event} {}", action.sql()));
        }
    }
    sql.push_str(match wish.deferrable {
        Deferrable::No => "",
        Deferrable::Immediate => " DEFERRABLE",
        Deferrable::Deferred => " DEFERRABLE INITIALLY DEFERRED",
    });
    sql
}

fn tables_in_the_way(facts: &TableFacts, target: &TableFacts) -> Vec<Refused> {
    let mut refused = Vec::new();
    if facts.kind == TableKind::Partitioned && facts.server_version < 180_000 {
        refused.push(Refused {
            what: format!("partitioned table {}", facts.table),
            why: "before PostgreSQL 18 its foreign keys cannot be added NOT VALID, so that both tables would be locked \
                  while all rows are read; add one to each partition instead"
                .to_owned(),
        });
    }
    if target.kind == TableKind::Partitioned {
        refused.push(Refused {
            what: format!("partitioned table {}", target.table),
            why: "a foreign key to it is one to each partition, of which VALIDATE on the whole may leave some not valid"
                .to_owned(),
        });
    }
    refused
}

/// Why a column cannot refer to another by its type.
pub(super) fn differ((name, data_type): (&SqlIdentifier, &str), other: &TableColumn) -> Option<Refused> {
    // Texts of different length limits are compared as texts.
    let compared = |data_type: &str| match data_type.split('(').next().unwrap_or_default() {
        "character varying" => "text".to_owned(),
        // What stands behind the modifier is part of the name: `timestamp(3) with time zone`.
        _ => match (data_type.find('('), data_type.find(')')) {
            (Some(from), Some(to)) => format!(
                "{}{}",
                data_type.get(..from).unwrap_or_default(),
                data_type.get(to + 1..).unwrap_or_default()
            ),
            _ => data_type.to_owned(),
        },
    };
    (compared(data_type) != compared(&other.data_type)).then(|| Refused {
        what: format!("type {data_type} of {name}"),
        why: format!(
            "{} is {}: not every value of one is a value of the other, and each comparison converts; give both the same \
             type first",
            other.name, other.data_type
        ),
    })
}

/// Why an action would fail, or cannot be had, for a column.
fn no_action(column: &TableColumn, wish: &Wish) -> Vec<Refused> {
    let mut refused = Vec::new();
    if column.generated {
        refused.push(Refused {
            what: format!("generated column {}", column.name),
            why: "its values are computed, so that code cannot see to it that they refer to something"
                .to_owned(),
        });
    }
    for (event, action) in [("DELETE", wish.on_delete), ("UPDATE", wish.on_update)] {
        let lacks = match action {
            Action::SetNull if column.not_null => "it is NOT NULL, so that every such write would fail",
            Action::SetDefault if column.not_null && column.default.is_none() => {
                "it is NOT NULL and has no default, so that every such write would fail"
            }
            _ => continue,
        };
        refused.push(Refused {
            what: format!("ON {event} {} of {}", action.sql(), column.name),
            why: format!("{lacks}; choose another action, or change the column first"),
        });
    }
    refused
}

/// Why columns cannot be referred to.
pub(super) fn not_unique(target: &TableFacts, columns: &[SqlIdentifier]) -> Option<Refused> {
    if target.indexes.iter().any(|index| index.keeps_unique(columns)) {
        return None;
    }
    let list = constraint_sql::list(columns);
    let same = |index: &IndexDefinition| {
        index.keys.len() == columns.len() && columns.iter().all(|one| index.keys.contains(&Some(one.clone())))
    };
    let leftover = target
        .indexes
        .iter()
        .find(|index| !index.valid && index.unique && same(index));
    Some(Refused {
        what: format!("{} ({list})", target.table),
        why: match leftover {
            Some(index) => format!(
                "nothing keeps these columns unique: {} is left of a build that failed; drop it, and make it anew",
                index.name
            ),
            None => format!(
                "nothing keeps these columns, and no others, unique at every moment; first: shipctl plan add-unique {} {}",
                target.table,
                list.replace(", ", " ")
            ),
        },
    })
}

fn index(
    draft: &mut Draft,
    facts: &TableFacts,
    columns: &[SqlIdentifier],
    is_taken: impl Fn(&SqlIdentifier) -> bool,
) {
    let table = &facts.table;
    let name = names::chosen(&table.name, columns, "idx", is_taken);
    draft.schema(SchemaPhase {
        id: "index",
        kind: "expand",
        title: format!("Rows of {} are found by what they refer to", table.name),
        comments: &[],
        explanation: &[
            "Each deletion of a referenced row, and each change of its key, looks for rows that refer to it.",
            "The index is built while writers go on.",
        ],
        up: vec![Sql::Statement(format!(
            "CREATE INDEX CONCURRENTLY {} ON {} ({})",
            readable(&name),
            readable_table(table),
            constraint_sql::list(columns)
        ))],
        down: vec![Sql::Statement(format!(
            "DROP INDEX CONCURRENTLY {}",
            constraint_sql::index(table, &name)
        ))],
        patience: Patience::default(),
    });
}

fn obey(draft: &mut Draft, facts: &TableFacts, target: &TableFacts, wish: &Wish) {
    let full: Vec<ColumnName> = wish.columns.iter().map(|one| facts.column_name(one)).collect();
    let removal = match (wish.on_delete, wish.on_update) {
        (Action::NoAction | Action::Restrict, Action::NoAction | Action::Restrict) => {
            "No row that is referred to is deleted, or gets another key, before what refers to it."
        }
        _ => "It is ready for the actions: rows change, or go, with what they refer to.",
    };
    draft.code(
        "obey",
        &format!(
            "Code lets {} refer only to what {} holds",
            constraint_sql::list(&wish.columns),
            target.table.name
        ),
        &[],
        &full.iter().collect::<Vec<_>>(),
        &[
            "Every value that it writes is in the other table by then, or is NULL.",
            removal,
        ],
    );
}

fn remarks(facts: &TableFacts, target: &TableFacts, wish: &Wish, is_found: bool) -> Vec<String> {
    let (mut joined, mut set) = (Vec::new(), Vec::new());
    for (one, other) in wish.columns.iter().zip(&wish.target_columns) {
        joined.push(format!("p.{} = c.{}", readable(other), readable(one)));
        set.push(format!("c.{} IS NOT NULL", readable(one)));
    }
    let mut remarks = vec![format!(
        "Nothing puts rows right that refer to what is not there: `constrain` fails at VALIDATE while there are any, and \
         goes on from there once they are right. To see them: SELECT c.* FROM {} AS c WHERE {} AND NOT EXISTS (SELECT FROM {} AS p WHERE {});",
        readable_table(&facts.table),
        set.join(" AND "),
        readable_table(&target.table),
        joined.join(" AND "),
    )];
    if !is_found {
        remarks.push(format!(
            "No index finds the rows of {} that refer to a row: each deletion from {} reads all of them.",
            facts.table, target.table
        ));
    }
    if facts.kind == TableKind::OfAFamily || target.kind == TableKind::OfAFamily {
        remarks.push(
            "Of tables that inherit from each other, a foreign key sees only the rows of the named ones themselves."
                .to_owned(),
        );
    }
    remarks
}
