//! Proofs of plans: what was found, for people as problems that point into the plan, and for programs.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Value, json};

use crate::domain::{Exit, PhaseId, PlanId, Problem, ServiceName};
use crate::plan::{Examined, Plan, examine};
use crate::safety::proof::{
    Collision, Counterexample, Outcome, Proof, StepKind, Subject, TraceStep, collisions, prove,
};

/// What the proof of some plans came to.
pub struct ProofReport {
    proofs: Vec<Proof>,
    undeclared: Vec<PlanId>,
    incomplete: BTreeSet<PlanId>,
    /// Plans that are not safe.
    pub problems: Vec<Problem>,
    /// What is not proved, and what is worth knowing.
    pub warnings: Vec<Problem>,
}

/// Proves plans, each by itself and those that share a table two by two. `services` are those of the project.
pub fn proof_of(plans: &[Plan], services: &BTreeSet<ServiceName>) -> ProofReport {
    let examined: Vec<Examined> = plans.iter().map(examine).collect();
    let subjects: Vec<Subject> = examined.iter().filter_map(|one| one.subject.clone()).collect();
    let mut report = ProofReport {
        proofs: prove(&subjects, services),
        undeclared: Vec::new(),
        incomplete: BTreeSet::new(),
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    for (plan, examined) in plans.iter().zip(&examined) {
        if !examined.undeclared.is_empty() {
            report.undeclared.push(plan.id().clone());
            report.warnings.push(undeclared(plan, &examined.undeclared));
        }
        if !examined.not_understood.is_empty() {
            report.incomplete.insert(plan.id().clone());
        }
        report.warnings.extend(not_understood(plan, examined));
    }
    for proof in &report.proofs {
        let named: Vec<&Plan> = proof
            .plans
            .iter()
            .filter_map(|id| plans.iter().find(|plan| plan.id() == id))
            .collect();
        match (proof.outcome, &proof.counterexample) {
            (Outcome::Unsafe, Some(found)) => report.problems.push(unsafe_plan(&named, found)),
            (Outcome::NotProved, Some(found)) => report.warnings.push(perhaps_unsafe(&named, found)),
            _ => {}
        }
        if let Some(doubt) = &proof.ambiguous {
            report.warnings.push(ambiguous(&named, doubt));
        }
        if !proof.bounded.is_empty() {
            report.warnings.push(bounded(&named, proof));
        }
    }
    for collision in collisions(&subjects) {
        report.warnings.extend(both_touch(plans, &collision));
    }
    report
}

impl ProofReport {
    /// What the proof of a plan by itself came to, in a few words: `84 states explored, all safe`.
    pub fn summary(&self, plan: &PlanId) -> Option<(Outcome, String)> {
        let proof = self.proofs.iter().find(|proof| proof.plans == [plan.clone()])?;
        Some((self.outcome(proof), self.words(proof)))
    }

    /// What a proof came to, with what is not understood of its plans.
    fn outcome(&self, proof: &Proof) -> Outcome {
        let is_incomplete = proof.plans.iter().any(|plan| self.incomplete.contains(plan));
        match proof.outcome {
            Outcome::Safe if is_incomplete => Outcome::NotProved,
            outcome => outcome,
        }
    }

    fn words(&self, proof: &Proof) -> String {
        let states = counted(proof.states, "state");
        match (proof.outcome, self.outcome(proof)) {
            (Outcome::Safe, Outcome::Safe) => format!("{states} explored, all safe"),
            (Outcome::Safe, _) => format!("{states} explored, all safe but for what is not understood"),
            (Outcome::NotProved, _) => "not proved to be safe".to_owned(),
            (Outcome::Unsafe, _) => "not safe".to_owned(),
        }
    }

    /// The plans that were looked at two by two, in a line for each two.
    pub fn together(&self) -> Vec<(Outcome, String)> {
        self.proofs
            .iter()
            .filter(|proof| proof.plans.len() > 1)
            .map(|proof| {
                let names: Vec<&str> = proof.plans.iter().map(PlanId::as_str).collect();
                (
                    self.outcome(proof),
                    format!("{} together: {}", names.join(" and "), self.words(proof)),
                )
            })
            .collect()
    }

    /// What was left out of looking at plans together, where something was.
    pub fn left_out(&self) -> Option<String> {
        let pairs = self.proofs.iter().filter(|proof| proof.plans.len() > 1).count();
        (pairs > 1).then(|| "Plans that share a table were looked at two by two, not all at once.".to_owned())
    }

    /// The proof as programs read it.
    pub fn as_json(&self) -> Value {
        let holds = self.problems.is_empty();
        let is_proved = self.undeclared.is_empty()
            && self
                .proofs
                .iter()
                .all(|proof| self.outcome(proof) == Outcome::Safe);
        let verdict = match (holds, is_proved) {
            (false, _) => "unsafe",
            (true, true) => "safe",
            (true, false) => "not-proved",
        };
        let shown = self
            .proofs
            .iter()
            .find(|proof| proof.outcome == Outcome::Unsafe)
            .or_else(|| self.proofs.iter().find(|proof| proof.counterexample.is_some()))
            .and_then(|proof| proof.counterexample.as_ref());
        json!({
            "verdict": verdict,
            "states": self.proofs.iter().map(|proof| proof.states).sum::<usize>(),
            "trace": trace_as_json(shown),
            "harm": harm_as_json(shown),
            "plans": self.proofs.iter().map(|proof| self.proof_as_json(proof)).collect::<Vec<_>>(),
            "undeclared": self.undeclared,
            "bounded": self.left_out(),
        })
    }

    fn proof_as_json(&self, proof: &Proof) -> Value {
        let bounded: Vec<&String> = proof.bounded.iter().chain(&proof.ambiguous).collect();
        json!({
            "plans": proof.plans,
            "verdict": match self.outcome(proof) {
                Outcome::Safe => "safe",
                Outcome::NotProved => "not-proved",
                Outcome::Unsafe => "unsafe",
            },
            "states": proof.states,
            "trace": trace_as_json(proof.counterexample.as_ref()),
            "harm": harm_as_json(proof.counterexample.as_ref()),
            "bounded": bounded,
        })
    }
}

fn trace_as_json(found: Option<&Counterexample>) -> Vec<Value> {
    found
        .into_iter()
        .flat_map(|found| &found.steps)
        .map(step_as_json)
        .collect()
}

fn step_as_json(step: &TraceStep) -> Value {
    json!({
        "step": step.kind.as_str(),
        "plan": step.phase.as_ref().map(|(plan, _)| plan),
        "phase": step.phase.as_ref().map(|(_, phase)| phase),
        "version": step.version.as_ref().map(|version| version.phases.iter().map(|(plan, phase)| {
            json!({ "plan": plan, "phase": phase })
        }).collect::<Vec<_>>()),
        "service": step.version.as_ref().and_then(|version| version.service.as_ref()),
        "words": step.words,
    })
}

fn harm_as_json(found: Option<&Counterexample>) -> Value {
    let Some(Counterexample { harm, .. }) = found else {
        return Value::Null;
    };
    json!({
        "kind": harm.kind.as_str(),
        "message": harm.message,
        "column": harm.column,
        "phase": harm.culprit.as_ref().map(|(_, phase)| phase),
        "plan": harm.culprit.as_ref().map(|(plan, _)| plan),
        "assumed": harm.assumed,
        "fix": harm.remedy,
    })
}

/// `1 state`, `7 states`.
pub fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

fn names(plans: &[&Plan]) -> String {
    let names: Vec<&str> = plans.iter().map(|plan| plan.id().as_str()).collect();
    names.join(" and ")
}

/// Points at the phase that came too early, at what it needs, and at the phase whose code fails.
fn places(mut problem: Problem, plans: &[&Plan], found: &Counterexample) -> Problem {
    let harm = &found.harm;
    // A problem points into one file: that of the culprit.
    let Some((plan, phase)) = harm.culprit.as_ref().and_then(|(id, phase)| {
        let plan = plans.iter().find(|plan| plan.id() == id)?;
        Some((*plan, plan.phase(phase)?))
    }) else {
        return problem;
    };
    let last = found.steps.last().map(|step| step.kind);
    let early = match last {
        Some(StepKind::Undo) => "can be undone too early",
        Some(StepKind::Run) => "can run too early",
        _ => "can be deployed too early",
    };
    let own = |name: &PhaseId, label: String, problem: Problem| match plan.phase(name) {
        Some(phase) => problem.at(plan.source(), id_span(plan, phase.span.clone(), name), label),
        None => problem,
    };
    problem = own(&phase.id, format!("{} {early}", phase.id), problem);
    problem = match &phase.needs_span {
        Some(span) => problem.at(plan.source(), span.clone(), "waits only for this"),
        None => problem,
    };
    match &harm.user {
        Some((id, user)) if id == plan.id() && *user != phase.id => {
            own(user, "this code fails".to_owned(), problem)
        }
        _ => problem,
    }
}

/// Where a phase's id stands, or its table where that cannot be told.
fn id_span(plan: &Plan, table: Range<usize>, id: &PhaseId) -> Range<usize> {
    let text = plan.source().inner();
    let mut start = table.start;
    for line in text.get(table.start..).unwrap_or_default().split_inclusive('\n') {
        let is_key = line
            .trim_start()
            .trim_start_matches(['"', '\''])
            .strip_prefix("id")
            .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with('='));
        let quoted = [format!("\"{id}\""), format!("'{id}'")];
        if let Some((at, found)) = quoted
            .iter()
            .filter(|_| is_key)
            .find_map(|quoted| Some((line.find(quoted)?, quoted)))
        {
            return start + at..start + at + found.len();
        }
        start += line.len();
    }
    table
}

