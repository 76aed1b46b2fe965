//! What somebody does to the cluster by hand.

use std::collections::BTreeMap;

use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use triton::objects::kind::Api as Served;
use triton::objects::{Kind, keys};

use crate::scenario::format::Act;
use crate::scenario::ground::{CLONESETS, HAND, PODS, resource as resource_of};
use crate::scenario::health::is_true;
use crate::scenario::history::{NAMESPACE, RELEASE};
use crate::scenario::news::{Done, api_of, version};
use crate::scenario::observer::tag;
use crate::scenario::stage::{Stage, duration, served};

impl Stage {
    /// Somebody acts, upon what stands: the observer has seen that before.
    pub async fn act(&mut self, act: &Act) {
        self.look();
        match act {
            Act::KillPod(image) => {
                let pods = self.store().list(PODS, Some(NAMESPACE));
                let mut alike = pods.iter().filter(|pod| tag(pod) == *image);
                let pod = alike.clone().find(|pod| is_true(pod, "Ready")).or_else(|| alike.next());
                let name = pod.unwrap_or_else(|| panic!("no pod runs {image}")).name().to_owned();
                self.observer.take(RELEASE);
                self.delete(&served("Pod"), &name).await;
            }
            Act::EvictPod(image) => self.evict(image).await,
            Act::Delete(named) => {
                self.observer.disturb();
                let (kind, name) = named.split_once('/').expect("an object is Kind/name");
                self.observer.deleted(name);
                self.delete(&served(kind), name).await;
            }
            Act::Patch(patch) => {
                // What a person writes into the template by hand, nobody has approved.
                if let Some(template) = patch.pointer("/spec/template") {
                    self.observer.excuse(&tag(template));
                }
                self.patch(patch).await;
            }
            Act::Route(patch) => {
                self.observer.lend_route(RELEASE);
                self.patch_kind(&Kind::HttpRoute.api(), RELEASE, patch).await;
            }
            Act::Canary(patch) => {
                self.observer.lend_route(RELEASE);
                self.patch_kind(&Kind::Ingress.api(), &format!("{RELEASE}-canary"), patch).await;
            }
            Act::Edit(edits) => self.edit(edits).await,
            Act::Annotate(annotations) => {
                let patch = json!({ "metadata": { "annotations": annotations } });
                self.patch(&self.filled(&patch)).await;
            }
            Act::Scale(replicas) => self.scale(*replicas).await,
            Act::Create(object) => self.create(object).await,
            Act::Break(image) => {
                self.observer.disturb();
                self.ground.crash(image, true);
            }
            Act::Heal(image) => self.ground.crash(image, false),
            Act::Slow(images) => {
                let images = images.iter().map(|(tag, span)| (tag.clone(), duration(*span)));
                self.ground.slow(&images.collect());
            }
            Act::Lag(span) => self.ground.wire().slow(duration(*span)),
            Act::Refuse(plurals) => self.ground.wire().refuse(plurals),
            Act::Mute(plurals) => self.ground.wire().mute(plurals),
            Act::Partition(partition) => {
                self.observer.lend(RELEASE);
                let patch = json!({ "spec": { "updateStrategy": { "partition": partition } } });
                let generation = self.patch(&patch).await;
                self.observer.lent_in(RELEASE, generation);
            }
            Act::Save {} => self.saved = Some(self.cloneset()),
            Act::Restore {} => self.restore().await,
            Act::Reencode {} => self.ground.reencode(),
        }
    }

    /// Objects are edited; whoever writes the label of a revision's pods leads to them.
    async fn edit(&mut self, edits: &BTreeMap<String, Value>) {
        self.observer.disturb();
        for (named, patch) in edits {
            let (kind, name) = named.split_once('/').expect("an object is Kind/name");
            if let Some((_, image)) = patch.to_string().split_once("{hash ") {
                self.observer.lead(image.split('}').next().unwrap_or_default());
            }
            self.patch_kind(&served(kind), name, &self.filled(patch)).await;
        }
    }

    /// Writes a size as an autoscaler does.
    async fn scale(&mut self, replicas: u32) {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let api = self.api(&Kind::CloneSet.api());
        let scale = api.patch_scale(RELEASE, &hand(), &patch).await.expect("it is scaled");
        self.catch_up(written(&Kind::CloneSet.api(), &scale)).await;
    }

