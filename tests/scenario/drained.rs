//! How pods leave, as EndpointSlices have it: what the observer asks of releases that drain them.
//!
//! **Invariant:** no pod is updated in place, and none is gone, while the Service of its release still leads to it, nor
//! before it has been out of that Service for as long as the release says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant as Wall};

use tokio::time::Instant;
use triton::devcluster::Store;

use crate::scenario::ground::PODS;
use crate::scenario::observer::tag;
use crate::scenario::serving::led_to;

/// Kruise and Kubernetes count in whole seconds.
const SLACK: Duration = Duration::from_millis(1_500);

/// A moment. The embedded cluster lives by tokio's clock, a real one by the wall's.
#[derive(Clone, Copy, Debug)]
struct Moment(Instant, Wall);

impl Moment {
    fn now() -> Self {
        Self(Instant::now(), Wall::now())
    }

    fn elapsed(self) -> Duration {
        self.0.elapsed().max(self.1.elapsed())
    }
}

/// Where a pod is.
#[derive(Clone, Copy, Debug)]
enum Traffic {
    /// It never served.
    Never,
    /// The Service leads to it.
    In,
    /// It has left.
    Out(Moment),
}

/// What is known of a pod.
#[derive(Clone, Debug)]
struct Known {
    tag: String,
    traffic: Traffic,
    /// Whether it was made from a template that is drained: one that was made before that leaves as it did then.
    sleeps: bool,
}

/// The pods of one release, by UID.
#[derive(Clone, Debug, Default)]
pub struct Drained {
    pods: BTreeMap<String, Known>,
}

impl Drained {
    /// Whether it has looked at any pod: then it goes on looking, so that it misses none that leaves.
    pub fn has_begun(&self) -> bool {
        !self.pods.is_empty()
    }

    /// Looks at the pods. `drain` says for how many seconds those of an image are drained; none where they are not.
    ///
    /// # Panics
    /// Where the invariant is broken.
    pub fn look(&mut self, store: &Store, name: &str, drain: impl Fn(&str) -> Option<u32>) {
        let serving: BTreeSet<String> = led_to(store, name).iter().map(|it| it.uid().to_owned()).collect();
        let mut now = BTreeMap::new();
        for pod in store.list(PODS, None) {
            if pod["metadata"]["ownerReferences"][0]["name"] != *name {
                continue;
            }
            let (uid, tag) = (pod.uid().to_owned(), tag(&pod));
            let before = self.pods.remove(&uid);
            if let Some(was) = before.as_ref().filter(|was| was.tag != tag) {
                was.judge(&format!("{name}: pod {} goes from {} to {tag}", pod.name(), was.tag), &drain);
            }
            let before = before.map_or(Traffic::Never, |it| it.traffic);
            let traffic = match (serving.contains(&uid), before) {
                (true, _) => Traffic::In,
                (false, Traffic::In) => Traffic::Out(Moment::now()),
                (false, Traffic::Never | Traffic::Out(_)) => before,
            };
            let sleeps = pod["spec"]["containers"][0]["lifecycle"]["preStop"].get("sleep").is_some();
            now.insert(uid, Known { tag, traffic, sleeps });
        }
        for (uid, was) in std::mem::replace(&mut self.pods, now) {
            was.judge(&format!("{name}: pod {uid} of {} is gone", was.tag), &drain);
        }
    }
}

impl Known {
    /// A pod that served has left for as long as it should.
    fn judge(&self, what: &str, drain: impl Fn(&str) -> Option<u32>) {
        let Some(drain) = drain(&self.tag).filter(|_| self.sleeps) else { return };
        match self.traffic {
            Traffic::Never => {}
            Traffic::In => panic!("{what}, and it still serves"),
            Traffic::Out(since) => {
                let least = Duration::from_secs(drain.into()).saturating_sub(SLACK);
                assert!(since.elapsed() >= least, "{what}, {:?} after it has left", since.elapsed());
            }
        }
    }
}
