//! A migration file in the making: a word on what it is for, and both sides.

use crate::domain::PlanId;

/// The text so far.
pub struct File {
    text: String,
}

impl File {
    /// Begins with the plan and the phase that it belongs to, and an explanation.
    pub fn new(plan: &PlanId, phase: &str, explanation: &[&str]) -> Self {
        let mut text = format!("-- {plan} · phase {phase}\n");
        for line in explanation {
            text.push_str(&format!("-- {line}\n"));
        }
        Self { text }
    }

    /// Begins a side: `UP` or `DOWN`.
    pub fn side(&mut self, marker: &str) {
        self.text.push_str(&format!("\n-- {marker}\n"));
    }

    /// A comment of one line.
    pub fn remark(&mut self, remark: &str) {
        self.text.push_str(&format!("-- {remark}\n"));
    }

    /// A side as somebody wrote it.
    pub fn written(&mut self, text: &str) {
        self.text.push_str(text.trim_matches(['\n', '\r']));
        self.text.push('\n');
    }

    /// Statements, each on its own.
    pub fn statements(&mut self, statements: impl IntoIterator<Item = String>) {
        for statement in statements {
            self.text.push_str(&statement);
            self.text.push_str(";\n");
        }
    }

    /// Statements that take effect together: no moment in between shows half of it.
    pub fn together(&mut self, statements: Vec<String>) {
        if statements.len() < 2 {
            self.statements(statements);
            return;
        }
        self.statements(["BEGIN".to_owned()]);
        self.statements(statements);
        self.statements(["COMMIT".to_owned()]);
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}
