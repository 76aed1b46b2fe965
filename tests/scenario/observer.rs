//! What must hold in every scenario, whatever else it is about. The observer sees the objects of the cluster and the
//! repository, and nothing of the daemon.
//!
//! **Invariant:** the pods of an image that is not proven never become more than the furthest step that was approved
//! for it allows, and two of them run at once only where the pods of the proven one have broken. What pods take their
//! environment from is there as long as they are, unless somebody has deleted it by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use triton::devcluster::{Object, Store};
use triton::model::{CommitId, Digest};
use triton::spec::{Release, Step};

use crate::scenario::drained::Drained;
use crate::scenario::ground::{CLONESETS, PODS};
use crate::scenario::history::{History, NAMESPACE};
use crate::scenario::leading::Led;
use crate::scenario::reading::{Tree, furthest};
use crate::scenario::serving::{Served, let_in};
use crate::scenario::switched::{Switched, twin_of};

/// ConfigMaps.
const CONFIGS: &str = "configmaps";

/// What was approved of one image, in one episode.
#[derive(Clone, Debug)]
struct Approved {
    release: Arc<Release>,
    furthest: u32,
    /// The step up to which pods may serve; none where they do so by themselves.
    let_in: Option<u32>,
}

/// What is known of one CloneSet.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Images that every pod has run, newest last.
    proven: Vec<String>,
    /// Images that were proven until Git went back past them: their pods are on their way.
    left: Vec<String>,
    /// Whether no pod of these was ready when there were any last.
    is_broken: bool,
    /// By image.
    approved: BTreeMap<String, Vec<Approved>>,
    /// Pods by image when it was last looked.
    pods: BTreeMap<String, u32>,
    /// The digest that Git has.
    digest: Option<Digest>,
    /// The CloneSet's version when it was last looked; empty where Git has moved since.
    version: String,
    /// The generation in which somebody has lowered the partition by hand, until that is put back.
    lent: Option<u64>,
    /// Who serves.
    served: Served,
    /// Where traffic is led.
    led: Led,
    /// How pods leave.
    drained: Drained,
    /// Who serves, where it is switched as a whole.
    switched: Switched,
}

/// The observer.
#[derive(Default)]
pub struct Observer {
    line: Vec<Tree>,
    tip: Option<CommitId>,
    known: BTreeMap<String, Known>,
    excused: Vec<String>,
    /// What somebody deletes by hand, until it is there again; whether it is gone already.
    deleted: BTreeMap<String, bool>,
    /// See [`crate::scenario::ground::Ground::lateness`].
    lateness: Duration,
}

impl Observer {
    /// One that has seen nothing yet, on a ground where writes are so late.
    pub fn new(lateness: Duration) -> Self {
        Self { lateness, ..Self::default() }
    }

    /// Takes an image out of the count: somebody has put it into the cluster by hand.
    pub fn excuse(&mut self, image: &str) {
        self.excused.push(image.to_owned());
    }

    /// Somebody lowers a partition by hand: until it is put back, Kruise lets pods go that nobody has approved.
    pub fn lend(&mut self, name: &str) {
        self.known.entry(name.to_owned()).or_default().lent = Some(u64::MAX);
    }

    /// That was the CloneSet's generation then: once Kruise has seen a later one, no more pods may follow.
    pub fn lent_in(&mut self, name: &str, generation: u64) {
        self.known.entry(name.to_owned()).or_default().lent = Some(generation);
    }

    /// A hand takes a pod.
    pub fn take(&mut self, name: &str) {
        let known = self.known.entry(name.to_owned()).or_default();
        known.served.taken += 1;
        known.switched.take();
    }

    /// A hand leads a Service to the pods of an image.
    pub fn lead(&mut self, image: &str) {
        for known in self.known.values_mut() {
            known.switched.by_hand.insert(image.to_owned());
        }
    }

    /// A hand writes to the route.
    pub fn lend_route(&mut self, name: &str) {
        self.known.entry(name.to_owned()).or_default().led.lent = true;
    }

    /// A hand breaks the pods of every CloneSet, or takes a CloneSet away.
    pub fn disturb(&mut self) {
        for known in self.known.values_mut() {
            known.served.disturb();
            known.switched.disturb();
        }
    }

