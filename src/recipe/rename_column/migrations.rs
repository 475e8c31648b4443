//! The four migration files of a rename, each with both sides.

use super::{Rename, sync};
use crate::recipe::carry;
use crate::recipe::migration_text::File;
use crate::sql::{readable, readable_table};

/// Adds the new column.
pub(super) fn add(rename: &Rename<'_>) -> String {
    let facts = rename.facts;
    let drop = format!(
        "ALTER TABLE {} DROP COLUMN IF EXISTS {}",
        readable_table(&facts.column.table),
        readable(rename.new_name())
    );
    let empty =
        "The new column starts empty and nullable: no row is rewritten, and running code does not notice.";
    let Some(names) = &rename.trigger else {
        let mut file = File::new(&rename.id, "add", &[empty]);
        file.side("UP");
        file.statements(carry::add_column(facts, rename.new_name()));
        file.side("DOWN");
        file.statements([drop]);
        return file.finish();
    };

    let mut file = File::new(
        &rename.id,
        "add",
        &[
            empty,
            "From the moment it is there, a trigger copies what is written to either column to the other. It is called",
            "only where one of them changes, and not for shipctl's own backfill.",
        ],
    );
    let mut make = carry::add_column(facts, rename.new_name());
    if !sync::shares_default(facts) {
        let default = carry::set_default(facts, rename.new_name());
        make.retain(|statement| Some(statement) != default.as_ref());
    }
    make.extend(sync::create(rename, names));
    file.side("UP");
    file.together(make);
    let mut take_away = names.remove(true);
    take_away.push(drop);
    file.side("DOWN");
    file.together(take_away);
    file.finish()
}

/// Gives the filled column what holds and serves the old one.
pub(super) fn constrain(rename: &Rename<'_>) -> String {
    let facts = rename.facts;
    let mut file = File::new(
        &rename.id,
        "constrain",
        &[
            "The new column is filled: it gets the indexes and constraints of the old one, built while writers go on.",
            "Names that end in _next are interim; the last phase gives the old names.",
        ],
    );
    file.side("UP");
    for (_, twin) in &rename.indexes {
        file.statements(carry::add_index(facts, twin));
    }
    for (_, twin) in &rename.checks {
        file.statements(carry::add_check(facts, twin));
    }
    for (_, twin) in &rename.foreign_keys {
        file.statements(carry::add_foreign_key(facts, twin));
    }
    if facts.not_null {
        file.remark("SET NOT NULL finds the validated check and does not scan the table.");
        file.statements(carry::set_not_null(&facts.column.table, rename.new_name()));
    }
    file.side("DOWN");
    if facts.not_null {
        file.statements(carry::drop_not_null(&facts.column.table, rename.new_name()));
    }
    for (_, twin) in rename.foreign_keys.iter().rev() {
        file.statements([carry::drop_constraint(facts, &twin.name, true)]);
    }
    for (_, twin) in rename.checks.iter().rev() {
        file.statements([carry::drop_constraint(facts, &twin.name, true)]);
    }
    for (_, twin) in rename.indexes.iter().rev() {
        file.statements(carry::drop_index(facts, twin, true));
    }
    file.finish()
}

