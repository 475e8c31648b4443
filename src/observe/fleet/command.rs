//! `command`: a program's output. No shell, bounded in time and size, and nothing of it outlives the probe.

use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::{Findings, Probing, file, shown};
use crate::safety::Doubt;

/// The longest output that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// How much of standard error is kept, in bytes.
const LONGEST_COMPLAINT: u64 = 1 << 16;

pub(super) async fn ask(
    probing: &Probing<'_>,
    argv: &[String],
    pointer: Option<&str>,
) -> Result<Findings, Doubt> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Doubt::new("the `command` source names no program"));
    };
    let who = format!("`{}`", shown(program));
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(probing.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(|error| {
            Doubt::new(format!("cannot start {who}: {error}"))
                .fix("correct the source's `argv`, or install the program")
        })?;
    let _group = Group::of(&child);
    let (out, complaint) = (child.stdout.take(), child.stderr.take());
    let (out, complaint, status) = tokio::join!(
        read(out, LONGEST + 1),
        read(complaint, LONGEST_COMPLAINT),
        child.wait()
    );
    let failed = |error: std::io::Error| Doubt::new(format!("{who} could not be read: {error}"));
    let (out, complaint, status) = (
        out.map_err(failed)?,
        complaint.map_err(failed)?,
        status.map_err(failed)?,
    );
    if !status.success() {
        let complaint = String::from_utf8_lossy(&complaint);
        let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
        let said = last
            .map(|line| format!(": {}", shown(&without_arguments(line.trim(), arguments))))
            .unwrap_or_default();
        return Err(Doubt::new(format!("{who} failed ({status}){said}")));
    }
    if out.len() as u64 > LONGEST {
        return Err(Doubt::new(format!("{who} printed more than 1 MiB")));
    }
    let text = String::from_utf8(out).map_err(|_| Doubt::new(format!("{who} did not print UTF-8 text")))?;
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

/// Keeps the beginning and reads the rest away, so that the program never waits for its reader.
async fn read(from: Option<impl AsyncRead + Unpin>, keep: u64) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(keep).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// The program and everything it started, ended when this is dropped (also when the time is up).
struct Group(Option<rustix::process::Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(rustix::process::Pid::from_raw),
        )
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It is usually gone by now, which is no matter.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
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
