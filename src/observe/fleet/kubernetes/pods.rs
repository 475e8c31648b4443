//! What a list of pods says: which of them run, and which commit each was built from.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::digests::is_digest;
use crate::domain::{CommitId, rough};
use crate::observe::fleet::pattern::Pattern;
use crate::observe::fleet::{reading, shown};
use crate::project::PodCommit;
use crate::safety::Doubt;

/// The fewest digits of an abbreviated commit id that are looked up.
const FEWEST_DIGITS: usize = 7;

#[derive(Debug, Deserialize)]
pub(super) struct PodList {
    pub(super) items: Vec<Pod>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    annotations: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
struct Spec {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    name: String,
    image: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Debug, Deserialize)]
struct ContainerStatus {
    name: String,
    image: Option<String>,
    #[serde(rename = "imageID")]
    image_id: Option<String>,
}

impl Pod {
    /// Whether code of it runs or may do so any moment. A phase that is not known is not an end.
    pub(super) fn is_running(&self) -> bool {
        !matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// `web-7d9f4-abcde (3h old)`, `web-7d9f4-abcde (3h old, terminating)`.
    pub(super) fn describe(&self, now: Timestamp) -> String {
        let mut about = Vec::new();
        if let Some(created) = self.metadata.creation_timestamp {
            about.push(format!(
                "{} old",
                rough(now.duration_since(created).max(SignedDuration::ZERO))
            ));
        }
        if self.metadata.deletion_timestamp.is_some() {
            about.push("terminating".to_owned());
        } else if self.status.phase.as_deref() == Some("Pending") {
            about.push("starting".to_owned());
        }
        let name = shown(&self.metadata.name);
        if about.is_empty() {
            name
        } else {
            format!("{name} ({})", about.join(", "))
        }
    }

    /// The container of a name; where none is named, the only one.
    fn container(&self, name: Option<&str>) -> Result<&Container, Doubt> {
        let pod = shown(&self.metadata.name);
        let there: Vec<&str> = self.spec.containers.iter().map(|one| one.name.as_str()).collect();
        match (name, self.spec.containers.as_slice()) {
            (Some(name), all) => all.iter().find(|one| one.name == name).ok_or_else(|| {
                Doubt::new(format!(
                    "pod {pod} has no container `{name}`, only {}",
                    shown(&there.join(", "))
                ))
                .fix("correct the container in the source's `commit`")
            }),
            (None, [only]) => Ok(only),
            (None, _) => Err(Doubt::new(format!(
                "pod {pod} has several containers: {}",
                shown(&there.join(", "))
            ))
            .fix("say whose digest counts: add `container` to the source's `commit`")),
        }
    }

    fn status_of(&self, container: &Container) -> Option<&ContainerStatus> {
        let statuses = self.status.container_statuses.as_deref().unwrap_or_default();
        statuses.iter().find(|status| status.name == container.name)
    }
}

/// What a pod says of its commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The whole id.
    Commit(CommitId),
    /// Its first digits, which have to be looked up.
    Abbreviated(String),
}

/// What a pod says of its commit, or why that says nothing.
pub(super) fn said(
    pod: &Pod,
    place: &PodCommit,
    digests: &BTreeMap<String, CommitId>,
) -> Result<Said, Doubt> {
    match place {
        PodCommit::Annotation(key) => written(pod, "annotation", key, pod.metadata.annotations.as_ref()),
        PodCommit::Label(key) => written(pod, "label", key, pod.metadata.labels.as_ref()),
        PodCommit::ImageTag { container, pattern } => tagged(pod, container, pattern),
        PodCommit::Digests { file, container } => {
            let container = pod.container(container.as_deref())?;
            let commit = by_digest(pod, container, digests, &file.display().to_string())?;
            Ok(Said::Commit(commit))
        }
    }
}

/// The commit under a key of the pod's metadata.
fn written(
    pod: &Pod,
    what: &str,
    key: &str,
    there: Option<&BTreeMap<String, String>>,
) -> Result<Said, Doubt> {
    let name = shown(&pod.metadata.name);
    let fix = format!(
        "put it into the pod template: spec.template.metadata.{what}s of the workload, `{key}: <the full commit id>`"
    );
    let Some(value) = there.and_then(|there| there.get(key)) else {
        return Err(Doubt::new(format!("pod {name} has no {what} `{key}`")).fix(fix));
    };
    value.trim().parse().map(Said::Commit).map_err(|_| {
        Doubt::new(format!(
            "the {what} `{key}` of pod {name} {}",
            reading::not_a_commit(value)
        ))
        .fix(fix)
    })
}

