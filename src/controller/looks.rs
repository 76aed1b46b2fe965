//! Pods that Git names to be replaced, as they were looked at: nothing watches them.
//!
//! **Invariant:** what was seen counts only while the plan asks for it, lap after lap.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::Error;
use crate::controller::refusals::{Refusals, Urgency};
use crate::model::{Name, ReleaseId};
use crate::objects::{Kind, ObjectKey};
use crate::world::{Case, Looked, Move, Plan, World};

/// What came of a look at some pods: what was seen, and the pod at which it ended.
#[derive(Debug, Default)]
pub struct Glance {
    /// Each pod; none where there is no such pod, or it is on its way out or has ended.
    pub seen: Vec<(Name, Option<Looked>)>,
    /// The first that could not be looked at: no other was tried after it.
    pub failed: Option<(Name, Error)>,
}

/// What was seen of the pods of each release.
#[derive(Default)]
pub struct Looks {
    /// Looks that failed: nothing else of a release is kept back by it.
    pub refusals: Refusals,
    seen: BTreeMap<ReleaseId, BTreeMap<Name, Option<Looked>>>,
}

/// Pods that a move asks for and that were not looked at yet.
pub fn missing<'a>(decided: &'a Move, case: &'a Case) -> impl Iterator<Item = &'a Name> {
    decided.looks.iter().filter(|name| !case.looked.contains_key(*name))
}

impl Looks {
    /// Takes in what was seen. What could not be is looked at again in its time, by itself.
    pub fn settle(&mut self, id: &ReleaseId, glance: Glance, now: Timestamp) {
        self.seen.entry(id.clone()).or_default().extend(glance.seen);
        let Some((name, error)) = glance.failed else {
            self.refusals.clear(id);
            return;
        };
        let key = ObjectKey { kind: Kind::Pod, namespace: id.namespace.clone(), name };
        if self.refusals.note(id, &key, &error, Urgency::Usual, now) {
            let refused = error.hold("not seen").message;
            tracing::warn!(release = %id, object = %key, category = error.category(), "{refused}");
        }
    }

    /// Releases of which something was seen that the plan does not ask for any more.
    pub fn stale<'a>(world: &'a World, plan: &'a Plan) -> impl Iterator<Item = &'a ReleaseId> {
        let is_stale = |(id, case): &(&ReleaseId, &Arc<Case>)| {
            let wanted = |name| plan.moves.get(*id).is_some_and(|it| it.looks.contains(name));
            !case.looked.keys().all(wanted)
        };
        world.cases.iter().filter(is_stale).map(|(id, _)| id)
    }

    /// Shows it in a case.
    pub fn show(&self, id: &ReleaseId, case: &mut Case) {
        if let Some(seen) = self.seen.get(id) {
            case.looked.clone_from(seen);
        }
        case.unlooked = self.refusals.of(id);
    }

    /// Forgets a release.
    pub fn forget(&mut self, id: &ReleaseId) {
        self.seen.remove(id);
    }
}
