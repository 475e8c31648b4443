//! Renames against the oracle: after all phases the catalog must be what the one statement makes of the same table.

use jiff::Timestamp;
use shipctl::domain::{ColumnName, Problem, SqlIdentifier};
use shipctl::observe::catalog::column_facts;
use shipctl::plan::{self, BackfillPhase, PhaseDetail, Plan, SyncMode};
use shipctl::postgres::Session;
use shipctl::recipe::Recipe;
use shipctl::recipe::rename_column::{Wish, recipe};
use shipctl::sql::Script;

use super::declared_locks;
use super::support::{Database, Project, fresh_database};

/// A table with a column to be renamed, and the new name.
pub struct Case {
    pub name: &'static str,
    pub ddl: &'static str,
    pub column: &'static str,
    pub to: &'static str,
}

pub const CASES: [Case; 9] = [
    Case {
        name: "plain",
        ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text, email text);
              INSERT INTO users SELECT n, 'name ' || n, 'mail' FROM generate_series(1, 50) n;
              INSERT INTO users VALUES (51, NULL, NULL);",
        column: "users.name",
        to: "display_name",
    },
    Case {
        name: "constraints",
        ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL DEFAULT 'it''s \\ new', email text,
                  CONSTRAINT filled CHECK (name <> '' AND name <> 'name'), CHECK (length(name) < 100 OR email IS NULL),
                  CONSTRAINT users_name_key UNIQUE (name) DEFERRABLE INITIALLY DEFERRED);
              ALTER TABLE users ADD CONSTRAINT later CHECK (name !~ ' $') NOT VALID;
              COMMENT ON COLUMN users.name IS 'what people''s \\ call them';
              COMMENT ON CONSTRAINT filled ON users IS 'never empty';
              COMMENT ON CONSTRAINT users_name_key ON users IS 'one each';
              INSERT INTO users SELECT n, 'n' || n, 'mail' FROM generate_series(1, 50) n;",
        column: "users.name",
        to: "display_name",
    },
    Case {
        name: "indexes",
        ddl: "CREATE TABLE users (id bigint, name text, email text COLLATE \"C\", tags text[], gone boolean);
              CREATE INDEX a ON users (name);
              CREATE INDEX b ON users (lower(name), email DESC, name DESC NULLS LAST);
              CREATE INDEX c ON users (email) INCLUDE (name) WHERE name IS NOT NULL AND NOT gone;
              CREATE INDEX d ON users (name text_pattern_ops, id NULLS FIRST) WITH (fillfactor = 70);
              CREATE INDEX e ON users (name COLLATE \"C\", (name || ' ' || email) COLLATE \"POSIX\");
              CREATE UNIQUE INDEX f ON users (upper(name)) WHERE id > 10;
              CREATE UNIQUE INDEX g ON users (id, name) NULLS NOT DISTINCT;
              CREATE INDEX h ON users USING hash (name);
              CREATE INDEX untouched ON users (email);
              CREATE INDEX i ON users (((name)::name));
              COMMENT ON INDEX a IS 'for lookups';
              ALTER INDEX b ALTER COLUMN 1 SET STATISTICS 400;
              ALTER TABLE users CLUSTER ON a;
              INSERT INTO users SELECT n, 'n' || n, 'mail', '{}', false FROM generate_series(1, 50) n;",
        column: "users.name",
        to: "display_name",
    },
    Case {
        name: "foreign keys",
        ddl: "CREATE SCHEMA app;
              CREATE TABLE app.teams (id bigint, region text, PRIMARY KEY (region, id));
              CREATE TABLE app.people (team bigint, region text, id int,
                  CONSTRAINT belongs FOREIGN KEY (region, team) REFERENCES app.teams (region, id)
                      MATCH FULL ON DELETE CASCADE DEFERRABLE);
              CREATE INDEX ON app.people (team);
              COMMENT ON CONSTRAINT belongs ON app.people IS 'all of them';
              INSERT INTO app.teams VALUES (1, 'eu'), (2, 'us');
              INSERT INTO app.people VALUES (1, 'eu', 1), (2, 'us', 2), (NULL, NULL, 3);",
        column: "app.people.team",
        to: "team_id",
    },
    Case {
        name: "strange names",
        ddl: "CREATE SCHEMA \"My Schema\";
              CREATE TABLE \"My Schema\".\"User \"\"Table\"\"\" (\"userName\" text NOT NULL, username text, \"order\" int,
                  CONSTRAINT \"Odd Check\" CHECK (\"userName\" <> username));
              CREATE UNIQUE INDEX \"User Index\" ON \"My Schema\".\"User \"\"Table\"\"\" (lower(\"userName\"), \"order\");
              INSERT INTO \"My Schema\".\"User \"\"Table\"\"\" SELECT 'u' || n, 'x', n FROM generate_series(1, 9) n;",
        column: "\"My Schema\".\"User \"\"Table\"\"\".\"userName\"",
        to: "\"select\"",
    },
    Case {
        name: "settings and grants",
        ddl: "CREATE TABLE users (id int, name varchar(40) COLLATE \"C\");
              ALTER TABLE users ALTER COLUMN name SET STORAGE EXTERNAL;
              ALTER TABLE users ALTER COLUMN name SET STATISTICS 250;
              ALTER TABLE users ALTER COLUMN name SET (n_distinct = -0.5);
              GRANT SELECT (name), UPDATE (name) ON users TO pg_monitor WITH GRANT OPTION;
              GRANT SELECT (name) ON users TO PUBLIC;
              CREATE INDEX ON users (name);
              INSERT INTO users VALUES (1, 'a'), (2, NULL);",
        column: "users.name",
        to: "display_name",
    },
    Case {
        name: "types without equality",
        ddl: "CREATE TABLE places (id int, at point NOT NULL);
              CREATE INDEX ON places USING gist (at);
              INSERT INTO places VALUES (1, '(1,2)'), (2, '(3,4)');",
        column: "places.at",
        to: "position",
    },
    Case {
        name: "types of one's own",
        ddl: "CREATE TYPE mood AS ENUM ('glad', 'sad');
              CREATE DOMAIN moods AS mood[];
              CREATE TABLE days (id int, felt moods NOT NULL DEFAULT '{glad}');
              CREATE INDEX ON days USING gin (felt);
              INSERT INTO days VALUES (1, '{glad,sad}'), (2, '{}');",
        column: "days.felt",
        to: "moods",
    },
    Case {
        name: "long names",
        ddl: "CREATE TABLE t (id int, c text NOT NULL);
              CREATE INDEX an_index_with_a_name_that_is_as_long_as_a_name_may_be_in_here_1 ON t (c);
              CREATE INDEX an_index_with_a_name_that_is_as_long_as_a_name_may_be_in_here_2 ON t (lower(c));
              INSERT INTO t VALUES (1, 'x');",
        column: "t.c",
        to: "a_column_with_a_name_that_is_as_long_as_a_name_may_be_in_here_x",
    },
];

