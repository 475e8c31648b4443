//! `kubernetes`: pods, as the cluster's API lists them through `kubectl`, which knows how to reach it and who we are.
//!
//! Pods are counted, not Deployments, whose numbers leave out pods that are being ended: these still run. A pod that has
//! not started yet is about to.

mod digests;
mod pods;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use self::pods::{Pod, PodList, Said};
use super::program::{self, Trouble};
use super::{Findings, Probing, Seen, cut, file, shown};
use crate::domain::CommitId;
use crate::observe::git::Repository;
use crate::project::{KubernetesSource, PodCommit, Service};
use crate::safety::Doubt;

/// The longest list that is read, in bytes: some thousands of pods.
const LONGEST: u64 = 64 << 20;

/// Names another `kubectl` than the one in PATH.
const PROGRAM: &str = "SHIPCTL_KUBECTL";

/// How much of what `kubectl` complains of is shown, in characters.
const SHOWN_COMPLAINT: usize = 300;

pub(super) async fn ask(
    probing: &Probing<'_>,
    service: &Service,
    settings: &KubernetesSource,
    limit: Duration,
) -> Result<Findings, Doubt> {
    let list = list(probing, settings, limit).await?;
    let (running, ended): (Vec<&Pod>, Vec<&Pod>) = list.items.iter().partition(|pod| pod.is_running());
    if running.is_empty() {
        return Err(nobody(settings, ended.len()));
    }
    let digests = match &settings.commit {
        PodCommit::Digests { file, .. } => {
            let (text, _) = file::read(probing, file, "digests").await?;
            digests::read(&text, &file.display().to_string())?
        }
        _ => BTreeMap::new(),
    };
    let said: Vec<(&Pod, Result<Said, Doubt>)> = running
        .into_iter()
        .map(|pod| (pod, pods::said(pod, &settings.commit, &digests)))
        .collect();
    let abbreviated = said.iter().filter_map(|(_, said)| match said {
        Ok(Said::Abbreviated(digits)) => Some(digits.clone()),
        _ => None,
    });
    let resolved = resolve(probing, service, abbreviated.collect()).await?;

    let mut findings = Findings::default();
    for (pod, said) in said {
        let commit = match said {
            Ok(Said::Commit(commit)) => Ok(commit),
            Ok(Said::Abbreviated(digits)) => resolved
                .get(&digits)
                .cloned()
                .unwrap_or_else(|| Err(Doubt::new(format!("`{digits}` was not looked up"))))
                .map_err(|doubt| Doubt {
                    why: format!(
                        "the image tag of pod {} abbreviates its commit, and {}",
                        shown(&pod.metadata.name),
                        doubt.why
                    ),
                    ..doubt
                }),
            Err(doubt) => Err(doubt),
        };
        match commit {
            Ok(commit) => findings.seen.push(Seen {
                instance: pod.describe(probing.now),
                commit,
                at: probing.now,
            }),
            Err(doubt) => findings.doubts.push(doubt),
        }
    }
    Ok(findings)
}