    /// Begins anew with the branch as it is: a person has accepted it.
    pub fn begin_anew(&mut self) {
        self.line.clear();
        self.tip = None;
    }

    /// Looks at the repository. A tip that does not descend from the last one permits nothing.
    pub fn look_at_git(&mut self, history: &History) {
        let Some(tip) = history.tip().filter(|tip| Some(*tip) != self.tip) else { return };
        let Some(line) = history.line(tip, self.tip) else { return };
        for commit in line.into_iter().rev() {
            self.line.insert(0, history.tree(commit));
            self.read();
        }
        self.tip = Some(tip);
    }

    /// Takes in what the newest commit permits.
    fn read(&mut self) {
        let line: Vec<&Tree> = self.line.iter().collect();
        let Some(tip) = line.first() else { return };
        for id in tip.releases().keys() {
            let name = id.name.as_str();
            let Some((release, furthest)) = furthest(&line, name) else { continue };
            let known = self.known.entry(name.to_owned()).or_default();
            known.switched.read(&release);
            known.version.clear();
            let image = tag(&release.cloneset.value.open()["spec"]["template"]);
            // A return to a proven image takes the proof of those that came after it.
            if let Some(place) = known.proven.iter().position(|it| *it == image) {
                known.left.extend(known.proven.drain(place + 1..));
            }
            known.left.retain(|it| *it != image);
            let approved = known.approved.entry(image).or_default();
            if known.digest != Some(release.digest) {
                approved.clear();
                known.digest = Some(release.digest);
            }
            let let_in = let_in(&line, name);
            approved.push(Approved { release, furthest, let_in });
        }
    }

    /// Somebody deletes an object by hand.
    pub fn deleted(&mut self, name: &str) {
        self.deleted.insert(name.to_owned(), false);
    }

    /// Looks whether what the pods of a CloneSet and its template read is there.
    fn look_at_configuration(&mut self, store: &Store, cloneset: &Object, pods: &BTreeMap<String, u32>) {
        let exists = |name: &str| store.get(CONFIGS, NAMESPACE, name).is_some();
        self.deleted.retain(|name, gone| {
            let is_back = *gone && exists(name);
            *gone |= !exists(name);
            !is_back
        });
        let template = tag(&cloneset["spec"]["template"]);
        for name in pods.keys().chain([&template]).flat_map(|tag| tag.split('+').skip(1)) {
            let is_there = exists(name) || self.deleted.contains_key(name);
            assert!(is_there, "{}: pods read ConfigMap {name}, and it is not there", cloneset.name());
        }
    }

    /// Looks who serves of a release that is switched as a whole: once all of its pods do, a version is proven.
    fn look_at_switch(&mut self, store: &Store, name: &str) {
        let Some(known) = self.known.get_mut(name) else { return };
        let mut switched = std::mem::take(&mut known.switched);
        let excused = |image: &str| self.excused.iter().any(|it| it == image);
        let serves = switched.look(store, |image| known.may_be_active(image) || excused(image));
        known.switched = switched;
        let serves = serves.filter(|it| !known.proven.contains(it) && known.may_complete(it));
        known.proven.extend(serves);
    }

