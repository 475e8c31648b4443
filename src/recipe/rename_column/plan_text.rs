//! The plan file of a rename: the text that people review.

use std::fmt::Write as _;

use super::{Action, Rename};
use crate::domain::{ColumnName, SqlIdentifier};
use crate::recipe::carry;
use crate::recipe::toml_text::{key, string};
use crate::sql::readable;

/// The plan's text.
pub(super) fn write(rename: &Rename<'_>) -> String {
    let facts = rename.facts;
    let table = &facts.column.table;
    let (old, new) = (rename.old(), rename.new_name());
    let from = &facts.column;
    let to = ColumnName {
        table: table.clone(),
        column: new.clone(),
    };
    let title = format!("Rename {}.{old} to {new}", table.name);
    let only_old = [from];
    let both = [from, &to];
    let only_new = [&to];

    let mut plan = Text::default();
    plan.line(&format!("# {}", title.replace(char::is_control, " ")));
    plan.line("#");
    plan.line(
        "# Schema phases are run by `shipctl run`, each only once every running version can live with it.",
    );
    plan.line("# A code phase is one pull request. Put the trailer given below into its commit message and shipctl finds");
    plan.line("# the commit by itself, or name it with `shipctl link`.");
    plan.line("");
    plan.pair("id", &string(rename.id.as_str()));
    plan.pair("title", &string(&title));
    plan.line("");
    plan.line("[operation]");
    plan.pair("kind", &string("rename-column"));
    plan.pair("table", &string(&table.to_string()));
    plan.pair("from", &string(&old.to_string()));
    plan.pair("to", &string(&new.to_string()));

    let mut phases = Phases {
        plan,
        rename,
        last: None,
    };
    phases.schema(
        "add",
        "expand",
        Action::Add,
        &format!("Add {new}, empty and nullable"),
        &[],
    );
    phases.code(
        "dual-write",
        &format!("Code writes {old} and {new}, and reads {old}"),
        &only_old,
        &both,
        &["Every INSERT and UPDATE that sets the one column sets the other to the same value."],
    );
    phases.start(
        "backfill",
        "backfill",
        &format!("Copy {old} to {new} in batches"),
        &["Rows for which `verify` holds are left alone, so that it can be stopped and run again at any time."],
    );
    phases.fill(new, old);
    if rename.constrains() {
        phases.schema(
            "constrain",
            "expand",
            Action::Constrain,
            &format!("Give {new} the indexes and constraints of {old}"),
            &[],
        );
    }
    phases.code(
        "switch-read",
        &format!("Code reads {new}, and still writes both"),
        &only_new,
        &both,
        &["Until the next code phase is out, the previous one can come back."],
    );
    if rename.relaxes() {
        // What only lets more pass takes nothing away; dropping constraints and unique indexes does.
        let kind = if rename.takes_guarantees() {
            "contract"
        } else {
            "expand"
        };
        phases.schema(
            "relax",
            kind,
            Action::Relax,
            &format!("Free {old} of its constraints"),
            &["The next code phase leaves the old column unset, which nothing may refuse."],
        );
    }
    phases.code(
        "stop-write",
        &format!("Code reads and writes {new} only"),
        &only_new,
        &only_new,
        &["Remove every mention of the old column, ORM mappings and `SELECT *` included."],
    );
    phases.restore(
        "From here on the old column goes stale. This fills it again before older code may come back.",
        old,
        new,
    );
    phases.schema(
        "drop",
        "contract",
        Action::Drop,
        &format!("Drop {old}"),
        &["The point of no cheap return: undoing it adds the column again and fills it from the new one."],
    );
    phases.gate();
    phases.restore("Runs in batches after the DOWN side.", old, new);
    phases.plan.0
}

/// Text in the making.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn pair(&mut self, name: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{name} = {value}");
    }
}

/// Phases in a line, each needing the one before.
struct Phases<'a> {
    plan: Text,
    rename: &'a Rename<'a>,
    last: Option<&'static str>,
}

impl Phases<'_> {
    fn start(&mut self, id: &'static str, kind: &str, title: &str, comments: &[&str]) {
        self.plan.line("");
        for comment in comments {
            self.plan.line(&format!("# {comment}"));
        }
        self.plan.line("[[phase]]");
        self.plan.pair("id", &string(id));
        self.plan.pair("kind", &string(kind));
        self.plan.pair("title", &string(title));
        if let Some(last) = self.last.replace(id) {
            self.plan.pair("needs", &format!("[{}]", string(last)));
        }
    }

    fn schema(&mut self, id: &'static str, kind: &str, action: Action, title: &str, comments: &[&str]) {
        self.start(id, kind, title, comments);
        self.plan
            .pair("migration", &string(&self.rename.migration(action)));
    }

    fn code(
        &mut self,
        id: &'static str,
        title: &str,
        reads: &[&ColumnName],
        writes: &[&ColumnName],
        comments: &[&str],
    ) {
        let trailer = format!("Trailer: `Ship-Phase: {}/{id}`", self.rename.id);
        let comments: Vec<&str> = comments.iter().copied().chain([trailer.as_str()]).collect();
        self.start(id, "code", title, &comments);
        self.plan.pair("reads", &columns(reads));
        self.plan.pair("writes", &columns(writes));
    }

    /// The keys by which `target` is filled from `origin`.
    fn fill(&mut self, target: &SqlIdentifier, origin: &SqlIdentifier) {
        let verify = carry::same(self.rename.facts.comparison, target, origin);
        self.plan
            .pair("table", &string(&self.rename.facts.column.table.to_string()));
        let set = format!(
            "{{ {} = {} }}",
            key(&target.to_string()),
            string(&readable(origin))
        );
        self.plan.pair("set", &set);
        self.plan.pair("verify", &string(&verify));
    }

    fn restore(&mut self, why: &str, target: &SqlIdentifier, origin: &SqlIdentifier) {
        self.plan.line("");
        self.plan.line(&format!("# {why}"));
        self.plan.line("[phase.restore]");
        self.fill(target, origin);
    }

    fn gate(&mut self) {
        let wish = self.rename.wish;
        let mut conditions = Vec::new();
        if wish.approvals > 0 {
            conditions.push(format!("approvals = {}", wish.approvals));
        }
        if let Some(soak) = &wish.soak {
            conditions.push(format!("soak = {}", string(soak)));
        }
        if !conditions.is_empty() {
            self.plan
                .pair("gate", &format!("{{ {} }}", conditions.join(", ")));
        }
    }
}

fn columns(columns: &[&ColumnName]) -> String {
    let names: Vec<String> = columns.iter().map(|column| string(&column.to_string())).collect();
    format!("[{}]", names.join(", "))
}
