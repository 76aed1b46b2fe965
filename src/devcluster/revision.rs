//! ControllerRevisions: how a template gets its name, and which revision is current, which the one to update to
//! (`pkg/controller/cloneset/revision/cloneset_revision.go`, kube `pkg/controller/history`).
//!
//! Left out: hash collisions; `collisionCount` stays as it is.

use serde_json::{Value, json};

use crate::devcluster::cloneset::CloneSet;
use crate::devcluster::json::{Body, text};
use crate::devcluster::pods::{Pod, owner_reference, short_hash};

pub use crate::devcluster::builtin::CONTROLLER_REVISIONS as REVISIONS;
/// The label with the hash.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";
/// Kruise's own annotation; empty without volume claims.
const CLAIMS_ANNOTATION: &str = "kruise.io/cloneset-volumeclaimtemplate-hash";
/// Letters that Kubernetes makes names of.
const SAFE_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A ControllerRevision.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The whole document.
    pub body: Body,
}

impl Revision {
    /// Reads a document.
    #[must_use]
    pub fn read(body: impl Into<Body>) -> Revision {
        Revision { body: body.into() }
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.body, "/metadata/name")
    }

    /// What pods have in their label `pod-template-hash`.
    #[must_use]
    pub fn short_hash(&self) -> &str {
        short_hash(self.name())
    }

    /// `revision`: the newest has the highest.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.body["revision"].as_i64().unwrap_or(0)
    }

    /// The pod template.
    #[must_use]
    pub fn template(&self) -> &Value {
        &self.body["data"]["spec"]["template"]
    }
}

/// What must be written before the update revision is there.
#[derive(Clone, Debug)]
pub enum Step {
    /// It is.
    Nothing,
    /// A new one is made.
    Create(Revision),
    /// An earlier one becomes the newest.
    Renumber(Revision),
}

/// The revisions of a pass.
#[derive(Clone, Debug)]
pub struct Active {
    /// Of which old pods are made.
    pub current: Revision,
    /// To which pods are brought.
    pub update: Revision,
    /// What must be written first.
    pub step: Step,
}

/// Finds current and update revision (`cloneset_controller.go:getActiveRevisions`). A template that was there before
/// gets its old revision back, with a new number. `revisions` are sorted by number.
#[must_use]
pub fn active(set: &CloneSet, revisions: &[Revision]) -> Active {
    let next = revisions.last().map_or(1, |last| last.number() + 1);
    let equal = revisions.iter().rev().find(|revision| is_of(revision, set.template()));
    let (update, step) = match equal {
        Some(equal) if revisions.last().is_some_and(|last| last.name() == equal.name()) => {
            (equal.clone(), Step::Nothing)
        }
        Some(equal) => {
            let mut renumbered = equal.clone();
            renumbered.body["revision"] = json!(next);
            (renumbered.clone(), Step::Renumber(renumbered))
        }
        None => {
            let fresh = new_revision(set, next);
            (fresh.clone(), Step::Create(fresh))
        }
    };
    let named = text(&set.body, "/status/currentRevision");
    let current = revisions.iter().find(|revision| revision.name() == named);
    Active { current: current.unwrap_or(&update).clone(), update, step }
}

/// Whether a revision is of this template: what it has besides is the mark that it replaces.
fn is_of(revision: &Revision, template: &Value) -> bool {
    let (Some(has), Some(template)) = (revision.template().as_object(), template.as_object()) else {
        return false;
    };
    has.len() == template.len() + 1
        && has.contains_key("$patch")
        && template.iter().all(|(field, value)| has.get(field) == Some(value))
}

fn new_revision(set: &CloneSet, number: i64) -> Revision {
    let mut template = set.template().clone();
    template["$patch"] = json!("replace");
    let data = json!({"spec": {"template": template}});
    let collisions = set.body["status"]["collisionCount"].as_i64().unwrap_or(0);
    let hash = hash(&go_json(&data), collisions);
    let mut labels = set.template()["metadata"]["labels"].clone();
    labels[HASH_LABEL] = json!(hash);
    let mut annotations = json!({CLAIMS_ANNOTATION: ""});
    for (key, value) in set.body["metadata"]["annotations"].as_object().into_iter().flatten() {
        annotations[key] = value.clone();
    }
    Revision {
        body: Body::from(json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": {
                "name": format!("{}-{hash}", set.name()), "namespace": set.namespace(),
                "labels": labels, "annotations": annotations, "ownerReferences": [owner_reference(set)],
            },
            "data": data, "revision": number,
        })),
    }
}

