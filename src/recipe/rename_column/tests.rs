use proptest::prelude::*;

use super::*;
use crate::plan::SyncMode;
use crate::recipe::{DefaultValue, Deferrable, ForeignKeyFacts, IndexKey, IndexedValue, UniqueConstraint};
use crate::sql::MigrationFile;

fn now() -> Timestamp {
    "2026-11-22T10:15:00Z".parse().unwrap()
}

fn name(text: &str) -> SqlIdentifier {
    SqlIdentifier::from_catalog(text)
}

fn plain() -> ColumnFacts {
    ColumnFacts::plain("public.users.name".parse().unwrap(), "text")
}

fn phases(recipe: &Recipe) -> Vec<String> {
    let table: toml::Table = recipe.plan_text.parse().unwrap();
    table["phase"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_plain_column_needs_neither_constrain_nor_relax() {
    let recipe = recipe(&plain(), &Wish::new(name("display_name")), now()).unwrap();
    assert_eq!(
        phases(&recipe),
        [
            "add",
            "dual-write",
            "backfill",
            "switch-read",
            "stop-write",
            "drop"
        ]
    );
    assert_eq!(recipe.plan_file, "rename-users-name.toml");
    let files: Vec<&str> = recipe.migrations.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        files,
        [
            "20261122_101500_add_users_display_name.sql",
            "20261122_101503_drop_users_name.sql"
        ]
    );
    insta::assert_snapshot!(recipe.plan_text);
}

#[test]
fn what_holds_the_old_column_is_copied_and_then_freed() {
    let mut facts = plain();
    facts.not_null = true;
    facts.checks.push(CheckFacts {
        name: name("users_name_check"),
        expression: "(name <> ''::text)".to_owned(),
        no_inherit: false,
        validated: true,
        comment: None,
    });
    facts.indexes.push(IndexFacts {
        name: name("users_name_key"),
        method: name("btree"),
        unique: true,
        nulls_not_distinct: false,
        keys: vec![IndexKey {
            what: IndexedValue::Column(name("name")),
            collation: None,
            operator_class: None,
            descending: false,
            nulls_first: None,
        }],
        include: Vec::new(),
        predicate: None,
        options: Vec::new(),
        tablespace: None,
        constraint: Some(UniqueConstraint {
            primary: false,
            deferrable: Deferrable::No,
            comment: None,
        }),
        comment: None,
        clustered: false,
        statistics: Vec::new(),
    });
    let recipe = recipe(&facts, &Wish::new(name("display_name")), now()).unwrap();
    assert_eq!(
        phases(&recipe),
        [
            "add",
            "dual-write",
            "backfill",
            "constrain",
            "switch-read",
            "relax",
            "stop-write",
            "drop"
        ]
    );
    let files: String = recipe
        .migrations
        .iter()
        .map(|(name, text)| format!("===== {name}\n{text}\n"))
        .collect();
    insta::assert_snapshot!(files);
}

#[test]
fn impossible_names_are_refused() {
    let mut facts = plain();
    facts.siblings.push(name("email"));
    for to in ["name", "email", "ctid"] {
        let problem = recipe(&facts, &Wish::new(name(to)), now()).unwrap_err();
        assert_eq!(problem.code(), "rename-name", "{to}");
    }
}

#[test]
fn a_refusal_names_everything_that_cannot_be_carried() {
    let mut facts = plain();
    for what in ["primary key users_pkey", "view people"] {
        facts.refused.push(Refused {
            what: what.to_owned(),
            why: "because".to_owned(),
        });
    }
    facts.checks.push(CheckFacts {
        name: name("odd"),
        expression: "(users.name <> '')".to_owned(),
        no_inherit: false,
        validated: true,
        comment: None,
    });
    let problem = recipe(&facts, &Wish::new(name("display_name")), now()).unwrap_err();
    assert_eq!(problem.related().len(), 3);
    for what in ["users_pkey", "people", "odd"] {
        assert!(problem.why().unwrap().contains(what));
    }
}

/// Columns with any mixture of what makes a recipe lock and scan.
fn held_columns() -> impl Strategy<Value = ColumnFacts> {
    let checks = proptest::collection::vec(any::<(bool, bool)>(), 0..3);
    let keys = proptest::collection::vec(any::<bool>(), 0..3);
    let indexes = proptest::collection::vec(any::<(bool, bool)>(), 0..3);
    let default = prop_oneof![
        Just((None, DefaultValue::Unknown)),
        Just((Some("''::text".to_owned()), DefaultValue::Same)),
        Just((Some("random()::text".to_owned()), DefaultValue::Another)),
    ];
    (any::<bool>(), default, checks, keys, indexes).prop_map(|(not_null, default, checks, keys, indexes)| {
        let mut facts = plain();
        facts.not_null = not_null;
        (facts.default, facts.default_value) = default;
        facts.checks = checks
            .iter()
            .enumerate()
            .map(|(at, (no_inherit, validated))| CheckFacts {
                name: name(&format!("check {at}")),
                expression: "(name <> ''::text)".to_owned(),
                no_inherit: *no_inherit,
                validated: *validated,
                comment: None,
            })
            .collect();
        facts.foreign_keys = keys
            .iter()
            .enumerate()
            .map(|(at, validated)| ForeignKeyFacts {
                name: name(&format!("key {at}")),
                columns: vec![name("name")],
                target: "public.names".parse().unwrap(),
                target_columns: vec![name("name")],
                match_full: false,
                on_update: None,
                on_delete: None,
                deferrable: Deferrable::No,
                validated: *validated,
                comment: None,
            })
            .collect();
        facts.indexes = indexes
            .iter()
            .enumerate()
            .map(|(at, (unique, constraint))| IndexFacts {
                name: name(&format!("index {at}")),
                method: name("btree"),
                unique: *unique,
                nulls_not_distinct: false,
                keys: vec![IndexKey {
                    what: IndexedValue::Column(name("name")),
                    collation: None,
                    operator_class: None,
                    descending: false,
                    nulls_first: None,
                }],
                include: Vec::new(),
                predicate: None,
                options: Vec::new(),
                tablespace: None,
                constraint: (*unique && *constraint).then_some(UniqueConstraint {
                    primary: false,
                    deferrable: Deferrable::No,
                    comment: None,
                }),
                comment: None,
                clustered: false,
                statistics: Vec::new(),
            })
            .collect();
        facts
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn nothing_is_scanned_in_the_transaction_of_a_lock_that_others_wait_for(
        facts in held_columns(),
        sync in prop_oneof![Just(SyncMode::Code), Just(SyncMode::Trigger)],
    ) {
        let wish = Wish { sync, ..Wish::new(name("display_name")) };
        let recipe = recipe(&facts, &wish, now()).unwrap();
        for (file, text) in &recipe.migrations {
            let migration = MigrationFile::from_text(file.trim_end_matches(".sql"), text).unwrap();
            for step in migration.up.steps.iter().chain(migration.down.iter().flat_map(|down| &down.steps)) {
                let validates = step.statements.iter().any(|one| one.text.contains("VALIDATE CONSTRAINT"));
                prop_assert!(!validates || step.statements.len() == 1, "{file}: {:?}", step);
                prop_assert!(step.scan_under_lock().is_none(), "{file}: {:?}", step);
            }
        }
    }
}
