//! How the routes of one release are to share its traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Name, ReleaseId};
use crate::objects::ObjectKey;
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
}

impl Shares {
    /// What a companion is to share.
    #[must_use]
    pub fn of(&self, key: &ObjectKey) -> Share {
        self.routes.get(key).copied().unwrap_or_default()
    }

    /// Whether a companion is to lead testers to the entered revision.
    #[must_use]
    pub fn leads_testers(&self, key: &ObjectKey) -> bool {
        let apart = matches!(self.of(key), Share::Split(percent) if percent < 100);
        apart && self.testers.contains(key) && !self.matches.is_empty()
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
            share => {
                let matches = if self.leads_testers(&companion.body.key) { &*self.matches } else { &[] };
                let route = traffic::route(&companion.body.value.open(), &self.services, share, matches);
                body::marked(route, id, policy)
            }
        }
    }
}
