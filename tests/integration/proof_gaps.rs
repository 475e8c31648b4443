//! Integration tests: what `shipctl check` must not call safe, from the SQL of small plans.

use serde_json::Value;

use crate::support::{Repo, shipctl};

const CONFIG: &str = r#"
[environments.production]
database = "env:DATABASE_URL"

[[environments.production.services]]
name = "web"
source = { kind = "recorded" }
"#;

/// A phase with its migration; what is not said of it is not needed.
fn run(id: &str, kind: &str, needs: &str, up: &str) -> (String, Option<(String, String)>) {
    both(id, kind, needs, up, None)
}

fn both(
    id: &str,
    kind: &str,
    needs: &str,
    up: &str,
    down: Option<&str>,
) -> (String, Option<(String, String)>) {
    // A contract phase with no code above it must at least wait for a person.
    let gate = match (kind, needs) {
        ("contract", "") => "gate = { approvals = 1 }\n",
        _ => "",
    };
    let text = format!(
        "[[phase]]\nid = \"{id}\"\nkind = \"{kind}\"\nneeds = [{needs}]\nmigration = \"0001_{id}\"\n{gate}"
    );
    let sql = match down {
        Some(down) => format!("-- UP\n{up};\n-- DOWN\n{down};\n"),
        None => format!("-- UP\n{up};\n"),
    };
    (text, Some((format!("0001_{id}"), sql)))
}

fn code(id: &str, needs: &str, reads: &str, writes: &str) -> (String, Option<(String, String)>) {
    let list = |names: &str| -> String {
        let names: Vec<String> = names
            .split_whitespace()
            .map(|name| format!("\"{name}\""))
            .collect();
        names.join(", ")
    };
    let text = format!(
        "[[phase]]\nid = \"{id}\"\nkind = \"code\"\nneeds = [{needs}]\nreads = [{}]\nwrites = [{}]\n",
        list(reads),
        list(writes)
    );
    (text, None)
}

fn fill(id: &str, needs: &str, set: &str, more: &str) -> (String, Option<(String, String)>) {
    let text = format!(
        "[[phase]]\nid = \"{id}\"\nkind = \"backfill\"\nneeds = [{needs}]\ntable = \"public.users\"\nset = {{ {set} }}\n{more}\n"
    );
    (text, None)
}

fn write(repo: &Repo, id: &str, phases: &[(String, Option<(String, String)>)]) {
    let mut text = format!("id = \"{id}\"\n");
    let known = std::fs::read_dir(repo.path().join("migrations")).map_or(0, Iterator::count);
    for (place, (phase, migration)) in phases.iter().enumerate() {
        // No two migrations have the same number, of whatever plan.
        let number = format!("{:04}_{id}_", known + place + 1);
        text.push_str(&phase.replace("0001_", &number));
        if let Some((name, sql)) = migration {
            let name = name.replace("0001_", &number);
            repo.write(&format!("migrations/{name}.sql"), sql);
        }
    }
    repo.write(&format!("plans/{id}.toml"), &text);
}

fn plan(phases: &[(String, Option<(String, String)>)]) -> Repo {
    let repo = Repo::new();
    repo.write("shipctl.toml", CONFIG);
    write(&repo, "p", phases);
    repo
}

