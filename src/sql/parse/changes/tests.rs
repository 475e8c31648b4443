//! What statements are told to change.

use super::*;
use crate::domain::ColumnName;
use crate::safety::proof::{ConstraintKind, Firing, NewColumn};

fn name(text: &str) -> SqlIdentifier {
    text.parse().unwrap()
}

fn column_of(text: &str) -> ColumnName {
    text.parse().unwrap()
}

#[test]
fn columns_that_come_go_and_change_are_told() {
    let added = |not_null, filled| {
        vec![Change::AddColumn {
            table: "public.t".parse().unwrap(),
            column: NewColumn {
                name: name("c"),
                not_null,
                filled,
                generated: false,
            },
            lenient: false,
        }]
    };
    assert_eq!(
        changes("ALTER TABLE public.t ADD COLUMN c text"),
        added(false, false)
    );
    assert_eq!(
        changes("ALTER TABLE public.t ADD c text NOT NULL"),
        added(true, false)
    );
    assert_eq!(
        changes("ALTER TABLE public.t ADD c int NOT NULL DEFAULT 0"),
        added(true, true)
    );
    assert_eq!(changes("ALTER TABLE public.t ADD c bigserial"), added(true, true));
    assert_eq!(
        changes("ALTER TABLE t DROP COLUMN IF EXISTS \"C\", RENAME a TO b").first(),
        Some(&Change::DropColumn {
            column: column_of("t.\"C\""),
            lenient: true,
            cascade: false
        })
    );
    assert_eq!(
        changes("ALTER TABLE ONLY t ALTER c DROP NOT NULL, ALTER COLUMN c SET DEFAULT 1"),
        [
            Change::NotNull {
                column: column_of("t.c"),
                on: false
            },
            Change::Default {
                column: column_of("t.c"),
                on: true
            }
        ]
    );
    assert_eq!(
        changes("ALTER TABLE s.t RENAME COLUMN a TO b"),
        [Change::RenameColumn {
            from: column_of("s.t.a"),
            to: name("b")
        }]
    );
    assert_eq!(
        changes("ALTER TABLE s.t RENAME TO u"),
        [Change::RenameTable {
            from: "s.t".parse().unwrap(),
            to: "s.u".parse().unwrap()
        }]
    );
    assert_eq!(changes("ALTER VIEW s.t OWNER TO u"), []);
    for changed in [
        "ALTER VIEW s.t RENAME TO u",
        "ALTER VIEW s.t RENAME COLUMN a TO b",
    ] {
        assert!(
            matches!(changes(changed)[..], [Change::NotUnderstood { .. }]),
            "{changed}"
        );
    }
}

#[test]
fn partitions_come_and_go_like_columns_and_come_with_a_check() {
    let rows = |text: &str| ColumnName {
        table: "s.t".parse().unwrap(),
        column: SqlIdentifier::from_catalog(text),
    };
    let came = changes("ALTER TABLE s.t ATTACH PARTITION s.\"P 1\" FOR VALUES FROM (1) TO (2)");
    assert!(
        matches!(
            &came[..],
            [Change::AddColumn { table, column, .. }, Change::AddConstraint { table: partition, kind: ConstraintKind::Check, .. }]
                if *table == "s.t".parse().unwrap() && column.name == rows("rows of P 1").column
                    && *partition == "s.\"P 1\"".parse().unwrap()
        ),
        "{came:?}"
    );
    for (sql, lenient) in [
        ("ALTER TABLE s.t DETACH PARTITION s.p CONCURRENTLY", false),
        ("ALTER TABLE s.t DETACH PARTITION p", false),
        ("ALTER TABLE s.t DETACH PARTITION p FINALIZE", true),
    ] {
        let gone = Change::DropColumn {
            column: rows("rows of p"),
            lenient,
            cascade: false,
        };
        assert_eq!(changes(sql), [gone], "{sql}");
    }
}

