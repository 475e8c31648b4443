//! A column that hands out its own values, without an INSERT that fails or a value that is handed out twice.
//!
//! always-write → constrain → identify → leave-out → always. The first two only where the column may be NULL, the last two
//! only where it is to be GENERATED ALWAYS: that refuses values that code gives, and before the column is an identity code
//! has to give them. The values go on from the largest that there is, which an index tells under the lock; the sequence of a
//! serial column goes on from where it was.

mod sequence;

pub use sequence::SequenceFacts;

use super::draft::{Draft, Fill, SchemaPhase, Sql, Subject, already, refuse_unless_none};
use super::{
    IndexDefinition, Order, Patience, Recipe, Refused, TableColumn, TableFacts, TableKind, carry,
    constraint_sql,
};
use crate::domain::{ColumnName, Problem, SqlIdentifier};
use crate::plan::ChangeKind;
use crate::sql::{literal, readable, readable_table};

/// What a recipe must know besides of a column that is to be an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFacts {
    /// It is an identity already: ALWAYS (true) or BY DEFAULT.
    pub is_always: Option<bool>,
    /// The role that the table belongs to.
    pub owner: Option<SqlIdentifier>,
    /// The sequences that the column owns.
    pub sequences: Vec<SequenceFacts>,
    /// The largest value in the column, where it owns no sequence and an index tells it.
    pub largest: Option<i64>,
}

/// What the reader asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The column.
    pub column: SqlIdentifier,
    /// GENERATED ALWAYS, and not BY DEFAULT.
    pub always: bool,
}

/// The recipe for `shipctl plan add-identity TABLE.COLUMN`.
///
/// # Errors
/// No such column; it is an identity already; what stands in the way.
pub fn recipe(
    facts: &TableFacts,
    identity: &IdentityFacts,
    wish: &Wish,
    order: &Order,
) -> Result<Recipe, Problem> {
    let kind = ChangeKind::AddIdentity;
    let column = facts.column(&wish.column)?;
    let full = facts.column_name(&column.name);
    if let Some(is_always) = identity.is_always {
        let kind = if is_always { "ALWAYS" } else { "BY DEFAULT" };
        return Err(already(format!("{full} is GENERATED {kind} AS IDENTITY already")));
    }
    refuse_unless_none(kind, &full.to_string(), &obstacles(facts, identity, column))?;

    let subject = Subject {
        kind,
        table: &facts.table,
        columns: std::slice::from_ref(&column.name),
        name: None,
        title: format!("Let {}.{} hand out its own values", facts.table.name, column.name),
    };
    let mut draft = Draft::new(&subject, order)?;
    if !column.not_null {
        constrain(&mut draft, facts, column, &full);
    }
    let taken_over = identity.sequences.first();
    identify(&mut draft, facts, column, identity);
    if wish.always {
        leave_out(&mut draft, facts, column, &full);
    }
    Ok(draft.finish(remarks(column, taken_over, wish)))
}

/// The largest value of an identity of a type; `None` where there is no identity of it.
pub(super) fn largest(data_type: &str) -> Option<i64> {
    match data_type {
        "smallint" => Some(i64::from(i16::MAX)),
        "integer" => Some(i64::from(i32::MAX)),
        "bigint" => Some(i64::MAX),
        _ => None,
    }
}

/// Numbers that an identity of the column's type cannot count with or cannot go on from.
fn out_of_range(identity: &IdentityFacts, column: &TableColumn) -> Vec<Refused> {
    let Some(largest) = largest(&column.data_type) else {
        return Vec::new();
    };
    let least = -largest - 1;
    let mut refused = Vec::new();
    let mut refuse = |what: String, number: i64| {
        refused.push(Refused {
            what,
            why: format!(
                "{number} leaves no value of {} for the identity to go on with; make the column bigint first (`shipctl plan \
                 change-type`), or let the sequence count within {}",
                column.data_type, column.data_type
            ),
        });
    };
    for sequence in identity.sequences.iter().filter(|one| one.is_default) {
        let numbers = [
            ("MINVALUE", Some(sequence.least)),
            ("START", Some(sequence.start)),
            ("the position", sequence.position),
        ];
        for (what, number) in numbers {
            if let Some(number) = number.filter(|number| !(least..=largest).contains(number)) {
                refuse(format!("{what} of sequence {}", sequence.name), number);
            }
        }
    }
    if let Some(value) = identity.largest.filter(|value| *value >= largest) {
        refuse(format!("the largest value of {}", column.name), value);
    }
    refused
}

