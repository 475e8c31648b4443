//! What `shipctl plan` tells: the files, the phases, and what to type next.

use serde::Serialize;
use serde_json::Value;

use super::style::{self, paint};
use super::{Console, Table, impact};
use crate::plan::{Phase, PhaseDetail, Plan};
use crate::safety::PhaseKind;
use crate::sql::Impact;

#[derive(Serialize)]
struct Planned<'a> {
    plan: &'a str,
    title: &'a str,
    written: bool,
    files: Vec<File<'a>>,
    phases: Vec<PhaseLine<'a>>,
    remarks: &'a [String],
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    /// Only where it was not written.
    text: Option<&'a str>,
}

#[derive(Serialize)]
struct PhaseLine<'a> {
    id: &'a str,
    kind: PhaseKind,
    title: &'a str,
    migration: Option<&'a str>,
    statements: Vec<Value>,
    trailer: Option<String>,
}

/// Shows a plan that was just written, or with `dry_run` would be.
pub fn show(console: &Console, plan: &Plan, files: &[(String, &str)], remarks: &[String], dry_run: bool) {
    console.json(&Planned {
        plan: plan.id().as_str(),
        title: plan.title(),
        written: !dry_run,
        files: files
            .iter()
            .map(|(path, text)| File {
                path,
                text: dry_run.then_some(*text),
            })
            .collect(),
        phases: plan.phases().iter().map(|phase| line(plan, phase)).collect(),
        remarks,
    });
    if dry_run {
        for (path, text) in files {
            console.result(&format!(
                "{}\n{text}",
                paint(style::HEADING, format!("── {path}"))
            ));
        }
        let locked = impact::of_plan(plan);
        if !locked.is_empty() {
            let heading = paint(style::HEADING, "── what the statements lock, and take away");
            console.result(&format!("{heading}\n{}", locked.trim_end()));
        }
        for remark in remarks {
            console.note(&format!("{} {remark}", paint(style::CAUTION, "note:")));
        }
        console.note("Nothing was written (--dry-run).");
        return;
    }

    let mut text = format!("{}\n\n", paint(style::HEADING, plan.title()));
    for (path, _) in files {
        text.push_str(&format!("  {} {path}\n", paint(style::GOOD, "wrote")));
    }
    text.push('\n');
    let mut table = Table::new(["PHASE", "KIND", "WHAT HAPPENS"]);
    for phase in plan.phases() {
        table.row([
            phase.id.to_string(),
            phase.kind().as_str().to_owned(),
            phase.title.clone(),
        ]);
    }
    text.push_str(&table.render(2));
    for remark in remarks {
        text.push_str(&format!("\n{} {remark}\n", paint(style::CAUTION, "note:")));
    }
    text.push_str(&next(plan));
    console.result(&text);
}

fn line<'a>(plan: &'a Plan, phase: &'a Phase) -> PhaseLine<'a> {
    PhaseLine {
        id: phase.id.as_str(),
        kind: phase.kind(),
        title: &phase.title,
        migration: match &phase.detail {
            PhaseDetail::Expand(run) | PhaseDetail::Contract(run) => Some(&run.migration.name),
            _ => None,
        },
        statements: impact::of_phase(phase).iter().map(Impact::as_json).collect(),
        trailer: matches!(phase.detail, PhaseDetail::Code(_)).then(|| trailer(plan, phase)),
    }
}

/// The commit trailer by which the commit of a code phase is found.
pub fn trailer(plan: &Plan, phase: &Phase) -> String {
    format!("Ship-Phase: {}/{}", plan.id(), phase.id)
}

fn next(plan: &Plan) -> String {
    let id = plan.id();
    let mut text = format!("\n{}\n", paint(style::HEADING, "Next"));
    let mut table = Table::without_heading(2);
    let mut step = |command: String, what: &str| {
        table.row([paint(style::NAME, command), what.to_owned()]);
    };
    step(
        format!("shipctl check {id}"),
        "validate it; then review and merge these files",
    );
    let phases = plan.phases();
    let schema = phases.iter().position(|phase| phase.kind().is_schema());
    let code = phases
        .iter()
        .position(|phase| matches!(phase.detail, PhaseDetail::Code(_)));
    let code_comes_first = code < schema && code.is_some();
    if let Some(first) = schema.and_then(|at| phases.get(at)).filter(|_| !code_comes_first) {
        step(
            format!("shipctl run {id} --to {}", first.id),
            "run the first phase (--env NAME where there are several)",
        );
    }
    if let Some(code) = code.and_then(|at| phases.get(at)) {
        step(
            format!("shipctl checklist {id} {}", code.id),
            "the text for its pull request; the commit carries the trailer",
        );
        step(String::new(), &paint(style::NAME, trailer(plan, code)));
    }
    if code_comes_first {
        step(
            format!("shipctl run {id}"),
            "once that is deployed (--env NAME where there are several)",
        );
    }
    step(
        format!("shipctl status {id}"),
        "where it stands, and what is next, at any time",
    );
    text.push_str(&table.render(2));
    text
}
