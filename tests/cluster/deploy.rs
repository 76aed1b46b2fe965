//! `kubectl apply -k deploy`, and the daemon with exactly the rights that it gives.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, Place, says, triton, until};
use crate::repo::Repo;

/// Namespace of the installation.
const HOME: &str = "triton-system";

/// A control plane with the installation, from which the API server had nothing to warn of, and with the Gateway API's
/// routes, which the example has.
fn installed() -> Plane {
    let plane = Plane::own();
    plane.define_routes();
    plane.kubectl(&["apply", "--warnings-as-errors", "-k", crate::deploy::folder().to_str().unwrap()]);
    plane
}

/// The example's releases, with times that suit a test and in the namespace `shop`.
fn example(repo: &Repo) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/repo/.");
    says(Command::new("cp").arg("-r").args([folder.as_path(), repo.path()]));
    repo.commit("The example");
}

/// What a subject asked the API server for, by verb.
fn asked(plane: &Plane, subject: &str) -> BTreeSet<String> {
    let user = format!("system:serviceaccount:{HOME}:{subject}");
    let log = std::fs::read_to_string(plane.dir().join("audit.log")).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of = lines.filter(|it| it["user"]["username"] == *user);
    of.map(|it| it["verb"].as_str().unwrap().to_owned()).collect()
}

/// Whether every release of the example is healthy.
fn healthy(plane: &Plane, count: usize) {
    until("every release is healthy", || {
        let path = "jsonpath={range .items[*]}{.status.phase}{\"\\n\"}{end}";
        let phases = plane.kubectl(&["get", "releases", "--namespace", "shop", "--output", path]);
        (phases.lines().count() == count && phases.lines().all(|phase| phase == "Healthy")).then_some(())
    });
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn one_command_installs_what_the_daemon_needs_and_no_more() {
    let plane = installed();
    let deployment = plane.get("deployment", HOME, "triton").unwrap();
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "triton".into();
    pod["metadata"]["namespace"] = HOME.into();
    // Pod Security's strictest standard is enforced in the namespace: it takes the pod.
    plane.kubectl_reading(&["create", "--warnings-as-errors", "-f", "-"], &pod.to_string());
    until("the pod runs", || {
        (plane.get("pod", HOME, "triton")?["status"]["phase"] == "Running").then_some(())
    });

    plane.kubectl(&["create", "namespace", "shop"]);
    let (repo, state) = (Repo::new(), tempfile::tempdir().unwrap());
    example(&repo);
    let repository = repo.path().display().to_string();
    let place = Place { namespace: HOME, repository: &repository, branch: "main", state: state.path() };
    let mut daemon = Daemon::start(&plane, "triton", &place, &["--listen", "127.0.0.1:0"]);
    healthy(&plane, 6);
    let path = repo.file("releases/shop/checkout.yaml");
    let text = std::fs::read_to_string(&path).unwrap().replace("2.4.0", "2.4.1");
    repo.put("releases/shop/checkout.yaml", &text);
    let waits = |gate: &'static str| {
        let record = plane.get("release", "shop", "checkout")?;
        (record["status"]["waitsFor"] == gate).then_some(())
    };
    until("it waits for approval", || waits("approval"));
    let mut approve = triton(&plane.kubeconfig("admin"), HOME, state.path());
    says(approve.args(["approve", "shop/checkout"]).current_dir(repo.path()));
    until("it has gone on", || waits("").or_else(|| waits("soak")));
    repo.git(&["rm", "-q", "-r", "releases/shop/cart"]);
    repo.commit("Close the cart");
    until("the cart is gone", || plane.get("cloneset", "shop", "cart").is_none().then_some(()));
    until("its record is gone", || plane.get("release", "shop", "cart").is_none().then_some(()));
    assert!(plane.get("service", "shop", "cart").is_none());
    healthy(&plane, 5);
    let events =
        plane.kubectl(&["get", "events", "--namespace", "shop", "--output", "jsonpath={.items[*].reason}"]);
    assert!(events.contains("Complete"), "{events}");
    assert!(daemon.is_running());
    let refused = ["create", "delete", "get", "list", "patch", "watch"].map(str::to_owned).into();
    assert!(asked(&plane, "triton").is_subset(&refused));
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn an_observer_with_the_right_to_read_says_what_it_would_do_and_asks_for_nothing_more() {
    let plane = installed();
    let binding = ["create", "clusterrolebinding", "observe", "--clusterrole=triton-observe"];
    plane.kubectl(&[&binding[..], &["--user=system:serviceaccount:triton-system:observe"]].concat());
    plane.kubectl(&["create", "namespace", "shop"]);
    let (repo, state) = (Repo::new(), tempfile::tempdir().unwrap());
    example(&repo);
    let repository = repo.path().display().to_string();
    let place = Place { namespace: HOME, repository: &repository, branch: "main", state: state.path() };
    let mut observer = Daemon::start(&plane, "observe", &place, &["--observe"]);
    let would = |line: &Value, what: &str| {
        let tells = line["release"] == "shop/checkout" && line["message"].as_str()?.starts_with(what);
        tells.then_some(())
    };
    observer.until(|line| would(line, "would Create: "));
    let mut diff = triton(&plane.kubeconfig("observe"), HOME, state.path());
    // What Git has and the cluster has not is something to tell: the exit code says so.
    let told = diff.arg("diff").current_dir(repo.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&told.stdout).contains("shop/checkout"), "{told:?}");
    let mut status = triton(&plane.kubeconfig("observe"), HOME, state.path());
    says(status.arg("status").current_dir(repo.path()));
    assert_eq!(asked(&plane, "observe"), ["get", "list", "watch"].map(str::to_owned).into());
    assert!(plane.get("cloneset", "shop", "checkout").is_none());
    assert!(observer.is_running());
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn the_image_has_the_program_and_ssh_and_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("image");
    let program = env!("CARGO_BIN_EXE_triton");
    says(Command::new(crate::deploy::folder().join("root")).arg(&root).arg(program));
    // A program that is linked statically has no libraries to look for.
    let (other, alone) = (folder.path().join("other"), folder.path().join("alone"));
    std::fs::write(&alone, "static").unwrap();
    says(Command::new(crate::deploy::folder().join("root")).args([&other, &alone]));
    for needed in ["usr/bin/ssh", "etc/passwd", "etc/ssl/certs/ca-certificates.crt"] {
        assert!(root.join(needed).exists() && other.join(needed).exists(), "{needed}");
    }
    // What every container runtime brings.
    std::fs::create_dir(root.join("dev")).unwrap();
    std::fs::write(root.join("dev/null"), "").unwrap();
    let inside = |args: &[&str]| {
        let mut inside = Command::new("unshare");
        inside
            .args(["--map-user=65532", "--map-group=65532"])
            .arg(format!("--root={}", root.display()))
            .env_clear()
            .args(args);
        inside.output().unwrap()
    };
    let version = inside(&["/usr/bin/triton", "--version"]);
    assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")), "{version:?}");
    let ssh = inside(&["/usr/bin/ssh", "-V"]);
    assert!(String::from_utf8_lossy(&ssh.stderr).contains("OpenSSH"), "{ssh:?}");
    for absent in ["bin/sh", "usr/bin/git", "usr/bin/apt"] {
        assert!(!root.join(absent).exists(), "{absent}");
    }
}
