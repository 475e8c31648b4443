//! `shipctl plan add-foreign-key`.

use super::{Case, SERVICES, hold, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn a_foreign_key_is_added_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "one column",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY);
                  CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint);
                  INSERT INTO users SELECT n FROM generate_series(1, 20) n;
                  INSERT INTO orders SELECT n, nullif(n, 3) FROM generate_series(1, 20) n;",
            arguments: &["add-foreign-key", "orders.user_id", "users.id"],
            oracle: "CREATE INDEX ON orders (user_id);
                     ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id)",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "several columns with difficult names, and all that can be asked for",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"Team.s 🐘\" (\"Id\" int, \"a,b\" varchar(20), \"order\" int);
                  CREATE UNIQUE INDEX \"only an index\" ON \"My Schema\".\"Team.s 🐘\" (\"Id\", \"a,b\");
                  CREATE TABLE people (\"Team\" int DEFAULT 1, \"x,y\"\"\" varchar(10) DEFAULT 'eu', id int);
                  CREATE INDEX \"found by\" ON people (\"x,y\"\"\", \"Team\", id);
                  INSERT INTO \"My Schema\".\"Team.s 🐘\" VALUES (1, 'eu'), (2, 'us');
                  INSERT INTO people VALUES (1, 'eu', 1), (2, 'us', 2), (NULL, 'xx', 3);",
            arguments: &[
                "add-foreign-key",
                "people.\"x,y\"\"\",\"Team\"",
                "\"My Schema\".\"Team.s 🐘\".\"a,b\",\"Id\"",
                "--on-delete",
                "set-default",
                "--on-update",
                "cascade",
                "--deferrable=deferred",
                "--name",
                "\"Belongs.to 🐘\"",
            ],
            oracle: "ALTER TABLE people ADD CONSTRAINT \"Belongs.to 🐘\" FOREIGN KEY (\"x,y\"\"\", \"Team\")
                         REFERENCES \"My Schema\".\"Team.s 🐘\" (\"a,b\", \"Id\")
                         ON DELETE SET DEFAULT ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a table to itself, by indexes that do not do, and names that are cut or taken",
            ddl: "CREATE TABLE a_table_with_quite_a_long_name_for_a_table (id int PRIMARY KEY,
                      a_column_with_quite_a_long_name_for_a_column int, gone boolean);
                  CREATE INDEX partial ON a_table_with_quite_a_long_name_for_a_table
                      (a_column_with_quite_a_long_name_for_a_column) WHERE gone;
                  CREATE INDEX second ON a_table_with_quite_a_long_name_for_a_table
                      (id, a_column_with_quite_a_long_name_for_a_column);
                  CREATE INDEX hashed ON a_table_with_quite_a_long_name_for_a_table
                      USING hash (a_column_with_quite_a_long_name_for_a_column);
                  CREATE INDEX ON a_table_with_quite_a_long_name_for_a_table
                      (abs(a_column_with_quite_a_long_name_for_a_column));
                  INSERT INTO a_table_with_quite_a_long_name_for_a_table
                      SELECT n, n / 2 + 1 FROM generate_series(1, 20) n;",
            arguments: &[
                "add-foreign-key",
                "a_table_with_quite_a_long_name_for_a_table.a_column_with_quite_a_long_name_for_a_column",
                "a_table_with_quite_a_long_name_for_a_table.id",
                "--deferrable",
                "--on-delete",
                "set-null",
            ],
            oracle: "CREATE INDEX ON a_table_with_quite_a_long_name_for_a_table
                         (a_column_with_quite_a_long_name_for_a_column);
                     ALTER TABLE a_table_with_quite_a_long_name_for_a_table
                         ADD FOREIGN KEY (a_column_with_quite_a_long_name_for_a_column)
                         REFERENCES a_table_with_quite_a_long_name_for_a_table (id) ON DELETE SET NULL DEFERRABLE",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "no index, and a second foreign key of the same columns",
            ddl: "CREATE TABLE users (id text PRIMARY KEY, at timestamp(3) with time zone);
                  CREATE TABLE orders (user_id varchar(9) CONSTRAINT first REFERENCES users);
                  INSERT INTO users VALUES ('1'), ('2'); INSERT INTO orders VALUES ('1'), ('1');",
            arguments: &[
                "add-foreign-key",
                "orders.user_id",
                "users.id",
                "--no-index",
                "--on-delete",
                "restrict",
            ],
            oracle: "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a partition",
            ddl: "CREATE TABLE users (id int PRIMARY KEY);
                  CREATE TABLE visits (day int, who int) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
                  INSERT INTO users SELECT n FROM generate_series(1, 20) n;
                  INSERT INTO visits SELECT n, n FROM generate_series(1, 9) n;",
            arguments: &["add-foreign-key", "visits_1.who", "users.id"],
            oracle: "CREATE INDEX ON visits_1 (who); ALTER TABLE visits_1 ADD FOREIGN KEY (who) REFERENCES users (id)",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

