//! `command`: a program's output. No shell, bounded in time and size, and nothing of it outlives the probe.

use std::ffi::OsStr;

use super::program::{self, Trouble};
use super::{Findings, Probing, file, shown};
use crate::safety::Doubt;

/// The longest output that is read, in bytes.
const LONGEST: u64 = 1 << 20;

pub(super) async fn ask(
    probing: &Probing<'_>,
    argv: &[String],
    pointer: Option<&str>,
) -> Result<Findings, Doubt> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Doubt::new("the `command` source names no program"));
    };
    let who = format!("`{}`", shown(program));
    let ended = program::run(OsStr::new(program), arguments, probing.root, LONGEST)
        .await
        .map_err(|trouble| match trouble {
            Trouble::Start(error) => Doubt::new(format!("cannot start {who}: {error}"))
                .fix("correct the source's `argv`, or install the program"),
            Trouble::Read(error) => Doubt::new(format!("{who} could not be read: {error}")),
        })?;
    if !ended.status.success() {
        let last = ended.complaint.lines().rev().find(|line| !line.trim().is_empty());
        let said = last
            .map(|line| format!(": {}", shown(&without_arguments(line.trim(), arguments))))
            .unwrap_or_default();
        return Err(Doubt::new(format!("{who} failed ({}){said}", ended.status)));
    }
    if ended.too_long {
        return Err(Doubt::new(format!("{who} printed more than 1 MiB")));
    }
    let text =
        String::from_utf8(ended.out).map_err(|_| Doubt::new(format!("{who} did not print UTF-8 text")))?;
    Ok(file::listed(&text, pointer, &who, probing.now))
}

/// What a program said, without what it was told: an argument may be a token, and what is said here is recorded.
fn without_arguments(said: &str, arguments: &[String]) -> String {
    // Short words hide nothing, and their absence would make the rest unreadable.
    const SECRET: usize = 8;
    let mut text = said.to_owned();
    for argument in arguments {
        let value = argument
            .split_once('=')
            .map_or(argument.as_str(), |(_, value)| value);
        for hidden in [argument.as_str(), value] {
            if hidden.len() >= SECRET {
                text = text.replace(hidden, "…");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::without_arguments;

    #[test]
    fn a_program_that_repeats_its_token_does_not_give_it_away() {
        let arguments = ["get", "--token=hunter2hunter2"].map(str::to_owned);
        assert_eq!(
            without_arguments("get: bad token hunter2hunter2", &arguments),
            "get: bad token …"
        );
        assert_eq!(
            without_arguments("usage: --token=hunter2hunter2", &arguments),
            "usage: …"
        );
    }
}