fn obstacles(facts: &TableFacts, identity: &IdentityFacts, column: &TableColumn) -> Vec<Refused> {
    let mut refused = facts.refused.clone();
    refused.extend(out_of_range(identity, column));
    let name = &column.name;
    let mut refuse = |what: String, why: &str| {
        refused.push(Refused {
            what,
            why: why.to_owned(),
        });
    };
    match facts.kind {
        TableKind::Partitioned => refuse(
            format!("partitioned table {}", facts.table),
            "before PostgreSQL 17 its partitions do not know its identity, and the largest value is not found in a moment",
        ),
        TableKind::OfAFamily => refuse(
            format!("inheritance of {}", facts.table),
            "tables that inherit do not know the identity of others, so that values would be handed out twice",
        ),
        TableKind::Ordinary | TableKind::Other => {}
    }
    if largest(&column.data_type).is_none() {
        refuse(
            format!("type {} of {name}", column.data_type),
            "an identity is smallint, integer or bigint; change the type first (`shipctl plan change-type`)",
        );
    }
    if column.generated {
        refuse(format!("generated column {name}"), "its values are computed");
    }
    let is_taken_over = identity.sequences.iter().any(|sequence| sequence.is_default);
    if let (Some(default), false, false) = (&column.default, is_taken_over, column.generated) {
        refuse(
            format!("default {default}"),
            "it is not the next value of a sequence that the column owns; where it is one of another, run ALTER SEQUENCE … \
             OWNED BY this column first, otherwise drop the default first (`shipctl plan drop-default`)",
        );
    }
    for sequence in &identity.sequences {
        if !sequence.is_default {
            refuse(
                format!("sequence {}", sequence.name),
                "the column owns it and does not get its values by it; run ALTER SEQUENCE … OWNED BY NONE first",
            );
            continue;
        }
        for dependent in &sequence.dependents {
            refuse(
                dependent.clone(),
                &format!(
                    "it uses the sequence {}, whose place that of the identity takes; let it do without first",
                    sequence.name
                ),
            );
        }
        if facts.relations.contains(&sequence.aside()) {
            refuse(
                format!("relation {}", sequence.aside()),
                "the sequence that goes would have that name for a moment; rename it first",
            );
        }
    }
    let finds_largest = |index: &IndexDefinition| index.leads_with(std::slice::from_ref(name));
    if !is_taken_over && !facts.indexes.iter().any(finds_largest) {
        refuse(
            format!("no index on {name}"),
            "the largest value is looked for while everybody waits, so that an index must tell it; make one first (`shipctl plan \
             add-index`, or `add-unique`, which keeps the values apart)",
        );
    }
    if column.not_null {
        if let Some(constraint) = column.named_not_null.as_ref().filter(|one| !one.validated) {
            refuse(
                format!("NOT NULL constraint {}", constraint.name),
                "it is NOT VALID, on which no identity can rest; VALIDATE CONSTRAINT first",
            );
        }
    } else {
        refused.extend(carry::not_null_check_taken(facts.constraint_names(), name));
    }
    refused
}

fn constrain(draft: &mut Draft, facts: &TableFacts, column: &TableColumn, full: &ColumnName) {
    let name = &column.name;
    draft.code(
        "always-write",
        &format!("Code never leaves {name} NULL"),
        &[],
        &[full],
        &["Every INSERT gives it a value or leaves it to its default, and no UPDATE sets it to NULL."],
    );
    let mut up = vec![
        Sql::Remark("Fails while a row is NULL, before anything is refused."),
        Sql::Statement(constraint_sql::fail_if_any(
            &facts.table,
            &format!("{} IS NULL", readable(name)),
            &format!("{} holds rows in which {name} is NULL", facts.table),
        )),
    ];
    up.extend(Sql::each(carry::set_not_null(&facts.table, name)));
    draft.schema(SchemaPhase {
        id: "constrain",
        kind: "expand",
        title: format!("{name} is NOT NULL"),
        comments: &["Older code, which may leave it NULL, cannot come back from here on."],
        explanation: &["SET NOT NULL finds the validated check and does not scan the table."],
        up,
        down: Sql::each(carry::drop_not_null(&facts.table, name)),
        patience: Patience::default(),
    });
}

fn alter(facts: &TableFacts, column: &TableColumn, action: &str) -> String {
    format!(
        "ALTER TABLE {} ALTER COLUMN {} {action}",
        readable_table(&facts.table),
        readable(&column.name)
    )
}

fn identify(draft: &mut Draft, facts: &TableFacts, column: &TableColumn, identity: &IdentityFacts) {
    let name = &column.name;
    let (mut up, down, explanation) = match identity.sequences.first() {
        Some(sequence) => (
            take_over(facts, column, sequence),
            give_back(facts, column, sequence, identity),
            &[
                "Together, so that no INSERT finds the column without either. The identity's sequence takes the name of the one that",
                "goes, counts as it did, and goes on from where that had come to.",
            ],
        ),
        None => (
            vec![
                alter(facts, column, "ADD GENERATED BY DEFAULT AS IDENTITY"),
                format!(
                    "SELECT setval(pg_get_serial_sequence({}, {}), greatest(max({column}), 0)::bigint + 1, false) FROM {}",
                    literal(&readable_table(&facts.table)),
                    literal(name.as_str()),
                    readable_table(&facts.table),
                    column = readable(name),
                ),
            ],
            vec![alter(facts, column, "DROP IDENTITY")],
            &[
                "Together: under the lock nobody adds a larger value than the one that is found, and an index tells that in a",
                "moment. Values go on behind it.",
            ],
        ),
    };
    if identity.sequences.is_empty() {
        // Rather an error than a largest value among those rows only that policies show.
        up.insert(0, "SET LOCAL row_security = off".to_owned());
    }
    draft.schema(SchemaPhase {
        id: "identify",
        kind: "expand",
        title: format!("{name} is an identity"),
        comments: &[
            "Code that leaves the column out gets a value from here on; it comes after this, and has to be gone before this is",
            "undone, unless a default gave one before.",
        ],
        explanation,
        up: vec![Sql::in_a_moment(up)],
        down: vec![Sql::Together(down)],
        patience: Patience::default(),
    });
}

