//! Temporary repositories for the tests of this module, made with the git program.

use std::path::Path;
use std::process::Command;

use super::Repository;
use crate::domain::CommitId;

pub(super) struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let fixture = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fixture.git(&["init", "-q", "-b", "main"]);
        fixture
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn open(&self) -> Repository {
        Repository::discover(self.path()).unwrap()
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        self.git_in(self.path(), args)
    }

    pub(super) fn git_in(&self, folder: &Path, args: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(folder)
            .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
            .args([
                "-c",
                "commit.gpgsign=false",
                "-c",
                "uploadpack.allowAnySHA1InWant=true",
            ])
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(super) fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Commits a change to a file of the commit's own, so that reverts and merges never conflict.
    pub(super) fn commit(&self, message: &str) -> CommitId {
        let name = format!("{}.txt", self.git(&["rev-list", "--all", "--count"]));
        self.commit_file(&name, message, message)
    }

    pub(super) fn commit_file(&self, name: &str, text: &str, message: &str) -> CommitId {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self.git(&["add", name]);
        self.git(&["commit", "-q", "-m", message]);
        self.head()
    }

    pub(super) fn shallow_clone(&self, depth: u32) -> tempfile::TempDir {
        let clone = tempfile::tempdir().unwrap();
        let from = format!("file://{}", self.path().display());
        self.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        let to = clone.path().display().to_string();
        self.git_in(
            clone.path(),
            &["clone", "-q", "--depth", &depth.to_string(), &from, &to],
        );
        clone
    }
}