#[tokio::test]
async fn a_rename_in_phases_leaves_the_catalog_that_the_one_statement_leaves_and_can_be_undone() {
    against_the_oracle(SyncMode::Code).await;
}

/// Runs every case forth and back, and compares what it leaves.
pub async fn against_the_oracle(sync: SyncMode) {
    for case in CASES {
        let (phased, plain) = (fresh_database().await, fresh_database().await);
        let phased = prepared(&phased, case.ddl).await;
        let plain = prepared(&plain, case.ddl).await;
        let before = catalog(&phased).await;

        let recipe = made_with(&phased, case.column, case.to, sync).await.unwrap();
        let plan = parsed(&recipe);
        for phase in plan.phases() {
            forward(&phased, &phase.detail).await;
        }
        let column: ColumnName = case.column.parse().unwrap();
        plain
            .client()
            .batch_execute(&format!(
                "ALTER TABLE {} RENAME COLUMN {} TO {}",
                column.table.quoted(),
                column.column.quoted(),
                case.to.parse::<SqlIdentifier>().unwrap().quoted()
            ))
            .await
            .unwrap();
        assert_eq!(catalog(&phased).await, catalog(&plain).await, "{}", case.name);

        for phase in plan.phases().iter().rev() {
            backward(&phased, &phase.detail).await;
        }
        assert_eq!(catalog(&phased).await, before, "{} undone", case.name);
    }
}