    /// Looks at the cluster.
    ///
    /// # Panics
    ///
    /// Where the invariant is broken.
    pub fn look_at_cluster(&mut self, store: &Store) {
        let mut all = all_images(store);
        for cloneset in store.list(CLONESETS, None).into_iter().filter(|it| twin_of(it).is_none()) {
            let name = cloneset.name();
            self.look_at_switch(store, name);
            if let Some(known) = self.known.get_mut(name) {
                let (mut served, size) = (std::mem::take(&mut known.served), replicas(&cloneset));
                served.look(store, name, |image| known.may_serve(image, size));
                known.served = served;
            }
            if let Some(known) = self.known.get_mut(name) {
                let (most, any) = known.most_weight(all.get(name));
                known.led.look(store, name, most, any, self.lateness);
            }
            let is_watched = |known: &&mut Known| known.is_drained() || known.drained.has_begun();
            if let Some(known) = self.known.get_mut(name).filter(is_watched) {
                let mut drained = std::mem::take(&mut known.drained);
                drained.look(store, name, |image| known.drain(image));
                known.drained = drained;
            }
            let pods = all.remove(name).unwrap_or_default();
            let version = cloneset["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            if self.known.get(name).is_some_and(|known| known.version == version && known.pods == pods) {
                continue;
            }
            self.look_at_configuration(store, &cloneset, &pods);
            let name = name.to_owned();
            let known = self.known.entry(name.clone()).or_default();
            version.clone_into(&mut known.version);
            let total: u32 = pods.values().sum();
            let size = known.switched.asked().unwrap_or_else(|| replicas(&cloneset).max(total));
            let seen = cloneset["status"]["observedGeneration"].as_u64();
            known.lent = known.lent.filter(|lent| {
                seen != cloneset["metadata"]["generation"].as_u64() || seen.is_none_or(|seen| seen <= *lent)
            });
            for (image, count) in &pods {
                let before = known.pods.get(image).copied().unwrap_or(0);
                let free = known.proven.contains(image)
                    || known.proven.is_empty()
                    || known.lent.is_some()
                    || self.excused.contains(image);
                let allowed = known.allowed(image, size);
                let broken = !free && *count > allowed && *count > before;
                assert!(
                    !broken,
                    "{name}: {count} pods of {image}, {allowed} are approved, {:?} are proven",
                    known.proven
                );
            }
            let is_known = |it: &String| {
                known.proven.contains(it) || known.left.contains(it) || self.excused.contains(it)
            };
            let unproven = pods.keys().filter(|it| !is_known(it)).count();
            if pods.keys().any(|image| known.proven.contains(image)) {
                known.is_broken = !ready(store, &name).iter().any(|image| known.proven.contains(image));
            }
            assert!(
                unproven <= 1 || known.proven.is_empty() || known.is_broken,
                "{name}: two unproven releases run at once: {pods:?}"
            );
            if let (Some(image), 1, true) = (pods.keys().next(), pods.len(), total > 0) {
                let complete = total == replicas(&cloneset) && available(&cloneset) == u64::from(total);
                if complete && !known.proven.contains(image) && known.may_complete(image) {
                    known.proven.push(image.clone());
                }
            }
            known.left.retain(|image| pods.contains_key(image));
            known.pods = pods;
        }
    }
}

impl Known {
    /// The largest weight that was approved of any of these pods which are not proven. Where all are of one image, another
    /// template may have it too. And whether any step of them was.
    fn most_weight(&self, pods: Option<&BTreeMap<String, u32>>) -> (u64, bool) {
        let one = pods.is_some_and(|it| it.len() == 1);
        let images = pods.into_iter().flat_map(BTreeMap::keys);
        let images = images.filter(|it| one || !self.proven.contains(it));
        let approved: Vec<&Approved> = images.filter_map(|it| self.approved.get(it)).flatten().collect();
        let weights = approved.iter().map(|it| u64::from(it.release.strategy.weight(it.furthest)));
        (weights.max().unwrap_or(0), approved.iter().any(|it| it.furthest > 0))
    }

    fn is_drained(&self) -> bool {
        self.approved.values().flatten().any(|it| it.release.strategy.drain.is_some())
    }

    /// Seconds for which pods of an image are drained: where every release that has it says so.
    fn drain(&self, image: &str) -> Option<u32> {
        self.approved.get(image)?.iter().map(|it| it.release.strategy.drain).min()?
    }

    /// Pods of an image that may serve; none where it is proven, or they do so by themselves.
    fn may_serve(&self, image: &str, size: u32) -> Option<u32> {
        if self.proven.is_empty() || self.proven.iter().any(|it| it == image) {
            return None;
        }
        let approved = self.approved.get(image)?;
        let most = |it: &Approved| Some(pods_of(&it.release.strategy.steps, it.let_in?, size));
        approved.iter().map(most).collect::<Option<Vec<u32>>>()?.into_iter().max()
    }

    /// Whether pods of an image may be those that serve, of a release that is switched as a whole.
    fn may_be_active(&self, image: &str) -> bool {
        self.proven.iter().any(|it| it == image) || self.may_complete(image)
    }

