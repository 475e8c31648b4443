//! A table that gets another name, while code goes on that knows the old one.
//!
//! rename → switch → retire. The rename and a view of the old name take effect together. PostgreSQL passes on to the table
//! what is written to such a view; the roles that could use the table can use the view, with the same rows and columns.

use super::draft::{Draft, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{Order, Patience, Recipe, Refused, TableDefinition, TableFacts, TableKind};
use crate::domain::{ColumnName, Problem, SqlIdentifier, TableName};
use crate::plan::ChangeKind;
use crate::sql::{readable, readable_table};

/// The privileges that mean something for a view.
const OF_VIEWS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The new name.
    pub to: SqlIdentifier,
    /// What has to be waited for before the old name goes.
    pub patience: Patience,
}

/// The recipe for `shipctl plan rename-table TABLE NEW`.
///
/// # Errors
/// It has the name already; what stands in the way.
pub fn recipe(
    facts: &TableFacts,
    definition: &TableDefinition,
    wish: &Wish,
    order: &Order,
) -> Result<Recipe, Problem> {
    let kind = ChangeKind::RenameTable;
    let table = &facts.table;
    if wish.to == table.name {
        return Err(already(format!("{table} has that name already")));
    }
    refuse_unless_none(kind, &table.to_string(), &obstacles(facts, definition, wish))?;

    let renamed = TableName {
        schema: table.schema.clone(),
        name: wish.to.clone(),
    };
    let subject = Subject {
        kind,
        table,
        columns: &[],
        name: Some(&wish.to),
        title: format!("Rename {} to {}", table.name, wish.to),
    };
    let mut draft = Draft::new(&subject, order)?;
    let (old, new) = (readable_table(table), readable_table(&renamed));
    let mut make = vec![format!("ALTER TABLE {old} RENAME TO {}", readable(&wish.to))];
    make.extend(view(facts, definition, &renamed));
    draft.schema(SchemaPhase {
        id: "rename",
        kind: "expand",
        title: format!("{} is called {}", table.name, wish.to),
        comments: &[
            "Code that knows the old name goes on through a view of that name, but for what views cannot do: see what",
            "`shipctl plan` told.",
        ],
        explanation: &["Together, so that at no moment the old name belongs to nothing."],
        up: vec![Sql::Together(make)],
        down: vec![Sql::Together(vec![
            format!("DROP VIEW {old}"),
            format!("ALTER TABLE {new} RENAME TO {}", readable(&table.name)),
        ])],
        patience: Patience::default(),
    });
    let reads: Vec<ColumnName> = facts
        .columns
        .iter()
        .map(|column| ColumnName {
            table: renamed.clone(),
            column: column.name.clone(),
        })
        .collect();
    draft.code(
        "switch",
        &format!("Use the name {}", wish.to),
        &reads.iter().collect::<Vec<_>>(),
        // What it writes is what was written before, and may leave out what the database fills.
        &[],
        &[
            "It reads and writes as before, but under the new name. Nothing uses the old name any more: jobs, reports and",
            "functions of the database count as well.",
        ],
    );
    draft.schema(SchemaPhase {
        id: "retire",
        kind: "contract",
        title: format!("The name {} is gone", table.name),
        comments: &[],
        explanation: &["Only the view goes; the table and its rows stay."],
        up: vec![Sql::Statement(format!("DROP VIEW {old}"))],
        down: vec![Sql::Together(view(facts, definition, &renamed))],
        patience: wish.patience.clone(),
    });
    Ok(draft.finish(remarks(facts, definition, wish)))
}

/// Makes the view that stands for the old name.
fn view(facts: &TableFacts, definition: &TableDefinition, renamed: &TableName) -> Vec<String> {
    let table = &facts.table;
    let name = readable_table(table);
    let columns: Vec<String> = facts
        .columns
        .iter()
        .map(|column| readable(&column.name))
        .collect();
    // Before 15, a view looks at its table with the rights of its own owner, who is that of the table.
    let invoker = if facts.server_version >= 150_000 {
        " WITH (security_invoker = true)"
    } else {
        ""
    };
    let mut statements = vec![format!(
        "CREATE VIEW {name}{invoker} AS SELECT {} FROM {}",
        columns.join(", "),
        readable_table(renamed)
    )];
    statements.extend(definition.without_defaults(table));
    statements.extend(
        definition
            .owner
            .iter()
            .map(|owner| format!("ALTER VIEW {name} OWNER TO {}", readable(owner))),
    );
    for grant in &definition.grants {
        let mut grant = grant.clone();
        grant
            .privileges
            .retain(|privilege| OF_VIEWS.contains(&privilege.as_str()));
        if !grant.privileges.is_empty() {
            statements.push(grant.on(table));
        }
    }
    statements
}

