//! What a statement does to those who use the database meanwhile, as far as its text tells.

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode as _};

use super::name_in;
use crate::domain::TableName;

/// What matters about one statement to a reviewer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Why running code may notice it: it takes something away or refuses what was accepted. `None`: it only adds.
    pub takes_away: Option<&'static str>,
    /// It builds an index: concurrently (true), or stopping writers (false).
    pub builds_index: Option<bool>,
    /// It changes rows (or might: a DO block).
    pub changes_rows: bool,
    /// The table that it alters, as the statement writes it.
    pub altered_table: Option<String>,
    /// It adds a check of this name that this column is not null.
    pub checks_not_null: Option<(String, String)>,
    /// It adds a foreign key of this name to this table.
    pub adds_foreign_key: Option<(String, TableName)>,
    /// It validates the constraint of this name.
    pub validates: Option<String>,
    /// It drops the constraint of this name.
    pub drops_constraint: Option<String>,
    /// It makes this column NOT NULL.
    pub sets_not_null: Option<String>,
    /// It creates a trigger on this table.
    pub creates_trigger_on: Option<TableName>,
}

/// The effect of one statement. What is not known to only add counts as taking away.
pub fn effect(statement: &str) -> Effect {
    let parsed = SourceFile::parse(statement);
    let mut statements = parsed.tree().stmts();
    let mut effect = Effect::default();
    let (Some(stmt), None, true) = (statements.next(), statements.next(), parsed.errors().is_empty()) else {
        effect.takes_away = Some("is not understood");
        return effect;
    };
    match &stmt {
        ast::Stmt::CreateIndex(create) => {
            effect.builds_index = Some(create.concurrently_token().is_some());
            let unique = statement
                .split_whitespace()
                .nth(1)
                .is_some_and(|word| word.eq_ignore_ascii_case("unique"));
            effect.takes_away = unique.then_some("refuses rows that were accepted before");
        }
        ast::Stmt::AlterTable(alter) => alter_table(alter, &mut effect),
        ast::Stmt::AlterIndex(alter) => {
            effect.takes_away = match alter.action() {
                Some(ast::AlterIndexAction::SetTablespace(_)) | None => Some("is not known to only add"),
                Some(_) => None,
            };
        }
        ast::Stmt::CreateTrigger(create) => {
            effect.creates_trigger_on = create.on_relation().and_then(|table| name_in(table.syntax()));
            effect.takes_away = Some("changes what writes do");
        }
        ast::Stmt::AlterType(alter) => {
            effect.takes_away = match alter.action() {
                Some(ast::AlterTypeAction::AddValue(_)) => None,
                _ => Some("changes a type that running code uses"),
            };
        }
        ast::Stmt::DropTrigger(_) => effect.takes_away = Some("takes a trigger away"),
        ast::Stmt::DropView(_) => effect.takes_away = Some("takes a view away"),
        ast::Stmt::DropTable(_) => effect.takes_away = Some("takes a table away, with its rows"),
        ast::Stmt::DropPolicy(_) => effect.takes_away = Some("changes which rows are seen"),
        ast::Stmt::CreatePolicy(_) => effect.takes_away = Some("changes which rows are seen"),
        ast::Stmt::DropStatistics(_) => {}
        ast::Stmt::DropIndex(_) => effect.takes_away = Some("takes an index away"),
        ast::Stmt::Update(_) | ast::Stmt::Delete(_) | ast::Stmt::Insert(_) | ast::Stmt::Merge(_) => {
            effect.changes_rows = true;
            effect.takes_away = Some("changes rows");
        }
        ast::Stmt::Do(_) => {
            effect.changes_rows = true;
            effect.takes_away = Some("runs code that cannot be looked into");
        }
        ast::Stmt::CommentOn(_)
        | ast::Stmt::Grant(_)
        | ast::Stmt::CreateTable(_)
        | ast::Stmt::CreateSchema(_)
        | ast::Stmt::CreateSequence(_)
        | ast::Stmt::CreateType(_)
        | ast::Stmt::CreateExtension(_)
        | ast::Stmt::CreateStatistics(_)
        // Of the session that runs it, and of nobody else.
        | ast::Stmt::Set(_)
        | ast::Stmt::Reset(_)
        | ast::Stmt::Analyze(_)
        | ast::Stmt::Vacuum(_) => {}
        _ => effect.takes_away = Some("is not known to only add"),
    }
    effect
}

