//! A control plane, started by `up` and ended by `down`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

use crate::cluster::process::{has_ended, until};

/// A control plane.
pub struct Plane {
    dir: PathBuf,
    /// Where this one is ours alone: its folder, which goes with it.
    own: Option<tempfile::TempDir>,
}

impl Plane {
    /// The one that `tests/cluster/test` has started. Tests share it: each keeps to namespaces of its own.
    pub fn shared() -> Self {
        let dir = std::env::var_os("TRITON_CLUSTER").expect("run these with tests/cluster/test");
        Self { dir: dir.into(), own: None }
    }

    /// One for this test alone, to be broken.
    pub fn own() -> Self {
        Self::started(&[])
    }

    /// An API server alone for this test: no controller, no webhook.
    pub fn bare() -> Self {
        Self::started(&["--bare"])
    }

    fn started(options: &[&str]) -> Self {
        let own = tempfile::tempdir().expect("a temporary folder");
        let up = script("up").args(options).arg(own.path()).output().expect("a shell");
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        Self { dir: own.path().to_owned(), own: Some(own) }
    }

    /// The same one for another thread, which does not end it.
    pub fn beside(&self) -> Self {
        Self { dir: self.dir.clone(), own: None }
    }

    /// Where its logs, keys and processes are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How a subject reaches it: `admin`, `triton`, `observe`.
    pub fn kubeconfig(&self, subject: &str) -> PathBuf {
        self.dir.join(format!("{subject}.kubeconfig"))
    }

    /// A client of a subject, with `namespace` as its own.
    pub async fn client(&self, subject: &str, namespace: &str) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig(subject)).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let mut config = config.expect("a configuration");
        namespace.clone_into(&mut config.default_namespace);
        // A refusal is an answer.
        config.default_retry = false;
        Client::try_from(config).expect("a client")
    }

    /// Sends a signal to one of its programs: `STOP`, `CONT`.
    pub fn signal(&self, program: &str, name: &str) {
        let pid = std::fs::read_to_string(self.dir.join("pid").join(program)).expect("it was started");
        let sent = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status();
        assert!(sent.expect("kill runs").success(), "{program}: {name}");
    }

    /// Kills one of its programs, and waits until it is no more.
    pub fn stop(&self, program: &str) {
        self.signal(program, "KILL");
        let pid = std::fs::read_to_string(self.dir.join("pid").join(program)).expect("it was started");
        until(&format!("{program} has ended"), || has_ended(pid.trim()).then_some(()));
    }

    /// Starts a program once more, as `up` did, with another text in the place of one in its command.
    pub fn start_with(&self, program: &str, old: &str, new: &str) {
        let command = std::fs::read_to_string(self.dir.join("run").join(program)).expect("it was started");
        assert!(command.contains(old), "{command}");
        let log =
            std::fs::File::create(self.dir.join("log").join(format!("{program}.again"))).expect("a log");
        let mut shell = Command::new("bash");
        shell.args(["-c", &command.replacen(old, new, 1)]).stdin(Stdio::null());
        shell.stdout(log.try_clone().expect("a log")).stderr(log);
        let mut child = shell.spawn().expect("a shell");
        std::fs::write(self.dir.join("pid").join(program), child.id().to_string()).expect("a file");
        // Whoever ends it sees it gone.
        std::thread::spawn(move || child.wait());
    }

    /// Starts a program once more, as `up` did.
    pub fn start(&self, program: &str) {
        self.start_with(program, "", "");
    }

    /// Whether the API server answers.
    pub fn is_up(&self) -> bool {
        self.can(&["get", "--raw", "/readyz"])
    }

    /// Whether `kubectl` succeeds as admin.
    pub fn can(&self, args: &[&str]) -> bool {
        let mut kubectl = Command::new(self.dir.join("bin/kubectl"));
        kubectl.arg("--kubeconfig").arg(self.kubeconfig("admin")).args(args);
        kubectl.output().is_ok_and(|it| it.status.success())
    }

    /// What `kubectl` says as admin.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl_reading(args, "")
    }

    /// What `kubectl` says as admin, with this to read.
    pub fn kubectl_reading(&self, args: &[&str], input: &str) -> String {
        let mut kubectl = Command::new(self.dir.join("bin/kubectl"));
        kubectl.arg("--kubeconfig").arg(self.kubeconfig("admin")).args(args);
        kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = kubectl.spawn().expect("kubectl runs");
        child.stdin.take().expect("it reads").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("kubectl ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Installs the record's kind, and waits until it is served.
    pub fn define_record(&self) {
        let definition = include_str!("../../deploy/crd.yaml");
        self.kubectl_reading(&["apply", "--server-side", "--force-conflicts", "-f", "-"], definition);
        self.kubectl(&["wait", "--for=condition=Established", "crd/releases.triton.io"]);
    }

    /// Installs the Gateway API's HTTPRoute and GRPCRoute, as the embedded cluster has them.
    pub fn define_routes(&self) {
        for definition in [
            include_str!("../../src/devcluster/crds/httproutes.json"),
            include_str!("../../src/devcluster/crds/grpcroutes.json"),
        ] {
            self.kubectl_reading(&["apply", "--server-side", "--force-conflicts", "-f", "-"], definition);
        }
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]);
    }

    /// Ready pods of a namespace by the tag of their image.
    pub fn ready(&self, namespace: &str) -> BTreeMap<String, u32> {
        let path = "jsonpath={range .items[*]}{.spec.containers[0].image} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        let text = self.kubectl(&["get", "pods", "--namespace", namespace, "--output", path]);
        let ready = text.lines().filter_map(|line| line.strip_suffix(" True")?.rsplit_once(':'));
        let mut counts = BTreeMap::new();
        ready.for_each(|(_, tag)| *counts.entry(tag.to_owned()).or_default() += 1);
        counts
    }

    /// Waits until so many pods of a namespace are ready, by the tag of their image, and no others.
    pub fn has_ready(&self, namespace: &str, wanted: &[(&str, u32)]) {
        let wanted: BTreeMap<String, u32> =
            wanted.iter().map(|(tag, count)| ((*tag).into(), *count)).collect();
        until(&format!("pods {wanted:?}"), || (self.ready(namespace) == wanted).then_some(()));
    }

    /// An object, where there is one.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let args = ["get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output", "json"];
        let text = self.kubectl(&args);
        (!text.is_empty()).then(|| serde_json::from_str(&text).expect("JSON"))
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if self.own.is_some() {
            if std::thread::panicking() {
                let mut tails = Command::new("bash");
                let _ = tails.args(["-c", "tail -n 5 * >&2"]).current_dir(self.dir.join("log")).status();
            }
            let _ = script("down").arg(&self.dir).status();
        }
    }
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster").join(name))
}
