//! Two states of one thing, in both directions: also what only one of them has.

use serde_json::Value;

use crate::fields::change::FieldChange;
use crate::fields::compare::compare_exactly;

/// The fields of the pod template that differ between two states of a CloneSet as the server has them: `found` is what
/// `before` has, `wanted` what `after` has, null where that is nothing. Quantities written in another way are no
/// difference; a field that is there and says `false`, 0 or nothing is: the server keeps it, and so the revision has it.
#[must_use]
pub fn templates(before: &Value, after: &Value) -> Vec<FieldChange> {
    let template = |object: &Value| serde_json::json!({"spec": {"template": object["spec"]["template"]}});
    let (before, after) = (template(before), template(after));
    let mut changes = compare_exactly(&after, &before);
    let gone = compare_exactly(&before, &after).into_iter().filter(|change| change.found.is_none());
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

    #[test]
    fn a_field_that_says_no_differs_from_one_that_is_not_there() {
        let pods = |context: Value| {
            let container = json!({"name": "a", "securityContext": context, "env": [{"name": "K"}]});
            json!({"spec": {"template": {"spec": {"containers": [container]}}}})
        };
        let at = "spec.template.spec.containers[name=a].securityContext";
        let (less, more) = (json!({"runAsUser": 1}), json!({"runAsUser": 1, "privileged": false}));
        for (a, b, path) in [
            (&less, &more, format!("{at}.privileged")),
            (&Value::Null, &json!({}), at.to_owned()),
            (&Value::Null, &json!({"runAsUser": 0}), at.to_owned()),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                let found = templates(&pods(a.clone()), &pods(b.clone()));
                let paths: Vec<&str> = found.iter().map(|it| it.path.as_str()).collect();
                assert_eq!(paths, [path.as_str()], "{a} {b}");
            }
        }
        assert_eq!(templates(&pods(less.clone()), &pods(less)), []);
    }
}
