//! An index that takes the place of another: the new one is there before the old one goes.
//!
//! build → drop, and rename where it is to have the old one's name. Where the new one refuses what the old one let
//! through, `obey` comes first; where the old one refused what the new one lets through, `switch` comes before the drop, so
//! that code which counts on a guarantee has one at every moment.

use super::add_index::{self, in_schema_of};
use super::draft::{Draft, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{IndexDefinition, Order, Patience, Recipe, Refused, TableFacts, constraint_sql, drop_index};
use crate::domain::{ColumnName, Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{columns_read, readable};

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The index that goes.
    pub index: SqlIdentifier,
    /// The one that comes.
    pub new: add_index::Wish,
    /// It ends with the name of the one that goes.
    pub keep_name: bool,
    /// What has to be waited for before the old one goes.
    pub patience: Patience,
}

/// The recipe for `shipctl plan replace-index TABLE INDEX KEY…`.
///
/// # Errors
/// No such index or column; a name that is taken; what stands in the way.
pub fn recipe(facts: &TableFacts, wish: &Wish, order: &Order) -> Result<Recipe, Problem> {
    let kind = ChangeKind::ReplaceIndex;
    let old = facts.index(&wish.index)?;
    let columns = add_index::columns(facts, &wish.new)?;
    let is_plain = wish.new.include.is_empty() && wish.new.condition.is_none();
    if old.valid && is_plain && old.unique == wish.new.unique && add_index::is_twin(old, &wish.new) {
        return Err(already(format!(
            "{} is that index already; REINDEX INDEX CONCURRENTLY builds it anew",
            old.name
        )));
    }
    let name = add_index::name(facts, &wish.new, "--as")?;
    let (obeys, switches) = (
        wish.new.unique && !implies(old, wish),
        old.unique && !keeps(old, wish),
    );
    let mut refused = drop_index::in_the_way(facts, old);
    if !obeys && !switches && wish.patience.approvals == 0 {
        refused.push(Refused {
            what: "--approvals 0".to_owned(),
            why: format!(
                "no release comes before the drop of {}, so that somebody has to approve it; leave the option out",
                old.name
            ),
        });
    }
    refuse_unless_none(kind, &old.name.to_string(), &refused)?;

    let keys = add_index::keys(&wish.new);
    let subject = Subject {
        kind,
        table: &facts.table,
        columns: &columns,
        name: Some(&old.name),
        title: format!(
            "Replace the index {} of {} by one on {keys}",
            old.name, facts.table.name
        ),
    };
    let mut draft = Draft::new(&subject, order)?;
    if obeys {
        add_index::obey(&mut draft, facts, &wish.new);
    }
    draft.schema(SchemaPhase {
        id: "build",
        kind: "expand",
        title: format!("Build {name} beside {}", old.name),
        comments: if wish.new.unique && !obeys {
            &["What it refuses is refused already, by the index that goes; the proof, which reads no catalog, cannot tell."]
        } else {
            &[]
        },
        explanation: &[
            "Built while writers go on; what a failed attempt leaves behind is dropped and built again.",
        ],
        up: vec![Sql::Statement(add_index::create(
            &wish.new,
            "CONCURRENTLY ",
            Some(&name),
            &facts.table,
        ))],
        down: vec![Sql::Statement(add_index::drop(
            &facts.table,
            &name,
            "CONCURRENTLY ",
        ))],
        patience: Patience::default(),
    });
    if switches {
        switch(&mut draft, facts, wish, &name);
    }
    draft.schema(drop_phase(facts, old, wish));
    if wish.keep_name {
        draft.schema(rename_phase(facts, &name, &old.name));
    }
    Ok(draft.finish(remarks(old, wish, obeys)))
}

/// The columns of keys that are nothing but columns, in whatever direction: with neither collation nor operator class.
fn plain_columns(wish: &Wish) -> Option<Vec<&SqlIdentifier>> {
    let directions = ["asc", "desc", "nulls", "first", "last"];
    let keys = wish.new.keys.iter().map(|key| {
        let column = key.column.as_ref()?;
        let mut words = key
            .text
            .strip_prefix(readable(column).as_str())?
            .split_whitespace();
        let is_direction = |word: &str| directions.contains(&word.to_ascii_lowercase().as_str());
        words.all(is_direction).then_some(column)
    });
    keys.collect()
}

/// Whether an index holds all rows, and looks at nothing but columns by their types' own equality.
fn is_plainly_unique(old: &IndexDefinition) -> Option<Vec<&SqlIdentifier>> {
    let columns: Vec<&SqlIdentifier> = old.keys.iter().map(Option::as_ref).collect::<Option<_>>()?;
    let list: Vec<SqlIdentifier> = columns.iter().copied().cloned().collect();
    let keys = format!(" USING btree ({})", constraint_sql::list(&list));
    let definition = old
        .definition
        .strip_suffix(" NULLS NOT DISTINCT")
        .unwrap_or(&old.definition);
    let is_plain = old.unique && old.valid && old.immediate && !old.partial && definition.ends_with(&keys);
    is_plain.then_some(columns)
}

/// Whether no row that the old index let through can be refused by the new one.
fn implies(old: &IndexDefinition, wish: &Wish) -> bool {
    match (is_plainly_unique(old), plain_columns(wish)) {
        (Some(old), Some(new)) => old.iter().all(|column| new.contains(column)),
        _ => false,
    }
}

/// Whether the new index refuses all that the old one did, and is found by the same `ON CONFLICT`.
fn keeps(old: &IndexDefinition, wish: &Wish) -> bool {
    let is_whole = wish.new.unique && wish.new.condition.is_none();
    let is_stricter = old.definition.ends_with(" NULLS NOT DISTINCT");
    match (is_plainly_unique(old), plain_columns(wish)) {
        (Some(old), Some(new)) if is_whole && !is_stricter => {
            old.iter().all(|column| new.contains(column)) && new.iter().all(|column| old.contains(column))
        }
        _ => false,
    }
}

/// The release that counts on the new index instead of the old one.
fn switch(draft: &mut Draft, facts: &TableFacts, wish: &Wish, name: &SqlIdentifier) {
    let old = &wish.index;
    let comments = if wish.new.unique {
        "Every INSERT … ON CONFLICT finds its conflict by the new index, and nothing goes wrong where values that only the old"
    } else {
        "No INSERT … ON CONFLICT finds its conflict by the old index, and nothing goes wrong where values that only the old"
    };
    let mut written: Vec<ColumnName> = Vec::new();
    if wish.new.unique {
        let condition = wish.new.condition.as_ref();
        let decides = condition.map(|condition| columns_read(condition, &facts.table).0);
        let keys = wish.new.keys.iter().flat_map(|key| key.columns.iter().cloned());
        for column in keys.chain(decides.into_iter().flatten()) {
            let column = facts.column_name(&column);
            if !written.contains(&column) {
                written.push(column);
            }
        }
    }
    let title = if wish.new.unique {
        format!("Code counts on {name} instead of {old}")
    } else {
        format!("Code does not count on {old}")
    };
    let written: Vec<&ColumnName> = written.iter().collect();
    draft.code(
        "switch",
        &title,
        &[],
        &written,
        &[comments, "one refused are there twice."],
    );
}

fn drop_phase<'a>(facts: &TableFacts, old: &IndexDefinition, wish: &Wish) -> SchemaPhase<'a> {
    let qualified = in_schema_of(&facts.table, &old.name);
    let mut down = Vec::new();
    if old.unique && !keeps(old, wish) {
        down.push(Sql::Remark(
            "Fails, and leaves nothing behind, while rows are there that it would refuse.",
        ));
    }
    down.extend(old.concurrently().map(Sql::Statement));
    down.extend(Sql::each(drop_index::details(facts, old, &qualified)));
    SchemaPhase {
        id: "drop",
        kind: "contract",
        title: format!("Drop {}", old.name),
        comments: &["See in pg_stat_user_indexes that queries use the new one by now, on replicas too."],
        explanation: &[],
        up: vec![Sql::Statement(format!("DROP INDEX CONCURRENTLY {qualified}"))],
        down,
        patience: wish.patience.clone(),
    }
}

fn rename_phase<'a>(facts: &TableFacts, name: &SqlIdentifier, old: &SqlIdentifier) -> SchemaPhase<'a> {
    let rename = |from: &SqlIdentifier, to: &SqlIdentifier| {
        vec![Sql::Statement(format!(
            "ALTER INDEX {} RENAME TO {}",
            in_schema_of(&facts.table, from),
            readable(to)
        ))]
    };
    SchemaPhase {
        id: "rename",
        kind: "expand",
        title: format!("{name} is called {old}"),
        comments: &[],
        explanation: &["Stops neither readers nor writers."],
        up: rename(name, old),
        down: rename(old, name),
        patience: Patience::default(),
    }
}

fn remarks(old: &IndexDefinition, wish: &Wish, obeys: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    if obeys {
        remarks.push(format!(
            "`build` fails, and leaves no index, while two rows have the same {}.",
            add_index::keys(&wish.new)
        ));
    }
    if !old.valid {
        remarks.push(format!(
            "{} is not valid: a concurrent build failed, and no query uses it. Undoing the drop would build it.",
            old.name
        ));
    }
    let lost = [
        (old.comment.is_some(), "comment"),
        (!old.statistics.is_empty(), "statistics targets"),
        (old.clustered, "mark for CLUSTER"),
        (old.tablespace.is_some(), "tablespace"),
    ];
    let lost: Vec<&str> = lost.iter().filter(|one| one.0).map(|one| one.1).collect();
    if !lost.is_empty() {
        remarks.push(format!(
            "The new index does not get the {} of {}.",
            lost.join(" and "),
            old.name
        ));
    }
    remarks
}
