//! The table locks that a statement takes, as far as its text tells.

use squawk_syntax::ast::{self, AstNode as _};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::changes::constraint_name;
use super::{dotted, name_in, tokens};
use crate::domain::{ColumnName, SqlIdentifier, TableName};
use crate::sql::script::{Lock, LockMode};

/// Functions that PostgreSQL knows to give the same value for a whole statement, so that a default made of them does not
/// rewrite the table.
const STABLE: [&str; 8] = [
    "now",
    "statement_timestamp",
    "transaction_timestamp",
    "current_setting",
    "make_interval",
    "make_date",
    "to_timestamp",
    "jsonb_build_object",
];

/// The locks of a statement, one entry a table, each with the strongest mode.
pub(super) fn locks(stmt: &ast::Stmt) -> Vec<Lock> {
    let mut locks = Locks::default();
    match stmt {
        ast::Stmt::AlterTable(alter) => alter_table(alter, &mut locks),
        ast::Stmt::CreateIndex(create) => {
            let mode = match create.concurrently_token() {
                Some(_) => LockMode::ShareUpdateExclusive,
                None => LockMode::Share,
            };
            // On a partitioned table's own, `ON ONLY` touches no rows.
            let only = create
                .table_relation_name()
                .is_some_and(|table| table.only_token().is_some());
            locks.on(
                create.table_relation_name().as_ref().map(ast::AstNode::syntax),
                mode,
                !only,
            );
        }
        ast::Stmt::DropIndex(drop) => match drop.concurrently_token() {
            Some(_) => locks.on(None, LockMode::ShareUpdateExclusive, true),
            None => locks.on(None, LockMode::AccessExclusive, false),
        },
        ast::Stmt::AlterIndex(alter) => match alter.action() {
            Some(ast::AlterIndexAction::AttachIndexPartition(_)) => {
                locks.on(None, LockMode::AccessExclusive, false);
            }
            Some(ast::AlterIndexAction::SetTablespace(_)) => locks.on(None, LockMode::AccessExclusive, true),
            _ => locks.on(None, LockMode::ShareUpdateExclusive, false),
        },
        ast::Stmt::Reindex(reindex) => {
            let mode = if reindex.is_concurrently() {
                LockMode::ShareUpdateExclusive
            } else {
                LockMode::Share
            };
            let table = match reindex.reindex_target() {
                Some(ast::ReindexTarget::ReindexTargetTable(table)) => Some(table),
                _ => None,
            };
            locks.on(table.as_ref().map(ast::AstNode::syntax), mode, true);
        }
        ast::Stmt::DropTable(drop) => {
            for table in drop.table_name_refs() {
                locks.on(Some(table.syntax()), LockMode::AccessExclusive, false);
            }
        }
        ast::Stmt::DropView(_) | ast::Stmt::AlterView(_) | ast::Stmt::AlterMaterializedView(_) => {
            locks.on(Some(stmt.syntax()), LockMode::AccessExclusive, false);
        }
        ast::Stmt::DropMaterializedView(_) | ast::Stmt::DropForeignTable(_) => {
            locks.on(Some(stmt.syntax()), LockMode::AccessExclusive, false);
        }
        ast::Stmt::Truncate(truncate) => {
            for table in truncate
                .table_list()
                .iter()
                .flat_map(ast::TableList::table_relation_names)
            {
                locks.on(Some(table.syntax()), LockMode::AccessExclusive, false);
            }
        }
        ast::Stmt::Lock(lock) => lock_table(lock, &mut locks),
        ast::Stmt::CreateTable(create) => create_table(create, &mut locks),
        ast::Stmt::CommentOn(comment) => comment_on(comment, &mut locks),
        ast::Stmt::CreateTrigger(create) => {
            locks.on(node(&create.on_relation()), LockMode::ShareRowExclusive, false);
        }
        ast::Stmt::DropTrigger(drop) => locks.on(node(&drop.on_relation()), LockMode::AccessExclusive, false),
        ast::Stmt::AlterTrigger(alter) => {
            locks.on(node(&alter.on_relation()), LockMode::AccessExclusive, false)
        }
        ast::Stmt::CreatePolicy(create) => {
            locks.on(node(&create.on_table()), LockMode::AccessExclusive, false)
        }
        ast::Stmt::AlterPolicy(alter) => locks.on(node(&alter.on_table()), LockMode::AccessExclusive, false),
        ast::Stmt::DropPolicy(drop) => locks.on(node(&drop.on_table()), LockMode::AccessExclusive, false),
        ast::Stmt::CreateRule(create) => locks.on(node(&create.rule_on()), LockMode::AccessExclusive, false),
        ast::Stmt::AlterPublication(_) | ast::Stmt::CreatePublication(_) => {
            for table in stmt
                .syntax()
                .descendants()
                .filter_map(ast::PublicationObjectTable::cast)
            {
                locks.on(Some(table.syntax()), LockMode::ShareUpdateExclusive, false);
            }
        }
        // On the table that they are about, which is not named.
        ast::Stmt::DropStatistics(_) => locks.on(None, LockMode::ShareUpdateExclusive, false),
        ast::Stmt::CreateStatistics(create) => {
            locks.on(node(&create.from_table()), LockMode::ShareUpdateExclusive, false);
        }
        ast::Stmt::Vacuum(vacuum) => {
            let mode = if vacuum.is_full() {
                LockMode::AccessExclusive
            } else {
                LockMode::ShareUpdateExclusive
            };
            listed(vacuum.table_and_columns_list().as_ref(), mode, &mut locks);
        }
        ast::Stmt::Analyze(analyze) => listed(
            analyze.table_and_columns_list().as_ref(),
            LockMode::ShareUpdateExclusive,
            &mut locks,
        ),
        ast::Stmt::Cluster(cluster) => {
            locks.on(node(&cluster.table_name_ref()), LockMode::AccessExclusive, true);
        }
        ast::Stmt::Refresh(refresh) => {
            let mode = match refresh.concurrently_token() {
                Some(_) => LockMode::Exclusive,
                None => LockMode::AccessExclusive,
            };
            locks.on(node(&refresh.view_ref()), mode, true);
        }
        ast::Stmt::Copy(copy) => match copy.copy_direction() {
            Some(ast::CopyDirection::CopyFrom(_)) => {
                locks.on(node(&copy.copy_table()), LockMode::RowExclusive, true);
            }
            _ => locks.on(node(&copy.copy_table()), LockMode::AccessShare, true),
        },
        ast::Stmt::Update(_)
        | ast::Stmt::Delete(_)
        | ast::Stmt::Insert(_)
        | ast::Stmt::Merge(_)
        | ast::Stmt::Select(_)
        | ast::Stmt::CompoundSelect(_)
        | ast::Stmt::ParenSelect(_) => writes(stmt.syntax(), &mut locks),
        _ => {}
    }
    locks.0
}

