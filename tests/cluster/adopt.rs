//! CloneSets that run already on a real control plane: taken over without a pod moving, and from then on Git decides.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, Place, says, triton, until};
use crate::repo::Repo;

/// One story: a namespace, a clone and a branch of its own.
struct Shop {
    plane: Plane,
    namespace: &'static str,
    repo: Repo,
    state: tempfile::TempDir,
}

impl Shop {
    fn open(namespace: &'static str) -> Self {
        let plane = Plane::shared();
        plane.kubectl(&["create", "namespace", namespace]);
        plane.define_record();
        let (repo, state) = (Repo::new(), tempfile::tempdir().unwrap());
        repo.git(&["checkout", "--quiet", "-b", namespace]);
        for (key, value) in
            [("user.name", "Bo"), ("user.email", "bo@example.com"), ("commit.gpgsign", "false")]
        {
            repo.git(&["config", key, value]);
        }
        repo.put("README.md", "Shop\n");
        Self { plane, namespace, repo, state }
    }

    /// A CloneSet of four pods, written as `how` says.
    fn make(&self, name: &str, more: &str, how: &[&str]) {
        let text = format!(
            "apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{namespace: {}, name: {name}{more}}}
spec:
  replicas: 4
  minReadySeconds: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: app
        image: example/{name}:A
        env: [{{name: K, value: v}}]
        ports: [{{containerPort: 80}}]
        resources: {{requests: {{cpu: 1000m, memory: 1024Mi}}}}
        readinessProbe: {{httpGet: {{path: /, port: 80}}}}
  updateStrategy: {{type: InPlaceIfPossible, maxUnavailable: 50%}}
",
            self.namespace
        );
        self.plane.kubectl_reading(&[how, &["-f", "-"]].concat(), &text);
        until("its pods", || (self.ready(name, "A") == 4).then_some(()));
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        self.plane.get(kind, self.namespace, name).unwrap_or_default()
    }

    fn cloneset(&self, name: &str) -> Value {
        let args = ["get", "cloneset", name, "-n", self.namespace, "-o", "json", "--show-managed-fields"];
        serde_json::from_str(&self.plane.kubectl(&args)).unwrap()
    }

    /// Pods by UID, with how often their containers started again.
    fn pods(&self, name: &str) -> Vec<String> {
        let path = "jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}";
        let select = format!("app={name}");
        let text = self.plane.kubectl(&["get", "pods", "-n", self.namespace, "-l", &select, "-o", path]);
        let mut pods: Vec<String> = text.lines().map(str::to_owned).collect();
        pods.sort();
        pods
    }

    /// Ready pods of a version.
    fn ready(&self, name: &str, version: &str) -> usize {
        let path = "jsonpath={range .items[*]}{.spec.containers[0].image} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        let select = format!("app={name}");
        let text = self.plane.kubectl(&["get", "pods", "-n", self.namespace, "-l", &select, "-o", path]);
        text.lines().filter(|line| *line == format!("example/{name}:{version} True")).count()
    }

    /// `triton adopt` of the whole namespace, with steps that take no time; the files are fine, and committed.
    fn adopt(&self, more: &[&str]) -> String {
        let command = |args: &[&str]| {
            let mut command = triton(&self.plane.kubeconfig("admin"), self.namespace, self.state.path());
            says(command.args(args).current_dir(self.repo.path()))
        };
        let all = format!("{}/*", self.namespace);
        let told = command(&[&["adopt", all.as_str()], more].concat());
        assert!(command(&["check"]).contains("0 errors, 0 warnings"), "{told}");
        told
    }

    /// Edits the file of a release and commits it.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let path = format!("releases/{}/{name}.yaml", self.namespace);
        let text = std::fs::read_to_string(self.repo.file(&path)).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        self.repo.put(&path, &text.replace(from, to));
    }

    fn start(&self, subject: &str, more: &[&str]) -> Daemon {
        let repository = self.repo.path().display().to_string();
        let place = Place {
            namespace: self.namespace,
            repository: &repository,
            branch: self.namespace,
            state: self.state.path(),
        };
        Daemon::start(&self.plane, subject, &place, more)
    }

    fn status(&self, name: &str) -> Value {
        self.get("releases.triton.io", name)["status"].clone()
    }

    fn healthy(&self, name: &str) {
        until(&format!("{name} is healthy"), || {
            let status = self.status(name);
            (status["phase"] == "Healthy" && status["holds"].as_array().is_none_or(Vec::is_empty))
                .then_some(())
        });
    }

    fn holds(&self, name: &str, text: &str) {
        until(&format!("{name}: {text}"), || {
            self.status(name)["holds"].to_string().contains(text).then_some(())
        });
    }
}

