//! What the reader of a plan that moves a column should know besides.

use super::Move;
use super::obstacles::own_indexes;
use super::sides::Sides;

/// All of it.
pub(super) fn of(asked: &Move<'_>, sides: &Sides) -> Vec<String> {
    let (facts, wish) = (asked.facts, &asked.wish);
    let (name, source, target) = (&facts.column.column, &facts.column.table, &asked.target.table);
    let mut remarks = Vec::new();
    if wish.lossy {
        remarks.push(format!(
            "`drop` loses the values of {name} in rows of {source} that pair with none of {target}."
        ));
    } else if asked.key.of_target && !wish.create_rows {
        remarks.push(format!(
            "`compare` fails while a row of {source} with a value pairs with none of {target}: see that each gets one, or plan with \
             --create-rows or --lossy."
        ));
    }
    pairs(asked, &mut remarks);
    default(asked, sides, &mut remarks);
    if facts.not_null && !asked.is_strict() {
        remarks.push(format!(
            "{} may be NULL: not every row of {target} surely pairs with one of {source}. Where it must not, plan set-not-null after.",
            asked.name
        ));
    }
    if asked.key.of_target && !asked.pairing.fired.is_empty() {
        remarks.push(format!(
            "Until `drop`, each row that is inserted into {target} updates its partner in {source}, even where nothing changes, which \
             fires {}.",
            asked.pairing.fired.join(" and ")
        ));
    }
    if !asked.pairing.fired_late.is_empty() {
        remarks.push(format!(
            "{} may come after those that make rows of {target}: see that none of them inserts there, or that it says ON CONFLICT … \
             DO UPDATE.",
            asked.pairing.fired_late.join(" and ")
        ));
    }
    if asked.target.published {
        remarks.push(format!(
            "{target} is published: its subscribers need {} before `add`.",
            asked.name
        ));
    }
    for remark in &facts.remarks {
        if !remarks.contains(remark) {
            remarks.push(remark.clone());
        }
    }
    remarks
}

/// Values of rows that go, or find another partner.
fn pairs(asked: &Move<'_>, remarks: &mut Vec<String>) {
    let (source, target) = (&asked.facts.column.table, &asked.target.table);
    let unique = own_indexes(asked.facts).find(|index| index.unique);
    if asked.key.of_target {
        remarks.push(format!(
            "Where a row of {target} is deleted before `drop`, its value stays in {source}, and comes back with the next row that pairs."
        ));
        if let Some(index) = unique {
            remarks.push(format!(
                "Before `drop`, new code cannot use a value again that a deleted row of {target} had: {source} still has it, and {} is \
                 unique.",
                index.name
            ));
        }
        remarks.push(format!(
            "Before `drop`, an UPDATE that gives a row of {target} with a value another partner in {source} fails where that one holds \
             none or another, unless it gives the value too."
        ));
        return;
    }
    remarks.push(format!(
        "Where a row of {source} is deleted or pairs with another before `drop`, its value stays in {target}, and the next row that \
         pairs there and comes without a value takes it: `tolerate` says what code does about it."
    ));
    if let Some(index) = unique {
        remarks.push(format!(
            "Before `drop`, code cannot use a value again that a row of {source} had which was deleted: {target} still has it, and {} \
             is unique.",
            index.name
        ));
    }
    remarks.push(format!(
        "Before `drop`, an UPDATE that gives a row of {source} another partner in {target} hands it its value where it has none, and \
         fails where both hold different ones, unless it gives the value too."
    ));
}

/// The target has none until the source's is gone.
fn default(asked: &Move<'_>, sides: &Sides, remarks: &mut Vec<String>) {
    let facts = asked.facts;
    let (name, source, target) = (&facts.column.column, &facts.column.table, &asked.target.table);
    if facts.default.is_none() {
        return;
    }
    let refused = if facts.not_null {
        ", which fails where its row pairs with one that must have a value"
    } else {
        ""
    };
    remarks.push(format!(
        "Until `drop`, {} has no default: where new code says DEFAULT or NULL, an INSERT takes what the partner in {source} holds, \
         which may be the default of {name}, and an UPDATE sets NULL{refused}. Let it give the value.",
        asked.target.column_name(asked.name)
    ));
    if !asked.key.of_target {
        remarks.push(format!(
            "Until `drop`, a row that is inserted into {source} with just the default counts as one without a value."
        ));
    } else if asked.wish.create_rows {
        remarks.push(format!(
            "Until `drop`, a row of {target} is made also for each row of {source} that got its value from the default."
        ));
    } else if sides.spares_default() && !asked.wish.lossy {
        remarks.push(format!(
            "For `compare`, a value that is the default counts as none: where its row pairs with none of {target}, `drop` loses it."
        ));
    } else if !asked.wish.lossy {
        remarks.push(format!(
            "Rows of {source} that new code inserts get the default, and `compare` fails while one of them pairs with none of {target}."
        ));
    }
}
