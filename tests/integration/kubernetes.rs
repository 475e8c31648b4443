//! The `kubernetes` source through the real `kubectl`, against an API on the loopback interface that serves the lists of a
//! cluster: discovery, pods of a namespace by label selector, and refusals.
//!
//! Without `kubectl` in PATH (or in SHIPCTL_KUBECTL) these tests say so and prove nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use predicates::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::rename::{PLAN, Stage};
use crate::support::{Project, skipped};

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

/// How the API answers questions about pods.
#[derive(Clone)]
enum Answer {
    Pods(Vec<Value>),
    /// A status, its reason and its message.
    Refusal(u16, &'static str, &'static str),
    Silence,
}

/// An API server as far as listing pods goes.
struct Api {
    port: u16,
    answer: Arc<Mutex<Answer>>,
}

impl Api {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(answer));
        let shared = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { port, answer }
    }

    /// What leads `kubectl` here.
    fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": format!("http://127.0.0.1:{}", self.port) } }],
            "users": [{ "name": "test", "user": { "token": "hunter2hunter2" } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        })
        .to_string()
    }

    fn now(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

/// Answers one request and closes the connection.
async fn serve(mut stream: TcpStream, answer: Arc<Mutex<Answer>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.split_whitespace().nth(1)?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let answer = answer.lock().unwrap().clone();
    let (status, body) = match (path, answer) {
        ("/version", _) => (
            200,
            json!({ "major": "1", "minor": "32", "gitVersion": "v1.32.4" }),
        ),
        ("/api", _) => (200, json!({ "kind": "APIVersions", "versions": ["v1"] })),
        ("/apis", _) => (
            200,
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }),
        ),
        ("/api/v1", _) => (
            200,
            json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [{
                "name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod",
                "shortNames": ["po"], "verbs": ["get", "list"],
            }] }),
        ),
        (_, Answer::Silence) => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return None;
        }
        (_, Answer::Refusal(code, reason, message)) => (
            code,
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
                    "message": message,
                    "details": { "kind": "pods" } }),
        ),
        (path, Answer::Pods(pods)) => {
            let namespace = path.strip_prefix("/api/v1/namespaces/")?.strip_suffix("/pods")?;
            let items: Vec<Value> = pods
                .into_iter()
                .filter(|pod| pod["metadata"]["namespace"] == namespace && selected(pod, query))
                .collect();
            (
                200,
                json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items }),
            )
        }
    };
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// Whether a pod has all labels of `labelSelector=a=b,c=d`.
fn selected(pod: &Value, query: &str) -> bool {
    let selector = query
        .split('&')
        .find_map(|part| part.strip_prefix("labelSelector="))
        .unwrap_or_default()
        .replace("%3D", "=")
        .replace("%2C", ",");
    selector
        .split(',')
        .filter_map(|label| label.split_once('='))
        .all(|(key, value)| pod["metadata"]["labels"][key] == value)
}

/// A pod of the web in the namespace `shop` whose annotation names a commit.
fn pod(name: &str, phase: &str, commit: &str) -> Value {
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": { "app": "web", "tier": "front" },
            "annotations": { "example.org/commit": commit },
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": { "containers": [{ "name": "app", "image": "registry:5000/web:latest" }] },
        "status": { "phase": phase, "containerStatuses": [] },
    })
}

fn images(name: &str, image: &str, id: &str) -> Value {
    let mut pod = pod(name, "Running", ONE);
    pod["spec"]["containers"] =
        json!([{ "name": "app", "image": image }, { "name": "proxy", "image": "proxy:1" }]);
    pod["status"]["containerStatuses"] = json!([
        { "name": "app", "image": image, "imageID": id },
        { "name": "proxy", "image": "proxy:1", "imageID": "" },
    ]);
    pod
}

