//! Which statements cannot run in a transaction, and how to find out after a crash whether they took effect.

use squawk_syntax::ast::{self, AstNode as _};
use squawk_syntax::{SourceFile, SyntaxKind, quote};

use super::{name_in, tokens};
use crate::domain::TableName;
use crate::sql::script::{CrashProbe, Transactional};

/// Why a statement cannot be used as it stands.
pub(super) enum Unusable {
    /// CREATE INDEX CONCURRENTLY without a name.
    UnnamedIndex,
}

/// Classifies a statement.
pub(super) fn transactional(stmt: &ast::Stmt) -> Result<Transactional, Unusable> {
    let probe = match stmt {
        ast::Stmt::CreateIndex(create) if create.concurrently_token().is_some() => index_built(create)?,
        ast::Stmt::DropIndex(drop) if drop.concurrently_token().is_some() => index_dropped(drop),
        ast::Stmt::AlterTable(alter) => match detached(alter) {
            Some(probe) => probe,
            None => return Ok(Transactional::Yes),
        },
        ast::Stmt::Reindex(reindex) => {
            let whole = matches!(
                reindex.reindex_target(),
                Some(
                    ast::ReindexTarget::ReindexTargetDatabase(_)
                        | ast::ReindexTarget::ReindexTargetSchema(_)
                        | ast::ReindexTarget::ReindexTargetSystem(_)
                )
            );
            if !whole && !reindex.is_concurrently() {
                return Ok(Transactional::Yes);
            }
            reindexed(reindex).unwrap_or(CrashProbe::Repeatable)
        }
        ast::Stmt::Cluster(cluster) if cluster.table_name_ref().is_none() && !names_a_table(cluster) => {
            CrashProbe::Repeatable
        }
        ast::Stmt::Vacuum(_) | ast::Stmt::AlterSystem(_) | ast::Stmt::Repack(_) => CrashProbe::Repeatable,
        ast::Stmt::Discard(discard) if has_keyword(discard.syntax(), SyntaxKind::ALL_KW) => {
            CrashProbe::Repeatable
        }
        ast::Stmt::AlterDatabase(alter) if has_keyword(alter.syntax(), SyntaxKind::TABLESPACE_KW) => {
            CrashProbe::Repeatable
        }
        ast::Stmt::AlterSubscription(alter)
            if has_keyword(alter.syntax(), SyntaxKind::REFRESH_KW)
                || has_keyword(alter.syntax(), SyntaxKind::PUBLICATION_KW) =>
        {
            CrashProbe::None
        }
        ast::Stmt::CreateDatabase(_)
        | ast::Stmt::DropDatabase(_)
        | ast::Stmt::CreateTablespace(_)
        | ast::Stmt::DropTablespace(_)
        | ast::Stmt::CreateSubscription(_)
        | ast::Stmt::DropSubscription(_)
        | ast::Stmt::Commit(ast::Commit::CommitPrepared(_))
        | ast::Stmt::Rollback(ast::Rollback::RollbackPrepared(_)) => CrashProbe::None,
        ast::Stmt::Do(block) if commits_itself(block) => CrashProbe::None,
        _ => return Ok(Transactional::Yes),
    };
    Ok(Transactional::No(probe))
}

fn index_built(create: &ast::CreateIndex) -> Result<CrashProbe, Unusable> {
    let index = create
        .index()
        .and_then(|index| name_in(index.syntax()))
        .ok_or(Unusable::UnnamedIndex)?;
    let schema = create
        .table_relation_name()
        .and_then(|table| name_in(table.syntax()))
        .and_then(|table| table.schema);
    Ok(CrashProbe::IndexBuilt {
        index: TableName {
            schema: index.schema.or(schema),
            name: index.name,
        },
    })
}

fn index_dropped(drop: &ast::DropIndex) -> CrashProbe {
    let mut indexes = drop.index_refs().map(|index| name_in(index.syntax()));
    match (indexes.next().flatten(), indexes.next()) {
        (Some(index), None) => CrashProbe::IndexDropped { index },
        // The server refuses to drop several concurrently.
        _ => CrashProbe::None,
    }
}

/// What a REINDEX of one index or table builds anew, if it does so concurrently.
fn reindexed(reindex: &ast::Reindex) -> Option<CrashProbe> {
    if !reindex.is_concurrently() {
        return None;
    }
    let relation = match reindex.reindex_target()? {
        ast::ReindexTarget::ReindexTargetIndex(target) => name_in(target.index_ref()?.syntax()),
        ast::ReindexTarget::ReindexTargetTable(target) => name_in(target.table_name_ref()?.syntax()),
        _ => None,
    }?;
    Some(CrashProbe::Reindexed { relation })
}

fn detached(alter: &ast::AlterTable) -> Option<CrashProbe> {
    let partition = alter.actions().find_map(|action| match action {
        ast::AlterTableAction::DetachPartition(detach)
            if matches!(
                detach.detach_partition_option(),
                Some(ast::DetachPartitionOption::DetachConcurrently(_))
            ) =>
        {
            Some(detach.table_name_ref())
        }
        _ => None,
    })?;
    let parent = alter
        .table_relation_name()
        .and_then(|table| name_in(table.syntax()));
    let partition = partition.and_then(|table| name_in(table.syntax()));
    Some(match (parent, partition) {
        (Some(parent), Some(partition)) => CrashProbe::PartitionDetached { parent, partition },
        _ => CrashProbe::None,
    })
}

/// `CLUSTER index ON table` names its table in another place than `CLUSTER table USING index`.
fn names_a_table(cluster: &ast::Cluster) -> bool {
    cluster.cluster_legacy().is_some() || cluster.cluster_using_index().is_some()
}

fn has_keyword(node: &squawk_syntax::SyntaxNode, keyword: SyntaxKind) -> bool {
    tokens(node).any(|token| token.kind() == keyword)
}

/// A DO block that commits batch by batch cannot run inside a transaction.
fn commits_itself(block: &ast::Do) -> bool {
    let Some(body) = block.body() else { return false };
    let literal = body.syntax().text().to_string();
    let Some(code) = quote::strip_dollar_quotes(literal.trim()) else {
        return false;
    };
    has_keyword(SourceFile::parse(code).tree().syntax(), SyntaxKind::COMMIT_KW)
}
