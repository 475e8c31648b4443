//! A script: its statements, and the steps (transactions) in which they run.

use serde::{Deserialize, Serialize};

use crate::domain::{Digest, Problem, SourceText, TableName};

/// PostgreSQL's table lock modes, from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// Plain reads.
    AccessShare,
    /// SELECT … FOR UPDATE and friends.
    RowShare,
    /// INSERT, UPDATE, DELETE.
    RowExclusive,
    /// VALIDATE CONSTRAINT, CREATE INDEX CONCURRENTLY, ANALYZE.
    ShareUpdateExclusive,
    /// CREATE INDEX.
    Share,
    /// CREATE TRIGGER, ADD FOREIGN KEY.
    ShareRowExclusive,
    /// REFRESH MATERIALIZED VIEW CONCURRENTLY.
    Exclusive,
    /// Most of ALTER TABLE, DROP, TRUNCATE.
    AccessExclusive,
}

impl LockMode {
    /// Every mode, from weak to strong.
    pub const ALL: [Self; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    /// Whether it keeps clients from writing (or from reading too), so that they wait behind whoever waits for it.
    pub fn is_strong(self) -> bool {
        self > Self::ShareUpdateExclusive
    }

    /// Whether two sessions cannot have these modes of one table at once.
    pub fn conflicts_with(self, other: Self) -> bool {
        // A mode conflicts with every mode from some strength on.
        let (weak, strong) = (self.min(other), self.max(other));
        match weak {
            Self::AccessShare => strong == Self::AccessExclusive,
            Self::RowShare => strong >= Self::Exclusive,
            Self::RowExclusive => strong >= Self::Share,
            Self::ShareUpdateExclusive => true,
            Self::Share => strong >= Self::ShareRowExclusive,
            Self::ShareRowExclusive | Self::Exclusive | Self::AccessExclusive => true,
        }
    }

    /// The mode as `pg_locks` writes it.
    pub fn catalog_name(self) -> &'static str {
        match self {
            Self::AccessShare => "AccessShareLock",
            Self::RowShare => "RowShareLock",
            Self::RowExclusive => "RowExclusiveLock",
            Self::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Self::Share => "ShareLock",
            Self::ShareRowExclusive => "ShareRowExclusiveLock",
            Self::Exclusive => "ExclusiveLock",
            Self::AccessExclusive => "AccessExclusiveLock",
        }
    }

    /// The mode as PostgreSQL's manual writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }
}

/// A lock that a statement takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// On which table, where the statement names it; its partitions and children are locked with it.
    pub table: Option<TableName>,
    /// How strong.
    pub mode: LockMode,
    /// Whether it is held while the table is read or written as a whole (a scan, a rewrite), not only for a moment.
    pub long: bool,
}

/// Whether a statement can run inside a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transactional {
    /// It can, so that its record commits with it.
    Yes,
    /// It cannot; after a crash the probe tells whether it took effect.
    No(CrashProbe),
}

/// How to find out, after a crash, whether a statement that runs outside a transaction took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrashProbe {
    /// Done if the index exists and is valid; an invalid leftover is dropped first, then the statement runs again.
    IndexBuilt {
        /// The index; its schema is that of the table.
        index: TableName,
    },
    /// Done if the index is gone.
    IndexDropped {
        /// The index.
        index: TableName,
    },
    /// Done if the partition is no longer one; a detachment left half-done is finalised first.
    PartitionDetached {
        /// The partitioned table.
        parent: TableName,
        /// The partition.
        partition: TableName,
    },
    /// Never known to be done, and running it again does no harm; but what it left half-built is dropped first.
    Reindexed {
        /// The index, or the table all of whose indexes are built anew.
        relation: TableName,
    },
    /// Running it again does no harm (VACUUM, ANALYZE …).
    Repeatable,
    /// It cannot be told: a person must look.
    None,
}

/// One statement of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its text without the closing semicolon.
    pub text: String,
    /// Its first line in the file, from 1.
    pub line: u32,
    /// Where it starts in the file, in bytes.
    pub offset: usize,
    /// What it is, in a few words for people: `ALTER TABLE users ADD COLUMN display_name`.
    pub summary: String,
    /// Whether it can run in a transaction.
    pub transactional: Transactional,
    /// The locks it takes, as far as its text tells.
    pub locks: Vec<Lock>,
}

/// What runs in one transaction (or outside any).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its statements; more than one only where the script brackets them with BEGIN and COMMIT.
    pub statements: Vec<Statement>,
}

impl Step {
    /// The digest of its SQL.
    pub fn digest(&self) -> Digest {
        Digest::of_parts(self.statements.iter().map(|statement| statement.text.as_str()))
    }

    /// The first statement that takes long under a lock which an earlier one of the same transaction took, and which keeps
    /// clients waiting meanwhile: that lock's statement and the long one.
    pub fn scan_under_lock(&self) -> Option<(&Statement, &Statement)> {
        let strong = |statement: &&Statement| statement.locks.iter().any(|lock| lock.mode.is_strong());
        let at = self.statements.iter().position(|statement| strong(&statement))?;
        let (_, after) = self.statements.split_at(at + 1);
        let long = after
            .iter()
            .find(|statement| statement.locks.iter().any(|lock| lock.long))?;
        Some((self.statements.get(at)?, long))
    }

    /// Whether it runs in a transaction.
    pub fn transactional(&self) -> bool {
        self.statements
            .iter()
            .all(|statement| statement.transactional == Transactional::Yes)
    }
}

/// A parsed script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Its statements in order, BEGIN and COMMIT left out.
    pub steps: Vec<Step>,
}

impl Script {
    /// Parses `text[range]` of a file. The offsets and lines of the statements are those of the whole file.
    ///
    /// # Errors
    /// Every syntax error, with its place; psql meta-commands and inline COPY data; BEGIN without COMMIT; a statement
    /// that cannot run in a transaction between them. Nothing of a script with errors may be executed.
    pub fn parse(source: &SourceText, range: std::ops::Range<usize>) -> Result<Self, Problem> {
        super::parse::parse(source, range)
    }

    /// All statements in order.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.steps.iter().flat_map(|step| &step.statements)
    }
}
