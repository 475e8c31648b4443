//! `shipctl plan add-check`.

use shipctl::plan::PhaseDetail;

use super::{Case, SERVICES, catalog, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn a_check_is_added_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "no row violates it",
            ddl: "CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric);
                  INSERT INTO orders SELECT n, nullif(n, 7) FROM generate_series(1, 20) n;",
            arguments: &["add-check", "orders", "positive", "amount > 0"],
            oracle: "ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "difficult names, a comment in the expression, and text that looks like one",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"
                      (\"Id\" int, \"e.mail\"\"\" text, \"check\" text DEFAULT '--');
                  INSERT INTO \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"
                      SELECT n, 'mail' FROM generate_series(1, 20) n;",
            arguments: &[
                "add-check",
                "\"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"",
                "\"Is it's \"\"so\"\"? 🐘\"",
                "\"e.mail\"\"\" <> '' AND \"Id\" > 0 AND \"check\" <> '-- it''s' -- not empty",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘, whose name is as long as a name can be: 63 bytes!!\"
                         ADD CONSTRAINT \"Is it's \"\"so\"\"? 🐘\"
                         CHECK (\"e.mail\"\"\" <> '' AND \"Id\" > 0 AND \"check\" <> '-- it''s')",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "rows that violate it",
            ddl: "CREATE TABLE trips (id int PRIMARY KEY, started int, ended int);
                  INSERT INTO trips SELECT n, n, nullif(n, 9) - n % 3 FROM generate_series(1, 20) n;",
            arguments: &[
                "add-check",
                "trips",
                "in_order",
                "started <= ended",
                "--fill",
                "ended = greatest(started, ended)",
            ],
            oracle: "UPDATE trips SET ended = greatest(started, ended) WHERE started > ended;
                     ALTER TABLE trips ADD CONSTRAINT in_order CHECK (started <= ended)",
            stays: "UPDATE trips SET ended = greatest(started, ended) WHERE started > ended",
            proof: "safe",
        },
        Case {
            name: "a column that is computed, and the whole row",
            ddl: "CREATE TABLE boxes (w int, h int, area int GENERATED ALWAYS AS (w * h) STORED);
                  INSERT INTO boxes SELECT n, n FROM generate_series(1, 20) n;",
            arguments: &["add-check", "boxes", "sound", "area < 1000 AND boxes IS NOT NULL"],
            oracle: "ALTER TABLE boxes ADD CONSTRAINT sound CHECK (area < 1000 AND boxes IS NOT NULL)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "no column at all",
            ddl: "CREATE TABLE logs (line text);",
            arguments: &["add-check", "logs", "never_by_root", "current_user <> 'root'"],
            oracle: "ALTER TABLE logs ADD CONSTRAINT never_by_root CHECK (current_user <> 'root')",
            stays: "",
            // No column tells which code it lets write.
            proof: "not-proved",
        },
        Case {
            name: "a partitioned table",
            ddl: "CREATE TABLE visits (day int, who text) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10) PARTITION BY LIST (who);
                  CREATE TABLE visits_1_all PARTITION OF visits_1 DEFAULT;
                  CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20);
                  INSERT INTO visits SELECT n, 'me' FROM generate_series(1, 19) n;",
            arguments: &["add-check", "visits", "known", "who <> ''"],
            oracle: "ALTER TABLE visits ADD CONSTRAINT known CHECK (who <> '')",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "tables that inherit",
            ddl: "CREATE TABLE parents (a int); CREATE TABLE children (b int) INHERITS (parents);
                  INSERT INTO children SELECT n, n FROM generate_series(1, 20) n;",
            arguments: &["add-check", "parents", "small", "a < 100"],
            oracle: "ALTER TABLE parents ADD CONSTRAINT small CHECK (a < 100)",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn rows_that_violate_a_check_are_met_before_anything_is_refused() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE orders (id int, amount int); INSERT INTO orders VALUES (1, 2), (2, 0), (3, -1);",
        )
        .await;
    let plan = planned(&project, &["add-check", "orders", "positive", "amount > 0"]);
    let PhaseDetail::Expand(constrain) = &plan.phases()[1].detail else {
        panic!("{:?}", plan.phases()[1]);
    };
    let session = project.database.session().await;
    let before = catalog(&session).await;
    let first = &constrain.migration.up.steps[0].statements[0].text;
    let error = session.client().batch_execute(first).await.unwrap_err();
    let said = error.as_db_error().unwrap().message().to_owned();
    assert!(
        said.contains("public.orders holds rows that violate positive"),
        "{said}"
    );
    assert_eq!(catalog(&session).await, before);
}

#[tokio::test]
async fn a_check_that_cannot_be_added_in_phases_is_refused_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE orders (id int PRIMARY KEY, amount int, twice int GENERATED ALWAYS AS (id * 2) STORED,
                 CONSTRAINT there CHECK (amount > 1));
             ALTER TABLE orders ADD CONSTRAINT half CHECK (amount > 2) NOT VALID;
             CREATE TABLE parents (a int); CREATE TABLE children (CONSTRAINT own CHECK (a > 0)) INHERITS (parents);
             CREATE VIEW seen AS SELECT * FROM orders;",
        )
        .await;
    for (arguments, why) in [
        (
            &["orders", "other", "amount > 1"][..],
            "has this check already: there",
        ),
        (
            &["orders", "there", "amount > 0"],
            "constraint there of public.orders",
        ),
        (&["orders", "half", "amount > 2"], "NOT VALID"),
        (
            &["orders", "orders_pkey", "amount > 2"],
            "constraint orders_pkey of public.orders",
        ),
        (&["parents", "x", "parents.a > 0"][..], "table \"parents\""),
        (&["parents", "own", "a > 0"], "constraint own of public.children"),
        (&["seen", "x", "amount > 0"], "it is not a table"),
        (&["order", "x", "amount > 0"], "did you mean orders?"),
        (&["orders", "x", "amuont > 0"], "column \"amuont\" does not exist"),
        (&["orders", "x", "amount"], "boolean"),
        (&["orders", "x", "amount > $1"], "parameters"),
        (&["orders", "x", "sum(amount) > 1"], "aggregate"),
        (&["orders", "x", "amount > 'b'::text"], "operator does not exist"),
        (&["orders", "x", "amount > (SELECT 1)"], "asks other rows"),
        (
            &["orders", "x", "amount > 0) NOT VALID; DROP TABLE orders; --"],
            "not a usable check",
        ),
        (&["orders", "x", "amount > 0", "--fill", "id = 1"], "--fill of id"),
        (
            &["orders", "x", "twice > 0", "--fill", "twice = 1"],
            "generated column twice",
        ),
        (
            &["orders", "x", "amount > 0", "--fill", "amont = 1"],
            "did you mean amount?",
        ),
        (
            &["orders", "x", "amount > 0", "--fill", "amount = 1; COMMIT"],
            "--fill",
        ),
        (
            &["orders", "x", "amount > 0", "--fill", "amount"],
            "COLUMN = EXPRESSION",
        ),
    ] {
        let said = refused(&project, &[&["add-check"], arguments].concat());
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn what_a_fill_overwrites_is_said_to_be_lost() {
    let project = Project::new(SERVICES).await;
    project.database.execute("CREATE TABLE orders (amount int)").await;
    let arguments = [
        "plan",
        "add-check",
        "orders",
        "positive",
        "amount > 0",
        "--fill",
        "amount = 1",
    ];
    let output = project.shipctl(&arguments).output().unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains("`fill` overwrites amount in rows that violate positive"),
        "{said}"
    );
    let plan = project.repo.read("plans/add-check-orders-positive.toml");
    assert!(plan.contains("# What it overwrites is lost"), "{plan}");
}
