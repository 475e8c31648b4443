use std::sync::Arc;

use miette::NamedSource;

use super::*;
use crate::sql::script::{CrashProbe, Lock, LockMode};

fn source(text: &str) -> SourceText {
    Arc::new(NamedSource::new("test.sql", text.to_owned()))
}

fn script(text: &str) -> Script {
    match parse(&source(text), 0..text.len()) {
        Ok(script) => script,
        Err(problem) => panic!("{text}\n{problem}: {:?}", problem.place()),
    }
}

fn problem(text: &str) -> Problem {
    parse(&source(text), 0..text.len()).expect_err(text)
}

fn statement(text: &str) -> Statement {
    let mut statements: Vec<_> = script(text).statements().cloned().collect();
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0)
}

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

#[test]
fn semicolons_inside_something_end_no_statement() {
    let pieces = [
        "SELECT $$a;b$$",
        "SELECT $tag$ a; $$ ; $tag$",
        "SELECT $a$ $b$ ; $b$ $a$",
        "/* outer /* inner; */ still; */ SELECT 1",
        "SELECT E'\\'; SELECT 2'",
        "SELECT 'it''s; fine'",
        "SELECT U&'d\\0061t;a'",
        "CREATE TABLE \"a;b\" (\"c;\"\"d\" int)",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT a + 1; END",
        "CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); UPDATE t SET a = 2; END",
        "DO $do$ BEGIN PERFORM 1; IF true THEN RAISE NOTICE 'x;y'; END IF; END $do$",
        "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := 1; RETURN NEW; END $$",
        "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO u VALUES (1); INSERT INTO v VALUES (2))",
        "SELECT 1 -- a comment; with a semicolon\n + 1",
        "SELECT 'a'\n'b;c'",
        "SELECT 1 AS \"--x;\"",
        "ALTER TABLE t ADD COLUMN c text COLLATE \"de_DE\" DEFAULT 'x;y' NOT NULL",
    ];
    let whole = format!("{};\n", pieces.join(";\n"));
    let parsed = script(&whole);
    let texts: Vec<_> = parsed.statements().map(|one| one.text.clone()).collect();
    let expected: Vec<_> = pieces
        .iter()
        .map(|piece| {
            piece
                .trim_start_matches("/* outer /* inner; */ still; */ ")
                .to_owned()
        })
        .collect();
    assert_eq!(texts, expected);
    for one in parsed.statements() {
        assert_eq!(&whole[one.offset..one.offset + one.text.len()], one.text);
        assert_eq!(one.line as usize, whole[..one.offset].matches('\n').count() + 1);
    }
}

#[test]
fn offsets_are_those_of_the_whole_file_also_with_crlf_and_a_byte_order_mark() {
    let text = "\u{feff}-- first\r\nSELECT 1;\r\n\r\nSELECT\r\n 2";
    let parsed = script(text);
    let places: Vec<_> = parsed
        .statements()
        .map(|one| (one.line, one.text.as_str()))
        .collect();
    assert_eq!(places, [(2, "SELECT 1"), (4, "SELECT\r\n 2")]);

    let text = "SELECT 1;\nSELECT 2;\nSELECT 3;\n";
    let parsed = parse(&source(text), 10..19).unwrap();
    let only = parsed.statements().next().unwrap();
    assert_eq!((only.line, only.offset, only.text.as_str()), (2, 10, "SELECT 2"));
}

#[test]
fn empty_scripts_and_lone_semicolons_are_no_statements() {
    for text in ["", "  \n", "-- nothing\n", ";;\n;", "/* a; b */"] {
        assert!(script(text).steps.is_empty(), "{text:?}");
    }
}

#[test]
fn a_bracket_makes_one_step() {
    let parsed =
        script("SELECT 0; BEGIN; SELECT 1; SELECT 2; COMMIT; START TRANSACTION; SELECT 3; END; SELECT 4");
    let sizes: Vec<_> = parsed.steps.iter().map(|step| step.statements.len()).collect();
    assert_eq!(sizes, [1, 2, 1, 1]);
    for bad in [
        "BEGIN; SELECT 1",
        "SELECT 1; COMMIT",
        "BEGIN; BEGIN; COMMIT",
        "BEGIN; SELECT 1; ROLLBACK",
        "BEGIN; SAVEPOINT a; COMMIT",
        "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT",
        "BEGIN; SELECT 1; COMMIT AND CHAIN",
    ] {
        assert_eq!(problem(bad).exit(), Exit::Usage, "{bad}");
    }
    assert_eq!(
        problem("BEGIN; CREATE INDEX CONCURRENTLY i ON t (a); COMMIT").code(),
        "sql-not-transactional"
    );
}

