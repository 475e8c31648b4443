//! Every layout of migration files, and what is wrong with some.

use super::*;

fn texts(text: &str) -> (String, Option<String>) {
    let file = MigrationFile::from_text("0001_x", text).unwrap();
    (
        file.up_text.trim().to_owned(),
        file.down_text.map(|text| text.trim().to_owned()),
    )
}

fn pair(up: &str, down: &str) -> (String, Option<String>) {
    (up.to_owned(), Some(down.to_owned()))
}

#[test]
fn both_sides_are_found_in_every_common_spelling() {
    for text in [
        "-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;",
        "--up\r\nSELECT 1;\r\n--down\r\nSELECT 2;\r\n",
        "\u{feff}-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;",
        "-- a title\n/* a block */\n-- ===== UP =====\nSELECT 1;\n  -- Down:\nSELECT 2;",
        "-- Up Migration\nSELECT 1;\n-- Down Migration\nSELECT 2;",
        "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;",
        "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;",
        "SELECT 1;\n-- DOWN\nSELECT 2;",
        "-- DOWN\nSELECT 2;\n-- UP\nSELECT 1;",
    ] {
        assert_eq!(texts(text), pair("SELECT 1;", "SELECT 2;"), "{text}");
    }
    assert_eq!(texts("SELECT 1;"), ("SELECT 1;".to_owned(), None));
    assert_eq!(
        texts("-- UP\nSELECT 1;\n-- DOWN\n-- nothing"),
        ("SELECT 1;".to_owned(), None)
    );
}

#[test]
fn markers_inside_strings_dollar_quotes_and_comments_are_none() {
    let tricky = "-- UP\nSELECT '\n-- DOWN\n', $$\n-- DOWN\n$$, $t$\n-- UP\n$t$ /*\n-- DOWN\n*/, \"\n-- DOWN\n\"; -- DOWN\n\
                  -- goes down well\nSELECT 1;\n-- DOWN\nSELECT 2;";
    let file = MigrationFile::from_text("0001_x", tricky).unwrap();
    assert_eq!(file.up.steps.len(), 2);
    assert_eq!(file.down_text.unwrap().trim(), "SELECT 2;");
}

#[test]
fn unclear_sides_are_refused() {
    for bad in [
        "-- UP\nSELECT 1;\n-- UP\nSELECT 2;",
        "SELECT 0;\n-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;",
        "-- UP\nSELECT FROM WHERE;\n",
    ] {
        assert!(MigrationFile::from_text("0001_x", bad).is_err(), "{bad}");
    }
}

#[test]
fn line_endings_are_no_edit_but_words_are() {
    let digest = |text| MigrationFile::from_text("0001_x", text).unwrap().digest();
    let plain = digest("-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;\n");
    assert_eq!(plain, digest("-- UP\r\nSELECT 1;\r\n\r\n-- DOWN\r\nSELECT 2;"));
    assert_ne!(plain, digest("-- UP\nSELECT 1;\n-- DOWN\nSELECT 3;\n"));
}

#[test]
fn ids_are_the_numbers_that_names_begin_with() {
    for (name, id) in [
        ("0007_add_x", "0007"),
        ("0007_2_factor", "0007"),
        ("12-add", "12"),
        ("20261122_101500_add", "20261122_101500"),
        ("20261122101500_add", "20261122101500"),
        ("20261122_add", "20261122"),
        ("2026-11-22-101500_add", "2026-11-22-101500"),
        ("2026-11-22_add", "2026-11-22"),
        ("add_users", "add_users"),
        ("001", "001"),
    ] {
        assert_eq!(id_of(name), id, "{name}");
    }
}

#[test]
fn order_is_natural() {
    let mut names = vec!["10_b", "0002_a", "9_c", "1_z", "v10", "v9", "0002", "a"];
    names.sort_by(|a, b| natural_order(a, b));
    assert_eq!(names, ["1_z", "0002", "0002_a", "9_c", "10_b", "a", "v9", "v10"]);
}

#[test]
fn every_layout_is_listed_and_clashes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("0010_c.sql", b"-- UP\nSELECT 1;\n-- DOWN\nSELECT 2;");
    write("2_b.up.sql", b"SELECT 1;");
    write("2_b.down.sql", b"SELECT 2;");
    write("0001_a/up.sql", b"SELECT 1;");
    write("0001_a/down.sql", b"SELECT 2;");
    write("notes/readme.md", b"x");
    write(".hidden.sql", b"not sql");
    let files = list(folder.path()).unwrap();
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["0001_a", "2_b", "0010_c"]);
    assert!(files.iter().all(|file| file.down.is_some()));
    assert_eq!(find(folder.path(), "2_b").unwrap().unwrap().id, "2");
    assert!(find(folder.path(), "3_x").unwrap().is_none());
    assert!(list(&folder.path().join("nowhere")).unwrap().is_empty());

    write("02_other.sql", b"SELECT 1;");
    let clash = list(folder.path()).unwrap_err();
    assert!(
        clash.message().contains("02_other") && clash.message().contains("2_b"),
        "{clash}"
    );
    fs::remove_file(folder.path().join("02_other.sql")).unwrap();

    write("2_b.sql", b"SELECT 1;");
    assert_eq!(find(folder.path(), "2_b").unwrap_err().code(), "migration-twice");
    fs::remove_file(folder.path().join("2_b.sql")).unwrap();

    write("0011_d.sql", b"SELECT '\xff';");
    write("0012_e.down.sql", b"SELECT 1;");
    let both = list(folder.path()).unwrap_err();
    assert_eq!(both.related().len(), 2);
}
