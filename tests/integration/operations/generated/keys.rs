//! Keys, identities and indexes of a generated table, tables that come, and partitions.

use super::Operation;
use super::tables::{Column, Key, Table};

/// `id`, or more, becomes the primary key.
pub fn primary_key(table: &Table, at: usize, pick: u32) -> Operation {
    let keys = [Key::Unique, Key::Index, Key::Nullable];
    let table = table.keyed(keys[pick as usize % 3]);
    let (name, column) = (table.name, &table.columns[at]);
    let add = format!("ALTER TABLE {name} ADD ");
    if table.key != Key::Unique && pick & 4 == 0 {
        return Operation::new(
            table.ddl(),
            &["add-primary-key", name, "id", "--using-index", "\"one id\""],
            add + "PRIMARY KEY USING INDEX \"one id\"",
        );
    }
    if column.not_null && column.of.is_ordered {
        let c = column.name;
        return Operation::new(
            table.ddl(),
            &["add-primary-key", name, c, "id", "--name", "\"The \"\"key\"\"\""],
            add + &format!("CONSTRAINT \"The \"\"key\"\"\" PRIMARY KEY ({c}, id)"),
        );
    }
    Operation::new(
        table.ddl(),
        &["add-primary-key", name, "id"],
        add + "PRIMARY KEY (id)",
    )
}

/// `id` hands out its own values.
pub fn identity(table: &Table, pick: u32) -> Operation {
    let keys = [Key::Serial, Key::Primary, Key::Unique, Key::Index, Key::Nullable];
    let table = table.keyed(keys[pick as usize % 5]);
    let name = table.name;
    let column = format!("{name}.id");
    let (flag, kind) = [("--by-default", "BY DEFAULT"), ("--always", "ALWAYS")][pick as usize & 1];
    let sequence = table.sequence();
    let alter = format!("ALTER TABLE {name} ALTER id ");
    let add = format!("{alter} ADD GENERATED {kind} AS IDENTITY; ");
    let oracle = match table.key {
        Key::Serial => {
            format!(
                "DO $do$ DECLARE own text := {sequence}; BEGIN {alter} DROP DEFAULT; EXECUTE 'DROP SEQUENCE ' || own; END $do$;
                 {add} SELECT setval({sequence}, 13)"
            )
        }
        Key::Nullable => format!("{alter} SET NOT NULL; {add} SELECT setval({sequence}, 14, false)"),
        _ => format!("{add} SELECT setval({sequence}, 14, false)"),
    };
    Operation::new(table.ddl(), &["add-identity", &column, flag], oracle)
}

/// An index takes the place of another.
pub fn replaced_index(table: &Table, at: usize, pick: u32) -> Operation {
    let (name, schema) = (table.name, table.schema());
    let column = &table.columns[at];
    let c = column.name;
    let mut ddl = table.ddl();
    let old = match column.indexes().next() {
        Some((number, _)) => format!("\"index {at} {number}\""),
        None => {
            ddl += &format!(
                "CREATE INDEX \"old, one\" ON {name} (id) INCLUDE ({c}) WHERE {c} IS NOT NULL OR id > 3;
                 COMMENT ON INDEX {schema}.\"old, one\" IS 'old''s';\n"
            );
            "\"old, one\"".to_owned()
        }
    };
    let (ordered, condition) = (format!("{c} DESC NULLS LAST"), format!("{c} IS NOT NULL"));
    let new = [
        (
            "",
            &["id DESC", "--include", c][..],
            format!("(id DESC) INCLUDE ({c})"),
        ),
        (
            "UNIQUE ",
            &[&ordered, "id", "--unique"],
            format!("({ordered}, id)"),
        ),
        (
            "",
            &[&ordered, "--where", &condition],
            format!("({ordered}) WHERE {condition}"),
        ),
        ("", &[c, "--using", "hash"], format!("USING hash ({c})")),
        ("UNIQUE ", &["id", "--unique"], "(id)".to_owned()),
    ];
    let chosen = if column.of.is_ordered {
        pick as usize % 5
    } else {
        0
    };
    let (unique, keys, on) = &new[chosen];
    let keeps = pick & 1 == 0;
    let named = if keeps { old.as_str() } else { "\"New 🐘 one\"" };
    let mut arguments = [&["replace-index", name, &old], *keys].concat();
    if keeps {
        arguments.push("--keep-name");
    } else {
        arguments.extend(["--as", named]);
    }
    let oracle = format!("DROP INDEX {schema}.{old}; CREATE {unique}INDEX {named} ON {name} {on}");
    Operation::new(ddl, &arguments, oracle)
}

