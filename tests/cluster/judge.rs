//! What was permitted, and whether everything that the API has shown keeps to it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::witness::Sight;

/// Pods of every release here.
pub const PODS: u32 = 5;
/// Pods of each step.
pub const STEPS: [u32; 4] = [1, 2, 3, 5];

/// From this moment on so many pods of a release may run a version. It is noted before the commit that permits it is
/// made: what is seen up to then was not permitted by it.
#[derive(Clone, Debug)]
pub struct Permit {
    /// When, on the cluster's own count.
    pub after: u64,
    /// The release.
    pub release: String,
    /// Image tag.
    pub tag: String,
    /// Pods.
    pub pods: u32,
}

/// What is remembered on a CloneSet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entered {
    digest: String,
    tag: String,
    step: usize,
    at: String,
    revision: String,
}

/// A pod as far as it matters.
struct Pod {
    release: String,
    tag: String,
    is_ready: bool,
}

/// Goes through what was seen, in order.
#[derive(Default)]
pub struct Judge {
    permits: Vec<Permit>,
    pods: BTreeMap<String, Pod>,
    entered: BTreeMap<String, Entered>,
    complete: BTreeSet<(String, String)>,
    /// Steps of each version of each release, in the order in which they were entered.
    pub trails: BTreeMap<(String, String), Vec<usize>>,
    /// Everything that must not be.
    pub faults: Vec<String>,
}

impl Judge {
    /// Judges by `permits`.
    pub fn by(permits: Vec<Permit>) -> Self {
        Self { permits, ..Self::default() }
    }

    /// Looks at everything that was seen.
    pub fn hear(mut self, sights: &[Sight]) -> Self {
        for sight in sights {
            match (sight.kind, &sight.object) {
                ("Pod", object) => self.pod(sight, object.as_ref()),
                (_, Some(object)) => self.cloneset(sight, object),
                (_, None) => self.fault(sight, "the CloneSet was deleted"),
            }
        }
        self
    }

    fn fault(&mut self, sight: &Sight, what: &str) {
        self.faults.push(format!("{} {} at {}: {what}", sight.kind, sight.name, sight.version));
    }

    fn permitted(&self, release: &str, tag: &str, at: u64) -> u32 {
        let counts = |it: &&Permit| it.release == release && it.tag == tag && it.after < at;
        self.permits.iter().filter(counts).map(|it| it.pods).max().unwrap_or(0)
    }

    fn pod(&mut self, sight: &Sight, object: Option<&Value>) {
        let is_going = |it: &&Value| !it["metadata"]["deletionTimestamp"].is_null();
        let Some(object) = object.filter(|it| !is_going(it)) else {
            self.pods.remove(&sight.name);
            return;
        };
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let is_ready = conditions.clone().any(|it| it["type"] == "Ready" && it["status"] == "True");
        let release = object["metadata"]["labels"]["app"].as_str().expect("its label").to_owned();
        let tag = tag(&object["spec"]);
        self.pods.insert(sight.name.clone(), Pod { release: release.clone(), tag: tag.clone(), is_ready });
        let there = self.pods.values().filter(|it| it.release == release && it.tag == tag).count();
        let may = self.permitted(&release, &tag, sight.version);
        if there > may as usize {
            self.fault(sight, &format!("{there} pods of {release} run {tag}, and {may} may"));
        }
    }

    fn cloneset(&mut self, sight: &Sight, object: &Value) {
        let release = &sight.name;
        let tag = tag(&object["spec"]["template"]["spec"]);
        let (would, may) = (would_update(object), self.permitted(release, &tag, sight.version));
        if would > may {
            self.fault(sight, &format!("it lets {would} pods run {tag}, and {may} may"));
        }
        let note = |key: &str| object["metadata"]["annotations"][key].as_str().unwrap_or_default();
        let now = Entered {
            digest: note("triton.io/digest").to_owned(),
            step: note("triton.io/step").parse().unwrap_or(0),
            at: note("triton.io/step-entered").to_owned(),
            revision: note("triton.io/revision").to_owned(),
            tag,
        };
        let before = self.entered.insert(release.clone(), now.clone());
        if before.as_ref() != Some(&now) {
            self.moved(sight, before.as_ref(), &now);
        }
        let top = serde_json::from_str::<Value>(note("triton.io/proven")).ok();
        let top = top.and_then(|it| it.as_array()?.last().cloned());
        if top.is_some_and(|it| it["digest"] == now.digest.as_str()) {
            self.complete.insert((release.clone(), now.digest));
        }
    }

