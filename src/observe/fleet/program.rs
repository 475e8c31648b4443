//! Running a program for what it prints: no shell, bounded in size, and nothing of it outlives its caller.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// How much of standard error is kept, in bytes.
const LONGEST_COMPLAINT: u64 = 1 << 16;

/// A program that has ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Standard output, or its beginning.
    pub(super) out: Vec<u8>,
    /// Whether there was more of it than was to be kept.
    pub(super) too_long: bool,
    /// Standard error, or its beginning.
    pub(super) complaint: String,
}

/// Why there is nothing to read.
pub(super) enum Trouble {
    /// It could not be started.
    Start(io::Error),
    /// It could not be read from.
    Read(io::Error),
}

/// Runs a program in a folder to its end and keeps up to `longest` bytes of what it prints.
pub(super) async fn run(
    program: &OsStr,
    arguments: &[String],
    folder: &Path,
    longest: u64,
) -> Result<Ended, Trouble> {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(Trouble::Start)?;
    let _group = Group::of(&child);
    let (out, complaint) = (child.stdout.take(), child.stderr.take());
    let (out, complaint, status) = tokio::join!(
        read(out, longest + 1),
        read(complaint, LONGEST_COMPLAINT),
        child.wait()
    );
    let (out, complaint) = (out.map_err(Trouble::Read)?, complaint.map_err(Trouble::Read)?);
    Ok(Ended {
        status: status.map_err(Trouble::Read)?,
        too_long: out.len() as u64 > longest,
        out,
        complaint: String::from_utf8_lossy(&complaint).into_owned(),
    })
}

/// Keeps the beginning and reads the rest away, so that the program never waits for its reader.
async fn read(from: Option<impl AsyncRead + Unpin>, keep: u64) -> io::Result<Vec<u8>> {
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
