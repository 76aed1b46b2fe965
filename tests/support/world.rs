//! Worlds and plans made by hand: one release, `shop/checkout`, ten pods, and what Git and the cluster say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use triton::fields::{Compact, Stand};
use triton::model::{CommitId, Digest, ReleaseId, ResourceVersion, TemplateHash, Uid};
use triton::objects::record::View;
use triton::objects::{Kind, ObjectKey, keys};
use triton::spec::{Approval, Body, Companion, Initial, OnFailure, Release, Serve, Step, Strategy, hook};
use triton::world::{
    Action, Approver, Beside, Case, CompanionLive, CounterStatus, Decision, Desired, Drift, Episode, Expect,
    Intent, Leads, Live, Marker, Marks, Memory, Move, Permit, Plan, Policy, Proof, Reached, Rehearsal, Role,
    Share, Source, World, Write,
};

/// The root that every object of these worlds belongs to.
pub const ROOT: &str = "0a1b2c3d";

/// The announcement that stands on the lease of these worlds.
pub const CREATE: &str = "create-1";

/// The release.
pub fn id() -> ReleaseId {
    "shop/checkout".parse().unwrap()
}

/// The moment at which every world stands.
pub fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// So many seconds before it.
pub fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// A commit, by a number.
pub fn commit(number: u8) -> CommitId {
    CommitId::from_bytes([number; 20])
}

/// A key in the release's namespace.
pub fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey { kind, namespace: id().namespace, name: name.parse().unwrap() }
}

/// A strategy: steps as `1`, `50%`; those with a `!` want an approval; each soaks a minute.
pub fn strategy(steps: &[&str]) -> Strategy {
    let step = |text: &&str| Step {
        replicas: text.trim_end_matches('!').parse().unwrap(),
        soak: 60,
        approval: text.ends_with('!').then_some(Approval { count: 1, not_author: false }),
        serve: Serve::Automatic,
        weight: None,
    };
    Strategy {
        matches: vec![],
        steps: steps.iter().map(step).collect(),
        stepped: true,
        blue_green: None,
        initial: Initial::All,
        deadline: 600,
        on_failure: OnFailure::Rollback,
        routes: Vec::new(),
        drain: None,
        failure_threshold: triton::model::Amount::Count(0),
    }
}

/// The release with this image: ten pods, one, half after an approval, all after another one; a Service.
pub fn release(image: &str) -> Release {
    let template = json!({
        "metadata": { "labels": { "app": "checkout" } },
        "spec": { "containers": [{ "name": "app", "image": image }] },
    });
    let cloneset = json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
        "metadata": { "namespace": "shop", "name": "checkout" },
        "spec": {
            "replicas": 10,
            "selector": { "matchLabels": { "app": "checkout" } },
            "template": template,
            "updateStrategy": { "type": "InPlaceIfPossible" },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "shop", "name": "checkout" },
        "spec": { "selector": { "app": "checkout" }, "ports": [{ "port": 80 }] },
    });
    let body = |kind, value| Body { key: key(kind, "checkout"), value: Compact::of(&value) };
    Release {
        id: id(),
        path: "releases/shop/checkout.yaml".to_owned(),
        strategy: strategy(&["1", "50%!", "100%!"]),
        cap: None,
        suspend: false,
        replace: BTreeSet::new(),
        replace_fault: None,
        attempt: 1,
        adopt: false,
        orphan: false,
        digest: Digest::of(image.as_bytes()),
        template: TemplateHash::of(template.to_string().as_bytes()),
        documents: Arc::from(image.as_bytes()),
        version: image.to_owned(),
        replicas: Some(10),
        cloneset: body(Kind::CloneSet, cloneset),
        companions: vec![Companion { body: body(Kind::Service, service), version_of: None }],
    }
}

/// HEAD has this release, since commit 2, without markers.
pub fn intent(release: &Release) -> Intent {
    let episode = Episode { first: commit(2), author: "Ann".into(), summary: String::new(), time: None };
    Intent {
        release: Arc::new(release.clone()),
        episode: Some(episode),
        cap: None,
        markers: vec![],
        freezes: vec![],
    }
}

/// A marker of this release that counts, by this person.
pub fn marker(release: &Release, permits: Permit, who: &str) -> Marker {
    let name = match permits {
        Permit::Step(step) => step.to_string(),
        Permit::Serve(step) => format!("serve-{step}"),
        Permit::Skip => "skip".to_owned(),
    };
    Marker {
        permits: Some(permits),
        path: format!("approvals/shop/checkout/{}/{name}.{who}.yaml", release.digest.long()),
        counts: Ok(Approver { name: who.to_owned(), email: format!("{who}@example.org"), commit: commit(3) }),
    }
}

