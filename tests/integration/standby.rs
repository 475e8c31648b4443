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
    /// Copies the primary and follows it.
    pub fn of(primary: &'c Cluster) -> Self {
        let standby = Self {
            primary,
            data: primary.folder().join("standby"),
            port: std::net::TcpListener::bind(("127.0.0.1", 0))
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
        };
        let folder = primary.folder().to_str().unwrap();
        let (data, port) = (standby.data.to_str().unwrap(), primary.port().to_string());
        standby.program(
            "pg_basebackup",
            &[
                "-h",
                folder,
                "-p",
                &port,
                "-U",
                "postgres",
                "-D",
                data,
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
                "--no-sync",
            ],
        );
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

    /// Runs one of the server's programs as the user that the primary runs as.
    fn program(&self, name: &str, args: &[&str]) {
        let folder = self.primary.folder();
        let owner = std::fs::metadata(folder).unwrap();
        let mut command = Command::new(binary(name));
        command
            .args(args)
            .current_dir(folder)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        assert!(command.status().unwrap().success(), "{name} {args:?}");
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