#[test]
fn constraints_are_told_with_their_columns() {
    let told = |sql: &str| match changes(sql).into_iter().next() {
        Some(Change::AddConstraint {
            name, kind, columns, ..
        }) => {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            (
                name.map(|name| name.to_string()).unwrap_or_default(),
                kind,
                columns.join(" "),
            )
        }
        other => panic!("{sql}: {other:?}"),
    };
    for (sql, named, kind, columns) in [
        (
            "ALTER TABLE t ADD CONSTRAINT k CHECK (c IS NOT NULL) NOT VALID",
            "k",
            ConstraintKind::NotNull,
            "c",
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT k CHECK (lower(a) <> b)",
            "k",
            ConstraintKind::Check,
            "a b",
        ),
        (
            "ALTER TABLE t ADD UNIQUE (a, b)",
            "t_a_b_key",
            ConstraintKind::Unique,
            "a b",
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES o (x) NOT VALID",
            "f",
            ConstraintKind::ForeignKey,
            "a",
        ),
        (
            "CREATE UNIQUE INDEX CONCURRENTLY i ON t USING btree (lower(c))",
            "i",
            ConstraintKind::Unique,
            "c",
        ),
        ("ALTER TABLE t ALTER c TYPE bigint", "", ConstraintKind::Type, "c"),
    ] {
        assert_eq!(told(sql), (named.to_owned(), kind, columns.to_owned()), "{sql}");
    }
    assert_eq!(changes("ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX i"), []);
    assert_eq!(
        changes("ALTER TABLE t DROP CONSTRAINT IF EXISTS k"),
        [Change::DropConstraint {
            table: Some("t".parse().unwrap()),
            name: name("k")
        }]
    );
    assert_eq!(
        changes("DROP INDEX CONCURRENTLY s.k"),
        [Change::DropConstraint {
            table: None,
            name: name("k")
        }]
    );
}

#[test]
fn tables_views_and_updates_are_told() {
    let [Change::NewTable { columns, .. }] = &changes(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text NOT NULL, b text, CHECK (b > a))",
    )[..] else {
        panic!();
    };
    let told: Vec<(String, bool, bool)> = columns
        .iter()
        .map(|column| (column.name.to_string(), column.not_null, column.filled))
        .collect();
    assert_eq!(
        told,
        [
            ("id".to_owned(), true, true),
            ("a".to_owned(), true, false),
            ("b".to_owned(), false, false)
        ]
    );
    let [
        Change::NewTable {
            columns,
            lenient: true,
            ..
        },
        Change::View { reads, .. },
    ] = &changes("CREATE OR REPLACE VIEW v AS SELECT t.a, lower(b) AS c FROM t")[..]
    else {
        panic!();
    };
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(reads[..], [column_of("t.a"), column_of("t.b")]);
    assert_eq!(
        changes("UPDATE t SET a = lower(b) WHERE a IS NULL"),
        [Change::Fill(Fill {
            table: "t".parse().unwrap(),
            columns: vec![(name("a"), vec![name("b")])],
            looked_up: Vec::new(),
            paired: Vec::new(),
            by_trigger: false
        })]
    );
}

#[test]
fn a_trigger_is_told_with_what_its_function_sets() {
    let function = "CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.a = NEW.b THEN \
                    NEW.b := NEW.a; ELSE new.\"C\":= 1; END IF; RETURN NEW; END$$";
    assert_eq!(
        changes(function),
        [Change::Function {
            name: name("f"),
            sets: vec![name("b"), name("\"C\"")],
            names: vec![name("a"), name("b"), name("\"C\"")],
            updates: Vec::new(),
            replaces: false
        }]
    );
    assert_eq!(
        changes("CREATE TRIGGER x BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.f()"),
        [Change::AddTrigger {
            table: "s.t".parse().unwrap(),
            name: name("x"),
            function: name("f"),
            fires: Firing {
                before_row: true,
                after_row: false,
                on_insert: true,
                on_update: false,
                of: Vec::new(),
                when: None
            }
        }]
    );
    assert_eq!(
        changes("DROP TRIGGER IF EXISTS x ON s.t"),
        [Change::DropTrigger {
            table: "s.t".parse().unwrap(),
            name: name("x")
        }]
    );
}

#[test]
fn nothing_is_passed_over_in_silence() {
    for sql in [
        "DO $$ BEGIN END $$",
        "DELETE FROM t",
        "UPDATE t SET a = 1 WHERE id < 10",
        "ALTER TABLE t DISABLE TRIGGER ALL",
        "CREATE OR REPLACE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA s CREATE TABLE t (a int)",
        "CREATE RULE r AS ON INSERT TO t DO NOTHING",
        "CREATE VIEW v AS SELECT * FROM t",
        "ALTER TABEL t",
    ] {
        assert!(
            matches!(changes(sql)[..], [Change::NotUnderstood { .. }]),
            "{sql}: {:?}",
            changes(sql)
        );
    }
    for sql in [
        "CREATE INDEX CONCURRENTLY i ON t (c)",
        "CREATE SCHEMA s",
        "COMMENT ON COLUMN t.c IS 'DROP'",
        "ALTER TABLE t ALTER c SET STATISTICS 500",
        "GRANT SELECT (c) ON t TO PUBLIC",
    ] {
        assert_eq!(changes(sql), [], "{sql}");
    }
}

