//! The phases in which a column takes over what documents hold.

use super::functions::Truth;
use super::{Extraction, obstacles};
use crate::domain::{ColumnName, Problem};
use crate::plan::{ChangeKind, SyncMode};
use crate::recipe::draft::{Draft, Fill, SchemaPhase, Sql, Subject};
use crate::recipe::two_way::same_value;
use crate::recipe::{Order, Patience, Recipe};
use crate::sql::{readable, readable_table};

/// The plan so far, and what it is made from.
struct Making<'a> {
    extraction: &'a Extraction<'a>,
    column: ColumnName,
    /// True of a row whose column holds what its document does.
    is_found: String,
    draft: Draft,
    /// What is waited for: the soak belongs to the first phase that closes the way back for the code.
    patience: Patience,
}

/// The plan.
pub(super) fn plan(extraction: &Extraction<'_>, order: &Order) -> Result<Recipe, Problem> {
    let Extraction {
        table,
        document,
        new,
        wish,
        functions,
        ..
    } = extraction;
    let from = &document.column.column;
    let columns = [from.clone(), wish.column.clone()];
    let subject = Subject {
        kind: ChangeKind::ExtractJson,
        table: &table.table,
        columns: &columns,
        name: None,
        title: format!(
            "Extract {} of {}.{from} into {}",
            wish.path, table.table.name, wish.column
        ),
    };
    let mut making = Making {
        draft: Draft::new(&subject, order)?,
        column: table.column_name(&wish.column),
        is_found: same_value(new.comparison, &wish.column, &functions.found()),
        patience: wish.patience.clone(),
        extraction,
    };
    making.phases();
    Ok(making
        .draft
        .finish(obstacles::remarks(table, document, new, wish)))
}

impl<'a> Making<'a> {
    fn phases(&mut self) {
        let extraction = self.extraction;
        let (wish, from) = (extraction.wish, &extraction.document.column.column);
        let column = self.column.clone();
        let both = [&column, &extraction.document.column];
        self.add();
        if extraction.trigger.is_none() {
            self.draft.code(
                "dual-write",
                &format!("Code writes {} beside the document, and reads the document", wish.column),
                &[&extraction.document.column],
                &both,
                &["Every INSERT and UPDATE that sets the value in a document sets the column to the same, or to NULL where it has none."],
            );
        }
        self.backfill();
        if extraction.trigger.is_some() {
            self.draft.code(
                "switch",
                &format!("Code reads and writes {} instead of the document", wish.column),
                &both,
                &both,
                &[
                    "Old and new code may run side by side, and may come and go: each sees what the other writes. The rest of the documents",
                    "is as it was; leave this key in those that you write as you found it, until the trigger is gone: without it, it says",
                    "that there is no value. NULL in the column takes the key out of the document.",
                ],
            );
        } else {
            self.draft.code(
                "switch-read",
                &format!("Code reads {}, and still writes both", wish.column),
                &both,
                &both,
                &["Until the next code phase is out, the previous one can come back."],
            );
        }
        self.compare();
        if extraction.trigger.is_none() {
            self.draft.code(
                "stop-write",
                &format!("Code reads and writes {} instead of the document", wish.column),
                &both,
                &both,
                &["The rest of the documents is as it was. From here on this value in them is nobody's concern."],
            );
            self.draft.restore(
                "From here on the documents go stale. This puts what is in the column into them before older code may come back.",
                &self.put_back(),
            );
        }
        self.drop();
        if wish.remove_key {
            let undone_with = if extraction.trigger.is_some() {
                "drop"
            } else {
                "stop-write"
            };
            self.draft.backfill(
                "remove-key",
                &format!("Take {} out of {from} in batches", wish.path),
                &extraction
                    .functions
                    .without_key(&extraction.table.table, extraction.document),
                SyncMode::Code,
                &[&format!(
                    "The column holds it. Code must no longer write it into documents. Undone together with `{undone_with}`, which puts \
                     it back."
                )],
            );
        }
    }

    fn add(&mut self) {
        let extraction = self.extraction;
        let (wish, from) = (extraction.wish, &extraction.document.column.column);
        let (table, column) = (readable_table(&extraction.table.table), readable(&wish.column));
        let mut add = vec![format!(
            "ALTER TABLE {table} ADD COLUMN {column} {}",
            extraction.new.column.data_type
        )];
        add.extend(self.make(Truth::Document));
        let mut undo = self.take_away(true);
        undo.push(format!("ALTER TABLE {table} DROP COLUMN IF EXISTS {column}"));
        let (title, explanation): (_, &[&str]) = match extraction.trigger {
            Some(_) => (
                format!(
                    "Add {}, and a trigger that keeps it in step with {from}",
                    wish.column
                ),
                &[
                    "The column starts empty and nullable: no row is rewritten. From the moment it is there, a trigger gives it the value",
                    "of each document that is written, or NULL where that does not fit; and what is written to it goes into the document.",
                ],
            ),
            None => (
                format!(
                    "Add {}, and the functions that read and put its value",
                    wish.column
                ),
                &[
                    "The column starts empty and nullable: no row is rewritten, and running code does not notice. The functions are those",
                    "of the fills below; nothing else calls them.",
                ],
            ),
        };
        self.draft.schema(SchemaPhase {
            id: "add",
            kind: "expand",
            title,
            comments: &[
                "Statements that were prepared with SELECT * or RETURNING * fail once it is there (\"cached plan must not change",
                "result type\"), also behind poolers: name the columns there first, or be ready to prepare them again.",
            ],
            explanation,
            up: vec![Sql::Together(add)],
            down: vec![
                Sql::Remark("The documents hold what was written to the column."),
                Sql::Together(undo),
            ],
            patience: Patience::default(),
        });
    }

