//! Each right that `deploy` gives, taken away in turn: it is missed by name, and given back it heals.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, Place, until};
use crate::deploy::{Right, rights};
use crate::repo::Repo;

/// Cases at once.
const AT_ONCE: usize = 6;
/// Where the daemon lives, and its lease.
const HOME: &str = "triton-system";

/// What makes the daemon use the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Another version.
    Version,
    /// Another version, and another text of the companion or the Release.
    Change,
    /// Another version, and one object more.
    More,
    /// One object less.
    Less,
    /// Somebody takes our label off the companion.
    Unlabelled,
    /// One CloneSet more, which kubectl has made.
    Adopted,
    /// Another process, and another version.
    Restart,
    /// Another process.
    OnlyRestart,
    /// The pod is evicted: the next one is to be let in.
    Evicted,
    /// Git names the pod: it is to be replaced.
    Named,
    /// Another process, where there has never been one.
    FirstStart,
}

/// How the right is used, and whether a record can tell that it is missing: else the log alone does.
fn used(right: &Right) -> (Use, bool) {
    match (right.resource.as_str(), right.verb.as_str()) {
        ("events", _) => (Use::Version, false),
        ("releases/status", _) => (Use::Version, false),
        ("leases", "create") => (Use::FirstStart, false),
        ("leases", _) | ("clonesets" | "releases", "list") => (Use::Restart, false),
        ("releases", "watch") => (Use::Restart, true),
        ("releases", verb) => (if verb == "patch" { Use::Change } else { kind_of(verb) }, false),
        ("clonesets", "patch") => (Use::Version, true),
        ("clonesets", "get") => (Use::Adopted, true),
        ("pods/status", _) => (Use::Evicted, true),
        ("pods", "get") => (Use::Named, true),
        ("pods", _) => (Use::OnlyRestart, true),
        ("endpointslices", _) => (Use::Version, true),
        (_, verb) => (kind_of(verb), true),
    }
}

fn kind_of(verb: &str) -> Use {
    match verb {
        "create" => Use::More,
        "patch" => Use::Change,
        "delete" => Use::Less,
        "get" => Use::Unlabelled,
        "list" | "watch" => Use::Restart,
        _ => panic!("nothing uses {verb}"),
    }
}

/// One companion, with a text to be changed.
fn companion(resource: &str, namespace: &str, name: &str, text: &str) -> Option<Value> {
    let (version, kind, key, body) = match resource {
        "configmaps" => ("v1", "ConfigMap", "data", json!({"a": "b"})),
        "serviceaccounts" => ("v1", "ServiceAccount", "automountServiceAccountToken", json!(false)),
        "services" => ("v1", "Service", "spec", json!({"selector": {"app": "app"}, "ports": [{"port": 80}]})),
        "poddisruptionbudgets" => {
            let selector = json!({"matchLabels": {"app": "app"}});
            ("policy/v1", "PodDisruptionBudget", "spec", json!({"maxUnavailable": 1, "selector": selector}))
        }
        "horizontalpodautoscalers" => {
            let of = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "app"});
            let spec = json!({"scaleTargetRef": of, "minReplicas": 1, "maxReplicas": 3});
            ("autoscaling/v2", "HorizontalPodAutoscaler", "spec", spec)
        }
        "ingresses" => {
            let backend = json!({"service": {"name": "app", "port": {"number": 80}}});
            ("networking.k8s.io/v1", "Ingress", "spec", json!({"defaultBackend": backend}))
        }
        "httproutes" | "grpcroutes" => {
            let rules = json!([{"backendRefs": [{"name": "app", "port": 80}]}]);
            let kind = if resource == "httproutes" { "HTTPRoute" } else { "GRPCRoute" };
            ("gateway.networking.k8s.io/v1", kind, "spec", json!({"rules": rules}))
        }
        _ => return None,
    };
    let metadata = json!({"namespace": namespace, "name": name, "annotations": {"text": text}});
    Some(json!({"apiVersion": version, "kind": kind, "metadata": metadata, key: body}))
}

/// A release of one pod, which serves by approval where it is `gated`.
fn release(namespace: &str, name: &str, version: &str, text: &str, gated: bool) -> [Value; 2] {
    let metadata = json!({"namespace": namespace, "name": name});
    let labels = json!({"app": name});
    let containers = json!([{"name": "app", "image": format!("example/app:{version}")}]);
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
    let mut strategy = json!({"deadline": text});
    let mut update = json!({"maxUnavailable": "20%"});
    if gated {
        strategy["steps"] = json!([{"replicas": "100%", "serve": "approval"}]);
        update["type"] = json!("ReCreate");
    }
    [
        json!({"apiVersion": "triton.io/v1", "kind": "Release", "metadata": metadata, "spec": {"strategy": strategy}}),
        json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": template, "updateStrategy": update}}),
    ]
}

