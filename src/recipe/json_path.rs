//! Where in a JSON document a value is: `country`, `address.city`, `phones[0].number`, `"a key. with dots"`.
//!
//! Keys keep their capitals. One with a dot, a bracket, a quote or a space stands in double quotes, in which a quote is
//! written twice, as in an SQL name. A number in brackets is the place in an array, from 0; `a.0` is the key "0".

use std::fmt;
use std::str::FromStr;

use crate::domain::InvalidName;
use crate::sql::literal;

/// One step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An element of an array.
    Element(u32),
}

/// The steps to a value, of which there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    before: Vec<Step>,
    last: Step,
}

impl JsonPath {
    /// The last step.
    pub fn last(&self) -> &Step {
        &self.last
    }

    /// All steps.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.before.iter().chain([&self.last])
    }

    /// The value as JSON, or NULL where it is not there.
    pub fn value(&self, document: &str) -> String {
        self.steps().fold(document.to_owned(), |inner, step| {
            format!("{inner} -> {}", step.operand())
        })
    }

    /// The value as text, or NULL where it is not there or is null.
    pub fn text(&self, document: &str) -> String {
        let inner = self.before.iter().fold(document.to_owned(), |inner, step| {
            format!("{inner} -> {}", step.operand())
        });
        format!("{inner} ->> {}", self.last.operand())
    }

    /// The first steps of all as `jsonb_set` and `#-` take them.
    pub fn array(&self, first: usize) -> String {
        let each: Vec<String> = self.steps().take(first).map(Step::element_of_path).collect();
        format!("ARRAY[{}]", each.join(", "))
    }
}

impl Step {
    /// What stands behind `->`: a text finds keys only, a number elements only.
    pub fn operand(&self) -> String {
        match self {
            Self::Key(key) => literal(key),
            Self::Element(number) => number.to_string(),
        }
    }

    fn element_of_path(&self) -> String {
        match self {
            Self::Key(key) => literal(key),
            Self::Element(number) => format!("'{number}'"),
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.steps().enumerate() {
            match step {
                Step::Element(number) => write!(f, "[{number}]")?,
                Step::Key(key) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    if key.is_empty() || key.chars().any(is_special) {
                        write!(f, "\"{}\"", key.replace('"', "\"\""))?;
                    } else {
                        f.write_str(key)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a key with this character has to be quoted.
fn is_special(c: char) -> bool {
    matches!(
        c,
        '.' | '[' | ']' | '"' | '\'' | '$' | '>' | '{' | '}' | ',' | '\\'
    ) || c.is_whitespace()
        || c.is_control()
}

impl FromStr for JsonPath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |why: &str| InvalidName {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let mut steps: Vec<Step> = Vec::new();
        let mut rest = text;
        loop {
            if let Some(inner) = rest.strip_prefix('[') {
                let (number, after) = inner
                    .split_once(']')
                    .ok_or_else(|| invalid("a bracket is not closed"))?;
                let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                let number = number
                    .parse()
                    .ok()
                    .filter(|place| is_number && i32::try_from(*place).is_ok());
                steps.push(Step::Element(number.ok_or_else(|| {
                    invalid("brackets hold the place in an array, from 0; a key goes in double quotes")
                })?));
                rest = after;
            } else if let Some(inner) = rest.strip_prefix('"') {
                let (key, after) = quoted(inner).ok_or_else(|| invalid("a double quote is not closed"))?;
                steps.push(Step::Key(key));
                rest = after;
            } else {
                let end = rest.find(is_special).unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                if key.is_empty() {
                    return Err(invalid(
                        "expected a key, such as country, address.city or phones[0]; put one that is not plain in double \
                         quotes",
                    ));
                }
                steps.push(Step::Key(key.to_owned()));
                rest = after;
            }
            if steps
                .iter()
                .any(|step| matches!(step, Step::Key(key) if key.contains('\0')))
            {
                return Err(invalid(
                    "it holds a zero byte, which no JSON of the database does",
                ));
            }
            match rest.strip_prefix('.') {
                Some(after) if after.starts_with('[') => {
                    return Err(invalid("a dot comes before a key only"));
                }
                Some(after) => rest = after,
                None if rest.starts_with('[') => {}
                None if rest.is_empty() => break,
                None => {
                    return Err(invalid(
                        "expected a dot, a bracket or the end after a key; put a key that is not plain in double quotes",
                    ));
                }
            }
        }
        let last = steps.pop().ok_or_else(|| invalid("it is empty"))?;
        Ok(Self { before: steps, last })
    }
}

/// What stands before the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        key.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                key.push('"');
                rest = more;
            }
            None => return Some((key, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> JsonPath {
        text.parse().unwrap()
    }

    #[test]
    fn keys_and_elements_are_told_apart_and_come_back_as_they_were_written() {
        for (text, value, array) in [
            ("country", "d -> 'country'", "ARRAY['country']"),
            (
                "Address.city",
                "d -> 'Address' -> 'city'",
                "ARRAY['Address', 'city']",
            ),
            (
                "phones[0].no",
                "d -> 'phones' -> 0 -> 'no'",
                "ARRAY['phones', '0', 'no']",
            ),
            ("[1]", "d -> 1", "ARRAY['1']"),
            ("a.0", "d -> 'a' -> '0'", "ARRAY['a', '0']"),
            ("größe.🐘", "d -> 'größe' -> '🐘'", "ARRAY['größe', '🐘']"),
            (
                "\"a.b \"\"c\"\"\".\"it's\"",
                "d -> 'a.b \"c\"' -> 'it''s'",
                "ARRAY['a.b \"c\"', 'it''s']",
            ),
            ("\"\"", "d -> ''", "ARRAY['']"),
        ] {
            let path = path(text);
            assert_eq!(path.value("d"), value);
            assert_eq!(path.array(9), array);
            assert_eq!(path.to_string(), text);
        }
        assert_eq!(path("a.b").text("d"), "d -> 'a' ->> 'b'");
        assert_eq!(path("a[2]").text("d"), "d -> 'a' ->> 2");
    }

    #[test]
    fn what_could_mean_two_things_is_no_path() {
        for text in [
            "",
            ".a",
            "a.",
            "a..b",
            "a[",
            "a[x]",
            "a[-1]",
            "a[]",
            "a.[0]",
            "->>a",
            "a b",
            "$.a",
            "\"a",
            "a\"b\"",
            "\"a\"b",
            "{a,b}",
            "a,b",
            "[99999999999]",
        ] {
            assert!(text.parse::<JsonPath>().is_err(), "{text}");
        }
    }
}