/// The commit in the tag of a container's image.
fn tagged(pod: &Pod, container: &str, pattern: &str) -> Result<Said, Doubt> {
    let name = shown(&pod.metadata.name);
    let container = pod.container(Some(container))?;
    let image = container.image.as_deref().unwrap_or_default();
    let fix = "tag images with the full commit id they are built from, or use `annotation` or `digests`";
    let Some(tag) = tag_of(image) else {
        return Err(Doubt::new(format!("the image of pod {name} has no tag: `{}`", shown(image))).fix(fix));
    };
    let commit = commit_in(tag, pattern).ok_or_else(|| {
        Doubt::new(format!(
            "the image tag `{}` of pod {name} is not a commit id (`{pattern}`), and may mean another image tomorrow",
            shown(tag)
        ))
        .fix(fix)
    })?;
    // A pod's image can be changed while it runs: until the container is restarted, the old one goes on.
    let running = pod
        .status_of(container)
        .and_then(|status| status.image.as_deref())
        .and_then(tag_of)
        .and_then(|tag| commit_in(tag, pattern));
    match running {
        Some(running) if !agree(&running, &commit) => Err(Doubt::new(format!(
            "pod {name} is to run the image `{}`, but its status names another",
            shown(tag)
        ))
        .fix("wait until the pod has restarted")),
        _ => Ok(commit),
    }
}

fn agree(one: &Said, other: &Said) -> bool {
    let digits = |said: &Said| match said {
        Said::Commit(commit) => commit.as_str().to_owned(),
        Said::Abbreviated(digits) => digits.clone(),
    };
    let (one, other) = (digits(one), digits(other));
    one.starts_with(&other) || other.starts_with(&one)
}

fn commit_in(tag: &str, pattern: &str) -> Option<Said> {
    let digits = Pattern::new(pattern).fit(tag)?.commit?;
    match digits.parse() {
        Ok(commit) => Some(Said::Commit(commit)),
        Err(_) if (FEWEST_DIGITS..40).contains(&digits.len()) => {
            Some(Said::Abbreviated(digits.to_ascii_lowercase()))
        }
        Err(_) => None,
    }
}

/// The tag of an image's name: `registry:5000/web:TAG@sha256:…`.
fn tag_of(image: &str) -> Option<&str> {
    let name = image.split('@').next().unwrap_or_default();
    let (_, tag) = name.rsplit_once(':')?;
    // What follows the colon of a registry's port is a path; what follows that of a bare digest is no tag.
    (!tag.is_empty() && !tag.contains('/') && !name.starts_with("sha256:")).then_some(tag)
}