#[tokio::test]
async fn undoing_works_from_every_phase() {
    there_and_back_from_every_phase(SyncMode::Code).await;
}

/// Runs a rename up to each of its phases, and back.
pub async fn there_and_back_from_every_phase(sync: SyncMode) {
    let case = CASES.iter().find(|case| case.name == "constraints").unwrap();
    let database = fresh_database().await;
    let session = prepared(&database, case.ddl).await;
    let before = catalog(&session).await;
    let plan = parsed(&made_with(&session, case.column, case.to, sync).await.unwrap());
    for last in 0..plan.phases().len() {
        for phase in &plan.phases()[..=last] {
            forward(&session, &phase.detail).await;
        }
        for phase in plan.phases()[..=last].iter().rev() {
            backward(&session, &phase.detail).await;
        }
        assert_eq!(catalog(&session).await, before, "{}", plan.phases()[last].id);
    }
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_all_at_once_and_by_name() {
    let database = fresh_database().await;
    let session = prepared(
        &database,
        "CREATE EXTENSION btree_gist;
         CREATE TABLE parents (id int PRIMARY KEY);
         CREATE TABLE t (id serial PRIMARY KEY, a int UNIQUE REFERENCES parents ON DELETE SET NULL,
             doubled int GENERATED ALWAYS AS (a * 2) STORED, b int,
             CONSTRAINT apart EXCLUDE USING gist (a WITH =));
         CREATE TABLE children (a int CONSTRAINT to_t REFERENCES t (a));
         CREATE VIEW seen AS SELECT a FROM t;
         CREATE MATERIALIZED VIEW kept AS SELECT a FROM t;
         CREATE STATISTICS together ON a, b FROM t;
         CREATE POLICY own ON t USING (a > 0);
         CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER watches BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION noop();
         CREATE TRIGGER looks BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.a IS DISTINCT FROM NEW.a)
             EXECUTE FUNCTION noop();
         CREATE PUBLICATION part FOR TABLE t (id, a);
         CREATE FUNCTION total() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT sum(a) FROM t; END;
         CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
         CREATE TABLE d (short short);
         CREATE TABLE split (a int) PARTITION BY RANGE (a);",
    )
    .await;
    let refused = |problem: Problem| {
        assert_eq!(problem.code(), "rename-refused", "{problem}");
        problem.why().unwrap().to_owned()
    };
    let all = refused(made(&session, "t.a", "c").await.unwrap_err());
    for name in [
        "foreign key t_a_fkey",
        "doubled",
        "apart",
        "to_t",
        "view public.seen",
        "materialized view public.kept",
        "statistics object public.together",
        "policy own",
        "trigger watches",
        "trigger looks",
        "total()",
    ] {
        if name == "total()" && session.server_version() < 140_000 {
            continue;
        }
        assert!(all.contains(name), "{name} is not among {all}");
    }
    assert_eq!(all.contains("publication part"), knows_15(&session), "{all}");
    let key = refused(made(&session, "t.id", "key").await.unwrap_err());
    assert!(key.contains("t_pkey") && key.contains("t_id_seq"), "{key}");
    let generated = refused(made(&session, "t.doubled", "twice").await.unwrap_err());
    assert!(generated.contains("generated column doubled"), "{generated}");
    let domain = refused(made(&session, "d.short", "long").await.unwrap_err());
    assert!(domain.contains("domain public.short"), "{domain}");
    let partitioned = refused(made(&session, "split.a", "b").await.unwrap_err());
    assert!(
        partitioned.contains("partitioned table public.split"),
        "{partitioned}"
    );
    let taken = made(&session, "t.b", "a").await.unwrap_err();
    assert_eq!(taken.code(), "rename-name");
}

