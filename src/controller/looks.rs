//! Pods that Git names to be replaced, as they were looked at: nothing watches them.

use std::collections::BTreeMap;

use crate::cluster::Error;
use crate::model::{Name, ReleaseId, Uid};
use crate::world::{Case, Desired};

/// The CloneSet that each pod is of; none where there is no such pod, or it is on its way out.
pub type Looked = Vec<(Name, Result<Option<Uid>, Error>)>;

/// What was seen of the pods of each release.
#[derive(Default)]
pub struct Looks(BTreeMap<ReleaseId, BTreeMap<Name, Option<Uid>>>);

impl Looks {
    /// Notes what was seen; gives the first pod that could not be looked at.
    pub fn note(&mut self, id: &ReleaseId, looked: Looked) -> Option<(Name, Error)> {
        let mut failed = None;
        for (name, came) in looked {
            match came {
                Ok(owner) => drop(self.0.entry(id.clone()).or_default().insert(name, owner)),
                Err(error) => drop(failed.get_or_insert((name, error))),
            }
        }
        failed
    }

    /// Shows it in a case, as far as Git names the pods and they were not asked for yet.
    pub fn show(&mut self, id: &ReleaseId, case: &mut Case) {
        let Some(seen) = self.0.get_mut(id) else { return };
        let Desired::Release(intent) = &case.desired else { return };
        let asked = case.memory().map(|memory| &memory.replaced);
        seen.retain(|name, _| {
            intent.release.replace.contains(name) && !asked.is_some_and(|asked| asked.contains(name))
        });
        case.looked.clone_from(seen);
    }

    /// Forgets a release.
    pub fn forget(&mut self, id: &ReleaseId) {
        self.0.remove(id);
    }
}
