//! Operations on one column of a generated table, and on the table as it is.

use super::Operation;
use super::tables::{Key, Table};

/// All that can be asked of a column.
pub fn operations(table: &Table, at: usize) -> Vec<Operation> {
    let name = table.name;
    let column = &table.columns[at];
    let (c, constant) = (column.name, column.of.constant);
    let full = format!("{name}.{c}");
    let filled = format!("UPDATE {name} SET {c} = {constant} WHERE {c} IS NULL");
    let alter = |action: &str| format!("ALTER TABLE {name} {action}");
    let plan = |arguments: &[&str], oracle: String| Operation::new(table.ddl(), arguments, oracle);
    let renamed = alter(&format!("RENAME COLUMN {c} TO \"New Name\""));
    let condition = column.condition();
    let mut all = vec![
        plan(&["rename", &full, "\"New Name\""], renamed.clone()),
        plan(&["rename", &full, "\"New Name\"", "--sync", "trigger"], renamed),
        drop_column(table, at),
        plan(
            &["set-default", &full, constant],
            alter(&format!("ALTER COLUMN {c} SET DEFAULT {constant}")),
        ),
        plan(
            &[
                "add-column",
                &format!("{name}.added"),
                column.of.name,
                "--fill",
                constant,
                "--not-null",
            ],
            alter(&format!("ADD COLUMN added {}", column.of.name))
                + &format!("; UPDATE {name} SET added = {constant}; ")
                + &alter("ALTER COLUMN added SET NOT NULL"),
        ),
        plan(
            &["add-check", name, "\"checked now\"", &condition],
            alter(&format!("ADD CONSTRAINT \"checked now\" CHECK ({condition})")),
        ),
        plan(
            &["rename-table", name, "\"An other\""],
            alter("RENAME TO \"An other\""),
        ),
        plan(&["drop-table", name], format!("DROP TABLE {name}")).leaving(match table.key {
            // Sequences begin anew.
            Key::Serial => format!(
                "DELETE FROM {name}; SELECT setval({}, 1, false)",
                table.sequence()
            ),
            _ => format!("DELETE FROM {name}"),
        }),
    ];
    let wider = match column.of.name {
        "character varying(40)" => Some("text"),
        "integer" => Some("bigint"),
        "numeric(10,2)" => Some("numeric(12,2)"),
        "bigint" => Some("numeric(20,0)"),
        "text" => Some("character varying"),
        _ => None,
    };
    if let Some(wider) = wider {
        let changed = alter(&format!("ALTER COLUMN {c} TYPE {wider}"));
        // The one statement forgets the statistics of the indexes that it builds anew; the plan does not.
        let kept = table
            .settings()
            .into_iter()
            .filter(|sql| sql.starts_with("ALTER INDEX"));
        let changed = kept.fold(changed, |all, sql| all + "; " + &sql);
        all.push(plan(&["change-type", &full, wider], changed.clone()));
        all.push(plan(&["change-type", &full, wider, "--swap"], changed));
    }
    if column.not_null {
        all.push(plan(
            &["drop-not-null", &full, "--fill", constant],
            alter(&format!("ALTER COLUMN {c} DROP NOT NULL")),
        ));
    } else {
        all.push(
            plan(
                &["set-not-null", &full, "--fill", constant],
                format!("{filled}; ") + &alter(&format!("ALTER COLUMN {c} SET NOT NULL")),
            )
            .leaving(filled),
        );
    }
    if column.default {
        all.push(plan(
            &["drop-default", &full],
            alter(&format!("ALTER COLUMN {c} DROP DEFAULT")),
        ));
    }
    if column.of.is_ordered {
        all.push(plan(
            &["add-unique", name, c, "id", "--name", "\"Un ique\""],
            alter(&format!("ADD CONSTRAINT \"Un ique\" UNIQUE ({c}, id)")),
        ));
        all.push(plan(
            &["add-index", name, &format!("{c} DESC"), "--name", "\"In dex\""],
            format!("CREATE INDEX \"In dex\" ON {name} ({c} DESC)"),
        ));
    }
    // An index that leads with it serves the foreign key as well.
    if column.of.name == "bigint" && !column.refers && !column.is_found() {
        all.push(plan(
            &["add-foreign-key", &full, "parents.id", "--name", "\"Key\""],
            format!("CREATE INDEX ON {name} ({c}); ")
                + &alter(&format!(
                    "ADD CONSTRAINT \"Key\" FOREIGN KEY ({c}) REFERENCES parents (id)"
                )),
        ));
    }
    if column.check.is_some() {
        let check = format!("\"check {at}\"");
        all.push(plan(
            &["drop-constraint", name, &check],
            alter(&format!("DROP CONSTRAINT {check}")),
        ));
    }
    all
}

