//! A restart: the same template but for one annotation, which makes it another one.

use serde_json::Value;

use crate::objects::keys;
use crate::spec::exchange::in_place;
use crate::spec::release::{Body, Release};

/// Where the annotation stands in a CloneSet. Its value is when the restart was asked for (RFC 3339).
pub const RESTARTED_AT: [&str; 5] = ["spec", "template", "metadata", "annotations", keys::RESTARTED];

/// Whether nothing but the annotation makes the template of `after` another one than that of `before`.
#[must_use]
pub fn restarts(before: &Body, after: &Body) -> bool {
    let ((was, old), (is, new)) = (taken(before), taken(after));
    was != is && is.is_some() && old == new
}

/// The annotation, and the template without it.
fn taken(body: &Body) -> (Option<Value>, Value) {
    let mut template = body.value.open()["spec"]["template"].take();
    let annotations = template.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    let found = annotations.and_then(|annotations| annotations.remove(keys::RESTARTED));
    for (parent, field) in [("/metadata", "annotations"), ("", "metadata")] {
        if let Some(fields) = template.pointer_mut(parent).and_then(Value::as_object_mut)
            && fields.get(field).is_some_and(|it| it.is_null() || *it == serde_json::json!({}))
        {
            fields.remove(field);
        }
    }
    (found, template)
}

impl Release {
    /// Whether its pods are updated in place where they can be: another annotation starts none of them again (Kruise,
    /// `inplace_update_defaults.go`: metadata is patched onto the pod). With blue/green they are made beside the old ones.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.strategy.blue_green.is_none()
            && in_place(&self.cloneset.value.open()["spec"]["updateStrategy"]).is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fields::Compact;
    use crate::objects::{Kind, ObjectKey};

    fn body(metadata: Value, image: &str) -> Body {
        let key = ObjectKey {
            kind: Kind::CloneSet,
            namespace: "shop".parse().unwrap(),
            name: "web".parse().unwrap(),
        };
        let template =
            json!({"metadata": metadata, "spec": {"containers": [{"name": "app", "image": image}]}});
        Body { key, value: Compact::of(&json!({"spec": {"template": template}})) }
    }

    #[test]
    fn a_restart_changes_the_annotation_and_nothing_else() {
        let at = |time: &str| json!({"labels": {"app": "web"}, "annotations": {keys::RESTARTED: time}});
        let (plain, once) = (json!({"labels": {"app": "web"}}), at("2026-01-02T03:04:05Z"));
        let is = |before: &Value, after: &Value| {
            restarts(&body(before.clone(), "a:1"), &body(after.clone(), "a:1"))
        };
        assert!(is(&plain, &once));
        assert!(is(&once, &at("2026-01-02T03:04:06Z")));
        assert!(!is(&once, &once));
        assert!(!is(&once, &plain), "that is a restart taken back");
        assert!(!restarts(&body(plain, "a:1"), &body(once, "a:2")));
    }
}
