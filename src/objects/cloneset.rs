//! The two shapes in which Kruise serves a CloneSet, and how the one becomes the other.
//!
//! In this program a CloneSet has the shape of `v1alpha1` everywhere: release files are written in it, and every released
//! Kruise serves it. Where a cluster serves `v1beta1` alone (Kruise 2.0: `apis/apps/v1beta1/cloneset_types.go`,
//! `apis/apps/v1alpha1/cloneset_conversion.go`), a body is put into that shape as it is sent, and what comes in is
//! taken out of it: the object, and each entry of `managedFields` by the version that the entry names.

use serde_json::{Map, Value, json};

use crate::objects::kind::{Api, Kind};

/// A version that CloneSets are served in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloneSetVersion {
    /// The shape that this program thinks in; preferred while it is served.
    #[default]
    V1alpha1,
    /// Everything of the update but its type stands one level deeper, and some of it has another name.
    V1beta1,
}

/// A place of an object: the names of fields from the top.
type Place = Vec<&'static str>;

/// How a value becomes its counterpart.
#[derive(Clone, Copy)]
enum Turn {
    /// As it is.
    Same,
    /// `disablePVCReuse` and `enablePVCReuse`.
    Not,
    /// An annotation's text, and a number.
    Number,
    /// An annotation's text, and a count or a percentage.
    Amount,
}

const TYPE: [&str; 3] = ["spec", "updateStrategy", "type"];
const ROLLING: [&str; 3] = ["spec", "updateStrategy", "rollingUpdate"];
const POLICY: [&str; 4] = ["spec", "updateStrategy", "rollingUpdate", "podUpdatePolicy"];
/// The fields of `updateStrategy`. All but its type stand below [`ROLLING`] in `v1beta1`, under the same name.
pub const UPDATE_STRATEGY: [&str; 8] = [
    "type",
    "partition",
    "maxUnavailable",
    "maxSurge",
    "paused",
    "priorityStrategy",
    "scatterStrategy",
    "inPlaceUpdateStrategy",
];
/// Annotations of `v1alpha1` that are fields of `inPlaceUpdateStrategy` in `v1beta1`.
const PRE_DOWNLOAD: [(&str, &str, Turn); 3] = [
    ("apps.kruise.io/image-predownload-parallelism", "imagePreDownloadParallelism", Turn::Amount),
    ("apps.kruise.io/image-predownload-timeout-seconds", "imagePreDownloadTimeoutSeconds", Turn::Number),
    (
        "apps.kruise.io/image-predownload-min-updated-ready-pods",
        "imagePreDownloadMinUpdatedReadyPods",
        Turn::Number,
    ),
];
const CLAIMS: [&str; 2] = ["spec", "volumeClaimTemplates"];
const DROP_CLAIMS: [&str; 3] = ["spec", "scaleStrategy", "disablePVCReuse"];
const KEEP_CLAIMS: [&str; 3] = ["spec", "scaleStrategy", "enablePVCReuse"];
/// With the value "true" it is what [`EXCLUDE`] is in `v1beta1`.
const EXCLUDE_LABEL: [&str; 3] =
    ["metadata", "labels", "apps.kruise.io/cloneset-scaling-exclude-preparing-delete"];
const EXCLUDE: [&str; 3] = ["spec", "scaleStrategy", "excludePreparingDelete"];
/// What the strategy by which no step is ever reached is called in both versions.
const ON_DELETE: &str = "OnDelete";

