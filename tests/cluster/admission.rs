//! What stands between a write and the object: policies, webhooks that set defaults, kinds that are not there yet, and a
//! controller that does not answer.

use serde_json::Value;

use crate::cluster::plane::Plane;
use crate::cluster::process::until;
use crate::cluster::scene::{NO_STEPS, Scene, TWO_STEPS};

const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: no-b }
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: denied } }
    resourceRules: [{ apiGroups: [apps.kruise.io], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [clonesets] }]
  validations:
  - { expression: "!object.spec.template.spec.containers[0].image.endsWith(':B')", message: "B is not signed" }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: no-b }
spec: { policyName: no-b, validationActions: [Deny] }
"#;

fn says(text: &str) -> impl Fn(&Value) -> Option<()> {
    move |line| line.to_string().contains(text).then_some(())
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_policy_that_denies_holds_with_its_own_words_until_it_is_gone() {
    let scene = Scene::begin(Plane::shared(), "denied", TWO_STEPS);
    let _daemon = scene.daemon();
    scene.is_complete("A");
    scene.plane.kubectl_reading(&["apply", "-f", "-"], POLICY);
    // A policy works once the API server has seen it.
    let args =
        ["patch", "clonesets.apps.kruise.io", "web", "-n", "denied", "--dry-run=server", "--type=json", "-p"];
    let patch = r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:B"}]"#;
    until("the policy works", || (!scene.plane.can(&[&args[..], &[patch]].concat())).then_some(()));
    scene.push("B");
    let message = scene.holds("B is not signed");
    assert!(message.contains("admission denied it"), "{message}");
    scene.has_pods(&[("A", 4)]);
    scene.plane.kubectl_reading(&["delete", "-f", "-"], POLICY);
    scene.has_pods(&[("A", 3), ("B", 1)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn defaults_that_a_webhook_sets_or_sets_no_more_are_no_drift_and_no_rollout() {
    let scene = Scene::begin(Plane::own(), "defaults", TWO_STEPS);
    let mut daemon = scene.daemon();
    scene.is_complete("A");
    let stands = |it: &Value| {
        let (meta, status) = (&it["metadata"], &it["status"]);
        (meta["generation"].clone(), meta["managedFields"].clone(), status["updateRevision"].clone())
    };
    let before = scene.cloneset().map(|it| stands(&it));
    // Started again, it has only what stands in the cluster to tell defaults from edits.
    daemon.kill();
    let mut daemon = scene.daemon();
    daemon.until(says("HEAD was read"));
    let gates = "ResourcesDeletionProtection=false";
    scene.plane.stop("kruise-manager");
    scene.plane.start_with("kruise-manager", gates, &format!("{gates}\\,TemplateNoDefaults=true"));
    // A commit that changes nothing of it, and is told once it was taken in: nothing was written up to then.
    scene.repo.put("triton.yaml", "apiVersion: triton.io/v1\nkind: Repository\n");
    daemon.until(says("HEAD was read"));
    assert_eq!(scene.cloneset().map(|it| stands(&it)), before);
    scene.push("B");
    scene.holds("needs 1 approval for step 2");
    scene.has_pods(&[("A", 3), ("B", 1)]);
    scene.approve();
    scene.is_complete("B");
    scene.plane.stop("kruise-manager");
    scene.plane.start("kruise-manager");
    scene.push("C");
    scene.holds("needs 1 approval for step 2");
    scene.approve();
    scene.is_complete("C");
    scene.has_pods(&[("C", 4)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn kinds_that_are_absent_at_the_start_are_found_when_they_are_installed() {
    let plane = Plane::own();
    let crds = plane.dir().join("bin").canonicalize().unwrap().join("../crds/apps.kruise.io_clonesets.yaml");
    let crds = crds.display().to_string();
    plane.kubectl(&["delete", "-f", &crds]);
    let scene = Scene::begin_bare(plane, "absent", NO_STEPS);
    let mut daemon = scene.daemon();
    daemon.until(says("the cluster does not serve CloneSets"));
    scene.plane.kubectl(&["apply", "--server-side", "-f", &crds]);
    // It was looking for its kind all the time.
    scene.plane.stop("kruise-manager");
    scene.plane.start("kruise-manager");
    daemon.until(says("is not made before the cluster serves releases.triton.io"));
    assert!(scene.cloneset().is_none(), "nothing new without records");
    scene.plane.define_record();
    scene.is_complete("A");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_cloneset_controller_that_does_not_answer_is_named_and_the_rollout_goes_on_with_it() {
    let scene = Scene::begin(Plane::own(), "no-kruise", NO_STEPS);
    let _daemon = scene.daemon();
    scene.is_complete("A");
    scene.plane.stop("kruise-manager");
    scene.push("B");
    let message = scene.holds("failed calling webhook");
    println!("{message}");
    // Without its webhooks the write is taken, and nobody acts on it.
    let hooks = include_str!("admission.yaml");
    scene.plane.kubectl_reading(&["delete", "-f", "-"], hooks);
    println!("{}", scene.holds("controller"));
    assert_eq!(scene.pods(), [("A".to_owned(), 4)].into());
    scene.plane.kubectl_reading(&["apply", "-f", "-"], hooks);
    scene.plane.start("kruise-manager");
    scene.is_complete("B");
    scene.has_pods(&[("B", 4)]);
}
