//! The ways through which the campaign goes: every kind of phase, in both directions, and the plain migration runner.

/// A project, a database, and what is run in it, one station after the other.
pub struct Scenario {
    /// Its name, which is also that of its database.
    pub name: &'static str,
    /// Makes the database's contents.
    pub setup: String,
    /// The repository's files.
    pub files: Vec<(String, String)>,
    /// A command that generates the plan, where the files do not hold it.
    pub generated_by: Option<&'static [&'static str]>,
    /// The plan that the releases belong to.
    pub plan: &'static str,
    /// A commit each: `first`, or the code phase that it ships.
    pub releases: &'static [&'static str],
    pub stations: Vec<Station>,
}

/// One command, with the code that is deployed while it runs.
#[derive(Clone, Copy)]
pub struct Station {
    /// What it shows, for people.
    pub title: &'static str,
    /// The code that each of the two services runs; nothing is deployed where it is none of the releases.
    pub code: [&'static str; 2],
    pub args: &'static [&'static str],
    /// Its exit code when nothing disturbs it.
    pub exit: i32,
    /// Whether the campaign disturbs it; else it only leads to the next.
    pub disturbed: bool,
    /// Run in the database before it.
    pub before: &'static str,
    /// Where it is killed on the way to the next station.
    pub killed_at: Option<&'static str>,
}

impl Station {
    const fn new(title: &'static str, code: &'static str, args: &'static [&'static str]) -> Self {
        Self {
            title,
            code: [code, code],
            args,
            exit: 0,
            disturbed: true,
            before: "",
            killed_at: None,
        }
    }

    /// A station that is only passed.
    const fn passing(code: &'static str, args: &'static [&'static str]) -> Self {
        Self {
            disturbed: false,
            ..Self::new("", code, args)
        }
    }

    const fn exit(self, exit: i32) -> Self {
        Self { exit, ..self }
    }

    const fn after(self, before: &'static str) -> Self {
        Self { before, ..self }
    }
}

const PLAN: &str = "rename-users-name";
const NOTHING: &str = "nothing";

const SERVICES: &str = r#"
[[environments.production.services]]
name = "web"
source = { kind = "connections", application_name = "web@{commit}" }

[[environments.production.services]]
name = "worker"
source = { kind = "connections", application_name = "worker@{commit}" }
"#;

/// Notes every write of a row, in the transaction of the write.
const TOUCHED: &str = "
    CREATE TABLE touched (id text);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
      $$BEGIN INSERT INTO touched VALUES (to_jsonb(NEW) ->> 'id'); RETURN NULL; END$$;";

/// Notes every change of the schema, in its transaction, so that one that is made twice shows even where that changes
/// nothing. Not of indexes: one whose build was cut off is rightly dropped and built again.
const ALTERED: &str = "
    CREATE TABLE altered (what text);
    CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS
      $$BEGIN IF tg_tag !~ ' INDEX$' THEN INSERT INTO altered VALUES (tg_tag); END IF; END$$;
    CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note();";

/// A way through the rename whose constraint comes with what cannot run in a transaction.
const CONSTRAIN: &str = "-- UP\n\
    CREATE INDEX CONCURRENTLY users_display_name_idx ON users (display_name);\n\
    ALTER TABLE users ADD CONSTRAINT c CHECK (display_name IS NOT NULL) NOT VALID;\n\
    ALTER TABLE users VALIDATE CONSTRAINT c;\n\
    ALTER TABLE users ALTER COLUMN display_name SET NOT NULL;\n\
    ALTER TABLE users DROP CONSTRAINT c;\n\
    -- DOWN\n\
    ALTER TABLE users ALTER COLUMN display_name DROP NOT NULL;\n\
    DROP INDEX CONCURRENTLY users_display_name_idx;\n";

/// An index that cannot be built as long as two rows are alike.
const UNIQUE: &str = "-- UP\n\
    ALTER TABLE users ADD CONSTRAINT a CHECK (display_name <> '') NOT VALID;\n\
    CREATE UNIQUE INDEX CONCURRENTLY users_display_name_key ON users (display_name);\n\
    -- DOWN\n\
    DROP INDEX CONCURRENTLY users_display_name_key;\n\
    ALTER TABLE users DROP CONSTRAINT a;\n";