#[derive(Default)]
struct Locks(Vec<Lock>);

impl Locks {
    /// Adds a lock on the first name in a part of the tree.
    fn on(&mut self, table: Option<&SyntaxNode>, mode: LockMode, long: bool) {
        self.add(table.and_then(name_in), mode, long);
    }

    fn add(&mut self, table: Option<TableName>, mode: LockMode, long: bool) {
        match self.0.iter_mut().find(|lock| lock.table == table) {
            Some(lock) => {
                lock.mode = lock.mode.max(mode);
                lock.long |= long;
            }
            None => self.0.push(Lock { table, mode, long }),
        }
    }
}

fn node<N: ast::AstNode>(found: &Option<N>) -> Option<&SyntaxNode> {
    found.as_ref().map(ast::AstNode::syntax)
}

fn alter_table(alter: &ast::AlterTable, locks: &mut Locks) {
    use LockMode::{AccessExclusive, ShareRowExclusive, ShareUpdateExclusive};
    use ast::AlterTableAction as Action;

    let table = alter
        .table_relation_name()
        .and_then(|table| name_in(table.syntax()));
    // A foreign key that goes locks the other table as well, whose name is told only where it comes back.
    let dropped: Vec<SqlIdentifier> = alter
        .actions()
        .filter_map(|action| match action {
            Action::DropConstraint(drop) => Some(name_in(drop.constraint_name_ref()?.syntax())?.name),
            _ => None,
        })
        .collect();
    for action in alter.actions() {
        let (mode, long) = match &action {
            Action::AddColumn(add) => {
                for constraint in add.constraints() {
                    if let ast::Constraint::ReferencesConstraint(references) = &constraint {
                        locks.on(node(&references.table()), ShareRowExclusive, true);
                    }
                }
                (AccessExclusive, adding_takes_long(add))
            }
            Action::AddConstraint(add) => match add.constraint() {
                Some(constraint) => {
                    if let ast::Constraint::ForeignKeyConstraint(key) = &constraint {
                        let name = constraint_name(constraint.syntax());
                        let comes_back = name.is_some_and(|name| dropped.contains(&name));
                        locks.on(
                            node(&key.table_name_ref()),
                            if comes_back {
                                AccessExclusive
                            } else {
                                ShareRowExclusive
                            },
                            checks_rows(&constraint),
                        );
                    }
                    adding_constraint(&constraint)
                }
                None => (AccessExclusive, true),
            },
            Action::ValidateConstraint(_) => (ShareUpdateExclusive, true),
            Action::AlterColumn(column) => match column.option() {
                Some(
                    ast::AlterColumnOption::SetType(_)
                    | ast::AlterColumnOption::SetNotNull(_)
                    | ast::AlterColumnOption::SetExpression(_),
                ) => (AccessExclusive, true),
                Some(
                    ast::AlterColumnOption::SetStatistics(_)
                    | ast::AlterColumnOption::SetOptions(_)
                    | ast::AlterColumnOption::ResetOptions(_),
                ) => (ShareUpdateExclusive, false),
                _ => (AccessExclusive, false),
            },
            Action::AttachPartition(attach) => {
                locks.on(node(&attach.table_name_ref()), AccessExclusive, true);
                // The default partition, and what foreign keys refer to that the partition had already.
                locks.add(None, AccessExclusive, false);
                (ShareUpdateExclusive, false)
            }
            Action::DetachPartition(detach) => match detach.detach_partition_option() {
                Some(ast::DetachPartitionOption::DetachConcurrently(_)) => {
                    // For a moment at the end, when nobody finds it through the other any more.
                    locks.on(node(&detach.table_name_ref()), AccessExclusive, false);
                    locks.add(None, ShareRowExclusive, false);
                    (ShareUpdateExclusive, true)
                }
                _ => {
                    locks.on(node(&detach.table_name_ref()), AccessExclusive, false);
                    // What its foreign keys refer to: they become its own.
                    locks.add(None, ShareRowExclusive, false);
                    (AccessExclusive, false)
                }
            },
            Action::ClusterOn(_)
            | Action::SetWithoutCluster(_)
            | Action::SetOptions(_)
            | Action::ResetOptions(_) => (ShareUpdateExclusive, false),
            Action::DisableTrigger(_)
            | Action::EnableTrigger(_)
            | Action::EnableAlwaysTrigger(_)
            | Action::EnableReplicaTrigger(_) => (ShareRowExclusive, false),
            Action::SetLogged(_)
            | Action::SetUnlogged(_)
            | Action::SetTablespace(_)
            | Action::SetAccessMethod(_)
            | Action::MergePartitions(_)
            | Action::SplitPartition(_) => (AccessExclusive, true),
            _ => (AccessExclusive, false),
        };
        locks.add(table.clone(), mode, long);
    }
}