#[tokio::test]
async fn a_partitioned_table_can_refer_where_the_server_adds_that_not_valid() {
    let ddl = "CREATE TABLE users (id int PRIMARY KEY);
        CREATE TABLE visits (day int, who int) PARTITION BY RANGE (day);
        CREATE INDEX ON visits (who);
        CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (who);
        CREATE TABLE visits_1_all PARTITION OF visits_1 DEFAULT;
        CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20);
        INSERT INTO users SELECT n FROM generate_series(1, 20) n;
        INSERT INTO visits SELECT n, n FROM generate_series(1, 19) n;";
    let project = Project::new(SERVICES).await;
    project.database.execute(ddl).await;
    let session = project.database.session().await;
    if session.server_version() < 180_000 {
        let said = refused(&project, &["add-foreign-key", "visits.who", "users.id"]);
        assert!(said.contains("partitioned table public.visits"), "{said}");
        return;
    }
    hold(&[Case {
        name: "a partitioned table",
        ddl,
        arguments: &["add-foreign-key", "visits.who", "users.id"],
        oracle: "ALTER TABLE visits ADD FOREIGN KEY (who) REFERENCES users (id)",
        stays: "",
        proof: "safe",
    }])
    .await;
    session
        .client()
        .batch_execute("DROP INDEX visits_who_idx")
        .await
        .unwrap();
    let said = refused(&project, &["add-foreign-key", "visits.who", "users.id"]);
    assert!(said.contains("shipctl plan add-index"), "{said}");
}

#[tokio::test]
async fn the_index_comes_before_the_code_and_the_foreign_key() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute("CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE orders (user_id int);")
        .await;
    let plan = planned(&project, &["add-foreign-key", "orders.user_id", "users.id"]);
    let phases: Vec<String> = plan.phases().iter().map(|phase| phase.id.to_string()).collect();
    assert_eq!(phases, ["index", "obey", "constrain"]);
}

#[tokio::test]
async fn a_foreign_key_that_cannot_be_added_in_phases_is_refused_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text, a int, b int, UNIQUE (a, b),
                 code text CONSTRAINT late UNIQUE DEFERRABLE, at timestamptz UNIQUE);
             CREATE UNIQUE INDEX part ON users (email) WHERE a > 0;
             INSERT INTO users (id, b) VALUES (1, 1), (2, 1);
             CREATE TABLE orders (user_id int NOT NULL, big bigint, code text, at timestamp,
                 CONSTRAINT there FOREIGN KEY (user_id) REFERENCES users,
                 twice int GENERATED ALWAYS AS (user_id * 2) STORED);
             CREATE TABLE split (a int PRIMARY KEY) PARTITION BY RANGE (a);
             CREATE VIEW seen AS SELECT * FROM users;",
        )
        .await;
    let session = project.database.session().await;
    session
        .client()
        .batch_execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON users (b)")
        .await
        .unwrap_err();
    for (arguments, why) in [
        (
            &["orders.user_id", "users.id"][..],
            "has this foreign key already: there",
        ),
        (&["orders.usr_id", "users.id"], "did you mean user_id?"),
        (&["orders.user_id", "users.idd"], "did you mean id?"),
        (&["orders.user_id", "user.id"], "did you mean users?"),
        (&["orders.big", "users.id"], "type bigint of big"),
        (
            &["orders.at", "users.at"],
            "type timestamp without time zone of at",
        ),
        (
            &["orders.code", "users.code"],
            "shipctl plan add-unique public.users code",
        ),
        (&["orders.code", "users.email"], "public.users (email)"),
        (&["orders.user_id", "users.a"], "public.users (a)"),
        (
            &["orders.user_id", "users.b"],
            "broken is left of a build that failed",
        ),
        (&["orders.user_id,big", "users.id"], "as many columns"),
        (&["orders.user_id,", "users.id"], "usable name"),
        (&["orders.twice", "users.id"], "generated column twice"),
        (
            &["orders.user_id", "users.id", "--on-delete", "set-null"],
            "ON DELETE SET NULL of user_id",
        ),
        (
            &["orders.user_id", "users.id", "--on-update", "set-default"],
            "ON UPDATE SET DEFAULT of user_id",
        ),
        (
            &[
                "orders.user_id",
                "users.id",
                "--on-delete",
                "cascade",
                "--name",
                "there",
            ],
            "constraint there",
        ),
        (&["orders.user_id,big", "users.a,a"], "column a stands in the way"),
        (
            &["orders.user_id,user_id", "users.a,b"],
            "column user_id stands in the way",
        ),
        (&["orders.user_id", "split.a"], "partitioned table public.split"),
        (&["orders.user_id", "seen.id"], "it is not a table"),
    ] {
        let said = refused(&project, &[&["add-foreign-key"], arguments].concat());
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}