    /// Another digest, another step, or a step that begins anew.
    fn moved(&mut self, sight: &Sight, before: Option<&Entered>, now: &Entered) {
        let trail = self.trails.entry((sight.name.clone(), now.tag.clone())).or_default();
        let is_back = self.complete.contains(&(sight.name.clone(), now.digest.clone()));
        let Some(before) = before else {
            trail.push(now.step);
            return;
        };
        let same = before.digest == now.digest;
        // The clock of a first step starts when Kruise names the revision: until then no pod could have been late.
        let learns = before.revision.is_empty() && !now.revision.is_empty();
        let at = if learns { &now.at } else { &before.at };
        let learned = Entered { at: at.clone(), revision: now.revision.clone(), ..before.clone() };
        if learns && learned == *now {
            return;
        }
        if !is_back {
            trail.push(now.step);
        }
        if is_back && same && before != now {
            return self.fault(sight, &format!("{before:?} was complete, and became {now:?}"));
        }
        if is_back || (!same && now.step == 1) {
            return;
        }
        if !same || now.step != before.step + 1 || now.tag != before.tag {
            return self.fault(sight, &format!("{before:?} became {now:?}"));
        }
        let wanted = STEPS[before.step - 1];
        let mine = |it: &&Pod| it.release == sight.name && it.tag == now.tag && it.is_ready;
        let ready = self.pods.values().filter(mine).count();
        if ready < wanted as usize {
            let step = now.step;
            self.fault(sight, &format!("step {step} was entered with {ready} of {wanted} pods ready"));
        }
    }
}

/// The version that a pod's spec runs.
pub fn tag(spec: &Value) -> String {
    let image = spec["containers"][0]["image"].as_str().unwrap_or_default();
    image.rsplit(':').next().unwrap_or_default().to_owned()
}

/// Pods that Kruise moves to the template, by its own rule: `replicas` less the partition, rounded up, and one at least
/// where the partition is below 100 %.
fn would_update(cloneset: &Value) -> u32 {
    let spec = &cloneset["spec"];
    let replicas = u32::try_from(spec["replicas"].as_u64().unwrap_or(1)).expect("few pods");
    let partition = &spec["updateStrategy"]["partition"];
    let percent = partition.as_str().and_then(|it| it.strip_suffix('%')?.parse::<f64>().ok());
    let kept = match (percent, partition.as_u64()) {
        (Some(percent), _) => {
            let kept = (f64::from(replicas) * percent / 100.0).ceil() as u32;
            if percent < 100.0 && replicas > 1 { kept.min(replicas - 1) } else { kept }
        }
        (None, kept) => u32::try_from(kept.unwrap_or(0)).expect("few pods"),
    };
    replicas - kept.min(replicas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cloneset(version: u64, step: u32, partition: &str) -> Sight {
        let notes = json!({"triton.io/digest": "d", "triton.io/step": step.to_string(), "triton.io/revision": "web-1"});
        let template = json!({"spec": {"containers": [{"image": "web:v2"}]}});
        let spec =
            json!({"replicas": PODS, "template": template, "updateStrategy": {"partition": partition}});
        let object = json!({"metadata": {"annotations": notes}, "spec": spec});
        Sight { version, kind: "CloneSet", name: "web".to_owned(), object: Some(object) }
    }

    fn pod(version: u64, name: &str) -> Sight {
        let status = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let spec = json!({"containers": [{"image": "web:v2"}]});
        let object = json!({"metadata": {"labels": {"app": "web"}}, "spec": spec, "status": status});
        Sight { version, kind: "Pod", name: name.to_owned(), object: Some(object) }
    }

    fn faults(sights: &[Sight]) -> usize {
        let permit = |after, pods| Permit { after, release: "web".to_owned(), tag: "v2".to_owned(), pods };
        Judge::by(vec![permit(10, 1), permit(20, 2)]).hear(sights).faults.len()
    }

    #[test]
    fn a_rollout_that_keeps_to_its_permits_has_no_fault() {
        let good = [cloneset(11, 1, "80%"), pod(12, "a"), cloneset(21, 2, "60%"), pod(22, "b")];
        assert_eq!(faults(&good), 0);
    }

    #[test]
    fn a_step_that_is_skipped_early_or_repeated_and_a_pod_too_many_are_faults() {
        assert_eq!(faults(&[cloneset(10, 1, "80%")]), 1, "not permitted yet");
        assert_eq!(faults(&[cloneset(11, 1, "80%"), pod(12, "a"), pod(13, "b")]), 1, "two pods, and one may");
        assert_eq!(faults(&[cloneset(11, 1, "80%"), cloneset(21, 2, "60%")]), 1, "no pod was ready");
        assert_eq!(
            faults(&[cloneset(11, 1, "80%"), pod(12, "a"), cloneset(21, 3, "60%")]),
            1,
            "a step is skipped"
        );
        let again = [cloneset(11, 1, "80%"), pod(12, "a"), cloneset(21, 2, "60%"), cloneset(22, 1, "80%")];
        assert_eq!(faults(&again), 1, "a step is repeated");
    }
}
