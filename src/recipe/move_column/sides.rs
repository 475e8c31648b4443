//! Both sides of a column that moves: what each is called, how rows of the one find the other's, and what goes along.

use super::Move;
use crate::domain::{ColumnName, SqlIdentifier};
use crate::recipe::draft::Fill;
use crate::recipe::{
    CheckFacts, ColumnFacts, Comparison, DefaultValue, ForeignKeyFacts, IndexFacts, Refused, carry,
};
use crate::sql::{readable, readable_table};

/// One side.
pub(super) struct Side {
    /// The column.
    pub(super) column: ColumnName,
    /// The columns by which it pairs, in the order of the other's.
    pub(super) keys: Vec<SqlIdentifier>,
}

impl Side {
    /// Its table for SQL.
    pub(super) fn table(&self) -> String {
        readable_table(&self.column.table)
    }

    /// Its column for SQL.
    pub(super) fn name(&self) -> String {
        readable(&self.column.column)
    }

    /// A row of it that is looked up from a row of the other, and is called `alias`.
    pub(super) fn pairs(&self, alias: &str, other: &Self, row: &str) -> String {
        let each = self
            .keys
            .iter()
            .zip(&other.keys)
            .map(|(own, their)| format!("{alias}.{} = {row}.{}", readable(own), readable(their)));
        each.collect::<Vec<_>>().join(" AND ")
    }

    /// What its table is called in an expression over its rows.
    fn row(&self) -> String {
        readable(&self.column.table.name)
    }

    /// What a row of the other side is called in an expression over its own.
    fn alias(&self) -> &'static str {
        if self.column.table.name.as_str() == "theirs" {
            "others"
        } else {
            "theirs"
        }
    }
}

/// Both sides.
pub(super) struct Sides {
    /// Where the column is.
    pub(super) source: Side,
    /// Where it goes.
    pub(super) target: Side,
    comparison: Comparison,
    /// What a source row has that pairs with none, or with one without a value, where it must have any.
    fallback: Option<String>,
    /// The default of the column, where it is the same for ever: nobody may have written it.
    constant: Option<String>,
}

/// What goes along to the target, for its column.
pub(super) struct Carried {
    /// The column there.
    pub(super) facts: ColumnFacts,
    /// The indexes: as they are at the source, and under interim names for the target.
    pub(super) indexes: Vec<(IndexFacts, IndexFacts)>,
    pub(super) checks: Vec<CheckFacts>,
    pub(super) foreign_keys: Vec<ForeignKeyFacts>,
}

impl Sides {
    pub(super) fn of(asked: &Move<'_>) -> Self {
        let pairs = &asked.key.pairs;
        let fallback = asked.facts.default.clone().filter(|_| asked.facts.not_null);
        let constant = asked.facts.default.as_deref();
        let constant = constant.filter(|default| {
            asked.key.of_target && asked.facts.default_value == DefaultValue::Same && is_literal(default)
        });
        Self {
            source: Side {
                column: asked.facts.column.clone(),
                keys: pairs.iter().map(|pair| pair.source.clone()).collect(),
            },
            target: Side {
                column: asked.target.column_name(asked.name),
                keys: pairs.iter().map(|pair| pair.target.clone()).collect(),
            },
            comparison: asked.facts.comparison,
            fallback: fallback.map(|default| format!("({default})::{}", asked.facts.data_type)),
            constant: constant.map(|default| format!("({default})::{}", asked.facts.data_type)),
        }
    }

    /// Whether a value that is the default, and whose row pairs with none, counts as one that nobody wrote.
    pub(super) fn spares_default(&self) -> bool {
        self.constant.is_some()
    }

    /// What a source row gets of a value that was found at the target.
    pub(super) fn at_source(&self, value: &str) -> String {
        match &self.fallback {
            Some(fallback) => format!("coalesce({value}, {fallback})"),
            None => value.to_owned(),
        }
    }