#[test]
fn an_expression_reads_columns_and_calls_functions() {
    let read = |text: &str| -> Vec<String> {
        let (columns, _) = columns_read(text, &"s.u".parse().unwrap());
        columns.iter().map(ToString::to_string).collect()
    };
    assert_eq!(read("coalesce(lower(u.a), b || 'c'::text)"), ["a", "b"]);
    assert_eq!(read("pg_catalog.lower(\"A\")"), ["\"A\""]);
    assert_eq!(read("'basic'"), Vec::<String>::new());
    // What a query in it finds elsewhere is no column of this table, but what it says is of this one.
    assert_eq!(
        read("a || (SELECT o.b FROM o WHERE o.id = u.c AND d)"),
        ["a", "c"]
    );
    assert!(columns_read("(SELECT 1)", &"u".parse().unwrap()).1);
}

#[test]
fn values_of_enum_types_come_like_columns() {
    let value = |sql: &str| match changes(sql).as_slice() {
        [
            Change::AddColumn {
                table,
                column,
                lenient,
            },
        ] => Some((table.to_string(), column.name.as_str().to_owned(), *lenient)),
        _ => None,
    };
    for (sql, table, name, lenient) in [
        ("ALTER TYPE mood ADD VALUE 'it''s'", "mood", "it's", false),
        (
            "ALTER TYPE s.\"M\" ADD VALUE IF NOT EXISTS E'a\\\\b''' AFTER 'x'",
            "s.\"M\"",
            "a\\b'",
            true,
        ),
    ] {
        assert_eq!(
            value(sql),
            Some((table.to_owned(), name.to_owned(), lenient)),
            "{sql}"
        );
    }
    for sql in [
        "ALTER TYPE mood ADD VALUE E'\\n'",
        "ALTER TYPE mood RENAME VALUE 'a' TO 'b'",
        "ALTER TYPE mood ADD ATTRIBUTE a int",
    ] {
        assert!(
            matches!(changes(sql).as_slice(), [Change::NotUnderstood { .. }]),
            "{sql}"
        );
    }
}

#[test]
fn a_column_that_is_looked_up_is_known_by_its_table() {
    let found = |expression: &str| column_looked_up(expression).map(|column| column.to_string());
    let some = |text: &str| Some(text.to_owned());
    let lookup = "(SELECT theirs.bio FROM s.users AS theirs WHERE theirs.id = profiles.user_id)";
    assert_eq!(found(lookup), some("s.users.bio"));
    assert_eq!(
        found(&format!("coalesce({lookup}, ('x'::text)::text)")),
        some("s.users.bio")
    );
    assert_eq!(
        found("(SELECT users.\"B\" FROM users WHERE users.id = id)"),
        some("users.\"B\"")
    );
    for other in [
        "bio",
        "(SELECT max(theirs.bio) FROM users AS theirs)",
        "(SELECT bio FROM users)",
        "(SELECT t.bio FROM users AS theirs, t)",
        "(SELECT t.bio FROM users AS t JOIN other AS o ON o.id = t.id)",
        "(SELECT t.a FROM t) || (SELECT t.b FROM t)",
    ] {
        assert_eq!(found(other), None, "{other}");
    }
}

#[test]
fn a_function_is_told_with_the_rows_of_others_that_it_sets() {
    let function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
        SELECT theirs.a INTO x.held FROM t AS theirs FOR NO KEY UPDATE;
        UPDATE s.\"T\" AS theirs SET a = NEW.b WHERE theirs.id = NEW.id;
        UPDATE t SET \"C\" = new.d;
        UPDATE t SET e = theirs.e; UPDATE t SET f = OLD.f; -- UPDATE t SET g = NEW.g
        INSERT INTO t (a) VALUES (1) ON CONFLICT DO UPDATE SET h = NEW.h; RETURN NULL; END$$";
    let [Change::Function { updates, .. }] = &changes(function)[..] else {
        panic!();
    };
    assert_eq!(
        updates[..],
        [
            (column_of("s.\"T\".a"), name("b")),
            (column_of("t.\"C\""), name("d"))
        ]
    );
}
