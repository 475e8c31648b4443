//! The operating system's users: who we are, and whom to become.

use std::fs;

/// A line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SystemUser {
    /// Its name.
    pub(super) name: String,
    /// User id.
    pub(super) uid: u32,
    /// Primary group id.
    pub(super) gid: u32,
}

/// The name of the user this process runs as.
pub(super) fn current(variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let uid = effective_uid();
    local()
        .into_iter()
        .find(|user| user.uid == uid)
        .map(|user| user.name)
        .or_else(|| variable("USER"))
        .or_else(|| variable("LOGNAME"))
        .filter(|name| !name.is_empty())
}

/// The effective user id of this process.
pub(super) fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// An unprivileged user that servers can run as: `postgres`, or else `nobody`.
pub(super) fn unprivileged() -> Option<SystemUser> {
    let users = local();
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| users.iter().find(|user| user.name == *name && user.uid != 0))
        .cloned()
}

fn local() -> Vec<SystemUser> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(SystemUser { name, uid, gid })
        })
        .collect()
}
