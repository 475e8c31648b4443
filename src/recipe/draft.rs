//! A plan in the making: phases in a line, each needing the one before, and the migrations that they run.

use super::migration_text::File;
use super::toml_text::{Text, columns, key, string};
use super::{Order, Patience, Recipe, Refused, names};
use crate::domain::{ColumnName, Exit, PlanId, Problem, SqlIdentifier, TableName};
use crate::plan::{ChangeKind, SyncMode};

/// What an operation changes.
pub struct Subject<'a> {
    /// The operation.
    pub kind: ChangeKind,
    /// The table.
    pub table: &'a TableName,
    /// The columns that it is about.
    pub columns: &'a [SqlIdentifier],
    /// The constraint or index that it makes or takes away.
    pub name: Option<&'a SqlIdentifier>,
    /// The plan's title, in words.
    pub title: String,
}

/// A piece of a migration's side.
pub enum Sql {
    /// One statement, without the semicolon.
    Statement(String),
    /// Statements that take effect together: no moment in between shows half of it.
    Together(Vec<String>),
    /// A comment of one line.
    Remark(&'static str),
}

impl Sql {
    /// Statements, each on its own.
    pub fn each(statements: impl IntoIterator<Item = String>) -> Vec<Self> {
        statements.into_iter().map(Self::Statement).collect()
    }
}

/// A phase that runs a migration.
pub struct SchemaPhase<'a> {
    /// Its id, which also begins the migration's name.
    pub id: &'static str,
    /// `expand` or `contract`.
    pub kind: &'static str,
    /// Its title.
    pub title: String,
    /// What readers of the plan should know.
    pub comments: &'a [&'a str],
    /// What readers of the migration should know.
    pub explanation: &'a [&'a str],
    /// The way there.
    pub up: Vec<Sql>,
    /// The way back.
    pub down: Vec<Sql>,
    /// What has to be waited for.
    pub patience: Patience,
}

/// What a fill does with every row for which its condition does not hold.
pub struct Fill<'a> {
    /// The table.
    pub table: &'a TableName,
    /// The columns, each with an expression over the row.
    pub set: Vec<(&'a SqlIdentifier, String)>,
    /// What holds of a row that is filled.
    pub verify: String,
}

impl<'a> Fill<'a> {
    /// Fills one column.
    pub fn column(column: &'a ColumnName, expression: &str, verify: String) -> Self {
        Self {
            table: &column.table,
            set: vec![(&column.column, expression.to_owned())],
            verify,
        }
    }
}

/// The plan so far.
pub struct Draft {
    id: PlanId,
    title: String,
    slug: String,
    /// All below the words at the top, which depend on what follows.
    text: Text,
    has_code: bool,
    last: Option<&'static str>,
    migrations: Vec<(String, String)>,
    order: Order,
}

impl Draft {
    /// Begins a plan.
    ///
    /// # Errors
    /// No id can be made of the names.
    pub fn new(subject: &Subject<'_>, order: &Order) -> Result<Self, Problem> {
        let kind = subject.kind.as_str();
        let table = subject.table.name.as_str();
        let mut words = vec![table];
        match subject.name {
            // Names that PostgreSQL makes begin with that of the table.
            Some(name) if name.as_str().starts_with(table) => words = vec![name.as_str()],
            Some(name) => words.push(name.as_str()),
            None => words.extend(subject.columns.iter().map(SqlIdentifier::as_str)),
        }
        let whole = format!("{} {words:?}", subject.table);
        let made = format!("{kind}-{}", names::safe(&words.join("-"), '-', &whole));
        let id = order.known.choose(order.id.as_ref(), &made)?;
        let mut text = Text::default();
        text.line("");
        text.pair("id", &string(id.as_str()));
        text.pair("title", &string(&subject.title));
        text.line("");
        text.line("[operation]");
        text.pair("kind", &string(kind));
        text.pair("table", &string(&subject.table.to_string()));
        if !subject.columns.is_empty() {
            let names: Vec<String> = subject
                .columns
                .iter()
                .map(|column| string(&column.to_string()))
                .collect();
            text.pair("columns", &format!("[{}]", names.join(", ")));
        }
        if let Some(name) = subject.name {
            text.pair("name", &string(&name.to_string()));
        }
        Ok(Self {
            title: subject.title.clone(),
            has_code: false,
            slug: names::safe(&words.join("_"), '_', &whole),
            id,
            text,
            last: None,
            migrations: Vec::new(),
            order: order.clone(),
        })
    }

    fn start(&mut self, id: &'static str, kind: &str, title: &str, comments: &[&str]) {
        self.text.line("");
        for comment in comments {
            self.text.line(&format!("# {comment}"));
        }
        self.text.line("[[phase]]");
        self.text.pair("id", &string(id));
        self.text.pair("kind", &string(kind));
        self.text.pair("title", &string(title));
        if let Some(last) = self.last.replace(id) {
            self.text.pair("needs", &format!("[{}]", string(last)));
        }
    }