/// The table comes, into a database where there is another.
pub fn created(other: &Table, table: &Table) -> Operation {
    let mut table = table.clone();
    if matches!(table.key, Key::Nullable) {
        table.key = Key::Primary;
    }
    if table.name == other.name {
        table.name = "\"Odd Schema\".\"brand 'new'\"";
    }
    let name = table.name;
    let mut parts = vec![table.id().to_owned()];
    parts.extend(table.columns.iter().map(Column::definition));
    for (constraint, definition, _) in table.constraints() {
        parts.push(format!("CONSTRAINT {constraint} {definition}"));
    }
    let mut statements = vec![format!("CREATE TABLE {name} ({})", parts.join(", "))];
    // The names of indexes are those of the schema.
    let own = |sql: String| {
        sql.replace("\"index ", "\"new index ")
            .replace("\"unique ", "\"new unique ")
    };
    statements[0] = own(statements[0].clone());
    statements.extend(
        table
            .indexes()
            .into_iter()
            .map(|sql| own(sql).replace("\"one id\"", "\"the one id\"")),
    );
    statements.extend(table.notes().into_iter().map(own));
    let sql = statements.join(";\n");
    let mut oracle = sql.clone();
    for column in table
        .columns
        .iter()
        .filter(|column| column.refers && !column.is_found())
    {
        oracle += &format!("; CREATE INDEX ON {name} ({})", column.name);
    }
    Operation::new(other.ddl(), &["create-table", &sql], oracle)
}

/// A partitioned table of the columns, with one partition, and the names of another table.
struct Partitioned {
    ddl: String,
    child: &'static str,
}

fn partitioned(table: &Table, pick: u32) -> Partitioned {
    let key = if pick & 1 == 0 { Key::Primary } else { Key::Unique };
    let table = table.keyed(key);
    let name = table.name;
    let child = [
        "\"Odd Schema\".\"Par't \"\"1\"\"\"",
        "a_partition_with_a_name_that_is_as_long_as_it_may_be_by_postgre",
        "\"p.1\"",
    ][pick as usize % 3];
    let mut parts = vec![table.id().to_owned()];
    parts.extend(table.columns.iter().map(Column::definition));
    for (constraint, definition, _) in table.constraints() {
        parts.push(format!("CONSTRAINT {constraint} {definition}"));
    }
    let mut statements = vec![
        format!(
            "CREATE TABLE {name} ({}) PARTITION BY RANGE (id)",
            parts.join(", ")
        ),
        format!(
            "CREATE TABLE \"Odd Schema\".further PARTITION OF {name} FOR VALUES FROM (1000) TO (MAXVALUE)"
        ),
    ];
    statements.extend(table.indexes());
    statements.extend(table.notes());
    statements.extend(table.settings().into_iter().filter(|sql| !sql.contains("INDEX")));
    let ddl = format!("{}{};\n", Table::ground(), statements.join(";\n"));
    Partitioned { ddl, child }
}

/// A table becomes a partition.
pub fn attached(table: &Table, pick: u32) -> Operation {
    let (name, Partitioned { mut ddl, child }) = (table.name, partitioned(table, pick));
    if pick & 8 == 0 {
        let more = ["", " INCLUDING INDEXES INCLUDING COMMENTS"][(pick >> 4) as usize & 1];
        ddl +=
            &format!("CREATE TABLE {child} (LIKE {name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS{more});\n");
    } else {
        // In another order, with something that is gone.
        let mut parts: Vec<String> = table.columns.iter().rev().map(Column::definition).collect();
        parts.insert(1, "gone int".to_owned());
        parts.push("id bigint NOT NULL".to_owned());
        let checks = table
            .constraints()
            .into_iter()
            .filter(|(_, definition, _)| definition.starts_with("CHECK"));
        parts.extend(checks.map(|(check, definition, _)| format!("CONSTRAINT {check} {definition}")));
        ddl += &format!(
            "CREATE TABLE {child} ({}); ALTER TABLE {child} DROP gone;\n",
            parts.join(", ")
        );
    }
    ddl += &table.rows(child);
    if pick & 32 == 0 {
        ddl += &format!("CREATE TABLE \"Odd Schema\".\"the rest\" PARTITION OF {name} DEFAULT;\n");
    }
    let bound = ["FROM (0) TO (1000)", "FROM (MINVALUE) TO (14)"][(pick >> 6) as usize & 1];
    Operation::new(
        ddl,
        &["attach-partition", name, child, "--for", bound],
        format!("ALTER TABLE {name} ATTACH PARTITION {child} FOR VALUES {bound}"),
    )
}

/// A partition becomes a table.
pub fn detached(table: &Table, pick: u32) -> Operation {
    let (name, Partitioned { mut ddl, child }) = (table.name, partitioned(table, pick));
    ddl += &format!("CREATE TABLE {child} PARTITION OF {name} FOR VALUES FROM (0) TO (1000);\n");
    if pick & 8 == 0 {
        let check = format!("ALTER TABLE {child} ADD CONSTRAINT \"its own\" CHECK (id > -5);");
        ddl += &format!(
            "{check} CREATE INDEX \"own too\" ON {child} (id DESC); COMMENT ON TABLE {child} IS 'one';\n"
        );
    }
    ddl += &table.rows(name);
    Operation::new(
        ddl,
        &["detach-partition", name, child],
        format!("ALTER TABLE {name} DETACH PARTITION {child}"),
    )
}
