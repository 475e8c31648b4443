//! The table that remembers which migrations were applied: the ledger's own, or one that was there before.

use tokio_postgres::{GenericClient, Row};

use crate::domain::{Exit, Problem};
use crate::execute::failpoint::{Failpoint, reach};
use crate::postgres::describe_error;
use crate::sql::MigrationFile;

/// The ledger's own table.
const OWN: &str = "shipctl.migrations";

/// Where applied migrations are recorded, and in which style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookkeeping {
    /// The table, quoted.
    table: String,
    /// Whether it exists (the ledger's own is made when something is first applied).
    exists: bool,
    /// The type of its `id`, where that is no text.
    id_type: Option<String>,
    /// Whether `id` numbers the rows by itself, so that it says nothing about the migration.
    id_is_serial: bool,
    /// A table of that name in another shape, left alone.
    pub left_alone: Option<String>,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub id: String,
    pub name: String,
    /// When, as the database writes it.
    pub applied_at: Option<String>,
}

/// How a migration is written down as id or as name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `0007`
    Id,
    /// `7`
    Number,
    /// `0007_add_x`
    Name,
    /// `0007_add_x.sql`
    File,
    /// `add_x`
    Rest,
}

impl Form {
    /// The forms in the order in which a text is compared with them.
    const ALL: [Self; 5] = [Self::Name, Self::File, Self::Id, Self::Number, Self::Rest];

    pub(super) fn write(self, file: &MigrationFile) -> String {
        match self {
            Self::Id => file.id.clone(),
            Self::Number => match file.id.trim_start_matches('0') {
                "" => file.id.clone(),
                number => number.to_owned(),
            },
            Self::Name => file.name.clone(),
            Self::File => format!("{}.sql", file.name),
            Self::Rest => {
                let rest = file.name.strip_prefix(&file.id).unwrap_or(&file.name);
                let rest = rest.trim_start_matches(['_', '-', '.', ' ']);
                if rest.is_empty() {
                    file.name.clone()
                } else {
                    rest.to_owned()
                }
            }
        }
    }

    /// In which form a text names the migration.
    fn of(text: &str, file: &MigrationFile) -> Option<Self> {
        let text = text
            .strip_suffix(".up.sql")
            .map_or(text.to_owned(), |name| format!("{name}.sql"));
        Self::ALL.into_iter().find(|form| form.write(file) == text)
    }
}

/// The forms in which this table's rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub id: Form,
    pub name: Form,
}