/// A block that commits in parts: after a kill, nothing in the database tells how far it came.
const BLOCK: &str = "-- UP\n\
    ALTER TABLE users ADD COLUMN display_name text;\n\
    DO $$BEGIN INSERT INTO ran VALUES (1); COMMIT; INSERT INTO ran VALUES (2); END$$;\n\
    ALTER TABLE users ALTER COLUMN display_name SET STATISTICS 200;\n\
    -- DOWN\n\
    ALTER TABLE users DROP COLUMN display_name;\n";

fn config(services: &str) -> (String, String) {
    (
        "shipctl.toml".to_owned(),
        format!(
            "[project]\nplans = \"plans\"\nmigrations = \"migrations\"\ntemplates = \"templates\"\n\n\
             [environments.production]\ndatabase = \"env:DATABASE_URL\"\n{services}"
        ),
    )
}

fn users(rows: u32) -> String {
    format!(
        "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
         INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, {rows}) AS i;
         {TOUCHED}
         CREATE TRIGGER touch AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
             {ALTERED}"
    )
}

/// The sample rename with one migration replaced, and without the time that its drop soaks.
fn sample(replaced: Option<(&str, &str)>) -> Vec<(String, String)> {
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let plan = std::fs::read_to_string(samples.join(format!("{PLAN}.toml"))).unwrap();
    let mut files = vec![
        config(SERVICES),
        (format!("plans/{PLAN}.toml"), plan.replace(", soak = \"24h\"", "")),
    ];
    for file in std::fs::read_dir(samples.join("migrations")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = match replaced {
            Some((part, text)) if name.contains(part) => text.to_owned(),
            _ => std::fs::read_to_string(&path).unwrap(),
        };
        files.push((format!("migrations/{name}"), text));
    }
    files
}

/// All of them, the longest last.
pub fn all() -> Vec<Scenario> {
    vec![
        migrate_refused(),
        migrate(),
        keyless(),
        in_doubt(),
        tainted(),
        refused(),
        sync_trigger(),
        rename(),
    ]
}

fn rename() -> Scenario {
    let station = Station::new;
    Scenario {
        name: "rename",
        setup: users(700),
        files: sample(Some(("constrain", CONSTRAIN))),
        generated_by: None,
        plan: PLAN,
        releases: &["first", "dual-write", "switch-read", "stop-write"],
        stations: vec![
            station("expand", "first", &["run", PLAN, "--to", "add"]),
            station("backfill", "dual-write", &["run", PLAN, "--to", "backfill"]),
            station(
                "expand, concurrently",
                "dual-write",
                &["run", PLAN, "--to", "constrain"],
            ),
            station("relax", "switch-read", &["run", PLAN, "--to", "relax"]),
            Station::passing("stop-write", &["approve", PLAN, "drop", "--reason", "reviewed"]),
            station("contract", "stop-write", &["run", PLAN]),
            station(
                "undo contract, restore",
                "stop-write",
                &["rollback", PLAN, "--to", "stop-write"],
            ),
            Station {
                code: ["switch-read", "stop-write"],
                ..station(
                    "restore, overridden",
                    "",
                    &[
                        "rollback",
                        PLAN,
                        "--to",
                        "relax",
                        "--override",
                        "new-version-running",
                        "--reason",
                        "it only reads",
                    ],
                )
            },
            station(
                "restore, undo relax",
                "switch-read",
                &["rollback", PLAN, "--to", "switch-read"],
            ),
            station(
                "undo expand, concurrently",
                "dual-write",
                &["rollback", PLAN, "--to", "dual-write"],
            ),
            station("undo expand", "first", &["rollback", PLAN, "--all"]),
        ],
    }
}

