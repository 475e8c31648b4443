//! A constraint that goes, with a way back that takes no long lock.
//!
//! let-go → drop. Old code may rely on any of them: ON CONFLICT (columns) fails without the unique constraint, rows that
//! a foreign key deleted or changed by itself stay as they are, a DELETE that it refused leaves rows that refer to nothing,
//! and readers count on what a check refuses.

use super::draft::{Draft, SchemaPhase, Sql, Subject, refuse_unless_none};
use super::{
    ConstraintFacts, ConstraintType, IndexDefinition, Order, Patience, Recipe, Refused, TableFacts,
    TableKind, constraint_sql,
};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{literal, readable, readable_table};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The constraint.
    pub name: SqlIdentifier,
    /// What has to be waited for.
    pub patience: Patience,
}

/// The recipe for `shipctl plan drop-constraint TABLE NAME`.
///
/// # Errors
/// No such constraint; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let constraint = facts.constraint(&wish.name)?;
    let index = facts
        .indexes
        .iter()
        .find(|index| index.constraint.as_ref() == Some(&constraint.name));
    let what = format!("{} {}", facts.table, constraint.name);
    let refused = obstacles(facts, constraint, index);
    refuse_unless_none(ChangeKind::DropConstraint, &what, &refused)?;

    let subject = Subject {
        kind: ChangeKind::DropConstraint,
        table: &facts.table,
        columns: &constraint.columns,
        name: Some(&constraint.name),
        title: format!("Drop {} of {}", constraint.name, facts.table.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    draft.code(
        "let-go",
        &format!("Code does not rely on {}", constraint.name),
        &[],
        &[],
        &relied_on(constraint)
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    draft.schema(SchemaPhase {
        id: "drop",
        kind: "contract",
        title: format!("{} is gone", constraint.name),
        comments: &[
            "Undone, it refuses again what was accepted meanwhile, and cannot come back while such rows are there.",
        ],
        explanation: &[],
        up: vec![Sql::Statement(constraint_sql::drop(
            &facts.table,
            &constraint.name,
        ))],
        down: match index {
            Some(index) => unique_again(facts, constraint, index),
            None => again(facts, constraint),
        },
        patience: wish.patience.clone(),
    });
    Ok(draft.finish(remarks(facts, constraint)))
}

/// What code has to give up before the constraint goes.
fn relied_on(constraint: &ConstraintFacts) -> Vec<String> {
    match constraint.kind {
        ConstraintType::Unique => vec![
            format!(
                "No INSERT says ON CONFLICT ({}) or ON CONFLICT ON CONSTRAINT {}, which fail without it; nothing takes",
                constraint_sql::list(&constraint.columns),
                readable(&constraint.name)
            ),
            "for granted that it finds one row, or that a duplicate is refused.".to_owned(),
        ],
        ConstraintType::ForeignKey if constraint.acts => vec![
            "Code deletes, or changes, itself the rows that the foreign key deletes or changes now."
                .to_owned(),
        ],
        ConstraintType::ForeignKey => vec![
            "No code counts on its refusal: a DELETE that is refused now leaves rows that refer to nothing, and readers bear"
                .to_owned(),
            "such rows.".to_owned(),
        ],
        _ => vec![
            "No code counts on its refusal: what it refuses now is not written, or readers bear it.".to_owned(),
        ],
    }
}

fn obstacles(
    facts: &TableFacts,
    constraint: &ConstraintFacts,
    index: Option<&IndexDefinition>,
) -> Vec<Refused> {
    let name = &constraint.name;
    let mut refused = facts.refused.clone();
    let mut refuse = |what: String, why: &str| {
        refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    if constraint.inherited {
        refuse(
            format!("inherited constraint {name}"),
            "it comes from a parent table, with which it goes; drop it there",
        );
    }
    let overlaps = constraint.definition.contains(" WITHOUT OVERLAPS)");
    match constraint.kind {
        ConstraintType::PrimaryKey => refuse(
            format!("primary key {name}"),
            "rows are told apart by it: by logical replication, by fills, by every client that looks for a key; keep it, \
             or let another table take this one's place",
        ),
        ConstraintType::Exclusion => refuse(
            format!("exclusion constraint {name}"),
            "it could be brought back only with writers locked out while its index is built; drop it by hand, in a \
             migration without a way back",
        ),
        ConstraintType::Unique if overlaps => refuse(
            format!("constraint {name} WITHOUT OVERLAPS"),
            "it could be brought back only with writers locked out while its index is built; drop it by hand, in a \
             migration without a way back",
        ),
        ConstraintType::Other => refuse(
            format!("constraint trigger {name}"),
            "it is a trigger; drop that (DROP TRIGGER) in a migration",
        ),
        ConstraintType::ForeignKey
            if facts.kind == TableKind::Partitioned && facts.server_version < 180_000 =>
        {
            refuse(
                format!("foreign key {name} of partitioned table {}", facts.table),
                "before PostgreSQL 18 it could be brought back only with both tables locked while all rows are read",
            );
        }
        ConstraintType::Check | ConstraintType::ForeignKey | ConstraintType::Unique => {}
    }
    for key in &constraint.referenced_by {
        refuse(
            format!("foreign key {key}"),
            "it refers to these columns, which has to be possible by this constraint; drop it first",
        );
    }
    if let Some(index) = index {
        if index.attached && !constraint.inherited {
            refuse(
                format!("the partitioned index above {}", index.name),
                "the constraint's index is part of it, and goes with it alone",
            );
        }
        if index.replica_identity {
            refuse(
                format!("replica identity {}", index.name),
                "logical replication tells rows apart by it; ALTER TABLE … REPLICA IDENTITY to another first",
            );
        }
        if constraint.kind == ConstraintType::Unique && !overlaps {
            refused.extend(facts.no_concurrent_build(
                "it could be brought back only with writers of all partitions locked out while their indexes are built",
            ));
        }
    }
    refused.extend(commented_below(facts, constraint));
    refused.extend(stays_below(facts, constraint));
    refused
}

/// Tables below that would go on refusing.
fn stays_below(facts: &TableFacts, constraint: &ConstraintFacts) -> Vec<Refused> {
    let goes_on = constraint.kind == ConstraintType::Check;
    let stays = facts
        .below
        .iter()
        .filter(|below| goes_on && below.name == constraint.name && below.stays);
    stays
        .map(|below| Refused {
            what: format!("constraint {} of {}", below.name, below.table),
            why: format!(
                "that table has it of its own too, or of another parent, and would go on refusing; drop it by hand, in a \
                 migration: of {} first, and then where it is left",
                facts.table
            ),
        })
        .collect()
}

/// Tables below whose constraint goes too, and whose comment on it nothing would bring back.
fn commented_below(facts: &TableFacts, constraint: &ConstraintFacts) -> Vec<Refused> {
    let goes_on = constraint.kind == ConstraintType::Check;
    facts
        .below
        .iter()
        .filter(|below| goes_on && below.name == constraint.name && below.comment.is_some())
        .map(|below| Refused {
            what: format!("comment on constraint {} of {}", below.name, below.table),
            why: "the constraint goes there too, and the way back would not bring the comment; take it away first"
                .to_owned(),
        })
        .collect()
}

/// Brings back a check or a foreign key: not valid first, validated after.
fn again(facts: &TableFacts, constraint: &ConstraintFacts) -> Vec<Sql> {
    let (table, name) = (&facts.table, &constraint.name);
    // What is not enforced reads no rows, and is never valid.
    let is_enforced = !constraint.definition.ends_with(" NOT ENFORCED");
    let not_valid = if is_enforced { " NOT VALID" } else { "" };
    let definition = format!("{}{not_valid}", constraint.definition);
    let mut sql = vec![constraint_sql::add(table, name, &definition)];
    if constraint.validated && is_enforced {
        sql.push(constraint_sql::validate(table, name));
    }
    sql.extend(comment(facts, constraint));
    Sql::each(sql)
}

/// Brings back a unique constraint: its index is built while writers go on.
fn unique_again(facts: &TableFacts, constraint: &ConstraintFacts, index: &IndexDefinition) -> Vec<Sql> {
    let (table, name) = (&facts.table, &constraint.name);
    let index_name = constraint_sql::index(table, &index.name);
    let mut sql = Vec::new();
    sql.extend(index.concurrently());
    let deferrable = match (&constraint.definition, index.immediate) {
        (definition, _) if definition.ends_with(" DEFERRABLE INITIALLY DEFERRED") => {
            " DEFERRABLE INITIALLY DEFERRED"
        }
        (_, false) => " DEFERRABLE",
        (_, true) => "",
    };
    sql.push(constraint_sql::add_unique_by_index(table, name, deferrable));
    sql.extend(comment(facts, constraint));
    if let Some(text) = &index.comment {
        sql.push(format!("COMMENT ON INDEX {index_name} IS {}", literal(text)));
    }
    if index.clustered {
        sql.push(format!(
            "ALTER TABLE {} CLUSTER ON {}",
            readable_table(table),
            readable(name)
        ));
    }
    Sql::each(sql)
}

fn comment(facts: &TableFacts, constraint: &ConstraintFacts) -> Option<String> {
    let text = constraint.comment.as_ref()?;
    Some(constraint_sql::comment(&facts.table, &constraint.name, text))
}

fn remarks(facts: &TableFacts, constraint: &ConstraintFacts) -> Vec<String> {
    match constraint.kind {
        ConstraintType::Unique => {
            let list = constraint_sql::list(&constraint.columns);
            let is_found = facts.indexes.iter().any(|index| {
                index.constraint.as_ref() != Some(&constraint.name) && index.leads_with(&constraint.columns)
            });
            let lost = format!(
                "Its index goes with it, and no other finds rows by {list}: where queries look for them, build one before, \
                 with another plan: shipctl plan add-index {} {}",
                facts.table,
                list.replace(", ", " ")
            );
            if is_found { Vec::new() } else { vec![lost] }
        }
        ConstraintType::ForeignKey => vec![format!(
            "Nothing keeps {} from holding what {} does not, once it is gone; the drop locks both tables for a moment.",
            constraint_sql::list(&constraint.columns),
            constraint
                .target
                .as_ref()
                .map_or_else(|| "the other table".to_owned(), ToString::to_string)
        )],
        _ => Vec::new(),
    }
}
