//! Names people give to plans, phases, environments and services, checked once at the border.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text cannot serve as an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a valid {what}: use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit"
)]
pub struct InvalidIdentifier {
    /// The offending text.
    pub text: String,
    /// What it was meant to name.
    pub what: &'static str,
}

fn checked(text: &str, what: &'static str) -> Result<String, InvalidIdentifier> {
    let mut bytes = text.bytes();
    let starts_well = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let goes_on_well =
        bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
    if starts_well && goes_on_well && text.len() <= 63 {
        Ok(text.to_owned())
    } else {
        Err(InvalidIdentifier {
            text: text.to_owned(),
            what,
        })
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidIdentifier;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                checked(text, $what).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdentifier;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

identifier!(
    /// The id of a release plan, unique in a repository.
    PlanId,
    "plan id"
);
identifier!(
    /// The id of a phase, unique within its plan.
    PhaseId,
    "phase id"
);
identifier!(
    /// The name of an environment in `shipctl.toml`.
    EnvironmentName,
    "environment name"
);
identifier!(
    /// The name of a service: something that runs code versions against the database.
    ServiceName,
    "service name"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_checked() {
        for good in ["a", "rename-users-name", "v1.2", "0_x"] {
            assert!(good.parse::<PlanId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a/b", "a@b", &"x".repeat(64)] {
            assert!(bad.parse::<PhaseId>().is_err(), "{bad}");
        }
    }
}
