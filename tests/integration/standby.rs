//! A streaming standby of a private cluster, made and run with the server's own programs.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use shipctl::postgres::{Cluster, Session};

/// A standby beside its primary; stopped when dropped. Its files go with the primary's folder.
pub struct Standby<'c> {
    primary: &'c Cluster,
    data: PathBuf,
    port: u16,
}

impl<'c> Standby<'c> {
    /// Copies the primary and follows it. The server itself is all that is needed: not every installation has
    /// `pg_basebackup`.
    pub async fn of(primary: &'c Cluster) -> Self {
        let standby = Self {
            primary,
            data: primary.folder().join("standby"),
            port: std::net::TcpListener::bind(("127.0.0.1", 0))
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
        };
        let settings = super::support::settings(&primary.url("postgres")).unwrap();
        let session = Session::open(&settings, "test").await.unwrap();
        let (begin, end) = if session.server_version() < 150_000 {
            (
                "SELECT pg_start_backup('standby', true, false)",
                "SELECT labelfile FROM pg_stop_backup(false)",
            )
        } else {
            (
                "SELECT pg_backup_start('standby', true)",
                "SELECT labelfile FROM pg_backup_stop(false)",
            )
        };
        let client = session.client();
        client.query_one(begin, &[]).await.unwrap();
        // Files of the statistics come and go meanwhile, which `cp` takes for a failure.
        let copied = (0..10).any(|_| {
            let _ = std::fs::remove_dir_all(&standby.data);
            standby.run(Path::new("cp"), &["-a", "data", standby.data.to_str().unwrap()])
        });
        assert!(copied, "the primary cannot be copied");
        let label: String = client.query_one(end, &[]).await.unwrap().get(0);
        std::fs::remove_file(standby.data.join("postmaster.pid")).unwrap();
        let follows = format!(
            "primary_conninfo = 'host={} port={} user=postgres'\n",
            primary.folder().display(),
            primary.port()
        );
        for (name, text) in [
            ("backup_label", label.as_str()),
            ("standby.signal", ""),
            ("postgresql.auto.conf", &follows),
        ] {
            std::fs::write(standby.data.join(name), text).unwrap();
        }
        // Written by whoever runs the tests, read by whom the server runs as.
        let owner = std::fs::metadata(primary.folder()).unwrap();
        for name in ["backup_label", "standby.signal", "postgresql.auto.conf"] {
            std::os::unix::fs::chown(standby.data.join(name), Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        standby.start();
        standby
    }

    /// Starts it, and waits until it can be asked.
    pub fn start(&self) {
        let (data, port) = (self.data.to_str().unwrap(), format!("-p {}", self.port));
        let log = self.data.join("log.txt");
        let log = log.to_str().unwrap();
        self.program(
            "pg_ctl",
            &["start", "-w", "-s", "-D", data, "-l", log, "-o", &port],
        );
    }

    /// Stops it.
    pub fn stop(&self) {
        let data = self.data.to_str().unwrap();
        self.program("pg_ctl", &["stop", "-w", "-s", "-m", "immediate", "-D", data]);
    }

    /// A URL for one of its databases.
    pub fn url(&self, database: &str) -> String {
        let primary = format!(":{}/", self.primary.port());
        self.primary
            .url(database)
            .replace(&primary, &format!(":{}/", self.port))
    }

    /// Runs statements on it.
    pub async fn execute(&self, sql: &str) {
        let settings = super::support::settings(&self.url("postgres")).unwrap();
        let session = Session::open(&settings, "test").await.unwrap();
        session.client().batch_execute(sql).await.unwrap();
    }

    /// Runs one of the server's programs.
    fn program(&self, name: &str, args: &[&str]) {
        assert!(self.run(&binary(name), args), "{name} {args:?}");
    }

    /// Runs a program as the user that the primary runs as, and says whether it succeeded.
    fn run(&self, program: &Path, args: &[&str]) -> bool {
        let folder = self.primary.folder();
        let owner = std::fs::metadata(folder).unwrap();
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(folder)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command.status().unwrap().success()
    }
}

impl Drop for Standby<'_> {
    fn drop(&mut self) {
        if self.data.join("postmaster.pid").exists() {
            self.stop();
        }
    }
}

/// The newest of the local binaries; where a distribution puts them, or in the path.
fn binary(name: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|folders| {
            folders
                .filter_map(|folder| Some(folder.ok()?.path().join("bin").join(name)))
                .filter(|path| path.is_file())
                .collect()
        })
        .unwrap_or_default();
    if let Some(folder) = std::env::var_os("SHIPCTL_PG_BIN") {
        return Path::new(&folder).join(name);
    }
    found.sort_by_key(|path| path.to_string_lossy().len());
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}
