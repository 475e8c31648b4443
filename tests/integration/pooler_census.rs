//! The census through a real PgBouncer in transaction mode, which hides idle clients from the database and lets its own
//! connections bear the names of clients that have gone.
//!
//! Without `pgbouncer` in PATH or /usr/sbin these tests say so and prove nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use super::rename::{PLAN, Stage};
use crate::support::{Database, Project, cluster, eventually, skipped};

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

/// `pgbouncer`, or `None` and a word about it.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("pgbouncer"))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        skipped(
            "there is no pgbouncer in PATH or /usr/sbin, so what hides behind one is not tested; `make test` says how to install it",
        );
    }
    found
}

/// Whether it is 1.19 or newer, which can have peers.
fn has_peers(program: &Path) -> bool {
    let said = Command::new(program).arg("--version").output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    let version = said.lines().next().unwrap().rsplit(' ').next().unwrap();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (1, 19)
}

/// A PgBouncer with one server connection to one database, ended when it is dropped.
struct Bouncer {
    process: Child,
    port: u16,
    database: String,
    _folder: tempfile::TempDir,
}

impl Bouncer {
    async fn start(program: &Path, database: &Database) -> Self {
        Self::with(program, database, "").await
    }

    /// With more settings, the last of which may begin sections of their own.
    async fn with(program: &Path, database: &Database, more: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("shipctl-test-")
            .tempdir()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let server = cluster().tcp_url(&database.name);
        let password = server
            .split_once("://postgres:")
            .unwrap()
            .1
            .split_once('@')
            .unwrap()
            .0;
        let settings = format!(
            "[databases]\nserved = host=127.0.0.1 port={} dbname={} user=postgres password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {users}\nadmin_users = boss\nstats_users = census\n\
             pool_mode = transaction\ndefault_pool_size = 1\nmin_pool_size = 1\n{more}",
            cluster().port(),
            database.name,
            users = folder.path().join("users").display(),
        );
        fs::write(
            folder.path().join("users"),
            "\"app\" \"\"\n\"census\" \"\"\n\"boss\" \"\"\n",
        )
        .unwrap();
        fs::write(folder.path().join("settings"), settings).unwrap();
        // It does not run as root, and reads its files as whom it runs as.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(program);
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let process = command
            .arg(folder.path().join("settings"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let bouncer = Self {
            process,
            port,
            database: database.name.clone(),
            _folder: folder,
        };
        eventually("the PgBouncer listens", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        bouncer
    }

    /// A client through it, which has had its turn once.
    async fn client(&self, name: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user("app")
            .dbname("served")
            .application_name(name);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let messages = client.simple_query("SELECT current_database()").await.unwrap();
        let row = messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        assert_eq!(row.as_deref(), Some(self.database.as_str()));
        client
    }

    /// Where its console is.
    fn console(&self) -> String {
        format!("postgres://census@127.0.0.1:{}/?sslmode=disable", self.port)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const WEB: &str = r#"
[[environments.production.services]]
name = "web"
sources = [{ kind = "connections", application_name = "web@{commit}" }]
"#;

/// A project that knows of the pooler's console, which the variable CONSOLE leads to.
async fn project(services: &str) -> Project {
    Project::with_config(&format!(
        "[environments.production]\ndatabase = \"env:DATABASE_URL\"\npgbouncer = \"env:CONSOLE\"\n{services}"
    ))
    .await
}

/// The commits that the web was seen with, and the doubts.
fn told(project: &Project, console: &str, exit: i32) -> (Vec<String>, String) {
    let output = project
        .shipctl(&["deployed", "--json"])
        .env("CONSOLE", console)
        .assert()
        .code(exit)
        .get_output()
        .stdout
        .clone();
    let json: Value = serde_json::from_slice(&output).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut commits: Vec<String> = json["services"][0]["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(&one["commit"]))
        .collect();
    commits.sort();
    let doubts = json["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| format!("{} | {}\n", text(&reason["message"]), text(&reason["fix"])))
        .collect();
    (commits, doubts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_idle_behind_a_pgbouncer_are_seen_and_those_that_have_gone_are_not() {
    let Some(program) = program() else { return };
    let project = project(WEB).await;
    let bouncer = Bouncer::start(&program, &project.database).await;
    let old = bouncer.client(&format!("web@{ONE}")).await;
    let _new = bouncer.client(&format!("web@{TWO}")).await;

    // The database sees one session, and it bears the name of whoever had its turn last.
    let names = "SELECT string_agg(application_name, ',') FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'web@%'";
    assert_eq!(project.database.value(names).await, Some(format!("web@{TWO}")));
    let (commits, doubts) = told(&project, &bouncer.console(), 0);
    assert_eq!(
        (commits, doubts.as_str()),
        (vec![ONE.to_owned(), TWO.to_owned()], "")
    );

    // The old one has its turn once more and goes: the database goes on seeing its name.
    old.simple_query("SELECT 1").await.unwrap();
    drop(old);
    assert_eq!(project.database.value(names).await, Some(format!("web@{ONE}")));
    eventually("the console has seen it off", || async {
        told(&project, &bouncer.console(), 0).0 == [TWO]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_behind_a_pgbouncer_that_names_no_version_is_a_doubt() {
    let Some(program) = program() else { return };
    let project = project(WEB).await;
    let bouncer = Bouncer::start(&program, &project.database).await;
    let _named = bouncer.client(&format!("web@{ONE}")).await;
    let _unnamed = bouncer.client("puma").await;
    let (commits, doubts) = told(&project, &bouncer.console(), 3);
    assert_eq!(commits, [ONE]);
    assert!(doubts.contains("`puma` (127.0.0.1:"), "{doubts}");
    assert!(doubts.contains("through PgBouncer"), "{doubts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_console_that_does_not_tell_makes_connections_a_sample() {
    let Some(program) = program() else { return };
    let services = WEB.replace(
        "sources = [",
        "sources = [{ kind = \"file\", path = \"web.txt\", completeness = \"full\" }, ",
    );
    let (alone, beside) = (project(WEB).await, project(&services).await);
    let elsewhere = Bouncer::start(&program, &beside.database).await;
    let mut clients = Vec::new();
    for project in [&alone, &beside] {
        project.repo.write("web.txt", &format!("a {ONE}\n"));
        let mut config: tokio_postgres::Config = project.database.url.parse().unwrap();
        config.application_name(format!("web@{ONE}"));
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        clients.push(client);
    }
    for (console, why, fix) in [
        (
            "postgres://census@127.0.0.1:1/".to_owned(),
            "cannot be reached",
            "",
        ),
        (
            elsewhere.console(),
            "does not serve the database",
            "consoles of all PgBouncers",
        ),
        (
            elsewhere.console().replace("census@", "app@"),
            "the clients behind a PgBouncer are not seen",
            "",
        ),
        (
            cluster().tcp_url("postgres"),
            "the clients behind a PgBouncer are not seen",
            "",
        ),
    ] {
        let (commits, doubts) = told(&alone, &console, 3);
        assert_eq!(commits, [ONE], "{doubts}");
        assert!(doubts.contains(why) && doubts.contains(fix), "{doubts}");
        // Another source that sees everything makes up for it.
        if console != elsewhere.console() {
            let (_, doubts) = told(&beside, &console, 0);
            assert_eq!(doubts, "");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_pgbouncers_does_not_pass_for_all() {
    let Some(program) = program() else { return };
    let project = project(WEB).await;
    let bouncer = Bouncer::start(&program, &project.database).await;
    let _client = bouncer.client(&format!("web@{ONE}")).await;
    let two = bouncer
        .console()
        .replace("127.0.0.1", &format!("127.0.0.1:{},127.0.0.1", bouncer.port));
    let (_, doubts) = told(&project, &two, 3);
    assert!(doubts.contains("names several PgBouncers"), "{doubts}");
    assert!(doubts.contains("make `pgbouncer` a list"), "{doubts}");

    let mut alike = vec![("so_reuseport = 1\n", "may share its port")];
    if has_peers(&program) {
        alike.push((
            "peer_id = 1\n[peers]\n2 = host=127.0.0.1 port=1\n",
            "has peers (`SHOW PEERS`)",
        ));
    }
    for (settings, why) in alike {
        let bouncer = Bouncer::with(&program, &project.database, settings).await;
        let _client = bouncer.client(&format!("web@{TWO}")).await;
        let (commits, doubts) = told(&project, &bouncer.console(), 3);
        assert!(commits.contains(&TWO.to_owned()), "what is seen counts: {doubts}");
        assert!(doubts.contains(why), "{doubts}");
        assert!(doubts.contains("an address of its own"), "{doubts}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unnamed_client_of_the_role_that_a_pgbouncer_works_as_is_a_doubt() {
    let Some(program) = program() else { return };
    let project = project(WEB).await;
    let bouncer = Bouncer::start(&program, &project.database).await;
    let _named = bouncer.client(&format!("web@{ONE}")).await;
    assert_eq!(told(&project, &bouncer.console(), 0).1, "");
    // Its clients log in as `app`, and it works for them as `postgres`.
    let config: tokio_postgres::Config = project.database.url.parse().unwrap();
    let (_old, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let (_, doubts) = told(&project, &bouncer.console(), 3);
    assert!(doubts.contains("no application_name"), "{doubts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_client_that_idles_behind_a_pgbouncer_keeps_a_gate_closed() {
    let Some(program) = program() else { return };
    let stage = Stage::with(&format!(
        "[environments.production]\ndatabase = \"env:DATABASE_URL\"\npgbouncer = [\"env:CONSOLE\"]\n{WEB}"
    ))
    .await;
    let first = stage.release("The first release", None);
    let dual = stage.release("Write both", Some("dual-write"));
    stage.done("add").await;
    let bouncer = Bouncer::start(&program, &stage.project.database).await;
    let old = bouncer.client(&format!("web@{first}")).await;
    let _new = bouncer.client(&format!("web@{dual}")).await;
    let gate = || {
        let output = stage
            .project
            .shipctl(&["gate", PLAN, "backfill"])
            .env("CONSOLE", bouncer.console())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (exit, said) = gate();
    assert_eq!(exit, Some(1), "{said}");
    assert!(
        said.contains(first.short()) && said.contains("through PgBouncer"),
        "{said}"
    );
    drop(old);
    eventually("the gate opens", || async { gate().0 == Some(0) }).await;
}
