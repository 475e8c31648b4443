//! The `[operation]` table of a plan file.

use super::raw::read_sync;
use super::{ChangeKind, Operation};
use crate::domain::{SqlIdentifier, TableName, did_you_mean};
use crate::project::reader::Table;

/// The word for the rename of a column.
const RENAME_COLUMN: &str = "rename-column";

/// Reads it; what is wrong with it is reported.
pub(super) fn read(mut table: Table<'_, '_>) -> Option<Operation> {
    table.call("the operation".to_owned());
    let kind = table.required_string("kind", "kind = \"rename-column\"")?;
    let change = ChangeKind::ALL.into_iter().find(|one| one.as_str() == kind.value);
    if let Some(kind) = change.filter(|change| change.is_of_enum()) {
        return read_of_enum(table, kind);
    }
    let on = table
        .required_string("table", "table = \"public.users\"")
        .and_then(|text| table.parse_text::<TableName>("table", &text));
    if let Some(change) = change {
        let columns = table.strings("columns").unwrap_or_default();
        let columns = columns
            .iter()
            .filter_map(|text| table.parse_text::<SqlIdentifier>("columns", text))
            .map(|column| column.value)
            .collect();
        let name = table
            .string("name")
            .and_then(|text| table.parse_text::<SqlIdentifier>("name", &text));
        table.finish();
        return Some(Operation::Change {
            kind: change,
            table: on?.value,
            columns,
            name: name.map(|name| name.value),
        });
    }
    if kind.value != RENAME_COLUMN {
        let known: Vec<&str> = [RENAME_COLUMN]
            .into_iter()
            .chain(ChangeKind::ALL.map(ChangeKind::as_str))
            .collect();
        table.invalid(
            "kind",
            kind.span,
            "no such operation",
            did_you_mean(&kind.value, &known),
        );
        return None;
    }
    let needed = |key, example| table.required_string(key, example);
    let (from, to) = (
        needed("from", "from = \"name\""),
        needed("to", "to = \"display_name\""),
    );
    let from = from.and_then(|text| table.parse_text::<SqlIdentifier>("from", &text));
    let to = to.and_then(|text| table.parse_text::<SqlIdentifier>("to", &text));
    let sync = read_sync(&table, "sync");
    table.finish();
    Some(Operation::RenameColumn {
        table: on?.value,
        from: from?.value,
        to: to?.value,
        sync,
    })
}

fn read_of_enum(table: Table<'_, '_>, kind: ChangeKind) -> Option<Operation> {
    let data_type = table
        .required_string("type", "type = \"public.mood\"")
        .and_then(|text| table.parse_text::<TableName>("type", &text));
    let value = table.required_string("value", "value = \"calm\"");
    let to = match kind {
        ChangeKind::RenameEnumValue => Some(table.required_string("to", "to = \"quiet\"")?.value),
        _ => None,
    };
    table.finish();
    Some(Operation::EnumValue {
        kind,
        data_type: data_type?.value,
        value: value?.value,
        to,
    })
}