#[test]
fn what_is_not_sql_is_refused_with_its_place() {
    let bad = problem("SELECT 1;\nALTER TABEL users ADD COLUMN a int;\nSELECT 2");
    assert_eq!(bad.exit(), Exit::Usage);
    assert!(bad.message().contains("test.sql"), "{bad}");
    let meta = problem("SELECT 1;\n\\i other.sql\n");
    assert_eq!(meta.code(), "sql-meta-command");
    assert!(
        meta.message().contains("test.sql:2") && meta.message().contains("\\i"),
        "{meta}"
    );
    let copy = problem("COPY t (a, b) FROM STDIN;\n1\tdon't\n\\.\nSELECT 1;");
    assert_eq!(copy.code(), "sql-copy-data");
    assert_eq!(problem("SELECT 'open").exit(), Exit::Usage);
    assert_eq!(problem("SELECT $$open").exit(), Exit::Usage);
    assert_eq!(problem("SELECT 1 /* open").exit(), Exit::Usage);
}

#[test]
fn statements_that_cannot_run_in_a_transaction_are_known_with_their_probe() {
    let probe = |text: &str| match statement(text).transactional {
        Transactional::No(probe) => Some(probe),
        Transactional::Yes => None,
    };
    assert_eq!(
        probe("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"Users_x\" ON app.users (a)"),
        Some(CrashProbe::IndexBuilt {
            index: table("app.\"Users_x\"")
        })
    );
    assert_eq!(
        probe("DROP INDEX CONCURRENTLY IF EXISTS app.users_x"),
        Some(CrashProbe::IndexDropped {
            index: table("app.users_x")
        })
    );
    assert_eq!(
        probe("ALTER TABLE a.p DETACH PARTITION a.p1 CONCURRENTLY"),
        Some(CrashProbe::PartitionDetached {
            parent: table("a.p"),
            partition: table("a.p1")
        })
    );
    for (text, relation) in [
        ("REINDEX INDEX CONCURRENTLY i", "i"),
        ("REINDEX (VERBOSE, CONCURRENTLY) TABLE s.\"T\"", "s.\"T\""),
    ] {
        let relation = table(relation);
        assert_eq!(probe(text), Some(CrashProbe::Reindexed { relation }), "{text}");
    }
    for text in [
        "VACUUM (ANALYZE) t",
        "REINDEX DATABASE d",
        "REINDEX SCHEMA CONCURRENTLY s",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "CLUSTER",
        "DISCARD ALL",
    ] {
        assert_eq!(probe(text), Some(CrashProbe::Repeatable), "{text}");
    }
    for text in [
        "CREATE DATABASE d",
        "DROP DATABASE d",
        "DROP TABLESPACE d",
        "DO $$ BEGIN FOR i IN 1..3 LOOP UPDATE t SET a = i; COMMIT; END LOOP; END $$",
    ] {
        assert_eq!(probe(text), Some(CrashProbe::None), "{text}");
    }
    for text in [
        "CREATE INDEX i ON t (a)",
        "CREATE INDEX ON t (a)",
        "DROP INDEX i",
        "REINDEX TABLE t",
        "CLUSTER t USING i",
        "CLUSTER i ON t",
        "ALTER TYPE e ADD VALUE 'x'",
        "ALTER TABLE p DETACH PARTITION p1",
        "ANALYZE t",
        "DO $$ BEGIN PERFORM 1; END $$",
        "COMMENT ON TABLE t IS 'CREATE INDEX CONCURRENTLY'",
        "SELECT 'VACUUM'",
    ] {
        assert_eq!(probe(text), None, "{text}");
    }
    assert_eq!(
        problem("CREATE INDEX CONCURRENTLY ON t (a)").code(),
        "sql-unnamed-index"
    );
}