/// `HashControllerRevision`: FNV-1 of the data and the count of collisions, its decimal digits in safe letters.
#[must_use]
pub fn hash(data: &str, collisions: i64) -> String {
    let mut sum: u32 = 0x811c_9dc5;
    for byte in data.bytes().chain(collisions.to_string().bytes()) {
        sum = sum.wrapping_mul(0x0100_0193) ^ u32::from(byte);
    }
    let digits = sum.to_string();
    digits.bytes().map(|digit| char::from(SAFE_LETTERS[usize::from(digit) % SAFE_LETTERS.len()])).collect()
}

/// JSON as Go's encoder writes a map: keys sorted, and `<`, `>`, `&` escaped.
#[must_use]
pub fn go_json(value: &Value) -> String {
    let mut out = String::new();
    write_sorted(value, &mut out);
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    escapes.iter().fold(out, |out, (letter, escape)| out.replace(*letter, escape))
}

fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _value)| *key);
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_sorted(value, out);
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_sorted(value, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string())
        }
    }
}

/// The revisions to delete: those that nothing uses, beyond the limit, oldest first
/// (`cloneset_controller.go:truncateHistory`). `pods` are the active ones.
#[must_use]
pub fn surplus(set: &CloneSet, pods: &[Pod], revisions: &[Revision], active: &Active) -> Vec<String> {
    let unused: Vec<&Revision> = revisions
        .iter()
        .filter(|revision| {
            revision.name() != active.current.name() && revision.name() != active.update.name()
        })
        .filter(|revision| !pods.iter().any(|pod| pod.revision() == revision.short_hash()))
        .collect();
    let over = unused.len().saturating_sub(set.spec.history_limit);
    unused[..over].iter().map(|revision| revision.name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template of the recorded runs, as the webhook leaves it.
    fn web(image: &str, annotations: Value, status: Value) -> CloneSet {
        CloneSet::read(json!({
            "metadata": {"name": "web", "namespace": "s", "uid": "u", "annotations": annotations},
            "spec": {"template": {
                "metadata": {"creationTimestamp": null, "labels": {"app": "web"}},
                "spec": {
                    "containers": [{"image": image, "imagePullPolicy": "Always", "name": "c", "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File"}],
                    "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
                    "schedulerName": "default-scheduler", "securityContext": {},
                    "terminationGracePeriodSeconds": 30,
                },
            }},
            "status": status,
        }))
    }

    #[test]
    fn names_are_those_of_the_real_controller() {
        for (image, name) in
            [("r/app:A", "web-764b8b9977"), ("r/app:B", "web-555fc5bc96"), ("r/app:C", "web-7956866895")]
        {
            assert_eq!(active(&web(image, json!({}), json!({})), &[]).update.name(), name);
        }
    }

    #[test]
    fn an_earlier_template_gets_its_revision_back_with_a_new_number() {
        let a = active(&web("r/app:A", json!({"c": "1"}), json!({})), &[]).update;
        assert_eq!((a.number(), a.current_annotation()), (1, Some("1")));
        let b = active(&web("r/app:B", json!({}), json!({})), std::slice::from_ref(&a)).update;
        let back = active(
            &web("r/app:A", json!({"c": "2"}), json!({"currentRevision": b.name()})),
            &[a.clone(), b.clone()],
        );
        assert!(matches!(&back.step, Step::Renumber(one) if one.name() == a.name() && one.number() == 3));
        assert_eq!(back.update.current_annotation(), Some("1"), "not copied onto a reused one");
        assert_eq!(back.current.name(), b.name());
    }

    impl Revision {
        fn current_annotation(&self) -> Option<&str> {
            self.body["metadata"]["annotations"]["c"].as_str()
        }
    }
}
