//! Every code has an entry, every entry a code; their examples do what they say; the page and the command show them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use shipctl::diagnostics::{
    self, Base, Diagnostic, Example, GROUPS, Group, RENAME_MIGRATIONS, RENAME_PLAN, Scene,
};
use shipctl::domain::Exit;
use shipctl::report::explain;

use super::support::{Database, Repo, fresh_database, shipctl};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

// Codes and entries.

/// The sources that raise problems: path from `src`, and the text without its tests.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let folder = root().join("src");
    let mut files = Vec::new();
    walk(&folder, &mut files);
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&folder).unwrap().display().to_string();
            (name, fs::read_to_string(&path).unwrap())
        })
        .filter(|(name, _)| !name.starts_with("diagnostics/") && !name.ends_with("tests.rs"))
        .map(|(name, text)| {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            (name, code)
        })
        .collect()
}

/// The arguments of a call whose opening parenthesis stands before `text`.
fn arguments(text: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let mut depth = 0;
    let mut characters = text.chars().peekable();
    while let Some(sign) = characters.next() {
        match sign {
            '"' => {
                let last = arguments.last_mut().unwrap();
                last.push('"');
                while let Some(inner) = characters.next() {
                    last.push(inner);
                    match inner {
                        '\\' => last.extend(characters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        arguments.last_mut().unwrap().push(sign);
    }
    arguments
        .into_iter()
        .map(|argument| argument.trim().to_owned())
        .collect()
}

/// What builds problems, and which of its arguments is the code. The last ones pass it on from their callers.
const BUILDERS: [(&str, usize); 5] = [
    ("Problem::new(", 1),
    ("Problem::warning(", 0),
    (".mistake(", 0),
    ("self.problem(", 1),
    ("refused(", 0),
];

/// Where the code is handed on: the callers of these name it, and `BUILDERS` has them.
const HANDED_ON: [&str; 3] = [
    "project/document.rs",
    "sql/parse/mod.rs",
    "execute/migrate/runner.rs",
];

/// The codes among which the function chooses whose beginning `text` ends with.
fn chosen_before(text: &str) -> Vec<String> {
    let begin = text.rfind("fn ").unwrap_or_default();
    let literals = text[begin..].split('"').skip(1).step_by(2);
    literals
        .filter(|literal| {
            literal.contains('-')
                && literal
                    .bytes()
                    .all(|byte| byte == b'-' || byte.is_ascii_lowercase())
        })
        .map(str::to_owned)
        .collect()
}

/// The codes that the sources name, with a place each; and the calls of which it cannot be told.
fn codes_in_sources() -> (BTreeMap<String, String>, Vec<String>) {
    let mut codes = BTreeMap::new();
    let mut unclear = Vec::new();
    for (name, text) in sources() {
        // `.problem(` stands on a line of its own where rustfmt broke the chain.
        let text = text.replace(".problem(", "self.problem(");
        for (builder, at) in BUILDERS {
            let only_here = match builder {
                "self.problem(" => Some("sql/parse/mod.rs"),
                "refused(" => Some("execute/migrate/runner.rs"),
                _ => None,
            };
            if only_here.is_some_and(|file| file != name) {
                continue;
            }
            for (found, _) in text.match_indices(builder) {
                let line = text[..found].matches('\n').count() + 1;
                let place = format!("src/{name}:{line}");
                let given = arguments(&text[found + builder.len()..]);
                let argument = given.get(at).map(String::as_str).unwrap_or_default();
                let literal = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                match literal {
                    Some(code) => {
                        codes.insert(code.to_owned(), place);
                    }
                    None if HANDED_ON.contains(&name.as_str()) => {}
                    None => {
                        let chosen = chosen_before(&text[..found]);
                        if chosen.is_empty() {
                            unclear.push(format!("{place}: {builder}{argument}"));
                        }
                        codes.extend(chosen.into_iter().map(|code| (code, place.clone())));
                    }
                }
            }
        }
    }
    (codes, unclear)
}

/// The codes that reasons carry.
fn reason_codes() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("src/safety/judgement.rs")).unwrap();
    text.lines()
        .filter_map(|line| {
            let (variant, name) = line.trim().split_once(" => \"")?;
            variant
                .starts_with("Self::")
                .then(|| name.trim_end_matches("\",").to_owned())
        })
        .collect()
}

#[test]
fn every_code_has_an_entry_and_every_entry_a_code() {
    let (mut codes, unclear) = codes_in_sources();
    assert!(
        unclear.is_empty(),
        "the code is not written here, so name it in place: {unclear:#?}"
    );
    let reasons = reason_codes();
    assert!(reasons.contains("rollback-floor"), "{reasons:?}");
    codes.extend(
        reasons
            .into_iter()
            .map(|code| (code, "src/safety/judgement.rs".to_owned())),
    );
    codes.insert("invalid-toml".to_owned(), "src/project/document.rs".to_owned());
    let known: BTreeSet<&str> = diagnostics::all().map(|entry| entry.code).collect();
    let missing: Vec<_> = codes
        .iter()
        .filter(|(code, _)| !known.contains(code.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "no entry in src/diagnostics for: {missing:#?}"
    );
    let without: Vec<_> = known.iter().filter(|code| !codes.contains_key(**code)).collect();
    assert!(
        without.is_empty(),
        "nothing in src raises these entries: {without:?}"
    );
}

#[test]
fn a_call_is_taken_apart_at_its_own_commas() {
    let text = "Exit::Usage, \"a-code\", format!(\"a, {b}\\\"\", c(d, e)))\n.because(\"x, y\")";
    assert_eq!(
        arguments(text),
        ["Exit::Usage", "\"a-code\"", "format!(\"a, {b}\\\"\", c(d, e))"]
    );
}

#[test]
fn tests_that_entries_name_exist() {
    for entry in diagnostics::all() {
        if let Example::Elsewhere { file, test } = entry.example {
            let text = fs::read_to_string(root().join(file)).unwrap();
            assert!(
                text.contains(&format!("fn {test}(")),
                "{}: {file} has no test {test}",
                entry.code
            );
        }
    }
}

/// Most codes are played, and few have nothing that brings them about.
#[test]
fn few_entries_go_without_an_example() {
    let unplayed: Vec<&str> = diagnostics::all()
        .filter(|entry| matches!(entry.example, Example::Unplayed(_)))
        .map(|entry| entry.code)
        .collect();
    let played = diagnostics::all()
        .filter(|entry| matches!(entry.example, Example::Played { .. }))
        .count();
    let all = diagnostics::all().count();
    assert!(played * 3 >= all * 2, "{played} of {all} are played");
    assert!(unplayed.len() * 5 <= all, "{unplayed:?}");
}

// The examples.

/// Where a scene is played.
struct Ground {
    repo: Repo,
    database: Option<Database>,
}

impl Ground {
    async fn prepared(scene: &Scene) -> Self {
        let repo = Repo::new();
        if scene.base == Base::Nothing {
            fs::remove_dir_all(repo.path().join(".git")).unwrap();
        }
        if let Some(text) = scene.base.project_file() {
            repo.write("shipctl.toml", text);
        }
        let database = match asks_a_database(scene) {
            true => Some(fresh_database().await),
            false => None,
        };
        if scene.base == Base::Rename {
            repo.write("plans/rename.toml", RENAME_PLAN);
            for (path, text) in RENAME_MIGRATIONS {
                repo.write(path, text);
            }
            if let Some(database) = &database {
                let table = "CREATE TABLE users (id bigint PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace')";
                database.execute(table).await;
            }
            repo.commit("Keep people by name");
            repo.tag("old");
            repo.tag("deployed");
            for phase in ["dual-write", "switch-read", "stop-write"] {
                repo.commit(&format!("Next release\n\nShip-Phase: rename/{phase}"));
                repo.tag(phase);
            }
        } else if scene.base == Base::Project {
            repo.commit("Start");
        }
        for (path, text) in scene.files {
            repo.write(path, text);
        }
        Self { repo, database }
    }

    /// Types a command as a shell would.
    async fn type_in(&self, command: &str) -> Typed {
        if let Some(sql) = command.strip_prefix("psql -c ") {
            let sql = self.shell(&format!("printf %s {sql}")).stdout;
            self.database.as_ref().unwrap().execute(&sql).await;
            return Typed::default();
        }
        self.shell(command)
    }

    fn shell(&self, command: &str) -> Typed {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_shipctl"));
        let path = format!(
            "{}:{}",
            program.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(self.repo.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.repo.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("SHIPCTL_ACTOR", "Ada <ada@example.org>");
        if let Some(database) = &self.database {
            shell.env("DATABASE_URL", &database.url);
        }
        let output = shell.output().unwrap();
        Typed {
            exit: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

#[derive(Debug, Default)]
struct Typed {
    exit: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Typed {
    /// Whether the code stands in JSON, or above a diagnostic.
    fn reports(&self, code: &str) -> bool {
        let named = [format!("\"code\": \"{code}\""), format!("\"code\":\"{code}\"")];
        named.iter().any(|text| self.stdout.contains(text))
            || self.stderr.lines().any(|line| line.trim() == code)
    }
}

fn asks_a_database(scene: &Scene) -> bool {
    const ASKING: [&str; 11] = [
        "shipctl run",
        "shipctl rollback",
        "shipctl gate",
        "shipctl can-deploy",
        "shipctl approve",
        "shipctl migrate",
        "shipctl deployed",
        "shipctl status",
        "shipctl lease",
        "--env",
        "psql",
    ];
    let mut commands = scene.commands.iter();
    commands.any(|command| ASKING.iter().any(|word| command.contains(word)))
}

/// Plays a scene; gives the last command's outcome, and all that was said for when it is not as it should be.
async fn play(scene: &Scene) -> (Typed, String) {
    let ground = Ground::prepared(scene).await;
    let (last, before) = scene.commands.split_last().unwrap();
    let mut said = String::new();
    for command in before {
        let typed = ground.type_in(command).await;
        said += &format!("$ {command}\n{typed:?}\n");
        // What prepares the ground must work; a run may end at a closed gate, which is part of the story.
        let of_shipctl = command.contains("shipctl ");
        assert!(
            of_shipctl || typed.exit.is_none_or(|exit| exit == 0),
            "{command}: {said}"
        );
    }
    // A checklist in JSON is the data for a template, not what comes of one.
    let last = match last.contains("shipctl checklist") {
        true => (*last).to_owned(),
        false => format!("{last} --json"),
    };
    let typed = ground.type_in(&last).await;
    said += &format!("$ {last}\n{typed:#?}\n");
    (typed, said)
}

async fn play_entry(entry: &Diagnostic) -> Vec<String> {
    let Example::Played { bad, good } = &entry.example else {
        return Vec::new();
    };
    let code = entry.code;
    let mut faults = Vec::new();
    let (typed, said) = play(bad).await;
    let exits: Vec<i32> = entry.exits.iter().map(|exit| i32::from(exit.code())).collect();
    if !typed.reports(code) {
        faults.push(format!("{code}: the bad example does not report it\n{said}"));
    } else if !typed.exit.is_some_and(|exit| exits.contains(&exit)) {
        faults.push(format!(
            "{code}: the bad example does not end with {exits:?}\n{said}"
        ));
    }
    let (typed, said) = play(good).await;
    if typed.reports(code) || typed.exit != Some(0) {
        faults.push(format!("{code}: the good example is not good\n{said}"));
    }
    faults
}

async fn play_group(group: &Group) {
    let mut faults = Vec::new();
    for entry in group.entries {
        faults.extend(play_entry(entry).await);
    }
    assert!(faults.is_empty(), "{}\n{}", faults.len(), faults.join("\n"));
}

fn group(title: &str) -> &'static Group {
    GROUPS.iter().find(|group| group.title == title).unwrap()
}

macro_rules! examples_are_played {
    ($($name:ident: $title:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                play_group(group($title)).await;
            }
        )*

        #[test]
        fn every_group_is_played() {
            let played = [$($title),*];
            let titles: Vec<&str> = GROUPS.iter().map(|group| group.title).collect();
            assert_eq!(played.as_slice(), titles);
        }
    };
}

examples_are_played! {
    examples_of_gates: "Gates",
    examples_of_values: "Keys and values of files",
    examples_of_plan_files: "Plan files",
    examples_of_the_proof: "The proof of plans",
    examples_of_the_project: "The project and its files",
    examples_of_migration_files: "Migration files",
    examples_of_the_runner: "The migration runner",
    examples_of_making_plans: "Making a plan",
    examples_of_operations: "Planning an operation",
    examples_of_the_command_line: "The command line",
    examples_of_git: "git",
    examples_of_the_database: "The database",
    examples_of_the_ledger: "The ledger and its locks",
    examples_of_running: "Running and undoing phases",
    examples_of_fills: "Fills and their manners",
    examples_of_the_demo: "The demo and private clusters",
}

// The page and the command.

#[test]
fn the_page_is_what_the_entries_say() {
    let page = fs::read_to_string(root().join("docs/diagnostics.md")).unwrap_or_default();
    assert!(
        page == explain::markdown(),
        "make it anew: cargo run -- explain --markdown > docs/diagnostics.md"
    );
}

#[test]
fn a_code_is_explained_in_a_terminal_and_as_json() {
    let repo = Repo::new();
    let output = shipctl(repo.path(), &["explain", "rollback-floor"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(
        text.starts_with("rollback-floor  blocked, exit 1\n\n  When  The version"),
        "{text}"
    );
    for needle in [
        "  Why   Code that old",
        "  Do    Deploy",
        "✗ This reports it:",
        "    $ shipctl can-deploy old\n",
    ] {
        assert!(text.contains(needle), "{needle}: {text}");
    }
    assert!(
        text.lines()
            .all(|line| line.chars().count() <= 100 || line.contains('│')),
        "{text}"
    );

    let output = shipctl(repo.path(), &["explain", "rollback-floor", "--json"])
        .output()
        .unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["schema_version"], 1);
    assert_eq!(value["code"], "rollback-floor");
    assert_eq!(
        value["exits"],
        serde_json::json!([i32::from(Exit::Blocked.code())])
    );
    assert!(value["examples"]["bad"]["commands"].is_array());
}

#[test]
fn without_a_code_all_are_listed_and_a_mistyped_one_is_suggested() {
    let repo = Repo::new();
    let output = shipctl(repo.path(), &["explain"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for group in GROUPS {
        assert!(text.contains(&format!("{}\n", group.title)), "{}", group.title);
        for entry in group.entries {
            assert!(text.contains(&format!("  {} ", entry.code)), "{}", entry.code);
        }
    }
    let output = shipctl(repo.path(), &["explain", "rolback-floor"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("did you mean `rollback-floor`?"), "{said}");
}

#[test]
fn a_machine_without_postgresql_is_told_what_to_install() {
    let repo = Repo::new();
    let output = shipctl(repo.path(), &["demo"])
        .env("SHIPCTL_PG_BIN", repo.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.starts_with("postgresql-missing\n") && said.contains("apt-get install postgresql"),
        "{said}"
    );
}

#[test]
fn a_cluster_that_cannot_be_made_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let repo = Repo::new();
    for program in ["initdb", "pg_ctl", "postgres"] {
        let path = repo.write(program, "#!/bin/sh\necho no room >&2\nexit 1\n");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = shipctl(repo.path(), &["demo"])
        .env("SHIPCTL_PG_BIN", repo.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("private-cluster-failed\n"), "{said}");
}

#[test]
fn a_problem_says_once_where_more_is_to_be_read() {
    let repo = Repo::new();
    repo.write("shipctl.toml", Base::Project.project_file().unwrap());
    repo.write("plans/a.toml", "id = a\n");
    repo.write("plans/b.toml", "id = \"b\"\nphase = []\n");
    let output = shipctl(repo.path(), &["check"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("shipctl explain ").count(), 1, "{said}");
    assert!(said.contains("more: shipctl explain invalid-toml"), "{said}");
}

// Annotations.

#[test]
fn a_workflow_gets_annotations_with_paths_from_the_repositorys_root() {
    let repo = Repo::new();
    repo.write(
        "app/shipctl.toml",
        "[project]\nmigrations = \"db/migrations\"\n[environments.production]\n",
    );
    repo.write(
        "app/plans/email.toml",
        "id = \"email\"\n\n[[phase]]\nid = \"add\"\nkind = \"expand\"\nneed = [\"x\"]\nmigration = \"0001_add\"\n",
    );
    repo.write("app/db/migrations/0001_add.sql", "-- UP\nSELECT 1;\n");
    repo.write("app/db/migrations/0002_index.sql", "-- UP\nALTER TABEL users;\n");
    let folder = repo.path().join("app");
    let output = shipctl(&folder, &["check", "--format", "github"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("::error ")), "{text}");
    assert!(
        text.contains(
            "::error file=app/plans/email.toml,line=6,endLine=6,col=1,endColumn=5,title=unknown-key::`need` is not a key of"
        ),
        "{text}"
    );
    assert!(
        text.contains("::error file=app/db/migrations/0002_index.sql,line=2,endLine=2,col="),
        "{text}"
    );

    repo.write("app/db/migrations/0002_index.sql", "-- UP\nSELECT 2;\n");
    let plan = repo.read("app/plans/email.toml").replace("need = [\"x\"]\n", "");
    repo.write("app/plans/email.toml", &plan);
    let output = shipctl(repo.path(), &["-C", "app", "check", "--format", "github"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("::warning file=app/plans/email.toml,line=6,endLine=6,"),
        "{text}"
    );
    assert!(
        text.contains("::notice::plan email: 1 phase; valid, 1 warning"),
        "{text}"
    );
}

#[test]
fn annotations_and_json_exclude_one_another() {
    let repo = Repo::new();
    for args in [
        &["check", "--format", "github", "--json"][..],
        &["--json", "gate", "a", "b", "--format", "github"],
    ] {
        let output = shipctl(repo.path(), args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["error"]["code"], "usage");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_gets_the_reasons_of_a_gate() {
    let scene = Scene {
        base: Base::Rename,
        files: &[],
        commands: &["shipctl run rename --to add"],
    };
    let ground = Ground::prepared(&scene).await;
    ground.type_in(scene.commands[0]).await;
    let gate = ground
        .type_in("shipctl gate rename backfill --format github")
        .await;
    assert_eq!(gate.exit, Some(1), "{gate:?}");
    assert!(
        gate.stdout.starts_with("::error title=old-version-running::web "),
        "{}",
        gate.stdout
    );
    assert!(
        gate.stdout.contains("\n::notice::✗ BLOCKED rename/backfill"),
        "{}",
        gate.stdout
    );
    let for_people = ground.type_in("shipctl gate rename backfill").await;
    assert!(
        for_people
            .stderr
            .contains("more: shipctl explain old-version-running"),
        "{for_people:?}"
    );
    let deployment = ground
        .type_in("shipctl can-deploy dual-write --format github")
        .await;
    assert_eq!(deployment.exit, Some(0), "{deployment:?}");
    assert!(
        deployment.stdout.starts_with("::notice::✓ GO dual-write"),
        "{}",
        deployment.stdout
    );
}