fn check(repo: &Repo) -> Value {
    let output = shipctl(repo.path(), &["check", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(report["verdict"], "invalid", "{report:#}");
    report
}

/// The verdict with what fails, or with why it is not known.
fn verdict(repo: &Repo) -> String {
    let report = check(repo);
    let proof = &report["proof"];
    let word = proof["verdict"].as_str().unwrap();
    let harm = proof["harm"]["message"].as_str().map(str::to_owned);
    let warned = || {
        let warnings = report["warnings"].as_array().unwrap();
        let whys: Vec<&str> = warnings
            .iter()
            .filter(|warning| warning["code"] == "not-proved")
            .filter_map(|warning| warning["why"].as_str())
            .collect();
        whys.join(" | ")
    };
    format!("{word}: {}", harm.unwrap_or_else(warned))
}

#[track_caller]
fn is(repo: &Repo, wanted: &str) {
    let found = verdict(repo);
    assert!(found.starts_with(wanted), "{found}\ninstead of\n{wanted}");
}

/// The plan that `shipctl plan rename` writes, with its text changed.
fn renamed(sync: &str, change: impl Fn(String) -> String) -> Repo {
    let repo = Repo::new();
    repo.write("shipctl.toml", CONFIG);
    let args = [
        "plan",
        "rename",
        "users.name",
        "display_name",
        "--type",
        "text",
        "--sync",
        sync,
        "--id",
        "p",
    ];
    shipctl(repo.path(), &args).assert().success();
    let text = repo.read("plans/p.toml");
    repo.write("plans/p.toml", &change(text));
    repo
}

/// The text without the tables that begin with a line.
fn without(text: &str, head: &str) -> String {
    let mut kept = String::new();
    let mut tables: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') && line != "[phase.gate]" || tables.is_empty() {
            tables.push(String::new());
        }
        let last = tables.last_mut().unwrap();
        last.push_str(line);
        last.push('\n');
    }
    for table in tables.iter().filter(|table| !table.starts_with(head)) {
        kept.push_str(table);
    }
    kept
}

#[test]
fn a_rename_that_copies_nothing_reads_what_nothing_filled() {
    let repo = renamed("code", |text| {
        let text = without(&text, "[[phase]]\nid = \"backfill\"");
        let text = without(&text, "[phase.restore]");
        text.replace("needs = [\"backfill\"]", "needs = [\"dual-write\"]")
    });
    is(
        &repo,
        "unsafe: switch-read reads users.display_name, which nothing has filled yet",
    );
}

#[test]
fn a_column_that_is_set_to_itself_is_filled_by_nothing() {
    let repo = renamed("code", |text| {
        let text = without(&text, "[phase.restore]");
        text.replace(
            "set = { display_name = \"name\" }",
            "set = { display_name = \"display_name\" }",
        )
    });
    is(
        &repo,
        "unsafe: switch-read reads users.display_name, which nothing has filled yet",
    );
}

#[test]
fn a_table_that_goes_or_is_renamed_is_missed_by_the_code_before() {
    is(
        &plan(&[run(
            "away",
            "expand",
            "",
            "ALTER TABLE public.users RENAME TO people",
        )]),
        "not-proved: the code before the plan reads the rows of users",
    );
    is(
        &plan(&[run("away", "contract", "", "DROP TABLE public.users")]),
        "not-proved: the code before the plan reads the rows of users",
    );
    is(
        &plan(&[
            code("unused", "", "", ""),
            run("away", "contract", "\"unused\"", "DROP TABLE public.users"),
        ]),
        "safe",
    );
    let repo = plan(&[run("away", "contract", "", "DROP TABLE public.users")]);
    write(
        &repo,
        "q",
        &[code("use", "", "public.users.id", "public.users.id")],
    );
    let report = check(&repo);
    assert_eq!(report["proof"]["verdict"], "unsafe", "{report:#}");
    assert_eq!(report["problems"][0]["code"], "plans-collide", "{report:#}");
}

#[test]
fn a_select_that_may_change_something_is_not_passed_over() {
    for sql in [
        "SELECT drop_column('users', 'name')",
        "SELECT * FROM drop_column('users', 'name')",
        "WITH gone AS (DELETE FROM users RETURNING id) SELECT count(*) FROM gone",
        "SELECT evil.pg_sleep(1)",
    ] {
        is(&plan(&[run("look", "expand", "", sql)]), "not-proved: ");
    }
    for sql in [
        "SELECT setval('users_id_seq', (SELECT max(id) FROM users))",
        "SELECT pg_catalog.set_config('search_path', 'public', true)",
        "SELECT count(*) FROM users",
    ] {
        is(&plan(&[run("look", "expand", "", sql)]), "safe");
    }
}

const FUNCTION: &str = "CREATE FUNCTION sync() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF TG_OP = 'INSERT' THEN \
                        NEW.label := NEW.name; ELSE NEW.name := NEW.label; END IF; RETURN NEW; END$$;\n";