/// Whether adding a column reads or rewrites the table: a default that differs from row to row, a generated or serial
/// column, a check, or an index that is built on the way.
fn adding_takes_long(add: &ast::AddColumn) -> bool {
    let serial = add.ty().is_some_and(|ty| {
        let text = ty.syntax().text().to_string().to_ascii_lowercase();
        matches!(
            text.trim(),
            "serial" | "bigserial" | "smallserial" | "serial2" | "serial4" | "serial8"
        )
    });
    serial
        || add.constraints().any(|constraint| match &constraint {
            ast::Constraint::DefaultConstraint(default) => default
                .expr()
                .is_some_and(|expression| calls_something_volatile(expression.syntax())),
            ast::Constraint::NotNullConstraint(_) | ast::Constraint::NullConstraint(_) => false,
            ast::Constraint::GeneratedConstraint(generated) => {
                !tokens(generated.syntax()).any(|token| token.kind() == SyntaxKind::VIRTUAL_KW)
            }
            ast::Constraint::CheckConstraint(_)
            | ast::Constraint::ExcludeConstraint(_)
            | ast::Constraint::ForeignKeyConstraint(_)
            | ast::Constraint::PrimaryKeyConstraint(_)
            | ast::Constraint::ReferencesConstraint(_)
            | ast::Constraint::UniqueConstraint(_) => true,
        })
}

fn calls_something_volatile(expression: &SyntaxNode) -> bool {
    expression
        .descendants()
        .filter_map(ast::CallExpr::cast)
        .any(|call| {
            let name = call.expr().map(|name| name.syntax().text().to_string());
            !name.is_some_and(|name| {
                let name = name.to_ascii_lowercase();
                STABLE.contains(&name.trim_start_matches("pg_catalog."))
            })
        })
}

fn adding_constraint(constraint: &ast::Constraint) -> (LockMode, bool) {
    match constraint {
        ast::Constraint::ForeignKeyConstraint(_) => (LockMode::ShareRowExclusive, checks_rows(constraint)),
        ast::Constraint::UniqueConstraint(unique) => {
            (LockMode::AccessExclusive, unique.using_index().is_none())
        }
        ast::Constraint::PrimaryKeyConstraint(key) => {
            (LockMode::AccessExclusive, key.using_index().is_none())
        }
        _ => (LockMode::AccessExclusive, checks_rows(constraint)),
    }
}

