//! One object under two groups: events.k8s.io Events, which core/v1 shows too.
//!
//! Only this way round: an Event that was written as core/v1 is not seen in events.k8s.io.

use serde_json::{Value, json};

/// The resource of events.k8s.io Events.
pub const NEW_EVENTS: &str = "events.events.k8s.io";

/// An events.k8s.io Event as core/v1 shows it: what `kubectl describe` reads. The views share uid and version.
#[must_use]
pub fn core_view(event: &Value) -> Value {
    let mut view = event.clone();
    let Some(map) = view.as_object_mut() else { return view };
    for (from, to) in [
        ("regarding", "involvedObject"),
        ("note", "message"),
        ("deprecatedSource", "source"),
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("reportingController", "reportingComponent"),
    ] {
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
    view["apiVersion"] = json!("v1");
    view
}