#[tokio::test]
async fn a_mistyped_name_is_answered_with_the_nearest_one() {
    let database = fresh_database().await;
    let session = prepared(
        &database,
        "CREATE TABLE users (name text, \"Email\" text); CREATE SCHEMA app; CREATE TABLE app.orders (id int);",
    )
    .await;
    for (typed, code, hint) in [
        ("user.name", "no-such-table", "did you mean users?"),
        ("orders.id", "no-such-table", "did you mean app.orders?"),
        ("users.nam", "no-such-column", "did you mean name?"),
        ("users.email", "no-such-column", "did you mean \"Email\"?"),
        ("users.zzz", "no-such-column", "its columns are: name, \"Email\""),
    ] {
        let problem = made(&session, typed, "other").await.unwrap_err();
        assert_eq!(problem.code(), code);
        assert_eq!(problem.remedy(), Some(hint), "{typed}");
    }
}

#[tokio::test]
async fn functions_and_volatile_defaults_are_remarked_on() {
    let database = fresh_database().await;
    let session = prepared(
        &database,
        "CREATE TABLE users (name uuid DEFAULT gen_random_uuid());
         CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := NULL; RETURN NEW; END';
         CREATE TRIGGER tidy BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION tidy();
         CREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 1 AS names_of_users';",
    )
    .await;
    let remarks = made(&session, "users.name", "key").await.unwrap().remarks;
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    assert!(remarks[0].contains("gen_random_uuid()"));
    assert!(
        remarks[1].contains("Trigger function public.tidy()"),
        "{remarks:?}"
    );
}

#[tokio::test]
async fn the_command_writes_all_files_or_none() {
    let project = Project::new("[[environments.production.services]]\nname = \"web\"\nsource = { kind = \"connections\", application_name = \"web@{commit}\" }").await;
    project
        .database
        .execute("CREATE TABLE users (name text NOT NULL)")
        .await;
    let count = |folder: &str| {
        std::fs::read_dir(project.repo.path().join(folder))
            .unwrap()
            .count()
    };

    let dry = project
        .shipctl(&["plan", "rename", "users.name", "display_name", "--dry-run"])
        .assert()
        .success();
    assert!(String::from_utf8_lossy(&dry.get_output().stdout).contains("id = \"rename-users-name\""));
    assert_eq!((count("plans"), count("migrations")), (0, 0));

    project
        .shipctl(&["plan", "rename", "users.name", "display_name"])
        .assert()
        .success();
    assert_eq!((count("plans"), count("migrations")), (1, 4));
    project.shipctl(&["check"]).assert().success();

    let again = project
        .shipctl(&["plan", "rename", "users.name", "display_name"])
        .assert()
        .code(2);
    assert!(String::from_utf8_lossy(&again.get_output().stderr).contains("rename-users-name.toml"));
    assert_eq!((count("plans"), count("migrations")), (1, 4));

    for bad in [
        ["plan", "rename", "users.name", "name"],
        ["plan", "rename", "users.nmae", "title"],
        ["plan", "rename", "users.name", "ctid"],
    ] {
        project.shipctl(&bad).assert().code(2);
    }
    for (flag, value) in [
        ("--type", "text; DROP TABLE users"),
        ("--type", "no(("),
        ("--soak", "soon"),
    ] {
        project
            .shipctl(&["plan", "rename", "a.b", "c", flag, value])
            .assert()
            .code(2);
    }
    assert_eq!((count("plans"), count("migrations")), (1, 4));
}

pub async fn prepared(database: &Database, ddl: &str) -> Session {
    let session = database.session().await;
    let mut ddl = ddl.to_owned();
    if !knows_15(&session) {
        ddl = ddl
            .replace(" NULLS NOT DISTINCT", "")
            .replace("FOR TABLE t (id, a)", "FOR TABLE t");
    }
    // Functions whose body is parsed came with 14.
    if session.server_version() < 140_000 {
        ddl = ddl.replace(
            "BEGIN ATOMIC SELECT sum(a) FROM t; END",
            "AS 'SELECT sum(a) FROM t'",
        );
    }
    session.client().batch_execute(&ddl).await.unwrap();
    session
}

/// Whether the server has what came with PostgreSQL 15: NULLS NOT DISTINCT and column lists of publications.
fn knows_15(session: &Session) -> bool {
    session.server_version() >= 150_000
}

async fn made(session: &Session, column: &str, to: &str) -> Result<Recipe, Problem> {
    made_with(session, column, to, SyncMode::Code).await
}

