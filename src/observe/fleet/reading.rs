//! Commits in what sources answer: plain text, lists, or JSON behind a pointer.

use serde_json::Value;

use super::shown;
use crate::domain::CommitId;
use crate::safety::Doubt;

/// A listing's entry: the instance, where it is named, and its commit.
pub(super) type Entry = (Option<String>, CommitId);

/// Completes "`X` …" for a text that stands where a commit id should.
pub(super) fn not_a_commit(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        "reports an empty commit id".to_owned()
    } else if text.len() < 40 && text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        format!("reports the abbreviated commit id `{text}`; all 40 digits are needed")
    } else {
        format!("reports `{}`, which is not a commit id", shown(text))
    }
}

/// The one commit that an endpoint answers: the whole text, or a string behind a JSON pointer.
pub(super) fn one(text: &str, pointer: Option<&str>) -> Result<CommitId, String> {
    match pointer {
        None => parse(text),
        Some(pointer) => match behind(text, pointer)? {
            Value::String(commit) => parse(&commit),
            other => Err(format!(
                "has {} at `{pointer}`, where a text was expected",
                kind(&other)
            )),
        },
    }
}

/// The entries of a file or a program's output. Plain text: one `[instance] commit` a line. JSON: a string, an
/// `{instance, commit}` object, or an array of those. What cannot be read is a doubt beside the others.
pub(super) fn listing(text: &str, pointer: Option<&str>, who: &str) -> (Vec<Entry>, Vec<Doubt>) {
    let read: Vec<Result<Entry, String>> = match pointer {
        None => text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| plain(line).map_err(|why| format!("{why} (line {})", number + 1)))
            .collect(),
        Some(pointer) => match behind(text, pointer) {
            Ok(Value::Array(entries)) => entries.iter().map(entry).collect(),
            Ok(other) => vec![entry(&other)],
            Err(why) => vec![Err(why)],
        },
    };
    let (mut entries, mut doubts) = (Vec::new(), Vec::new());
    for result in read {
        match result {
            Ok(entry) => entries.push(entry),
            Err(why) => doubts.push(Doubt::new(format!("{who} {why}"))),
        }
    }
    (entries, doubts)
}

fn plain(line: &str) -> Result<Entry, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [commit] => Ok((None, parse(commit)?)),
        [instance, commit] => Ok((Some(shown(instance)), parse(commit)?)),
        _ => Err(format!(
            "has a line that is not `[INSTANCE] COMMIT`: `{}`",
            shown(line)
        )),
    }
}

fn entry(value: &Value) -> Result<Entry, String> {
    match value {
        Value::String(commit) => Ok((None, parse(commit)?)),
        Value::Object(fields) => {
            let commit = fields
                .get("commit")
                .and_then(Value::as_str)
                .ok_or_else(|| "has an entry without a text `commit`".to_owned())?;
            let instance = fields.get("instance").and_then(Value::as_str).map(shown);
            Ok((instance, parse(commit)?))
        }
        other => Err(format!("has {} where a commit was expected", kind(other))),
    }
}

fn behind(text: &str, pointer: &str) -> Result<Value, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| {
        format!(
            "does not answer JSON (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    document
        .pointer(pointer)
        .cloned()
        .ok_or_else(|| format!("has nothing at `{pointer}` in its JSON"))
}

fn parse(text: &str) -> Result<CommitId, String> {
    text.trim().parse().map_err(|_| not_a_commit(text))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn one_commit_is_read_from_text_or_json() {
        assert_eq!(one(&format!("{ID}\n"), None).unwrap().as_str(), ID);
        let json = format!("{{\"git\": {{\"commit\": \"{ID}\"}}}}");
        assert_eq!(one(&json, Some("/git/commit")).unwrap().as_str(), ID);
        assert!(one("3f2a9c1", None).unwrap_err().contains("abbreviated"));
        assert!(one("<html>", None).unwrap_err().contains("not a commit id"));
        assert!(one("<html>", Some("/x")).unwrap_err().contains("JSON"));
        assert!(one("{\"x\": 1}", Some("/x")).unwrap_err().contains("a number"));
        assert!(one("{}", Some("/x")).unwrap_err().contains("nothing at"));
    }

    #[test]
    fn listings_keep_what_is_readable_and_doubt_the_rest() {
        let (entries, doubts) = listing(&format!("a {ID}\n\n{ID}\nb main\nx y z\n"), None, "it");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].0.as_deref(), Some("a"));
        assert_eq!(doubts.len(), 2);
        assert!(doubts[0].why.contains("line 4"), "{doubts:?}");
        let json = format!("{{\"all\": [\"{ID}\", {{\"instance\": \"b\", \"commit\": \"{ID}\"}}, 7]}}");
        let (entries, doubts) = listing(&json, Some("/all"), "it");
        assert_eq!((entries.len(), doubts.len()), (2, 1));
        assert!(listing("[]", Some(""), "it").0.is_empty());
    }

    #[test]
    fn what_others_say_is_shown_without_control_characters() {
        let said = not_a_commit("\u{1b}[31mx");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}