/// Proof of a release.
pub fn proof(release: &Release) -> Proof {
    let (template, digest) = (release.template, release.digest);
    let (version, configs) = (release.version.clone(), release.configs());
    let revision = Some(format!("checkout-{version}"));
    Proof { template, digest, commit: Some(commit(1)), revision, version, configs }
}

/// Memory of a release that is complete, with nothing else proven.
pub fn complete(release: &Release) -> Memory {
    Memory {
        uid: Some(Uid::new("uid-1")),
        create: None,
        digest: release.digest,
        template: release.template,
        episode: Some(commit(1)),
        version: release.version.clone(),
        step: release.last_step(),
        step_entered: ago(9_000),
        step_reached: Some(Reached { at: ago(8_000), pods: 10 }),
        revision: Some(format!("checkout-{}", release.version)),
        served: 0,
        up: false,
        replaced: BTreeMap::new(),
        home: None,
        failed: None,
        proven: vec![proof(release)],
    }
}

/// Memory of `release` at `step`, reached two minutes ago where `pods` is given, over the proven `stable`.
pub fn at_step(release: &Release, stable: &Release, step: u32, pods: Option<u32>) -> Memory {
    Memory {
        episode: Some(commit(2)),
        step,
        step_entered: ago(300),
        step_reached: pods.map(|pods| Reached { at: ago(120), pods }),
        revision: pods.map(|_| format!("checkout-{}", release.version)),
        proven: vec![proof(stable)],
        ..complete(release)
    }
}

/// A whole body: the release, with memory, this size and this partition.
pub fn body(release: &Release, memory: &Memory, replicas: u32, partition: &str) -> Value {
    let mut body = release.cloneset.value.open();
    body["metadata"]["annotations"] = json!(memory.to_annotations());
    mark(&mut body);
    body["spec"]["replicas"] = json!(replicas);
    body["spec"]["updateStrategy"]["partition"] = json!(partition);
    if release.asks_first() && !memory.entered_is_proven() {
        hook::put_in(&mut body["spec"]);
    }
    body
}

/// Says of a body which root and which release it belongs to.
pub fn mark(body: &mut Value) {
    body["metadata"]["annotations"][keys::ROOT] = json!(ROOT);
    body["metadata"]["annotations"][keys::RELEASE] = json!(id().to_string());
}

/// The CloneSet as Kruise keeps it: this release at this partition, with `updated` pods of ten on it, all available.
pub fn live(release: &Release, memory: Option<Memory>, partition: &str, updated: u32) -> Live {
    let partition = partition.parse().unwrap();
    let update_revision = format!("checkout-{}", release.version);
    let current =
        memory.as_ref().and_then(|memory| memory.top().map(|top| format!("checkout-{}", top.version)));
    let ours = Marks { labels: [(keys::SERVE.into(), keys::SERVE_GATED.into())].into(), ..Marks::default() };
    let proven = memory.as_ref().is_some_and(Memory::entered_is_proven);
    let hooks =
        (release.asks_first() && !proven).then(|| (hook::FIELD.to_owned(), ours)).into_iter().collect();
    let mut live = Live {
        uid: Uid::new("uid-1"),
        version: ResourceVersion::new("70"),
        generation: 4,
        deleting: false,
        replicas: 10,
        partition,
        gated: release.strategy.is_gated(),
        to_delete: BTreeSet::new(),
        hooks: Arc::new(hooks),
        paused: false,
        replicas_owner: None,
        suspend: None,
        rollback: None,
        root: Some(ROOT.to_owned()),
        other_owner: None,
        memory,
        status: CounterStatus {
            observed_generation: Some(4),
            replicas: 10,
            ready: 10,
            available: 10,
            updated,
            updated_available: updated,
            expected_updated: 0,
            current_revision: current.unwrap_or_else(|| update_revision.clone()),
            update_revision,
        },
        stand: Stand::of(&release.cloneset.value.open()),
        drift: Drift::default(),
        rehearsal: Some(Rehearsal::default()),
    };
    live.status.expected_updated = live.replicas - live.kept();
    if updated == 10 {
        live.status.current_revision = live.status.update_revision.clone();
    }
    live
}