fn synced(function: &str, triggers: &str, drop: &str) -> Repo {
    let up = format!("ALTER TABLE public.users ADD COLUMN label text;\n{function}{triggers}");
    plan(&[
        run("add", "expand", "", &up),
        fill("copy", "\"add\"", "label = \"name\"", "synced_by = \"trigger\""),
        run(
            "strict",
            "expand",
            "\"copy\"",
            "ALTER TABLE public.users ALTER COLUMN label SET NOT NULL",
        ),
        code("switch", "\"strict\"", "public.users.label", "public.users.label"),
        run(
            "relax",
            "contract",
            "\"switch\"",
            "ALTER TABLE public.users ALTER COLUMN name DROP NOT NULL",
        ),
        run("drop", "contract", "\"relax\"", drop),
    ])
}

const TRIGGER: &str =
    "CREATE TRIGGER sync BEFORE INSERT OR UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION sync()";
const REMOVE: &str =
    "DROP TRIGGER sync ON public.users; DROP FUNCTION sync(); ALTER TABLE public.users DROP COLUMN name";

#[test]
fn a_trigger_keeps_what_it_assigns_when_it_fires() {
    is(&synced(FUNCTION, TRIGGER, REMOVE), "safe");
    for wrong in ["AFTER INSERT OR UPDATE", "BEFORE UPDATE"] {
        let triggers = TRIGGER.replace("BEFORE INSERT OR UPDATE", wrong);
        is(
            &synced(FUNCTION, &triggers, REMOVE),
            "unsafe: the code before the plan: its INSERT leaves users.label NULL",
        );
    }
    let only_insert = TRIGGER.replace("BEFORE INSERT OR UPDATE", "BEFORE INSERT");
    is(
        &synced(FUNCTION, &only_insert, REMOVE),
        "unsafe: switch reads users.label",
    );
    let commented = FUNCTION.replace("NEW.label := NEW.name;", "/* NEW.label := NEW.name; */ NULL;");
    is(
        &synced(&commented, TRIGGER, REMOVE),
        "unsafe: the code before the plan: its INSERT leaves users.label NULL",
    );
}

#[test]
fn a_trigger_that_outlives_its_column_fails_every_write() {
    is(
        &synced(FUNCTION, TRIGGER, "ALTER TABLE public.users DROP COLUMN name"),
        "unsafe: switch writes users, whose trigger sync uses users.name, which is not there",
    );
    is(
        &synced(
            FUNCTION,
            TRIGGER,
            "DROP FUNCTION sync(); ALTER TABLE public.users DROP COLUMN name",
        ),
        "unsafe: drop fails: the trigger sync calls the function that it drops",
    );
    // The trigger goes with its function; what else may go is not known.
    is(
        &synced(
            FUNCTION,
            TRIGGER,
            "DROP FUNCTION sync() CASCADE; ALTER TABLE public.users DROP COLUMN name",
        ),
        "not-proved: it drops with CASCADE",
    );
    // Nothing keeps the columns then.
    is(
        &synced(
            FUNCTION,
            &format!("{TRIGGER}; DROP FUNCTION sync() CASCADE"),
            REMOVE,
        ),
        "unsafe: the code before the plan: its INSERT leaves users.label NULL",
    );
}

#[test]
fn a_trigger_that_no_backfill_explains_is_told() {
    let sql = format!("{FUNCTION}{TRIGGER}");
    is(
        &plan(&[run("add", "expand", "", &sql)]),
        "not-proved: it makes a trigger that no backfill",
    );
    is(
        &plan(&[run(
            "add",
            "expand",
            "",
            FUNCTION
                .replace("CREATE", "CREATE OR REPLACE")
                .trim_end_matches([';', '\n']),
        )]),
        "not-proved: it replaces what something may call",
    );
    is(
        &synced(&FUNCTION.replace("CREATE", "CREATE OR REPLACE"), TRIGGER, REMOVE),
        "safe",
    );
}

const ADD: &str = "ALTER TABLE public.users ADD COLUMN status text";
const STRICT: &str = "ALTER TABLE public.users ALTER COLUMN status SET NOT NULL";

