//! A cluster that serves CloneSets as `v1beta1` alone, as Kruise will one day. No released Kruise does: the definition is
//! changed by the test, and the test stands in for the controller.

use serde_json::{Value, json};

use crate::cluster::between::{Between, Hurt};
use crate::cluster::plane::Plane;
use crate::cluster::process::until;
use crate::cluster::scene::{Scene, TWO_STEPS};

const CLONESETS: &str = "clonesets.apps.kruise.io";

fn definition(plane: &Plane) -> Value {
    let text = plane.kubectl(&["get", "crd", CLONESETS, "--output", "json"]);
    serde_json::from_str(&text).expect("JSON")
}

/// The definition with `v1beta1` alone: type and policy apart, the rest of the update one level deeper.
fn newer(definition: &Value) -> Value {
    let mut version = definition["spec"]["versions"][0].clone();
    version["name"] = "v1beta1".into();
    let spec = version.pointer_mut("/schema/openAPIV3Schema/properties/spec/properties").expect("a schema");
    let mut rolling = spec["updateStrategy"].clone();
    let fields = rolling["properties"].as_object_mut().expect("fields");
    let policy = fields.remove("type").expect("a type");
    fields.insert("podUpdatePolicy".into(), policy);
    spec["updateStrategy"] =
        json!({"type": "object", "properties": {"type": {"type": "string"}, "rollingUpdate": rolling}});
    let scale = spec["scaleStrategy"]["properties"].as_object_mut().expect("fields");
    let reuse = scale.remove("disablePVCReuse").expect("a field");
    scale.insert("enablePVCReuse".into(), reuse);
    let names = ["name", "group", "names", "scope"].map(|name| (name, definition["spec"][name].clone()));
    let mut spec: Value = names.into_iter().filter(|(_, it)| !it.is_null()).collect();
    spec["versions"] = json!([version]);
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": CLONESETS}, "spec": spec})
}

/// Takes the definition away; gives what is to be installed later.
fn uninstall(plane: &Plane) -> String {
    let newer = newer(&definition(plane)).to_string();
    plane.kubectl(&["delete", "crd", CLONESETS]);
    newer
}

fn install(plane: &Plane, definition: &str) {
    plane.kubectl_reading(&["apply", "--server-side", "-f", "-"], definition);
    plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", CLONESETS]);
}

fn live(scene: &Scene) -> Value {
    let args = ["get", CLONESETS, "web", "-n", scene.namespace, "--show-managed-fields", "--output", "json"];
    serde_json::from_str(&scene.plane.kubectl(&args)).expect("JSON")
}

/// What the controller would tell once `updated` pods run the template as it stands; `current` is the version of the
/// others.
fn reports(scene: &Scene, current: &str, updated: u32) {
    let object = live(scene);
    let image = object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image");
    let (_, tag) = image.rsplit_once(':').expect("a tag");
    let status = json!({"status": {"observedGeneration": object["metadata"]["generation"],
        "replicas": 4, "readyReplicas": 4, "availableReplicas": 4, "updatedReplicas": updated,
        "updatedReadyReplicas": updated, "updatedAvailableReplicas": updated, "expectedUpdatedReplicas": updated,
        "currentRevision": format!("web-{current}"), "updateRevision": format!("web-{tag}")}});
    let (namespace, patch) = (scene.namespace, status.to_string());
    scene.plane.kubectl(&[
        "patch",
        CLONESETS,
        "web",
        "-n",
        namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ]);
}

/// Waits until the update of this version keeps `partition` on the old one.
fn rolls(scene: &Scene, version: &str, partition: &Value) {
    let image = format!("example/web:{version}");
    until(&format!("{version} at {partition}"), || {
        let object = scene.cloneset()?;
        let strategy = &object["spec"]["updateStrategy"];
        let rolling = &strategy["rollingUpdate"];
        let there = object["spec"]["template"]["spec"]["containers"][0]["image"] == image.as_str();
        (there && rolling["partition"] == *partition).then(|| {
            assert_eq!(object["apiVersion"], "apps.kruise.io/v1beta1");
            assert_eq!(strategy["type"], "RollingUpdate");
            assert_eq!(
                (&rolling["podUpdatePolicy"], &rolling["paused"]),
                (&json!("InPlaceIfPossible"), &json!(false))
            );
            assert_eq!(rolling["maxUnavailable"], 2);
        })
    });
}

