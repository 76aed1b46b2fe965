//! What a strategy makes of a CloneSet before it is applied: our readiness gate (`serve: approval`), and `drain`.

use crate::fields::Compact;
use crate::model::TemplateHash;
use crate::spec::release::Strategy;
use crate::spec::{canonical, drain, readiness};

/// A CloneSet and its *T* as they are applied.
#[must_use]
pub fn applied((body, template): (Compact, TemplateHash), strategy: &Strategy) -> (Compact, TemplateHash) {
    if !strategy.is_gated() && strategy.drain.is_none() {
        return (body, template);
    }
    let mut value = body.open();
    let before = value["spec"]["template"].clone();
    if strategy.is_gated() {
        readiness::gate(&mut value["spec"]["template"]);
    }
    if let Some(drain) = strategy.drain {
        drain::apply(&mut value, drain);
    }
    let after = &value["spec"]["template"];
    let template = match *after == before {
        true => template,
        false => TemplateHash::of(canonical::json(after).as_bytes()),
    };
    (Compact::of(&value), template)
}