fn file(objects: impl IntoIterator<Item = Value>) -> String {
    objects.into_iter().map(|it| format!("---\n{it}\n")).collect()
}

/// One right, and the daemon that has it not.
struct Case<'a> {
    plane: &'a Plane,
    right: Right,
    /// Of its subject, its roles, its namespace and its branch.
    name: String,
    repo: Repo,
    state: tempfile::TempDir,
}

impl Case<'_> {
    /// Its roles: everything that `deploy` gives, but for `without`.
    fn roles(&self, without: Option<&Right>) -> String {
        let cluster = ["triton", "triton-companions"].map(|role| rights("ClusterRole", role));
        let rules = |rights: BTreeSet<Right>| -> Vec<Value> {
            let kept = rights.into_iter().filter(|it| Some(it) != without);
            kept.map(|it| json!({"apiGroups": [it.group], "resources": [it.resource], "verbs": [it.verb]}))
                .collect()
        };
        let (group, name) = ("rbac.authorization.k8s.io", &self.name);
        let version = format!("{group}/v1");
        let subject = json!([{"kind": "ServiceAccount", "namespace": HOME, "name": name}]);
        let whole = json!({"name": name});
        let home = json!({"namespace": HOME, "name": name});
        let of = |kind: &str| json!({"apiGroup": group, "kind": kind, "name": name});
        let all = cluster.into_iter().flatten().collect();
        let items = json!([
            {"apiVersion": "v1", "kind": "Namespace", "metadata": whole},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": home},
            {"apiVersion": version, "kind": "ClusterRole", "metadata": whole, "rules": rules(all)},
            {"apiVersion": version, "kind": "ClusterRoleBinding", "metadata": whole, "roleRef": of("ClusterRole"), "subjects": subject},
            {"apiVersion": version, "kind": "Role", "metadata": home, "rules": rules(rights("Role", "triton"))},
            {"apiVersion": version, "kind": "RoleBinding", "metadata": home, "roleRef": of("Role"), "subjects": subject},
        ]);
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    }

    fn give(&self, without: Option<&Right>) {
        self.plane.kubectl_reading(&["apply", "--server-side", "-f", "-"], &self.roles(without));
    }

    /// Its service account's own way to the cluster.
    fn kubeconfig(&self) -> PathBuf {
        let token = self.plane.kubectl(&["create", "token", &self.name, "--namespace", HOME]);
        let admin = std::fs::read_to_string(self.plane.kubeconfig("admin")).unwrap();
        let (head, _) = admin.rsplit_once("  user: ").unwrap();
        let path = self.plane.kubeconfig(&self.name);
        std::fs::write(&path, format!("{head}  user: {{ token: {} }}\n", token.trim())).unwrap();
        path
    }

    fn start(&self) -> Daemon {
        let repository = self.repo.path().display().to_string();
        let place =
            Place { namespace: HOME, repository: &repository, branch: &self.name, state: self.state.path() };
        Daemon::start(self.plane, &self.name, &place, &[])
    }

    /// What Git has: the release `app`, with its companion, and `more` of the same.
    fn commit(&self, version: &str, text: &str, more: bool, less: bool) {
        let (namespace, resource) = (&self.name, self.right.resource.as_str());
        let one = |name: &str, text: &str| companion(resource, namespace, name, text);
        let minutes = if text == "changed" { "9m" } else { "10m" };
        let mut app: Vec<Value> =
            release(namespace, "app", version, minutes, resource.starts_with("pods")).into();
        if !less {
            app.extend(one("app", text));
        }
        if resource == "endpointslices" {
            app[0]["spec"]["strategy"]["routes"] = json!(["app"]);
            app[0]["spec"]["strategy"]["steps"] =
                json!([{"replicas": 1, "weight": "5%"}, {"replicas": "100%"}]);
            app.extend(
                ["services", "httproutes"]
                    .map(|it| companion(it, namespace, "app", text))
                    .into_iter()
                    .flatten(),
            );
        }
        if more {
            app.extend(one("more", text));
        }
        let is_companion = one("app", text).is_some();
        let mut files = vec![("releases/app.yaml", file(app))];
        if is_companion || !less {
            files.push(("releases/other.yaml", file(release(namespace, "other", "A", "10m", false))));
        }
        if more && !is_companion {
            let mut more = release(namespace, "more", "A", "10m", false);
            more[0]["metadata"]["annotations"] = json!({"triton.io/adopt": "true"});
            files.push(("releases/more.yaml", file(more)));
        }
        self.repo.git(&["rm", "-rq", "--ignore-unmatch", "releases"]);
        for (path, text) in files {
            self.repo.write(path, &text);
        }
        self.repo.commit(version);
    }

    /// The pods of `app`, by UID, with what they run.
    fn pods(&self) -> BTreeMap<String, String> {
        let path = "jsonpath={range .items[*]}{.metadata.uid} {.spec.containers[0].image} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        let text = self.plane.kubectl(&[
            "get",
            "pods",
            "--namespace",
            &self.name,
            "--selector",
            "app=app",
            "--output",
            path,
        ]);
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(uid, rest)| (uid.to_owned(), rest.to_owned()))
            .collect()
    }

    fn runs(&self, version: &str) {
        let wanted = format!("example/app:{version} True");
        let runs = || {
            self.pods().values().all(|pod| *pod == wanted).then_some(()).filter(|()| !self.pods().is_empty())
        };
        until(&format!("{}: {wanted}", self.name), runs);
    }

    /// Whether the objects are what Git says, and the records say so.
    fn is_done(&self, more: bool, less: bool, text: &str) -> Option<()> {
        let resource = self.right.resource.as_str();
        let get = |kind: &str, name: &str| self.plane.get(kind, &self.name, name);
        if companion(resource, "x", "x", "").is_some() {
            let app = get(resource, "app");
            let stands = match &app {
                None => less,
                Some(it) => {
                    !less
                        && it["metadata"]["annotations"]["text"] == text
                        && it["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "triton"
                }
            };
            (stands && get(resource, "more").is_some() == more).then_some(())?;
        } else {
            (get("clonesets", "more").is_some() == more).then_some(())?;
            (get("clonesets", "other").is_none() == less).then_some(())?;
            (get("releases", "other").is_none() == less).then_some(())?;
        }
        self.holds().is_empty().then_some(())?;
        (get("releases", "app")?["status"]["phase"] == "Healthy").then_some(())
    }

    /// What the records' holds say.
    fn holds(&self) -> String {
        let text = self.plane.kubectl(&["get", "releases", "--namespace", &self.name, "--output", "json"]);
        let list: Value = serde_json::from_str(&text).unwrap();
        let records = list["items"].as_array().unwrap().iter();
        let holds = records.filter_map(|it| it["status"]["holds"].as_array()).flatten();
        holds.filter_map(|hold| hold["message"].as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The whole story.
    fn play(&self) {
        self.repo.git(&["checkout", "--quiet", "-b", &self.name]);
        self.commit("A", "first", false, false);
        self.give(None);
        self.kubeconfig();
        let mut daemon = self.start();
        self.runs("A");
        until(&format!("{}: the first version", self.name), || self.is_done(false, false, "first"));
        let (how, in_record) = used(&self.right);
        let before = self.pods();
        // A daemon that may not renew its lease ends by itself.
        let ends = (self.right.resource.as_str(), self.right.verb.as_str()) == ("leases", "patch");
        let starts = matches!(how, Use::Restart | Use::OnlyRestart | Use::FirstStart);
        if starts && !ends {
            daemon.kill();
        }
        self.give(Some(&self.right));
        self.lose();
        if ends {
            assert_ne!(daemon.wait(), Some(0), "{}", self.name);
        }
        let version = self.provoke(how);
        if starts {
            daemon = self.start();
        }
        let Right { group, resource, verb } = &self.right;
        let rule = format!("apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [\"{verb}\"]");
        if in_record {
            until(&format!("{}: a hold with {rule}", self.name), || {
                self.holds().contains(&rule).then_some(())
            });
        } else {
            daemon.until(|line| line["message"].as_str()?.contains(&rule).then_some(()));
        }
        // Records and Events are told after the fact: what Git permits goes on without them.
        if !["events", "releases/status", "pods/status"].contains(&resource.as_str())
            && (resource, verb.as_str()) != (&"releases".to_owned(), "patch")
        {
            assert_eq!(self.pods(), before, "{}: pods have moved", self.name);
        }
        self.give(None);
        let (more, less) = (matches!(how, Use::More | Use::Adopted), how == Use::Less);
        let text = if how == Use::Change { "changed" } else { "first" };
        self.runs(version);
        until(&format!("{}: healed", self.name), || self.is_done(more, less, text));
        assert!(daemon.is_running(), "{}", self.name);
    }

    /// Waits until the API server has taken the right away.
    fn lose(&self) {
        let Right { group, resource, verb } = &self.right;
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let named = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let namespace = if resource == "leases" { HOME } else { &self.name };
        let subject = format!("--as=system:serviceaccount:{HOME}:{}", self.name);
        let sub = format!("--subresource={subresource}");
        let lost = || {
            let can = self.plane.can(&[
                "auth",
                "can-i",
                "--quiet",
                verb,
                &named,
                &sub,
                "--namespace",
                namespace,
                &subject,
            ]);
            (!can).then_some(())
        };
        until(&format!("{}: without it", self.name), lost);
    }

    /// Makes the daemon use the right; gives the version that Git then has.
    fn provoke(&self, how: Use) -> &'static str {
        match how {
            Use::Version | Use::Restart => self.commit("B", "first", false, false),
            Use::Change => self.commit("B", "changed", false, false),
            Use::More => self.commit(self.next(how), "first", true, false),
            Use::OnlyRestart => {}
            Use::Evicted => {
                let namespace = ["--namespace", &self.name];
                let pods = ["delete", "pods", "--selector", "app=app", "--wait=false"];
                self.plane.kubectl(&[&pods[..], &namespace[..]].concat());
            }
            Use::Named => {
                let name = "jsonpath={.items[0].metadata.name}";
                let of_app = ["--namespace", &self.name, "--selector", "app=app", "--output", name];
                let pod = self.plane.kubectl(&[&["get", "pods"][..], &of_app].concat());
                let path = "releases/app.yaml";
                let text = std::fs::read_to_string(self.repo.file(path)).unwrap();
                let named = format!("\"spec\":{{\"replace\":[\"{}\"],\"strategy\"", pod.trim());
                self.repo.put(path, &text.replacen("\"spec\":{\"strategy\"", &named, 1));
            }
            Use::Less => self.commit("A", "first", false, true),
            Use::Adopted => {
                let [_, made] = release(&self.name, "more", "A", "10m", false);
                self.plane.kubectl_reading(&["apply", "-f", "-"], &made.to_string());
                self.commit("A", "first", true, false);
            }
            Use::Unlabelled => {
                let label = "app.kubernetes.io/managed-by-";
                self.plane.kubectl(&["label", &self.right.resource, "app", "--namespace", &self.name, label]);
            }
            Use::FirstStart => {
                let record = self.plane.get("releases", &self.name, "app").unwrap();
                let root = record["metadata"]["annotations"]["triton.io/root"].as_str().unwrap();
                self.plane.kubectl(&["delete", "leases", &format!("triton-{root}"), "--namespace", HOME]);
                self.commit("B", "first", false, false);
            }
        }
        self.next(how)
    }

    /// The version that `app` has then: one whose way is barred, where the right bars the way of its pods.
    fn next(&self, how: Use) -> &'static str {
        let alone = how == Use::More && companion(&self.right.resource, "", "", "").is_none();
        if alone
            || matches!(
                how,
                Use::Less | Use::Unlabelled | Use::Adopted | Use::OnlyRestart | Use::Evicted | Use::Named
            )
        {
            "A"
        } else {
            "B"
        }
    }
}

