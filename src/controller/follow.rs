//! The CloneSets of a release that is switched as a whole, and what follows them, as they were seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::{Cache, SeenCloneSet, SeenCompanion};
use crate::controller::crowd::Crowd;
use crate::controller::drift::{Echoes, wanted_cloneset, without_rollout};
use crate::fields::Compact;
use crate::model::{Name, ReleaseId, TemplateHash};
use crate::objects::{Kind, ObjectKey};
use crate::plan::body;
use crate::spec::{Body, Follower, Release};
use crate::traffic::{pin_of, pinned};
use crate::world::{Case, Drift, Follows, Leads, Live, Memory, Policy, Twin, hash_of, twin_name};

/// How the CloneSet that is named as the release differs from the one by which it stands.
#[must_use]
pub fn home(echoes: &Echoes, id: &ReleaseId, case: &Case, seen: &SeenCloneSet, policy: &Policy) -> Drift {
    let memory = case.memory();
    let release = match memory {
        Some(_) => case.home_digest().and_then(|digest| case.documents.get(&digest)),
        None => case.desired.release(),
    };
    let Some(release) = release else { return Drift::default() };
    let revision = match memory {
        Some(memory) if case.home_digest() != Some(memory.digest) => revision(memory, release.template),
        _ => memory.and_then(|it| it.revision.as_deref()),
    };
    let wanted = wanted_cloneset(release, policy);
    echoes.cloneset(&ObjectKey::cloneset(id), &wanted, seen, revision)
}

/// The revision that a template is known to have become.
fn revision(memory: &Memory, template: TemplateHash) -> Option<&str> {
    let entered = memory.revision.as_deref().filter(|_| memory.template == template);
    let proven = memory.proven.iter().find(|proof| proof.template == template);
    entered.or_else(|| proven?.revision.as_deref())
}

/// The CloneSet that is named as the release. What somebody asks in the cluster of another one of it is asked of this one.
pub fn asked(cache: &Cache, id: &ReleaseId, seen: Option<&SeenCloneSet>, policy: &Policy) -> Option<Live> {
    let mut live = seen?.live.clone();
    let entered = live.memory.as_ref().map(|memory| memory.digest);
    let names = |it: &&String| entered.is_some_and(|entered| entered.is_named_by(it));
    for (_, twin) in cache.twins_of(id).into_iter().filter(|(_, twin)| !is_of_another(twin, policy)) {
        live.suspend = live.suspend.or_else(|| twin.live.suspend.clone());
        live.rollback = twin.live.rollback.as_ref().filter(names).cloned().or(live.rollback);
    }
    Some(live)
}

fn is_of_another(seen: &SeenCloneSet, policy: &Policy) -> bool {
    seen.live.root.as_ref().is_some_and(|root| *root != policy.root)
}

/// The second CloneSets of a release.
#[must_use]
pub fn twins(
    cache: &Cache,
    echoes: &Echoes,
    id: &ReleaseId,
    case: &Case,
    policy: &Policy,
) -> BTreeMap<Name, Twin> {
    let mut found = BTreeMap::new();
    let marked = cache.twins_of(id).into_iter();
    let marked = marked.filter_map(|(name, seen)| Some((name, seen.twin.as_ref()?.1, seen)));
    for (name, template, seen) in marked.chain(unmarked(cache, id, case)) {
        let is_known = seen.twin.is_some() || seen.live.stand.ownership.owners().has_ours();
        // One of another root is none of ours.
        if is_of_another(&seen, policy) || (seen.live.root.is_none() && !is_known) {
            continue;
        }
        let mut live = seen.live.clone();
        let known = case.memory().and_then(|memory| revision(memory, template)).map(hash_of);
        let wanted = case.with_template(template).and_then(|release| body::twin_base(release, policy));
        if let Some(mut wanted) = wanted {
            let key = ObjectKey { kind: Kind::CloneSet, namespace: id.namespace.clone(), name: name.clone() };
            without_rollout(&mut wanted);
            let update = hash_of(&live.status.update_revision).to_owned();
            let revision = known.filter(|it| *it == update).map(|_| live.status.update_revision.clone());
            live.drift = echoes.cloneset(&key, &wanted, &seen, revision.as_deref());
        }
        found.insert(name, Twin { template, live });
    }
    found
}

/// CloneSets that are named as second ones of releases at hand would be, and do not say that they are.
fn unmarked(
    cache: &Cache,
    id: &ReleaseId,
    case: &Case,
) -> impl Iterator<Item = (Name, TemplateHash, Arc<SeenCloneSet>)> {
    let desired = case.desired.release();
    case.documents.values().chain(desired).filter_map(|release| {
        let name = twin_name(&id.name, release.template)?;
        let key = ReleaseId { namespace: id.namespace.clone(), name: name.clone() };
        let seen = cache.cloneset(&key).filter(|seen| seen.twin.is_none())?;
        Some((name, release.template, seen))
    })
}

/// What follows the CloneSets of a release: as which, by the release that says so.
pub struct Following {
    of: BTreeMap<ObjectKey, (Follower, Body)>,
    /// Whether it has one CloneSet: what follows a revision still, from when there were two, is told; nothing else is.
    is_one: bool,
}

impl Following {
    /// Of what stands by the entered release, else of what Git desires. `is_led`: whether any Service of it leads by revision.
    #[must_use]
    pub fn of(case: &Case, is_led: bool) -> Self {
        let mut of = BTreeMap::new();
        let is_one = !case.is_blue_green();
        if is_one && !is_led {
            return Self { of, is_one };
        }
        let desired = case.desired.release();
        let by = |it: &&Arc<Release>| it.strategy.blue_green.is_some();
        let standing = case.entered().into_iter().chain(desired.filter(by));
        let all =
            standing.chain(case.documents.values().filter(by)).flat_map(|it: &Arc<Release>| it.followers());
        for (companion, as_what) in all {
            let key = companion.body.key.clone();
            of.entry(key).or_insert_with(|| (as_what, companion.body.clone()));
        }
        Self { of, is_one }
    }

    /// What a companion follows, and what it should be but for that; `written` is what Git says of it.
    #[must_use]
    pub fn read(
        &self,
        (cache, crowd): (&Cache, &Crowd),
        id: &ReleaseId,
        seen: &SeenCompanion,
        (key, written): (&ObjectKey, Option<&Body>),
    ) -> Option<(Leads, Option<Body>)> {
        let (as_what, base) = self.of.get(key)?;
        let written = written.unwrap_or(base);
        let value = written.value.open();
        let to = pin_of(&value, &seen.stand.object(), *as_what);
        if self.is_one && to.is_none() {
            return None;
        }
        let ready = (key.kind == Kind::Service).then(|| crowd.ready(cache, id, &seen.live.uid)).flatten();
        let wanted = pinned(&value, id, *as_what, to.as_deref());
        let wanted = Body { key: key.clone(), value: Compact::of(&wanted) };
        let follows = Some(Follows { as_what: *as_what, to, ready });
        Some((Leads { follows, ..Leads::default() }, Some(wanted)))
    }
}