/// Frees the old column of what code that no longer writes it would run into.
pub(super) fn relax(rename: &Rename<'_>) -> String {
    let facts = rename.facts;
    let mut file = File::new(
        &rename.id,
        "relax",
        match rename.trigger {
            None => &[
                "Code that no longer writes the old column leaves it empty or stale: nothing may hold it any more.",
                "Nobody reads it by now, and the new column has the same constraints.",
            ],
            Some(_) => &[
                "Nobody uses the old column by now, and the new one has the same constraints and is kept in step with it.",
                "They go one by one, before the column: each lock is short.",
            ],
        },
    );
    file.side("UP");
    file.statements(rename.going.iter().map(|dependent| dependent.drop.clone()));
    for (key, _) in &rename.foreign_keys {
        file.statements([carry::drop_constraint(facts, &key.name, false)]);
    }
    for (check, _) in &rename.checks {
        file.statements([carry::drop_constraint(facts, &check.name, false)]);
    }
    for (index, _) in rename.indexes.iter().filter(|(index, _)| index.unique) {
        file.statements(carry::drop_index(facts, index, false));
    }
    let drop_not_null = carry::drop_not_null(&facts.column.table, rename.old());
    if facts.not_null {
        file.statements(drop_not_null.into_iter().take(1));
    }
    file.side("DOWN");
    for (index, _) in rename.indexes.iter().filter(|(index, _)| index.unique) {
        file.statements(carry::add_index(facts, index));
    }
    for (check, _) in &rename.checks {
        file.statements(carry::add_check(facts, check));
    }
    for (key, _) in &rename.foreign_keys {
        file.statements(carry::add_foreign_key(facts, key));
    }
    if facts.not_null {
        file.remark("SET NOT NULL finds the validated check and does not scan the table.");
        file.statements(carry::set_not_null(&facts.column.table, rename.old()));
    }
    file.statements(rename.going.iter().flat_map(|dependent| dependent.make.clone()));
    file.finish()
}

/// Drops the old column and gives the old names to what replaced its objects.
pub(super) fn drop(rename: &Rename<'_>) -> String {
    let facts = rename.facts;
    let table = readable_table(&facts.column.table);
    let mut file = File::new(
        &rename.id,
        "drop",
        &["No running version reads or writes the old column any more."],
    );
    let plain = || rename.indexes.iter().filter(|(index, _)| !index.unique);
    let mut names_to_old = Vec::new();
    let mut names_back = Vec::new();
    for (index, twin) in &rename.indexes {
        names_to_old.push(carry::rename_index(facts, index, &twin.name, &index.name));
        names_back.push(carry::rename_index(facts, index, &index.name, &twin.name));
        if index.clustered {
            names_to_old.push(carry::cluster_on(facts, &index.name));
        }
    }
    let constraints = rename
        .checks
        .iter()
        .map(|(old, twin)| (&old.name, &twin.name))
        .chain(
            rename
                .foreign_keys
                .iter()
                .map(|(old, twin)| (&old.name, &twin.name)),
        );
    for (old, twin) in constraints {
        names_to_old.push(carry::rename_constraint(facts, twin, old));
        names_back.push(carry::rename_constraint(facts, old, twin));
    }

    file.side("UP");
    for (index, _) in plain() {
        file.statements(carry::drop_index(facts, index, false));
    }
    let drop = format!("ALTER TABLE {table} DROP COLUMN {}", readable(rename.old()));
    let (mut take_away, mut bring_back) = (vec![drop], names_back);
    let mut again = carry::add_column(facts, rename.old());
    let details = match &rename.trigger {
        None => again.split_off(1),
        // The trigger counts on the default; and from the moment the column is there, it is kept in step.
        Some(names) => {
            again.extend(sync::create(rename, names));
            take_away.splice(0..0, names.remove(false));
            if !sync::shares_default(facts) {
                take_away.extend(carry::set_default(facts, rename.new_name()));
                bring_back.push(carry::drop_default(facts, rename.new_name()));
            }
            Vec::new()
        }
    };
    take_away.extend(names_to_old);
    bring_back.extend(again);
    if rename.trigger.is_some() {
        file.remark("Together, so that at no moment a trigger writes a column that is gone.");
    }
    file.together(take_away);

    file.side("DOWN");
    file.remark("The column comes back empty; the phase's `restore` fills it in batches afterwards.");
    file.together(bring_back);
    file.statements(details);
    for (index, _) in plain() {
        file.statements(carry::add_index(facts, index));
        if index.clustered {
            file.statements([carry::cluster_on(facts, &index.name)]);
        }
    }
    file.finish()
}