#[test]
fn rows_without_a_value_are_seen_whatever_fills_the_column() {
    let writes = || code("write", "\"add\"", "", "public.users.status");
    is(
        &plan(&[run("add", "expand", "", &format!("{ADD} NOT NULL"))]),
        "unsafe: add fails: there are rows without a value in users.status",
    );
    is(
        &plan(&[
            run("add", "expand", "", ADD),
            writes(),
            run("strict", "contract", "\"write\"", STRICT),
        ]),
        "unsafe: strict fails: there are rows without a value in users.status",
    );
    let check = "ALTER TABLE public.users ADD CONSTRAINT known CHECK (status IS NOT NULL)";
    let checked = |sql: &str, needs: &str| {
        plan(&[
            run("add", "expand", "", ADD),
            writes(),
            fill("fill", "\"write\"", "status = \"'new'\"", ""),
            run("strict", "contract", needs, sql),
        ])
    };
    for sql in [
        check.to_owned(),
        format!("{check} NOT VALID;\nALTER TABLE public.users VALIDATE CONSTRAINT known"),
    ] {
        is(
            &checked(&sql, "\"write\""),
            "unsafe: strict fails: there are rows without a value in users.status",
        );
        is(&checked(&sql, "\"fill\""), "safe");
    }
    is(&checked(&format!("{check} NOT VALID"), "\"write\""), "safe");
    is(&checked(STRICT, "\"fill\""), "safe");
    // Code from before inserts rows, whether or not the plan names a column that was there.
    is(
        &plan(&[
            run("add", "expand", "", ADD),
            writes(),
            run("strict", "expand", "\"add\"", &format!("{check} NOT VALID")),
        ]),
        "unsafe: the code before the plan: its INSERT leaves users.status NULL",
    );
    // What is made of nothing is nothing.
    let made_of = |source: &str| {
        plan(&[
            run("add", "expand", "", &format!("{ADD}, ADD COLUMN kind text")),
            code(
                "write",
                "\"add\"",
                "",
                "public.users.name public.users.status public.users.kind",
            ),
            fill("fill", "\"write\"", &format!("status = \"{source}\""), ""),
            run("strict", "contract", "\"fill\"", STRICT),
        ])
    };
    is(
        &made_of("kind"),
        "unsafe: strict fails: there are rows without a value in users.status",
    );
    is(&made_of("name"), "safe");
    // Of a column that was there before it is not known.
    is(
        &plan(&[
            code("write", "", "", "public.users.status"),
            run("strict", "contract", "\"write\"", STRICT),
        ]),
        "not-proved: strict fails: there are rows without a value in users.status",
    );
    is(
        &plan(&[
            run("make", "expand", "", "CREATE TABLE public.users (id bigint)"),
            run("add", "expand", "\"make\"", &format!("{ADD} NOT NULL")),
        ]),
        "safe",
    );
}

#[test]
fn a_default_is_one_only_while_it_gives_a_value() {
    let writes = |needs: &str| code("write", needs, "", "public.users.status");
    is(
        &plan(&[
            run(
                "free",
                "expand",
                "",
                "ALTER TABLE public.users ALTER COLUMN status DROP DEFAULT",
            ),
            writes("\"free\""),
        ]),
        "not-proved: the code before the plan: its INSERT leaves users.status NULL",
    );
    is(
        &plan(&[
            writes(""),
            run(
                "free",
                "expand",
                "\"write\"",
                "ALTER TABLE public.users ALTER COLUMN status DROP DEFAULT",
            ),
        ]),
        "safe",
    );
    for null in ["NULL", "NULL::text", "(CAST(NULL AS text))"] {
        is(
            &plan(&[run(
                "add",
                "expand",
                "",
                &format!("{ADD} NOT NULL DEFAULT {null}"),
            )]),
            "unsafe: add fails",
        );
    }
    let generated = "ALTER TABLE public.users ADD COLUMN status bigint GENERATED ALWAYS AS IDENTITY";
    is(
        &plan(&[run("add", "expand", "", generated), writes("\"add\"")]),
        "unsafe: write writes users.status, which is GENERATED ALWAYS",
    );
    is(
        &plan(&[
            run("add", "expand", "", &generated.replace("ALWAYS", "BY DEFAULT")),
            writes("\"add\""),
        ]),
        "safe",
    );
}

