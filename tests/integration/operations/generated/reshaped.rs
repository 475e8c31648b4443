//! Columns of a generated table that are made of others: split, merged, and taken out of documents.

use super::Operation;
use super::tables::{Column, NAMES, Table};

/// A name that no column of the table has.
fn new_name(table: &Table, pick: u32) -> &'static str {
    let taken = |name: &str| table.columns.iter().any(|column| column.name == name);
    let start = pick as usize % NAMES.len();
    let mut names = NAMES.iter().cycle().skip(start).copied();
    names.find(|name| !taken(name)).unwrap()
}

/// How a column comes apart: the parts' types, what they are made of, and the column of them.
fn parts(column: &Column, a: &str, b: &str, pick: u32) -> [String; 5] {
    let c = column.name;
    let own = |first: &str, second: &str, into: String, also: String, from: String| {
        [first.to_owned(), second.to_owned(), into, also, from]
    };
    let of = column.of.name;
    match of {
        "text" | "character varying(40)" => own(
            of,
            of,
            format!("left({c}, 3)"),
            format!("substr({c}, 4)"),
            format!("{a} || {b}"),
        ),
        "integer" | "bigint" => own(
            of,
            "smallint",
            format!("{c} / 10"),
            format!("({c} % 10)::smallint"),
            format!("{a} * 10 + {b}"),
        ),
        "text[]" if pick & 1 == 0 => own(
            of,
            of,
            format!("{c}[1:1]"),
            format!("{c}[2:]"),
            format!("{a} || {b}"),
        ),
        "point" => own(
            "float8",
            "float8",
            format!("{c}[0]"),
            format!("{c}[1]"),
            format!("point({a}, {b})"),
        ),
        _ => own(
            of,
            "boolean",
            c.to_owned(),
            format!("{c} IS NULL"),
            format!("CASE WHEN {b} THEN NULL ELSE {a} END"),
        ),
    }
}

/// One column becomes two.
pub fn split(table: &Table, at: usize, pick: u32) -> Operation {
    let (name, column) = (table.name, &table.columns[at]);
    let c = column.name;
    let (a, b) = (new_name(table, pick), "\"Second 🐘 part\"");
    let [first, second, into, also, from] = parts(column, a, b, pick);
    let full = format!("{name}.{c}");
    let (new_a, new_b) = (format!("{a}:{first}"), format!("{b}:{second}"));
    let mut arguments = vec![
        "split-column",
        &full,
        &new_a,
        &new_b,
        "--into",
        &into,
        "--into",
        &also,
        "--from",
        &from,
    ];
    let shared = table.shared(at);
    for one in &shared {
        arguments.extend(["--drop-dependent", one]);
    }
    let mut oracle = format!(
        "ALTER TABLE {name} ADD COLUMN {a} {first}, ADD COLUMN {b} {second};
         UPDATE {name} SET {a} = {into}, {b} = {also}; ALTER TABLE {name} DROP COLUMN {c}"
    );
    if column.not_null && pick & 2 == 0 {
        arguments.extend(["--not-null", a]);
        oracle += &format!(", ALTER COLUMN {a} SET NOT NULL");
    }
    if pick & 4 == 0 {
        arguments.extend(["--sync", "code"]);
    }
    Operation::new(table.ddl(), &arguments, oracle)
}

