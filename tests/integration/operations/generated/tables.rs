//! Tables that nobody thought of: odd names, types of all kinds, and whatever may hang on a column.

use proptest::prelude::*;

/// A column's type, with what makes values of it.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    pub name: &'static str,
    /// An expression over the number of the row, `n`.
    pub value: &'static str,
    pub constant: &'static str,
    /// A value that is seldom thought of.
    pub odd: &'static str,
    /// A condition over the column, `{c}`, that all values meet.
    pub check: &'static str,
    pub is_ordered: bool,
}

const fn ordered(
    name: &'static str,
    value: &'static str,
    constant: &'static str,
    odd: &'static str,
    check: &'static str,
) -> Type {
    Type {
        name,
        value,
        constant,
        odd,
        check,
        is_ordered: true,
    }
}

const TYPES: &[Type] = &[
    ordered(
        "text",
        "'text ' || n",
        "'it''s \\ \"x\"'",
        "E' \\t\\u00a0🐘 \\\\ ''\"$1;--'",
        "{c} <> ''",
    ),
    ordered(
        "character varying(40)",
        "'short ' || n",
        "'none'",
        "'NULL   '",
        "length({c}) < 40",
    ),
    ordered("integer", "n", "7", "2147483647", "{c} > 0"),
    ordered("bigint", "n", "8", "30", "{c} BETWEEN 1 AND 100000"),
    ordered("numeric(10,2)", "n * 1.25", "1.50", "'NaN'", "{c} >= 0"),
    ordered(
        "timestamp with time zone",
        "'2024-01-01 00:00Z'::timestamptz + n * interval '1 hour'",
        "'2024-01-01 00:00Z'",
        "'infinity'",
        "{c} > '2000-01-01 00:00Z'::timestamptz",
    ),
    ordered("boolean", "n % 2 = 0", "false", "true", "{c} OR NOT {c}"),
    ordered(
        "jsonb",
        "jsonb_build_object('n', n)",
        "'{\"n\": 0}'",
        "'{\"\": null, \"é\\\"\": [1.50, {}]}'",
        "jsonb_typeof({c}) = 'object'",
    ),
    ordered(
        "text[]",
        "ARRAY['a', n::text]",
        "'{}'",
        "'{NULL,\"\",\"a \\\" b\"}'",
        "cardinality({c}) < 5",
    ),
    ordered(
        "public.mood",
        "(ARRAY['sad', 'Ok, so', 'glad'])[1 + n % 3]::public.mood",
        "'glad'",
        "'Ok, so'",
        "{c} >= 'sad'::public.mood",
    ),
    Type {
        name: "point",
        value: "point(n, n)",
        constant: "'(0,0)'",
        odd: "'(-0,1e-300)'",
        check: "{c} <@ '((-1,-1),(100000,100000))'::box",
        is_ordered: false,
    },
];

/// Names of columns.
pub const NAMES: &[&str] = &[
    "name",
    "\"Name\"",
    "\"order\"",
    "\"a.b\"",
    "\"it\"\"s\"",
    "\"with space\"",
    "\"🐘\"",
    "a_name_that_is_as_long_as_postgresql_permits_in_bytes_so_63_of_",
    "paid",
    "id_2",
    "new",
    "\"$1\"",
];

/// Names of tables.
pub const TABLES: &[&str] = &[
    "users",
    "\"Users\"",
    "\"a.b c\"",
    "\"Odd Schema\".\"user's \"\"table\"\"\"",
    "\"Odd Schema\".t",
    "a_table_with_a_name_that_is_as_long_as_postgresql_permits_in_by",
    "\"Odd Schema\".\"🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘 63\"",
];

/// What tells the rows apart: the column `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Primary,
    Serial,
    Identity,
    /// A constraint.
    Unique,
    /// An index, `"one id"`.
    Index,
    /// The same, of a column that may be NULL.
    Nullable,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: &'static str,
    pub of: Type,
    pub not_null: bool,
    pub default: bool,
    pub comment: bool,
    pub grant: bool,
    pub settings: bool,
    /// It has a check, which is validated or not.
    pub check: Option<bool>,
    pub index: Vec<u8>,
    pub unique: u8,
    pub refers: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: Vec<Column>,
    /// `CHECK` over two columns.
    pub pair: bool,
    pub key: Key,
    pub trigger: Option<u8>,
    pub statistics: bool,
    pub noted: bool,
    pub clustered: bool,
}

fn column(name: &'static str) -> impl Strategy<Value = Column> {
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.2),
    );
    (
        prop::sample::select(TYPES),
        flags,
        prop::option::of(any::<bool>()),
        prop::collection::vec(0_u8..13, 0..3),
        prop::bool::weighted(0.2),
        0_u8..8,
        prop::bool::weighted(0.3),
    )
        .prop_map(
            move |(of, (not_null, default, comment, grant), check, index, settings, unique, refers)| Column {
                name,
                of,
                not_null,
                default,
                comment,
                grant,
                settings,
                check,
                index,
                unique,
                refers: refers && of.name == "bigint",
            },
        )
}

/// Any table.
pub fn table() -> impl Strategy<Value = Table> {
    let columns = prop::sample::subsequence(NAMES, 2..=4)
        .prop_flat_map(|names| names.into_iter().map(column).collect::<Vec<_>>());
    let key = prop_oneof![
        4 => Just(Key::Primary),
        1 => Just(Key::Serial),
        1 => Just(Key::Identity),
        1 => Just(Key::Unique),
        1 => Just(Key::Index),
        1 => Just(Key::Nullable),
    ];
    let features = (
        prop::bool::weighted(0.3),
        key,
        prop::option::weighted(0.3, 0_u8..4),
        prop::bool::weighted(0.15),
        any::<bool>(),
        prop::bool::weighted(0.2),
    );
    (prop::sample::select(TABLES), columns, features).prop_map(
        |(name, columns, (pair, key, trigger, statistics, noted, clustered))| Table {
            name,
            pair,
            key,
            trigger,
            statistics: statistics && columns[..2].iter().all(|column| column.of.is_ordered),
            noted,
            clustered,
            columns,
        },
    )
}