fn remarks(facts: &TableFacts, definition: &TableDefinition, wish: &Wish) -> Vec<String> {
    let (table, old) = (&facts.table, &facts.table.name);
    let mut remarks = vec![
        format!(
            "From `rename` to `retire` {old} is a view: SELECT (also FOR UPDATE), INSERT, ON CONFLICT (columns), UPDATE, DELETE and \
             RETURNING go on. What fails under the old name: TRUNCATE, COPY {old} FROM and TO, ON CONFLICT ON CONSTRAINT, \
             TABLESAMPLE, ctid and other system columns, WHERE CURRENT OF, MERGE (before PostgreSQL 17), new foreign keys to it, and \
             ALTER TABLE. A query that groups by the primary key alone and selects other columns fails too (a view has no key), and \
             pg_get_serial_sequence('{old}', …) gives NULL. Code that does any of these cannot go on under the old name: change it \
             before `rename`."
        ),
        format!(
            "For a moment, statements on {table} wait for the rename. Statements prepared with SELECT * may fail once, with \
             \"cached plan must not change result type\"."
        ),
        "Sequences, constraints and indexes keep their names, as with ALTER TABLE … RENAME.".to_owned(),
    ];
    if facts.server_version < 140_000
        && facts
            .columns
            .iter()
            .any(|column| column.generated || column.identity)
    {
        remarks.push(
            "Before PostgreSQL 14, an INSERT of several rows under the old name that says DEFAULT for a generated or identity \
             column fails: leave such columns out."
                .to_owned(),
        );
    }
    if !definition.publications.is_empty() {
        remarks.push(format!(
            "{table} is published: subscribers look for a table of the new name as soon as `rename` ran, and replication stops \
             until there is one; rename it there at the same time."
        ));
    }
    remarks.extend(definition.mentioned_by.iter().map(|function| {
        format!(
            "Function {function} mentions {old}: it is part of the code. One that asks for the name (TG_TABLE_NAME) must know {} as \
             well before `rename`, since triggers see the new name from then on; all others must be made anew with it in `switch`.",
            wish.to
        )
    }));
    remarks
}

fn obstacles(facts: &TableFacts, definition: &TableDefinition, wish: &Wish) -> Vec<Refused> {
    let mut refused = facts.refused.clone();
    let table = &facts.table;
    let mut refuse = |what: String, why: &str| {
        refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    if facts.kind == TableKind::Other {
        return refused;
    }
    if facts.relations.contains(&wish.to) {
        refuse(
            format!("relation {}", wish.to),
            "a table, index, sequence or view of the schema has the name; choose another",
        );
    } else if definition.types.contains(&wish.to) {
        refuse(
            format!("type {}", wish.to),
            "a type of the schema has the name, and the type of the table's rows would need it; choose another",
        );
    }
    for user in &definition.row_type_users {
        refuse(
            user.clone(),
            "it is made with the type of the table's rows, which gets the new name; rows of the view are of another type, so that \
             code under the old name would fail. Make it without the type first",
        );
    }
    if facts.columns.is_empty() {
        refuse(
            format!("{table} without columns"),
            "no view of it could be written to; add a column first",
        );
    }
    if facts.server_version < 150_000 && definition.row_security {
        refuse(
            format!("row security of {table}"),
            "before PostgreSQL 15 a view looks at its table with the rights of the view's owner, whom the policies do not \
             hold; rename it by hand, in one release without old code",
        );
    }
    if definition.owner_is_granted {
        refuse(
            format!("privileges of the owner of {table}"),
            "its owner has given up some, which a view of the same name would not know; give them back first (GRANT ALL)",
        );
    }
    refused
}