/// A control plane with what `deploy` installs, and every kind of companion.
fn plane() -> Plane {
    let plane = Plane::own();
    let deploy = crate::deploy::folder();
    plane.kubectl(&["apply", "-k", deploy.to_str().unwrap()]);
    plane.define_routes();
    plane
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn each_right_that_is_taken_away_is_missed_by_name_and_heals_when_it_is_given_back() {
    let plane = plane();
    let roles = [("ClusterRole", "triton"), ("ClusterRole", "triton-companions"), ("Role", "triton")];
    let all = roles.iter().flat_map(|(kind, name)| rights(kind, name));
    let only = std::env::var("TRITON_RIGHT").unwrap_or_default();
    let chosen = all.filter(|it| format!("{} {}", it.verb, it.resource).contains(&only));
    let cases = Mutex::new(chosen.enumerate().collect::<Vec<_>>());
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some((number, right)) = cases.lock().unwrap().pop() else { return };
            let name = format!("case-{number}");
            let state = tempfile::tempdir().unwrap();
            let case = Case { plane: &plane, right: right.clone(), name, repo: Repo::new(), state };
            let began = std::time::Instant::now();
            let played = catch_unwind(AssertUnwindSafe(|| case.play()));
            let (took, verb, resource) = (began.elapsed().as_secs(), &right.verb, &right.resource);
            println!("{took:3} s  {verb} {resource}");
            if let Err(why) = played {
                let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
                failed.lock().unwrap().push(format!("{} {}: {why}", right.verb, right.resource));
            }
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of them:\n{}", failed.len(), failed.join("\n"));
}
