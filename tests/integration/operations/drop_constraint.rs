//! `shipctl plan drop-constraint`.

use shipctl::plan::PhaseDetail;

use super::{Case, SERVICES, hold, knows, planned, refused};
use crate::support::Project;

#[tokio::test]
async fn a_constraint_is_dropped_as_by_the_one_statement() {
    hold(&[
        Case {
            name: "a check with a comment",
            ddl: "CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric CONSTRAINT positive CHECK (amount > 0));
                  COMMENT ON CONSTRAINT positive ON orders IS 'it''s \\ more than nothing';
                  INSERT INTO orders SELECT n, n FROM generate_series(1, 20) n;",
            arguments: &["drop-constraint", "orders", "positive"],
            oracle: "ALTER TABLE orders DROP CONSTRAINT positive",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a check that is not valid, with difficult names",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE FUNCTION \"My Schema\".\"Fine 🐘\"(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int, \"e.mail\"\"\" text DEFAULT 'x NOT VALID');
                  INSERT INTO \"My Schema\".\"User.s 🐘\" VALUES (1, 'x'), (2, 'bad');
                  ALTER TABLE \"My Schema\".\"User.s 🐘\" ADD CONSTRAINT \"Is it's \"\"so\"\"? 🐘 \"
                      CHECK (\"My Schema\".\"Fine 🐘\"(\"e.mail\"\"\") AND \"e.mail\"\"\" <> 'bad') NO INHERIT NOT VALID;
                  COMMENT ON CONSTRAINT \"Is it's \"\"so\"\"? 🐘 \" ON \"My Schema\".\"User.s 🐘\" IS 'later';",
            arguments: &[
                "drop-constraint",
                "\"My Schema\".\"User.s 🐘\"",
                "\"Is it's \"\"so\"\"? 🐘 \"",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\" DROP CONSTRAINT \"Is it's \"\"so\"\"? 🐘 \"",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a foreign key that refuses",
            ddl: "CREATE TABLE teams (id bigint, region text, PRIMARY KEY (region, id));
                  CREATE TABLE people (team bigint, region text, CONSTRAINT belongs FOREIGN KEY (region, team)
                      REFERENCES teams (region, id) MATCH FULL ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED);
                  COMMENT ON CONSTRAINT belongs ON people IS 'all of them';
                  INSERT INTO teams VALUES (1, 'eu'); INSERT INTO people VALUES (1, 'eu'), (NULL, NULL);",
            arguments: &["drop-constraint", "people", "belongs"],
            oracle: "ALTER TABLE people DROP CONSTRAINT belongs",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a foreign key that acts, and is not valid",
            ddl: "CREATE TABLE teams (id bigint PRIMARY KEY);
                  CREATE TABLE people (team bigint); INSERT INTO people VALUES (7);
                  ALTER TABLE people ADD CONSTRAINT belongs FOREIGN KEY (team) REFERENCES teams
                      ON UPDATE CASCADE ON DELETE SET NULL NOT VALID;",
            arguments: &["drop-constraint", "people", "belongs"],
            oracle: "ALTER TABLE people DROP CONSTRAINT belongs",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a plain unique constraint",
            ddl: "CREATE TABLE users (id int, email text UNIQUE);
                  INSERT INTO users SELECT n, 'mail ' || n FROM generate_series(1, 20) n;",
            arguments: &["drop-constraint", "users", "users_email_key"],
            oracle: "ALTER TABLE users DROP CONSTRAINT users_email_key",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a unique constraint with all that it can have",
            ddl: "CREATE SCHEMA \"My Schema\";
                  CREATE TABLE \"My Schema\".\"User.s 🐘\" (\"Id\" int, email text COLLATE \"C\", more text,
                      CONSTRAINT \"One 🐘.each\" UNIQUE NULLS NOT DISTINCT (email, \"Id\") INCLUDE (more)
                          WITH (fillfactor = 70) DEFERRABLE INITIALLY DEFERRED);
                  COMMENT ON CONSTRAINT \"One 🐘.each\" ON \"My Schema\".\"User.s 🐘\" IS 'it''s one';
                  COMMENT ON INDEX \"My Schema\".\"One 🐘.each\" IS 'by \\ which';
                  INSERT INTO \"My Schema\".\"User.s 🐘\" SELECT n, 'mail' FROM generate_series(1, 20) n;",
            arguments: &[
                "drop-constraint",
                "\"My Schema\".\"User.s 🐘\"",
                "\"One 🐘.each\"",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            oracle: "ALTER TABLE \"My Schema\".\"User.s 🐘\" DROP CONSTRAINT \"One 🐘.each\"",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "one that can be deferred, and by which the table was clustered",
            ddl: "CREATE TABLE users (email text CONSTRAINT one_each UNIQUE DEFERRABLE, id int UNIQUE);
                  ALTER TABLE users CLUSTER ON users_id_key;
                  INSERT INTO users SELECT 'mail ' || n, n FROM generate_series(1, 20) n;",
            arguments: &["drop-constraint", "users", "one_each"],
            oracle: "ALTER TABLE users DROP CONSTRAINT one_each",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "one by which the table was clustered",
            ddl: "CREATE TABLE users (id int UNIQUE); ALTER TABLE users CLUSTER ON users_id_key;",
            arguments: &["drop-constraint", "users", "users_id_key"],
            oracle: "ALTER TABLE users DROP CONSTRAINT users_id_key",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a check of a partitioned table",
            ddl: "CREATE TABLE visits (day int, who text, CONSTRAINT known CHECK (who <> '')) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
                  COMMENT ON CONSTRAINT known ON visits IS 'who';
                  INSERT INTO visits SELECT n, 'me' FROM generate_series(1, 9) n;",
            arguments: &["drop-constraint", "visits", "known"],
            oracle: "ALTER TABLE visits DROP CONSTRAINT known",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a check of tables that inherit",
            ddl: "CREATE TABLE parents (a int, CONSTRAINT small CHECK (a < 100));
                  CREATE TABLE children () INHERITS (parents);
                  CREATE TABLE grandchildren () INHERITS (children);
                  INSERT INTO children VALUES (1);",
            arguments: &["drop-constraint", "parents", "small"],
            oracle: "ALTER TABLE parents DROP CONSTRAINT small",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a check that is not inherited, while a child has one of the same name",
            ddl: "CREATE TABLE parents (a int, CONSTRAINT alone CHECK (a > 0) NO INHERIT);
                  CREATE TABLE children (CONSTRAINT alone CHECK (a > 1)) INHERITS (parents);",
            arguments: &["drop-constraint", "parents", "alone"],
            oracle: "ALTER TABLE parents DROP CONSTRAINT alone",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
}

fn kind(detail: &PhaseDetail) -> &'static str {
    match detail {
        PhaseDetail::Code(_) => "code",
        PhaseDetail::Contract(_) => "contract",
        _ => "expand",
    }
}

#[tokio::test]
async fn what_came_with_18_is_brought_back_too() {
    if !knows(180_000, "NOT ENFORCED").await {
        return;
    }
    hold(&[
        Case {
            name: "a check that is not enforced",
            ddl: "CREATE TABLE orders (amount int CONSTRAINT positive CHECK (amount > 0) NOT ENFORCED);
                  COMMENT ON CONSTRAINT positive ON orders IS 'more than nothing';
                  INSERT INTO orders VALUES (-1);",
            arguments: &["drop-constraint", "orders", "positive"],
            oracle: "ALTER TABLE orders DROP CONSTRAINT positive",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a foreign key of a partitioned table",
            ddl: "CREATE TABLE users (id int PRIMARY KEY);
                  CREATE TABLE visits (day int, who int CONSTRAINT known REFERENCES users) PARTITION BY RANGE (day);
                  CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
                  INSERT INTO users SELECT n FROM generate_series(1, 20) n;
                  INSERT INTO visits SELECT n, n FROM generate_series(1, 9) n;",
            arguments: &["drop-constraint", "visits", "known"],
            oracle: "ALTER TABLE visits DROP CONSTRAINT known",
            stays: "",
            proof: "safe",
        },
        Case {
            name: "a foreign key that is not enforced",
            ddl: "CREATE TABLE users (id int PRIMARY KEY);
                  CREATE TABLE orders (who int CONSTRAINT known REFERENCES users NOT ENFORCED);
                  INSERT INTO orders VALUES (7);",
            arguments: &["drop-constraint", "orders", "known"],
            oracle: "ALTER TABLE orders DROP CONSTRAINT known",
            stays: "",
            proof: "safe",
        },
    ])
    .await;
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE EXTENSION btree_gist;
             CREATE TABLE stays (room int, during daterange, CONSTRAINT once UNIQUE (room, during WITHOUT OVERLAPS),
                 nights int CONSTRAINT given NOT NULL);",
        )
        .await;
    let said = refused(&project, &["drop-constraint", "stays", "once"]);
    assert!(said.contains("WITHOUT OVERLAPS"), "{said}");
    let said = refused(&project, &["add-check", "stays", "given", "nights > 0"]);
    assert!(said.contains("constraint given of public.stays"), "{said}");
}

#[tokio::test]
async fn what_code_may_rely_on_waits_for_code() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, age int CONSTRAINT old CHECK (age > 3));
             CREATE TABLE orders (a int CONSTRAINT refuses REFERENCES users, b int CONSTRAINT acts REFERENCES users
                 ON DELETE CASCADE);",
        )
        .await;
    for (table, name, phases) in [
        ("users", "old", "let-go code, drop contract"),
        ("orders", "refuses", "let-go code, drop contract"),
        ("orders", "acts", "let-go code, drop contract"),
        ("users", "users_email_key", "let-go code, drop contract"),
    ] {
        let plan = planned(&project, &["drop-constraint", table, name]);
        let found: Vec<String> = plan
            .phases()
            .iter()
            .map(|phase| format!("{} {}", phase.id, kind(&phase.detail)))
            .collect();
        assert_eq!(found.join(", "), phases, "{name}");
    }
}

