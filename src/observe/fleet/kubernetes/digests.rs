//! The file that tells of which commit an image was built, by the image's digest.

use std::collections::BTreeMap;

use crate::domain::CommitId;
use crate::observe::fleet::shown;
use crate::safety::Doubt;

/// Reads a JSON object of digests and commits, or lines `sha256:… COMMIT`. One mistake makes the file useless: what it should have
/// said of an image is not known.
pub(super) fn read(text: &str, who: &str) -> Result<BTreeMap<String, CommitId>, Doubt> {
    let wrong = |what: String| {
        Doubt::new(format!("{who} {what}"))
            .fix("write the full commit id of each `sha256:…`, one a line or as a JSON object")
    };
    let pairs: Vec<(String, String)> = if text.trim_start().starts_with('{') {
        let map: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
            wrong(format!(
                "is not a JSON object of texts (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        map.into_iter().collect()
    } else {
        text.lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(
                |(number, line)| match line.split_whitespace().collect::<Vec<_>>()[..] {
                    [digest, commit] => Ok((digest.to_owned(), commit.to_owned())),
                    _ => Err(wrong(format!(
                        "has a line that is not `sha256:… COMMIT` (line {})",
                        number + 1
                    ))),
                },
            )
            .collect::<Result<_, _>>()?
    };
    let mut commits = BTreeMap::new();
    for (digest, commit) in pairs {
        if !is_digest(&digest) {
            return Err(wrong(format!(
                "names `{}`, which is not a digest",
                shown(&digest)
            )));
        }
        let commit: CommitId = commit.parse().map_err(|_| {
            wrong(format!(
                "gives {digest} `{}`, which is not a full commit id",
                shown(&commit)
            ))
        })?;
        if let Some(other) = commits.insert(digest.to_ascii_lowercase(), commit.clone())
            && other != commit
        {
            return Err(wrong(format!("gives {digest} two commits")));
        }
    }
    Ok(commits)
}

/// `sha256:` and its digits.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_json_say_the_same_and_a_mistake_is_none_of_both() {
        let (digest, commit) = (format!("sha256:{}", "a".repeat(64)), "1".repeat(40));
        let lines = read(&format!("\n{digest} {commit}\n"), "it").unwrap();
        let json = read(&format!("{{\"{digest}\": \"{commit}\"}}"), "it").unwrap();
        assert_eq!(lines, json);
        assert_eq!(lines[&digest].as_str(), commit);
        for (text, why) in [
            (format!("{digest} main\n"), "not a full commit id"),
            (format!("latest {commit}\n"), "not a digest"),
            (format!("{digest}\n"), "line 1"),
            (
                format!("{digest} {commit}\n{digest} {}\n", "2".repeat(40)),
                "two commits",
            ),
            ("{\"a\": 1}".to_owned(), "not a JSON object of texts"),
        ] {
            assert!(read(&text, "it").unwrap_err().why.contains(why), "{text}");
        }
    }
}