    /// Adds a phase that runs a migration.
    pub fn schema(&mut self, phase: SchemaPhase<'_>) {
        self.start(phase.id, phase.kind, &phase.title, phase.comments);
        // At most as many as there are stamps.
        let seconds = i64::try_from(self.migrations.len()).unwrap_or_default();
        let stamp = names::stamp(self.order.now, seconds);
        let name = format!("{stamp}_{}_{}", phase.id.replace('-', "_"), self.slug);
        self.text.pair("migration", &string(&name));
        self.gate(&phase.patience);
        let mut file = File::new(&self.id, phase.id, phase.explanation);
        for (marker, side) in [("UP", phase.up), ("DOWN", phase.down)] {
            file.side(marker);
            for sql in side {
                match sql {
                    Sql::Statement(statement) => file.statements([statement]),
                    Sql::Together(statements) => file.together(statements),
                    Sql::Remark(remark) => file.remark(remark),
                }
            }
        }
        self.migrations.push((format!("{name}.sql"), file.finish()));
    }

    /// Adds a phase that is a pull request.
    pub fn code(
        &mut self,
        id: &'static str,
        title: &str,
        reads: &[&ColumnName],
        writes: &[&ColumnName],
        comments: &[&str],
    ) {
        self.has_code = true;
        let trailer = format!("Trailer: `Ship-Phase: {}/{id}`", self.id);
        let comments: Vec<&str> = comments.iter().copied().chain([trailer.as_str()]).collect();
        self.start(id, "code", title, &comments);
        self.text.pair("reads", &columns(reads));
        self.text.pair("writes", &columns(writes));
    }

    /// Adds a phase that fills columns; `kept` says what keeps them right meanwhile.
    pub fn backfill(
        &mut self,
        id: &'static str,
        title: &str,
        fill: &Fill<'_>,
        kept: SyncMode,
        comments: &[&str],
    ) {
        self.start(id, "backfill", title, comments);
        self.fill(fill);
        if kept != SyncMode::default() {
            self.text.pair("synced_by", &string(kept.as_str()));
        }
    }

    /// Adds the way back of the last phase's data: a fill after its DOWN side.
    pub fn restore(&mut self, why: &str, fill: &Fill<'_>) {
        self.text.line("");
        self.text.line(&format!("# {why}"));
        self.text.line("[phase.restore]");
        self.fill(fill);
    }

    fn fill(&mut self, fill: &Fill<'_>) {
        self.text.pair("table", &string(&fill.table.to_string()));
        let each: Vec<String> = fill
            .set
            .iter()
            .map(|(column, expression)| format!("{} = {}", key(&column.to_string()), string(expression)))
            .collect();
        self.text.pair("set", &format!("{{ {} }}", each.join(", ")));
        self.text.pair("verify", &string(&fill.verify));
    }

    fn gate(&mut self, patience: &Patience) {
        let mut conditions = Vec::new();
        if patience.approvals > 0 {
            conditions.push(format!("approvals = {}", patience.approvals));
        }
        if let Some(soak) = &patience.soak {
            conditions.push(format!("soak = {}", string(soak)));
        }
        if !conditions.is_empty() {
            self.text
                .pair("gate", &format!("{{ {} }}", conditions.join(", ")));
        }
    }

    /// The files, and what the reader should know besides.
    pub fn finish(self, remarks: Vec<String>) -> Recipe {
        let mut head = Text::default();
        head.line(&format!("# {}", self.title.replace(char::is_control, " ")));
        head.line("#");
        head.line("# Schema phases are run by `shipctl run`, each only once every running version can live with it.");
        if self.has_code {
            head.line(
                "# A code phase is one pull request. Put the trailer given with it into its commit message and shipctl finds",
            );
            head.line("# the commit by itself, or name it with `shipctl link`.");
        }
        Recipe {
            plan_file: format!("{}.toml", self.id),
            plan_text: head.finish() + &self.text.finish(),
            migrations: self.migrations,
            remarks,
            plan_id: self.id,
        }
    }
}

/// Why an operation cannot be carried out in phases: everything that stands in the way, by name.
///
/// # Errors
/// There is anything.
pub fn refuse_unless_none(kind: ChangeKind, what: &str, refused: &[Refused]) -> Result<(), Problem> {
    if refused.is_empty() {
        return Ok(());
    }
    let each = refused
        .iter()
        .map(|one| {
            Problem::new(
                Exit::Usage,
                "operation-obstacle",
                format!("{} stands in the way", one.what),
            )
            .because(one.why.clone())
        })
        .collect();
    let names: Vec<&str> = refused.iter().map(|one| one.what.as_str()).collect();
    Err(Problem::new(
        Exit::Usage,
        "operation-refused",
        format!("there is no safe `{}` for {what} as it stands", kind.as_str()),
    )
    .because(format!("it is held up by {}", names.join(", ")))
    .fix("deal with each of these first; nothing was written")
    .with(each))
}

/// Nothing would change.
pub fn already(what: String) -> Problem {
    Problem::new(Exit::Usage, "operation-needless", what)
        .fix("nothing has to be done, and nothing was written")
}
