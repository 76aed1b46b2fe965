//! `deploy/` and the image, without a cluster: what stands there fits the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use triton::objects::Kind;
use triton::spec::read_configuration;

/// A file below the repository's top.
fn text(file: &str) -> String {
    std::fs::read_to_string(folder().join("..").join(file)).expect(file)
}

/// Where it is.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// The objects of one of its files.
fn documents(file: &str) -> Vec<Value> {
    let text = text(&format!("deploy/{file}"));
    let parts = text.split("\n---\n").map(|part| serde_saphyr::from_str(part).expect(file));
    parts.filter(|it: &Value| !it.is_null()).collect()
}

/// Every object that it makes.
fn objects() -> Vec<Value> {
    let list = &documents("kustomization.yaml")[0]["resources"];
    list.as_array().unwrap().iter().flat_map(|file| documents(file.as_str().unwrap())).collect()
}

fn object(kind: &str, name: &str) -> Value {
    let is = |it: &Value| it["kind"] == kind && it["metadata"]["name"] == name;
    objects().into_iter().find(is).unwrap_or_else(|| panic!("{kind} {name}"))
}

/// One right of a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// API group; empty for the core group.
    pub group: String,
    /// The resource's plural, and a subresource.
    pub resource: String,
    /// As RBAC spells it.
    pub verb: String,
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Every right of a role or cluster role.
pub fn rights(kind: &str, name: &str) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in object(kind, name)["rules"].as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                for verb in words(&rule["verbs"]) {
                    let (group, resource) = (group.clone(), resource.clone());
                    assert!(rights.insert(Right { group, resource, verb }), "said twice: {rule}");
                }
            }
        }
    }
    rights
}

#[test]
fn every_file_is_listed_and_every_object_stands_in_our_namespace_or_in_none() {
    let mut files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    files.remove("kustomization.yaml");
    assert_eq!(files, words(&documents("kustomization.yaml")[0]["resources"]).into_iter().collect());
    for it in objects() {
        let whole = ["Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"];
        let wanted =
            if whole.iter().any(|kind| it["kind"] == *kind) { Value::Null } else { "triton-system".into() };
        assert_eq!(it["metadata"]["namespace"], wanted, "{it}");
    }
}

#[test]
fn no_role_has_a_star_and_people_may_only_read() {
    for role in objects().iter().filter(|it| it["kind"].as_str().unwrap().ends_with("Role")) {
        let (kind, name) = (role["kind"].as_str().unwrap(), role["metadata"]["name"].as_str().unwrap());
        for right in rights(kind, name) {
            assert!(
                ![&right.group, &right.resource, &right.verb].iter().any(|it| it.contains('*')),
                "{right:?}"
            );
            let reads = ["get", "list", "watch"].contains(&right.verb.as_str());
            assert!(reads || !["triton-view", "triton-observe"].contains(&name), "{name}: {right:?}");
        }
    }
}

#[test]
fn the_kinds_of_companions_have_the_same_rights_and_are_all_there() {
    let mut verbs: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for right in rights("ClusterRole", "triton-companions") {
        verbs.entry((right.group, right.resource)).or_default().insert(right.verb);
    }
    let wanted = ["create", "delete", "get", "list", "patch", "watch"].map(str::to_owned).into();
    assert!(verbs.values().all(|it| *it == wanted), "{verbs:?}");
    let known = Kind::COMPANIONS.map(|kind| (kind.api().group.to_owned(), kind.api().plural.to_owned()));
    assert_eq!(verbs.into_keys().collect::<BTreeSet<_>>(), known.into());
}

/// The daemon's container, and the pod that it is in.
fn container() -> (Value, Value) {
    let pod = object("Deployment", "triton")["spec"]["template"]["spec"].clone();
    (pod["containers"][0].clone(), pod)
}

#[test]
fn the_probes_ask_for_pages_that_are_served_on_the_port_that_is_open() {
    let (container, _) = container();
    let serve = include_str!("../src/server/serve.rs");
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        let get = &container[probe]["httpGet"];
        assert_eq!((&get["path"], &get["port"]), (&path.into(), &"http".into()));
        assert!(serve.contains(&format!(".route({path:?}")), "{path}");
    }
    let port = &container["ports"][0];
    assert_eq!((&port["name"], &port["containerPort"]), (&"http".into(), &9090.into()));
    assert!(words(&container["args"]).contains(&"--listen=0.0.0.0:9090".to_owned()));
    let policy = object("NetworkPolicy", "triton");
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], 9090);
}

#[test]
fn the_pod_has_no_right_that_it_does_not_need() {
    let (container, pod) = container();
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let context = &container["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(words(&context["capabilities"]["drop"]), ["ALL"]);
    let dockerfile = text("Dockerfile");
    let (user, group) = (&pod["securityContext"]["runAsUser"], &pod["securityContext"]["runAsGroup"]);
    assert!(dockerfile.contains(&format!("\nUSER {user}:{group}\n")));
}

#[test]
fn what_the_pod_mounts_is_what_the_settings_have_and_what_the_configuration_names() {
    let (container, pod) = container();
    let settings = object("ConfigMap", "triton");
    let configuration = settings["data"]["configuration.yaml"].as_str().unwrap();
    read_configuration("configuration.yaml", configuration.as_bytes()).unwrap();
    for variable in container["env"].as_array().unwrap() {
        let from = &variable["valueFrom"]["configMapKeyRef"];
        assert_eq!(from["name"], "triton");
        assert!(settings["data"][from["key"].as_str().unwrap()].is_string(), "{from}");
    }
    let secret =
        &pod["volumes"].as_array().unwrap().iter().find(|it| it["name"] == "credentials").unwrap()["secret"];
    assert_eq!((&secret["optional"], &secret["secretName"]), (&true.into(), &"triton-credentials".into()));
    object("Secret", "triton-credentials");
    let (head, examples) = configuration.split_once("\n\n").unwrap();
    for example in examples.split("\n\n") {
        let lines = example.lines().skip(1).map(|line| line.strip_prefix("# ").unwrap());
        let whole = lines.fold(head.to_owned(), |text, line| format!("{text}\n{line}"));
        read_configuration("configuration.yaml", whole.as_bytes()).unwrap();
    }
    for line in configuration.lines().filter(|line| line.contains("File:")) {
        assert!(line.contains(": /etc/triton/credentials/"), "{line}");
    }
    let mounted =
        container["volumeMounts"].as_array().unwrap().iter().map(|it| it["mountPath"].as_str().unwrap());
    let wanted = ["/var/lib/triton", "/etc/triton/settings", "/etc/triton/credentials"];
    assert_eq!(mounted.collect::<Vec<_>>(), wanted);
}

#[test]
fn the_image_has_one_name_and_the_version_of_the_program() {
    let image = &documents("kustomization.yaml")[0]["images"][0];
    assert_eq!(container().0["image"], image["name"]);
    assert_eq!(image["newTag"], env!("CARGO_PKG_VERSION"));
}
