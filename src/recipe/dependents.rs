//! What depends on a column or table, is not carried over, and may go all the same where the reader says so.

use super::Refused;
use crate::domain::{SqlIdentifier, TableName};

/// An object of which it is known how it goes, and how it would come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// The schema that it is in; that of its table, if it is something of a table.
    pub schema: SqlIdentifier,
    /// Its name, without a schema.
    pub name: SqlIdentifier,
    /// It in words, as in what is refused: `view public.seen`.
    pub what: String,
    /// The statement that drops it.
    pub drop: String,
    /// The statements that make it again.
    pub make: Vec<String>,
}

/// Whether a name that the reader gave, with or without a schema, is that of something in a schema.
pub fn is_called(given: &TableName, schema: Option<&SqlIdentifier>, name: &SqlIdentifier) -> bool {
    given.name == *name && (given.schema.is_none() || given.schema.as_ref() == schema)
}

fn is_meant(given: &TableName, dependent: &Dependent) -> bool {
    is_called(given, Some(&dependent.schema), &dependent.name)
}

/// Those that the reader lets go, and what stands in the way all the same; `others` are names in the schema of `table` that are
/// known otherwise.
pub fn let_go<'a>(
    dependents: &'a [Dependent],
    refused: &[Refused],
    named: &[TableName],
    table: &TableName,
    others: &[SqlIdentifier],
) -> (Vec<&'a Dependent>, Vec<Refused>) {
    let mut left = Vec::new();
    for one in refused {
        let known = dependents.iter().find(|dependent| dependent.what == one.what);
        match known {
            Some(dependent) if named.iter().any(|given| is_meant(given, dependent)) => {}
            Some(dependent) => left.push(Refused {
                what: one.what.clone(),
                why: format!(
                    "{}; or let it go with --drop-dependent '{}'",
                    one.why,
                    name_among(dependents, dependent)
                ),
            }),
            None => left.push(one.clone()),
        }
    }
    for given in named {
        let meant: Vec<&Dependent> = dependents.iter().filter(|one| is_meant(given, one)).collect();
        let is_other = others
            .iter()
            .any(|name| is_called(given, table.schema.as_ref(), name));
        if meant.len() + usize::from(is_other) > 1 {
            left.push(ambiguous(given, &meant, is_other.then_some(table)));
        }
        if meant.is_empty() && !is_other {
            left.push(Refused {
                what: format!("--drop-dependent {given}"),
                why: "nothing of that name can be let go: it must rest on what goes, and be an index or constraint of several \
                      columns (of drop-column), or a trigger, policy, extended statistics or plain view. A view that something \
                      rests on, that has triggers, rules, defaults or grants of columns, or whose grants default privileges would \
                      change, is dropped by a migration of your own first"
                    .to_owned(),
            });
        }
    }
    let going = dependents
        .iter()
        .filter(|dependent| named.iter().any(|given| is_meant(given, dependent)))
        .collect();
    (going, left)
}

/// The name by which the reader can let it go: with its schema where others have the same.
fn name_among(dependents: &[Dependent], dependent: &Dependent) -> TableName {
    let same = dependents.iter().filter(|one| one.name == dependent.name);
    TableName {
        schema: (same.count() > 1).then(|| dependent.schema.clone()),
        name: dependent.name.clone(),
    }
}

fn ambiguous(given: &TableName, meant: &[&Dependent], of_table: Option<&TableName>) -> Refused {
    let mut called: Vec<String> = meant.iter().map(|one| one.what.clone()).collect();
    called.extend(of_table.map(|table| format!("{} of {table} itself", given.name)));
    let mut schemas: Vec<&SqlIdentifier> = meant.iter().map(|one| &one.schema).collect();
    schemas.extend(of_table.and_then(|table| table.schema.as_ref()));
    schemas.sort();
    let count = schemas.len();
    schemas.dedup();
    let way = match schemas.first() {
        Some(schema) if schemas.len() == count => {
            format!(
                "write its schema before it, as in --drop-dependent '{schema}.{}'",
                given.name
            )
        }
        _ => "give one another name first".to_owned(),
    };
    Refused {
        what: format!("--drop-dependent {given}"),
        why: format!(
            "it may mean {}, and only one of them may have been meant; {way}",
            called.join(" or ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependent(schema: &str, name: &str, kind: &str) -> Dependent {
        Dependent {
            schema: SqlIdentifier::from_catalog(schema),
            name: SqlIdentifier::from_catalog(name),
            what: format!("{kind} {schema}.{name}"),
            drop: String::new(),
            make: Vec::new(),
        }
    }

    fn gone(dependents: &[Dependent], named: &[&str], others: &[&str]) -> (Vec<String>, Vec<String>) {
        let refused: Vec<Refused> = dependents
            .iter()
            .map(|one| Refused {
                what: one.what.clone(),
                why: "it reads it".to_owned(),
            })
            .collect();
        let named: Vec<TableName> = named.iter().map(|name| name.parse().unwrap()).collect();
        let others: Vec<SqlIdentifier> = others
            .iter()
            .map(|name| SqlIdentifier::from_catalog(*name))
            .collect();
        let table = "public.t".parse().unwrap();
        let (going, left) = let_go(dependents, &refused, &named, &table, &others);
        let going = going.iter().map(|one| one.what.clone()).collect();
        (
            going,
            left.into_iter()
                .map(|one| format!("{}: {}", one.what, one.why))
                .collect(),
        )
    }

    #[test]
    fn a_schema_tells_apart_what_has_the_same_name() {
        let both = [
            dependent("public", "seen", "view"),
            dependent("Other", "seen", "view"),
        ];
        let (going, left) = gone(&both, &["\"Other\".seen"], &[]);
        assert_eq!(going, ["view Other.seen"]);
        assert_eq!(
            left,
            ["view public.seen: it reads it; or let it go with --drop-dependent 'public.seen'"]
        );
        assert_eq!(
            gone(&both, &["public.seen", "\"Other\".seen"], &[]).1,
            Vec::<String>::new()
        );
        let (_, left) = gone(&both, &["seen"], &[]);
        assert!(
            left[0].contains("may mean view public.seen or view Other.seen"),
            "{left:?}"
        );
        assert!(
            left[0].ends_with("as in --drop-dependent '\"Other\".seen'"),
            "{left:?}"
        );
    }

    #[test]
    fn what_is_of_one_schema_needs_another_name() {
        let both = [
            dependent("public", "own", "policy"),
            dependent("public", "own", "trigger"),
        ];
        let (_, left) = gone(&both, &["public.own"], &[]);
        assert!(left[0].ends_with("give one another name first"), "{left:?}");
        let view = [dependent("other", "pair", "view")];
        let (_, left) = gone(&view, &["pair"], &["pair"]);
        assert!(
            left[0].contains("view other.pair or pair of public.t itself"),
            "{left:?}"
        );
        assert_eq!(
            gone(&view, &["other.pair", "public.pair"], &["pair"]).1,
            Vec::<String>::new()
        );
        let (going, left) = gone(&view, &["else.pair"], &["pair"]);
        assert!(going.is_empty() && left.len() == 2, "{left:?}");
    }
}