/// The commit of the image that a container runs.
fn by_digest(
    pod: &Pod,
    container: &Container,
    digests: &BTreeMap<String, CommitId>,
    file: &str,
) -> Result<CommitId, Doubt> {
    let name = shown(&pod.metadata.name);
    let id = pod
        .status_of(container)
        .and_then(|status| status.image_id.as_deref())
        .filter(|id| !id.is_empty())
        .ok_or_else(|| {
            Doubt::new(format!(
                "container {} of pod {name} has not started, so that its image is not known yet",
                shown(&container.name)
            ))
            .fix("wait until it runs, and see why if it does not: kubectl describe pod")
        })?;
    let digest = id.rsplit('@').next().unwrap_or_default();
    let digest = digest.rsplit_once("://").map_or(digest, |(_, rest)| rest);
    if !is_digest(digest) {
        return Err(Doubt::new(format!(
            "pod {name} runs the image `{}`, which names no digest",
            shown(id)
        )));
    }
    digests.get(&digest.to_ascii_lowercase()).cloned().ok_or_else(|| {
        Doubt::new(format!("pod {name} runs {digest}, which is not in {file}")).fix(format!(
            "have the build write the digest that the registry gave the image, and its commit, into {file}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";

    fn pod(json: serde_json::Value) -> Pod {
        serde_json::from_value(json).unwrap()
    }

    /// A pod whose container `app` is to run one image and runs another.
    fn images(wanted: &str, running: &str, id: &str) -> Pod {
        pod(serde_json::json!({
            "metadata": { "name": "web-1" },
            "spec": { "containers": [{ "name": "app", "image": wanted }, { "name": "proxy", "image": "proxy:1" }] },
            "status": { "phase": "Running", "containerStatuses": [{ "name": "app", "image": running, "imageID": id }] },
        }))
    }

    fn tag(wanted: &str, running: &str, pattern: &str) -> Result<Said, String> {
        let place = PodCommit::ImageTag {
            container: "app".to_owned(),
            pattern: pattern.to_owned(),
        };
        said(&images(wanted, running, ""), &place, &BTreeMap::new()).map_err(|doubt| doubt.why)
    }

    #[test]
    fn only_pods_that_have_ended_do_not_run() {
        for (phase, runs) in [
            ("Pending", true),
            ("Running", true),
            ("Unknown", true),
            ("Succeeded", false),
            ("Failed", false),
        ] {
            let one = pod(serde_json::json!({ "metadata": { "name": "a" }, "status": { "phase": phase } }));
            assert_eq!(one.is_running(), runs, "{phase}");
        }
    }

    #[test]
    fn a_pod_is_named_with_its_age_and_whether_it_is_being_ended() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let one = pod(serde_json::json!({
            "metadata": {
                "name": "web-1",
                "creationTimestamp": "2026-11-22T07:00:00Z",
                "deletionTimestamp": "2026-11-22T10:00:30Z",
            },
            "status": { "phase": "Running" },
        }));
        assert_eq!(one.describe(now), "web-1 (3h old, terminating)");
    }

    #[test]
    fn a_tag_tells_only_if_it_is_a_commit_id() {
        let commit = || Ok(Said::Commit(ONE.parse().unwrap()));
        let full = format!("registry:5000/shop/web:{ONE}@sha256:{}", "a".repeat(64));
        assert_eq!(tag(&full, &full, "{commit}"), commit());
        assert_eq!(tag(&format!("web:sha-{ONE}"), "", "sha-{commit}"), commit());
        assert_eq!(
            tag("web:1111111", "", "{commit}"),
            Ok(Said::Abbreviated("1111111".to_owned()))
        );
        for mutable in ["web:latest", "web:v1.2.3", "web:main", "web:abc"] {
            let why = tag(mutable, "", "{commit}").unwrap_err();
            assert!(why.contains("may mean another image"), "{why}");
        }
        for untagged in [
            "registry:5000/web",
            "web",
            &format!("web@sha256:{}", "a".repeat(64)),
        ] {
            assert!(
                tag(untagged, "", "{commit}").unwrap_err().contains("no tag"),
                "{untagged}"
            );
        }
        assert!(tag(&format!("web:{ONE}"), "", "sha-{commit}").is_err());
    }

    #[test]
    fn a_pod_whose_status_names_another_image_is_not_known() {
        let (wanted, running) = (format!("web:{ONE}"), format!("web:{}", "2".repeat(40)));
        assert!(
            tag(&wanted, &running, "{commit}")
                .unwrap_err()
                .contains("its status names another")
        );
        // The runtime may show an image by another of its names, or by its digest alone.
        assert!(tag(&wanted, "sha256:aaaa", "{commit}").is_ok());
        assert!(tag(&wanted, "web:1111111", "{commit}").is_ok());
    }

    #[test]
    fn a_digest_is_looked_up_however_the_runtime_writes_it() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let map = BTreeMap::from([(digest.clone(), ONE.parse().unwrap())]);
        let ask = |id: &str, container: Option<&str>| {
            let place = PodCommit::Digests {
                file: PathBuf::from("digests.txt"),
                container: container.map(str::to_owned),
            };
            said(&images("web", "web", id), &place, &map).map_err(|doubt| doubt.why)
        };
        for id in [
            digest.clone(),
            format!("registry/web@{digest}"),
            format!("docker-pullable://registry/web@{digest}"),
            format!("docker://{digest}"),
        ] {
            assert_eq!(
                ask(&id, Some("app")),
                Ok(Said::Commit(ONE.parse().unwrap())),
                "{id}"
            );
        }
        assert!(ask("", Some("app")).unwrap_err().contains("has not started"));
        assert!(
            ask(&format!("web@sha256:{}", "b".repeat(64)), Some("app"))
                .unwrap_err()
                .contains("not in digests.txt")
        );
        assert!(ask(&digest, None).unwrap_err().contains("several containers"));
        assert!(
            ask(&digest, Some("web"))
                .unwrap_err()
                .contains("no container `web`")
        );
    }

    #[test]
    fn annotations_and_labels_must_be_there_and_be_full_ids() {
        let one = pod(serde_json::json!({
            "metadata": { "name": "web-1", "annotations": { "a": ONE, "b": "abc1234" }, "labels": { "a": ONE } },
        }));
        let ask = |place: PodCommit| said(&one, &place, &BTreeMap::new()).map_err(|doubt| doubt.why);
        let commit = Said::Commit(ONE.parse().unwrap());
        assert_eq!(ask(PodCommit::Annotation("a".to_owned())), Ok(commit));
        assert!(ask(PodCommit::Label("a".to_owned())).is_ok());
        assert!(
            ask(PodCommit::Label("b".to_owned()))
                .unwrap_err()
                .contains("has no label `b`")
        );
        let short = ask(PodCommit::Annotation("b".to_owned())).unwrap_err();
        assert!(short.contains("abbreviated"), "{short}");
    }
}
