//! The code that lives through each operation; see [`live_through`].

use super::clients::{Code, Story, live_through};

/// Code that knows a table of names only.
const NAMES: Code = Code {
    insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n}')",
    update: "UPDATE users SET name = 'v{n}' WHERE id = {id}",
    read: "SELECT name FROM users WHERE id = {id}",
};

const BOTH_NAMES: Code = Code {
    insert: "INSERT INTO users (id, name, display_name) VALUES ({id}, 'v{n}', 'v{n}')",
    update: "UPDATE users SET name = 'v{n}', display_name = 'v{n}' WHERE id = {id}",
    read: "SELECT name FROM users WHERE id = {id}",
};

const NEW_NAMES: Code = Code {
    insert: "INSERT INTO users (id, display_name) VALUES ({id}, 'v{n}')",
    update: "UPDATE users SET display_name = 'v{n}' WHERE id = {id}",
    read: "SELECT display_name FROM users WHERE id = {id}",
};

/// Code that leaves the locale NULL now and then, and reads the name for it.
const MAY_BE_NULL: Code = Code {
    insert: "INSERT INTO users (id, name, locale) VALUES ({id}, 'v{n}', CASE WHEN {n} % 2 = 0 THEN 'v{n}' END)",
    update: "UPDATE users SET name = 'v{n}', locale = CASE WHEN {n} % 2 = 0 THEN 'v{n}' END WHERE id = {id}",
    read: "SELECT coalesce(locale, name) FROM users WHERE id = {id}",
};

