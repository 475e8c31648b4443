//! A plan in the making: phases in a line, each needing the one before, and the migrations that they run.

use super::migration_text::File;
use super::toml_text::{Text, columns, key, string};
use super::{Order, Patience, Recipe, Refused, names};
use crate::domain::{ColumnName, Exit, PlanId, Problem, SqlIdentifier, TableName};
use crate::plan::{ChangeKind, SyncMode};

/// The longest id of a plan.
const LONGEST_ID: usize = 63;

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

/// A value of an enum type that an operation is about.
pub struct ValueSubject<'a> {
    /// The operation.
    pub kind: ChangeKind,
    /// The type.
    pub data_type: &'a TableName,
    /// The value.
    pub value: &'a str,
    /// What it is called afterwards, where it gets another name.
    pub to: Option<&'a str>,
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
    /// A whole side as somebody wrote it.
    Written(String),
}

impl Sql {
    /// Statements, each on its own.
    pub fn each(statements: impl IntoIterator<Item = String>) -> Vec<Self> {
        statements.into_iter().map(Self::Statement).collect()
    }

    /// Statements that are a matter of milliseconds for as long as what the plan was made from holds, and that would read or
    /// write whole tables under their locks otherwise: they are ended then.
    pub fn in_a_moment(statements: impl IntoIterator<Item = String>) -> Self {
        let limit = "SET LOCAL statement_timeout = '2s'".to_owned();
        Self::Together(std::iter::once(limit).chain(statements).collect())
    }
}

/// A phase that runs a migration.
pub struct SchemaPhase<'a> {
    /// Its id, which also begins the migration's name.
    pub id: &'a str,
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
    last: Option<String>,
    migrations: Vec<(String, String)>,
    order: Order,
    remarks: Vec<String>,
}

impl Draft {
    /// Begins a plan.
    ///
    /// # Errors
    /// No id can be made of the names.
    pub fn new(subject: &Subject<'_>, order: &Order) -> Result<Self, Problem> {
        let table = subject.table.name.as_str();
        let mut words = vec![table];
        match subject.name {
            // Names that PostgreSQL makes begin with that of the table.
            Some(name) if name.as_str().starts_with(table) => words = vec![name.as_str()],
            Some(name) => words.push(name.as_str()),
            None => words.extend(subject.columns.iter().map(SqlIdentifier::as_str)),
        }
        let whole = format!("{} {words:?}", subject.table);
        let mut draft = Self::begin(subject.kind, &subject.title, &words, &whole, order)?;
        let text = &mut draft.text;
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
        Ok(draft)
    }

    /// Begins a plan about a value of an enum type.
    ///
    /// # Errors
    /// No id can be made of the names.
    pub fn of_value(subject: &ValueSubject<'_>, order: &Order) -> Result<Self, Problem> {
        let words = [subject.data_type.name.as_str(), subject.value];
        let whole = format!("{} {words:?}", subject.data_type);
        let mut draft = Self::begin(subject.kind, &subject.title, &words, &whole, order)?;
        let text = &mut draft.text;
        text.pair("type", &string(&subject.data_type.to_string()));
        text.pair("value", &string(subject.value));
        if let Some(to) = subject.to {
            text.pair("to", &string(to));
        }
        Ok(draft)
    }

    /// Begins a plan that is no operation.
    ///
    /// # Errors
    /// The id is that of an earlier plan.
    pub fn custom(id: &PlanId, title: &str, order: &Order) -> Result<Self, Problem> {
        let id = order.known.choose(Some(id), id.as_str())?;
        let mut text = Text::default();
        text.line("");
        text.pair("id", &string(id.as_str()));
        text.pair("title", &string(title));
        Ok(Self {
            title: title.to_owned(),
            has_code: false,
            slug: id.as_str().replace(['-', '.'], "_"),
            id,
            text,
            last: None,
            migrations: Vec::new(),
            order: order.clone(),
            remarks: Vec::new(),
        })
    }