/// A world of one release: Git is fresh, HEAD is `intent`, the CloneSet is `live`, all documents are at hand.
pub fn world(intent: Intent, live: Option<Live>, known: &[&Release]) -> World {
    let service = CompanionLive {
        uid: Uid::new("uid-2"),
        version: ResourceVersion::new("71"),
        release: id().to_string(),
        other_owner: None,
        drift: Arc::from([]),
        beside: Arc::from([]),
        applied: true,
        deleting: false,
        leads: triton::world::Leads::default(),
    };
    let case = Case {
        desired: Desired::Release(Arc::new(intent)),
        live,
        announced: false,
        record: None,
        home: None,
        twins: BTreeMap::new(),
        documents: known.iter().map(|it| (it.digest, Arc::new((*it).clone()))).collect(),
        companions: BTreeMap::from([(key(Kind::Service, "checkout"), service)]),
        pods: None,
        looked: BTreeMap::new(),
        unlooked: None,
        kept: Arc::default(),
        strangers: BTreeSet::new(),
        refused: None,
    };
    World {
        now: now(),
        policy: Arc::new(Policy { root: ROOT.to_owned(), ..Policy::default() }),
        source: Source { head: Some(commit(3)), fetched_at: Some(ago(10)), fault: None },
        announcement: Some(Arc::from(CREATE)),
        has_records: true,
        cases: BTreeMap::from([(id(), Arc::new(case))]),
        named: Arc::new(BTreeSet::from([key(Kind::CloneSet, "checkout"), key(Kind::Service, "checkout")])),
    }
}

/// Changes the one case of a world.
pub fn edit(world: &mut World, change: impl FnOnce(&mut Case)) {
    change(Arc::make_mut(world.cases.get_mut(&id()).unwrap()));
}

/// Changes the CloneSet of a world.
pub fn edit_live(world: &mut World, change: impl FnOnce(&mut Live)) {
    edit(world, |case| change(case.live.as_mut().unwrap()));
}

/// Changes what HEAD says.
pub fn edit_intent(world: &mut World, change: impl FnOnce(&mut Intent)) {
    edit(world, |case| {
        let Desired::Release(intent) = &mut case.desired else { panic!("HEAD has the release") };
        change(Arc::make_mut(intent));
    });
}

/// Applies a body to the CloneSet that is there.
pub fn apply(body: Value, forward: bool) -> Write {
    let expect = Expect::Same(Uid::new("uid-1"), ResourceVersion::new("70"));
    let action = Action::Apply { body: Arc::new(body), expect };
    Write { object: key(Kind::CloneSet, "checkout"), action, forward }
}

/// Makes the CloneSet.
pub fn create(body: Value, forward: bool) -> Write {
    let action = Action::Apply { body: Arc::new(body), expect: Expect::Absent };
    Write { object: key(Kind::CloneSet, "checkout"), action, forward }
}

/// A plan of one move.
pub fn plan(decision: Decision, memory: Option<Memory>, writes: Vec<Write>) -> Plan {
    let (view, message) = (View::default(), String::new());
    let row = '-';
    let made = Move {
        decision,
        row,
        message,
        noted: None,
        writes,
        serving: vec![],
        looks: vec![],
        rehearsal: None,
        memory,
        announces: false,
        view,
        wake_at: None,
    };
    Plan { moves: BTreeMap::from([(id(), made)]), wake_at: None }
}

/// The release with this image and weights of 5 % and 50 %, and the route that it is led to by.
pub fn weighted(image: &str) -> Release {
    let mut release = release(image);
    release.strategy.routes = vec!["checkout".parse().unwrap()];
    release.strategy.steps[0].weight = Some(5);
    release.strategy.steps[1].weight = Some(50);
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "namespace": "shop", "name": "checkout" },
        "spec": { "rules": [{ "backendRefs": [{ "name": "checkout", "port": 80 }] }] },
    });
    let body = Body { key: key(Kind::HttpRoute, "checkout"), value: Compact::of(&route) };
    release.companions.push(Companion { body, version_of: None });
    release
}

/// Lets the route of a world share like this, beside Services with the pods of these versions and so many ready endpoints.
pub fn lead(world: &mut World, share: Share, services: &[(Role, &str, Option<u32>)]) {
    edit(world, |case| {
        let one = case.companions[&key(Kind::Service, "checkout")].clone();
        let of = |leads| CompanionLive { leads, ..one.clone() };
        let to = match share {
            Share::Base => vec!["checkout"],
            Share::Split(0) => vec!["checkout-stable"],
            Share::Split(100) => vec!["checkout-canary"],
            Share::Split(_) => vec!["checkout-stable", "checkout-canary"],
        };
        let to = to.into_iter().map(|it| it.parse().unwrap()).collect();
        case.companions.insert(key(Kind::HttpRoute, "checkout"), of(Leads { share, to, ..Leads::default() }));
        for (role, version, ready) in services {
            let name = if *role == Role::Stable { "checkout-stable" } else { "checkout-canary" };
            let beside = Beside {
                service: "checkout".parse().unwrap(),
                role: *role,
                hash: (*version).to_owned(),
                ready: *ready,
            };
            let leads = Leads { beside: Some(beside), ..Leads::default() };
            case.companions.insert(key(Kind::Service, name), of(leads));
        }
    });
}
