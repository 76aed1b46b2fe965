//! What leads traffic to the pods of one release as it stands, and how much of it their steps allow.
//!
//! **Invariant:** which pods are the proven ones is told by the CloneSet's status alone: memory may have been edited.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Hold, Name};
use crate::objects::ObjectKey;
use crate::plan::body;
use crate::plan::companions::delete;
use crate::plan::facts::{Facts, Head};
use crate::plan::holds;
use crate::plan::led;
use crate::plan::permit;
use crate::plan::steps;
use crate::spec::Release;
use crate::traffic;
use crate::world::{Action, Beside, CompanionLive, Expect, Role, Share, Write, hash_of};

/// What leads to the pods of one release, as it stands.
pub struct Leads<'a> {
    facts: &'a Facts<'a>,
    /// The release by whose routes and Services it does.
    pub release: &'a Release,
    /// Its Services that are shared.
    pub services: BTreeSet<Name>,
}

impl<'a> Leads<'a> {
    /// By the routes and Services of `release`.
    #[must_use]
    pub fn of(facts: &'a Facts<'a>, release: &'a Release) -> Self {
        Self { facts, release, services: release.shared_services() }
    }

    /// Of the entered release; `None` where its documents are lost, or it has nothing to do with weights.
    #[must_use]
    pub fn standing(facts: &'a Facts<'a>) -> Option<Self> {
        facts.entered.filter(|_| facts.case.has_weights()).map(|release| Self::of(facts, release))
    }

