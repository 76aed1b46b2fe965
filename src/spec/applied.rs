//! What a strategy makes of a CloneSet before it is applied: our readiness gate (`serve: approval`), time to leave (beside
//! that and weights), and `drain`.

use serde_json::Value;

use crate::fields::Compact;
use crate::model::TemplateHash;
use crate::spec::release::Strategy;
use crate::spec::{canonical, drain, hook, readiness};

/// A CloneSet and its *T* as they are applied. Where its *T* says more than its template does (whole hashes of what its
/// pods read, [`crate::spec::versioned`]), the drained one's does so too.
#[must_use]
pub fn applied((body, template): (Compact, TemplateHash), strategy: &Strategy) -> (Compact, TemplateHash) {
    let moves_traffic = strategy.is_gated() || !strategy.routes.is_empty();
    if !moves_traffic && strategy.drain.is_none() {
        return (body, template);
    }
    let mut value = body.open();
    let before = value["spec"]["template"].clone();
    if strategy.is_gated() {
        readiness::gate(&mut value["spec"]["template"]);
    }
    if moves_traffic {
        hook::give_time(&mut value);
    }
    if let Some(drain) = strategy.drain {
        drain::apply(&mut value, drain);
    }
    let hash = |template: &Value| TemplateHash::of(canonical::json(template).as_bytes());
    let after = &value["spec"]["template"];
    let template = if *after == before {
        template
    } else if strategy.drain.is_some() && template != hash(&before) {
        TemplateHash::of(format!("{}\n{template}", canonical::json(after)).as_bytes())
    } else {
        hash(after)
    };
    (Compact::of(&value), template)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_that_are_updated_in_place_have_time_to_leave_the_share_of_the_old_version() {
        let body = json!({"spec": {"template": {}, "updateStrategy": {"type": "InPlaceOnly"}}});
        let weights = Strategy {
            routes: vec!["checkout".parse().unwrap()],
            ..crate::spec::strategy::WrittenStrategy::default().strategy
        };
        let hash = TemplateHash::of(b"as written");
        let (given, template) = applied((Compact::of(&body), hash), &weights);
        assert_eq!(given.open()["spec"]["updateStrategy"]["inPlaceUpdateStrategy"]["gracePeriodSeconds"], 5);
        assert_eq!(template, hash, "it is no other template");
    }

    #[test]
    fn contents_that_differ_only_in_their_whole_hashes_are_two_templates_when_drained_too() {
        let template = json!({"spec": {"containers": [{"name": "app"}]}});
        let body = Compact::of(&json!({"spec": {"template": template}}));
        let drained =
            Strategy { drain: Some(5), ..crate::spec::strategy::WrittenStrategy::default().strategy };
        let of = |text: &[u8]| applied((body.clone(), TemplateHash::of(text)), &drained);
        assert_ne!(of(b"content one").1, of(b"content two").1);
        let (applied, plain) = of(canonical::json(&template).as_bytes());
        let stands = canonical::json(&applied.open()["spec"]["template"]);
        assert_eq!(plain, TemplateHash::of(stands.as_bytes()), "as one that is taken over as it stands");
    }
}