#[test]
fn locks_are_read_from_the_statement() {
    use LockMode::*;
    type Case = (&'static str, &'static [(&'static str, LockMode, bool)]);
    let cases: &[Case] = &[
        (
            "ALTER TABLE app.users ADD COLUMN a text",
            &[("app.users", AccessExclusive, false)],
        ),
        (
            "ALTER TABLE users ADD COLUMN a timestamptz NOT NULL DEFAULT now()",
            &[("users", AccessExclusive, false)],
        ),
        (
            "ALTER TABLE users ADD COLUMN a uuid DEFAULT gen_random_uuid()",
            &[("users", AccessExclusive, true)],
        ),
        (
            "ALTER TABLE users ADD COLUMN a bigserial",
            &[("users", AccessExclusive, true)],
        ),
        (
            "ALTER TABLE users ADD COLUMN a int CHECK (a > 0)",
            &[("users", AccessExclusive, true)],
        ),
        (
            "ALTER TABLE users ADD COLUMN a int GENERATED ALWAYS AS (b + 1) STORED",
            &[("users", AccessExclusive, true)],
        ),
        (
            "ALTER TABLE users ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
            &[("users", AccessExclusive, false)],
        ),
        (
            "ALTER TABLE users ADD CONSTRAINT c CHECK (a > 0)",
            &[("users", AccessExclusive, true)],
        ),
        (
            "ALTER TABLE users VALIDATE CONSTRAINT c",
            &[("users", ShareUpdateExclusive, true)],
        ),
        (
            "ALTER TABLE users ALTER COLUMN a SET NOT NULL",
            &[("users", AccessExclusive, true)],
        ),
        (
            "ALTER TABLE users ALTER a TYPE bigint",
            &[("users", AccessExclusive, true)],
        ),
        (
            "ALTER TABLE users ALTER a SET STATISTICS 100",
            &[("users", ShareUpdateExclusive, false)],
        ),
        (
            "ALTER TABLE o ADD CONSTRAINT f FOREIGN KEY (u) REFERENCES app.users (id) NOT VALID",
            &[
                ("app.users", ShareRowExclusive, false),
                ("o", ShareRowExclusive, false),
            ],
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX i",
            &[("t", AccessExclusive, false)],
        ),
        ("ALTER TABLE t ADD UNIQUE (a)", &[("t", AccessExclusive, true)]),
        ("ALTER TABLE t DROP COLUMN a", &[("t", AccessExclusive, false)]),
        ("CREATE INDEX i ON t (a)", &[("t", Share, true)]),
        (
            "CREATE INDEX CONCURRENTLY i ON t (a)",
            &[("t", ShareUpdateExclusive, true)],
        ),
        (
            "DROP TABLE a, b.c",
            &[("a", AccessExclusive, false), ("b.c", AccessExclusive, false)],
        ),
        ("UPDATE t SET a = 1", &[("t", RowExclusive, true)]),
        ("UPDATE t SET a = 1 WHERE id = 2", &[("t", RowExclusive, false)]),
        ("DELETE FROM t WHERE a", &[("t", RowExclusive, false)]),
        ("INSERT INTO t VALUES (1)", &[("t", RowExclusive, false)]),
        (
            "WITH d AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM d",
            &[("b", RowExclusive, true), ("a", RowExclusive, true)],
        ),
        (
            "COMMENT ON COLUMN app.users.name IS 'x'",
            &[("app.users", ShareUpdateExclusive, false)],
        ),
        (
            "COMMENT ON TABLE users IS 'x'",
            &[("users", ShareUpdateExclusive, false)],
        ),
        (
            "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
            &[("t", ShareRowExclusive, false)],
        ),
        ("DROP TRIGGER x ON t", &[("t", AccessExclusive, false)]),
        (
            "TRUNCATE a, b",
            &[("a", AccessExclusive, false), ("b", AccessExclusive, false)],
        ),
        ("LOCK TABLE t IN SHARE MODE", &[("t", Share, false)]),
        ("LOCK t", &[("t", AccessExclusive, false)]),
        ("VACUUM FULL t", &[("t", AccessExclusive, true)]),
        ("VACUUM t", &[("t", ShareUpdateExclusive, true)]),
        (
            "ALTER TABLE ONLY \"Weird.Name\" RENAME COLUMN a TO b",
            &[("\"Weird.Name\"", AccessExclusive, false)],
        ),
        (
            "CREATE TABLE o (id int, u int REFERENCES users (id), p int REFERENCES o)",
            &[("users", ShareRowExclusive, false)],
        ),
        (
            "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
            &[("m", Exclusive, true)],
        ),
        ("GRANT SELECT ON t TO app", &[]),
    ];
    for (text, expected) in cases {
        let expected: Vec<Lock> = expected
            .iter()
            .map(|(name, mode, long)| Lock {
                table: Some(table(name)),
                mode: *mode,
                long: *long,
            })
            .collect();
        assert_eq!(statement(text).locks, expected, "{text}");
    }
}

#[test]
fn summaries_are_one_short_line() {
    let summary = |text: &str| statement(text).summary;
    assert_eq!(
        summary("ALTER TABLE users -- why\n\n   ADD COLUMN /* what */ display_name text;"),
        "ALTER TABLE users ADD COLUMN display_name text"
    );
    let long = summary(&format!("SELECT {}", "'ä' || ".repeat(60) + "''"));
    assert_eq!(long.chars().count(), 76);
    assert!(long.ends_with('…'));
}

#[test]
fn one_expression_is_one_and_tricks_are_not() {
    for good in [
        "name",
        "display_name IS NOT DISTINCT FROM name",
        "a -- why",
        "(a) + (b)",
        "CASE WHEN a THEN 'x;y' ELSE $$)$$ END",
        "(SELECT max(x) FROM t)",
        "E'\\')' || \"col)\"",
        "coalesce(a, '') || '--'",
        "a /* ) */ + 1",
        "NULL::varchar(10)",
        "ARRAY[1,2]",
    ] {
        assert_eq!(check_expression(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "  ",
        "a, b",
        "a); DROP TABLE t; --",
        "a) + (b",
        "a) FROM t WHERE (true",
        "a; b",
        "a AS b",
        "a /* open",
        "'open",
        "SELECT 1",
        "a))",
        "*",
        "-- only a comment",
        "a) -- ",
        "1) UNION SELECT (2",
    ] {
        assert!(check_expression(bad).is_err(), "{bad}");
    }
}

#[test]
fn one_mistake_is_one_problem() {
    let bad = problem("SELECT 1;\nCREATE TABEL x(a int);\nSELECT 2;");
    assert_eq!(bad.code(), "sql-syntax");
    assert!(bad.related().is_empty());
    assert!(bad.message().starts_with("test.sql:2"), "{bad}");
}

#[test]
fn no_text_makes_the_parser_panic() {
    let seed = "CREATE TABLE t (a int DEFAULT 'x', \"b\" text[]); SELECT $$a$$ || E'\\'' -- c\n /* d */; \
                ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID; INSERT INTO t VALUES (1, U&'x') RETURNING *; \
                CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; COPY t FROM STDIN; \\d t\n ä\u{feff}";
    let mut random = fastrand::Rng::with_seed(7);
    let pieces: Vec<&str> = seed.split_inclusive([' ', '(', '\'', '$', ';', '"']).collect();
    for _ in 0..3000 {
        let text: String = (0..random.usize(0..24))
            .map(|_| pieces[random.usize(0..pieces.len())])
            .collect();
        let _ = parse(&source(&text), 0..text.len());
        let _ = check_expression(&text);
        let _ = line_comments(&text);
    }
}

#[test]
fn modes_conflict_as_the_manual_says() {
    // The table of the manual ("Conflicting Lock Modes"), one line a mode, weak to strong.
    let manual = [
        "       X", "      XX", "    XXXX", "   XXXXX", "  XX XXX", "  XXXXXX", " XXXXXXX", "XXXXXXXX",
    ];
    for (one, line) in LockMode::ALL.into_iter().zip(manual) {
        for (other, cell) in LockMode::ALL.into_iter().zip(line.chars()) {
            assert_eq!(one.conflicts_with(other), cell == 'X', "{one:?} {other:?}");
        }
    }
}

#[test]
fn a_scan_under_a_lock_that_others_wait_for_is_found() {
    let found = |text: &str| {
        let script = script(text);
        let step = script.steps.first().unwrap();
        step.scan_under_lock()
            .map(|(locks, scans)| (locks.line, scans.line))
    };
    let add = "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;";
    let validate = "ALTER TABLE t VALIDATE CONSTRAINT c;";
    assert_eq!(
        found(&format!("BEGIN;\n{add}\n{validate}\nCOMMIT;")),
        Some((2, 3))
    );
    assert_eq!(
        found(&format!(
            "BEGIN;\nALTER TABLE other ADD x int;\nSELECT 1;\n{validate}\nCOMMIT;"
        )),
        Some((2, 4))
    );
    assert_eq!(
        found("BEGIN;\nALTER TABLE t ADD x int;\nUPDATE t SET x = 1;\nCOMMIT;"),
        Some((2, 3))
    );
    // By themselves, in the other order, or for some rows.
    assert_eq!(found(&format!("{add}\n{validate}")), None);
    assert_eq!(found(&format!("BEGIN;\n{validate}\n{add}\nCOMMIT;")), None);
    assert_eq!(
        found("BEGIN; ALTER TABLE t ADD x int; UPDATE t SET x = 1 WHERE id = 1; COMMIT;"),
        None
    );
}

#[test]
fn a_foreign_key_that_is_made_anew_locks_the_other_table_as_its_drop_does() {
    let locks = |sql: &str| -> Vec<(TableName, LockMode)> {
        let locks = statement(sql).locks;
        locks
            .into_iter()
            .filter_map(|lock| Some((lock.table?, lock.mode)))
            .collect()
    };
    let fresh = locks("ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES p NOT VALID");
    assert!(
        fresh.contains(&(table("p"), LockMode::ShareRowExclusive)),
        "{fresh:?}"
    );
    let again = locks(
        "ALTER TABLE t DROP CONSTRAINT k, ALTER a TYPE text, ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES p NOT VALID",
    );
    assert!(
        again.contains(&(table("p"), LockMode::AccessExclusive)),
        "{again:?}"
    );
}
