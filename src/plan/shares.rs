//! How the routes of one release are to share its traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Name, ReleaseId};
use crate::objects::{Kind, ObjectKey};
use crate::plan::body;
use crate::spec::{Companion, Match};
use crate::traffic;
use crate::world::{CompanionLive, Policy, Share};

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
    /// Ingresses of ours that give the entered revision its share, and those whose traffic it is.
    pub twins: BTreeMap<ObjectKey, ObjectKey>,
    /// Services that were shared by them.
    pub left: BTreeSet<Name>,
}

impl Shares {
    /// What a companion is to share. An Ingress leads to the proven revision as soon as its traffic is shared, and one of
    /// ours beside it says how.
    #[must_use]
    pub fn of(&self, key: &ObjectKey) -> Share {
        let share = |key: &ObjectKey| self.routes.get(key).copied().unwrap_or_default();
        match (self.twins.get(key).map(share), share(key)) {
            (Some(Share::Split(percent)), _) => Share::Split(percent),
            (Some(Share::Base), _) => Share::Split(0),
            (None, Share::Split(_)) if key.kind == Kind::Ingress => Share::Split(0),
            (None, share) => share,
        }
    }

    /// Whether a companion is to lead testers to the entered revision.
    #[must_use]
    pub fn leads_testers(&self, key: &ObjectKey) -> bool {
        let of = self.twins.get(key).unwrap_or(key);
        let apart = matches!(self.routes.get(of), Some(Share::Split(percent)) if *percent < 100);
        let itself = key.kind != Kind::Ingress || of != key;
        apart && itself && self.testers.contains(of) && !self.matches.is_empty()
    }

    /// Whether a companion is to share something else than it does.
    #[must_use]
    pub fn shift(&self, key: &ObjectKey, there: &CompanionLive) -> bool {
        there.leads.share != self.of(key) || there.leads.testers != self.leads_testers(key)
    }

    /// A companion as it is to stand, with our marks.
    #[must_use]
    pub fn body(&self, companion: &Companion, id: &ReleaseId, policy: &Policy) -> Arc<Value> {
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

    /// The Ingress `twin` beside `companion`, with our marks.
    #[must_use]
    pub fn twin(
        &self,
        twin: &ObjectKey,
        companion: &Companion,
        id: &ReleaseId,
        policy: &Policy,
    ) -> Option<Arc<Value>> {
        let Share::Split(percent) = self.of(twin) else { return None };
        let matches = if self.leads_testers(twin) { &*self.matches } else { &[] };
        let base = companion.body.value.open();
        let services = self.services.union(&self.left).cloned().collect();
        let made = traffic::beside_ingress(&base, &services, percent, matches)?;
        Some(body::marked(made, id, policy))
    }
}