    fn allowed(&self, image: &str, size: u32) -> u32 {
        let approved = self.approved.get(image).into_iter().flatten();
        approved.map(|it| pods_of(&it.release.strategy.steps, it.furthest, size)).max().unwrap_or(0)
    }

    fn may_complete(&self, image: &str) -> bool {
        let approved = self.approved.get(image).into_iter().flatten();
        self.proven.is_empty() || approved.into_iter().any(|it| it.furthest >= it.release.last_step())
    }
}

/// Pods that steps up to `furthest` let there be, told as naively as can be.
fn pods_of(steps: &[Step], furthest: u32, size: u32) -> u32 {
    if furthest as usize >= steps.len() {
        return size;
    }
    steps.iter().take(furthest as usize).map(|step| step.replicas.step_pods(size)).max().unwrap_or(0)
}

/// Pods by image tag, of one CloneSet: of the one that is there now, where one is.
pub fn images(store: &Store, name: &str) -> BTreeMap<String, u32> {
    let cloneset = store.list(CLONESETS, None).into_iter().find(|it| it.name() == name);
    let twins: Vec<_> =
        store.list(CLONESETS, None).into_iter().filter(|it| twin_of(it) == Some(name)).collect();
    let is_its = |pod: &Object| {
        let owner = &pod["metadata"]["ownerReferences"][0]["uid"];
        cloneset.as_ref().is_none_or(|it| *owner == *it.uid()) || twins.iter().any(|it| *owner == *it.uid())
    };
    count(store, is_its).remove(name).unwrap_or_default()
}

/// Whether a pod is neither on its way out nor over.
pub fn is_there(pod: &Value) -> bool {
    pod["metadata"].get("deletionTimestamp").is_none() && pod["status"]["phase"] != "Failed"
}

/// Pods that are there, by CloneSet and by image tag.
fn all_images(store: &Store) -> BTreeMap<String, BTreeMap<String, u32>> {
    count(store, |_| true)
}

fn count(store: &Store, counts: impl Fn(&Object) -> bool) -> BTreeMap<String, BTreeMap<String, u32>> {
    let mut images: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    let clonesets = store.list(CLONESETS, None);
    for pod in store.list(PODS, None).iter().filter(|pod| counts(pod)) {
        let owner = pod["metadata"]["ownerReferences"][0]["name"].as_str().unwrap_or_default();
        let owner =
            clonesets.iter().find(|it| it.name() == owner).and_then(|it| twin_of(it)).unwrap_or(owner);
        if is_there(pod) {
            *images.entry(owner.to_owned()).or_default().entry(tag(pod)).or_default() += 1;
        }
    }
    images
}

/// The tags of a CloneSet's pods that are ready.
fn ready(store: &Store, name: &str) -> Vec<String> {
    let is_ready = |pod: &Object| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = conditions.filter(|it| it["type"] == "Ready");
        ready.any(|it| it["status"] == "True")
    };
    let mine = |pod: &Object| pod["metadata"]["ownerReferences"][0]["name"] == *name;
    store.list(PODS, None).iter().filter(|pod| mine(pod) && is_ready(pod)).map(|pod| tag(pod)).collect()
}

/// What a pod runs: the tag of its image, and each ConfigMap that it takes its environment from, as `A+cfg`.
pub fn tag(pod: &Value) -> String {
    let container = &pod["spec"]["containers"][0];
    let image = container["image"].as_str().unwrap_or_default();
    let mut tag = image.rsplit(':').next().unwrap_or_default().to_owned();
    for source in container["envFrom"].as_array().into_iter().flatten() {
        if let Some(name) = source["configMapRef"]["name"].as_str() {
            tag = format!("{tag}+{name}");
        }
    }
    tag
}

fn replicas(cloneset: &Value) -> u32 {
    cloneset["spec"]["replicas"].as_u64().and_then(|it| u32::try_from(it).ok()).unwrap_or(1)
}

fn available(cloneset: &Value) -> u64 {
    cloneset["status"]["updatedAvailableReplicas"].as_u64().unwrap_or(0)
}
