//! What the rules need of each phase: its shape, and the digest by which an edited phase is recognised.

use std::collections::BTreeSet;

use super::graph::Needs;
use super::{BackfillPhase, Phase, PhaseDetail, SyncMode};
use crate::domain::{ColumnName, Digest, PhaseId};
use crate::safety::proof::same_table;
use crate::safety::{PhaseShape, Services};

/// Whether a code phase stops writing something that code phases above it write, as far as all of them declare it, or says
/// itself that something has to be restored after it: it may write the rest of a value, such as a document.
pub(super) fn abandons(at: usize, phases: &[Phase], needs: &Needs) -> bool {
    let PhaseDetail::Code(code) = &phases[at].detail else {
        return false;
    };
    if code.restore.is_some() {
        return true;
    }
    let Some(own) = code.writes.as_deref() else {
        return false;
    };
    let above: Option<Vec<&[ColumnName]>> = needs
        .above(at)
        .into_iter()
        .filter_map(|above| match &phases[above].detail {
            PhaseDetail::Code(code) => Some(code.writes.as_deref()),
            _ => None,
        })
        .collect();
    above.is_some_and(|all| {
        all.into_iter()
            .flatten()
            .any(|column| !own.iter().any(|other| same_column(other, column)))
    })
}

fn same_column(one: &ColumnName, other: &ColumnName) -> bool {
    one.column == other.column && same_table(&one.table, &other.table)
}

pub(super) fn shape_of(phase: &Phase, abandons: bool) -> PhaseShape {
    let services = match &phase.detail {
        PhaseDetail::Code(code) => code.services.clone(),
        _ => Services::All,
    };
    PhaseShape {
        id: phase.id.clone(),
        kind: phase.kind(),
        needs: phase.needs.iter().cloned().collect(),
        services,
        abandons,
        gate: phase.gate.clone(),
        digest: digest_of(phase),
    }
}

/// The digest of everything that matters once the phase has run: not its title, commit, gate, reads or
/// writes, and not how patient it was with locks, which changes how it came about but not what came of it.
fn digest_of(phase: &Phase) -> Digest {
    let mut parts: Vec<String> = vec![phase.kind().as_str().to_owned()];
    let needs: BTreeSet<&str> = phase.needs.iter().map(PhaseId::as_str).collect();
    parts.push(needs.into_iter().collect::<Vec<_>>().join(" "));
    match &phase.detail {
        PhaseDetail::Expand(migration) | PhaseDetail::Contract(migration) => {
            parts.push(migration.migration.up_text.clone());
            parts.push(migration.migration.down_text.clone().unwrap_or_default());
            push_fill(&mut parts, "restore", migration.restore.as_ref());
        }
        PhaseDetail::Backfill(fill) => push_fill(&mut parts, "backfill", Some(fill)),
        PhaseDetail::Code(code) => {
            match &code.services {
                Services::All => parts.push("every service".to_owned()),
                Services::Only(names) => parts.extend(names.iter().map(|name| format!("service {name}"))),
            }
            push_fill(&mut parts, "restore", code.restore.as_ref());
        }
        PhaseDetail::Manual { instructions } => parts.push(instructions.clone()),
    }
    Digest::of_parts(parts.iter().map(String::as_str))
}

fn push_fill(parts: &mut Vec<String>, what: &str, fill: Option<&BackfillPhase>) {
    let Some(fill) = fill else { return };
    parts.push(what.to_owned());
    parts.push(fill.table.quoted());
    for one in &fill.set {
        parts.push(one.column.quoted());
        parts.push(one.expression.clone());
    }
    parts.push(fill.verify.clone());
    // Only where it is so, or plans that ran before this key was known would seem edited.
    if fill.synced_by == SyncMode::Trigger {
        parts.push("synced by a trigger".to_owned());
    }
}
