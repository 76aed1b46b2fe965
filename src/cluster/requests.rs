//! The requests that were made of the API server, counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// What came of a request that was answered as it was meant.
pub const OK: &str = "ok";

/// Counts by verb, as RBAC spells it, and by what came of them: [`OK`], or the category of an
/// [`Error`](crate::cluster::Error). Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Mutex<Counts>>);

/// How often, by verb and by what came of it.
pub type Counts = BTreeMap<(&'static str, &'static str), u64>;

impl Requests {
    fn held(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("nothing panics while the counts are held")
    }

    /// Counts one.
    pub fn note(&self, verb: &'static str, came: &'static str) {
        *self.held().entry((verb, came)).or_default() += 1;
    }

    /// How often until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.held().clone()
    }
}
