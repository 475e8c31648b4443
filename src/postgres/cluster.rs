//! Private PostgreSQL clusters from the local binaries, for the demo, rehearsals and tests.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::system_user::{SystemUser, effective_uid, unprivileged};
use super::{ConnectionSettings, binaries};
use crate::domain::{Exit, Problem, Secret};
use crate::project::DatabaseSource;

/// The keeper: makes the cluster, starts and stops the server on demand, and when its input ends – because we closed it
/// or because we died, however that came about – stops the server and removes the folder.
const KEEPER: &str = r#"
bin=$1 folder=$2
tell() { if "$@"; then echo ok; else echo failed; fi; }
make() {
    "$bin/initdb" -D "$folder/data" -U postgres --encoding=UTF8 --locale=C --no-sync --auth-local=trust \
        --auth-host=scram-sha-256 --pwfile="$folder/password" >>"$folder/log" 2>&1 </dev/null
}
tell make
while read -r order; do
    case $order in
    start) tell "$bin/pg_ctl" start -w -t 60 -s -D "$folder/data" -l "$folder/log" 2>>"$folder/log" </dev/null ;;
    fast | immediate) tell "$bin/pg_ctl" stop -w -t 60 -s -m "$order" -D "$folder/data" 2>>"$folder/log" </dev/null ;;
    esac
done
"$bin/pg_ctl" stop -w -t 60 -s -m immediate -D "$folder/data" >/dev/null 2>&1 </dev/null
cd /
n=0
while [ -e "$folder" ] && [ $n -lt 50 ]; do rm -rf "$folder" 2>/dev/null || sleep 0.1; n=$((n + 1)); done
"#;

/// The superuser of every private cluster.
const SUPERUSER: &str = "postgres";

/// A socket's path must fit into 107 bytes; this leaves room for `/.s.PGSQL.65535` and a random name.
const LONGEST_FOLDER: usize = 60;

/// A running private cluster. Stopped and removed when dropped, and also when this process dies. Others on this machine
/// cannot use it: its socket's folder is closed to them, and over TCP (loopback only) it asks for a random password.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    password: Secret,
    keeper: Mutex<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// How a private cluster is to be made.
#[derive(Clone, Debug, Default)]
pub struct ClusterBuilder {
    settings: Vec<(String, String)>,
    files: Vec<(String, String)>,
}

impl ClusterBuilder {
    /// Adds a file to the data folder, such as a certificate; only the server may read it.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds a line to `postgresql.conf`.
    #[must_use]
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds the settings that trade safety after a power failure for speed, for tests.
    #[must_use]
    pub fn throwaway(self) -> Self {
        self.setting("fsync", "off")
            .setting("synchronous_commit", "off")
            .setting("full_page_writes", "off")
    }

    /// Makes and starts the cluster.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start(self) -> Result<Cluster, Problem> {
        let bin = binaries::find()?;
        let owner = if effective_uid() == 0 {
            Some(unprivileged().ok_or_else(|| {
                failed("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`")
            })?)
        } else {
            None
        };
        let folder = make_folder(owner.as_ref())?;
        let password = random_password()?;
        let password_file = folder.join("password");
        write_for(
            &password_file,
            &format!("{}\n", password.reveal()),
            owner.as_ref(),
        )?;
        // From here on the keeper removes the folder.
        let mut cluster = Cluster {
            keeper: Mutex::new(Keeper::start(&bin, &folder, owner.as_ref())?),
            folder,
            port: 0,
            password,
        };
        if !cluster.keeper().answered_ok() {
            return Err(cluster.broken("initdb failed"));
        }
        let _ = fs::remove_file(&password_file);
        for (name, text) in &self.files {
            write_for(&cluster.folder.join("data").join(name), text, owner.as_ref())?;
        }
        // The free port may be taken by somebody else before the server has it: try again with another.
        for _ in 0..5 {
            cluster.port = free_port()?;
            cluster.configure(&self.settings)?;
            if cluster.keeper().order("start") {
                return Ok(cluster);
            }
            if !cluster.log().contains("could not bind")
                && !cluster.log().contains("could not create any TCP/IP")
            {
                break;
            }
        }
        Err(cluster.broken("the server does not start"))
    }
}

impl Cluster {
    /// How to make one with settings of its own.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Makes and starts a cluster in a fresh temporary folder. As root it runs as an unprivileged user.
    ///
    /// # Errors
    /// No PostgreSQL binaries (says what to install), or they fail (with their output).
    pub fn start() -> Result<Self, Problem> {
        Self::builder().start()
    }

