//! The plan file of a rename: the text that people review.

use super::{Action, Rename};
use crate::domain::{ColumnName, SqlIdentifier};
use crate::plan::SyncMode;
use crate::recipe::carry;
use crate::recipe::toml_text::{Text, columns, key, string};
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
    if rename.trigger.is_some() {
        plan.pair("sync", &string(SyncMode::Trigger.as_str()));
    }

    let mut phases = Phases {
        plan,
        rename,
        last: None,
    };
    if rename.trigger.is_some() {
        phases.kept_by_trigger(&to);
    } else {
        phases.kept_by_code(from, &to);
    }
    phases.plan.finish()
}

/// Phases in a line, each needing the one before.
struct Phases<'a> {
    plan: Text,
    rename: &'a Rename<'a>,
    last: Option<&'static str>,
}

impl Phases<'_> {
    /// The phases of a rename during which the code writes both columns.
    fn kept_by_code(&mut self, from: &ColumnName, to: &ColumnName) {
        let (old, new) = (&from.column, &to.column);
        let only_old = [from];
        let both = [from, to];
        let only_new = [to];
        self.schema(
            "add",
            "expand",
            Action::Add,
            &format!("Add {new}, empty and nullable"),
            &[],
        );
        self.code(
            "dual-write",
            &format!("Code writes {old} and {new}, and reads {old}"),
            &only_old,
            &both,
            &["Every INSERT and UPDATE that sets the one column sets the other to the same value."],
        );
        self.start(
            "backfill",
            "backfill",
            &format!("Copy {old} to {new} in batches"),
            &["Rows for which `verify` holds are left alone, so that it can be stopped and run again at any time."],
        );
        self.fill(new, old);
        self.constrain();
        self.code(
            "switch-read",
            &format!("Code reads {new}, and still writes both"),
            &only_new,
            &both,
            &["Until the next code phase is out, the previous one can come back."],
        );
        if self.rename.relaxes() {
            self.relax("The next code phase leaves the old column unset, which nothing may refuse.");
        }
        self.code(
            "stop-write",
            &format!("Code reads and writes {new} only"),
            &only_new,
            &only_new,
            &["Remove every mention of the old column, ORM mappings and `SELECT *` included."],
        );
        self.restore(
            "From here on the old column goes stale. This fills it again before older code may come back.",
            old,
            new,
        );
        self.schema(
            "drop",
            "contract",
            Action::Drop,
            &format!("Drop {old}"),
            &["The point of no cheap return: undoing it adds the column again and fills it from the new one."],
        );
        self.gate(self.rename.wish.approvals, self.rename.wish.soak.as_deref());
        self.restore("Runs in batches after the DOWN side.", old, new);
    }

    /// The phases of a rename during which a trigger keeps both columns in step.
    fn kept_by_trigger(&mut self, to: &ColumnName) {
        let (old, new) = (self.rename.old(), self.rename.new_name());
        self.schema(
            "add",
            "expand",
            Action::Add,
            &format!("Add {new}, and a trigger that keeps it in step with {old}"),
            &[],
        );
        self.start(
            "backfill",
            "backfill",
            &format!("Copy {old} to {new} in batches"),
            &["No code has to change before: the trigger takes care of what is written meanwhile."],
        );
        self.fill(new, old);
        self.plan.pair("synced_by", &string(SyncMode::Trigger.as_str()));
        self.constrain();
        self.code(
            "switch",
            &format!("Code reads and writes {new} only"),
            &[to],
            &[to],
            &[
                "Old and new code may run side by side, and may come and go: each sees what the other writes.",
                "Remove every mention of the old column, ORM mappings and `SELECT *` included.",
            ],
        );
        // The soak belongs to the first phase that closes the way back for the code.
        let mut soak = self.rename.wish.soak.as_deref();
        if self.rename.relaxes() {
            self.relax("From here on the old code can come back only after this is undone.");
            self.gate(0, soak.take());
        }
        self.schema(
            "drop",
            "contract",
            Action::Drop,
            &format!("Drop {old} and the trigger"),
            &["The point of no cheap return: undoing it adds the column again and fills it from the new one."],
        );
        self.gate(self.rename.wish.approvals, soak);
        self.restore("Runs in batches after the DOWN side.", old, new);
    }

    fn constrain(&mut self) {
        if !self.rename.constrains() {
            return;
        }
        let (old, new) = (self.rename.old(), self.rename.new_name());
        self.schema(
            "constrain",
            "expand",
            Action::Constrain,
            &format!("Give {new} the indexes and constraints of {old}"),
            &[],
        );
    }

    fn relax(&mut self, comment: &str) {
        // What only lets more pass takes nothing away; dropping constraints and unique indexes does.
        let kind = if self.rename.takes_guarantees() {
            "contract"
        } else {
            "expand"
        };
        let old = self.rename.old();
        self.schema(
            "relax",
            kind,
            Action::Relax,
            &format!("Free {old} of its constraints"),
            &[comment],
        );
    }

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

    fn gate(&mut self, approvals: u32, soak: Option<&str>) {
        let mut conditions = Vec::new();
        if approvals > 0 {
            conditions.push(format!("approvals = {approvals}"));
        }
        if let Some(soak) = soak {
            conditions.push(format!("soak = {}", string(soak)));
        }
        if !conditions.is_empty() {
            self.plan
                .pair("gate", &format!("{{ {} }}", conditions.join(", ")));
        }
    }
}
