//! How much space is left where the server keeps its data, where that can be known: the server runs on this machine.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tokio_postgres::Client;

use super::link::Link;
use super::verdict::{Gauge, Verdict};
use super::{Look, Source};
use crate::domain::limits::shown_size;
use crate::domain::{Exit, Problem};
use crate::postgres::describe_error;

/// Where to look, or why that cannot be known.
pub(super) type Place = Result<PathBuf, &'static str>;

/// Finds out where the server keeps its data, if that is on this machine.
///
/// # Errors
/// The database cannot be asked.
pub(super) async fn place(client: &Client) -> Result<Place, Problem> {
    let row = client
        .query_one(
            "SELECT inet_server_addr(), (SELECT setting FROM pg_settings WHERE name = 'data_directory')",
            &[],
        )
        .await
        .map_err(|error| describe_error(&error, "looking where the server keeps its data"))?;
    Ok(local(row.get(0), row.get(1)))
}

/// `address` is the server's own, none for a Unix socket. A server in a container has one that is not the loopback's.
fn local(address: Option<IpAddr>, directory: Option<&str>) -> Place {
    if address.is_some_and(|address| !address.is_loopback()) {
        return Err("the server runs on another machine");
    }
    let directory =
        directory.ok_or("the role may not see where the server keeps its data (GRANT pg_monitor)")?;
    let path = PathBuf::from(directory);
    if path.is_dir() {
        Ok(path)
    } else {
        Err("the server's data folder is not to be found on this machine")
    }
}

/// The space left for the server, in bytes: the least of the folder and of its WAL, which may lie on another disk.
fn free(folder: &Path) -> std::io::Result<u64> {
    let of = |path: &Path| {
        let found = rustix::fs::statvfs(path)?;
        Ok::<u64, std::io::Error>(found.f_bavail.saturating_mul(found.f_frsize))
    };
    let data = of(folder)?;
    // Not everybody may look into the folder.
    Ok(of(&folder.join("pg_wal")).map_or(data, |wal| wal.min(data)))
}

pub(super) struct Disk<'g> {
    link: &'g Link,
    gauge: Gauge,
    place: Option<Place>,
}

impl<'g> Disk<'g> {
    pub(super) fn new(link: &'g Link) -> Self {
        Self {
            link,
            gauge: Gauge::default(),
            place: None,
        }
    }
}

impl Source for Disk<'_> {
    fn name(&self) -> String {
        "free disk".to_owned()
    }

    async fn look(&mut self, look: &Look) -> Result<Verdict, Problem> {
        let Some(limit) = look.limits.min_free_disk_bytes.value else {
            return Ok(Verdict::Fine);
        };
        let place = match self.place.take() {
            Some(place) => place,
            None => place(self.link.session().await?.client()).await?,
        };
        let place = self.place.insert(place);
        let unknown = |why: String| {
            Problem::new(
                Exit::Unknown,
                "disk-unknown",
                format!("free disk space cannot be known: {why}"),
            )
        };
        let folder = place.as_ref().map_err(|why| unknown((*why).to_owned()))?;
        let left = free(folder).map_err(|error| unknown(error.to_string()))?;
        // So that it runs out at 1, as a limit from above does.
        let level = self.gauge.read(limit as f64 / left.max(1) as f64);
        Ok(Verdict::of(level, || {
            format!(
                "{} of disk space is left at {} (at least {})",
                shown_size(left),
                folder.display(),
                shown_size(limit)
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_on_this_machine_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().to_str();
        assert!(local(None, there).is_ok());
        assert!(local(Some("127.0.0.1".parse().unwrap()), there).is_ok());
        assert!(local(Some("172.17.0.2".parse().unwrap()), there).is_err());
        assert!(local(None, None).is_err());
        assert!(local(None, Some("/no/such/folder")).is_err());
        assert!(free(folder.path()).unwrap() > 0);
    }
}
