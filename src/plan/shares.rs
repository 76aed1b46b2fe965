//! How the routes of one release are to share its traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Name, ReleaseId};
use crate::objects::ObjectKey;
use crate::plan::body;
use crate::spec::Companion;
use crate::traffic;
use crate::world::{CompanionLive, Policy, Share};

/// What each route is to share, and of which Services; by default each is as Git has it.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// Services that are shared.
    pub services: BTreeSet<Name>,
    /// Routes that are not as Git has them.
    pub routes: BTreeMap<ObjectKey, Share>,
}

impl Shares {
    /// What a companion is to share.
    #[must_use]
    pub fn of(&self, key: &ObjectKey) -> Share {
        self.routes.get(key).copied().unwrap_or_default()
    }

    /// Whether a companion is to share something else than it does.
    #[must_use]
    pub fn shift(&self, key: &ObjectKey, there: &CompanionLive) -> bool {
        there.leads.share != self.of(key)
    }

    /// A companion as it is to stand, with our marks.
    #[must_use]
    pub fn body(&self, companion: &Companion, id: &ReleaseId, policy: &Policy) -> Arc<Value> {
        match self.of(&companion.body.key) {
            Share::Base => body::companion(&companion.body, id, policy),
            share => {
                let route = traffic::route(&companion.body.value.open(), &self.services, share);
                body::marked(route, id, policy)
            }
        }
    }
}