#[test]
fn a_column_under_a_view_does_not_go_unseen() {
    let shown = |drop: &str| {
        plan(&[
            run(
                "show",
                "expand",
                "",
                "CREATE VIEW public.shown AS SELECT u.status FROM public.users u",
            ),
            code("use", "\"show\"", "public.shown.status", ""),
            code("unused", "\"use\"", "public.shown.status", ""),
            run("drop", "contract", "\"unused\"", drop),
        ])
    };
    is(
        &shown("ALTER TABLE public.users DROP COLUMN status"),
        "unsafe: drop fails: a view reads users.status",
    );
    is(
        &shown("ALTER TABLE public.users DROP COLUMN status CASCADE"),
        "unsafe: unused reads the rows of shown, which are not there",
    );
}

#[test]
fn a_constraint_is_dropped_only_of_its_own_table() {
    let checks = |dropped: &str| {
        plan(&[
            run(
                "check",
                "expand",
                "",
                &format!(
                    "BEGIN;\nALTER TABLE public.users ADD CONSTRAINT sane CHECK (age > 0) NOT VALID;\n\
                     ALTER TABLE {dropped} DROP CONSTRAINT sane;\nCOMMIT"
                ),
            ),
            code("obey", "\"check\"", "public.users.age", "public.users.age"),
        ])
    };
    is(&checks("public.users"), "safe");
    is(
        &checks("public.others"),
        "unsafe: the code before the plan writes users.age",
    );
}

#[test]
fn a_name_that_may_be_of_two_schemas_is_a_doubt() {
    is(
        &plan(&[
            run("one", "expand", "", "ALTER TABLE a.users ADD COLUMN x text"),
            run("other", "expand", "", "ALTER TABLE b.users ADD COLUMN x text"),
            run(
                "bare",
                "expand",
                "\"one\", \"other\"",
                "ALTER TABLE users ADD COLUMN y text",
            ),
        ]),
        "not-proved: users may be a.users or b.users",
    );
}

#[test]
fn what_is_right_raises_no_alarm() {
    // A value that is looked up elsewhere is not made of the columns of this table.
    is(
        &plan(&[
            run(
                "add",
                "expand",
                "",
                "ALTER TABLE public.users ADD COLUMN org_name text",
            ),
            code("write", "\"add\"", "", "public.users.org_name"),
            fill(
                "copy",
                "\"write\"",
                "org_name = \"(SELECT o.name FROM orgs o WHERE o.id = users.org_id)\"",
                "",
            ),
            run(
                "more",
                "expand",
                "\"copy\"",
                "ALTER TABLE public.users ADD COLUMN name text",
            ),
        ]),
        "safe",
    );
    // A constraint without a name has the one that PostgreSQL makes up.
    is(
        &plan(&[
            run(
                "check",
                "expand",
                "",
                "BEGIN;\nALTER TABLE public.users ADD CHECK (age > 0) NOT VALID;\n\
                 ALTER TABLE public.users DROP CONSTRAINT users_age_check;\nCOMMIT",
            ),
            code("obey", "\"check\"", "public.users.age", "public.users.age"),
        ]),
        "safe",
    );
    // A table that code stops reading and then stops writing.
    is(
        &plan(&[
            code("unread", "", "", "public.logs.line"),
            code("unused", "\"unread\"", "", ""),
            run("away", "contract", "\"unused\"", "DROP TABLE public.logs"),
        ]),
        "safe",
    );
    // A view that stands in for a table while it gets another name.
    is(
        &plan(&[
            run(
                "name",
                "expand",
                "",
                "BEGIN;\nALTER TABLE public.users RENAME TO people;\n\
                 CREATE VIEW public.users AS SELECT p.name FROM public.people p;\nCOMMIT",
            ),
            code("use", "\"name\"", "public.people.name", "public.people.name"),
            run("away", "contract", "\"use\"", "DROP VIEW public.users"),
        ]),
        "safe",
    );
    // A table that is renamed twice.
    is(
        &plan(&[
            run("make", "expand", "", "CREATE TABLE public.a (x bigint)"),
            run("first", "expand", "\"make\"", "ALTER TABLE public.a RENAME TO b"),
            run(
                "second",
                "expand",
                "\"first\"",
                "ALTER TABLE public.b RENAME TO c",
            ),
            code("use", "\"second\"", "public.c.x", "public.c.x"),
        ]),
        "safe",
    );
}