    /// The Service of ours beside `service`, as it stands.
    #[must_use]
    pub fn beside(&self, service: &Name, role: Role) -> Option<&'a Beside> {
        let key = traffic::beside(self.facts.id, service, role)?;
        let there = self.facts.case.companions.get(&key)?;
        let ours = there.release == self.facts.id.to_string() && !there.deleting;
        there.leads.beside.as_ref().filter(|_| ours)
    }

    /// The fewest ready endpoints of any Service of `role` whose pods are meant: none where one is missing, or has others.
    /// `None` where they are not known.
    fn fewest(&self, role: Role, is_meant: impl Fn(&Beside) -> bool) -> Option<u32> {
        let of = |service: &Name| match self.beside(service, role) {
            Some(beside) if is_meant(beside) => beside.ready,
            Some(_) | None => Some(0),
        };
        let all: Option<Vec<u32>> = self.services.iter().map(of).collect();
        Some(all?.into_iter().min().unwrap_or(0))
    }

    /// The fewest ready endpoints of any Service of `role`; `None` where they are not known, or its revision is not.
    #[must_use]
    pub fn ready(&self, role: Role) -> Option<u32> {
        let hash = match role {
            Role::Stable => stable_hash(self.facts),
            Role::Canary => canary_hash(self.facts),
        }?;
        self.fewest(role, |beside| beside.hash == hash)
    }

    /// How a route shares traffic now; an Ingress, by its canary Ingress.
    #[must_use]
    pub fn share_of(&self, key: &ObjectKey) -> Share {
        let share = self.facts.case.companions.get(key).map_or(Share::Base, |it| it.leads.share);
        match (share, self.canary(key)) {
            (Share::Split(_), Some(canary)) => canary.leads.share,
            (share, _) => share,
        }
    }

    /// Whether a route leads testers to the entered revision now.
    #[must_use]
    pub fn leads_testers(&self, key: &ObjectKey) -> bool {
        let there = self.canary(key).or_else(|| self.facts.case.companions.get(key));
        there.is_some_and(|it| it.leads.testers)
    }

    /// Whether nobody has edited a route, or its canary Ingress.
    #[must_use]
    pub fn is_as_it_should(&self, key: &ObjectKey) -> bool {
        let there = self.facts.case.companions.get(key);
        there.is_some_and(|it| it.drift.is_empty()) && self.canary(key).is_none_or(|it| it.drift.is_empty())
    }

    /// The canary Ingress of an Ingress, as it stands.
    fn canary(&self, key: &ObjectKey) -> Option<&'a CompanionLive> {
        let there = self.facts.case.companions.get(&traffic::canary(key)?)?;
        let ours = there.release == self.facts.id.to_string() && there.leads.canary_of.is_some();
        Some(there).filter(|_| ours)
    }

    /// The canary Ingresses of those of the release that share, each with its Ingress.
    #[must_use]
    pub fn canaries(&self) -> BTreeMap<ObjectKey, ObjectKey> {
        let wanted = self.release.weighted_routes().map(|it| &it.body.key);
        wanted.filter_map(|key| Some((traffic::canary(key)?, key.clone()))).collect()
    }

    /// Deletes of the other ones that are there: nobody would look after what they give.
    #[must_use]
    pub fn left(&self) -> Vec<Write> {
        let (facts, wanted) = (self.facts, self.canaries());
        let ours = |it: &CompanionLive| {
            it.leads.canary_of.is_some() && it.release == facts.id.to_string() && !it.deleting
        };
        let there = facts.case.companions.iter().filter(|(key, it)| ours(it) && !wanted.contains_key(key));
        let readable = facts.world.source.is_readable();
        there.filter(|_| readable).map(|(key, it)| delete(key, it)).collect()
    }

    /// What a route is to share that shares by revision, while pods go back. Whatever was proven last has all of it as long
    /// as any of its pods is ready; past it, none of the ones that are left has to.
    #[must_use]
    pub fn back(&self, percent: u32) -> Share {
        let (facts, update) = (self.facts, hash_of(&self.facts.live.status.update_revision));
        let is_canary = |beside: &Beside| {
            let other = self.beside(&beside.service, Role::Canary).is_some_and(|it| it.hash == beside.hash);
            other || (!facts.is_proven() && beside.hash == update)
        };
        let all_left = || self.fewest(Role::Canary, |_| true) == Some(0) && self.has_canary();
        let past = facts.is_proven() && facts.live.is_fresh() && stable_hash(facts) != Some(update);
        match self.fewest(Role::Stable, |beside| !is_canary(beside)) {
            Some(0) => Share::Base,
            Some(_) if past && all_left() => Share::Base,
            // Nobody knows whether anything is there, and nothing leads to it yet.
            None if percent == 100 => Share::Base,
            Some(_) | None => Share::Split(0),
        }
    }

    fn has_canary(&self) -> bool {
        self.services.iter().all(|service| self.beside(service, Role::Canary).is_some())
    }

    /// What a route is to share by the steps, which shares `now`. Where no proven pod is available, nor ready, traffic follows
    /// the pods; where only what leads to them is not ready, it stays.
    #[must_use]
    pub fn stepped(&self, key: &ObjectKey, now: Share) -> Share {
        let (proven, stable) = (proven_pods(self.facts), self.ready(Role::Stable));
        match now {
            Share::Base => {
                let needed = proven_needed(self.facts).filter(|pods| *pods > 0);
                let all = needed.is_some_and(|pods| stable.is_some_and(|ready| ready >= pods));
                if all { Share::Split(self.weight(0)) } else { Share::Base }
            }
            Share::Split(percent) => match (proven, stable, self.weight(percent)) {
                // ingress-nginx asks for a canary Ingress only where the other one leads to a pod.
                (_, _, 100) if key.kind.is_route() => Share::Split(100),
                (Some(0), Some(0) | None, _) => Share::Base,
                (_, Some(0), _) => now,
                (_, Some(_), weight) => Share::Split(weight),
                (_, None, weight) => Share::Split(weight.min(percent)),
            },
        }
    }

    /// The weight that is to be led by where `now` is led: never more than the furthest step has whose pods are there; and
    /// more than now only up to what Git permits, while nothing stops it.
    fn weight(&self, now: u32) -> u32 {
        let (facts, ready) = (self.facts, self.ready(Role::Canary));
        let there = self.canary_pods();
        let kept = facts.memory.step_reached.map_or(u32::MAX, |reached| reached.pods);
        let due = self.weight_of(facts.standing_step(), there.min(ready.unwrap_or(u32::MAX)), kept);
        let free = self.weight_of(self.permitted(), there.min(ready.unwrap_or(0)), u32::MAX);
        due.min(free.max(now))
    }

    /// The step up to which more may be led than is: none while anything stops it.
    fn permitted(&self) -> u32 {
        let facts = self.facts;
        let goes_on = facts.asked().filter(|head| head.fresh && !facts.is_stopped());
        goes_on.map_or(0, |head| facts.standing_step().min(head.permitted.furthest))
    }

    /// Whether testers are to be led to the entered revision, where they are or are not `now`: as long as any of its pods is
    /// there; and from when Git permits its first step, and lets its pods serve, while nothing stops it.
    #[must_use]
    pub fn tested(&self, now: bool) -> bool {
        let unknown = if now { u32::MAX } else { 0 };
        let there = self.canary_pods().min(self.ready(Role::Canary).unwrap_or(unknown));
        there > 0 && (now || (self.permitted() > 0 && self.kept_dark_by().is_none()))
    }

    /// HEAD, where it does not let the pods of the first step serve: those that were let in once go on, and no tester is led
    /// to them.
    #[must_use]
    pub fn kept_dark_by(&self) -> Option<&Head<'a>> {
        self.facts.asked().filter(|head| permit::may_serve(head.intent, head.policy) == 0)
    }

    /// The weight of the furthest step up to `step` whose pods are among those that are `there`, as far as it was reached with
    /// no fewer: a size that grows takes nothing from the pods of the step.
    fn weight_of(&self, step: u32, there: u32, reached: u32) -> u32 {
        let pods = |step: u32| steps::pods(self.release, step, self.facts.live.replicas);
        let needed = |step: u32| self.release.strategy.enough(pods(step).min(reached)).max(1);
        let is_there = |step: &u32| pods(*step) > 0 && needed(*step) <= there;
        (1..=step).rev().find(is_there).map_or(0, |step| self.release.strategy.weight(step))
    }

    /// Pods of the entered revision that are available.
    fn canary_pods(&self) -> u32 {
        let live = self.facts.live;
        let known = self.facts.memory.revision.as_ref() == Some(&live.status.update_revision);
        if known && !live.drift.template { live.status.updated_available } else { 0 }
    }

    /// Writes that make the Services of `role` for its revision, and the holds for those that are somebody else's. One of
    /// another revision goes once no route names it, and is made anew: what its EndpointSlices say is of its own pods at any
    /// moment. One that is named, and is to lead to the proven pods, is turned to them at once.
    #[must_use]
    pub fn made(&self, role: Role) -> (Vec<Write>, Vec<Hold>) {
        let (facts, case) = (self.facts, self.facts.case);
        let (mut writes, mut closed) = (Vec::new(), Vec::new());
        let hash = match role {
            Role::Stable => stable_hash(facts),
            Role::Canary => canary_hash(facts),
        };
        let Some(hash) = hash else { return (writes, closed) };
        for service in &self.services {
            let Some(key) = traffic::beside(facts.id, service, role) else { continue };
            let there = case.companions.get(&key);
            let theirs = there.is_some_and(|it| it.release != facts.id.to_string());
            if !theirs && there.is_some_and(|it| it.leads.beside.is_none()) {
                closed.push(led::still_there(facts.id, &key, &self.release.path));
                continue;
            }
            if theirs || case.strangers.contains(&key) {
                closed.push(holds::stranger(facts.id, &key.to_string(), &self.release.path));
                continue;
            }
            let stands = there.and_then(|it| it.leads.beside.as_ref());
            let other = stands.is_some_and(|it| it.hash != hash);
            let turned = other && role == Role::Stable && leads_there(facts, &key);
            if let (Some(there), true, false) = (there, other, turned) {
                if !there.deleting && !leads_there(facts, &key) && facts.world.source.is_readable() {
                    writes.push(delete(&key, there));
                }
                continue;
            }
            if there.is_some_and(|it| it.deleting || (it.drift.is_empty() && !turned)) {
                continue;
            }
            writes.extend(self.make(service, role, hash, key));
        }
        (writes, closed)
    }

    fn make(&self, service: &Name, role: Role, hash: &str, key: ObjectKey) -> Option<Write> {
        let facts = self.facts;
        let wanted = Beside { service: service.clone(), role, hash: hash.to_owned(), ready: None };
        let standing = facts.entered.and_then(|release| release.service(service));
        let next = self.release.service(service);
        // Before a rollout begins, it is for the routes of the release that begins.
        let base = if facts.is_proven() { next.or(standing) } else { standing.or(next) }?;
        let made = traffic::service(&base.body.value.open(), facts.id, &wanted)?;
        let body = body::marked(made, facts.id, facts.policy());
        let there = facts.case.companions.get(&key);
        let expect = there.map_or(Expect::Absent, |it| Expect::Same(it.uid.clone(), it.version.clone()));
        Some(Write { object: key, action: Action::Apply { body, expect }, forward: false })
    }
}

