//! A CloneSet and its pods as anybody sees them: a picture, read anew after every change in the embedded cluster.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use triton::devcluster::cloneset::CLONESETS;
use triton::devcluster::pods::{PODS, Pod as Body, controller_uid};
use triton::devcluster::revision::REVISIONS;
use triton::devcluster::sim::Sim as Kube;
use triton::model::{Amount, ReleaseId, Uid};
use triton::world::{CounterStatus, Memory};

use crate::explore::spec::template_letter;

/// One pod that is neither terminating nor at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// The template that it runs.
    pub template: char,
    /// Whether it is available.
    pub available: bool,
}

/// Who owns what of a CloneSet: what server-side apply would know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Fields of the spec that the program applied last, those of the update strategy as `updateStrategy/…`; empty
    /// where it never applied any.
    pub ours: BTreeSet<String>,
    /// Who else owns `spec.replicas`.
    pub sizer: Option<&'static str>,
}

/// One CloneSet.
#[derive(Clone, Debug)]
pub struct CloneSet {
    /// UID.
    pub uid: Uid,
    /// resourceVersion.
    pub version: u64,
    /// Bumped by every change of the spec.
    pub generation: i64,
    /// `spec.template`.
    pub template: char,
    /// `spec.replicas`.
    pub replicas: u32,
    /// `spec.updateStrategy.partition`.
    pub partition: Amount,
    /// `spec.updateStrategy.paused`.
    pub paused: bool,
    /// The whole spec.
    pub spec: Value,
    /// All annotations.
    pub annotations: BTreeMap<String, String>,
    /// Memory in them.
    pub memory: Option<Memory>,
    /// Who owns what.
    pub owners: Owners,
    /// Status.
    pub status: CounterStatus,
    /// The template of `currentRevision`.
    pub current: Option<char>,
    /// The pods.
    pub pods: Vec<Pod>,
}

/// Pods that a partition keeps on old revisions.
#[must_use]
pub fn kept(partition: Amount, size: u32) -> u32 {
    match partition {
        Amount::Count(count) => count.min(size),
        Amount::Percent(percent) => {
            let text = percent.to_string();
            let share: f64 = text.trim_end_matches('%').parse().expect("a percentage");
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `size`")]
            let pods = ((share * f64::from(size) / 100.0).ceil() as u32).min(size);
            if size > 1 && pods == size && text != "100%" { size - 1 } else { pods }
        }
    }
}

fn count(pods: &[Pod], which: impl Fn(&Pod) -> bool) -> u32 {
    u32::try_from(pods.iter().filter(|pod| which(pod)).count()).expect("few pods")
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

impl CloneSet {
    /// Reads the CloneSet of a release; `None` where there is none.
    #[must_use]
    pub fn read(kube: &Kube, id: &ReleaseId, owners: Owners) -> Option<Self> {
        let (namespace, name) = (id.namespace.as_str(), id.name.as_str());
        let body = kube.get(CLONESETS, namespace, name)?;
        let (metadata, spec) = (&body["metadata"], &body["spec"]);
        let strategy = &spec["updateStrategy"];
        let texts = metadata["annotations"].as_object().into_iter().flatten();
        let texts = texts.filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned())));
        let annotations: BTreeMap<String, String> = texts.collect();
        let uid = metadata["uid"].as_str().unwrap_or_default();
        let status = counters(&body["status"]);
        let revision = kube.get(REVISIONS, namespace, &status.current_revision);
        let current = revision.and_then(|body| template_letter(&body["data"]["spec"]["template"]));
        let partition = serde_json::from_value(strategy["partition"].clone());
        let settle = spec["minReadySeconds"].as_i64().unwrap_or(0);
        Some(Self {
            uid: Uid::new(uid),
            version: metadata["resourceVersion"].as_str().and_then(|it| it.parse().ok()).unwrap_or(0),
            generation: metadata["generation"].as_i64().unwrap_or(0),
            template: template_letter(&spec["template"]).unwrap_or('?'),
            replicas: spec["replicas"].as_u64().map_or(1, |_| number(&spec["replicas"])),
            partition: partition.unwrap_or(Amount::Count(0)),
            paused: strategy["paused"] == true,
            spec: spec.clone(),
            memory: Memory::from_annotations(&annotations),
            annotations,
            owners,
            status,
            current,
            pods: pods(kube, uid, settle, kube.now()),
        })
    }

    /// Pods that the partition lets be on the template, at the present size.
    #[must_use]
    pub fn allowed(&self) -> u32 {
        self.replicas - kept(self.partition, self.replicas)
    }

    /// Pods that run `template`.
    #[must_use]
    pub fn running(&self, template: char) -> u32 {
        count(&self.pods, |pod| pod.template == template)
    }

    /// Available pods that run `template`.
    #[must_use]
    pub fn available(&self, template: char) -> u32 {
        count(&self.pods, |pod| pod.template == template && pod.available)
    }

    /// A field of the spec, `updateStrategy/…` for those of the update strategy.
    #[must_use]
    pub fn field(&self, path: &str) -> &Value {
        match path.split_once('/') {
            Some((map, field)) => &self.spec[map][field],
            None => &self.spec[path],
        }
    }
}

fn counters(status: &Value) -> CounterStatus {
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    CounterStatus {
        observed_generation: status["observedGeneration"].as_i64(),
        replicas: number(&status["replicas"]),
        ready: number(&status["readyReplicas"]),
        available: number(&status["availableReplicas"]),
        updated: number(&status["updatedReplicas"]),
        updated_available: number(&status["updatedAvailableReplicas"]),
        expected_updated: number(&status["expectedUpdatedReplicas"]),
        current_revision: text("currentRevision"),
        update_revision: text("updateRevision"),
    }
}

fn pods(kube: &Kube, uid: &str, settle: i64, now: Timestamp) -> Vec<Pod> {
    let mine = kube.list(PODS).filter(|body| controller_uid(body) == uid);
    let active = mine.map(|body| Body { body: body.clone() }).filter(Body::is_active);
    let read = |pod: Body| Pod {
        name: pod.name().to_owned(),
        template: template_letter(&pod.body).unwrap_or('?'),
        available: pod.is_available(settle, now),
    };
    active.map(read).collect()
}