fn alter_table(alter: &ast::AlterTable, effect: &mut Effect) {
    use ast::AlterColumnOption as Option_;
    use ast::AlterTableAction as Action;

    effect.altered_table = alter
        .table_relation_name()
        .map(|table| table.syntax().text().to_string());
    for action in alter.actions() {
        let taken = match &action {
            Action::AddColumn(add) => {
                let has_default = add
                    .constraints()
                    .any(|constraint| matches!(constraint, ast::Constraint::DefaultConstraint(_)));
                add.constraints().find_map(|constraint| match constraint {
                    ast::Constraint::DefaultConstraint(_)
                    | ast::Constraint::NullConstraint(_)
                    | ast::Constraint::GeneratedConstraint(_) => None,
                    ast::Constraint::NotNullConstraint(_) if has_default => None,
                    _ => Some("refuses rows of code that does not know the column"),
                })
            }
            Action::AddConstraint(add) => {
                let named = |clause: Option<ast::ConstraintNameClause>| {
                    Some(clause?.constraint_name()?.syntax().text().to_string())
                };
                if let Some(ast::Constraint::ForeignKeyConstraint(key)) = add.constraint() {
                    let referenced = key.table_name_ref().and_then(|table| name_in(table.syntax()));
                    effect.adds_foreign_key = named(key.constraint_name_clause()).zip(referenced);
                }
                if let Some(ast::Constraint::CheckConstraint(check)) = add.constraint() {
                    let name = named(check.constraint_name_clause());
                    let column = check
                        .expr()
                        .map(|expression| expression.syntax().text().to_string())
                        .and_then(|text| not_null_of(&text));
                    effect.checks_not_null = name.zip(column);
                }
                Some("refuses rows that were accepted before")
            }
            Action::ValidateConstraint(validate) => {
                effect.validates = validate
                    .constraint_name_ref()
                    .map(|name| name.syntax().text().to_string());
                None
            }
            Action::AlterColumn(column) => match column.option() {
                Some(Option_::SetNotNull(_)) => {
                    effect.sets_not_null = column
                        .column_name_ref()
                        .map(|name| name.syntax().text().to_string());
                    Some("refuses rows that were accepted before")
                }
                Some(
                    Option_::DropNotNull(_)
                    | Option_::SetDefault(_)
                    | Option_::SetStatistics(_)
                    | Option_::SetStorage(_)
                    | Option_::SetCompression(_)
                    | Option_::SetOptions(_)
                    | Option_::ResetOptions(_),
                ) => None,
                _ => Some("changes a column that running code uses"),
            },
            Action::ClusterOn(_) | Action::SetOptions(_) | Action::ResetOptions(_) => None,
            Action::DropColumn(_) => Some("takes a column away"),
            // A check that only helped SET NOT NULL is dropped by the same script; the reader sees both.
            Action::DropConstraint(drop) => {
                effect.drops_constraint = drop
                    .constraint_name_ref()
                    .map(|name| name.syntax().text().to_string());
                Some("takes a constraint away")
            }
            _ => Some("is not known to only add"),
        };
        effect.takes_away = effect.takes_away.or(taken);
    }
}

/// `c` for `c IS NOT NULL`.
pub(super) fn not_null_of(expression: &str) -> Option<String> {
    let words: Vec<&str> = expression.split_whitespace().collect();
    let at = words.len().checked_sub(3)?;
    let (column, test) = words.split_at_checked(at)?;
    test.join(" ")
        .eq_ignore_ascii_case("IS NOT NULL")
        .then(|| column.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_adds_is_told_from_what_takes_away() {
        for adds in [
            "ALTER TABLE t ADD COLUMN c text",
            "ALTER TABLE t ADD c int NOT NULL DEFAULT 0",
            "CREATE INDEX CONCURRENTLY i ON t (c)",
            "ALTER TABLE t ALTER c DROP NOT NULL",
            "COMMENT ON COLUMN t.c IS 'DROP'",
            "GRANT SELECT (c) ON t TO PUBLIC",
            "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm' BEFORE 'sad'",
            "ALTER TABLE t VALIDATE CONSTRAINT k",
        ] {
            assert_eq!(effect(adds).takes_away, None, "{adds}");
        }
        for takes in [
            "ALTER TABLE t ADD COLUMN c text, DROP COLUMN d",
            "ALTER TABLE t ADD COLUMN c text NOT NULL",
            "CREATE UNIQUE INDEX CONCURRENTLY i ON t (c)",
            "ALTER TABLE t ALTER c SET NOT NULL",
            "ALTER TABLE t RENAME c TO d",
            "UPDATE t SET c = 1 WHERE id = 1",
            "DO $$ BEGIN END $$",
            "DROP TABLE t",
            "ALTER TYPE mood RENAME VALUE 'sad' TO 'low'",
            "not sql",
        ] {
            assert!(effect(takes).takes_away.is_some(), "{takes}");
        }
    }

    #[test]
    fn not_null_checks_and_triggers_are_recognised() {
        let check = effect("ALTER TABLE t ADD CONSTRAINT k CHECK (\"a b\" IS NOT NULL) NOT VALID");
        let named = ("k".to_owned(), "\"a b\"".to_owned());
        assert_eq!(check.checks_not_null, Some(named.clone()));
        let trigger = effect("CREATE TRIGGER x BEFORE INSERT ON \"a b\".c FOR EACH ROW EXECUTE FUNCTION f()");
        assert_eq!(
            trigger
                .creates_trigger_on
                .map(|table| table.to_string())
                .as_deref(),
            Some("\"a b\".c")
        );
        let set = effect("ALTER TABLE t ALTER COLUMN \"a b\" SET NOT NULL");
        assert_eq!(set.sets_not_null, Some(named.1));
        assert_eq!(effect("CREATE INDEX i ON t (c)").builds_index, Some(false));
    }
}