/// Whether any route leads to this Service.
#[must_use]
pub fn leads_there(facts: &Facts<'_>, key: &ObjectKey) -> bool {
    facts.case.companions.values().any(|it| it.leads.to.contains(&key.name))
}

/// Pods of the proven revision that are available; `None` where the status does not tell them from others.
#[must_use]
pub fn proven_pods(facts: &Facts<'_>) -> Option<u32> {
    let status = &facts.live.status;
    let known = facts.memory.revision.is_some() || facts.is_proven();
    let told = facts.status_is_ours() && !facts.live.drift.template && known;
    told.then(|| match facts.is_proven() && status.current_revision == status.update_revision {
        true => status.updated_available,
        false => status.available.saturating_sub(status.updated_available),
    })
}

/// Whether pods of the revision before the proven one may run still, and others that the status does not tell from them.
#[must_use]
pub fn has_others(facts: &Facts<'_>) -> bool {
    let status = &facts.live.status;
    facts.is_proven() && status.current_revision != status.update_revision
}

/// How many pods of the proven revision EndpointSlices have before all traffic goes to them: all that are available. Past
/// the deadline any, for pods of a third revision may be among those.
#[must_use]
pub fn proven_needed(facts: &Facts<'_>) -> Option<u32> {
    let late = facts.is_late();
    let waits = facts.memory.step_reached.is_none();
    proven_pods(facts).map(|pods| if late && waits { pods.min(1) } else { pods })
}

/// The revision that is proven, by the label of its pods: the one that Kruise keeps them on.
#[must_use]
pub fn stable_hash<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    let status = &facts.live.status;
    let hash = hash_of(&status.current_revision);
    let apart = facts.is_proven() || hash != hash_of(&status.update_revision);
    Some(hash).filter(|hash| apart && !hash.is_empty())
}

/// The revision that is entered and not proven, by the label of its pods; where memory names another one than the status,
/// nobody knows it.
#[must_use]
pub fn canary_hash<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    let (live, memory) = (facts.live, facts.memory);
    let update = &live.status.update_revision;
    let known = memory.revision.as_ref() == Some(update) && !live.drift.template && !facts.is_proven();
    Some(hash_of(update)).filter(|hash| known && *hash != hash_of(&live.status.current_revision))
}