impl Bookkeeping {
    /// Finds the table: the ledger's own once it holds something; else a table `migrations(id, name, applied_at)` in the
    /// search path, taken over as it stands; else the ledger's own. Changes nothing.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn find(client: &impl GenericClient) -> Result<Self, Problem> {
        let asking = |error| describe_error(&error, "looking for the table of applied migrations");
        let own_exists: bool = client
            .query_one("SELECT to_regclass('shipctl.migrations') IS NOT NULL", &[])
            .await
            .map_err(asking)?
            .get(0);
        let mut own = Self {
            table: OWN.to_owned(),
            exists: own_exists,
            id_type: None,
            id_is_serial: false,
            left_alone: None,
        };
        if own_exists {
            let used: bool = client
                .query_one("SELECT EXISTS (SELECT 1 FROM shipctl.migrations)", &[])
                .await
                .map_err(asking)?
                .get(0);
            if used {
                return Ok(own);
            }
        }
        let found = client
            .query_opt(
                "SELECT format('%I.%I', n.nspname, c.relname) AS name,
                        (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
                            AND a.attname IN ('id', 'name', 'applied_at')) = 3 AS fits,
                        (SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attname = 'id' AND NOT a.attisdropped) AS id_type,
                        (SELECT a.atthasdef OR a.attidentity <> '' FROM pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attname = 'id' AND NOT a.attisdropped) AS numbered
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relname = 'migrations' AND c.relkind IN ('r', 'p') AND n.nspname <> 'shipctl'
                    AND pg_table_is_visible(c.oid)",
                &[],
            )
            .await
            .map_err(asking)?;
        let Some(found) = found else { return Ok(own) };
        let name: String = found.get("name");
        if !found.get::<_, bool>("fits") {
            own.left_alone = Some(name);
            return Ok(own);
        }
        let id_type = found.get::<_, Option<String>>("id_type").unwrap_or_default();
        let textual = id_type.starts_with("character") || id_type == "text";
        Ok(Self {
            table: name,
            exists: true,
            id_is_serial: !textual && found.get::<_, Option<bool>>("numbered").unwrap_or(false),
            id_type: (!textual).then_some(id_type),
            left_alone: None,
        })
    }

    /// The table's name, for people.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether it is the ledger's own.
    pub fn is_own(&self) -> bool {
        self.table == OWN
    }

    /// The rows, the oldest first.
    pub(super) async fn rows(&self, client: &impl GenericClient) -> Result<Vec<Recorded>, Problem> {
        if !self.exists {
            return Ok(Vec::new());
        }
        let rows = client
            .query(
                &format!(
                    "SELECT id::text, name::text, date_trunc('second', applied_at)::text FROM {} ORDER BY applied_at NULLS FIRST, id",
                    self.table
                ),
                &[],
            )
            .await
            .map_err(|error| describe_error(&error, &format!("reading {}", self.table)))?;
        let read = |row: &Row| Recorded {
            id: row.get::<_, Option<String>>(0).unwrap_or_default(),
            name: row.get::<_, Option<String>>(1).unwrap_or_default(),
            applied_at: row.get(2),
        };
        Ok(rows.iter().map(read).collect())
    }

    /// The row of a migration: one that bears its name, else one that bears its id.
    pub(super) fn row_of(&self, file: &MigrationFile, rows: &[Recorded]) -> Option<usize> {
        let by_name = |text: &str| matches!(Form::of(text, file), Some(Form::Name | Form::File));
        rows.iter()
            .position(|row| by_name(&row.name) || (!self.id_is_serial && by_name(&row.id)))
            .or_else(|| {
                let by_id = |text: &str| {
                    text == file.id
                        || (file.id.bytes().all(|b| b.is_ascii_digit())
                            && !text.is_empty()
                            && text.bytes().all(|b| b.is_ascii_digit())
                            && text.trim_start_matches('0') == file.id.trim_start_matches('0'))
                };
                (!self.id_is_serial)
                    .then(|| rows.iter().position(|row| by_id(&row.id)))
                    .flatten()
            })
    }

    /// The style of the rows: that of the newest one whose migration is known, else what the newest looks like.
    pub(super) fn style(&self, rows: &[Recorded], files: &[MigrationFile]) -> Style {
        let known = rows.iter().rev().find_map(|row| {
            let file = files
                .iter()
                .find(|file| self.row_of(file, std::slice::from_ref(row)).is_some())?;
            Some(Style {
                id: Form::of(&row.id, file).unwrap_or(Form::Id),
                name: Form::of(&row.name, file).unwrap_or(Form::Name),
            })
        });
        let looks = |text: &str, otherwise: Form| {
            if text.ends_with(".sql") {
                Form::File
            } else if text.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
                Form::Id
            } else if text.starts_with(|c: char| c.is_ascii_digit()) {
                Form::Name
            } else {
                otherwise
            }
        };
        known.unwrap_or_else(|| match rows.last() {
            Some(row) => Style {
                id: looks(&row.id, Form::Id),
                name: looks(&row.name, Form::Rest),
            },
            None => Style {
                id: Form::Id,
                name: Form::Name,
            },
        })
    }

    /// Records a migration as applied; in the transaction of what it did.
    pub(super) async fn add(
        &self,
        client: &impl GenericClient,
        file: &MigrationFile,
        style: Style,
    ) -> Result<(), Problem> {
        let id = style.id.write(file);
        let name = style.name.write(file);
        let done = match &self.id_type {
            _ if self.id_is_serial => {
                client
                    .execute(
                        &format!("INSERT INTO {} (name) VALUES ($1::text)", self.table),
                        &[&name],
                    )
                    .await
            }
            Some(kind) => client
                .execute(
                    &format!(
                        "INSERT INTO {} (id, name, applied_at) VALUES ($1::text::{kind}, $2::text, now())",
                        self.table
                    ),
                    &[&id, &name],
                )
                .await,
            None => {
                client
                    .execute(
                        &format!(
                            "INSERT INTO {} (id, name, applied_at) VALUES ($1::text, $2::text, now())",
                            self.table
                        ),
                        &[&id, &name],
                    )
                    .await
            }
        };
        done.map_err(|error| describe_error(&error, &format!("recording {} in {}", file.name, self.table)))?;
        reach(Failpoint::MigrationRowChanged).await;
        Ok(())
    }

    /// Takes a migration's row away; in the transaction of what undid it.
    pub(super) async fn remove(&self, client: &impl GenericClient, row: &Recorded) -> Result<(), Problem> {
        let removed = client
            .execute(
                &format!(
                    "DELETE FROM {} WHERE id::text = $1 AND name::text = $2",
                    self.table
                ),
                &[&row.id, &row.name],
            )
            .await
            .map_err(|error| describe_error(&error, &format!("taking {} out of {}", row.name, self.table)))?;
        if removed == 1 {
            reach(Failpoint::MigrationRowChanged).await;
            return Ok(());
        }
        Err(Problem::new(
            Exit::Failed,
            "migration-row-gone",
            format!("{} is no longer recorded in {} as it was", row.name, self.table),
        )
        .because("something else changed that table at the same time")
        .fix("run shipctl migrate status, then try again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> MigrationFile {
        MigrationFile::from_text(name, "SELECT 1").unwrap()
    }

    fn row(id: &str, name: &str) -> Recorded {
        Recorded {
            id: id.to_owned(),
            name: name.to_owned(),
            applied_at: None,
        }
    }

    fn table(serial: bool) -> Bookkeeping {
        Bookkeeping {
            table: "public.migrations".to_owned(),
            exists: true,
            id_type: serial.then(|| "integer".to_owned()),
            id_is_serial: serial,
            left_alone: None,
        }
    }

    #[test]
    fn a_row_is_matched_in_whatever_style_it_was_written() {
        let file = file("0007_add_x");
        for (id, name) in [
            ("0007", "add_x"),
            ("7", "add x"),
            ("0007", "0007_add_x"),
            ("0007_add_x", "0007_add_x"),
            ("0007_add_x.sql", "add_x"),
            ("whatever", "0007_add_x.sql"),
            ("0007_add_x.up.sql", ""),
        ] {
            assert_eq!(
                table(false).row_of(&file, &[row("1", "a"), row(id, name)]),
                Some(1),
                "{id} {name}"
            );
        }
        assert_eq!(table(false).row_of(&file, &[row("8", "add_x")]), None);
        // A number that merely counts rows is no id.
        assert_eq!(table(true).row_of(&file, &[row("7", "0003_other")]), None);
    }

    #[test]
    fn new_rows_follow_the_style_of_the_old() {
        let files = [file("0007_add_x"), file("0008_y")];
        let style = |id: &str, name: &str| table(false).style(&[row(id, name)], &files);
        let written = |style: Style| (style.id.write(&files[1]), style.name.write(&files[1]));
        let pair = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        assert_eq!(written(style("0007", "add_x")), pair("0008", "y"));
        assert_eq!(written(style("7", "0007_add_x")), pair("8", "0008_y"));
        assert_eq!(
            written(style("0007_add_x.sql", "0007_add_x.sql")),
            pair("0008_y.sql", "0008_y.sql")
        );
        assert_eq!(written(style("0001_gone", "0001_gone")), pair("0008_y", "0008_y"));
        assert_eq!(written(table(false).style(&[], &files)), pair("0008", "0008_y"));
    }
}
