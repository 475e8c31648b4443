//! Patterns of application names: `web@{commit}`, `{instance}.web@{commit}`.

/// A pattern, taken apart.
pub(super) struct Pattern<'p> {
    parts: Vec<Part<'p>>,
}

enum Part<'p> {
    Literal(&'p str),
    Commit,
    Instance,
}

/// What the placeholders stand for in one name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Match<'n> {
    /// What stands in the place of `{commit}`; not necessarily a commit.
    pub(super) commit: Option<&'n str>,
    /// What stands in the place of `{instance}`.
    pub(super) instance: Option<&'n str>,
}

impl<'p> Pattern<'p> {
    pub(super) fn new(text: &'p str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("{commit}") {
                parts.push(Part::Commit);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("{instance}") {
                parts.push(Part::Instance);
                rest = after;
            } else {
                let skip = usize::from(rest.starts_with('{'));
                let end = rest[skip..].find('{').map_or(rest.len(), |at| at + skip);
                parts.push(Part::Literal(&rest[..end]));
                rest = &rest[end..];
            }
        }
        Self { parts }
    }

    /// Fits the whole name, if it can. A commit consists of hexadecimal digits only.
    pub(super) fn fit<'n>(&self, name: &'n str) -> Option<Match<'n>> {
        fit(&self.parts, name, false)
    }

    /// Fits a name whose commit may be anything, so as to tell what a client said in its place.
    pub(super) fn fit_loosely<'n>(&self, name: &'n str) -> Option<Match<'n>> {
        fit(&self.parts, name, true)
    }

    /// Whether a name that does not fit is still plainly meant for this pattern: it begins with the fixed text before
    /// the first placeholder, or is that text without its separator (`web` for `web@{commit}`).
    pub(super) fn resembles(&self, name: &str) -> bool {
        let Some(Part::Literal(stem)) = self.parts.first() else {
            // A name that begins with its instance is known by the fixed text after it.
            let marked = self
                .parts
                .iter()
                .any(|part| matches!(part, Part::Literal(text) if text.contains(char::is_alphanumeric)));
            return marked && self.fit_loosely(name).is_some();
        };
        let bare = stem.trim_end_matches(|c: char| !c.is_alphanumeric());
        !bare.is_empty() && (name.starts_with(stem) || name == bare)
    }
}

fn fit<'n>(parts: &[Part<'_>], name: &'n str, loosely: bool) -> Option<Match<'n>> {
    let Some((first, rest)) = parts.split_first() else {
        return name.is_empty().then(Match::default);
    };
    match first {
        Part::Literal(text) => fit(rest, name.strip_prefix(text)?, loosely),
        Part::Commit | Part::Instance => {
            // Shortest first, but an instance may contain the literal that follows it.
            let ends = name
                .char_indices()
                .map(|(at, c)| at + c.len_utf8())
                .chain(name.is_empty().then_some(0));
            for end in ends {
                let (here, after) = name.split_at(end);
                let is_commit = matches!(first, Part::Commit);
                if is_commit && !loosely && !here.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                if let Some(mut found) = fit(rest, after, loosely) {
                    if is_commit {
                        found.commit = Some(here);
                    } else {
                        found.instance = Some(here);
                    }
                    return Some(found);
                }
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn names_are_taken_apart() {
        let plain = Pattern::new("web@{commit}");
        let name = format!("web@{ID}");
        assert_eq!(plain.fit(&name).unwrap().commit, Some(ID));
        assert_eq!(plain.fit("web@abc").unwrap().commit, Some("abc"));
        assert_eq!(plain.fit("web@v1.2"), None);
        assert_eq!(plain.fit("worker@abc"), None);
        assert_eq!(plain.fit_loosely("web@v1.2").unwrap().commit, Some("v1.2"));

        let both = Pattern::new("{instance}.web@{commit}");
        let name = format!("pod.7.web@{ID}");
        let found = both.fit(&name).unwrap();
        assert_eq!((found.instance, found.commit), (Some("pod.7"), Some(ID)));
    }

    #[test]
    fn a_client_that_forgot_its_version_is_still_recognised() {
        let pattern = Pattern::new("web@{commit}");
        assert!(pattern.resembles("web") && pattern.resembles("web@") && pattern.resembles("web@v1"));
        assert!(!pattern.resembles("webhook@abc") && !pattern.resembles("psql"));
        assert!(!Pattern::new("{commit}").resembles("anything"));
        assert!(!Pattern::new("{instance}@{commit}").resembles("anything"));
        assert!(!Pattern::new("{instance}@{commit}").resembles("any@thing"));
        let instance_first = Pattern::new("{instance}.web@{commit}");
        assert!(instance_first.resembles("pod-7.web@v1") && instance_first.resembles("pod-7.web@abc12"));
        assert!(!instance_first.resembles("pod-7.worker@v1"));
    }
}