#[tokio::test]
async fn a_constraint_that_cannot_be_dropped_in_phases_is_refused_by_name() {
    let project = Project::new(SERVICES).await;
    project
        .database
        .execute(
            "CREATE EXTENSION btree_gist;
             CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL UNIQUE, code text NOT NULL UNIQUE,
                 CONSTRAINT apart EXCLUDE USING gist (id WITH =));
             ALTER TABLE users REPLICA IDENTITY USING INDEX users_code_key;
             CREATE TABLE orders (email text CONSTRAINT to_user REFERENCES users (email));
             CREATE TABLE parents (a int CONSTRAINT small CHECK (a < 9)); CREATE TABLE children () INHERITS (parents);
             COMMENT ON CONSTRAINT small ON children IS 'own';
             CREATE TABLE elders (a int CONSTRAINT big CHECK (a < 9)); CREATE TABLE middle () INHERITS (elders);
             CREATE TABLE heirs (CONSTRAINT big CHECK (a < 9)) INHERITS (middle);
             CREATE TABLE split (a int, b int UNIQUE, UNIQUE (a, b)) PARTITION BY RANGE (b);
             CREATE TABLE split_1 PARTITION OF split DEFAULT;
             CREATE TABLE parts (a int) PARTITION BY RANGE (a);
             CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
             CREATE UNIQUE INDEX whole ON ONLY parts (a);
             ALTER TABLE parts_1 ADD CONSTRAINT own UNIQUE (a);
             ALTER INDEX whole ATTACH PARTITION own;
             ALTER TABLE split ADD CONSTRAINT to_users FOREIGN KEY (b) REFERENCES users;
             CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE CONSTRAINT TRIGGER watches AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION noop();",
        )
        .await;
    for (table, name, why) in [
        ("users", "users_email_kye", "did you mean users_email_key?"),
        ("users", "users_pkey", "primary key users_pkey"),
        ("users", "apart", "exclusion constraint apart"),
        ("users", "users_email_key", "foreign key public.orders.to_user"),
        ("users", "users_code_key", "replica identity users_code_key"),
        ("users", "watches", "constraint trigger watches"),
        ("children", "small", "inherited constraint small"),
        (
            "parents",
            "small",
            "comment on constraint small of public.children",
        ),
        ("elders", "big", "constraint big of public.heirs"),
        ("split", "split_b_key", "partitioned table public.split"),
        ("split_1", "split_1_b_key", "inherited constraint split_1_b_key"),
        ("split_1", "to_users", "inherited constraint to_users"),
        ("parts_1", "own", "the partitioned index above own"),
    ] {
        let said = refused(&project, &["drop-constraint", table, name]);
        assert!(said.contains(why), "{name}: {said}");
    }
}
