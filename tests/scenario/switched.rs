//! Who serves of a release that is switched as a whole, as EndpointSlices have it.
//!
//! **Invariant:** the active Service leads to no pod of an image that is neither proven nor approved to serve, and it never leads
//! to fewer than before, but for those that a hand has taken or broken, or that the size does not ask for.

use std::collections::{BTreeMap, BTreeSet};

use triton::devcluster::{Object, Store};
use triton::objects::keys;
use triton::spec::Release;

use crate::scenario::serving::{ready, serving};

/// The release whose second CloneSet this is, by its name.
pub fn twin_of(cloneset: &Object) -> Option<&str> {
    let annotations = &cloneset["metadata"]["annotations"];
    annotations[keys::TWIN].as_str()?;
    annotations[keys::RELEASE].as_str()?.split_once('/').map(|(_, name)| name)
}

/// What is known of one release.
#[derive(Clone, Debug, Default)]
pub struct Switched {
    /// Its active Service, where it is switched as a whole.
    active: Option<String>,
    /// The size that Git asks for.
    size: Option<u32>,
    /// Who served when it was last looked; none since it is switched as a whole.
    before: Option<BTreeMap<String, u32>>,
    /// Pods that a hand has taken.
    taken: u32,
    /// Images that a hand leads to: how many serve is up to that hand from then on.
    pub by_hand: BTreeSet<String>,
    /// Whether a hand has broken pods, or the Service, or Git has changed the size, since all served.
    disturbed: bool,
    /// Whether what a hand has done last can be seen. Until then it is not over: it may show only now.
    shown: bool,
}

impl Switched {
    /// What Git says now. Whoever commits has waited for what he did by hand.
    pub fn read(&mut self, release: &Release) {
        self.before = self.before.take().filter(|_| self.active.is_some());
        self.active = release.strategy.blue_green.as_ref().map(|it| it.active.to_string());
        self.disturbed &= self.shown;
        if self.size != release.replicas {
            (self.disturbed, self.shown) = (true, true);
        }
        self.size = release.replicas;
    }

    /// Pods that Git asks for, where it is switched as a whole.
    pub fn asked(&self) -> Option<u32> {
        self.size.filter(|_| self.active.is_some())
    }

    /// A hand breaks pods, or takes what leads to them.
    pub fn disturb(&mut self) {
        (self.disturbed, self.shown) = (true, false);
    }

    /// A hand takes a pod.
    pub fn take(&mut self) {
        (self.taken, self.shown) = (self.taken + 1, false);
    }

    /// Looks at who serves; gives the image that all of them have, once they are as many as the size. `may` says of an image
    /// whether it may serve.
    ///
    /// # Panics
    /// Where the invariant is broken.
    pub fn look(&mut self, store: &Store, may: impl Fn(&str) -> bool) -> Option<String> {
        let active = self.active.as_ref()?;
        let now = serving(store, active);
        let all = |of: &BTreeMap<String, u32>| of.values().sum::<u32>();
        let before = self.before.replace(now.clone()).unwrap_or_else(|| now.clone());
        if now != before {
            for (image, count) in &now {
                let already = before.get(image).copied().unwrap_or(0);
                assert!(
                    may(image) || *count <= already || self.disturbed || self.by_hand.contains(image),
                    "{active}: {count} pods of {image} serve, which nobody has approved"
                );
            }
            // Of what a hand has led to before its time none has to stay.
            let let_in = before.iter().filter(|(image, _)| may(image)).map(|(_, count)| count);
            let least = let_in.sum::<u32>().min(self.size.unwrap_or(0)).saturating_sub(self.taken);
            assert!(
                self.disturbed
                    || !self.by_hand.is_empty()
                    || all(&now) >= least
                    || ready(store, active) >= least,
                "{active}: {now:?} serve, fewer than before: {before:?}"
            );
            self.shown = true;
        }
        let whole = self.size.is_some_and(|size| all(&now) >= size);
        if whole && self.shown && now.keys().all(|image| may(image)) {
            (self.disturbed, self.taken) = (false, 0);
        }
        let image = now.keys().next().filter(|_| whole && now.len() == 1);
        image.cloned()
    }
}
