//! What the messages of commits say about reverting: git's own words, those of hosting sites, and titles.

/// The ids that a message says it reverts, each with the mainline of a reverted merge where it is given.
pub(super) fn reverts_named(message: &str) -> Vec<(String, Option<String>)> {
    // Line breaks may fall anywhere in the sentence.
    let text = message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_ascii_lowercase();
    text.split("this reverts commit ")
        .skip(1)
        .filter_map(|rest| {
            let of = leading_id(rest)?;
            let mainline = rest[of.len()..]
                .strip_prefix(", reversing changes made to ")
                .and_then(leading_id);
            Some((of.to_owned(), mainline.map(str::to_owned)))
        })
        .collect()
}

/// Whether a message says that it takes back something or makes it again: then a trailer in it may be a quotation.
pub(super) fn speaks_of_reverting(message: &str) -> bool {
    let title = title(message).to_ascii_lowercase();
    !reverts_named(message).is_empty()
        || ["revert", "reapply"].iter().any(|word| {
            title
                .strip_prefix(word)
                .is_some_and(|rest| rest.trim_start().starts_with(['"', ':', '(']))
        })
        || pull_requests_reverted(message).next().is_some()
}

/// What a message says, ready to be compared with others.
pub(super) struct Words {
    reverts: Vec<(String, Option<String>)>,
    titles: Vec<String>,
    meant: Vec<String>,
}

impl Words {
    pub(super) fn of(message: &str) -> Self {
        Self {
            reverts: reverts_named(message),
            titles: titles(message),
            meant: meant(message),
        }
    }

    /// The ids that it says it reverts, each with the mainline of a reverted merge where it is given.
    pub(super) fn reverts(&self) -> &[(String, Option<String>)] {
        &self.reverts
    }

    /// What a revert of its commit may call it: titles, and `#12` for the number of the pull request.
    pub(super) fn titles(&self) -> &[String] {
        &self.titles
    }

    /// What it, being a revert, calls the commit that it reverts.
    pub(super) fn meant(&self) -> &[String] {
        &self.meant
    }
}

fn titles(message: &str) -> Vec<String> {
    let title = title(message);
    let merged = title
        .strip_prefix("Merge pull request #")
        .map(|rest| rest.split_once(' ').map_or(rest, |(number, _)| number));
    let (bare, number) = without_number(title);
    // The title of a pull request is the first line after the one that git makes up for its merge.
    let given = merged.and_then(|_| message.lines().skip(1).find(|line| !line.trim().is_empty()));
    let mut titles: Vec<String> = [Some(title), Some(bare), given]
        .into_iter()
        .flatten()
        .map(|title| title.trim().to_owned())
        .collect();
    titles.extend(merged.or(number).map(|number| format!("#{number}")));
    titles.sort();
    titles.dedup();
    titles
}

fn meant(message: &str) -> Vec<String> {
    let mut meant: Vec<String> = pull_requests_reverted(message)
        .map(|number| format!("#{number}"))
        .collect();
    let subject = without_number(title(message)).0;
    let quoted = |word: &str| {
        subject
            .get(..word.len())
            .filter(|start| start.eq_ignore_ascii_case(word))
            .and_then(|_| {
                subject[word.len()..]
                    .trim_start()
                    .strip_prefix('"')?
                    .strip_suffix('"')
            })
    };
    let title = quoted("Revert").map(str::to_owned).or_else(|| {
        // What git calls the revert of a revert.
        quoted("Reapply").map(|inner| format!("Revert \"{inner}\""))
    });
    if let Some(title) = title {
        meant.push(without_number(&title).0.to_owned());
        meant.push(title);
    }
    meant.sort();
    meant.dedup();
    meant
}

pub(super) fn title(message: &str) -> &str {
    message.trim_start().lines().next().unwrap_or_default().trim_end()
}

/// A title without the ` (#12)` that hosting sites add, and the number.
fn without_number(title: &str) -> (&str, Option<&str>) {
    title
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once(" (#"))
        .filter(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or((title, None), |(bare, number)| (bare, Some(number)))
}

/// The numbers in lines such as `Reverts owner/name#12` or `Reverts #12`.
fn pull_requests_reverted(message: &str) -> impl Iterator<Item = &str> {
    message
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Reverts "))
        .filter_map(|rest| rest.rsplit_once('#'))
        .map(|(_, number)| number.trim_end_matches('.'))
        .filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn leading_id(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    (7..=64).contains(&end).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::{Words, reverts_named, speaks_of_reverting};

    /// Whether `message` is that of a revert of the commit with the message `of`.
    fn is_title_of_revert(message: &str, of: &str) -> bool {
        let (message, of) = (Words::of(message), Words::of(of));
        message.meant().iter().any(|meant| of.titles().contains(meant))
    }

    #[test]
    fn reverts_that_name_no_id_are_known_by_title_or_number() {
        let squashed = "Write both names (#12)\n\nShip-Phase: p/dual-write\n";
        let merged = "Merge pull request #12 from a/b\n\nWrite both names\n";
        for of in [squashed, merged] {
            for message in [
                "Revert \"Write both names\" (#13)\n\nReverts owner/name#12\n",
                "Revert \"Write both names (#12)\" (#13)\n",
                "Undo it\n\nReverts #12.\n",
            ] {
                assert!(is_title_of_revert(message, of), "{message} {of}");
                assert!(speaks_of_reverting(message));
            }
            for message in [
                "Revert \"Write both\" (#13)\n",
                "Write both names\n",
                "Undo\n\nReverts #1\n",
            ] {
                assert!(!is_title_of_revert(message, of), "{message} {of}");
            }
        }
        assert!(is_title_of_revert("Reapply \"A\"", "Revert \"A\" (#3)"));
        assert!(is_title_of_revert("Revert \"Revert \"A\"\"", "Revert \"A\""));
        assert!(!is_title_of_revert("Reapply \"A\"", "A"));
    }

    #[test]
    fn messages_of_reverts_are_understood() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let merge =
            format!("Revert \"Merge x\"\n\nThis reverts commit {id}, reversing\nchanges made to abcdef0.\n");
        assert_eq!(
            reverts_named(&merge),
            [(id.to_owned(), Some("abcdef0".to_owned()))]
        );
        assert_eq!(
            reverts_named("This reverts commit ABCDEF0."),
            [("abcdef0".to_owned(), None)]
        );
        assert!(reverts_named("This reverts commit of mine").is_empty());
    }
}