fn sync_trigger() -> Scenario {
    let station = Station::new;
    Scenario {
        name: "sync_trigger",
        setup: format!(
            "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL DEFAULT 'unnamed', other int DEFAULT 0,
                 CHECK (name <> ''));
             CREATE UNIQUE INDEX users_name_id ON users (lower(name), id);
             CREATE INDEX users_name ON users (name);
             INSERT INTO users SELECT n, 'name ' || n FROM generate_series(1, 300) n;
             {TOUCHED}
             CREATE TRIGGER touch AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
             {ALTERED}"
        ),
        files: vec![config(SERVICES)],
        generated_by: Some(&[
            "plan",
            "rename",
            "users.name",
            "display_name",
            "--sync",
            "trigger",
            "--soak",
            "0s",
            "--approvals",
            "0",
        ]),
        plan: PLAN,
        releases: &["first", "switch"],
        stations: vec![
            station(
                "expand to constrain, trigger",
                "first",
                &["run", PLAN, "--to", "constrain"],
            ),
            station("contract, trigger", "switch", &["run", PLAN]),
            station(
                "undo contract, trigger",
                "switch",
                &["rollback", PLAN, "--to", "switch"],
            ),
            station("undo all, trigger", "first", &["rollback", PLAN, "--all"]),
        ],
    }
}

fn refused() -> Scenario {
    const TO_CONSTRAIN: &[&str] = &["run", PLAN, "--to", "constrain"];
    Scenario {
        name: "refused",
        setup: users(50) + "INSERT INTO users VALUES (1001, 'twice'), (1002, 'twice');",
        files: sample(Some(("constrain", UNIQUE))),
        generated_by: None,
        plan: PLAN,
        releases: &["first", "dual-write"],
        stations: vec![
            Station::passing("first", &["run", PLAN, "--to", "add"]),
            Station::passing("dual-write", &["run", PLAN, "--to", "backfill"]),
            Station::new("a phase that fails", "dual-write", TO_CONSTRAIN).exit(5),
            Station::new("undo of what failed", "first", &["rollback", PLAN, "--all"]),
            Station::passing("first", &["run", PLAN, "--to", "add"]),
            Station::passing("dual-write", &["run", PLAN, "--to", "backfill"]),
            Station::passing("dual-write", TO_CONSTRAIN).exit(5),
            Station::new("a mended phase", "dual-write", TO_CONSTRAIN)
                .after("DELETE FROM users WHERE id = 1002"),
        ],
    }
}

fn tainted() -> Scenario {
    const TO_CONSTRAIN: &[&str] = &["run", PLAN, "--to", "constrain"];
    Scenario {
        name: "tainted",
        setup: users(100),
        files: sample(None),
        generated_by: None,
        plan: PLAN,
        releases: &["first", "dual-write"],
        stations: vec![
            Station::passing("first", &["run", PLAN, "--to", "add"]),
            Station::new("a lease", "first", &["can-deploy", "HEAD", "--lease", "15m"]),
            Station::passing("dual-write", &["run", PLAN, "--to", "backfill"]),
            Station::passing("first", TO_CONSTRAIN).exit(1),
            Station::new("verification of a tainted backfill", "dual-write", TO_CONSTRAIN)
                .after("INSERT INTO users (id, name) VALUES (5000, 'tainted')"),
        ],
    }
}

fn in_doubt() -> Scenario {
    const TO_ADD: &[&str] = &["run", PLAN, "--to", "add", "--it-happened"];
    Scenario {
        name: "in_doubt",
        setup: users(10) + "CREATE TABLE ran (n int);",
        files: sample(Some(("add", BLOCK))),
        generated_by: None,
        plan: PLAN,
        releases: &["first"],
        stations: vec![
            Station {
                killed_at: Some("loose-statement-ran"),
                ..Station::passing("first", &["run", PLAN, "--to", "add"])
            },
            Station::new("what a person found out", "first", TO_ADD),
            Station::new("undo expand", "first", &["rollback", PLAN, "--all"]),
        ],
    }
}