/// `kubectl`, or `None` and a word about it.
fn kubectl() -> Option<PathBuf> {
    let named = std::env::var_os("SHIPCTL_KUBECTL").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named.or_else(|| {
        std::env::split_paths(&path)
            .map(|folder| folder.join("kubectl"))
            .find(|candidate| candidate.is_file())
    });
    if found.is_none() {
        skipped(
            "there is no kubectl in PATH or SHIPCTL_KUBECTL, so the kubernetes source is not tested; `make test` says how to install it",
        );
    }
    found
}

/// A project whose web is read from the API, and the program that reads it.
struct Look {
    project: Project,
    kubectl: PathBuf,
    api: Api,
}

impl Look {
    async fn new(commit: &str, pods: Vec<Value>) -> Option<Self> {
        Self::with(
            &format!(
                "kind = \"kubernetes\", selector = \"app=web\", namespace = \"shop\", commit = {{ {commit} }}"
            ),
            pods,
        )
        .await
    }

    async fn with(source: &str, pods: Vec<Value>) -> Option<Self> {
        let kubectl = kubectl()?;
        let project = Project::new(&format!(
            "[[environments.production.services]]\nname = \"web\"\nsource = {{ {source} }}\n"
        ))
        .await;
        let api = Api::start(Answer::Pods(pods)).await;
        project.repo.write("kubeconfig", &api.kubeconfig());
        Some(Self {
            project,
            kubectl,
            api,
        })
    }

    fn shipctl(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = self.project.shipctl(args);
        command
            .env("KUBECONFIG", self.project.repo.path().join("kubeconfig"))
            .env("SHIPCTL_KUBECTL", &self.kubectl);
        command
    }