    /// Begins a plan, as far as the kind of its operation.
    fn begin(
        kind: ChangeKind,
        title: &str,
        words: &[&str],
        whole: &str,
        order: &Order,
    ) -> Result<Self, Problem> {
        let kind = kind.as_str();
        let room = LONGEST_ID - kind.len() - 1;
        let made = format!(
            "{kind}-{}",
            names::safe_within(&words.join("-"), '-', whole, room.min(names::LONGEST))
        );
        let id = order.known.choose(order.id.as_ref(), &made)?;
        let mut text = Text::default();
        text.line("");
        text.pair("id", &string(id.as_str()));
        text.pair("title", &string(title));
        text.line("");
        text.line("[operation]");
        text.pair("kind", &string(kind));
        Ok(Self {
            title: title.to_owned(),
            has_code: false,
            slug: names::safe(&words.join("_"), '_', whole),
            remarks: order.known.remark(&id, &made).into_iter().collect(),
            id,
            text,
            last: None,
            migrations: Vec::new(),
            order: order.clone(),
        })
    }

    fn start(&mut self, id: &str, kind: &str, title: &str, comments: &[&str]) {
        self.text.line("");
        for comment in comments {
            self.text.line(&format!("# {comment}"));
        }
        self.text.line("[[phase]]");
        self.text.pair("id", &string(id));
        self.text.pair("kind", &string(kind));
        self.text.pair("title", &string(title));
        if let Some(last) = self.last.replace(id.to_owned()) {
            self.text.pair("needs", &format!("[{}]", string(&last)));
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
            if side.is_empty() {
                continue;
            }
            file.side(marker);
            for sql in side {
                match sql {
                    Sql::Statement(statement) => file.statements([statement]),
                    Sql::Together(statements) => file.together(statements),
                    Sql::Remark(remark) => file.remark(remark),
                    Sql::Written(text) => file.written(&text),
                }
            }
        }
        self.migrations.push((format!("{name}.sql"), file.finish()));
    }

    /// Adds a phase that is a pull request.
    pub fn code(
        &mut self,
        id: &str,
        title: &str,
        reads: &[&ColumnName],
        writes: &[&ColumnName],
        comments: &[&str],
    ) {
        self.undeclared_code(id, title, comments);
        self.text.pair("reads", &columns(reads));
        self.text.pair("writes", &columns(writes));
    }

    /// Adds a phase that is a pull request of which it is not said what it reads and writes.
    pub fn undeclared_code(&mut self, id: &str, title: &str, comments: &[&str]) {
        self.has_code = true;
        let trailer = format!("Trailer: `Ship-Phase: {}/{id}`", self.id);
        let comments: Vec<&str> = comments.iter().copied().chain([trailer.as_str()]).collect();
        self.start(id, "code", title, &comments);
    }

    /// Adds a phase that a person does.
    pub fn manual(&mut self, id: &str, title: &str, instructions: &str) {
        self.start(id, "manual", title, &[]);
        self.text.pair("instructions", &string(instructions));
    }

    /// Adds a phase that fills columns; `kept` says what keeps them right meanwhile.
    pub fn backfill(&mut self, id: &str, title: &str, fill: &Fill<'_>, kept: SyncMode, comments: &[&str]) {
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

    /// What has to be waited for before the last phase.
    pub fn gate(&mut self, patience: &Patience) {
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
    pub fn finish(mut self, remarks: Vec<String>) -> Recipe {
        self.remarks.extend(remarks);
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
            remarks: self.remarks,
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
    Err(refusal(kind, what, refused))
}

/// That an operation cannot be carried out in phases, for these reasons.
pub fn refusal(kind: ChangeKind, what: &str, refused: &[Refused]) -> Problem {
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
    Problem::new(
        Exit::Usage,
        "operation-refused",
        format!("there is no safe `{}` for {what} as it stands", kind.as_str()),
    )
    .because(format!("it is held up by {}", names.join(", ")))
    .fix("deal with each of these first; nothing was written")
    .with(each)
}

/// Nothing would change.
pub fn already(what: String) -> Problem {
    Problem::new(Exit::Usage, "operation-needless", what)
        .fix("nothing has to be done, and nothing was written")
}
