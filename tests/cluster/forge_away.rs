//! A forge that is away, that lets the daemon in no more, or that is not the one it was.

use std::process::Command;

use crate::cluster::forge::{Clone, Forge, Project};
use crate::cluster::forge_scene::Scene;
use crate::cluster::process::says;

/// Two steps, the second with an approval.
const STRATEGY: &str = "{steps: [{replicas: 1}, {replicas: 100%, approval: {}}]}";

/// How the daemon gets in over HTTPS.
fn token(forge: &Forge, scene: &Scene) -> String {
    let token = scene.beside("token");
    std::fs::copy(forge.file("triton.token"), &token).unwrap();
    format!("git: {{tokenFile: {}, caFile: {}}}", token.display(), forge.file("ca.crt").display())
}

/// The first version on the forge, from a clone of Bo's.
fn begin(scene: &Scene, project: &Project<'_>) -> Clone {
    let bo = project.clone("bo");
    scene.write(&bo, "A", "First version");
    bo.git(&["push", "--quiet", "origin", "main"]);
    bo
}

/// Bo ships a version: one pod of four gets it.
fn ships(scene: &Scene, bo: &Clone, old: &str, new: &str) {
    scene.write(bo, new, &format!("Ship {new}"));
    bo.git(&["push", "--quiet", "origin", "main"]);
    scene.pods(&[(old, 3), (new, 1)]);
}

/// Bo approves all of it.
fn approves(scene: &Scene, bo: &Clone) {
    scene.types(bo, &["approve", &scene.release(), "--push"]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn while_the_forge_is_away_pods_stay_repairs_go_on_and_then_so_does_the_rollout() {
    let forge = Forge::own();
    let scene = Scene::new("forge-away", "InPlaceIfPossible", STRATEGY);
    let project = forge.project("forge-away");
    let bo = begin(&scene, &project);
    let access = token(&forge, &scene);
    let mut daemon = scene.daemon(&project.url(), &access);
    scene.pods(&[("A", 4)]);
    ships(&scene, &bo, "A", "B");
    forge.stop();
    scene.hold(&["fetch: ", "cannot reach https://127.0.0.1"]);
    scene.pods(&[("A", 3), ("B", 1)]);
    // What others change is still mended.
    scene.mends();
    // So it is by one that starts now: it goes on from what the cluster remembers.
    daemon.kill();
    let _daemon = scene.daemon(&project.url(), &access);
    scene.mends();
    scene.pods(&[("A", 3), ("B", 1)]);
    forge.start();
    approves(&scene, &bo);
    scene.pods(&[("B", 4)]);
    scene.complete("B");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_revoked_token_is_named_by_the_hold_and_a_new_one_heals_without_a_restart() {
    let forge = Forge::own();
    let scene = Scene::new("forge-token", "InPlaceIfPossible", STRATEGY);
    let project = forge.project("forge-token");
    let bo = begin(&scene, &project);
    let _daemon = scene.daemon(&project.url(), &token(&forge, &scene));
    scene.pods(&[("A", 4)]);
    ships(&scene, &bo, "A", "B");
    forge.revoke("triton");
    approves(&scene, &bo);
    scene.hold(&["fetch: ", "401 Unauthorized", "git.tokenFile"]);
    scene.pods(&[("A", 3), ("B", 1)]);
    std::fs::write(scene.beside("token"), forge.grant("triton")).unwrap();
    scene.pods(&[("B", 4)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn another_host_key_is_refused_and_heals_once_it_is_known() {
    let forge = Forge::own();
    let scene = Scene::new("forge-host", "InPlaceIfPossible", STRATEGY);
    let project = forge.project("forge-host");
    let bo = begin(&scene, &project);
    let hosts = scene.beside("hosts");
    std::fs::copy(forge.file("known_hosts"), &hosts).unwrap();
    let (key, known) = (forge.file("triton.key"), hosts.display());
    let _daemon = scene.daemon(
        &project.ssh_url(),
        &format!("git: {{sshKeyFile: {}, knownHostsFile: {known}}}", key.display()),
    );
    scene.pods(&[("A", 4)]);
    ships(&scene, &bo, "A", "B");
    forge.stop();
    let fresh = scene.beside("host.key");
    says(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&fresh));
    // Written into the file that there is: it belongs to the forge's user.
    std::fs::write(forge.file("host.key"), std::fs::read(&fresh).unwrap()).unwrap();
    forge.start();
    approves(&scene, &bo);
    scene.hold(&["fetch: ", "its host key is not the known one", "git.knownHostsFile"]);
    scene.pods(&[("A", 3), ("B", 1)]);
    let old = std::fs::read_to_string(&hosts).unwrap();
    let key = std::fs::read_to_string(fresh.with_extension("key.pub")).unwrap();
    let key: Vec<&str> = key.split(' ').take(2).collect();
    std::fs::write(&hosts, format!("{} {}\n", old.split(' ').next().unwrap(), key.join(" "))).unwrap();
    scene.pods(&[("B", 4)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_certificate_of_an_unknown_authority_is_refused_and_heals_once_that_is_known() {
    let forge = Forge::own();
    let scene = Scene::new("forge-authority", "InPlaceIfPossible", STRATEGY);
    let project = forge.project("forge-authority");
    begin(&scene, &project);
    let access = token(&forge, &scene);
    let own = format!("caFile: {}", forge.file("ca.crt").display());
    let authority = scene.beside("authority");
    let access = access.replace(&own, &format!("caFile: {}", authority.display()));
    let other = Forge::own();
    std::fs::copy(other.file("ca.crt"), &authority).unwrap();
    let mut daemon = scene.daemon(&project.url(), &access);
    let words = "its certificate is of an unknown authority: where that is your own, name it as git.caFile";
    daemon.until(|line| line.to_string().contains(words).then_some(()));
    std::fs::copy(forge.file("ca.crt"), &authority).unwrap();
    scene.pods(&[("A", 4)]);
}
