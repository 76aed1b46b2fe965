//! One difference between what we sent and what is there.

use serde_json::Value;

use crate::objects::keys;

/// One field that is not as we sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// As people write it: `spec.template.spec.containers[name=app].image`.
    pub path: String,
    /// What we sent.
    pub wanted: Value,
    /// What is there; `None` where the field is gone.
    pub found: Option<Value>,
    /// Who changed it, where managed fields tell.
    pub manager: Option<String>,
}

impl FieldChange {
    /// Whether it only says that an object does not have our marks, or what Git says to us alone.
    #[must_use]
    pub fn is_mark(&self) -> bool {
        let marks = [keys::MANAGED_BY, keys::RELEASE, keys::ROOT, keys::VERSIONED];
        let maps = ["metadata.labels", "metadata.annotations"];
        let alone = maps.contains(&self.path.as_str()) && self.found.is_none();
        let ours = |value: &Value| {
            value.as_object().is_some_and(|it| it.keys().all(|key| marks.contains(&key.as_str())))
        };
        let named = |mark: &&str| maps.iter().any(|map| self.path == format!("{map}[{mark}]"));
        marks.iter().any(named) || (alone && ours(&self.wanted))
    }
}