/// Every pod that the selector matches.
async fn list(probing: &Probing<'_>, settings: &KubernetesSource, limit: Duration) -> Result<PodList, Doubt> {
    let program = std::env::var_os(PROGRAM)
        .filter(|program| !program.is_empty())
        .unwrap_or_else(|| OsString::from("kubectl"));
    let ended = program::run(&program, &arguments(settings, limit), probing.root, LONGEST)
        .await
        .map_err(|trouble| match trouble {
            Trouble::Start(error) => Doubt::new(format!("cannot start kubectl: {error}")).fix(format!(
                "install kubectl where shipctl runs, or name it in the variable {PROGRAM}"
            )),
            Trouble::Read(error) => Doubt::new(format!("kubectl could not be read: {error}")),
        })?;
    if !ended.status.success() {
        return Err(refused(&ended.complaint, settings));
    }
    if ended.too_long {
        return Err(Doubt::new("kubectl listed more pods than are read (64 MiB)")
            .fix("narrow the source's `selector`"));
    }
    serde_json::from_slice(&ended.out).map_err(|error| {
        Doubt::new(format!(
            "kubectl did not print a list of pods (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

fn arguments(settings: &KubernetesSource, limit: Duration) -> Vec<String> {
    // Its own limit comes first, so that it can say what it waited for.
    let patience = (limit * 3 / 4).as_millis().max(100);
    let mut arguments = vec![
        "get".to_owned(),
        "pods".to_owned(),
        format!("--namespace={}", settings.namespace),
        format!("--selector={}", settings.selector),
        "--output=json".to_owned(),
        format!("--request-timeout={patience}ms"),
    ];
    if let Some(context) = &settings.context {
        arguments.push(format!("--context={context}"));
    }
    arguments
}

/// The command with which a person sees the same.
fn command(settings: &KubernetesSource) -> String {
    let context = settings
        .context
        .as_ref()
        .map(|context| format!(" --context {context}"))
        .unwrap_or_default();
    format!(
        "kubectl get pods --namespace {} --selector {}{context}",
        settings.namespace, settings.selector
    )
}

fn nobody(settings: &KubernetesSource, ended: usize) -> Doubt {
    let matching = match ended {
        0 => "no pod matches".to_owned(),
        1 => "the only pod that matches has ended:".to_owned(),
        _ => format!("all {ended} pods that match have ended:"),
    };
    Doubt::new(format!(
        "{matching} `{}` in namespace {}",
        settings.selector, settings.namespace
    ))
    .fix(format!(
        "see what is there (`{}`), and correct `selector`, `namespace` or `context`",
        command(settings)
    ))
}

/// Why `kubectl` failed, by what it says last.
fn refused(complaint: &str, settings: &KubernetesSource) -> Doubt {
    let last = complaint
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing");
    let said = cut(last.trim(), SHOWN_COMPLAINT);
    let lower = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let namespace = &settings.namespace;
    let context = settings.context.as_deref().unwrap_or("the current one");
    let (why, fix) = if says(&["unauthorized", "must be logged in", "provide credentials"]) {
        (
            "the cluster does not know who we are".to_owned(),
            "renew the credentials of the kubeconfig that shipctl runs with".to_owned(),
        )
    } else if says(&["forbidden"]) {
        (
            format!("the cluster does not let us list the pods of namespace {namespace}"),
            format!(
                "grant it: kubectl create rolebinding shipctl-pods --namespace {namespace} --clusterrole view --user USER \
                 (or --serviceaccount NAMESPACE:NAME); check: kubectl auth can-i list pods --namespace {namespace}"
            ),
        )
    } else if lower.contains("context") && says(&["does not exist", "not found"]) {
        (
            format!("the kubeconfig has no context `{context}`"),
            "correct the source's `context` (kubectl config get-contexts), or set KUBECONFIG".to_owned(),
        )
    } else if says(&[
        "unable to parse requirement",
        "found '",
        "invalid label",
        "selector",
    ]) {
        (
            format!("`{}` is not a label selector", settings.selector),
            "correct the source's `selector`".to_owned(),
        )
    } else if says(&[
        "connection to the server",
        "unable to connect",
        "timeout",
        "timed out",
        "deadline exceeded",
        "refused",
        "no such host",
        "x509",
    ]) {
        // What kubectl tries where it has no configuration.
        let unconfigured = lower.contains("localhost:8080");
        let fix = if unconfigured {
            "set KUBECONFIG to a kubeconfig: kubectl seems to have none where shipctl runs".to_owned()
        } else {
            format!(
                "check that the kubeconfig's context ({context}) leads to the cluster from where shipctl runs: kubectl cluster-info"
            )
        };
        ("the cluster's API cannot be reached".to_owned(), fix)
    } else {
        (
            "kubectl failed".to_owned(),
            format!("see what it says to `{}`", command(settings)),
        )
    };
    Doubt::new(format!("{why}: {said}")).fix(fix)
}

/// The commits that abbreviated ids stand for in the service's repository.
async fn resolve(
    probing: &Probing<'_>,
    service: &Service,
    abbreviated: Vec<String>,
) -> Result<BTreeMap<String, Result<CommitId, Doubt>>, Doubt> {
    if abbreviated.is_empty() {
        return Ok(BTreeMap::new());
    }
    let path = service
        .repository
        .clone()
        .unwrap_or_else(|| probing.root.to_owned());
    tokio::task::spawn_blocking(move || {
        let repository = Repository::discover(&path).map_err(|problem| super::doubt_of(&problem))?;
        let one = |digits: &str| {
            let commit = repository.resolve(digits)?;
            // A branch or a tag may be called like that.
            if commit.as_str().starts_with(&digits.to_ascii_lowercase()) {
                Ok(commit)
            } else {
                Err(Doubt::new(format!("`{digits}` is the name of a branch or tag")))
            }
        };
        Ok(abbreviated
            .into_iter()
            .map(|digits| {
                let commit = one(&digits);
                (digits, commit)
            })
            .collect())
    })
    .await
    .map_err(|error| Doubt::new(format!("looking up image tags failed: {error}")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> KubernetesSource {
        KubernetesSource {
            selector: "app=web".to_owned(),
            namespace: "shop".to_owned(),
            context: Some("prod".to_owned()),
            commit: PodCommit::Label("commit".to_owned()),
        }
    }

    #[test]
    fn kubectl_gives_up_before_we_do() {
        let arguments = arguments(&settings(), Duration::from_secs(4));
        assert!(arguments.contains(&"--request-timeout=3000ms".to_owned()));
        assert!(arguments.contains(&"--context=prod".to_owned()));
    }

    #[test]
    fn what_kubectl_complains_of_has_its_remedy() {
        for (complaint, why, fix) in [
            (
                "Error from server (Forbidden): pods is forbidden: User \"ci\" cannot list resource \"pods\"",
                "does not let us list the pods of namespace shop",
                "--clusterrole view",
            ),
            (
                "E1122 memcache.go:265] x\nThe connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?\n",
                "cannot be reached: The connection to the server 10.0.0.1:6443 was refused",
                "cluster-info",
            ),
            (
                "The connection to the server localhost:8080 was refused",
                "cannot be reached",
                "set KUBECONFIG",
            ),
            (
                "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded)",
                "cannot be reached",
                "cluster-info",
            ),
            (
                "error: You must be logged in to the server (Unauthorized)",
                "does not know who we are",
                "credentials",
            ),
            (
                "error: context \"prod\" does not exist",
                "no context `prod`",
                "get-contexts",
            ),
            (
                "error: unable to parse requirement: <nil>: Invalid value",
                "not a label selector",
                "`selector`",
            ),
            (
                "error: something else",
                "kubectl failed: error: something else",
                "kubectl get pods",
            ),
            ("", "it said nothing", "kubectl get pods"),
        ] {
            let doubt = refused(complaint, &settings());
            assert!(doubt.why.contains(why), "{}", doubt.why);
            assert!(doubt.fix.unwrap().contains(fix), "{complaint}");
        }
    }
}