/// Two columns become one, where JSON can hold both.
pub fn merge(table: &Table, pick: u32) -> Option<Operation> {
    let fits = |column: &&Column| {
        let others = ["timestamp with time zone", "text[]", "public.mood", "point"];
        !others.contains(&column.of.name)
    };
    let [one, other] = table.columns.iter().filter(fits).take(2).collect::<Vec<_>>()[..] else {
        return None;
    };
    let (name, new) = (table.name, new_name(table, pick));
    let (c, d) = (one.name, other.name);
    let back = |column: &Column, at: usize| match column.of.name {
        "jsonb" => format!("nullif({new} -> {at}, 'null')"),
        of => format!("({new} ->> {at})::{of}"),
    };
    let (of, column) = (format!("{c},{d}"), format!("{new}:jsonb"));
    let into = format!("jsonb_build_array({c}, {d})");
    let (from, also) = (back(one, 0), back(other, 1));
    let mut arguments = vec![
        "merge-columns",
        name,
        &column,
        "--of",
        &of,
        "--into",
        &into,
        "--from",
        &from,
        "--from",
        &also,
    ];
    let place = |column: &Column| table.columns.iter().position(|one| one.name == column.name);
    let mut shared = table.shared(place(one).unwrap());
    shared.extend(table.shared(place(other).unwrap()));
    shared.sort();
    shared.dedup();
    for one in &shared {
        arguments.extend(["--drop-dependent", one]);
    }
    let mut oracle = format!(
        "ALTER TABLE {name} ADD COLUMN {new} jsonb; UPDATE {name} SET {new} = {into};
         ALTER TABLE {name} DROP COLUMN {c}, DROP COLUMN {d}"
    );
    if pick & 2 == 0 {
        arguments.push("--not-null");
        oracle += &format!(", ALTER COLUMN {new} SET NOT NULL");
    }
    if pick & 4 == 0 {
        arguments.extend(["--sync", "code"]);
    }
    Some(Operation::new(table.ddl(), &arguments, oracle))
}

/// A column is made of what stands in documents.
pub fn extract(table: &Table, pick: u32) -> Operation {
    let (name, new) = (table.name, new_name(table, pick));
    let documents = if pick & 1 == 0 { "jsonb" } else { "json" };
    let (path, keys) = [
        ("country", "{country}"),
        ("a.\"first.name\"", "{a,first.name}"),
        ("\"it's \"\"so\"\" 🐘\"", "{\"it's \\\"so\\\" 🐘\"}"),
        ("list[0].n", "{list,0,n}"),
    ][(pick >> 1) as usize % 4];
    let (of, value) = [
        ("text", "'v ''' || id"),
        ("integer", "id"),
        ("numeric(10,2)", "(id * 1.25)::numeric(10,2)"),
        ("boolean", "id % 2 = 0"),
        ("jsonb", "jsonb_build_array(id, NULL, 'x')"),
    ][(pick >> 3) as usize % 5];
    let keys = keys.replace('\'', "''");
    let documented = match (pick >> 1) % 4 {
        0 => format!("jsonb_build_object('country', {value}, 'other', 1)"),
        1 => format!("jsonb_build_object('a', jsonb_build_object('first.name', {value}))"),
        2 => format!("jsonb_build_object('it''s \"so\" 🐘', {value}, '', NULL)"),
        _ => format!("jsonb_build_object('list', jsonb_build_array(jsonb_build_object('n', {value})))"),
    };
    let ddl = table.ddl()
        + &format!(
            "ALTER TABLE {name} ADD \"doc's\" {documents};
             UPDATE {name} SET \"doc's\" = CASE WHEN id % 5 > 0 THEN {documented} WHEN id % 2 = 0 THEN '{{\"x\": null}}' END::{documents};\n"
        );
    let full = format!("{name}.\"doc's\"");
    let mut arguments = vec!["extract-json", &full, path, new, of];
    let made = match of {
        "jsonb" => format!("nullif(\"doc's\"::jsonb #> '{keys}', 'null')"),
        _ => format!("(\"doc's\" #>> '{keys}')::{of}"),
    };
    let mut oracle = format!("ALTER TABLE {name} ADD {new} {of}; UPDATE {name} SET {new} = {made}");
    if pick & 64 == 0 {
        arguments.push("--remove-key");
        oracle += &format!(
            "; UPDATE {name} SET \"doc's\" = (\"doc's\"::jsonb #- '{keys}')::{documents} WHERE {new} IS NOT NULL"
        );
    }
    Operation::new(ddl, &arguments, oracle)
}
