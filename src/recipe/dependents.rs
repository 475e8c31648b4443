//! What depends on a column, is not carried over, and may go all the same where the reader says so.

use super::Refused;
use crate::domain::SqlIdentifier;

/// An object of which it is known how it goes, and how it would come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// Its name, without a schema.
    pub name: SqlIdentifier,
    /// It in words, as in what is refused: `view public.seen`.
    pub what: String,
    /// The statement that drops it.
    pub drop: String,
    /// The statements that make it again.
    pub make: Vec<String>,
}

/// Those that the reader lets go, and what stands in the way all the same; `others` are names that are known otherwise.
pub fn let_go<'a>(
    dependents: &'a [Dependent],
    refused: &[Refused],
    named: &[SqlIdentifier],
    others: &[SqlIdentifier],
) -> (Vec<&'a Dependent>, Vec<Refused>) {
    let mut left = Vec::new();
    for one in refused {
        let known = dependents.iter().find(|dependent| dependent.what == one.what);
        match known {
            Some(dependent) if named.contains(&dependent.name) => {}
            Some(dependent) => left.push(Refused {
                what: one.what.clone(),
                why: format!(
                    "{}; or let it go with --drop-dependent '{}'",
                    one.why, dependent.name
                ),
            }),
            None => left.push(one.clone()),
        }
    }
    for name in named {
        let called: Vec<&str> = dependents
            .iter()
            .filter(|dependent| dependent.name == *name)
            .map(|dependent| dependent.what.as_str())
            .collect();
        if called.len() > 1 {
            left.push(Refused {
                what: format!("--drop-dependent {name}"),
                why: format!(
                    "it may mean {}, and only one of them may have been meant; give one another name first",
                    called.join(" or ")
                ),
            });
        }
        let is_known = others.contains(name) || dependents.iter().any(|dependent| dependent.name == *name);
        if !is_known {
            left.push(Refused {
                what: format!("--drop-dependent {name}"),
                why: "nothing of that name can be let go: it must rest on this column, and be an index or constraint of several \
                      columns (of drop-column), or a trigger, policy, extended statistics or plain view. A view that something \
                      rests on, that has triggers, rules, defaults or grants of columns, or whose grants default privileges would \
                      change, is dropped by a migration of your own first"
                    .to_owned(),
            });
        }
    }
    let going = dependents
        .iter()
        .filter(|dependent| named.contains(&dependent.name))
        .collect();
    (going, left)
}