/// Managers of the object itself, status and scale apart.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let own = entries.iter().filter(|it| it["subresource"].as_str().is_none_or(str::is_empty));
    let spec = own.filter(|it| it["fieldsV1"].get("f:spec").is_some());
    spec.map(|it| it["manager"].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn whoever_made_it_no_pod_moves_then_a_rollout_walks_and_what_git_drops_goes() {
    let shop = Shop::open("adopt-made");
    shop.make("applied", "", &["apply"]);
    shop.make("created", "", &["create"]);
    let edit = r#"{"spec":{"updateStrategy":{"maxUnavailable":"25%"}}}"#;
    let patch = ["patch", "cloneset", "created", "-n", shop.namespace, "--type", "merge", "-p", edit];
    shop.plane.kubectl(&[&patch[..], &["--field-manager", "kubectl-edit"]].concat());
    shop.make("ci", "", &["apply", "--server-side", "--field-manager", "ci"]);
    let service = "apiVersion: v1\nkind: Service\nmetadata: {namespace: adopt-made, name: front}\n\
        spec: {selector: {app: applied}, ports: [{port: 80}]}\n";
    shop.plane.kubectl_reading(&["apply", "-f", "-"], service);
    let names = ["applied", "created", "ci"];
    let before = names.map(|name| (shop.cloneset(name), shop.pods(name)));
    let told = shop.adopt(&["--companions"]);
    assert!(told.contains("adds     releases/adopt-made/ci.yaml") && !told.contains("careful"), "{told}");
    names.iter().for_each(|name| shop.edit(name, "soak: 5m", "soak: 1s"));
    let _daemon = shop.start("admin", &[]);
    for (name, (cloneset, pods)) in names.iter().zip(&before) {
        shop.healthy(name);
        until("it is Triton's alone", || (managers(&shop.cloneset(name)) == ["triton"]).then_some(()));
        let now = shop.cloneset(name);
        assert_eq!(now["metadata"]["generation"], cloneset["metadata"]["generation"], "{name}");
        assert_eq!(now["spec"], cloneset["spec"], "{name}");
        assert_eq!(shop.pods(name), *pods, "{name}");
        let history = shop.status(name)["history"].to_string();
        assert!(
            history.contains("is taken over as it stands") && history.contains("Triton's alone"),
            "{history}"
        );
    }
    let front = shop.get("service", "front");
    assert_eq!(front["metadata"]["annotations"]["triton.io/release"], "adopt-made/applied");
    for name in names {
        shop.edit(name, &format!("{name}:A"), &format!("{name}:B"));
    }
    names.iter().for_each(|name| until("B", || (shop.ready(name, "B") == 4).then_some(())));
    names.iter().for_each(|name| shop.healthy(name));
    let pods = names.map(|name| shop.pods(name));
    names.iter().for_each(|name| shop.edit(name, "  minReadySeconds: 1\n", ""));
    for (name, pods) in names.iter().zip(pods) {
        let gone = || shop.cloneset(name)["spec"].get("minReadySeconds").is_none().then_some(());
        until(&format!("{name}: what Git drops goes"), gone);
        assert_eq!(shop.pods(name), pods, "{name}");
    }
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn what_would_move_pods_is_said_and_left_to_the_steps() {
    let shop = Shop::open("adopt-steps");
    shop.make("web", "", &["apply"]);
    shop.adopt(&[]);
    // Containers are one value in a CloneSet: an apply without `env` would make every pod anew at once.
    shop.edit("web", "        env:\n        - name: K\n          value: v\n", "");
    shop.edit("web", "soak: 5m", "soak: 5s");
    shop.edit("web", "- replicas: 100%", "- replicas: 100%\n      approval: {}");
    let before = shop.pods("web");
    let _daemon = shop.start("admin", &[]);
    shop.holds("web", "needs 1 approval for step 3");
    let same = shop.pods("web").iter().filter(|pod| before.contains(pod)).count();
    assert_eq!(same, 2, "half of them at the second step");
    let history = shop.status("web")["history"].to_string();
    assert!(history.contains("Git differs at spec.template.spec.containers[name=app].env"), "{history}");
    shop.repo.git(&["revert", "--no-edit", "HEAD~2"]);
    until("every pod has it again", || {
        let path = "jsonpath={range .items[*]}{.spec.containers[0].env[0].value}{\"\\n\"}{end}";
        let text = shop.plane.kubectl(&["get", "pods", "-n", shop.namespace, "-l", "app=web", "-o", path]);
        (text.lines().filter(|line| *line == "v").count() == 4).then_some(())
    });
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn what_flux_or_helm_applies_too_holds_until_it_is_handed_over() {
    let shop = Shop::open("adopt-others");
    let flux =
        ", labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux}";
    shop.make("flux", flux, &["apply", "--server-side", "--field-manager", "kustomize-controller"]);
    let helm =
        ", labels: {app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: web}";
    shop.make("helm", helm, &["create", "--field-manager", "helm"]);
    let told = shop.adopt(&[]);
    assert!(told.contains("is also applied by Flux Kustomization flux/apps"), "{told}");
    let before =
        ["flux", "helm"].map(|name| (shop.cloneset(name)["metadata"]["generation"].clone(), shop.pods(name)));
    let _daemon = shop.start("admin", &[]);
    shop.holds("flux", "also applied by Flux Kustomization flux/apps, and two writers would fight");
    shop.holds("helm", "also applied by Helm release web");
    for name in ["flux", "helm"] {
        assert!(!shop.cloneset(name)["metadata"].to_string().contains("\"triton\""), "{name} is not touched");
    }
    let annotate = |name: &str, marks: &[&str]| {
        shop.plane.kubectl(&[&["annotate", "cloneset", name, "-n", shop.namespace], marks].concat());
    };
    let off = "kustomize.toolkit.fluxcd.io/reconcile=disabled";
    annotate("flux", &[off, "kustomize.toolkit.fluxcd.io/prune=disabled"]);
    shop.healthy("flux");
    annotate("helm", &["helm.sh/resource-policy=keep", "meta.helm.sh/release-name-"]);
    shop.plane.kubectl(&["label", "cloneset", "helm", "-n", shop.namespace, "app.kubernetes.io/managed-by-"]);
    shop.healthy("helm");
    for (name, (generation, pods)) in ["flux", "helm"].iter().zip(before) {
        until("it is Triton's alone", || (managers(&shop.cloneset(name)) == ["triton"]).then_some(()));
        assert_eq!(
            (&shop.cloneset(name)["metadata"]["generation"], shop.pods(name)),
            (&generation, pods),
            "{name}"
        );
    }
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_daemon_that_may_only_read_says_what_it_would_take_over() {
    let shop = Shop::open("adopt-observed");
    shop.make("web", "", &["apply"]);
    shop.adopt(&[]);
    let reads = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: adopt-observed}\n\
        rules: [{apiGroups: ['*'], resources: ['*'], verbs: [get, list, watch]}]\n---\n\
        apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: adopt-observed}\n\
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: adopt-observed}\n\
        subjects: [{kind: User, name: 'system:serviceaccount:triton-system:observe'}]\n";
    shop.plane.kubectl_reading(&["apply", "-f", "-"], reads);
    let mut daemon = shop.start("observe", &["--observe"]);
    let told = daemon.until(|line| {
        let text = line["message"].as_str()?;
        text.starts_with("would Adopt").then(|| text.to_owned())
    });
    assert!(told.contains("adopt-observed/web is about to be taken over"), "{told}");
    let mut diff = triton(&shop.plane.kubeconfig("observe"), shop.namespace, shop.state.path());
    assert_eq!(says(diff.arg("diff").current_dir(shop.repo.path())).trim(), "1 object is as the specs say");
    shop.edit("web", "web:A", "web:B");
    let mut diff = triton(&shop.plane.kubeconfig("observe"), shop.namespace, shop.state.path());
    let told = says(diff.arg("diff").current_dir(shop.repo.path()));
    assert!(
        told.contains("containers[name=app].image\n      - example/web:A   by kubectl-client-side-apply"),
        "{told}"
    );
}

/// Every size that a CloneSet is seen at, from now on.
struct Sizes {
    watch: Child,
    seen: Arc<Mutex<Vec<u32>>>,
}

impl Sizes {
    fn watch(shop: &Shop, name: &str) -> Self {
        let mut kubectl = Command::new(shop.plane.dir().join("bin/kubectl"));
        kubectl.arg("--kubeconfig").arg(shop.plane.kubeconfig("admin")).args(["get", "cloneset", name, "-n"]);
        kubectl.args([shop.namespace, "--watch", "-o", "jsonpath={.spec.replicas}{\"\\n\"}"]);
        let mut watch = kubectl.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            lines.filter_map(|line| line.parse().ok()).for_each(|size| noted.lock().unwrap().push(size));
        });
        let sizes = Self { watch, seen };
        until("the watch is open", || (!sizes.seen.lock().unwrap().is_empty()).then_some(()));
        sizes
    }

    /// The sizes in order, each once in a row.
    fn seen(&self) -> Vec<u32> {
        let mut seen = self.seen.lock().unwrap().clone();
        seen.dedup();
        seen
    }
}

