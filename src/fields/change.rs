//! One difference between what we sent and what is there.

use serde_json::Value;

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
