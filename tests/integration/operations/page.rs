//! docs/operations.md: every operation's phases and SQL, as the program writes them for a sample table.

use std::fmt::Write as _;
use std::path::Path;

use shipctl::plan::{Phase, PhaseDetail};

use super::{SERVICES, knows, planned};
use crate::support::Project;

const HEAD: &str = "\
# Operations

What `shipctl plan` writes for each operation: the phases, who does what when, and the SQL. Everything below is its own output
for the tables at the end of this page; the names of migrations are shortened by their stamps. `shipctl plan OPERATION --help` tells the
options.

A **code** phase is a release of yours, found by its `Ship-Phase` trailer; the next phase waits until every running instance has it. All others
are done by `shipctl run`, each only once every running version can live with it. Each phase can be undone by `shipctl rollback`, down to
the SQL under *back*.
";

const TABLES: &str = "\
CREATE TABLE teams (id bigint PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE users (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    email text,
    locale text DEFAULT 'en',
    nickname text,
    team_id bigint,
    profile jsonb,
    CONSTRAINT users_name_check CHECK (name <> '')
);
CREATE INDEX users_nickname ON users (nickname);
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE days (id bigint PRIMARY KEY, felt mood);
CREATE TABLE events (id integer, kind varchar(20) NOT NULL, amount integer);
CREATE INDEX events_amount ON events (amount);
CREATE UNIQUE INDEX events_id ON events (id);
CREATE TABLE people (id bigint PRIMARY KEY, bio text);
CREATE TABLE profiles (person_id bigint PRIMARY KEY REFERENCES people ON DELETE CASCADE, theme text);
CREATE TABLE visits (at date, what text) PARTITION BY RANGE (at);
CREATE INDEX visits_at ON visits (at);
CREATE TABLE kinds (id serial PRIMARY KEY, name text);
CREATE TABLE things (kind_id integer NOT NULL REFERENCES kinds, name text);
CREATE INDEX things_kind ON things (kind_id);
CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE visits_2026 (at date, what text);
";

/// The operations in the order in which they are told.
const SAMPLES: &[&[&str]] = &[
    &["rename", "users.name", "display_name"],
    &[
        "add-column",
        "users.country",
        "text",
        "--fill",
        "'?'",
        "--not-null",
    ],
    &["drop-column", "users.nickname"],
    &["set-not-null", "users.locale", "--fill", "'en'"],
    &["drop-not-null", "users.name", "--fill", "'?'"],
    &["set-default", "users.locale", "'de'"],
    &["drop-default", "users.locale"],
    &["add-index", "users", "lower(email)", "team_id DESC"],
    &["drop-index", "users", "users_nickname"],
    &[
        "replace-index",
        "users",
        "users_nickname",
        "lower(nickname)",
        "--keep-name",
    ],
    &["add-check", "users", "has_at", "email LIKE '%@%'"],
    &["add-foreign-key", "users.team_id", "teams.id"],
    &["add-unique", "users", "email"],
    &["add-primary-key", "events", "id"],
    &["add-identity", "events.id", "--always"],
    &["change-type", "events.kind", "text"],
    &["change-type", "events.amount", "bigint"],
    &["widen-key", "kinds"],
    &["drop-constraint", "users", "users_name_check"],
    &["drop-constraint", "teams", "teams_name_key"],
    &[
        "create-table",
        "CREATE TABLE members (team_id bigint REFERENCES teams, user_id bigint REFERENCES users, PRIMARY KEY (team_id, user_id))",
    ],
    &["rename-table", "users", "accounts"],
    &["drop-table", "users"],
    &["add-enum-value", "mood", "calm", "--after", "glad"],
    &["rename-enum-value", "mood", "sad", "low"],
    &["drop-enum-value", "mood", "sad", "--fill", "glad"],
    &[
        "extract-json",
        "users.profile",
        "address.city",
        "city",
        "varchar(80)",
    ],
    &[
        "split-column",
        "users.name",
        "first_name",
        "last_name",
        "--into",
        "split_part(name, ' ', 1)",
        "--into",
        "nullif(split_part(name, ' ', 2), '')",
        "--from",
        "first_name || coalesce(' ' || last_name, '')",
    ],
    &[
        "merge-columns",
        "users",
        "label",
        "--of",
        "nickname,locale",
        "--into",
        "nickname || ':' || locale",
        "--from",
        "split_part(label, ':', 1)",
        "--from",
        "split_part(label, ':', 2)",
    ],
    &["move-column", "people.bio", "profiles.about"],
    &[
        "attach-partition",
        "visits",
        "visits_2026",
        "--for",
        "FROM ('2026-01-01') TO ('2027-01-01')",
    ],
    &["detach-partition", "visits", "visits_2025"],
];

fn quoted(arguments: &[&str]) -> String {
    let words: Vec<String> = arguments
        .iter()
        .map(|word| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/=".contains(c);
            if word.chars().all(plain) {
                (*word).to_owned()
            } else if word.contains('\'') {
                format!("\"{word}\"")
            } else {
                format!("'{word}'")
            }
        })
        .collect();
    words.join(" ")
}

fn unstamped(name: &str) -> &str {
    name.splitn(3, '_').nth(2).unwrap()
}

fn row(phase: &Phase) -> String {
    let (who, what) = match &phase.detail {
        PhaseDetail::Code(_) => ("you, by a release", String::new()),
        PhaseDetail::Backfill(_) => ("`shipctl run`", String::new()),
        PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => {
            ("`shipctl run`", format!("; `{}`", unstamped(&run.migration.name)))
        }
        PhaseDetail::Manual { .. } => ("you", String::new()),
    };
    format!(
        "| {} | {} | {who} | {}{what} |\n",
        phase.id,
        phase.kind().as_str(),
        phase.title
    )
}

fn section(project: &Project, arguments: &[&str]) -> String {
    let plan = planned(project, arguments);
    let mut page = format!(
        "\n## {}\n```\nshipctl plan {}\n```\n",
        arguments[0],
        quoted(arguments)
    );
    page.push_str("| phase | kind | who | what |\n|---|---|---|---|\n");
    for phase in plan.phases() {
        page.push_str(&row(phase));
    }
    for phase in plan.phases() {
        let fill = match &phase.detail {
            PhaseDetail::Backfill(fill) => fill,
            PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => {
                let file = project
                    .repo
                    .read(&format!("migrations/{}.sql", run.migration.name));
                let (up, down) = file.split_once("\n-- DOWN\n").unwrap();
                let (_, up) = up.split_once("\n-- UP\n").unwrap();
                write!(
                    page,
                    "\n**{}**\n```sql\n{up}```\n*back*\n```sql\n{down}```\n",
                    phase.id
                )
                .unwrap();
                continue;
            }
            PhaseDetail::Code(_) | PhaseDetail::Manual { .. } => continue,
        };
        for set in &fill.set {
            write!(
                page,
                "\n**{}**: `{} = {}` in batches, where not `{}`\n",
                phase.id, set.column, set.expression, fill.verify
            )
            .unwrap();
        }
    }
    page
}

#[tokio::test]
async fn the_page_of_operations_is_what_the_program_writes() {
    if !knows(150_000, "views with the rights of whoever reads").await {
        return;
    }
    let mut page = HEAD.to_owned();
    for arguments in SAMPLES {
        let project = Project::new(SERVICES).await;
        project.database.execute(TABLES).await;
        page.push_str(&section(&project, arguments));
    }
    write!(page, "\n## The tables\n```sql\n{TABLES}```\n").unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page,
        "make it anew: WRITE_DOCS=1 cargo test --test integration page_of_operations"
    );
}