fn told(plans: &[&Plan], found: &Counterexample, problem: Problem) -> Problem {
    let harm = &found.harm;
    let mut why = format!("the gates permit this: {}", found.line());
    if found.steps.is_empty() {
        why = "this is so before anything of it runs".to_owned();
    }
    if let Some(assumed) = &harm.assumed {
        why = format!("{why}; {assumed}");
    }
    places(problem.because(why).fix(harm.remedy.clone()), plans, found)
}

fn unsafe_plan(plans: &[&Plan], found: &Counterexample) -> Problem {
    let (code, subject) = match plans {
        [_] => ("plan-unsafe", format!("{} is not safe", names(plans))),
        _ => ("plans-collide", format!("{} are not safe together", names(plans))),
    };
    let problem = Problem::new(Exit::Blocked, code, format!("{subject}: {}", found.harm.message));
    told(plans, found, problem)
}

fn perhaps_unsafe(plans: &[&Plan], found: &Counterexample) -> Problem {
    let problem = Problem::warning(
        "not-proved",
        format!(
            "{} is not proved to be safe: {}",
            names(plans),
            found.harm.message
        ),
    );
    told(plans, found, problem)
}

fn bounded(plans: &[&Plan], proof: &Proof) -> Problem {
    Problem::warning(
        "not-proved",
        format!("not every state of {} was looked at", names(plans)),
    )
    .because(proof.bounded.join("; "))
    .fix("divide it into plans that are carried through one after the other")
}