    /// The instances and their commits, and every doubt with its remedy.
    fn told(&self, exit: i32) -> (Vec<(String, String)>, String) {
        let output = self
            .shipctl(&["deployed", "--json"])
            .assert()
            .code(exit)
            .get_output()
            .stdout
            .clone();
        let json: Value = serde_json::from_slice(&output).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let instances = json["services"][0]["instances"].as_array().unwrap();
        let mut seen: Vec<(String, String)> = instances
            .iter()
            .map(|one| (text(&one["instance"]), text(&one["commit"])))
            .collect();
        seen.sort();
        let doubts = json["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reason| format!("{} | {}\n", text(&reason["message"]), text(&reason["fix"])))
            .collect();
        (seen, doubts)
    }
}

const ANNOTATION: &str = "annotation = \"example.org/commit\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pod_that_runs_is_an_instance_also_one_that_is_being_ended_or_has_no_owner() {
    let mut terminating = pod("web-old", "Running", ONE);
    terminating["metadata"]["deletionTimestamp"] = json!("2026-01-01T01:00:00Z");
    let mut owned = pod("web-new", "Running", TWO);
    owned["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1" }]);
    let mut elsewhere = pod("web-staging", "Running", ONE);
    elsewhere["metadata"]["namespace"] = json!("staging");
    let mut other = pod("worker", "Running", ONE);
    other["metadata"]["labels"]["app"] = json!("worker");
    let pods = vec![
        terminating,
        owned,
        pod("bare-job", "Running", TWO),
        pod("lost", "Unknown", TWO),
        pod("starting", "Pending", TWO),
        pod("done", "Succeeded", ONE),
        pod("crashed", "Failed", ONE),
        elsewhere,
        other,
    ];
    let Some(look) = Look::new(ANNOTATION, pods).await else {
        return;
    };
    let (seen, doubts) = look.told(0);
    assert_eq!(doubts, "");
    let names: Vec<&str> = seen
        .iter()
        .map(|(name, _)| name.split(' ').next().unwrap())
        .collect();
    assert_eq!(names, ["bare-job", "lost", "starting", "web-new", "web-old"]);
    assert_eq!(seen[4].1, ONE, "{seen:?}");
    assert!(seen[4].0.ends_with("d old, terminating)"), "{seen:?}");
    assert!(seen[2].0.ends_with("starting)"), "{seen:?}");
    look.shipctl(&["deployed"])
        .assert()
        .code(0)
        .stdout(predicate::str::contains("every instance"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_does_not_say_its_commit_is_a_doubt_that_names_it() {
    let mut unsaid = pod("web-mute", "Running", ONE);
    unsaid["metadata"]["annotations"] = json!({});
    let pods = vec![
        pod("web-1", "Running", ONE),
        unsaid,
        pod("web-2", "Running", "1111111"),
    ];
    let Some(look) = Look::new(ANNOTATION, pods).await else {
        return;
    };
    let (seen, doubts) = look.told(3);
    assert_eq!(seen.len(), 1);
    assert!(
        doubts.contains("pod web-mute has no annotation `example.org/commit` | put it into the pod template"),
        "{doubts}"
    );
    assert!(
        doubts.contains("pod web-2 reports the abbreviated commit id"),
        "{doubts}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_tag_tells_only_where_it_is_a_commit_of_the_repository() {
    let Some(look) = Look::new("image_tag = \"app\"", Vec::new()).await else {
        return;
    };
    let commit = look.project.repo.commit("First");
    let short = &commit.as_str()[..10];
    look.api.now(Answer::Pods(vec![
        images("full", &format!("registry:5000/web:{commit}"), ""),
        images("short", &format!("web:{short}@sha256:{}", "a".repeat(64)), ""),
    ]));
    let (seen, doubts) = look.told(0);
    assert_eq!(doubts, "");
    assert!(seen.iter().all(|(_, said)| said == commit.as_str()), "{seen:?}");

    look.project.repo.tag("deadbeef");
    look.api.now(Answer::Pods(vec![
        images("full", &format!("web:{commit}"), ""),
        images("latest", "web:latest", ""),
        images("digest", &format!("web@sha256:{}", "a".repeat(64)), ""),
        images("unknown", "web:0123456", ""),
        images("named", "web:deadbeef", ""),
    ]));
    let (seen, doubts) = look.told(3);
    assert_eq!(seen.len(), 1);
    for said in [
        "the image tag `latest` of pod latest is not a commit id",
        "the image of pod digest has no tag",
        "pod unknown abbreviates its commit, and `0123456` is not in the repository",
        "`deadbeef` is the name of a branch or tag",
    ] {
        assert!(doubts.contains(said), "{said} is not in\n{doubts}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_digest_of_what_runs_is_looked_up_in_a_file() {
    let (known, other) = (
        format!("sha256:{}", "a".repeat(64)),
        format!("sha256:{}", "b".repeat(64)),
    );
    let pods = vec![
        images("known", "web:latest", &format!("registry:5000/web@{known}")),
        images("other", "web:latest", &format!("docker-pullable://web@{other}")),
        images("starting", "web:latest", ""),
    ];
    let commit = "digests = \"images.json\", container = \"app\"";
    let Some(look) = Look::new(commit, pods).await else {
        return;
    };
    let (_, doubts) = look.told(3);
    assert!(doubts.contains("cannot read images.json"), "{doubts}");
    look.project
        .repo
        .write("images.json", &json!({ known: ONE }).to_string());
    let (seen, doubts) = look.told(3);
    assert_eq!((seen.len(), seen[0].1.as_str()), (1, ONE));
    assert!(
        doubts.contains(&format!("runs {other}, which is not in images.json")),
        "{doubts}"
    );
    assert!(doubts.contains("pod starting has not started"), "{doubts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_does_not_tell_is_unknown_with_cause_and_remedy() {
    let Some(look) = Look::new(ANNOTATION, Vec::new()).await else {
        return;
    };
    let (_, doubts) = look.told(3);
    assert!(
        doubts.contains("no pod matches `app=web` in namespace shop | see what is there (`kubectl get pods"),
        "{doubts}"
    );
    look.api.now(Answer::Pods(vec![
        pod("a", "Succeeded", ONE),
        pod("b", "Failed", ONE),
    ]));
    let (_, doubts) = look.told(3);
    assert!(doubts.contains("all 2 pods that match have ended"), "{doubts}");

    let message = "pods is forbidden: User \"ci\" cannot list resource \"pods\" in API group \"\" in the namespace \"shop\"";
    look.api.now(Answer::Refusal(403, "Forbidden", message));
    let (_, doubts) = look.told(3);
    assert!(
        doubts.contains("does not let us list the pods of namespace shop"),
        "{doubts}"
    );
    assert!(doubts.contains("User \"ci\" cannot list resource"), "{doubts}");
    assert!(doubts.contains("--clusterrole view"), "{doubts}");

    look.api.now(Answer::Refusal(401, "Unauthorized", "Unauthorized"));
    let (_, doubts) = look.told(3);
    assert!(doubts.contains("does not know who we are"), "{doubts}");
    assert!(!doubts.contains("hunter2"), "{doubts}");

    look.project.repo.write(
        "kubeconfig",
        &look
            .project
            .repo
            .read("kubeconfig")
            .replace(&format!(":{}", look.api.port), ":1"),
    );
    let (_, doubts) = look.told(3);
    assert!(doubts.contains("the cluster's API cannot be reached"), "{doubts}");
    assert!(doubts.contains("kubectl cluster-info"), "{doubts}");

    look.shipctl(&["deployed"])
        .env("SHIPCTL_KUBECTL", "/nowhere/kubectl")
        .assert()
        .code(3)
        .stdout(
            predicate::str::contains("cannot start kubectl").and(predicate::str::contains("install kubectl")),
        );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_is_not_there_is_named() {
    let source = format!(
        "kind = \"kubernetes\", selector = \"app=web\", namespace = \"shop\", context = \"prod\", commit = {{ {ANNOTATION} }}"
    );
    let Some(look) = Look::with(&source, vec![pod("a", "Running", ONE)]).await else {
        return;
    };
    let (_, doubts) = look.told(3);
    assert!(
        doubts.contains("the kubeconfig has no context `prod`"),
        "{doubts}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_does_not_answer_does_not_hold_us_up() {
    let source = format!(
        "kind = \"kubernetes\", selector = \"app=web\", namespace = \"shop\", timeout = \"3s\", commit = {{ {ANNOTATION} }}"
    );
    let Some(look) = Look::with(&source, Vec::new()).await else {
        return;
    };
    look.api.now(Answer::Silence);
    let begun = Instant::now();
    let (_, doubts) = look.told(3);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(
        doubts.contains("cannot be reached") || doubts.contains("did not answer within"),
        "{doubts}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_of_the_old_version_keeps_a_gate_closed_until_it_has_wholly_ended() {
    let Some(kubectl) = kubectl() else { return };
    let stage = Stage::with(&format!(
        "[environments.production]\ndatabase = \"env:DATABASE_URL\"\n\
         [[environments.production.services]]\nname = \"web\"\n\
         source = {{ kind = \"kubernetes\", selector = \"app=web\", namespace = \"shop\", commit = {{ {ANNOTATION} }} }}\n"
    ))
    .await;
    let first = stage.release("The first release", None);
    let dual = stage.release("Write both", Some("dual-write"));
    stage.done("add").await;
    let mut old = pod("web-old", "Running", first.as_str());
    old["metadata"]["deletionTimestamp"] = json!("2026-01-01T01:00:00Z");
    let new = pod("web-new", "Running", dual.as_str());
    let api = Api::start(Answer::Pods(vec![new.clone(), old.clone()])).await;
    let kubeconfig = stage.project.repo.write("kubeconfig", &api.kubeconfig());
    let gate = |exit: i32| {
        let output = stage
            .project
            .shipctl(&["gate", PLAN, "backfill"])
            .env("KUBECONFIG", &kubeconfig)
            .env("SHIPCTL_KUBECTL", &kubectl)
            .assert()
            .code(exit)
            .get_output()
            .clone();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let said = gate(1);
    assert!(said.contains("web-old") && said.contains("terminating"), "{said}");
    assert!(said.contains("old-version-running"), "{said}");
    old["status"]["phase"] = json!("Succeeded");
    api.now(Answer::Pods(vec![new, old]));
    gate(0);
    api.now(Answer::Refusal(403, "Forbidden", "pods is forbidden"));
    assert!(gate(3).contains("does not let us list the pods"));
}