/// The recipe of a rename.
pub async fn made_with(session: &Session, column: &str, to: &str, sync: SyncMode) -> Result<Recipe, Problem> {
    let facts = column_facts(session, &column.parse().unwrap()).await?;
    let wish = Wish {
        sync,
        ..Wish::new(to.parse().unwrap())
    };
    recipe(&facts, &wish, Timestamp::UNIX_EPOCH)
}

pub fn parsed(recipe: &Recipe) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in &recipe.migrations {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    match plan::parse(
        std::path::Path::new(&recipe.plan_file),
        &recipe.plan_text,
        folder.path(),
    ) {
        Ok(plan) => {
            assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
            plan
        }
        Err(problem) => panic!("{problem}: {problem:?}\n{}", recipe.plan_text),
    }
}

pub async fn forward(session: &Session, phase: &PhaseDetail) {
    match phase {
        PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => script(session, &run.migration.up).await,
        PhaseDetail::Backfill(fill) => filled(session, fill).await,
        PhaseDetail::Code(_) | PhaseDetail::Manual { .. } => {}
    }
}

pub async fn backward(session: &Session, phase: &PhaseDetail) {
    match phase {
        PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => {
            script(session, run.migration.down.as_ref().unwrap()).await;
            if let Some(fill) = &run.restore {
                filled(session, fill).await;
            }
        }
        PhaseDetail::Code(code) => {
            if let Some(fill) = &code.restore {
                filled(session, fill).await;
            }
        }
        PhaseDetail::Backfill(_) | PhaseDetail::Manual { .. } => {}
    }
}

async fn script(session: &Session, script: &Script) {
    for step in &script.steps {
        declared_locks::run(session, step).await;
    }
}

async fn filled(session: &Session, fill: &BackfillPhase) {
    let set: Vec<String> = fill
        .set
        .iter()
        .map(|set| format!("{} = ({})", set.column.quoted(), set.expression))
        .collect();
    let table = fill.table.quoted();
    let sql = format!(
        "UPDATE {table} SET {} WHERE ({}) IS NOT TRUE",
        set.join(", "),
        fill.verify
    );
    // As the program does: triggers that keep columns in step are not called for it, and what another trigger made of a row is
    // filled in another pass.
    let sql = format!("SET shipctl.backfill = 'on'; {sql}; SET shipctl.backfill = 'off'");
    let rest = format!("SELECT count(*) FROM {table} WHERE ({}) IS NOT TRUE", fill.verify);
    for _ in 0..5 {
        session.client().batch_execute(&sql).await.unwrap();
        let rest = session.client().query_one(&rest, &[]).await.unwrap();
        if rest.get::<_, i64>(0) == 0 {
            return;
        }
    }
    panic!("rows are left where not {}", fill.verify);
}