fn ambiguous(plans: &[&Plan], doubt: &str) -> Problem {
    Problem::warning(
        "not-proved",
        format!(
            "nothing is proved of {}: a table cannot be told from another",
            names(plans)
        ),
    )
    .because(doubt.to_owned())
    .fix("write the name with its schema, in the migrations and in the plan")
}

fn undeclared(plan: &Plan, phases: &[PhaseId]) -> Problem {
    let list: Vec<&str> = phases.iter().map(PhaseId::as_str).collect();
    let mut problem = Problem::warning(
        "not-proved",
        format!(
            "nothing is proved of {}: {} {} not say what {} and {}",
            plan.id(),
            list.join(", "),
            if list.len() == 1 { "does" } else { "do" },
            if list.len() == 1 { "it reads" } else { "they read" },
            if list.len() == 1 { "writes" } else { "write" },
        ),
    )
    .because("whether code works with each state of the schema can be told only if it is known what it uses")
    .fix("add `reads = [\"table.column\"]` and `writes = […]` to each code phase");
    for name in phases {
        if let Some(phase) = plan.phase(name) {
            problem = problem.at(
                plan.source(),
                id_span(plan, phase.span.clone(), name),
                "reads and writes are not declared",
            );
        }
    }
    problem
}

fn not_understood(plan: &Plan, examined: &Examined) -> Vec<Problem> {
    examined
        .not_understood
        .iter()
        .map(|statement| {
            Problem::warning(
                "not-proved",
                format!(
                    "what `{}` of {}/{} changes is not part of the proof",
                    statement.summary,
                    plan.id(),
                    statement.phase
                ),
            )
            .because(format!("it {}", statement.why))
            .at(
                &statement.source,
                statement.span.clone(),
                "taken to change nothing",
            )
            .fix("see by hand that code on either side of it works with what it leaves")
        })
        .collect()
}

fn both_touch(plans: &[Plan], collision: &Collision) -> Option<Problem> {
    let [first, second] = &collision.plans;
    let plan = plans.iter().find(|plan| plan.id() == second)?;
    let [theirs, own] = &collision.phases;
    let phase = plan.phase(own)?;
    Some(
        Problem::warning(
            "plans-touch-one-column",
            format!("{first} and {second} both touch {}", collision.column),
        )
        .because(format!(
            "{first} does so in {theirs}, and {second} in {own}; at least one of them changes it"
        ))
        .at(
            plan.source(),
            id_span(plan, phase.span.clone(), own),
            format!("touches it as {first} does"),
        )
        .fix("let one of them be complete before the other begins, and remove its file then"),
    )
}
