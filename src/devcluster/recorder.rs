//! Events as client-go's recorder lets them through: at most 25 about one object in a burst, then one in five minutes
//! (`EventSourceObjectSpamFilter`). The rest is lost, in life too.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::devcluster::actions::Told;
use crate::devcluster::json::{Body, text};
use crate::devcluster::pass::Objects;

/// Events about one object that may come at once.
const BURST: f64 = 25.0;
/// Seconds after which one more may come.
const REFILL: f64 = 300.0;

/// What is left of each object's budget.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    budgets: BTreeMap<String, (f64, Timestamp)>,
}

impl Recorder {
    /// The same objects, whose Events come out of the budgets.
    pub fn on<'a, O: Objects>(&'a mut self, objects: &'a mut O, now: Timestamp) -> Recorded<'a, O> {
        Recorded { recorder: self, objects, now }
    }

    fn allows(&mut self, uid: &str, now: Timestamp) -> bool {
        let (left, since) = self.budgets.entry(uid.to_owned()).or_insert((BURST, now));
        let seconds = now.duration_since(*since).as_secs_f64();
        *left = (*left + seconds / REFILL).min(BURST);
        *since = now;
        let allowed = *left >= 1.0;
        if allowed {
            *left -= 1.0;
        }
        allowed
    }
}

/// Objects whose Events are limited.
pub struct Recorded<'a, O> {
    recorder: &'a mut Recorder,
    objects: &'a mut O,
    now: Timestamp,
}

impl<O: Objects> Objects for Recorded<'_, O> {
    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Body> {
        self.objects.get(resource, namespace, name)
    }

    fn create(&mut self, resource: &str, object: Body) -> Result<(), String> {
        self.objects.create(resource, object)
    }

    fn update(&mut self, resource: &str, object: Body) -> Result<(), String> {
        self.objects.update(resource, object)
    }

    fn update_status(&mut self, resource: &str, object: Body) -> Result<(), String> {
        self.objects.update_status(resource, object)
    }

    fn bind(&mut self, pod: Body) -> Result<(), String> {
        self.objects.bind(pod)
    }

    fn delete(&mut self, resource: &str, namespace: &str, name: &str, at_once: bool) -> Result<(), String> {
        self.objects.delete(resource, namespace, name, at_once)
    }

    fn tell(&mut self, about: &Value, told: &Told) {
        if self.recorder.allows(text(about, "/metadata/uid"), self.now) {
            self.objects.tell(about, told);
        }
    }
}
