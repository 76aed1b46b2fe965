//! What follows one of the CloneSets of a release that is switched as a whole: a selector with the label of its pods, or its name.

use serde_json::{Map, Value};

use crate::model::ReleaseId;
use crate::objects::{Kind, keys};
use crate::spec::Follower;

/// `base` as it follows `to`; as it is where that is none.
#[must_use]
pub fn pinned(base: &Value, release: &ReleaseId, as_what: Follower, to: Option<&str>) -> Value {
    let mut body = base.clone();
    let Some(to) = to else { return body };
    if as_what == Follower::Scaler {
        body["spec"]["scaleTargetRef"]["name"] = to.into();
        return body;
    }
    let is_service = body["kind"] == Kind::Service.api().kind;
    let selector = if is_service { "/spec/selector" } else { "/spec/selector/matchLabels" };
    if let Some(labels) = body.pointer_mut(selector).and_then(Value::as_object_mut) {
        labels.insert(keys::POD_TEMPLATE_HASH.to_owned(), to.into());
    }
    if is_service && let Some(metadata) = body["metadata"].as_object_mut() {
        let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
        labels[keys::TRAFFIC] = release.name.as_str().into();
    }
    body
}

/// What `live` follows beside what `base` says.
#[must_use]
pub fn pin_of(base: &Value, live: &Value, as_what: Follower) -> Option<String> {
    let path = match as_what {
        Follower::Scaler => "/spec/scaleTargetRef/name".to_owned(),
        Follower::Active | Follower::Beside | Follower::Preview => {
            let is_service = base["kind"] == Kind::Service.api().kind;
            let selector = if is_service { "/spec/selector" } else { "/spec/selector/matchLabels" };
            format!("{selector}/{}", keys::POD_TEMPLATE_HASH)
        }
    };
    let there = live.pointer(&path).filter(|it| Some(*it) != base.pointer(&path))?;
    there.as_str().map(str::to_owned)
}