    /// A `postgres://` URL for one of its databases, as superuser over the socket; it holds no password.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}@{}:{}/{}",
            encoded(&self.folder.to_string_lossy()),
            self.port,
            encoded(database)
        )
    }

    /// A `postgres://` URL for one of its databases over TCP, with the superuser's password.
    pub fn tcp_url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{}@127.0.0.1:{}/{}",
            self.password.reveal(),
            self.port,
            encoded(database)
        )
    }

    /// Settings for one of its databases.
    ///
    /// # Errors
    /// As [`ConnectionSettings::resolve`].
    pub fn settings(&self, database: &str) -> Result<ConnectionSettings, Problem> {
        ConnectionSettings::resolve(&DatabaseSource::Literal(Secret::new(self.url(database))), &|_| {
            None
        })
    }

    /// The folder of its socket (and of its data, in `data`, and the server's log, in `log`).
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its port, on the loopback address and in the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What initdb and the server wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Stops the server as a power failure would, without a checkpoint: it recovers at the next start.
    ///
    /// # Errors
    /// It does not stop.
    pub fn stop_immediately(&self) -> Result<(), Problem> {
        if self.keeper().order("immediate") {
            Ok(())
        } else {
            Err(self.broken("the server does not stop"))
        }
    }

    /// Starts the server again; one that still runs is stopped first.
    ///
    /// # Errors
    /// It does not start, with the server's log.
    pub fn restart(&self) -> Result<(), Problem> {
        let mut keeper = self.keeper();
        if self.folder.join("data/postmaster.pid").exists() {
            keeper.order("fast");
        }
        let started = keeper.order("start");
        drop(keeper);
        if started {
            Ok(())
        } else {
            Err(self.broken("the server does not start"))
        }
    }

    fn keeper(&self) -> std::sync::MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn configure(&self, settings: &[(String, String)]) -> Result<(), Problem> {
        let mut text = String::new();
        let folder = self.folder.to_string_lossy();
        let port = self.port.to_string();
        let own = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", &*folder),
            ("port", &*port),
        ];
        let given = settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in own.into_iter().chain(given) {
            let _ = writeln!(text, "{key} = '{}'", value.replace('\'', "''"));
        }
        // Later lines win.
        fs::OpenOptions::new()
            .append(true)
            .open(self.folder.join("data/postgresql.conf"))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| failed(format!("cannot configure the cluster: {error}")))
    }

    fn broken(&self, what: &str) -> Problem {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        failed(what).because(lines[lines.len().saturating_sub(15)..].join("\n"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut keeper = self.keeper();
        keeper.orders = None;
        let _ = keeper.child.wait();
    }
}

impl Keeper {
    fn start(bin: &Path, folder: &Path, owner: Option<&SystemUser>) -> Result<Self, Problem> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", KEEPER, "shipctl-keeper"])
            .args([bin, folder])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in our terminal is ours to handle.
            .process_group(0)
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some(owner) = owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        let started = command
            .spawn()
            .map_err(|error| failed(format!("cannot start a shell: {error}")));
        let mut child = started.inspect_err(|_| {
            let _ = fs::remove_dir_all(folder);
        })?;
        match (child.stdin.take(), child.stdout.take()) {
            (orders, Some(answers)) => Ok(Self {
                child,
                orders,
                answers: BufReader::new(answers),
            }),
            _ => Err(failed("cannot talk to the shell that keeps the cluster")),
        }
    }

    fn order(&mut self, order: &str) -> bool {
        let sent = self
            .orders
            .as_mut()
            .is_some_and(|orders| writeln!(orders, "{order}").and_then(|()| orders.flush()).is_ok());
        sent && self.answered_ok()
    }

    fn answered_ok(&mut self) -> bool {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).is_ok() && answer.trim_end() == "ok"
    }
}

fn failed(message: impl Into<String>) -> Problem {
    Problem::new(Exit::Failed, "private-cluster-failed", message)
}

fn make_folder(owner: Option<&SystemUser>) -> Result<PathBuf, Problem> {
    let asked = std::env::temp_dir();
    // A server that runs as somebody else must get there, and a socket's path must be short.
    let base = if owner.is_some() || asked.as_os_str().len() > LONGEST_FOLDER {
        PathBuf::from("/tmp")
    } else {
        asked
    };
    let folder = tempfile::Builder::new()
        .prefix("shipctl-pg-")
        .tempdir_in(&base)
        .map_err(|error| failed(format!("cannot make a folder in {}: {error}", base.display())))?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))
        .and_then(|()| give(folder.path(), owner))
        .map_err(|error| failed(format!("cannot prepare {}: {error}", folder.path().display())))?;
    Ok(folder.keep())
}

/// Writes a file that only the server's user may read.
fn write_for(path: &Path, text: &str, owner: Option<&SystemUser>) -> Result<(), Problem> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| give(path, owner))
        .map_err(|error| failed(format!("cannot write {}: {error}", path.display())))
}

fn give(path: &Path, owner: Option<&SystemUser>) -> std::io::Result<()> {
    match owner {
        Some(owner) => chown(path, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

fn free_port() -> Result<u16, Problem> {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| failed(format!("no free port on the loopback address: {error}")))
}

fn random_password() -> Result<Secret, Problem> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| failed(format!("cannot read /dev/urandom: {error}")))?;
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(Secret::new(text))
}

/// Percent-encoding for a part of a URL.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
