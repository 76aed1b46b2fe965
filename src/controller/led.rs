//! What leads traffic to the pods of a release with weights, read from what stands.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{Cache, SeenCompanion};
use crate::controller::crowd::Crowd;
use crate::fields::Compact;
use crate::model::{Name, ReleaseId};
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::routes::{base_of, led_to};
use crate::spec::{Body, Match, Release};
use crate::traffic;
use crate::world::{Beside, Case, Leads, Memory, Role, Share};

/// The releases that say what leads to the pods of a case: the entered one, the one that Git desires, the newest proven one.
pub struct Led<'a> {
    id: &'a ReleaseId,
    /// In the order in which their Services count.
    releases: Vec<Arc<Release>>,
    /// Services that the entered release shares.
    services: BTreeSet<Name>,
    /// Its requests of testers.
    matches: Vec<Match>,
    /// Services that any of the releases shares, or that have one of ours beside them.
    shared: BTreeSet<Name>,
}

impl<'a> Led<'a> {
    /// `None` where nothing of a release is led by weights, nor was.
    #[must_use]
    pub fn of(cache: &Cache, id: &'a ReleaseId, case: &Case) -> Option<Self> {
        let desired = case.desired.release();
        let top = case.memory().and_then(|memory| case.documents.get(&memory.top()?.digest));
        let releases = || case.entered().into_iter().chain(desired).chain(top);
        // One that is switched as a whole has none. Where that is only desired, weights stand as long as they do.
        if case.is_blue_green() {
            return None;
        }
        // Most have no weights, and no name that could be one of ours: that is told first.
        let mut shared = BTreeSet::new();
        for key in cache.companions_of(id).iter().filter(|key| key.kind == Kind::Service) {
            let base = base_of(&key.name).filter(|_| cache.companion(key).is_some_and(|it| it.leads));
            shared.extend(base.map(|(base, _)| base));
        }
        if releases().all(|it| it.strategy.routes.is_empty()) && shared.is_empty() {
            return None;
        }
        let releases: Vec<Arc<Release>> = releases().cloned().collect();
        // Before a rollout begins, Services of ours are for the routes of the release that begins.
        let proven = case.memory().is_some_and(Memory::entered_is_proven);
        let first = desired.filter(|_| proven).cloned();
        let entered = releases.first();
        let services = entered.map(|it| it.shared_services()).unwrap_or_default();
        let matches = entered.map(|it| it.strategy.matches.clone()).unwrap_or_default();
        shared.extend(releases.iter().flat_map(|it| it.shared_services()));
        let releases = first.into_iter().chain(releases).collect();
        Some(Self { id, releases, services, matches, shared })
    }

    /// What a companion leads, and what it should be but for that; `written` is what Git says of it.
    #[must_use]
    pub fn read(
        &self,
        (cache, crowd): (&Cache, &Crowd),
        key: &ObjectKey,
        seen: &SeenCompanion,
        written: Option<&Body>,
    ) -> Option<(Leads, Option<Body>)> {
        let body = |value: Value| Body { key: key.clone(), value: Compact::of(&value) };
        if key.kind.is_route() {
            let live = seen.stand.object();
            let share = traffic::share_of(&live, &self.shared, &self.matches);
            let testers = traffic::leads_testers(&live, &self.shared, &self.matches);
            let matches = if testers { self.matches.as_slice() } else { &[] };
            let to = led_to(&live).into_iter().filter_map(|name| name.parse().ok()).collect();
            let shared = |base: &Body| traffic::route(&base.value.open(), &self.services, share, matches);
            return Some((
                Leads { share, testers, to, ..Leads::default() },
                written.map(|it| body(shared(it))),
            ));
        }
        if key.kind == Kind::Ingress {
            return self.ingress(key, seen, written);
        }
        // Who takes our label from one of them has not made it somebody else's.
        let (service, canary) = base_of(&key.name).filter(|_| key.kind == Kind::Service)?;
        if written.is_some() || !(seen.leads || self.shared.contains(&service)) {
            return None;
        }
        let role = if canary { Role::Canary } else { Role::Stable };
        let object = seen.stand.object();
        let hash =
            object["spec"]["selector"][keys::POD_TEMPLATE_HASH].as_str().unwrap_or_default().to_owned();
        let ready = crowd.ready(cache, self.id, &seen.live.uid);
        let base = self.releases.iter().find_map(|release| release.service(&service)).cloned();
        let beside = Beside { service, role, hash, ready };
        let made = base.and_then(|base| traffic::service(&base.body.value.open(), self.id, &beside));
        let leads = Leads { beside: Some(beside), ..Leads::default() };
        Some((leads, made.map(body)))
    }

    /// What an Ingress leads, or a canary Ingress.
    fn ingress(
        &self,
        key: &ObjectKey,
        seen: &SeenCompanion,
        written: Option<&Body>,
    ) -> Option<(Leads, Option<Body>)> {
        let body = |value: Value| Body { key: key.clone(), value: Compact::of(&value) };
        let live = seen.stand.object();
        let to = led_to(&live).into_iter().filter_map(|name| name.parse().ok()).collect();
        if let Some(written) = written {
            let share = traffic::stands(&live, &self.shared);
            let wanted = traffic::ingress(&written.value.open(), &self.services, share);
            return Some((Leads { share, to, ..Leads::default() }, Some(body(wanted))));
        }
        let of = traffic::canary_of(key)?;
        // One that Git had beside an Ingress that never shared is no canary Ingress.
        let mut shared = self.releases.iter().flat_map(|release| release.weighted_routes());
        let base = shared.find(|it| it.body.key == of)?;
        let (percent, testers) = traffic::gives(&live);
        let matches = if testers { self.matches.as_slice() } else { &[] };
        let wanted = traffic::canary_ingress(&base.body.value.open(), &self.services, percent, matches);
        // One that gives nothing leads nowhere.
        let to = if percent == 0 && !testers { BTreeSet::new() } else { to };
        let share = Share::Split(percent);
        Some((Leads { share, testers, to, canary_of: Some(of.name), ..Leads::default() }, wanted.map(body)))
    }
}
