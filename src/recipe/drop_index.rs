//! An index that goes, without a lock that writers would wait for.

use super::add_index::{concurrently_refused, in_schema_of};
use super::draft::{Draft, SchemaPhase, Sql, Subject, refuse_unless_none};
use super::{
    ConstraintType, IndexDefinition, Order, Patience, Recipe, Refused, TableFacts, TableKind, constraint_sql,
};
use crate::domain::{Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{literal, readable, readable_table};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The index.
    pub index: SqlIdentifier,
    /// What has to be waited for.
    pub patience: Patience,
}

/// The recipe for `shipctl plan drop-index TABLE INDEX`.
///
/// # Errors
/// No such index; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::DropIndex;
    let index = facts.index(&wish.index)?;
    let name = &index.name;
    let build = index.concurrently();
    let mut refused = in_the_way(facts, index);
    // What takes something away needs a release above it, or somebody who has approved it.
    if !index.unique && wish.patience.approvals == 0 {
        refused.push(Refused {
            what: "--approvals 0".to_owned(),
            why: format!("no release comes before the drop of {name}, so that somebody has to approve it; leave the option out"),
        });
    }
    refuse_unless_none(kind, &name.to_string(), &refused)?;

    let subject = Subject {
        kind,
        table: &facts.table,
        columns: &[],
        name: Some(name),
        title: format!("Drop the index {name} of {}", facts.table.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    let mut patience = wish.patience.clone();
    if index.unique {
        draft.code(
            "unneeded",
            &format!("Code does not count on {name}"),
            &[],
            &[],
            &["No INSERT … ON CONFLICT finds its conflict by this index, and nothing goes wrong where a value is there twice."],
        );
    } else {
        // Nothing to soak: no release comes before.
        patience.soak = None;
    }
    let qualified = in_schema_of(&facts.table, name);
    let mut down = build.map(Sql::Statement).into_iter().collect::<Vec<_>>();
    down.extend(Sql::each(details(facts, index, &qualified)));
    draft.schema(SchemaPhase {
        id: "drop",
        kind: "contract",
        title: format!("Drop {name}"),
        comments: &["Queries that count on it get slow: see in pg_stat_user_indexes that nothing uses it, on replicas too."],
        explanation: &[],
        up: vec![Sql::Statement(format!("DROP INDEX CONCURRENTLY {qualified}"))],
        down,
        patience,
    });
    let mut remarks = Vec::new();
    if !index.valid {
        remarks.push(format!("{name} is not valid: a concurrent build failed, and no query uses it. Undoing the drop would build it."));
    }
    remarks.extend(scans(facts, index));
    Ok(draft.finish(remarks))
}

/// Why an index cannot go.
pub(super) fn in_the_way(facts: &TableFacts, index: &IndexDefinition) -> Vec<Refused> {
    let name = &index.name;
    let mut refused = facts.refused.clone();
    refused.extend(concurrently_refused(facts.server_version));
    let mut refuse = |what: String, why: String| refused.push(Refused { what, why });
    if facts.kind == TableKind::Partitioned {
        refuse(
            format!("partitioned table {}", facts.table),
            "the indexes of its partitions would go along under a lock that stops writers of all of them"
                .to_owned(),
        );
    }
    if index.attached {
        refuse(
            format!("the partitioned index above {name}"),
            "an index of a partition goes with that of the whole table".to_owned(),
        );
    }
    if let Some(constraint) = &index.constraint {
        refuse(
            format!("constraint {constraint}"),
            format!(
                "{name} serves it; make another with add-unique, if need be, and drop it with drop-constraint"
            ),
        );
    }
    if index.replica_identity {
        refuse(
            format!("replica identity {name}"),
            "logical replication tells rows apart by it; set another REPLICA IDENTITY first".to_owned(),
        );
    }
    if !index.referenced_by.is_empty() {
        refuse(
            index.referenced_by.join(", "),
            format!("foreign keys rest on {name}; drop them first"),
        );
    }
    if index.concurrently().is_none() {
        refuse(
            format!("definition of {name}"),
            "PostgreSQL tells it in an unexpected form, so that it could not be brought back".to_owned(),
        );
    }
    refused
}

/// Foreign keys whose rows are found by this index alone, when what they refer to is deleted.
fn scans<'f>(facts: &'f TableFacts, going: &IndexDefinition) -> impl Iterator<Item = String> + 'f {
    let name = going.name.clone();
    let keys = facts
        .constraints
        .iter()
        .filter(|one| one.kind == ConstraintType::ForeignKey);
    keys.filter(move |key| {
        let mut finding = facts.indexes.iter().filter(|one| one.leads_with(&key.columns));
        finding.next().is_some_and(|first| first.name == name) && finding.next().is_none()
    })
    .map(|key| {
        let target = key.target.as_ref().map_or_else(|| "the other table".to_owned(), ToString::to_string);
        format!(
            "No other index finds the rows of {} by {}: for the foreign key {}, each deletion from {target}, and each change of \
             its key, reads all of them.",
            facts.table,
            constraint_sql::list(&key.columns),
            key.name
        )
    })
}

/// What hangs on an index besides its definition.
pub(super) fn details(facts: &TableFacts, index: &IndexDefinition, qualified: &str) -> Vec<String> {
    let comment = index.comment.iter();
    let mut details: Vec<String> = comment
        .map(|comment| format!("COMMENT ON INDEX {qualified} IS {}", literal(comment)))
        .collect();
    details.extend(index.statistics.iter().map(|(number, target)| {
        format!("ALTER INDEX {qualified} ALTER COLUMN {number} SET STATISTICS {target}")
    }));
    if index.clustered {
        details.push(format!(
            "ALTER TABLE {} CLUSTER ON {}",
            readable_table(&facts.table),
            readable(&index.name)
        ));
    }
    details
}
