//! Checklists: boxes are ticked with evidence only, and projects may bring their own template.

use super::support::Project;

const SERVICE: &str = "[[environments.production.services]]\nname = \"web\"\nsource = { kind = \"file\", path = \"running\", completeness = \"full\" }";

async fn renamed() -> Project {
    let project = Project::new(SERVICE).await;
    project
        .database
        .execute("CREATE TABLE users (name text NOT NULL); CREATE INDEX by_name ON users (name)")
        .await;
    project
        .shipctl(&["plan", "rename", "users.name", "display_name"])
        .assert()
        .success();
    project
}

fn printed(project: &Project, args: &[&str]) -> String {
    let output = project.shipctl(args).assert().success();
    String::from_utf8(output.get_output().stdout.clone()).unwrap()
}

#[tokio::test]
async fn boxes_are_ticked_with_evidence_only() {
    let project = renamed().await;
    let add = printed(&project, &["checklist", "rename-users-name", "add"]);
    assert!(
        add.contains("- [x] Migration backward compatible\n  - `"),
        "{add}"
    );
    assert!(add.contains("- [ ] Rollback script tested"), "{add}");
    assert!(
        add.contains("- [ ] Migration tested on production-like data"),
        "{add}"
    );
    assert!(add.contains("```mermaid\nflowchart"), "{add}");

    let constrain = printed(&project, &["checklist", "rename-users-name", "constrain"]);
    assert!(
        constrain.contains("- [ ] Migration backward compatible"),
        "{constrain}"
    );
    assert!(
        constrain.contains("- [x] Indexes created concurrently\n  - `"),
        "{constrain}"
    );
    assert!(
        constrain.contains("the validated check saves the scan"),
        "{constrain}"
    );
    assert!(
        constrain.contains("Before: `add` (expand) → `dual-write` (code)"),
        "{constrain}"
    );

    let code = printed(&project, &["checklist", "rename-users-name", "dual-write"]);
    assert!(
        code.contains("\nShip-Phase: rename-users-name/dual-write\n"),
        "{code}"
    );
    assert!(
        code.contains("writes `public.users.name`, `public.users.display_name`"),
        "{code}"
    );

    project.repo.write(
        "migrations/0001_bad.sql",
        "-- UP\nCREATE INDEX slow ON users (name);\nUPDATE users SET name = '';\nALTER TABLE users ALTER name TYPE varchar(9);\n-- DOWN\nDROP INDEX slow;\n",
    );
    project.repo.write(
        "plans/bad.toml",
        "id = \"bad\"\ntitle = \"Bad\"\n[[phase]]\nid = \"go\"\nkind = \"expand\"\nmigration = \"0001_bad\"\n",
    );
    let bad = printed(&project, &["checklist", "bad"]);
    assert!(!bad.contains("[x]"), "{bad}");
    assert!(bad.contains("`0001_bad.sql:2`: CREATE INDEX slow"), "{bad}");
}

#[tokio::test]
async fn what_was_run_and_undone_somewhere_is_evidence() {
    let project = renamed().await;
    let head = project.repo.commit("Old code");
    project.repo.write("running", &format!("web-1 {head}\n"));
    let run = [
        "run",
        "rename-users-name",
        "--env",
        "production",
        "--to",
        "add",
        "--yes",
    ];
    project.shipctl(&run).assert().success();
    let list = ["checklist", "rename-users-name", "add", "--env", "production"];
    let add = printed(&project, &list);
    assert!(
        add.contains(
            "- [x] Migration tested on production-like data\n  - phase `add` was run in `production` on 20"
        ),
        "{add}"
    );
    assert!(add.contains("- [ ] Rollback script tested"), "{add}");

    let back = ["rollback", "rename-users-name", "--env", "production", "--all"];
    project.shipctl(&back).assert().success();
    let add = printed(&project, &list);
    assert!(
        add.contains("- [x] Rollback script tested\n  - phase `add` was undone in `production` on 20"),
        "{add}"
    );

    // An edit voids what was seen of the phase.
    let folder = project.repo.path().join("migrations");
    let file = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("_add_"))
        .unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("display_name text", "display_name varchar")).unwrap();
    assert!(printed(&project, &list).contains("- [ ] Migration tested on production-like data"));
}

#[tokio::test]
async fn a_template_of_ones_own_is_used_and_its_mistakes_are_pointed_at() {
    let project = renamed().await;
    let own = |text: &str| project.repo.write("templates/checklist.md.hbs", text);
    own("{{plan.id}} <{{phase.id}}>{{#each items}} {{id}}={{done}}{{/each}}\n");
    assert_eq!(
        printed(&project, &["checklist", "rename-users-name", "drop"]),
        "rename-users-name <drop> backward-compatible=false indexes-concurrent=true data-batched=true \
         rollback-tested=false tested-on-data=false lock-time=true\n"
    );
    for (text, said) in [
        ("first\n{{plan.nope}}\n", "there is no `plan.nope`"),
        ("first\n{{#if plan}\n", "is not a Handlebars template"),
    ] {
        own(text);
        let failed = project
            .shipctl(&["checklist", "rename-users-name"])
            .assert()
            .code(2);
        let stderr = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
        assert!(stderr.contains(said), "{stderr}");
        assert!(stderr.contains("templates/checklist.md.hbs:2"), "{stderr}");
    }
}

#[tokio::test]
async fn an_unreachable_ledger_leaves_the_boxes_open() {
    let project = renamed().await;
    let output = project
        .shipctl(&["checklist", "rename-users-name", "add", "--env", "production"])
        .env("DATABASE_URL", "postgres://127.0.0.1:1/none")
        .assert()
        .success();
    let stdout = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(stdout.contains("- [ ] Rollback script tested"));
    assert!(String::from_utf8_lossy(&output.get_output().stderr).contains("no evidence from `production`"));
}