const NEVER_NULL: Code = Code {
    insert: "INSERT INTO users (id, name, locale) VALUES ({id}, 'v{n}', 'v{n}')",
    update: "UPDATE users SET name = 'v{n}', locale = 'v{n}' WHERE id = {id}",
    read: "SELECT coalesce(locale, name) FROM users WHERE id = {id}",
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_a_rename() {
    let ddl = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL UNIQUE CHECK (name <> ''));
               INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n";
    all(&[
        Story {
            name: "rename",
            ddl,
            arguments: &[
                "rename",
                "users.name",
                "display_name",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            code: vec![
                NAMES,
                BOTH_NAMES,
                Code {
                    read: NEW_NAMES.read,
                    ..BOTH_NAMES
                },
                NEW_NAMES,
            ],
            back: true,
        },
        Story {
            name: "rename, kept by a trigger",
            ddl,
            arguments: &[
                "rename",
                "users.name",
                "display_name",
                "--sync",
                "trigger",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            code: vec![NAMES, NEW_NAMES],
            back: true,
        },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_changes_of_a_column() {
    let ddl = "CREATE TABLE users (id bigint PRIMARY KEY, name text, locale text DEFAULT 'en');
               INSERT INTO users SELECT n, 'v' || n, CASE WHEN n % 2 = 0 THEN 'v' || n END FROM generate_series(1, 50) n";
    let names = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, locale text NOT NULL);
                 INSERT INTO users SELECT n, 'v' || n, 'v' || n FROM generate_series(1, 50) n";
    all(&[
        Story {
            name: "add-column",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: &[
                "add-column",
                "users.locale",
                "text",
                "--fill",
                "'en'",
                "--not-null",
            ],
            code: vec![
                NAMES,
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
                // What old code wrote before it was gone is filled.
                Code {
                    read: "SELECT CASE WHEN locale IS NOT NULL THEN name END FROM users WHERE id = {id}",
                    ..NEVER_NULL
                },
            ],
            back: true,
        },
        Story {
            name: "drop-column",
            ddl: names,
            arguments: &[
                "drop-column",
                "users.locale",
                "--fill",
                "name",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            code: vec![
                NEVER_NULL,
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
                NAMES,
            ],
            // Its values are lost.
            back: false,
        },
        Story {
            name: "drop-column, and back with other values",
            ddl: names,
            arguments: &[
                "drop-column",
                "users.locale",
                "--fill",
                "'none'",
                "--soak",
                "0s",
                "--approvals",
                "0",
            ],
            code: vec![
                Code {
                    read: "SELECT CASE WHEN locale IS NOT NULL THEN name END FROM users WHERE id = {id}",
                    ..NEVER_NULL
                },
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
                NAMES,
            ],
            back: true,
        },
        Story {
            name: "set-not-null",
            ddl,
            arguments: &["set-not-null", "users.locale", "--fill", "name"],
            code: vec![MAY_BE_NULL, NEVER_NULL],
            back: true,
        },
        Story {
            name: "drop-not-null",
            ddl: names,
            arguments: &["drop-not-null", "users.locale", "--fill", "name"],
            code: vec![LOCALE, NEVER_NULL, MAY_BE_NULL],
            back: true,
        },
        Story {
            name: "set-default",
            ddl,
            arguments: &["set-default", "users.locale", "'de'"],
            code: vec![
                NAMES,
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
            ],
            back: true,
        },
        Story {
            name: "drop-default",
            ddl,
            arguments: &["drop-default", "users.locale", "--soak", "0s", "--approvals", "0"],
            code: vec![
                NAMES,
                Code {
                    read: NAMES.read,
                    ..NEVER_NULL
                },
            ],
            back: true,
        },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_constraints_and_indexes() {
    let ddl = "CREATE TABLE teams (id bigint PRIMARY KEY); INSERT INTO teams SELECT generate_series(1, 9);
               CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, locale text, team_id bigint DEFAULT 3,
                   CONSTRAINT named CHECK (name <> ''));
               CREATE INDEX by_name ON users (name);
               INSERT INTO users SELECT n, 'v' || n, 'v' || n FROM generate_series(1, 50) n";
    let teams = Code {
        insert: "INSERT INTO users (id, name, team_id) VALUES ({id}, 'v{n}', 1 + {n} % 9)",
        update: "UPDATE users SET name = 'v{n}', team_id = 1 + {n} % 9 WHERE id = {id}",
        read: NAMES.read,
    };
    let at_last: &[&str] = &["--soak", "0s", "--approvals", "0"];
    let drop_constraint = [&["drop-constraint", "users", "named"], at_last].concat();
    let drop_index: &[&str] = &["drop-index", "users", "by_name", "--soak", "0s"];
    let drop_constraint: &'static [&'static str] = Vec::leak(drop_constraint);
    for (name, arguments, code) in [
        (
            "add-check",
            &["add-check", "users", "starts", "name LIKE 'v%'"][..],
            &[NAMES, NAMES][..],
        ),
        (
            "add-foreign-key",
            &["add-foreign-key", "users.team_id", "teams.id"],
            &[NAMES, NAMES],
        ),
        ("add-unique", &["add-unique", "users", "name"], &[NAMES, NAMES]),
        ("drop-constraint", drop_constraint, &[NAMES, NAMES]),
        ("add-index", &["add-index", "users", "lower(name)"], &[NAMES]),
        ("drop-index", drop_index, &[NAMES]),
    ] {
        let code: Vec<Code> = match name {
            "add-foreign-key" => code.iter().map(|_| teams).collect(),
            _ => code.to_vec(),
        };
        live_through(&Story {
            name,
            ddl,
            arguments,
            code,
            back: true,
        })
        .await;
    }
}

/// Without a soak and an approval.
const AT_ONCE: [&str; 4] = ["--soak", "0s", "--approvals", "0"];

fn at_once(arguments: &[&'static str]) -> &'static [&'static str] {
    Vec::leak([arguments, &AT_ONCE].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_changes_of_whole_tables() {
    let ddl = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
               CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL);
               INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n; INSERT INTO people TABLE users";
    let people = Code {
        insert: "INSERT INTO people (id, name) VALUES ({id}, 'v{n}')",
        update: "UPDATE people SET name = 'v{n}' WHERE id = {id}",
        read: "SELECT name FROM people WHERE id = {id}",
    };
    let accounts = Code {
        insert: "INSERT INTO accounts (id, name) VALUES ({id}, 'v{n}')",
        update: "UPDATE accounts SET name = 'v{n}' WHERE id = {id}",
        read: "SELECT name FROM accounts WHERE id = {id} FOR UPDATE",
    };
    let both = Code {
        insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n}'); INSERT INTO people (id, name) VALUES ({id}, 'v{n}')",
        update: "UPDATE users SET name = 'v{n}' WHERE id = {id}; UPDATE people SET name = 'v{n}' WHERE id = {id}",
        read: people.read,
    };
    all(&[
        Story {
            name: "rename-table",
            ddl,
            arguments: at_once(&["rename-table", "users", "accounts"]),
            code: vec![
                Code {
                    read: "SELECT name FROM users WHERE id = {id} FOR UPDATE",
                    ..NAMES
                },
                accounts,
            ],
            back: true,
        },
        Story {
            name: "drop-table",
            ddl,
            arguments: at_once(&["drop-table", "users"]),
            code: vec![both, people],
            // Its rows are lost, and the old code of this story reads the other table.
            back: true,
        },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_changes_of_enum_values() {
    let ddl = "CREATE TYPE mood AS ENUM ('glad', 'sad');
               CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, mood mood NOT NULL);
               INSERT INTO users SELECT n, 'v' || n, 'sad' FROM generate_series(1, 50) n";
    let sad = Code {
        insert: "INSERT INTO users (id, name, mood) VALUES ({id}, 'v{n}', 'sad')",
        update: "UPDATE users SET name = 'v{n}', mood = 'sad' WHERE id = {id}",
        // What it does not know it cannot read.
        read: "SELECT CASE mood::text WHEN 'sad' THEN name WHEN 'glad' THEN name END FROM users WHERE id = {id}",
    };
    let low = Code {
        insert: "INSERT INTO users (id, name, mood) VALUES ({id}, 'v{n}', 'low')",
        update: "UPDATE users SET name = 'v{n}', mood = 'low' WHERE id = {id}",
        read: "SELECT CASE mood::text WHEN 'low' THEN name WHEN 'glad' THEN name END FROM users WHERE id = {id}",
    };
    let reads_both =
        "SELECT CASE mood::text WHEN 'low' THEN name WHEN 'sad' THEN name WHEN 'glad' THEN name END
                        FROM users WHERE id = {id}";
    let glad = Code {
        insert: "INSERT INTO users (id, name, mood) VALUES ({id}, 'v{n}', 'glad')",
        update: "UPDATE users SET name = 'v{n}', mood = 'glad' WHERE id = {id}",
        read: sad.read,
    };
    all(&[
        Story {
            name: "add-enum-value",
            ddl,
            arguments: &["add-enum-value", "mood", "low", "--after", "glad"],
            code: vec![
                sad,
                Code {
                    read: reads_both,
                    ..sad
                },
                Code {
                    read: reads_both,
                    ..low
                },
            ],
            // A value that was written does not go away by itself.
            back: false,
        },
        Story {
            name: "rename-enum-value",
            ddl,
            arguments: &["rename-enum-value", "mood", "sad", "low"],
            code: vec![
                sad,
                Code {
                    read: reads_both,
                    ..sad
                },
                Code {
                    read: reads_both,
                    ..low
                },
                low,
            ],
            back: false,
        },
        Story {
            name: "drop-enum-value",
            ddl,
            arguments: &["drop-enum-value", "mood", "sad", "--fill", "glad"],
            code: vec![sad, glad],
            back: true,
        },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_columns_that_are_made_of_others() {
    let ddl = "CREATE TABLE users (id bigint PRIMARY KEY, profile jsonb, name text NOT NULL, nickname text, locale text);
               CREATE INDEX by_name ON users (name);
               INSERT INTO users SELECT n, jsonb_build_object('city', 'v' || n), 'v' || n || ' x', 'v' || n, 'x'
                 FROM generate_series(1, 50) n";
    all(&[
        Story {
            name: "replace-index",
            ddl,
            arguments: &["replace-index", "users", "by_name", "lower(name)", "--soak", "0s"],
            code: vec![Code {
                insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n}')",
                update: NAMES.update,
                read: "SELECT split_part(name, ' ', 1) FROM users WHERE id = {id}",
            }],
            back: true,
        },
        Story {
            name: "extract-json",
            ddl,
            arguments: at_once(&["extract-json", "users.profile", "city", "city", "text"]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name, profile) VALUES ({id}, 'x', '{\"city\": \"v{n}\"}')",
                    update: "UPDATE users SET profile = profile || '{\"city\": \"v{n}\"}' WHERE id = {id}",
                    read: "SELECT profile ->> 'city' FROM users WHERE id = {id}",
                },
                Code {
                    insert: "INSERT INTO users (id, name, city) VALUES ({id}, 'x', 'v{n}')",
                    update: "UPDATE users SET city = 'v{n}' WHERE id = {id}",
                    read: "SELECT city FROM users WHERE id = {id}",
                },
            ],
            back: true,
        },
        Story {
            name: "split-column",
            ddl,
            arguments: at_once(&[
                "split-column",
                "users.name",
                "first_name",
                "last_name",
                "--into",
                "split_part(name, ' ', 1)",
                "--into",
                "split_part(name, ' ', 2)",
                "--from",
                "first_name || ' ' || last_name",
            ]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n} x')",
                    update: "UPDATE users SET name = 'v{n} x' WHERE id = {id}",
                    read: "SELECT split_part(name, ' ', 1) FROM users WHERE id = {id}",
                },
                Code {
                    insert: "INSERT INTO users (id, first_name, last_name) VALUES ({id}, 'v{n}', 'x')",
                    update: "UPDATE users SET first_name = 'v{n}' WHERE id = {id}",
                    read: "SELECT first_name FROM users WHERE id = {id}",
                },
            ],
            back: true,
        },
        Story {
            name: "merge-columns",
            ddl,
            arguments: at_once(&[
                "merge-columns",
                "users",
                "label",
                "--of",
                "nickname,locale",
                "--into",
                "nickname || ':' || locale",
                "--from",
                "split_part(label, ':', 1)",
                "--from",
                "split_part(label, ':', 2)",
            ]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, name, nickname, locale) VALUES ({id}, 'x', 'v{n}', 'y')",
                    update: "UPDATE users SET nickname = 'v{n}' WHERE id = {id}",
                    read: "SELECT nickname FROM users WHERE id = {id}",
                },
                Code {
                    insert: "INSERT INTO users (id, name, label) VALUES ({id}, 'x', 'v{n}:y')",
                    update: "UPDATE users SET label = 'v{n}:y' WHERE id = {id}",
                    read: "SELECT split_part(label, ':', 1) FROM users WHERE id = {id}",
                },
            ],
            back: true,
        },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_columns_that_move_to_another_table() {
    let of_users = Code {
        insert: "INSERT INTO users (id, bio) VALUES ({id}, 'v{n}'); INSERT INTO profiles (user_id) VALUES ({id})",
        update: "UPDATE users SET bio = 'v{n}' WHERE id = {id}",
        read: "SELECT bio FROM users WHERE id = {id}",
    };
    let of_profiles = Code {
        insert: "INSERT INTO users (id) VALUES ({id}); INSERT INTO profiles (user_id, about) VALUES ({id}, 'v{n}')",
        update: "UPDATE profiles SET about = 'v{n}' WHERE user_id = {id}",
        read: "SELECT about FROM profiles WHERE user_id = {id}",
    };
    all(&[
        Story {
            name: "move-column",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, bio text NOT NULL DEFAULT '-'); CREATE INDEX by_bio ON users (bio);
                  CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n; INSERT INTO profiles SELECT id FROM users",
            arguments: at_once(&["move-column", "users.bio", "profiles.about"]),
            code: vec![of_users, of_profiles],
            back: true,
        },
        Story {
            name: "move-column, with rows that are made",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, bio text);
                  CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: at_once(&["move-column", "users.bio", "profiles.about", "--create-rows"]),
            code: vec![
                Code {
                    insert: "INSERT INTO users (id, bio) VALUES ({id}, 'v{n}')",
                    ..of_users
                },
                Code {
                    insert: "INSERT INTO users (id) VALUES ({id}); INSERT INTO profiles (user_id, about) VALUES ({id}, 'v{n}')
                             ON CONFLICT (user_id) DO UPDATE SET about = EXCLUDED.about",
                    ..of_profiles
                },
            ],
            back: true,
        },
        Story {
            name: "move-column, to the table that is referred to",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY);
                  CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users, about text DEFAULT '-');
                  INSERT INTO users SELECT n FROM generate_series(1, 50) n; INSERT INTO profiles SELECT id, 'v' || id FROM users",
            arguments: at_once(&["move-column", "profiles.about", "users.bio"]),
            code: vec![of_profiles, of_users],
            back: true,
        },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_changes_of_types_and_keys() {
    let ddl = "CREATE TABLE users (id bigint NOT NULL UNIQUE, name varchar(20) NOT NULL, amount integer NOT NULL DEFAULT 0);
               CREATE INDEX by_amount ON users (amount);
               INSERT INTO users SELECT n, 'v' || n, n FROM generate_series(1, 50) n";
    let amounts = Code {
        insert: "INSERT INTO users (id, name, amount) VALUES ({id}, 'x', {n})",
        update: "UPDATE users SET amount = {n} WHERE id = {id}",
        read: "SELECT 'v' || amount FROM users WHERE id = {id}",
    };
    all(&[
        Story {
            name: "change-type, in place",
            ddl,
            arguments: &["change-type", "users.name", "text"],
            code: vec![NAMES, NAMES],
            back: true,
        },
        Story {
            name: "change-type, by a second column",
            ddl,
            arguments: at_once(&["change-type", "users.amount", "bigint"]),
            code: vec![amounts, amounts],
            back: true,
        },
        Story {
            name: "change-type, with expressions",
            ddl,
            arguments: at_once(&[
                "change-type",
                "users.amount",
                "text",
                "--using",
                "amount::text",
                "--back",
                "amount::integer",
            ]),
            code: vec![
                amounts,
                Code {
                    // It works with either type.
                    insert: "INSERT INTO users (id, name, amount) VALUES ({id}, 'x', '{n}')",
                    update: "UPDATE users SET amount = '{n}' WHERE id = {id}",
                    read: amounts.read,
                },
            ],
            back: true,
        },
        Story {
            name: "add-primary-key",
            ddl,
            arguments: &["add-primary-key", "users", "id"],
            code: vec![NAMES, NAMES],
            back: true,
        },
        Story {
            name: "add-identity",
            ddl,
            arguments: &["add-identity", "users.id"],
            code: vec![NAMES],
            back: true,
        },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_tables_and_partitions_that_come_and_go() {
    let both = Code {
        insert: "INSERT INTO users (id, name) VALUES ({id}, 'v{n}'); INSERT INTO people (id, name) VALUES ({id}, 'v{n}')",
        ..NAMES
    };
    let everybody = Code {
        insert: "INSERT INTO everybody (id, name) VALUES ({id}, 'v{n}')",
        update: "UPDATE everybody SET name = 'v{n}' WHERE id = {id}",
        read: "SELECT name FROM everybody WHERE id = {id}",
    };
    all(&[
        Story {
            name: "create-table",
            ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: &[
                "create-table",
                "CREATE TABLE people (id bigint PRIMARY KEY REFERENCES users, name text)",
            ],
            code: vec![NAMES, both],
            back: true,
        },
        Story {
            name: "attach-partition",
            ddl: "CREATE TABLE everybody (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
                  CREATE TABLE users (id bigint NOT NULL, name text);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: &[
                "attach-partition",
                "everybody",
                "users",
                "--for",
                "FROM (0) TO (1000000)",
            ],
            code: vec![NAMES, NAMES],
            back: true,
        },
        Story {
            name: "detach-partition",
            ddl: "CREATE TABLE everybody (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
                  CREATE TABLE users PARTITION OF everybody FOR VALUES FROM (0) TO (1000000);
                  INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
            arguments: at_once(&["detach-partition", "everybody", "users"]),
            code: vec![everybody, NAMES],
            back: true,
        },
    ])
    .await;
}