    /// Fills the target from the source. Rows that pair with none are left alone.
    pub(super) fn fill_target(&self) -> Fill<'_> {
        let (own, their) = (&self.target, &self.source);
        let value = format!("{}.{}", own.alias(), their.name());
        Fill {
            table: &own.column.table,
            set: vec![(&own.column.column, self.found(own, their, &value))],
            verify: format!("({}) IS NOT FALSE", self.same(own, their, &value)),
        }
    }

    /// Fills the source from the target.
    pub(super) fn fill_source(&self) -> Fill<'_> {
        let (own, their) = (&self.source, &self.target);
        let value = format!("{}.{}", own.alias(), their.name());
        let found = self.at_source(&self.found(own, their, &value));
        let same = self.same(own, their, &self.at_source(&value));
        let mut verify = format!("({same}) IS NOT FALSE");
        if self.fallback.is_some() {
            verify.push_str(&format!(" AND {}.{} IS NOT NULL", own.row(), own.name()));
        }
        Fill {
            table: &own.column.table,
            set: vec![(&own.column.column, found)],
            verify,
        }
    }

    /// Finds the source's rows whose value is not at the target, and changes none. Those that pair with none count where
    /// they have a value, unless it may go, or is the default: that is what new code's rows get, and what a row of the target
    /// gets that comes after the move.
    pub(super) fn compare(&self, lossy: bool) -> Fill<'_> {
        let (own, their) = (&self.source, &self.target);
        let value = format!("{}.{}", own.alias(), their.name());
        let same = self.same(own, their, &value);
        self.looked_at(if lossy {
            format!("({same}) IS NOT FALSE")
        } else {
            let held = format!("{}.{}", own.row(), own.name());
            let mut none = format!("{held} IS NULL");
            if let Some(default) = &self.constant {
                none.push_str(" OR ");
                none.push_str(&carry::same_values(self.comparison, &held, default));
            }
            format!("coalesce(({same}), {none})")
        })
    }

    /// Has each of the source's rows make one at the target which has a value and pairs with none.
    pub(super) fn create_rows(&self) -> Fill<'_> {
        let (own, their) = (&self.source, &self.target);
        let alias = own.alias();
        self.looked_at(format!(
            "{}.{} IS NULL OR (SELECT count(*) FROM {} AS {alias} WHERE {}) > 0",
            own.row(),
            own.name(),
            their.table(),
            their.pairs(alias, own, &own.row())
        ))
    }

    fn looked_at(&self, verify: String) -> Fill<'_> {
        let own = &self.source;
        Fill {
            table: &own.column.table,
            set: vec![(&own.column.column, own.name())],
            verify,
        }
    }

    fn found(&self, own: &Side, their: &Side, value: &str) -> String {
        let alias = own.alias();
        format!(
            "(SELECT {value} FROM {} AS {alias} WHERE {})",
            their.table(),
            their.pairs(alias, own, &own.row())
        )
    }

    fn same(&self, own: &Side, their: &Side, value: &str) -> String {
        let held = format!("{}.{}", own.row(), own.name());
        let same = carry::same_values(self.comparison, &held, value);
        let alias = own.alias();
        format!(
            "SELECT {same} FROM {} AS {alias} WHERE {}",
            their.table(),
            their.pairs(alias, own, &own.row())
        )
    }

    /// What goes along.
    ///
    /// # Errors
    /// Expressions that leave doubt about what is the column.
    pub(super) fn carried(&self, asked: &Move<'_>) -> Result<Carried, Vec<Refused>> {
        let (from, to) = (&self.source.column.column, &self.target.column.column);
        let mut refused = Vec::new();
        let facts = asked.facts;
        // What other columns have a part in cannot go along.
        let is_own = |name: &SqlIdentifier| !facts.shared.iter().any(|(shared, _)| shared == name);
        let mut carried = Carried {
            facts: ColumnFacts {
                column: self.target.column.clone(),
                default: None,
                ..facts.clone()
            },
            indexes: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
        };
        for index in facts.indexes.iter().filter(|index| is_own(&index.name)) {
            match carry::index_for(index, from, to) {
                Ok(twin) => {
                    let twin = IndexFacts {
                        // How rows lie is a matter of the table.
                        clustered: false,
                        ..twin
                    };
                    carried.indexes.push((index.clone(), twin));
                }
                Err(why) => refused.push(doubtful(format!("index {}", index.name), &why)),
            }
        }
        for check in facts.checks.iter().filter(|check| is_own(&check.name)) {
            match carry::check_as(check, from, to, "") {
                Ok(twin) => carried.checks.push(twin),
                Err(why) => refused.push(doubtful(format!("check constraint {}", check.name), &why)),
            }
        }
        for key in facts.foreign_keys.iter().filter(|key| is_own(&key.name)) {
            carried
                .foreign_keys
                .push(carry::foreign_key_as(key, from, to, ""));
        }
        if refused.is_empty() {
            Ok(carried)
        } else {
            Err(refused)
        }
    }
}

/// One literal, with its type or without, as PostgreSQL writes defaults. Anything else may come to something else later.
fn is_literal(text: &str) -> bool {
    let bare = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(text);
    let number = bare.strip_prefix('-').unwrap_or(bare);
    if matches!(text, "true" | "false")
        || (number.starts_with(|first: char| first.is_ascii_digit())
            && number.chars().all(|one| one.is_ascii_digit() || one == '.'))
    {
        return true;
    }
    let Some(quoted) = text.strip_prefix('\'') else {
        return false;
    };
    // Two quotes inside are one.
    let unquoted = quoted.replace("''", "");
    let Some((_, cast)) = unquoted.split_once('\'') else {
        return false;
    };
    let Some(name) = cast.strip_prefix("::") else {
        return cast.is_empty();
    };
    let name = match name.strip_suffix(')').and_then(|name| name.rsplit_once('(')) {
        Some((name, modifier)) if modifier.chars().all(|one| one.is_ascii_digit() || one == ',') => name,
        _ => name,
    };
    name.chars()
        .all(|one| one.is_alphanumeric() || matches!(one, '_' | ' ' | '"' | '.' | '[' | ']'))
}

fn doubtful(what: String, why: &str) -> Refused {
    Refused {
        what,
        why: format!("{why}; drop it first, and make it anew for the moved column after"),
    }
}

#[cfg(test)]
mod tests {
    use super::is_literal;

    #[test]
    fn a_literal_comes_to_the_same_for_ever() {
        for text in [
            "7",
            "1.50",
            "(-1)",
            "true",
            "'-1.5'::numeric(4,1)",
            "'it''s'::text",
            "''::text",
            "'x'::character varying",
            "'{}'::text[]",
            "'a'::\"My Schema\".mood",
        ] {
            assert!(is_literal(text), "{text}");
        }
        for text in [
            "now()",
            "CURRENT_DATE",
            "('now'::text)::date",
            "('x'::text || now())",
            "'x'::text || 'y'::text",
            "'x'::text || f()",
            "nextval('s'::regclass)",
            "(7 + 1)",
            "'x",
            "",
        ] {
            assert!(!is_literal(text), "{text}");
        }
    }
}
