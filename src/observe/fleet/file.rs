//! `file`: a file that something else keeps up to date.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;

use super::{Findings, Probing, Seen, reading};
use crate::safety::Doubt;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

pub(super) async fn ask(
    probing: &Probing<'_>,
    path: &Path,
    pointer: Option<&str>,
) -> Result<Findings, Doubt> {
    let (text, at) = read(probing, path, "path").await?;
    Ok(listed(&text, pointer, &path.display().to_string(), at))
}

/// The text of a regular file below the project's folder, and when it was written. `key` is where its path is given.
pub(super) async fn read(
    probing: &Probing<'_>,
    path: &Path,
    key: &str,
) -> Result<(String, Timestamp), Doubt> {
    let whole: PathBuf = probing.root.join(path);
    let shown = path.display();
    let cannot = |error: std::io::Error| {
        Doubt::new(format!("cannot read {shown}: {error}"))
            .fix(format!("correct the source's `{key}`, or write the file"))
    };
    // Anything but a regular file could block for ever when it is opened.
    let about = tokio::fs::metadata(&whole).await.map_err(cannot)?;
    if !about.is_file() {
        return Err(Doubt::new(format!("{shown} is not a regular file")));
    }
    let at = about
        .modified()
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok())
        .ok_or_else(|| Doubt::new(format!("it cannot be told when {shown} was written")))?;
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(&whole).await.map_err(cannot)?;
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(cannot)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Doubt::new(format!("{shown} is longer than 1 MiB")));
    }
    let text = String::from_utf8(bytes).map_err(|_| Doubt::new(format!("{shown} is not UTF-8 text")))?;
    Ok((text, at))
}

/// Findings from a listing. Instances without a name are numbered.
pub(super) fn listed(text: &str, pointer: Option<&str>, who: &str, at: Timestamp) -> Findings {
    let (entries, doubts) = reading::listing(text, pointer, who);
    let seen = entries
        .into_iter()
        .enumerate()
        .map(|(number, (instance, commit))| Seen {
            instance: instance.unwrap_or_else(|| format!("#{}", number + 1)),
            commit,
            at,
        })
        .collect();
    Findings {
        seen,
        doubts,
        ..Findings::default()
    }
}
