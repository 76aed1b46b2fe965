//! core/v1 Events of controllers, counted as client-go's recorder counts them.

use serde_json::{Value, json};

use crate::devcluster::builtin::EVENTS;
use crate::devcluster::store::{State, Store};
use crate::devcluster::strategy::{By, Part};

/// Whether an Event tells of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Someone should look.
    Warning,
}

impl Store {
    /// Records a core/v1 Event about an object; equal ones are counted.
    pub fn record_event(
        &self,
        component: &str,
        about: &Value,
        event_type: EventType,
        reason: &str,
        message: &str,
    ) {
        self.write(|state| state.record_event(component, about, event_type, reason, message));
    }
}

impl State {
    fn record_event(
        &mut self,
        component: &str,
        about: &Value,
        event_type: EventType,
        reason: &str,
        message: &str,
    ) {
        let metadata = &about["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let namespace = metadata["namespace"].as_str().unwrap_or("default");
        let event_type = match event_type {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        let now = self.clock.second();
        let name = format!(
            "{name}.{:016x}",
            digest(&[metadata["uid"].as_str().unwrap_or(name), component, event_type, reason, message])
        );
        let by = By { manager: component, version: "v1", part: Part::Main, dry_run: false };
        let Some(kind) = self.kinds.get(EVENTS) else { return };
        // An Event that cannot be written is lost, as in life: nothing may depend on it.
        let _lost = match self.find(EVENTS, namespace, &name) {
            Some(live) => {
                let mut again = (*live).clone();
                again["count"] = json!(again["count"].as_i64().unwrap_or(1) + 1);
                again["lastTimestamp"] = json!(now);
                self.replace(&kind, &live, again, &by)
            }
            None => {
                let event = json!({
                    "metadata": {"name": name, "namespace": namespace},
                    "involvedObject": {
                        "apiVersion": about["apiVersion"], "kind": about["kind"], "name": metadata["name"],
                        "namespace": metadata["namespace"], "uid": metadata["uid"],
                        "resourceVersion": metadata["resourceVersion"],
                    },
                    "type": event_type, "reason": reason, "message": message, "count": 1,
                    "firstTimestamp": now, "lastTimestamp": now,
                    "source": {"component": component}, "reportingComponent": component,
                });
                self.create(&kind, event, &by)
            }
        };
    }
}

/// FNV-1a of some texts: equal Events get equal names.
fn digest(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