    fn backfill(&mut self) {
        let extraction = self.extraction;
        let (wish, from) = (extraction.wish, &extraction.document.column.column);
        let fill = Fill::column(&self.column, &extraction.functions.found(), self.is_right());
        let meanwhile = match extraction.trigger {
            Some(_) => {
                "No code has to change before: the trigger takes care of what is written meanwhile. Rows that it wrote are left alone."
            }
            None => {
                "Rows that hold what their documents do are left alone, so that it can be stopped and run again at any time."
            }
        };
        self.draft.backfill(
            "backfill",
            &format!("Copy {} out of {from} in batches", wish.path),
            &fill,
            wish.sync,
            &[
                meanwhile,
                if wish.or_null {
                    "A value that does not fit the type becomes NULL; it stays in the document."
                } else {
                    "A value that does not fit the type stops it, and the rows are named: mend their documents, and run again."
                },
            ],
        );
    }

    fn compare(&mut self) {
        let extraction = self.extraction;
        let wish = extraction.wish;
        if wish.or_null {
            return;
        }
        let mut verify = self.is_right();
        if wish.remove_key {
            let kept = extraction.functions.kept_exactly(extraction.document);
            verify = format!("{verify} AND {kept}");
        }
        let from = &extraction.document.column.column;
        let who = if extraction.trigger.is_some() {
            "old code"
        } else {
            "code"
        };
        self.draft.backfill(
            "compare",
            &format!("Every value in {from} is in {}", wish.column),
            &Fill::column(&self.column, &readable(&wish.column), verify),
            SyncMode::Code,
            &[
                &format!("It changes nothing. It fails, and names rows, where {who} wrote what the column cannot hold: mend them."),
                if wish.remove_key {
                    "As the key goes, it also names those that would not hold the very same again: a number that is written as a text."
                } else {
                    "Old code that runs again after it has it done again."
                },
            ],
        );
        // With the code in charge, nothing closes its way back before it stops writing the documents.
        if extraction.trigger.is_some() {
            self.draft.gate(&Patience {
                soak: self.patience.soak.take(),
                approvals: 0,
            });
        }
    }

    fn drop(&mut self) {
        let extraction = self.extraction;
        let from = &extraction.document.column.column;
        let patience = std::mem::take(&mut self.patience);
        let up = vec![Sql::Together(self.take_away(false))];
        if extraction.trigger.is_none() {
            self.draft.schema(SchemaPhase {
                id: "drop",
                kind: "contract",
                title: "Drop the functions of the fills".to_owned(),
                comments: &[],
                explanation: &["Nothing calls them any more, but for the way back, which makes them again."],
                up,
                down: vec![Sql::Together(self.make(Truth::Column))],
                patience,
            });
            return;
        }
        self.draft.schema(SchemaPhase {
            id: "drop",
            kind: "contract",
            title: format!("Drop the trigger; {from} no longer follows"),
            comments: &["From here on the documents hold what they held, or what code puts there."],
            explanation: &["No running version looks for the value in the document any more."],
            up,
            down: vec![
                Sql::Remark("From here on both are kept in step again; the restore takes care of what was written before. Until then"),
                Sql::Remark("the column is right: a document counts only where its value changes."),
                Sql::Together(self.make(Truth::Column)),
            ],
            patience,
        });
        self.draft.restore(
            "Runs in batches after the DOWN side: documents get what is in the column.",
            &self.put_back(),
        );
    }

    /// Makes the functions, and the trigger where there is one.
    fn make(&self, truth: Truth) -> Vec<String> {
        let Extraction {
            document,
            wish,
            functions,
            trigger,
            ..
        } = self.extraction;
        let mut make = functions.create();
        if let Some(trigger) = trigger {
            let pair = [&document.column.column, &wish.column];
            make.extend(trigger.create(&functions.work(truth, document, &pair)));
        }
        make
    }

    /// Takes them away again.
    fn take_away(&self, if_exists: bool) -> Vec<String> {
        let trigger = self.extraction.trigger.as_ref();
        let mut gone = trigger.map_or_else(Vec::new, |trigger| trigger.remove(if_exists));
        gone.extend(self.extraction.functions.remove(if_exists));
        gone
    }

    /// True of a row whose value needs nothing more.
    fn is_right(&self) -> String {
        let Extraction {
            document,
            wish,
            functions,
            ..
        } = self.extraction;
        if wish.or_null || functions.always_fits() {
            return self.is_found.clone();
        }
        format!(
            "{} AND ({} IS NOT NULL OR {} IS NULL)",
            self.is_found,
            readable(&wish.column),
            wish.path.text(&readable(&document.column.column))
        )
    }

    /// Puts what is in the column into the documents.
    fn put_back(&self) -> Fill<'a> {
        let extraction = self.extraction;
        Fill {
            table: &extraction.table.table,
            set: vec![(&extraction.document.column.column, extraction.functions.put())],
            verify: self.is_found.clone(),
        }
    }
}
