//! An object as it stands, and who owns its fields: as compact bytes, because a cache keeps thousands of them and
//! few are ever looked into.

use serde_json::Value;

use crate::fields::compact::Compact;
use crate::fields::extract::extract;
use crate::fields::owned::Ownership;

/// An object as it stands. Clones share their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    object: Compact,
    /// Who owns its fields.
    pub ownership: Ownership,
}

impl Stand {
    /// An object of which nobody owns anything.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        Self::owned_by(object, Ownership::default())
    }

    /// An object with the owners of its fields.
    #[must_use]
    pub fn owned_by(object: &Value, ownership: Ownership) -> Self {
        Self { object: Compact::of(object), ownership }
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> Value {
        self.object.open()
    }

    /// The part of it that we own; all of it where we own nothing.
    #[must_use]
    pub fn ours(&self) -> Value {
        let object = self.object();
        extract(&object, &self.ownership).unwrap_or(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_stands_is_found_again_and_what_others_own_is_not_ours() {
        let object = json!({"metadata": {"managedFields": [
                {"manager": "triton", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
            "spec": {"replicas": 3, "minReadySeconds": 7}});
        let stand = Stand::owned_by(&object, Ownership::of(&object, "triton"));
        assert_eq!(stand.object(), object);
        assert_eq!(stand.ours(), json!({"spec": {"replicas": 3}}));
        assert_eq!(Stand::of(&object).ours(), object);
    }
}