/// Whether adding a constraint reads the rows that are there already.
fn checks_rows(constraint: &ast::Constraint) -> bool {
    !constraint.constraint_options().any(|option| {
        matches!(
            option,
            ast::ConstraintOption::NotValid(_) | ast::ConstraintOption::NotEnforced(_)
        )
    })
}

fn create_table(create: &ast::CreateTable, locks: &mut Locks) {
    if let Some(parent) = create.partition_of() {
        locks.on(node(&parent.table_name_ref()), LockMode::AccessExclusive, false);
    }
    for parent in create.inherits().iter().flat_map(ast::Inherits::table_name_refs) {
        locks.on(Some(parent.syntax()), LockMode::ShareUpdateExclusive, false);
    }
    let own = create.table_name().and_then(|name| name_in(name.syntax()));
    for part in create.syntax().descendants() {
        let referenced = match ast::ReferencesConstraint::cast(part.clone()) {
            Some(references) => references.table(),
            None => ast::ForeignKeyConstraint::cast(part).and_then(|key| key.table_name_ref()),
        };
        let referenced = referenced.and_then(|table| name_in(table.syntax()));
        if referenced.is_some() && referenced != own {
            locks.add(referenced, LockMode::ShareRowExclusive, false);
        }
    }
}

fn comment_on(comment: &ast::CommentOn, locks: &mut Locks) {
    let table = match comment.comment_object() {
        Some(ast::CommentObject::ObjectTable(table)) => {
            table.table_name_ref().and_then(|table| name_in(table.syntax()))
        }
        Some(
            object @ (ast::CommentObject::ObjectView(_)
            | ast::CommentObject::ObjectMaterializedView(_)
            | ast::CommentObject::ObjectForeignTable(_)),
        ) => name_in(object.syntax()),
        Some(ast::CommentObject::ObjectColumn(column)) => column
            .name()
            .and_then(|name| dotted(name.syntax()))
            .and_then(|name| name.parse::<ColumnName>().ok())
            .map(|column| column.table),
        _ => return,
    };
    locks.add(table, LockMode::ShareUpdateExclusive, false);
}

fn lock_table(lock: &ast::Lock, locks: &mut Locks) {
    let mode = match lock.lock_mode_clause().and_then(|clause| clause.lock_mode()) {
        Some(ast::LockMode::AccessShare(_)) => LockMode::AccessShare,
        Some(ast::LockMode::RowShare(_)) => LockMode::RowShare,
        Some(ast::LockMode::RowExclusive(_)) => LockMode::RowExclusive,
        Some(ast::LockMode::ShareUpdateExclusive(_)) => LockMode::ShareUpdateExclusive,
        Some(ast::LockMode::Share(_)) => LockMode::Share,
        Some(ast::LockMode::ShareRowExclusive(_)) => LockMode::ShareRowExclusive,
        Some(ast::LockMode::Exclusive(_)) => LockMode::Exclusive,
        Some(ast::LockMode::AccessExclusive(_)) | None => LockMode::AccessExclusive,
    };
    for table in lock
        .relation_list()
        .iter()
        .flat_map(ast::RelationList::relation_names)
    {
        locks.on(Some(table.syntax()), mode, false);
    }
}

fn listed(list: Option<&ast::TableAndColumnsList>, mode: LockMode, locks: &mut Locks) {
    match list {
        Some(list) => {
            for table in list.table_and_columnss() {
                locks.on(Some(table.syntax()), mode, true);
            }
        }
        None => locks.on(None, mode, true),
    }
}

/// What a query writes, also in its WITH parts. Without a condition it goes through the whole table.
fn writes(query: &SyntaxNode, locks: &mut Locks) {
    for part in query.descendants() {
        if let Some(update) = ast::Update::cast(part.clone()) {
            let whole = update.where_clause_or_current_of().is_none();
            locks.on(node(&update.relation_name()), LockMode::RowExclusive, whole);
        } else if let Some(delete) = ast::Delete::cast(part.clone()) {
            let whole = delete.where_clause_or_current_of().is_none();
            locks.on(node(&delete.relation_name()), LockMode::RowExclusive, whole);
        } else if let Some(insert) = ast::Insert::cast(part.clone()) {
            let many = !matches!(
                insert.insert_source(),
                Some(
                    ast::InsertSource::DefaultValues(_)
                        | ast::InsertSource::SelectVariant(ast::SelectVariant::Values(_))
                )
            );
            locks.on(node(&insert.relation_name_ref()), LockMode::RowExclusive, many);
        } else if let Some(merge) = ast::Merge::cast(part) {
            locks.on(node(&merge.table_relation_name()), LockMode::RowExclusive, true);
        }
    }
}