fn says(text: &str) -> impl Fn(&Value) -> Option<()> {
    move |line| line.to_string().contains(text).then_some(())
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_rollout_goes_through_its_steps_and_back_where_only_the_newer_version_is_served() {
    let plane = Plane::bare();
    let newer = uninstall(&plane);
    let scene = Scene::begin(plane, "newer", TWO_STEPS);
    let mut daemon = scene.daemon();
    daemon.until(says("the cluster does not serve CloneSets"));
    install(&scene.plane, &newer);
    rolls(&scene, "A", &json!(0));
    reports(&scene, "A", 4);
    scene.is_complete("A");

    // Scaled by hand, through the subresource: Git owns the size.
    scene.plane.kubectl(&["scale", CLONESETS, "web", "-n", "newer", "--replicas=6"]);
    until("four again", || (live(&scene)["spec"]["replicas"] == 4).then_some(()));
    reports(&scene, "A", 4);

    // What stands is what is wanted, in whatever shape: for a daemon that has never seen it, and for a person.
    let before = live(&scene)["metadata"]["generation"].clone();
    daemon.kill();
    let mut daemon = scene.daemon();
    daemon.until(says("HEAD was read"));
    scene.push("B");
    rolls(&scene, "B", &json!("99%"));
    assert_eq!(live(&scene)["metadata"]["generation"], before.as_i64().unwrap() + 1, "one write");
    reports(&scene, "A", 1);
    scene.holds("needs 1 approval for step 2");
    let told = scene.says(&["diff"]);
    assert!(!told.contains("updateStrategy") && !told.contains("template"), "{told}");

    // An edit by hand lets all pods go: it is undone, and named.
    let edit = r#"{"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0, "maxUnavailable": 4}}}}"#;
    let args = ["patch", CLONESETS, "web", "-n", "newer", "--type=merge", "--field-manager=ann", "-p", edit];
    scene.plane.kubectl(&args);
    daemon.until(says("spec.updateStrategy.maxUnavailable"));
    rolls(&scene, "B", &json!("99%"));
    reports(&scene, "A", 1);

    scene.approve();
    rolls(&scene, "B", &json!(0));
    reports(&scene, "B", 4);
    scene.is_complete("B");
    scene.push("A");
    rolls(&scene, "A", &json!(0));
    reports(&scene, "A", 4);
    scene.is_complete("A");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_version_that_is_served_no_more_is_left_for_the_newer_one_while_the_daemon_runs() {
    let scene = Scene::begin(Plane::bare(), "upgraded", TWO_STEPS);
    let older = definition(&scene.plane)["spec"]["versions"][0].clone();
    let between = Between::before(&scene.plane);
    let _daemon = scene.daemon_by(&between.kubeconfig());
    until("it is made", || scene.cloneset());
    reports(&scene, "A", 4);
    scene.is_complete("A");
    assert_eq!(live(&scene)["apiVersion"], "apps.kruise.io/v1alpha1");
    let mut both = newer(&definition(&scene.plane));
    let versions = both["spec"]["versions"].as_array_mut().expect("versions");
    versions.push(older);
    versions[1]["served"] = false.into();
    versions[1]["storage"] = false.into();
    scene
        .plane
        .kubectl_reading(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &both.to_string());
    // The API server ends the watches of what it serves no more in its own time, which is minutes.
    let lists = || between.asked("list", "clonesets").len();
    let before = lists();
    between.hurt("clonesets", Hurt::Cut);
    until("it is listed in the newer one", || (lists() > before).then_some(()));
    scene.push("B");
    // What was applied in the older version has to be converted, and no webhook does that here: the server's own words.
    let message = scene.holds("failed to convert merged object to last applied version");
    assert!(message.contains(".spec.updateStrategy.rollingUpdate"), "{message}");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_cloneset_of_the_newer_version_is_written_into_a_file_and_taken_over_without_a_change() {
    let plane = Plane::bare();
    let newer = uninstall(&plane);
    install(&plane, &newer);
    let scene = Scene::begin(plane, "newer-adopted", TWO_STEPS);
    let text = "apiVersion: apps.kruise.io/v1beta1
kind: CloneSet
metadata: {namespace: newer-adopted, name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  updateStrategy: {type: RollingUpdate, rollingUpdate: {podUpdatePolicy: InPlaceOnly, maxUnavailable: 1, partition: 0, paused: false}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: 'example/web:A'}]}
";
    scene.plane.kubectl_reading(&["apply", "-f", "-"], text);
    reports(&scene, "A", 4);
    scene.repo.git(&["rm", "--quiet", "releases/web.yaml"]);
    scene.repo.git(&["commit", "--quiet", "--message", "Take it away"]);
    println!("{}", scene.says(&["adopt", "newer-adopted/*"]));
    let file = std::fs::read_to_string(scene.repo.file("releases/newer-adopted/web.yaml")).expect("a file");
    assert!(file.contains("apps.kruise.io/v1alpha1") && file.contains("InPlaceOnly"), "{file}");
    assert!(!file.contains("rollingUpdate"), "{file}");
    let generation = live(&scene)["metadata"]["generation"].clone();
    let _daemon = scene.daemon();
    scene.is_complete("A");
    let object = live(&scene);
    assert_eq!(object["metadata"]["generation"], generation, "nothing has changed");
    let entries = object["metadata"]["managedFields"].as_array().expect("managers").iter();
    let beside = entries.filter(|it| it["manager"] != "triton" && it["subresource"].is_null());
    let beside: Vec<String> = beside.map(|it| it["fieldsV1"]["f:spec"].to_string()).collect();
    assert!(
        beside.iter().all(|it| !it.contains("f:podUpdatePolicy") && !it.contains("f:template")),
        "{beside:?}"
    );
}
