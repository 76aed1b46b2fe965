//! The part of an object that we own, as it stands.

use serde_json::{Map, Value};

use crate::fields::owned::{Ownership, Place, Share};

/// The fields of `object` that we own, with what names the object: applying it again changes nothing. `None` where
/// we own nothing.
#[must_use]
pub fn extract(object: &Value, ownership: &Ownership) -> Option<Value> {
    let owners = ownership.owners();
    if !owners.has_ours() {
        return None;
    }
    let mut out = part(object, &owners.root()).unwrap_or_else(|| Value::Object(Map::new()));
    for name in ["apiVersion", "kind"] {
        if let Some(value) = object.get(name) {
            out[name] = value.clone();
        }
    }
    for name in ["name", "namespace"] {
        if let Some(value) = object.pointer(&format!("/metadata/{name}")) {
            out["metadata"][name] = value.clone();
        }
    }
    Some(out)
}

fn part(value: &Value, place: &Place<'_>) -> Option<Value> {
    match (place.ours(), value) {
        (Share::None, _) => None,
        (Share::All, value) => Some(value.clone()),
        (Share::Some, Value::Object(map)) => {
            let ours =
                map.iter().filter_map(|(name, it)| Some((name.clone(), part(it, &place.field(name))?)));
            Some(Value::Object(ours.collect()))
        }
        (Share::Some, Value::Array(items)) => {
            let ours = items.iter().filter_map(|item| part(item, &place.item(item)));
            Some(Value::Array(ours.collect()))
        }
        // A set that does not fit the value: the server never sends one.
        (Share::Some, value) => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_own_is_left_out() {
        let object = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "labels": {"a": "1", "b": "2"}, "managedFields": [
                {"manager": "triton", "operation": "Apply", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:a": {}}},
                    "f:spec": {"f:template": {"f:spec": {"f:containers": {}}}, "f:updateStrategy": {"f:partition": {}}}}},
                {"manager": "hpa", "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
            "spec": {"replicas": 7, "updateStrategy": {"partition": "99%", "maxUnavailable": "20%"},
                "template": {"spec": {"containers": [{"name": "app"}], "dnsPolicy": "ClusterFirst"}}},
            "status": {"replicas": 7},
        });
        let ours = extract(&object, &Ownership::of(&object, "triton")).unwrap();
        assert_eq!(
            ours,
            json!({
                "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
                "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "1"}},
                "spec": {"updateStrategy": {"partition": "99%"}, "template": {"spec": {"containers": [{"name": "app"}]}}},
            })
        );
        assert_eq!(extract(&object, &Ownership::of(&object, "somebody")), None);
    }
}