#[test]
fn a_plan_named_twice_is_one_plan() {
    let repo = renamed("code", |text| text);
    let output = shipctl(repo.path(), &["check", "p", "plans/p.toml", "--json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["proof"]["verdict"], "safe", "{report:#}");
    assert_eq!(report["plans"].as_array().unwrap().len(), 1);
}

#[test]
fn an_id_in_single_quotes_is_pointed_at() {
    let repo = plan(&[
        run("away", "contract", "", "DROP TABLE public.users"),
        code("first", "", "", ""),
    ]);
    let text = repo.read("plans/p.toml").replace("\"away\"", "'away'");
    repo.write("plans/p.toml", &text);
    let report = check(&repo);
    let found = [&report["warnings"], &report["problems"]];
    let place = found
        .iter()
        .flat_map(|list| list.as_array().unwrap())
        .flat_map(|problem| problem["places"].as_array().unwrap())
        .find(|place| place["label"] == "away can run too early")
        .unwrap();
    let start = usize::try_from(place["offset"].as_u64().unwrap()).unwrap();
    let end = start + usize::try_from(place["length"].as_u64().unwrap()).unwrap();
    assert_eq!(&text[start..end], "'away'", "{place:#}");
}

#[test]
fn plans_with_something_not_understood_are_not_safe_together() {
    let repo = plan(&[run(
        "a",
        "expand",
        "",
        "ALTER TABLE public.users ADD COLUMN a text; DO $$ BEGIN END $$",
    )]);
    write(
        &repo,
        "q",
        &[run(
            "b",
            "expand",
            "",
            "ALTER TABLE public.users ADD COLUMN b text",
        )],
    );
    let output = shipctl(repo.path(), &["check"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find(|line| line.contains("together")).unwrap();
    assert!(
        line.ends_with("all safe but for what is not understood"),
        "{line}"
    );
}

#[test]
fn a_column_that_takes_the_place_of_another_is_asked_for_what_was_written_before() {
    let swap = |fill_it: bool| {
        let mut phases = vec![
            run(
                "add",
                "expand",
                "",
                "ALTER TABLE public.users ADD COLUMN label text",
            ),
            code(
                "both",
                "\"add\"",
                "public.users.name",
                "public.users.name public.users.label",
            ),
            code(
                "switch",
                if fill_it { "\"copy\"" } else { "\"both\"" },
                "public.users.label",
                "public.users.name public.users.label",
            ),
        ];
        if fill_it {
            phases.insert(2, fill("copy", "\"both\"", "label = \"name\"", ""));
        }
        plan(&phases)
    };
    is(
        &swap(false),
        "not-proved: switch reads users.label, which nothing has filled yet",
    );
    is(&swap(true), "safe");
}

#[test]
fn what_is_not_understood_may_be_what_fills_a_column() {
    let filled = |sql: &str| {
        plan(&[
            run("add", "expand", "", ADD),
            code("write", "\"add\"", "", "public.users.status"),
            run("fill", "expand", "\"write\"", sql),
            run("strict", "contract", "\"fill\"", STRICT),
        ])
    };
    // It is a doubt, and no proof of the contrary.
    is(
        &filled("UPDATE public.users SET status = 'new' WHERE id < 1000"),
        "not-proved: ",
    );
    is(
        &filled("SELECT 1"),
        "unsafe: strict fails: there are rows without a value in users.status",
    );
    is(&filled("UPDATE public.users SET status = 'new'"), "safe");
}

#[test]
fn a_trigger_with_a_condition_of_its_own_is_not_believed() {
    let when = |condition: &str| {
        let row = format!("FOR EACH ROW WHEN ({condition})");
        synced(FUNCTION, &TRIGGER.replace("FOR EACH ROW", &row), REMOVE)
    };
    is(&when("NEW.label IS DISTINCT FROM NEW.name"), "safe");
    for other in ["NEW.kind = 1", "NEW.label IS NULL AND NEW.kind = 1", "false"] {
        is(
            &when(other),
            "unsafe: the code before the plan: its INSERT leaves users.label NULL",
        );
    }
}

#[test]
fn what_a_view_reads_stays_as_it_is() {
    let under = |change: &str| {
        plan(&[
            run(
                "show",
                "expand",
                "",
                "CREATE VIEW public.shown AS SELECT u.status FROM public.users u",
            ),
            code("use", "\"show\"", "public.shown.status", ""),
            run("change", "contract", "\"use\"", change),
        ])
    };
    is(
        &under("ALTER TABLE public.users ALTER COLUMN status TYPE bigint"),
        "unsafe: change fails: a view reads users.status",
    );
    is(
        &under("DROP TABLE public.users"),
        "unsafe: change fails: a view reads the rows of users",
    );
    is(
        &under("DROP VIEW public.shown"),
        "unsafe: use reads the rows of shown, which are not there",
    );
}

#[test]
fn a_column_that_comes_back_holds_nothing_until_it_is_restored() {
    let bare = |sync| renamed(sync, |text| without(&text, "[phase.restore]"));
    // Without `restore` the rules let nothing above `stop-write` be undone, so that nobody reads what came back.
    is(&bare("code"), "safe");
    is(
        &bare("trigger"),
        "unsafe: the code before the plan reads users.name, which nothing has filled yet",
    );
}

#[test]
fn a_column_that_is_exchanged_for_another_is_not_the_same() {
    let both = |id: &str, sql: &str| {
        let free = "ALTER TABLE public.users ALTER nick DROP NOT NULL";
        plan(&[
            run("free", "expand", "", free),
            code("use", "\"free\"", "public.users.name", "public.users.name"),
            run(id, "contract", "\"use\"", sql),
        ])
    };
    is(
        &both(
            "anew",
            "ALTER TABLE public.users DROP COLUMN name, ADD COLUMN name bigint",
        ),
        "unsafe: users.name goes, and nothing else holds its values",
    );
    is(
        &both(
            "swap",
            "BEGIN;\nALTER TABLE public.users RENAME name TO old_name;\n\
             ALTER TABLE public.users RENAME nick TO name;\nCOMMIT",
        ),
        "not-proved: users.name goes, and nothing else holds its values",
    );
    is(
        &both(
            "anew",
            "BEGIN;\nDROP TABLE public.users;\nCREATE TABLE public.users (name text);\nCOMMIT",
        ),
        "unsafe: users.name goes, and nothing else holds its values",
    );
    // A view may be made anew.
    is(
        &plan(&[
            run(
                "show",
                "expand",
                "",
                "CREATE VIEW public.shown AS SELECT u.status FROM public.users u",
            ),
            code("use", "\"show\"", "public.shown.status", ""),
            run(
                "again",
                "expand",
                "\"use\"",
                "BEGIN;\nDROP VIEW public.shown;\n\
                 CREATE VIEW public.shown AS SELECT u.status, u.kind FROM public.users u;\nCOMMIT",
            ),
        ]),
        "safe",
    );
}

#[test]
fn a_primary_key_of_an_index_makes_its_columns_not_null() {
    let index = "CREATE UNIQUE INDEX CONCURRENTLY k ON public.users (email)";
    let key = "ALTER TABLE public.users ADD CONSTRAINT k PRIMARY KEY USING INDEX k";
    let both_of = format!("{index};\n{key}");
    let code = || code("obey", "", "", "public.users.email");
    let verdict_of = |phases: &[(String, Option<(String, String)>)]| verdict(&plan(phases));
    let early = verdict_of(&[
        both(
            "key",
            "expand",
            "",
            &both_of,
            Some("ALTER TABLE public.users DROP CONSTRAINT k"),
        ),
        crate::proof_gaps::code("obey", "\"key\"", "", "public.users.email"),
    ]);
    assert!(early.starts_with("unsafe"), "{early}");
    // Whether rows have values, the plan does not say.
    let late = verdict_of(&[code(), run("key", "expand", "\"obey\"", &both_of)]);
    assert!(late.starts_with("not-proved"), "{late}");
    // Of what the index is, nothing says.
    let unknown = verdict_of(&[code(), run("key", "expand", "\"obey\"", key)]);
    assert!(
        unknown.starts_with("not-proved") && unknown.contains("makes columns NOT NULL"),
        "{unknown}"
    );
}

#[test]
fn what_becomes_generated_always_is_left_out_before() {
    let always = "ALTER TABLE public.users ALTER COLUMN id SET GENERATED ALWAYS";
    let back = Some("ALTER TABLE public.users ALTER COLUMN id SET GENERATED BY DEFAULT");
    let right = verdict(&plan(&[
        code("leave-out", "", "public.users.id", ""),
        both("always", "expand", "\"leave-out\"", always, back),
    ]));
    assert!(right.starts_with("safe"), "{right}");
    let wrong = verdict(&plan(&[
        code("writes", "", "", "public.users.id"),
        both("always", "expand", "\"writes\"", always, back),
    ]));
    assert!(wrong.starts_with("unsafe"), "{wrong}");
}

/// Both columns change their names, and a trigger of its own keeps each of them in step.
#[test]
fn a_swap_is_undone_only_while_a_trigger_keeps_the_other_column() {
    let trigger = |name: &str, from: &str, to: &str| {
        format!(
            "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.{to} := NEW.{from}; RETURN NEW; END $$;
             CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION {name}();"
        )
    };
    let gone = |name: &str| format!("DROP TRIGGER {name} ON public.users; DROP FUNCTION {name}();");
    let (there, back) = (trigger("there", "n", "n_next"), trigger("back", "n", "n_old"));
    let up = "ALTER TABLE public.users RENAME n TO n_old; ALTER TABLE public.users RENAME n_next TO n;";
    let down = "ALTER TABLE public.users RENAME n TO n_next; ALTER TABLE public.users RENAME n_old TO n;";
    let verdict_with = |back: &str, away: &str| {
        verdict(&plan(&[
            code("tolerate", "", "public.users.n", "public.users.n"),
            both(
                "add",
                "expand",
                "\"tolerate\"",
                &format!("BEGIN; ALTER TABLE public.users ADD n_next bigint; {there} COMMIT"),
                Some(&format!(
                    "BEGIN; {} ALTER TABLE public.users DROP COLUMN n_next; COMMIT",
                    gone("there")
                )),
            ),
            fill(
                "backfill",
                "\"add\"",
                "n_next = \"n\"",
                "verify = \"n_next IS NOT DISTINCT FROM n\"\nsynced_by = \"trigger\"",
            ),
            both(
                "swap",
                "expand",
                "\"backfill\"",
                &format!("BEGIN; {} {up} {back} COMMIT", gone("there")),
                Some(&format!("BEGIN; {away} {down} {there} COMMIT")),
            ),
            fill(
                "keep",
                "\"swap\"",
                "n_old = \"n\"",
                "verify = \"n_old IS NOT DISTINCT FROM n\"\nsynced_by = \"trigger\"",
            ),
        ]))
    };
    let right = verdict_with(&back, &gone("back"));
    assert!(right.starts_with("safe"), "{right}");
    let wrong = verdict_with("", "");
    assert!(wrong.starts_with("unsafe"), "{wrong}");
    // One that fills something else keeps nothing.
    let other = trigger("back", "n", "other");
    let other = verdict_with(&other, &gone("back"));
    assert!(!other.starts_with("safe"), "{other}");
}

#[test]
fn what_is_freed_under_another_name_was_not_null() {
    let code = |needs: &str, writes: &str| code("stop", needs, "", writes);
    let free = "ALTER TABLE public.users RENAME c TO c_old; ALTER TABLE public.users ALTER COLUMN c_old DROP NOT NULL";
    let wrong = verdict(&plan(&[
        crate::proof_gaps::code("writes", "", "", "public.users.c public.users.b"),
        code("\"writes\"", "public.users.b"),
        run("free", "expand", "\"stop\"", free),
    ]));
    assert!(wrong.starts_with("unsafe"), "{wrong}");
}
