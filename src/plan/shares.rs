//! How the routes of one release are to share its traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Name, ReleaseId};
use crate::objects::ObjectKey;
use crate::plan::body;
use crate::spec::{Companion, Follower};
use crate::traffic;
use crate::world::{Case, CompanionLive, Policy, Share};

/// What each route is to share, and of which Services; by default each is as Git has it.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// Services that are shared.
    pub services: BTreeSet<Name>,
    /// Routes that are not as Git has them.
    pub routes: BTreeMap<ObjectKey, Share>,
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

    /// What a companion is to share.
    #[must_use]
    pub fn of(&self, key: &ObjectKey) -> Share {
        self.routes.get(key).copied().unwrap_or_default()
    }

    /// Whether a companion is to share something else than it does, or to follow something else.
    #[must_use]
    pub fn shift(&self, key: &ObjectKey, there: &CompanionLive) -> bool {
        let follows = there.leads.follows.as_ref().and_then(|it| it.to.as_ref());
        let turns = self.pins.get(key).map_or(follows.is_some(), |(_, to)| to.as_ref() != follows);
        there.leads.share != self.of(key) || turns
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
            share => {
                let route = traffic::route(&companion.body.value.open(), &self.services, share);
                body::marked(route, id, policy)
            }
        }
    }
}