fn keyless() -> Scenario {
    let plan = "id = \"fill\"\ntitle = \"Fill\"\n\n[[phase]]\nid = \"fill\"\nkind = \"backfill\"\n\
                table = 'notes'\nset = { copy = 'id' }\n";
    Scenario {
        name: "keyless",
        setup: format!(
            "CREATE TABLE notes (id text, copy text, at int) PARTITION BY RANGE (at);
             CREATE TABLE notes_1 PARTITION OF notes FOR VALUES FROM (0) TO (500);
             CREATE TABLE notes_2 PARTITION OF notes DEFAULT;
             INSERT INTO notes SELECT 'note ' || i % 400, NULL, i FROM generate_series(1, 800) AS i;
             {TOUCHED}
             CREATE TRIGGER touch AFTER UPDATE ON notes FOR EACH ROW WHEN (NEW.copy IS NOT NULL)
               EXECUTE FUNCTION touch();
             -- A row that no first pass can fill, so that there is a second.
             CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
               IF EXISTS (SELECT FROM shipctl.fill_ranges WHERE effort LIKE '%pass 1') THEN NEW.copy = NULL; END IF;
               RETURN NEW; END$$;
             CREATE TRIGGER spoil BEFORE UPDATE ON notes FOR EACH ROW WHEN (OLD.at = 7) EXECUTE FUNCTION spoil();"
        ),
        files: vec![config(""), ("plans/fill.toml".to_owned(), plan.to_owned())],
        generated_by: None,
        plan: "fill",
        releases: &[],
        stations: vec![
            Station::new("backfill without a key", NOTHING, &["run", "fill"]),
            Station::new("undo backfill", NOTHING, &["rollback", "fill", "--all"]),
        ],
    }
}

fn migrate() -> Scenario {
    let file = |name: &str, text: &str| (format!("migrations/{name}.sql"), text.to_owned());
    let station = Station::new;
    Scenario {
        name: "migrate",
        setup: "CREATE TABLE ran (what text)".to_owned(),
        files: vec![
            config(""),
            file(
                "0001_tables",
                "-- UP\nCREATE TABLE a (id int PRIMARY KEY, v text);\nINSERT INTO a SELECT i, 'v' FROM generate_series(1, 20) i;\n\
                 CREATE TABLE p (id int) PARTITION BY RANGE (id);\n\
                 CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);\n\
                 -- DOWN\nDROP TABLE p1;\nDROP TABLE p;\nDROP TABLE a;\n",
            ),
            file(
                "0002_loose",
                "-- UP\nINSERT INTO ran VALUES ('before');\nCREATE INDEX CONCURRENTLY a_v ON a (v);\n\
                 INSERT INTO ran VALUES ('between');\nALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;\n\
                 INSERT INTO ran VALUES ('after');\n\
                 -- DOWN\nINSERT INTO ran VALUES ('down');\nDROP INDEX CONCURRENTLY a_v;\n\
                 ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10);\n",
            ),
            file(
                "0003_last",
                "-- UP\nINSERT INTO ran VALUES ('last');\n-- DOWN\nDELETE FROM ran WHERE what = 'last';\n",
            ),
        ],
        generated_by: None,
        plan: "",
        releases: &[],
        stations: vec![
            station("migrate up", NOTHING, &["migrate", "up"]),
            station("migrate down", NOTHING, &["migrate", "down", "--steps", "3"]),
            station("migrate baseline", NOTHING, &["migrate", "baseline"]),
        ],
    }
}

fn migrate_refused() -> Scenario {
    Scenario {
        name: "migrate_refused",
        setup: "CREATE TABLE a (id int); INSERT INTO a VALUES (1), (1); CREATE TABLE ran (what text)"
            .to_owned(),
        files: vec![
            config(""),
            (
                "migrations/0001_key.sql".to_owned(),
                "-- UP\nINSERT INTO ran VALUES ('once');\nCREATE UNIQUE INDEX CONCURRENTLY a_id ON a (id);\n\
                 -- DOWN\nDROP INDEX CONCURRENTLY a_id;\n"
                    .to_owned(),
            ),
        ],
        generated_by: None,
        plan: "",
        releases: &[],
        stations: vec![
            Station::new("a migration that fails", NOTHING, &["migrate", "up"]).exit(5),
            Station::new("a mended migration", NOTHING, &["migrate", "up"])
                .after("DELETE FROM a WHERE ctid = (SELECT min(ctid) FROM a)"),
        ],
    }
}