/// Where each field stands in `v1alpha1` and in `v1beta1`, in the order in which a body is put into the latter.
fn moves() -> Vec<(Place, Place, Turn)> {
    let below = |place: &[&'static str], name: &'static str| [place, &[name]].concat();
    let rolled = UPDATE_STRATEGY.into_iter().filter(|name| *name != "type");
    let rolled = rolled.map(|name| (below(&TYPE[..2], name), below(&ROLLING, name), Turn::Same));
    let annotated = PRE_DOWNLOAD.map(|(annotation, field, turn)| {
        let there = [&ROLLING[..], &["inPlaceUpdateStrategy", field]].concat();
        (vec!["metadata", "annotations", annotation], there, turn)
    });
    let named = [
        (TYPE.to_vec(), POLICY.to_vec(), Turn::Same),
        (DROP_CLAIMS.to_vec(), KEEP_CLAIMS.to_vec(), Turn::Not),
    ];
    named.into_iter().chain(rolled).chain(annotated).collect()
}

impl CloneSetVersion {
    /// How the API names CloneSets of this version.
    #[must_use]
    pub const fn api(self) -> Api {
        let version = match self {
            Self::V1alpha1 => "v1alpha1",
            Self::V1beta1 => "v1beta1",
        };
        Api { version, ..Kind::CloneSet.api() }
    }

    /// The version that is tried where this one is not served.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::V1alpha1 => Self::V1beta1,
            Self::V1beta1 => Self::V1alpha1,
        }
    }

    /// Puts a body of ours into the shape of this version.
    pub fn encode(self, body: &mut Value) {
        match self {
            Self::V1alpha1 => return,
            Self::V1beta1 => {}
        }
        if body.get("spec").is_some() {
            encode(body);
        }
        put(body, &["apiVersion"], Some(self.api().api_version().into()));
        for entry in entries(body) {
            put(entry, &["apiVersion"], Some(self.api().api_version().into()));
            for (from, to, _) in moves() {
                // Whoever says the type says the policy.
                let set = if from == TYPE { copy(entry, &from) } else { take(entry, &in_set(&from)) };
                put(entry, &in_set(&to), set);
            }
        }
    }

    /// Takes an object that was read in this version out of its shape. One that says of which version it is, is believed: a
    /// watch goes on in the version in which it was begun.
    pub fn decode(self, object: &mut Value) {
        let (alpha, beta) = (Self::V1alpha1.api().api_version(), Self::V1beta1.api().api_version());
        let named = object.get("apiVersion").and_then(Value::as_str);
        let is_newer = named.map_or(self == Self::V1beta1, |named| named == beta);
        for entry in entries(object).filter(|it| it["apiVersion"] == beta) {
            put(entry, &["apiVersion"], Some(alpha.as_str().into()));
            // Silence about the claims' reuse says something else there.
            if copy(entry, &CLAIMS).is_some() {
                put(entry, &in_set(&KEEP_CLAIMS), Some(json!({})));
            }
            for (to, from, _) in moves().into_iter().rev() {
                let set = take(entry, &in_set(&from));
                put(entry, &in_set(&to), set);
            }
        }
        if is_newer {
            decode(object);
            put(object, &["apiVersion"], Some(alpha.into()));
        }
    }
}

fn encode(body: &mut Value) {
    if claims(body) && at(body, &DROP_CLAIMS).is_none() {
        put(body, &DROP_CLAIMS, Some(false.into()));
    }
    let strategy = at(body, &TYPE).cloned();
    let is_on_delete = strategy.as_ref().is_some_and(|it| it == ON_DELETE);
    for (from, to, turn) in moves() {
        if is_on_delete && from == TYPE {
            continue;
        }
        let Some(there) = at(body, &from).and_then(|value| turned(value, turn)) else { continue };
        take(body, &from);
        put(body, &to, Some(there));
    }
    if strategy.is_some() && !is_on_delete {
        put(body, &TYPE, Some("RollingUpdate".into()));
    }
    if at(body, &EXCLUDE_LABEL).is_some_and(|it| it == "true") {
        put(body, &EXCLUDE, Some(true.into()));
    }
}

fn decode(object: &mut Value) {
    if claims(object) && at(object, &KEEP_CLAIMS).is_none() {
        put(object, &KEEP_CLAIMS, Some(false.into()));
    }
    let strategy = at(object, &TYPE).cloned();
    if strategy.as_ref().is_some_and(|it| it == ON_DELETE) {
        take(object, &POLICY);
    } else if strategy.is_some() && at(object, &POLICY).is_none() {
        // The default of the policy (`apis/apps/defaults/v1beta1.go`).
        put(object, &POLICY, Some("ReCreate".into()));
    }
    for (to, from, turn) in moves().into_iter().rev() {
        let there = take(object, &from).map(|value| returned(value, turn));
        put(object, &to, there);
    }
    // What `v1alpha1` does unless it is told otherwise.
    if at(object, &DROP_CLAIMS) == Some(&false.into()) {
        take(object, &DROP_CLAIMS);
    }
    if at(object, &EXCLUDE_LABEL).is_some_and(|it| it == "true") {
        take(object, &EXCLUDE);
    }
}

/// Whether its pods have volumes of their own.
fn claims(object: &Value) -> bool {
    at(object, &CLAIMS).and_then(Value::as_array).is_some_and(|it| !it.is_empty())
}

/// The counterpart in `v1beta1`; `None` where the text is none that Kruise could read.
fn turned(value: &Value, turn: Turn) -> Option<Value> {
    let number = || value.as_str()?.parse::<i32>().ok().map(Value::from);
    match turn {
        Turn::Same => Some(value.clone()),
        Turn::Not => value.as_bool().map(|it| (!it).into()),
        Turn::Number => number(),
        Turn::Amount => number().or_else(|| value.is_string().then(|| value.clone())),
    }
}