/// Everything about the user's tables, one fact a line, without the order of columns; and their rows.
pub async fn catalog(session: &Session) -> Vec<String> {
    let facts = "
        select format('column %s.%I %s %s default=%s%s%s collation=%s comment=%s grants=%s statistics=%s %s %s %s',
                      c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                      pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attcollation::regcollation, col_description(c.oid, a.attnum),
                      (select string_agg(x::text, ',' order by x::text) from unnest(a.attacl) x),
                      a.attstattarget, a.attstorage, to_jsonb(a) ->> 'attcompression', a.attoptions)
          from pg_class c join pg_attribute a on a.attrelid = c.oid
          left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
         where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
           and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        union all
        select format('index %s valid=%s clustered=%s identity=%s immediate=%s tablespace=%s comment=%s statistics=%s',
                      pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident, i.indimmediate,
                      (select x.reltablespace from pg_class x where x.oid = i.indexrelid),
                      obj_description(i.indexrelid, 'pg_class'),
                      (select string_agg(a.attnum || '=' || a.attstattarget, ',' order by a.attnum)
                         from pg_attribute a where a.attrelid = i.indexrelid))
          from pg_index i join pg_class c on c.oid = i.indrelid
         where c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
        union all
        select format('constraint %I on %s %s local=%s inherited=%s comment=%s', k.conname, k.conrelid::regclass,
                      pg_get_constraintdef(k.oid), k.conislocal, k.coninhcount, obj_description(k.oid, 'pg_constraint'))
          from pg_constraint k where k.conrelid <> 0 and k.contype <> 'n'
           and k.connamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        union all
        select format('trigger %s enabled=%s comment=%s', pg_get_triggerdef(g.oid), g.tgenabled,
                      obj_description(g.oid, 'pg_trigger'))
          from pg_trigger g where not g.tgisinternal
        union all
        select format('enum %s values=%s comment=%s', t.oid::regtype,
                      (select string_agg(quote_literal(e.enumlabel), ',' order by e.enumsortorder)
                         from pg_enum e where e.enumtypid = t.oid),
                      obj_description(t.oid, 'pg_type'))
          from pg_type t where t.typtype = 'e'
           and t.typnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        union all
        select format('function %s', p.oid::regprocedure)
          from pg_proc p where p.pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        union all
        select format('relation %s kind=%s%s owner=%s grants=%s options=%s %s tablespace=%s row security=%s %s identity=%s comment=%s '
                      'of %s as %s bound=%s %s',
                      c.oid::regclass, c.relkind, c.relpersistence, c.relowner::regrole,
                      (select string_agg(x::text, ',' order by x::text) from unnest(c.relacl) x), c.reloptions,
                      (select x.reloptions from pg_class x where x.oid = c.reltoastrelid), c.reltablespace,
                      c.relrowsecurity, c.relforcerowsecurity, c.relreplident, obj_description(c.oid, 'pg_class'),
                      (select string_agg(i.inhparent::regclass::text, ',' order by i.inhseqno)
                         from pg_inherits i where i.inhrelid = c.oid),
                      case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
                      pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid))
          from pg_class c where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
           and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
        union all
        select format('sequence %s %s %s %s-%s from %s cache=%s cycle=%s last=%s of %s', q.seqrelid::regclass, q.seqtypid::regtype,
                      q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache, q.seqcycle,
                      pg_sequence_last_value(q.seqrelid),
                      (select format('%s.%I', a.attrelid::regclass, a.attname) from pg_depend d
                         join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                        where d.classid = 'pg_class'::regclass and d.objid = q.seqrelid
                          and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')))
          from pg_sequence q
        union all
        select format('policy %I on %s %s %s %s using %s check %s comment=%s', p.polname, p.polrelid::regclass, p.polcmd,
                      p.polpermissive, (select string_agg(r::regrole::text, ',') from unnest(p.polroles) r),
                      pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
                      obj_description(p.oid, 'pg_policy'))
          from pg_policy p
        union all
        select format('rule %s enabled=%s comment=%s', pg_get_ruledef(r.oid), r.ev_enabled, obj_description(r.oid, 'pg_rewrite'))
          from pg_rewrite r join pg_class c on c.oid = r.ev_class
         where r.rulename <> '_RETURN'
           and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        union all
        select format('statistics %s target=%s owner=%s comment=%s',
                      -- Without the order of columns.
                      (select string_agg(x, ' ' order by x) from regexp_split_to_table(pg_get_statisticsobjdef(s.oid), '[ ,]+') x),
                      coalesce(to_jsonb(s) ->> 'stxstattarget', '-1'), s.stxowner::regrole, obj_description(s.oid, 'pg_statistic_ext'))
          from pg_statistic_ext s
        union all
        select format('published by %s: %s.%s %s %s', p.pubname, p.schemaname, p.tablename,
                      (select string_agg(x, ',' order by x) from jsonb_array_elements_text(to_jsonb(p) -> 'attnames') x),
                      to_jsonb(p) ->> 'rowfilter')
          from pg_publication_tables p
         order by 1";
    let client = session.client();
    let mut lines: Vec<String> = client
        .query(facts, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let tables = client
        .query(
            "select c.oid::regclass::text from pg_class c where c.relkind = 'r'
                and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) order by 1",
            &[],
        )
        .await
        .unwrap();
    for table in &tables {
        let table: String = table.get(0);
        // jsonb sorts the columns by name.
        let rows = client
            .query(
                &format!("select to_jsonb(t)::text from {table} t order by 1"),
                &[],
            )
            .await
            .unwrap();
        lines.extend(
            rows.iter()
                .map(|row| format!("row of {table} {}", row.get::<_, String>(0))),
        );
    }
    lines
}