/// The column goes, with what is about others too.
fn drop_column(table: &Table, at: usize) -> Operation {
    let name = table.name;
    let (c, constant) = (table.columns[at].name, table.columns[at].of.constant);
    let full = format!("{name}.{c}");
    let mut arguments = vec!["drop-column", &full, "--fill", constant];
    let shared = table.shared(at);
    for one in &shared {
        arguments.extend(["--drop-dependent", one]);
    }
    Operation::new(
        table.ddl(),
        &arguments,
        format!("ALTER TABLE {name} DROP COLUMN {c}"),
    )
    .leaving(format!(
        "UPDATE {name} SET {c} = {constant} WHERE {c} IS NULL;; UPDATE {name} SET {c} = {constant}"
    ))
}

/// The column goes, with all that rests on it.
pub fn drop_dependents(table: &Table, at: usize, pick: u32) -> Operation {
    let (name, schema) = (table.name, table.schema());
    let c = table.columns[at].name;
    let plain = drop_column(table, at);
    let mut operation = plain.called("drop-column --drop-dependent");
    let mut let_go = |what: String, oracle: String| {
        operation.arguments.extend(["--drop-dependent".to_owned(), what]);
        operation.oracle.insert_str(0, &format!("{oracle}; "));
    };
    if table.is_watched(at) {
        let_go(
            "\"a trigger\"".to_owned(),
            format!("DROP TRIGGER \"a trigger\" ON {name}"),
        );
    }
    if table.statistics && at < 2 {
        let_go(
            "\"to gether\"".to_owned(),
            format!("DROP STATISTICS {schema}.\"to gether\""),
        );
    }
    let mut ddl = Vec::new();
    let with = if pick & 1 == 0 {
        ""
    } else {
        "WITH (security_barrier) "
    };
    ddl.push(format!(
        "CREATE VIEW \"Odd Schema\".\"a \"\"View\"\"\" {with}AS SELECT id, {c} AS \"Seen\" FROM {name} WHERE id > 1;
         COMMENT ON COLUMN \"Odd Schema\".\"a \"\"View\"\"\".\"Seen\" IS 'se''en'"
    ));
    let_go(
        "\"a \"\"View\"\"\"".to_owned(),
        "DROP VIEW \"Odd Schema\".\"a \"\"View\"\"\"".to_owned(),
    );
    if pick & 2 == 0 {
        ddl.push("GRANT SELECT, UPDATE ON \"Odd Schema\".\"a \"\"View\"\"\" TO pg_monitor".to_owned());
    }
    if pick & 4 == 0 {
        ddl.push(format!(
            "CREATE POLICY \"own's\" ON {name} AS RESTRICTIVE FOR UPDATE TO pg_monitor, PUBLIC USING ({c} IS NOT NULL)
                 WITH CHECK (id > 0); COMMENT ON POLICY \"own's\" ON {name} IS 'my''s'"
        ));
        let_go("\"own's\"".to_owned(), format!("DROP POLICY \"own's\" ON {name}"));
    }
    if pick & 8 == 0 {
        ddl.push(format!(
            "CREATE TRIGGER \"wat ches\" AFTER UPDATE OF {c} ON {name} FOR EACH ROW WHEN (OLD.{c} IS NOT NULL)
                 EXECUTE FUNCTION \"Odd Schema\".\"no op\"();
             ALTER TABLE {name} ENABLE ALWAYS TRIGGER \"wat ches\""
        ));
        let_go(
            "\"wat ches\"".to_owned(),
            format!("DROP TRIGGER \"wat ches\" ON {name}"),
        );
    }
    operation.ddl += &(ddl.join(";\n") + ";\n");
    operation
}