/// The counterpart in `v1alpha1`.
fn returned(value: Value, turn: Turn) -> Value {
    match (turn, value) {
        (Turn::Not, Value::Bool(it)) => (!it).into(),
        (Turn::Number | Turn::Amount, Value::Number(number)) => number.to_string().into(),
        (_, value) => value,
    }
}

fn entries(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut).into_iter().flatten()
}

/// A place in the notation of `managedFields`.
fn in_set(place: &[&str]) -> Vec<String> {
    let fields = place.iter().map(|name| format!("f:{name}"));
    std::iter::once("fieldsV1".to_owned()).chain(fields).collect()
}

/// What a set has at a place.
fn copy(entry: &Value, place: &[&str]) -> Option<Value> {
    in_set(place).iter().try_fold(entry, |below, name| below.get(name)).cloned()
}

fn at<'v>(value: &'v Value, place: &[&str]) -> Option<&'v Value> {
    place.iter().try_fold(value, |below, name| below.get(name)).filter(|it| !it.is_null())
}

/// Takes out what is at a place, and the maps above it that have nothing else.
fn take(value: &mut Value, place: &[impl AsRef<str>]) -> Option<Value> {
    let (first, rest) = place.split_first()?;
    let map = value.as_object_mut()?;
    if rest.is_empty() {
        return map.remove(first.as_ref());
    }
    let below = map.get_mut(first.as_ref())?;
    let taken = take(below, rest)?;
    if below.as_object().is_some_and(|it| it.keys().all(|name| name == ".")) {
        map.remove(first.as_ref());
    }
    Some(taken)
}