/// The sequence of a serial column becomes that of the identity.
fn take_over(facts: &TableFacts, column: &TableColumn, sequence: &SequenceFacts) -> Vec<String> {
    let mut statements = vec![
        alter(facts, column, "DROP DEFAULT"),
        sequence.renamed_aside(),
        alter(
            facts,
            column,
            &format!(
                "ADD GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME {} {})",
                readable_table(&sequence.name),
                sequence.options(largest(&column.data_type).unwrap_or(i64::MAX))
            ),
        ),
        sequence.goes_on(),
    ];
    statements.extend(sequence.belongings());
    statements.push(format!("DROP SEQUENCE {}", sequence.aside_name()));
    statements
}

/// The sequence of the identity becomes that of a serial column again.
fn give_back(
    facts: &TableFacts,
    column: &TableColumn,
    sequence: &SequenceFacts,
    identity: &IdentityFacts,
) -> Vec<String> {
    let (table, name) = (readable_table(&facts.table), readable_table(&sequence.name));
    let mut statements = vec![
        // Before the sequence, as an INSERT does.
        format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
        sequence.renamed_aside(),
        format!(
            "CREATE SEQUENCE {name} AS {} {}",
            sequence.data_type,
            sequence.options(i64::MAX)
        ),
        sequence.goes_on(),
        alter(facts, column, "DROP IDENTITY"),
    ];
    if let Some(owner) = &identity.owner {
        statements.push(format!("ALTER SEQUENCE {name} OWNER TO {}", readable(owner)));
    }
    if let Some(default) = &column.default {
        statements.push(alter(facts, column, &format!("SET DEFAULT {default}")));
    }
    statements.push(format!(
        "ALTER SEQUENCE {name} OWNED BY {table}.{}",
        readable(&column.name)
    ));
    statements.extend(sequence.belongings());
    statements
}

fn leave_out(draft: &mut Draft, facts: &TableFacts, column: &TableColumn, full: &ColumnName) {
    let name = &column.name;
    draft.code(
        "leave-out",
        &format!("Code leaves {name} to the database"),
        // It counts on the value that it did not give.
        &[full],
        &[],
        &[
            "No INSERT and no UPDATE gives it a value but DEFAULT, and no COPY has it among its columns, unless INSERT says",
            "OVERRIDING SYSTEM VALUE.",
        ],
    );
    if !column.not_null {
        draft.restore(
            "The identity gave every row its value: there is nothing to bring back before older code may come back.",
            &Fill::column(full, &readable(name), format!("{} IS NOT NULL", readable(name))),
        );
    }
    draft.schema(SchemaPhase {
        id: "always",
        kind: "expand",
        title: format!("Only the database gives {name} its values"),
        comments: &["Older code, whose values are refused, cannot come back from here on."],
        explanation: &["It changes what is accepted, and touches no row."],
        up: Sql::each([alter(facts, column, "SET GENERATED ALWAYS")]),
        down: Sql::each([alter(facts, column, "SET GENERATED BY DEFAULT")]),
        patience: Patience::default(),
    });
}

fn remarks(column: &TableColumn, taken_over: Option<&SequenceFacts>, wish: &Wish) -> Vec<String> {
    let name = &column.name;
    let mut remarks = Vec::new();
    match taken_over {
        Some(sequence) => remarks.push(format!(
            "{} goes on from where it is: where code gave larger values itself, INSERTs that leave {name} out come to them as \
             they did before. Code that calls nextval by its name at the very moment of the change, or of its way back, may fail once \
             (could not open relation) and has to try again; after it, it goes on.",
            sequence.name
        )),
        None => remarks.push(format!(
            "Code that makes up values of {name} itself and code that leaves it out may come to the same value once both run: let \
             all code take its values from the identity's sequence (nextval(pg_get_serial_sequence(…))) or leave it out at once, \
             and keep the column unique."
        )),
    }
    if !column.not_null {
        remarks.push(format!(
            "Nothing fills rows in which {name} is NULL: `constrain` fails, and changes nothing, while there are any."
        ));
    }
    if column.filled_by_others {
        remarks.push(format!(
            "A trigger, a rule or a domain may give {name} a value where an INSERT leaves it out: see that it bears one that is \
             there already."
        ));
    }
    if !wish.always {
        remarks.push(format!(
            "Values that code gives {name} are taken as they are (BY DEFAULT). With --always they are refused, once code gives none."
        ));
    }
    remarks
}
