//! What was seen from the first write to the last: states of the CloneSets, and revisions.

use serde_json::{Value, json};
use triton::devcluster::cloneset::CLONESETS;
use triton::devcluster::revision::REVISIONS;
use triton::devcluster::sim::Seen;

use crate::traces::picture::{self, Letters};

/// What was seen, in the notation of the recordings.
#[derive(Clone, Default)]
pub struct Story {
    /// Letters of the revisions, as they appeared.
    pub letters: Letters,
    /// Revisions as they came, moved and went: letter, name, number, end.
    pub revisions: Vec<Value>,
    /// Every state of the CloneSets, as a `cs` line shows it.
    pub written: Vec<Value>,
    /// Statuses that said more than the pods.
    pub early: Vec<Value>,
}

impl Story {
    /// Takes down one write; `has_done` says whether the pods were as far as a CloneSet's status tells.
    pub fn note(&mut self, seen: &Seen, has_done: impl FnOnce(&Value) -> bool) {
        if seen.resource == REVISIONS {
            let shown = seen.after.as_ref().or(seen.before.as_ref()).expect("a write has an object");
            let name = shown["metadata"]["name"].as_str().expect("a name");
            let mut line = json!({"rev": self.letters.of(name), "name": name, "n": shown["revision"]});
            if seen.after.is_none() {
                line["gone"] = json!(1);
            } else if shown["metadata"].get("ownerReferences").is_none() {
                line["orphan"] = json!(1);
            }
            self.revisions.push(line);
        } else if seen.resource == CLONESETS
            && let Some(body) = &seen.after
        {
            let mut cs = picture::cs(body, &mut self.letters);
            if body["metadata"]["name"] != "web" {
                cs["name"] = body["metadata"]["name"].clone();
            }
            if picture::is_step_done(&cs) && !has_done(body) {
                self.early.push(cs.clone());
            }
            self.written.push(cs);
        }
    }
}
