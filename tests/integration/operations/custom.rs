//! `shipctl plan custom`.

use super::{SERVICES, backward, catalog, forward, planned, prepared, refused};
use crate::support::{Project, fresh_database};

const TABLE: &str = "CREATE TABLE orders (id bigint PRIMARY KEY, price int, number int, old int);
    INSERT INTO orders VALUES (1, 2, 3, 4), (2, 5, NULL, NULL);";

const ADD: &str = "-- what it is for\n-- UP\n-- A total; the ';' is kept.\nALTER TABLE public.orders ADD COLUMN total int;\n\
                   CREATE INDEX CONCURRENTLY by_total ON public.orders (total);\n\n-- DOWN\n\
                   DROP INDEX CONCURRENTLY IF EXISTS public.by_total;\nALTER TABLE public.orders DROP COLUMN total;\n";

const DROP: &str = "-- UP\nALTER TABLE public.orders DROP COLUMN old;\n\
                    -- DOWN\nALTER TABLE public.orders ADD COLUMN old int;\n";

const WHOLE: &[&str] = &[
    "custom",
    "order-totals",
    "--title",
    "Keep \"totals\"",
    "--phase",
    "expand:add=sql/add.sql",
    "--phase",
    "code:write=Code writes totals",
    "--phase",
    "manual:tell=Tell the analysts, and = wait",
    "--phase",
    "backfill:fill",
    "--phase",
    "code:read",
    "--phase",
    "contract:drop=sql/drop.sql",
    "--reads",
    "write:",
    "--writes",
    "write:public.orders.total, public.orders.\"old\"",
    "--reads",
    "read:public.orders.total",
    "--writes",
    "read:public.orders.total",
    "--set",
    "fill:public.orders.total=coalesce(price * number, 0)",
    "--soak",
    "1h",
    "--approvals",
    "2",
];

async fn project() -> Project {
    let project = Project::new(SERVICES).await;
    project.database.execute(TABLE).await;
    project.repo.write("sql/add.sql", ADD);
    project.repo.write("sql/drop.sql", DROP);
    project
        .repo
        .write("sql/oneway.sql", "ALTER TABLE public.orders DROP COLUMN old;\n");
    project.repo.write("sql/empty.sql", "-- UP\n\n-- DOWN\n\n");
    project
        .repo
        .write("sql/strict.sql", "-- UP\nALTER TABLE public.orders ALTER COLUMN price SET NOT NULL;\n-- DOWN\nALTER TABLE public.orders ALTER COLUMN price DROP NOT NULL;\n");
    project
}

#[tokio::test]
async fn phases_of_ones_own_become_a_plan_that_runs_and_can_be_undone() {
    let project = project().await;
    let plan = planned(&project, WHOLE);
    let output = project.shipctl(&["check", "--json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Whether the column that goes was NOT NULL is not said.
    assert_eq!(told["proof"]["verdict"], "not-proved", "{told:#}");
    let text = project.repo.read("plans/order-totals.toml");
    for part in [
        "title = \"Keep \\\"totals\\\"\"",
        "title = \"Code writes totals\"",
        "instructions = \"Tell the analysts, and = wait\"",
        "reads = []",
        "gate = { approvals = 2, soak = \"1h\" }",
        "verify = \"total IS NOT DISTINCT FROM (coalesce(price * number, 0))\"",
        "Trailer: `Ship-Phase: order-totals/read`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("[operation]"), "{text}");
    let names = std::fs::read_dir(project.repo.path().join("migrations")).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names[0].ends_with("_add_order_totals.sql"), "{names:?}");
    let first = project.repo.read(&format!("migrations/{}", names[0]));
    assert!(
        first.contains("-- UP\n-- A total; the ';' is kept.\nALTER TABLE"),
        "{first}"
    );

    let database = fresh_database().await;
    let session = prepared(&database, TABLE).await;
    let before = catalog(&session).await;
    for phase in plan.phases() {
        forward(&session, &phase.detail).await;
    }
    let after = catalog(&session).await;
    assert!(
        after.iter().any(|line| line.contains("\"total\": 6")),
        "{after:?}"
    );
    for phase in plan.phases().iter().rev() {
        backward(&session, &phase.detail).await;
    }
    session
        .client()
        .batch_execute("UPDATE orders SET old = 4 WHERE id = 1")
        .await
        .unwrap();
    assert_eq!(catalog(&session).await, before);
}

#[tokio::test]
async fn what_is_not_complete_or_not_safe_is_not_written() {
    let project = project().await;
    for (arguments, why) in [
        (&["--phase", "expand:add"][..], "expand:add=SQL-FILE"),
        (
            &["--phase", "expand:add=sql/nowhere.sql"],
            "cannot read the SQL of add",
        ),
        (&["--phase", "expand:add=sql/empty.sql"], "does nothing"),
        (&["--phase", "contract:drop=sql/oneway.sql"], "--no-way-back drop"),
        (&["--phase", "expnad:add=sql/add.sql"], "did you mean `expand`?"),
        (&["--phase", "add"], "write --phase KIND:ID"),
        (&["--phase", "manual:tell"], "manual:tell=INSTRUCTIONS"),
        (
            &["--phase", "code:a", "--phase", "code:a"],
            "two phases have the id `a`",
        ),
        (
            &["--phase", "code:use", "--reads", "uze:a.b"],
            "did you mean `use`?",
        ),
        (&["--phase", "code:use", "--reads", "a.b"], "names no phase"),
        (
            &["--phase", "code:use", "--set", "use:a.b=1"],
            "is not a backfill",
        ),
        (&["--phase", "backfill:fill"], "sets nothing"),
        (
            &["--phase", "backfill:fill", "--set", "fill:orders.price"],
            "sets nothing",
        ),
        (
            &[
                "--phase",
                "backfill:fill",
                "--set",
                "fill:a.b=1",
                "--set",
                "fill:c.d=1",
            ],
            "make two phases",
        ),
        (
            &["--phase", "backfill:fill", "--set", "fill:orders.price=1 +"],
            "not-an-expression",
        ),
        (
            &["--phase", "expand:add=sql/add.sql", "--no-way-back", "add"],
            "leave --no-way-back out",
        ),
        (
            &["--phase", "contract:drop=sql/drop.sql", "--approvals", "0"],
            "ungated-contract",
        ),
    ] {
        let arguments = [&["custom", "mine"], arguments].concat();
        let said = refused(&project, &arguments);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    // Dropped while code reads it.
    let output = project
        .shipctl(&[
            "plan",
            "custom",
            "mine",
            "--phase",
            "code:use",
            "--phase",
            "contract:drop=sql/drop.sql",
            "--reads",
            "use:public.orders.old",
            "--writes",
            "use:public.orders.old",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("use reads orders.old, which is not there"),
        "{said}"
    );
    assert!(!project.repo.path().join("plans/mine.toml").exists());
}

#[tokio::test]
async fn what_is_left_open_is_remarked_on() {
    let project = project().await;
    let output = project
        .shipctl(&[
            "plan",
            "custom",
            "mine",
            "--phase",
            "code:use",
            "--phase",
            "contract:drop=sql/oneway.sql",
            "--no-way-back",
            "drop",
            "--env",
            "production",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    for part in [
        "drop cannot be undone once it has run",
        "use does not say what it reads and writes",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