impl Drop for Sizes {
    fn drop(&mut self) {
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn an_autoscaler_takes_the_size_over_and_gives_it_back_and_no_pod_is_lost_between() {
    let shop = Shop::open("adopt-scaled");
    shop.make("web", "", &["apply"]);
    let scale = |size: u32| {
        let patch = format!("{{\"spec\":{{\"replicas\":{size}}}}}");
        let args =
            ["patch", "cloneset", "web", "-n", shop.namespace, "--subresource", "scale", "--type", "merge"];
        shop.plane
            .kubectl(&[&args[..], &["--field-manager", "kube-controller-manager", "-p", &patch]].concat());
    };
    let autoscaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {namespace: adopt-scaled, name: web}\n\
        spec: {scaleTargetRef: {apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: web}, minReplicas: 2, maxReplicas: 40,\n\
        metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]}\n";
    shop.plane.kubectl_reading(&["apply", "-f", "-"], autoscaler);
    scale(6);
    until("six", || (shop.ready("web", "A") == 6).then_some(()));
    let sizes = Sizes::watch(&shop, "web");
    let pods = shop.pods("web");
    shop.adopt(&["--companions"]);
    let path = "releases/adopt-scaled/web.yaml";
    let text = std::fs::read_to_string(shop.repo.file(path)).unwrap();
    assert!(!text.contains("\n  replicas:") && text.contains("kind: HorizontalPodAutoscaler"), "{text}");
    shop.edit("web", "soak: 5m", "soak: 1s");
    let _daemon = shop.start("admin", &[]);
    shop.healthy("web");
    until("it is Triton's alone", || (managers(&shop.cloneset("web")) == ["triton"]).then_some(()));
    assert_eq!((shop.pods("web"), sizes.seen()), (pods, vec![6]), "adopted at the autoscaler's size");
    // It goes on scaling while a rollout walks.
    shop.edit("web", "web:A", "web:B");
    scale(8);
    until("eight of B", || (shop.ready("web", "B") == 8).then_some(()));
    shop.healthy("web");
    assert_eq!(sizes.seen(), [6, 8]);
    // Back to Git, without the autoscaler.
    let text = std::fs::read_to_string(shop.repo.file(path)).unwrap();
    let documents: Vec<&str> =
        text.split("---\n").filter(|it| !it.contains("HorizontalPodAutoscaler\n")).collect();
    shop.repo.put(
        path,
        &documents.join("---\n").replace("\nspec:\n  selector:", "\nspec:\n  replicas: 5\n  selector:"),
    );
    until("five", || (shop.ready("web", "B") == 5).then_some(()));
    until("the autoscaler is gone", || shop.get("hpa", "web").is_null().then_some(()));
    // And to one again: what stands stays until it scales.
    shop.edit("web", "  replicas: 5\n", "");
    let head = shop.repo.git(&["rev-parse", "HEAD"]);
    until("it is read", || {
        (shop.status("web")["history"].is_array() && told_head(&shop) == head).then_some(())
    });
    scale(7);
    until("seven", || (shop.ready("web", "B") == 7).then_some(()));
    shop.edit("web", "web:B", "web:C");
    until("seven of C", || (shop.ready("web", "C") == 7).then_some(()));
    assert_eq!(sizes.seen(), [6, 8, 5, 7]);
}

/// The head that the records tell of.
fn told_head(shop: &Shop) -> String {
    let leases = shop.plane.kubectl(&["get", "leases", "-n", shop.namespace, "-o", "json"]);
    let leases: Value = serde_json::from_str(&leases).unwrap();
    leases["items"][0]["metadata"]["annotations"]["triton.io/told-head"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
