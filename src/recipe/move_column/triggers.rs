//! The triggers that keep a column in step with its new place in another table.
//!
//! Whoever writes one side writes the other right after (`AFTER … FOR EACH ROW`), where it differs, so that the two triggers do
//! not call each other for ever. A row of the referring table that comes without a value takes that of its partner, which
//! is locked for it. Each row that comes has its partner written, even to what it holds, so that a transaction with an older
//! snapshot, which could not see the row, fails to write that partner instead of missing the row.
//!
//! A fill reads the other side as it was when its batch began, and may find a row that was written since. So what it sets is
//! read again, with the other row locked: no fill writes over what is newer.

use super::Move;
use super::bodies::Body;
use super::sides::{Side, Sides};
use crate::domain::{SqlIdentifier, TableName};
use crate::recipe::sync_trigger::{differ, quotes_for};
use crate::recipe::{DefaultValue, Refused, carry};
use crate::sql::{readable, readable_table};

/// Longer prefixes are not tried.
const LONGEST_PREFIX: usize = 12;
/// That a fill is at work.
pub(super) const FILLING: &str = "current_setting('shipctl.backfill', true) = 'on'";
pub(super) const NOT_FILLING: &str = "current_setting('shipctl.backfill', true) IS DISTINCT FROM 'on'";

/// The names of both functions and of their triggers.
pub(super) struct Triggers {
    base: SqlIdentifier,
}

/// A trigger of one table.
struct Trigger {
    /// What its name ends in.
    suffix: &'static str,
    /// `BEFORE INSERT`, `AFTER UPDATE OF about`.
    when: String,
    /// On which rows.
    condition: String,
}

impl Trigger {
    fn new(suffix: &'static str, when: impl Into<String>, condition: impl Into<String>) -> Self {
        Self {
            suffix,
            when: when.into(),
            condition: condition.into(),
        }
    }
}

/// The function of one table.
struct Function<'a> {
    own: &'a Side,
    /// Its name ends in this.
    suffix: &'static str,
    /// The table refers to the other.
    refers: bool,
    triggers: Vec<Trigger>,
    /// Those that only a fill calls which makes rows.
    making: Vec<Trigger>,
    body: String,
}

const FUNCTIONS: [&str; 2] = ["_source", "_target"];
const TRIGGERS: [&str; 6] = ["_insert", "_pair", "_fill", "_update", "_make", "_key"];

impl Triggers {
    /// Names that nothing has, and that sort behind those of foreign keys' triggers.
    pub(super) fn named(asked: &Move<'_>) -> Result<Self, Refused> {
        let column = &asked.facts.column;
        let mut prefix = "zz".to_owned();
        loop {
            let base = SqlIdentifier::from_catalog(format!(
                "{prefix}_move_{}_{}",
                column.table.name.as_str(),
                column.column.as_str()
            ));
            let names: Vec<SqlIdentifier> = FUNCTIONS
                .iter()
                .chain(&TRIGGERS)
                .map(|suffix| carry::interim(&base, suffix))
                .collect();
            match names.iter().find(|name| asked.pairing.taken.contains(name)) {
                None => return Ok(Self { base }),
                Some(taken) if prefix.len() >= LONGEST_PREFIX => {
                    return Err(Refused {
                        what: format!("name {taken}"),
                        why: "a trigger or function has it, and all others that were tried; drop it if it is a leftover".to_owned(),
                    });
                }
                Some(_) => prefix.push('z'),
            }
        }
    }

    /// Makes the functions and triggers of both tables.
    pub(super) fn create(&self, asked: &Move<'_>, sides: &Sides) -> Vec<String> {
        let mut statements = Vec::new();
        for function in functions(asked, sides) {
            let body = format!("\n{}\n", function.body.trim());
            let quotes = quotes_for(&body);
            statements.push(format!(
                "CREATE FUNCTION {}() RETURNS trigger\n  LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, \
                 pg_temp\nAS {quotes}{body}{quotes}",
                self.name_of(&function)
            ));
            statements.extend(self.call(&function, &function.triggers));
        }
        statements
    }

    /// Has fills of the source make rows of the target, where that is asked for.
    pub(super) fn create_making(&self, asked: &Move<'_>, sides: &Sides) -> Vec<String> {
        functions(asked, sides)
            .iter()
            .filter(|function| !function.making.is_empty())
            .flat_map(|function| self.call(function, &function.making))
            .collect()
    }

    /// Takes that away.
    pub(super) fn remove_making(&self, asked: &Move<'_>, sides: &Sides, if_exists: bool) -> Vec<String> {
        functions(asked, sides)
            .iter()
            .flat_map(|function| self.drop(function, &function.making, if_exists))
            .collect()
    }

    /// Removes the triggers and then their functions.
    pub(super) fn remove(&self, asked: &Move<'_>, sides: &Sides, if_exists: bool) -> Vec<String> {
        let functions = functions(asked, sides);
        let triggers = functions
            .iter()
            .flat_map(|function| self.drop(function, &function.triggers, if_exists));
        let exists = if if_exists { "IF EXISTS " } else { "" };
        let made = functions
            .iter()
            .map(|function| format!("DROP FUNCTION {exists}{}()", self.name_of(function)));
        triggers.chain(made).collect()
    }

