//! Values of enum types that a generated table uses.

use super::Operation;
use super::tables::Table;

/// A table with columns of a type.
struct Typed {
    ddl: String,
    name: &'static str,
    /// As texts, without quotes of SQL.
    values: [&'static str; 3],
    columns: Vec<&'static str>,
}

fn typed(table: &Table, pick: u32) -> Typed {
    let name = [
        "\"Odd Schema\".\"Mo'od 🐘\"",
        "humour",
        "a_type_with_a_name_that_is_as_long_as_a_name_may_be_in_here_xyz",
    ][pick as usize % 3];
    let values = [
        ["a", "it's \\ so", "Z z"],
        [
            "a_value_that_is_as_long_as_a_value_of_an_enum_type_may_be_here_",
            "🐘",
            "",
        ],
    ][(pick >> 2) as usize & 1];
    let quoted = values.map(quoted);
    let mut ddl = table.ddl();
    let list = quoted.join(", ");
    let at = table.name;
    ddl += &format!("CREATE TYPE {name} AS ENUM ({list}); CREATE DOMAIN \"Odd Schema\".many AS {name}[];\n");
    ddl += &format!("COMMENT ON TYPE {name} IS 'it''s';\n");
    let mut columns = vec!["felt"];
    ddl += &format!("ALTER TABLE {at} ADD felt {name};\n");
    ddl += &format!("UPDATE {at} SET felt = (ARRAY[{list}, NULL]::{name}[])[1 + id % 4];\n");
    if pick & 8 == 0 {
        columns.push("\"All 'of' it\"");
        ddl += &format!("ALTER TABLE {at} ADD \"All 'of' it\" {name}[] DEFAULT '{{}}';\n");
        ddl += &format!(
            "UPDATE {at} SET \"All 'of' it\" = ARRAY[{list}, NULL, {}]::{name}[] WHERE id % 3 > 0;\n",
            quoted[1]
        );
    }
    if pick & 16 == 0 {
        columns.push("tamed");
        ddl += &format!("ALTER TABLE {at} ADD tamed \"Odd Schema\".many;\n");
        ddl += &format!(
            "UPDATE {at} SET tamed = ARRAY[{}]::{name}[] WHERE id % 3 = 0;\n",
            quoted[1]
        );
        ddl += &format!("CREATE INDEX \"by feeling\" ON {at} (felt, id DESC) WHERE id > 2;\n");
    }
    Typed {
        ddl,
        name,
        values,
        columns,
    }
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A value comes.
pub fn added(table: &Table, pick: u32) -> Operation {
    let Typed {
        ddl, name, values, ..
    } = typed(table, pick);
    let new = ["don't \\ say \"x\"", " new"][(pick >> 5) as usize & 1];
    let mut oracle = format!("ALTER TYPE {name} ADD VALUE {}", quoted(new));
    let mut arguments = vec!["add-enum-value", name];
    match (pick >> 6) % 3 {
        0 => {
            arguments.extend(["--before", values[1]]);
            oracle += &format!(" BEFORE {}", quoted(values[1]));
        }
        1 => {
            arguments.extend(["--after", values[0]]);
            oracle += &format!(" AFTER {}", quoted(values[0]));
        }
        _ => {}
    }
    arguments.push(new);
    Operation::new(ddl, &arguments, oracle.clone()).leaving(oracle)
}

/// A value gets another name.
pub fn renamed(table: &Table, pick: u32) -> Operation {
    let Typed {
        ddl, name, values, ..
    } = typed(table, pick);
    let (old, new) = (quoted(values[1]), "New \"one\" 'here'");
    let added = quoted(new);
    let oracle = format!(
        "ALTER TYPE {name} RENAME VALUE {old} TO {added}; ALTER TYPE {name} ADD VALUE {old} BEFORE {added}"
    );
    Operation::new(ddl, &["rename-enum-value", name, values[1], new], oracle)
        .leaving(format!("ALTER TYPE {name} ADD VALUE {added} AFTER {old}"))
}

/// A value may be held no more.
pub fn dropped(table: &Table, pick: u32) -> Operation {
    let Typed {
        ddl,
        name,
        values,
        columns,
    } = typed(table, pick);
    let (old, fill) = (quoted(values[1]), quoted(values[0]));
    let (at, own) = (table.name, table.own_name());
    let mut filled = format!("UPDATE {at} SET felt = {fill} WHERE felt = {old}");
    let mut checks = String::new();
    for column in columns {
        if column != "felt" {
            filled += &format!(
                "; UPDATE {at} SET {column} = array_replace({column}::{name}[], {old}, {fill}) WHERE {old} = ANY ({column})"
            );
        }
        let check = match column {
            "felt" => format!("felt <> {old}"),
            _ => format!("{old} <> ALL ({column})"),
        };
        // The name is the one that PostgreSQL would give to a check of a column of that name.
        let both = format!("\"{}_{}\"", column.trim_matches('"'), values[1]);
        checks += &format!(
            "; DO $do$ DECLARE chosen text; BEGIN
                 CREATE TEMP TABLE {own} ({both} int CHECK ({both} > 0));
                 SELECT conname INTO chosen FROM pg_constraint WHERE conrelid = 'pg_temp.{table}'::regclass;
                 DROP TABLE pg_temp.{own};
                 EXECUTE format('ALTER TABLE {at_text} ADD CONSTRAINT %I CHECK ({check_text})', chosen);
             END $do$",
            table = own.replace('\'', "''"),
            at_text = qualified(table).replace('\'', "''").replace('%', "%%"),
            check_text = check.replace('\'', "''").replace('%', "%%"),
        );
    }
    let oracle = filled.clone() + &checks;
    Operation::new(
        ddl,
        &["drop-enum-value", name, values[1], "--fill", values[0]],
        oracle,
    )
    .leaving(filled)
}

fn qualified(table: &Table) -> String {
    format!("{}.{}", table.schema(), table.own_name())
}
