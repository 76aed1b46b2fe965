//! What server-side dry-runs showed of CloneSets that are to be taken over.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::fields::{FieldChange, templates};
use crate::model::{Digest, ReleaseId, Uid};
use crate::spec::Release;
use crate::world::{Case, Desired, Live, Rehearsal};

/// What was asked, and what came of it: it counts for this object with this spec, and for this release.
struct Entry {
    uid: Uid,
    generation: i64,
    digest: Digest,
    shown: Rehearsal,
}

/// The last dry-run of each release.
#[derive(Default)]
pub struct Rehearsals(BTreeMap<ReleaseId, Entry>);

impl Rehearsals {
    /// Notes what the server would make of the CloneSet of `case`. Gives the release that it would be taken over as,
    /// where that is not the desired one.
    pub fn note(&mut self, id: &ReleaseId, case: &Case, after: &Value) -> Option<Arc<Release>> {
        let (Some(live), Desired::Release(intent)) = (&case.live, &case.desired) else { return None };
        let release = &intent.release;
        let before = live.stand.object();
        let template: Arc<[FieldChange]> = templates(&before, after).into();
        let mut standing = before["spec"]["template"].clone();
        if let Some(metadata) = standing.get_mut("metadata").and_then(Value::as_object_mut) {
            // A time that nobody has written: Go's way to spell none.
            metadata.retain(|_, value| !value.is_null());
        }
        let differs = !template.is_empty();
        let standing = differs.then(|| release.with_template(&standing)).flatten().map(Arc::new);
        let shown = Rehearsal { template, standing: standing.clone() };
        let (uid, generation) = (live.uid.clone(), live.generation);
        self.0.insert(id.clone(), Entry { uid, generation, digest: release.digest, shown });
        standing
    }

    /// Shows it in a case that it still speaks of, with the documents that it may be taken over with.
    pub fn show(&mut self, id: &ReleaseId, case: &mut Case) {
        let Some(entry) = self.0.get(id) else { return };
        let is_of = |live: &Live| live.uid == entry.uid && live.generation == entry.generation;
        let same = matches!(&case.desired, Desired::Release(intent) if intent.release.digest == entry.digest);
        if case.memory().is_some() || !same || !case.live.as_ref().is_some_and(is_of) {
            self.0.remove(id);
            return;
        }
        if let Some(standing) = &entry.shown.standing {
            case.documents.insert(standing.digest, Arc::clone(standing));
        }
        if let Some(live) = &mut case.live {
            live.rehearsal = Some(entry.shown.clone());
        }
    }

    /// Forgets a release.
    pub fn forget(&mut self, id: &ReleaseId) {
        self.0.remove(id);
    }
}
