//! "Did you mean …?": the known names that lie nearest to a mistyped one.

/// The known names that may have been meant by `word`, nearest first; at most three.
///
/// A name counts as near if about a third of it would have to be changed, or if one continues the other.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    let folded = word.to_lowercase();
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let other = name.to_lowercase();
            let distance = strsim::osa_distance(&folded, &other);
            let allowed = (folded.chars().count().max(other.chars().count()) / 3).max(1);
            let continues =
                folded.len() >= 3 && other.len() >= 3 && (other.contains(&folded) || folded.contains(&other));
            (distance <= allowed || continues).then_some((distance, name))
        })
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    // Beside a name that is nearly the same, one that is merely similar only confuses.
    let best = near.first().map_or(0, |(distance, _)| *distance);
    near.retain(|(distance, _)| *distance <= best + 2);
    near.truncate(3);
    near.into_iter().map(|(_, name)| name).collect()
}

/// How many slips of the finger lie between two words.
pub fn distance(one: &str, other: &str) -> usize {
    strsim::osa_distance(one, other)
}

/// A remedy in words: "did you mean `a` or `b`?", or the whole list where nothing is near.
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let near = nearest(word, known.iter().copied());
    if !near.is_empty() {
        return format!("did you mean {}?", quoted(&near).join(" or "));
    }
    match known {
        [] => "there is none".to_owned(),
        [only] => format!("there is only `{only}`"),
        _ => format!("there are {}", quoted(known).join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_find_their_name() {
        let known = ["needs", "title", "migration", "min_instances"];
        assert_eq!(nearest("need", known), ["needs"]);
        assert_eq!(nearest("migratoin", known), ["migration"]);
        assert_eq!(nearest("instances", known), ["min_instances"]);
        assert!(nearest("colour", known).is_empty());
        assert_eq!(did_you_mean("tilte", &known), "did you mean `title`?");
        assert_eq!(did_you_mean("colour", &["a", "b"]), "there are `a`, `b`");
    }
}
