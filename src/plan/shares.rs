//! How the routes of one release are to share its traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Name, ReleaseId};
use crate::objects::{Kind, ObjectKey};
use crate::plan::body;
use crate::spec::{Companion, Follower, Match};
use crate::traffic;
use crate::world::{Case, CompanionLive, Policy, Share, Write};

/// What each route is to share, and of which Services; by default each is as Git has it.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// Services that are shared.
    pub services: BTreeSet<Name>,
    /// Routes that are not as Git has them.
    pub routes: BTreeMap<ObjectKey, Share>,
    /// Those of them that lead testers to the entered revision, unless everything goes there.
    pub testers: BTreeSet<ObjectKey>,
    /// The requests of testers.
    pub matches: Vec<Match>,
    /// Canary Ingresses, and the Ingress of each.
    pub canaries: BTreeMap<ObjectKey, ObjectKey>,
    /// Deletes of canary Ingresses whose Ingress does not share any more: they go before anything else.
    pub left: Vec<Write>,
    /// What follows one of the CloneSets of a release that is switched as a whole, and which; as Git has it where that is none.
    pub pins: BTreeMap<ObjectKey, (Follower, Option<String>)>,
}

impl Shares {
    /// What follows one of the CloneSets of a release follows it still.
    #[must_use]
    pub fn as_it_stands(case: &Case) -> Self {
        let follows = |it: &CompanionLive| it.leads.follows.as_ref().map(|it| (it.as_what, it.to.clone()));
        let pins = case.companions.iter().filter_map(|(key, it)| Some((key.clone(), follows(it)?)));
        Self { pins: pins.collect(), ..Self::default() }
    }

    /// What a companion is to share. An Ingress leads to the proven revision as soon as its traffic is shared, and its
    /// canary Ingress says how.
    #[must_use]
    pub fn of(&self, key: &ObjectKey) -> Share {
        let share = |key: &ObjectKey| self.routes.get(key).copied().unwrap_or_default();
        match (self.canaries.get(key).map(share), share(key)) {
            (Some(Share::Split(percent)), _) => Share::Split(percent),
            (Some(Share::Base), _) => Share::Split(0),
            (None, Share::Split(_)) if key.kind == Kind::Ingress => Share::Split(0),
            (None, share) => share,
        }
    }

    /// Whether a companion is to lead testers to the entered revision.
    #[must_use]
    pub fn leads_testers(&self, key: &ObjectKey) -> bool {
        let of = self.canaries.get(key).unwrap_or(key);
        let apart = matches!(self.routes.get(of), Some(Share::Split(percent)) if *percent < 100);
        let itself = key.kind != Kind::Ingress || of != key;
        apart && itself && self.testers.contains(of) && !self.matches.is_empty()
    }

    /// Whether a companion is to share something else than it does, or to follow something else.
    #[must_use]
    pub fn shift(&self, key: &ObjectKey, there: &CompanionLive) -> bool {
        let follows = there.leads.follows.as_ref().and_then(|it| it.to.as_ref());
        let turns = self.pins.get(key).map_or(follows.is_some(), |(_, to)| to.as_ref() != follows);
        there.leads.share != self.of(key) || there.leads.testers != self.leads_testers(key) || turns
    }

    /// A companion as it is to stand, with our marks.
    #[must_use]
    pub fn body(&self, companion: &Companion, id: &ReleaseId, policy: &Policy) -> Arc<Value> {
        if let Some((as_what, to)) = self.pins.get(&companion.body.key) {
            let body = traffic::pinned(&companion.body.value.open(), id, *as_what, to.as_deref());
            return body::marked(body, id, policy);
        }
        match self.of(&companion.body.key) {
            Share::Base => body::companion(&companion.body, id, policy),
            share if companion.body.key.kind == Kind::Ingress => {
                let ingress = traffic::ingress(&companion.body.value.open(), &self.services, share);
                body::marked(ingress, id, policy)
            }
            share => {
                let matches = if self.leads_testers(&companion.body.key) { &*self.matches } else { &[] };
                let route = traffic::route(&companion.body.value.open(), &self.services, share, matches);
                body::marked(route, id, policy)
            }
        }
    }

    /// The canary Ingress of `companion`, with our marks.
    #[must_use]
    pub fn canary(
        &self,
        canary: &ObjectKey,
        companion: &Companion,
        id: &ReleaseId,
        policy: &Policy,
    ) -> Option<Arc<Value>> {
        let Share::Split(percent) = self.of(canary) else { return None };
        let matches = if self.leads_testers(canary) { &*self.matches } else { &[] };
        let base = companion.body.value.open();
        let made = traffic::canary_ingress(&base, &self.services, percent, matches)?;
        Some(body::marked(made, id, policy))
    }
}
