//! Keys of a generated table that become wider with what refers to them, and columns that go to another table.

use super::Operation;
use super::tables::{Column, Key, Table};

const REFERRING: &str = "\"Odd Schema\".\"refers, 🐘\"";
const BESIDE: &str = "\"Odd Schema\".\"be.side\"";

/// `id` becomes bigint, with what refers to it: a table, and the table itself.
pub fn key(table: &Table, pick: u32) -> Operation {
    let keys = [Key::Primary, Key::Serial, Key::Identity, Key::Unique, Key::Index];
    let table = table.keyed(keys[pick as usize % 5]);
    let name = table.name;
    let mut ddl =
        table
            .ddl()
            .replacen("(id bigserial", "(id serial", 1)
            .replacen("(id bigint", "(id integer", 1);
    // That of the parents comes first.
    ddl = ddl.replacen("parents (id integer", "parents (id bigint", 1);
    ddl = ddl.replacen(&format!("{name} (id bigint"), &format!("{name} (id integer"), 1);
    let action = ["", " ON DELETE CASCADE", " ON DELETE SET NULL"][(pick >> 3) as usize % 3];
    let when = ["", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"][(pick >> 5) as usize % 3];
    let target = format!("{name} (id)");
    ddl += &format!(
        "CREATE TABLE {REFERRING} (\"Id\" int PRIMARY KEY, \"the id\" int, other text);
         ALTER TABLE {REFERRING} ADD CONSTRAINT \"a 'key'\" FOREIGN KEY (\"the id\") REFERENCES {target}{action}{when};
         COMMENT ON CONSTRAINT \"a 'key'\" ON {REFERRING} IS 'it''s';
         CREATE INDEX \"found by\" ON {REFERRING} (\"the id\" DESC, other) INCLUDE (\"Id\") WHERE \"the id\" > 2;
         INSERT INTO {REFERRING} SELECT n, CASE WHEN n % 5 > 0 THEN n END, 'other ' || n FROM generate_series(1, 12) n;\n"
    );
    let mut oracle = format!(
        "ALTER TABLE {name} ALTER id TYPE bigint; ALTER TABLE {REFERRING} ALTER \"the id\" TYPE bigint"
    );
    if pick & 1024 == 0 {
        ddl += &format!(
            "ALTER TABLE {name} ADD COLUMN \"up there\" int; UPDATE {name} SET \"up there\" = id - 1 WHERE id > 1;
             ALTER TABLE {name} ADD CONSTRAINT \"to itself\" FOREIGN KEY (\"up there\") REFERENCES {target} NOT VALID;\n"
        );
        oracle += &format!("; ALTER TABLE {name} ALTER \"up there\" TYPE bigint");
    }
    if table.key == Key::Serial {
        oracle += &format!(
            "; DO $do$ BEGIN EXECUTE format('ALTER SEQUENCE %s AS bigint', {}); END $do$",
            table.sequence()
        );
    }
    let column = format!("{name}.id");
    Operation::new(ddl, &["widen-key", &column], oracle)
}

/// A column goes to a table whose rows refer to its own.
pub fn column(table: &Table, at: usize, pick: u32) -> Operation {
    let mut table = table.keyed([Key::Primary, Key::Unique, Key::Identity][pick as usize % 3]);
    let name = table.name;
    // What hangs on it and others too is refused, and names of what goes along are told by the cases written by hand.
    table.pair = false;
    table.statistics = false;
    table.clustered = false;
    let own = &mut table.columns[at];
    *own = Column {
        index: Vec::new(),
        unique: 7,
        check: None,
        refers: false,
        grant: false,
        settings: false,
        not_null: own.not_null && own.default,
        ..own.clone()
    };
    let (c, of) = (own.name, own.of.name);
    let default = own.default.then_some(own.of.constant);
    let not_null = own.not_null;
    let comment = own.comment.then(|| format!("of {at}''s \\ own"));
    let mut ddl = table.ddl();
    ddl += &format!(
        "CREATE TABLE {BESIDE} (\"its id\" bigint PRIMARY KEY CONSTRAINT \"a pair, too\" REFERENCES {name} (id) ON DELETE CASCADE, x int);
         INSERT INTO {BESIDE} SELECT id, id FROM {name};\n"
    );
    let new = if pick & 8 == 0 { c } else { "\"New, here\"" };
    let mut oracle = format!(
        "ALTER TABLE {BESIDE} ADD COLUMN {new} {of};
         UPDATE {BESIDE} t SET {new} = s.{c} FROM {name} s WHERE s.id = t.\"its id\""
    );
    if let Some(default) = default {
        oracle += &format!("; ALTER TABLE {BESIDE} ALTER {new} SET DEFAULT {default}");
    }
    if not_null {
        oracle += &format!("; ALTER TABLE {BESIDE} ALTER {new} SET NOT NULL");
    }
    if let Some(comment) = comment {
        oracle += &format!("; COMMENT ON COLUMN {BESIDE}.{new} IS '{comment}'");
    }
    oracle += &format!("; ALTER TABLE {name} DROP COLUMN {c}");
    let (from, to) = (format!("{name}.{c}"), format!("{BESIDE}.{new}"));
    Operation::new(ddl, &["move-column", &from, &to], oracle)
}