    /// Ends the first pod of an image, by name, as a node does that is short of something.
    async fn evict(&mut self, image: &str) {
        let pods = self.store().list(PODS, Some(NAMESPACE));
        let name = pods.iter().filter(|pod| tag(pod) == *image).map(|pod| pod.name()).min();
        let name = name.unwrap_or_else(|| panic!("no pod runs {image}")).to_owned();
        self.observer.take(RELEASE);
        let ready = json!({"type": "Ready", "status": "False", "reason": "PodFailed"});
        let patch = json!({"status": {"phase": "Failed", "reason": "Evicted", "conditions": [ready]}});
        let kind = served("Pod");
        let evicted = self.api(&kind).patch_status(&name, &hand(), &Patch::Merge(&patch)).await;
        self.catch_up(written(&kind, &evicted.expect("it is evicted"))).await;
    }

    /// Looks at everything until what was done is shown.
    async fn catch_up(&mut self, done: Done) {
        while !self.ground.catch_up(&done).await {
            self.look();
        }
    }

    /// The CloneSet.
    fn cloneset(&self) -> Value {
        let cloneset = self.store().get(CLONESETS, NAMESPACE, RELEASE).expect("the CloneSet is there");
        Value::clone(&cloneset)
    }

    /// Puts the saved CloneSet in the place of the present one, before the daemon can make it itself. With any partition,
    /// Kruise makes all pods of a new CloneSet with its template.
    async fn restore(&mut self) {
        self.observer.disturb();
        let mut saved = self.saved.clone().expect("the CloneSet was saved");
        self.observer.excuse(&tag(&saved["spec"]["template"]));
        self.daemon.iter().for_each(|daemon| daemon.run(false));
        if self.store().get(CLONESETS, NAMESPACE, RELEASE).is_some() {
            self.delete(&Kind::CloneSet.api(), RELEASE).await;
        }
        for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"] {
            saved["metadata"].as_object_mut().expect("it has metadata").remove(field);
        }
        saved.as_object_mut().expect("an object").remove("status");
        self.create(&saved).await;
        self.daemon.iter().for_each(|daemon| daemon.run(true));
    }

    /// Changes the CloneSet; its generation then.
    async fn patch(&mut self, patch: &Value) -> u64 {
        self.patch_kind(&Kind::CloneSet.api(), RELEASE, patch).await
    }

    /// A patch with the digest that is entered, and the labels of pods' revisions.
    fn filled(&self, patch: &Value) -> Value {
        let entered = self.cloneset()["metadata"]["annotations"][keys::DIGEST].clone();
        let mut patch = patch.to_string().replace("{digest}", entered.as_str().unwrap_or_default());
        for pod in self.store().list(PODS, Some(NAMESPACE)) {
            let hash = pod["metadata"]["labels"][keys::POD_TEMPLATE_HASH].as_str().unwrap_or_default();
            patch = patch.replace(&format!("{{hash {}}}", tag(&pod)), hash);
        }
        serde_json::from_str(&patch).expect("a patch")
    }

    async fn patch_kind(&mut self, kind: &Served, name: &str, patch: &Value) -> u64 {
        let patched = self.api(kind).patch(name, &hand(), &Patch::Merge(patch)).await;
        let patched = patched.expect("it is patched");
        self.catch_up(written(kind, &patched)).await;
        patched.metadata.generation.and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
    }

    async fn create(&mut self, object: &Value) {
        let kind = served(object["kind"].as_str().unwrap_or_default());
        let object = object.to_string().replace("{root}", &self.rules.borrow().policy.root);
        let object: DynamicObject = serde_json::from_str(&object).expect("an object");
        let who = PostParams { field_manager: Some(HAND.to_owned()), ..PostParams::default() };
        let made = self.api(&kind).create(&who, &object).await.expect("it is made");
        self.catch_up(written(&kind, &made)).await;
    }

    async fn delete(&mut self, kind: &Served, name: &str) {
        let resource = resource_of(kind);
        let there = self.store().get(&resource, NAMESPACE, name);
        let uid = there.map(|it| it.uid().to_owned()).unwrap_or_default();
        self.api(kind).delete(name, &DeleteParams::background()).await.expect("it goes");
        self.catch_up(Done::Deleted(resource, name.to_owned(), uid)).await;
    }

    fn api(&self, kind: &Served) -> Api<DynamicObject> {
        api_of(&self.ground.hand(), kind)
    }
}

fn hand() -> PatchParams {
    PatchParams { field_manager: Some(HAND.to_owned()), ..PatchParams::default() }
}

/// What was written, as it was answered.
fn written(kind: &Served, answer: &impl serde::Serialize) -> Done {
    let answer = serde_json::to_value(answer).expect("JSON");
    let name = answer["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Done::Version(resource_of(kind), name, version(&answer))
}