/// Puts `what` at a place, with the maps above it.
fn put(value: &mut Value, place: &[impl AsRef<str>], what: Option<Value>) {
    let (Some(what), Some((last, above))) = (what, place.split_last()) else { return };
    let mut below = value;
    for name in above {
        let Value::Object(map) = below else { return };
        below = map.entry(name.as_ref()).or_insert_with(|| Value::Object(Map::new()));
        if below.is_null() {
            *below = Value::Object(Map::new());
        }
    }
    if let Value::Object(map) = below {
        map.insert(last.as_ref().to_owned(), what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BETA: CloneSetVersion = CloneSetVersion::V1beta1;

    fn alpha(spec: Value) -> Value {
        json!({"apiVersion": "apps.kruise.io/v1alpha1", "metadata": {"name": "web"}, "spec": spec})
    }

    fn beta(spec: Value) -> Value {
        json!({"apiVersion": "apps.kruise.io/v1beta1", "metadata": {"name": "web"}, "spec": spec})
    }

    fn encoded(mut body: Value) -> Value {
        BETA.encode(&mut body);
        body
    }

    fn decoded(mut object: Value) -> Value {
        BETA.decode(&mut object);
        object
    }

    #[test]
    fn an_update_strategy_has_its_type_as_a_policy_and_the_rest_one_level_deeper() {
        let here =
            alpha(json!({"replicas": 3, "updateStrategy": {"type": "InPlaceIfPossible", "partition": "99%",
            "paused": false, "maxUnavailable": 2, "inPlaceUpdateStrategy": {"gracePeriodSeconds": 5}}}));
        let there =
            beta(json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {
            "podUpdatePolicy": "InPlaceIfPossible", "partition": "99%", "paused": false, "maxUnavailable": 2,
            "inPlaceUpdateStrategy": {"gracePeriodSeconds": 5}}}}));
        assert_eq!(encoded(here.clone()), there);
        assert_eq!(decoded(there), here);
        let bare = alpha(json!({"updateStrategy": {"partition": 0}}));
        assert_eq!(decoded(encoded(bare.clone())), bare, "nobody names a type that nobody wrote");
        let defaulted = beta(json!({"updateStrategy": {"type": "RollingUpdate"}}));
        assert_eq!(decoded(defaulted), alpha(json!({"updateStrategy": {"type": "ReCreate"}})));
        let by_hand = alpha(json!({"updateStrategy": {"type": "OnDelete"}}));
        assert_eq!(encoded(by_hand.clone()), beta(json!({"updateStrategy": {"type": "OnDelete"}})));
        assert_eq!(decoded(encoded(by_hand.clone())), by_hand);
    }

    #[test]
    fn claims_that_nobody_speaks_of_are_used_again_as_the_files_version_has_it() {
        let reuse = |here: &Value| encoded(here.clone())["spec"]["scaleStrategy"]["enablePVCReuse"].clone();
        let silent = alpha(json!({"volumeClaimTemplates": [{}]}));
        assert_eq!(reuse(&silent), true);
        assert_eq!(decoded(encoded(silent.clone())), silent);
        let told = alpha(json!({"volumeClaimTemplates": [{}], "scaleStrategy": {"disablePVCReuse": true}}));
        assert_eq!(reuse(&told), false);
        assert_eq!(decoded(encoded(told.clone())), told);
        assert_eq!(
            decoded(beta(json!({"volumeClaimTemplates": [{}]}))),
            told,
            "silence says the other thing there"
        );
        assert_eq!(reuse(&alpha(json!({"replicas": 1}))), Value::Null);
    }

    #[test]
    fn marks_of_the_older_version_are_fields_of_the_newer() {
        let here = json!({"apiVersion": "apps.kruise.io/v1alpha1", "spec": {"replicas": 1}, "metadata": {
            "labels": {"apps.kruise.io/cloneset-scaling-exclude-preparing-delete": "true"},
            "annotations": {"a": "b", "apps.kruise.io/image-predownload-parallelism": "20%",
                "apps.kruise.io/image-predownload-timeout-seconds": "60",
                "apps.kruise.io/image-predownload-min-updated-ready-pods": "many"}}});
        let there = encoded(here.clone());
        assert_eq!(
            there["spec"],
            json!({"replicas": 1, "scaleStrategy": {"excludePreparingDelete": true}, "updateStrategy": {"rollingUpdate": {
                "inPlaceUpdateStrategy": {"imagePreDownloadParallelism": "20%", "imagePreDownloadTimeoutSeconds": 60}}}})
        );
        let left = json!({"a": "b", "apps.kruise.io/image-predownload-min-updated-ready-pods": "many"});
        assert_eq!(there["metadata"]["annotations"], left, "what Kruise could not read stays as it is");
        assert_eq!(decoded(there), here);
    }

    #[test]
    fn owners_are_read_by_the_version_that_each_entry_names() {
        let entry = |version: &str, strategy: Value| {
            json!({"manager": "m", "apiVersion": format!("apps.kruise.io/{version}"),
                "fieldsV1": {"f:spec": {"f:replicas": {}, "f:updateStrategy": strategy}}})
        };
        let ours = entry("v1alpha1", json!({"f:type": {}, "f:partition": {}}));
        let newer = json!({".": {}, "f:type": {}, "f:rollingUpdate": {".": {}, "f:podUpdatePolicy": {}, "f:partition": {}}});
        let newer = entry("v1beta1", newer);
        let as_ours = entry("v1alpha1", json!({".": {}, "f:type": {}, "f:partition": {}}));
        for version in [CloneSetVersion::V1alpha1, BETA] {
            let mut object = json!({"metadata": {"managedFields": [ours, newer]}});
            version.decode(&mut object);
            assert_eq!(object["metadata"]["managedFields"], json!([ours, as_ours]), "{version:?}");
        }
        let both = encoded(json!({"metadata": {"managedFields": [ours]}}));
        let entry = &both["metadata"]["managedFields"][0];
        assert_eq!(entry["apiVersion"], "apps.kruise.io/v1beta1");
        assert_eq!(
            entry["fieldsV1"]["f:spec"]["f:updateStrategy"],
            json!({"f:type": {}, "f:rollingUpdate": {"f:podUpdatePolicy": {}, "f:partition": {}}})
        );
    }

    #[test]
    fn an_object_is_taken_for_what_it_says_it_is() {
        let older = alpha(json!({"updateStrategy": {"type": "InPlaceOnly", "partition": 1}}));
        assert_eq!(decoded(older.clone()), older);
        let mut newer = encoded(older.clone());
        CloneSetVersion::V1alpha1.decode(&mut newer);
        assert_eq!(newer, older);
    }

    #[test]
    fn nothing_is_touched_where_the_older_version_is_served_or_nothing_is_there() {
        let body = alpha(json!({"volumeClaimTemplates": [{}], "updateStrategy": {"type": "ReCreate"}}));
        let mut same = body.clone();
        CloneSetVersion::V1alpha1.encode(&mut same);
        CloneSetVersion::V1alpha1.decode(&mut same);
        assert_eq!(same, body);
        for odd in [
            json!(null),
            json!("text"),
            json!([1]),
            json!({"metadata": {"managedFields": ["x", 3]}, "spec": 7}),
        ] {
            let mut object = odd.clone();
            BETA.encode(&mut object);
            BETA.decode(&mut object);
        }
    }
}
