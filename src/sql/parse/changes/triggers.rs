//! Triggers and the functions that they call.

use squawk_syntax::ast::{self, AstNode as _};
use squawk_syntax::{SourceFile, SyntaxKind};

use super::super::{is_trivia, name_in, tokens};
use super::is_cascade;
use super::names::{called, identifier};
use crate::domain::{ColumnName, SqlIdentifier, TableName};
use crate::safety::proof::{Change, Firing};

pub(super) fn created(create: &ast::CreateTrigger) -> Option<Change> {
    let of_rows = matches!(create.trigger_level(), Some(ast::TriggerLevel::ForEachRow(_)));
    let mut fires = Firing {
        before_row: of_rows && matches!(create.timing(), Some(ast::Timing::TimingBefore(_))),
        after_row: of_rows && matches!(create.timing(), Some(ast::Timing::TimingAfter(_))),
        ..Firing::default()
    };
    for event in create.trigger_event_list()?.trigger_events() {
        match event {
            ast::TriggerEvent::TriggerEventInsert(_) => fires.on_insert = true,
            ast::TriggerEvent::TriggerEventUpdate(update) => {
                fires.on_update = true;
                for column in update.column_name_refs() {
                    fires.of.push(identifier(column.syntax())?);
                }
            }
            ast::TriggerEvent::TriggerEventDelete(_) | ast::TriggerEvent::TriggerEventTruncate(_) => {}
        }
    }
    if let Some(condition) = create.when_condition() {
        let text = condition.syntax().text().to_string();
        // One that waits for a fill does not see what code writes, whatever it names.
        fires.when = Some(if waits_for_a_fill(&text) {
            Vec::new()
        } else {
            of_the_row(&text).1
        });
    }
    Some(Change::AddTrigger {
        table: name_in(create.on_relation()?.syntax())?,
        name: identifier(create.trigger()?.syntax())?,
        function: called(&create.call_expr()?)?,
        fires,
    })
}

pub(super) fn dropped(drop: &ast::DropTrigger) -> Option<Change> {
    Some(Change::DropTrigger {
        table: name_in(drop.on_relation()?.syntax())?,
        name: identifier(drop.trigger_ref()?.syntax())?,
    })
}

pub(super) fn dropped_functions(drop: &ast::DropFunction) -> Option<Vec<Change>> {
    drop.function_sig_list()?
        .function_sigs()
        .map(|function| {
            Some(Change::DropFunction {
                name: name_in(function.function_name_ref()?.syntax())?.name,
                cascade: is_cascade(drop.drop_behavior()),
            })
        })
        .collect()
}

pub(super) fn function(create: &ast::CreateFunction) -> Option<Change> {
    let name = name_in(create.name()?.syntax())?.name;
    let body = tokens(create.syntax())
        .filter_map(|token| body_of(token.kind(), token.text()))
        .last()
        .unwrap_or_default();
    let (sets, names) = of_the_row(&body);
    Some(Change::Function {
        name,
        sets,
        names,
        updates: of_other_rows(&body),
        replaces: create.or_replace().is_some(),
    })
}

/// Whether a condition asks that a fill be at work: `current_setting('shipctl.backfill', true) = 'on'`.
fn waits_for_a_fill(condition: &str) -> bool {
    let words: Vec<String> = tokens(SourceFile::parse(&format!("SELECT {condition}")).tree().syntax())
        .filter(|token| !is_trivia(token))
        .map(|token| token.text().to_owned())
        .collect();
    let mut asked = words.iter().skip_while(|word| *word != "'shipctl.backfill'");
    asked.any(|word| word == ")") && asked.next().is_some_and(|word| word == "=")
}

/// What stands between the quotes of a string.
fn body_of(kind: SyntaxKind, text: &str) -> Option<String> {
    match kind {
        SyntaxKind::DOLLAR_QUOTED_STRING => {
            let quotes = text.get(1..)?.find('$')? + 2;
            let inside = text.get(quotes..text.len().checked_sub(quotes)?)?;
            Some(inside.to_owned())
        }
        SyntaxKind::STRING => {
            let inside = text.strip_prefix('\'')?.strip_suffix('\'')?;
            Some(inside.replace("''", "'"))
        }
        _ => None,
    }
}

/// The columns of other rows that a body sets to a column of the new one (`UPDATE t SET column = NEW.other`), as the first
/// or the only one of the statement.
fn of_other_rows(body: &str) -> Vec<(ColumnName, SqlIdentifier)> {
    let words: Vec<String> = tokens(SourceFile::parse(body).tree().syntax())
        .filter(|token| !is_trivia(token))
        .map(|token| token.text().to_owned())
        .collect();
    let word = |place: usize| words.get(place).map_or("", String::as_str);
    let is = |place: usize, text: &str| word(place).eq_ignore_ascii_case(text);
    let name = |place: usize| word(place).parse::<SqlIdentifier>().ok();
    let mut found = Vec::new();
    for place in (0..words.len()).filter(|place| is(*place, "update")) {
        let (Some(mut table), mut next) = (
            name(place + 1).map(|name| TableName { schema: None, name }),
            place + 2,
        ) else {
            continue;
        };
        if word(next) == "."
            && let Some(name) = name(next + 1)
        {
            table = TableName {
                schema: Some(table.name),
                name,
            };
            next += 2;
        }
        if is(next, "as") {
            next += 2;
        } else if !is(next, "set") {
            next += 1;
        }
        let assigns =
            is(next, "set") && word(next + 2) == "=" && is(next + 3, "new") && word(next + 4) == ".";
        if let (true, Some(column), Some(source)) = (assigns, name(next + 1), name(next + 5)) {
            found.push((ColumnName { table, column }, source));
        }
    }
    found
}

/// The columns that a body assigns (`NEW.column := …`), and all that it names, comments and strings left out.
fn of_the_row(body: &str) -> (Vec<SqlIdentifier>, Vec<SqlIdentifier>) {
    let words: Vec<String> = tokens(SourceFile::parse(body).tree().syntax())
        .filter(|token| !is_trivia(token))
        .map(|token| token.text().to_owned())
        .collect();
    let (mut sets, mut names): (Vec<SqlIdentifier>, Vec<SqlIdentifier>) = (Vec::new(), Vec::new());
    let word = |place: usize| words.get(place).map_or("", String::as_str);
    for place in 0..words.len() {
        let is_new = word(place).eq_ignore_ascii_case("new");
        if !(is_new || word(place).eq_ignore_ascii_case("old")) || word(place + 1) != "." {
            continue;
        }
        let Ok(column) = word(place + 2).parse::<SqlIdentifier>() else {
            continue;
        };
        let is_set = word(place + 3) == ":=" || (word(place + 3) == ":" && word(place + 4) == "=");
        if is_new && is_set && !sets.contains(&column) {
            sets.push(column.clone());
        }
        if !names.contains(&column) {
            names.push(column);
        }
    }
    (sets, names)
}
