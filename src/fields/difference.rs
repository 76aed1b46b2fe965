//! Two states of one thing, in both directions: also what only one of them has.

use serde_json::Value;

use crate::fields::change::FieldChange;
use crate::fields::compare::compare;

/// The fields of the pod template that differ between two states of a CloneSet: `found` is what `before` has, `wanted`
/// what `after` has, null where that is nothing. What is only written in another way is no difference.
#[must_use]
pub fn templates(before: &Value, after: &Value) -> Vec<FieldChange> {
    let template = |object: &Value| serde_json::json!({"spec": {"template": object["spec"]["template"]}});
    let (before, after) = (template(before), template(after));
    let mut changes = compare(&after, &before);
    let gone = compare(&before, &after).into_iter().filter(|change| change.found.is_none());
    changes.extend(gone.map(|change| FieldChange {
        path: change.path,
        wanted: Value::Null,
        found: Some(change.wanted),
        manager: None,
    }));
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes.dedup_by(|a, b| a.path == b.path);
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_one_of_them_has_is_a_difference() {
        let pods = |container: Value| json!({"spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}}});
        let paths = |a: Value, b: Value| -> Vec<String> {
            templates(&pods(a), &pods(b)).into_iter().map(|it| it.path).collect()
        };
        let at = |name: &str| format!("spec.template.spec.containers[name=a].{name}");
        let plain = || json!({"name": "a", "image": "1"});
        let more = || json!({"name": "a", "image": "2", "env": [{"name": "K", "value": "v"}]});
        assert_eq!(paths(plain(), plain()), Vec::<String>::new());
        assert_eq!(paths(plain(), more()), [at("env"), at("image")]);
        assert_eq!(paths(more(), plain()), [at("env"), at("image")]);
        assert_eq!(paths(json!({"name": "a"}), json!({"name": "b"})).len(), 2);
    }
}