    /// Makes triggers that call a function.
    fn call(&self, function: &Function<'_>, triggers: &[Trigger]) -> Vec<String> {
        let (table, name) = (function.own.table(), self.name_of(function));
        let mut statements = Vec::new();
        for trigger in triggers {
            let condition = match trigger.condition.as_str() {
                "" => String::new(),
                condition => format!(" WHEN ({condition})"),
            };
            statements.push(format!(
                "CREATE TRIGGER {} {} ON {table}\n  FOR EACH ROW{condition}\n  EXECUTE FUNCTION {name}()",
                self.called(trigger),
                trigger.when
            ));
        }
        // Also for rows that logical replication brings.
        let enabled: Vec<String> = triggers
            .iter()
            .map(|trigger| format!("ENABLE ALWAYS TRIGGER {}", self.called(trigger)))
            .collect();
        statements.push(format!("ALTER TABLE {table} {}", enabled.join(", ")));
        statements
    }

    fn drop(&self, function: &Function<'_>, triggers: &[Trigger], if_exists: bool) -> Vec<String> {
        let exists = if if_exists { "IF EXISTS " } else { "" };
        let table = function.own.table();
        triggers
            .iter()
            .map(|trigger| format!("DROP TRIGGER {exists}{} ON {table}", self.called(trigger)))
            .collect()
    }

    fn called(&self, trigger: &Trigger) -> String {
        readable(&carry::interim(&self.base, trigger.suffix))
    }

    fn name_of(&self, function: &Function<'_>) -> String {
        self.function(&function.own.column.table, function.suffix)
    }

    /// A function lives beside its table.
    fn function(&self, table: &TableName, suffix: &str) -> String {
        readable_table(&TableName {
            schema: table.schema.clone(),
            name: carry::interim(&self.base, suffix),
        })
    }
}

/// Both functions: that of the target first, so that nothing is handed on before it can be taken.
fn functions<'a>(asked: &Move<'_>, sides: &'a Sides) -> [Function<'a>; 2] {
    let is_changed = |of_source: bool| {
        if of_source {
            let before = asked.facts.before_triggers.iter().flatten();
            before.into_iter().any(|trigger| trigger.on_update)
        } else {
            asked.pairing.target_is_changed
        }
    };
    [(false, FUNCTIONS[1]), (true, FUNCTIONS[0])].map(|(of_source, suffix)| {
        let (own, their) = if of_source {
            (&sides.source, &sides.target)
        } else {
            (&sides.target, &sides.source)
        };
        let mut function = Function {
            own,
            suffix,
            refers: asked.key.of_target != of_source,
            triggers: Vec::new(),
            making: Vec::new(),
            body: String::new(),
        };
        let creates = asked.wish.create_rows && of_source;
        function.triggers = triggers(&function, creates, is_changed(of_source));
        if creates {
            let when = format!("AFTER UPDATE OF {}", own.name());
            function.making.push(Trigger::new("_make", when, FILLING));
        }
        // Of a default that is the same each time it cannot be told whether it was given.
        let fallback = Some(asked.facts)
            .filter(|facts| of_source && facts.default_value == DefaultValue::Same)
            .and_then(|facts| Some(format!("({})::{}", facts.default.as_ref()?, facts.data_type)));
        let body = Body {
            own,
            their,
            sides,
            of_source,
            default: fallback.as_deref(),
        };
        function.body = match (function.refers, creates) {
            (true, _) => body.of_referring(),
            (false, true) => body.of_creating(),
            (false, false) => body.of_referred(),
        };
        function
    })
}

fn triggers(function: &Function<'_>, creates: bool, is_changed: bool) -> Vec<Trigger> {
    let own = function.own;
    let changed = differ(&format!("NEW.{}", own.name()), &format!("OLD.{}", own.name()));
    // Where another trigger may change a column that the UPDATE does not name, each row has to be looked at.
    let of = |columns: &[String]| {
        if is_changed {
            String::new()
        } else {
            format!(" OF {}", columns.join(", "))
        }
    };
    let keys: Vec<String> = own.keys.iter().map(readable).collect();
    let rows = |row: &str| {
        let each: Vec<String> = keys.iter().map(|key| format!("{row}.{key}")).collect();
        each.join(", ")
    };
    let mut made = Vec::new();
    if function.refers {
        made.push(Trigger::new("_insert", "BEFORE INSERT", ""));
        made.push(Trigger::new("_pair", "AFTER INSERT", ""));
    } else if creates {
        made.push(Trigger::new("_pair", "AFTER INSERT", ""));
    }
    made.push(Trigger::new(
        "_fill",
        "BEFORE UPDATE",
        format!("({changed})\n    AND {FILLING}"),
    ));
    made.push(Trigger::new(
        "_update",
        format!("AFTER UPDATE{}", of(&[own.name()])),
        format!("({changed})\n    AND {NOT_FILLING}"),
    ));
    if function.refers {
        made.push(Trigger::new(
            "_key",
            format!("AFTER UPDATE{}", of(&keys)),
            format!("{}\n    AND NOT {changed}", differ(&rows("NEW"), &rows("OLD"))),
        ));
    }
    made
}
