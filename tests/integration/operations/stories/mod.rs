//! The code that lives through each operation; see [`live_through`].

mod columns;
mod constraints;
mod enums;
mod keys;
mod moved;
mod own;
mod reshaped;
mod tables;

use super::clients::{Code, Story, live_through, live_through_with};

const GONE: &str = "DELETE FROM users WHERE id = {id}";

/// Code that knows a table of names only.
const NAMES: Code = Code {
    insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n}')",
    update: "UPDATE users SET name = 'v{n}' WHERE id = {id}",
    read: "SELECT name FROM users WHERE id = {id}",
    delete: GONE,
};

const BOTH_NAMES: Code = Code {
    insert: "INSERT INTO users (id, name, display_name) VALUES ({id}, 'v{n}', 'v{n}')",
    update: "UPDATE users SET name = 'v{n}', display_name = 'v{n}' WHERE id = {id}",
    read: "SELECT name FROM users WHERE id = {id}",
    delete: GONE,
};

const NEW_NAMES: Code = Code {
    insert: "INSERT INTO users (id, display_name) VALUES ({id}, 'v{n}')",
    update: "UPDATE users SET display_name = 'v{n}' WHERE id = {id}",
    read: "SELECT display_name FROM users WHERE id = {id}",
    delete: GONE,
};

/// Code that leaves the locale NULL now and then, and reads the name for it.
const MAY_BE_NULL: Code = Code {
    insert: "INSERT INTO users (id, name, locale) VALUES ({id}, 'v{n}', CASE WHEN {n} % 2 = 0 THEN 'v{n}' END)",
    update: "UPDATE users SET name = 'v{n}', locale = CASE WHEN {n} % 2 = 0 THEN 'v{n}' END WHERE id = {id}",
    read: "SELECT coalesce(locale, name) FROM users WHERE id = {id}",
    delete: GONE,
};

const NEVER_NULL: Code = Code {
    insert: "INSERT INTO users (id, name, locale) VALUES ({id}, 'v{n}', 'v{n}')",
    update: "UPDATE users SET name = 'v{n}', locale = 'v{n}' WHERE id = {id}",
    read: "SELECT coalesce(locale, name) FROM users WHERE id = {id}",
    delete: GONE,
};

const LOCALE: Code = Code {
    read: "SELECT locale FROM users WHERE id = {id}",
    ..NEVER_NULL
};

async fn all(stories: &[Story]) {
    for story in stories {
        live_through(story).await;
    }
}

/// Without a soak and an approval.
const AT_ONCE: [&str; 4] = ["--soak", "0s", "--approvals", "0"];

fn at_once(arguments: &[&'static str]) -> &'static [&'static str] {
    Vec::leak([arguments, &AT_ONCE].concat())
}
