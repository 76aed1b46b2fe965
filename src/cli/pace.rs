//! How pods are exchanged, in sentences: which of them, how many at once, which are updated first, and how they leave
//! traffic.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cli::render::span;
use crate::model::{Amount, Name};
use crate::plan::holds::pods;
use crate::spec::exchange::time_to_leave;
use crate::spec::{Exchange, Release};

/// What becomes of the pods that Git names and did not name before.
#[must_use]
pub fn replaced(old: &Release, new: &Release) -> Option<String> {
    let named: BTreeSet<&Name> = new.replace.difference(&old.replace).collect();
    let count = u32::try_from(named.len()).ok().filter(|count| *count > 0)?;
    let names = named.into_iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let id = &new.id;
    let fewer = old.replicas.zip(new.replicas).map_or(0, |(before, after)| before.saturating_sub(after));
    // Beside another change they wait for the end of its rollout, and the size does not.
    let away = if old.digest == new.digest { fewer.min(count) } else { 0 };
    let is = |count: u32| if count == 1 { "is" } else { "are" };
    let goes = format!("Where {id} is complete, and neither frozen nor suspended,");
    let told = match (away, count - away) {
        (0, _) => {
            format!(
                "{} of {id} {} replaced, each once, when it is complete: {names}.",
                pods(count),
                is(count)
            )
        }
        (_, 0) => format!("{goes} these pods are the first that are taken away: {names}."),
        (_, rest) => format!(
            "{goes} {} of these pods {} taken away and {rest} {} replaced: {names}.",
            away,
            is(away),
            is(rest)
        ),
    };
    Some(if has_volumes(new) { format!("{told} Their volumes are deleted with them.") } else { told })
}

/// Whether its pods have volumes of their own: Kruise deletes them with a pod that is named (`cloneset_scale.go`).
#[must_use]
pub fn has_volumes(release: &Release) -> bool {
    items(&release.cloneset.value.open()["spec"]["volumeClaimTemplates"]).next().is_some()
}

/// How the pods of `release` are exchanged at this size, as far as it says so: a sentence for each field.
#[must_use]
pub fn sentences(release: &Release, size: Option<u32>) -> Vec<String> {
    let cloneset = release.cloneset.value.open();
    let mut said = told(&cloneset["spec"]["updateStrategy"], size);
    let spared = release.strategy.failure_threshold;
    if spared != Amount::Count(0) {
        said.push(format!("A step is healthy though up to {spared} of its pods fail."));
    }
    said
}

/// Whether two releases exchange their pods in the same way.
#[must_use]
pub fn same(old: &Release, new: &Release) -> bool {
    let update = |release: &Release| release.cloneset.value.open()["spec"]["updateStrategy"].take();
    let spared = |release: &Release| release.strategy.failure_threshold;
    update(old) == update(new) && spared(old) == spared(new)
}

/// How pods leave traffic from now on, where that changes. Those that leave for it have what they were made with.
#[must_use]
pub fn drained(old: &Release, new: &Release) -> Option<String> {
    let span = |drain: u32| span(i64::from(drain));
    let told = match (old.strategy.drain, new.strategy.drain) {
        (before, after) if before == after => return None,
        (None, Some(after)) => format!("are out of traffic for {}", span(after)),
        (Some(before), Some(after)) => {
            format!("are out of traffic for {}, not {},", span(after), span(before))
        }
        (_, None) => "are no longer out of traffic".to_owned(),
    };
    let (pods, by) = match old.template == new.template {
        true => ("pods", ""),
        false => ("new pods", ": its template gets another preStop"),
    };
    Some(format!("Its {pods} {told} before they are updated or deleted (drain){by}."))
}

/// What happens to pods, after `its pods are`.
#[must_use]
pub fn exchanged(exchange: &Exchange) -> String {
    let because = |fields: &[String]| format!("{} cannot be changed in place", fields.join(", "));
    match exchange {
        Exchange::InPlace(names) => match &**names {
            [] => "updated in place, and no container starts again".to_owned(),
            [name] => format!("updated in place: container {name} starts again"),
            names => format!("updated in place: containers {} start again", names.join(", ")),
        },
        Exchange::Anew(fields) if fields.is_empty() => "deleted and made anew".to_owned(),
        Exchange::Anew(fields) => format!("deleted and made anew: {}", because(fields)),
        Exchange::Impossible(fields) => format!("kept as they are: {}", because(fields)),
    }
}

fn told(update: &Value, size: Option<u32>) -> Vec<String> {
    let mut said = Vec::new();
    let surge = amount(&update["maxSurge"]).filter(|surge| surge.scaled(u32::MAX, true) > 0);
    if let Some(unavailable) = amount(&update["maxUnavailable"]) {
        // With a surge Kruise rounds down (`calculateDiffsWithExpectation`).
        let count = size.map(|size| unavailable.scaled(size, surge.is_none()));
        said.push(match (count, size) {
            (Some(0), Some(_)) => {
                "None of its pods is taken away before another one is available in its place.".to_owned()
            }
            (Some(count), Some(size)) => format!(
                "At most {count} of its {} {} unavailable at once.",
                pods(size),
                if count == 1 { "is" } else { "are" }
            ),
            _ => format!("At most {unavailable} of its pods are unavailable at once."),
        });
    }
    if let Some(surge) = surge {
        said.push(match size {
            Some(size) => {
                format!("Meanwhile there are up to {} more than {size}.", pods(surge.scaled(size, true)))
            }
            None => format!("Meanwhile there are up to {surge} more of its pods."),
        });
    }
    said.extend(order(&update["priorityStrategy"]));
    let spread: Vec<String> =
        items(&update["scatterStrategy"]).map(|term| pair(&term["key"], &term["value"])).collect();
    if !spread.is_empty() {
        said.push(format!(
            "Pods with {} are not updated one after another, but spread among the others.",
            spread.join(" or ")
        ));
    }
    let seconds = time_to_leave(update);
    if seconds > 0 {
        said.push(format!("A pod that is updated in place is out of its Services for {seconds}s before its containers start again."));
    }
    said
}

/// Which pods are updated first.
fn order(priority: &Value) -> Option<String> {
    let mut weights: Vec<(u64, String)> = items(&priority["weightPriority"])
        .map(|term| (term["weight"].as_u64().unwrap_or_default(), selected(&term["matchSelector"])))
        .collect();
    weights.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let names: Vec<String> =
        weights.into_iter().map(|(weight, labels)| format!("{labels} (weight {weight})")).collect();
    if !names.is_empty() {
        return Some(format!("Updated first are pods with {}.", names.join(", then ")));
    }
    let keys: Vec<&str> =
        items(&priority["orderPriority"]).filter_map(|term| term["orderedKey"].as_str()).collect();
    let by = format!("Updated first are pods with the highest number in label {}.", keys.join(", then "));
    (!keys.is_empty()).then_some(by)
}

/// A label selector in the words of `kubectl -l`, as far as those are short.
fn selected(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> = labels.map(|(key, value)| pair(&Value::from(key.as_str()), value)).collect();
    parts.extend(items(&selector["matchExpressions"]).map(|it| {
        let values: Vec<&str> = items(&it["values"]).filter_map(Value::as_str).collect();
        let text = |key: &str| it[key].as_str().unwrap_or_default();
        let list = if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) };
        format!("{} {}{list}", text("key"), text("operator"))
    }));
    parts.join(",")
}

fn pair(key: &Value, value: &Value) -> String {
    format!("{}={}", key.as_str().unwrap_or_default(), value.as_str().unwrap_or_default())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn amount(value: &Value) -> Option<Amount> {
    serde_json::from_value(value.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_many_at_once_is_told_in_pods_as_kruise_rounds_them() {
        let first = |update: Value, size| told(&update, size).remove(0);
        let half = json!({"maxUnavailable": "25%"});
        assert_eq!(first(half.clone(), Some(10)), "At most 3 of its 10 pods are unavailable at once.");
        assert_eq!(first(half, None), "At most 25% of its pods are unavailable at once.");
        let surging = json!({"maxUnavailable": "25%", "maxSurge": "10%"});
        assert_eq!(
            told(&surging, Some(7)),
            [
                "At most 1 of its 7 pods is unavailable at once.",
                "Meanwhile there are up to 1 pod more than 7.",
            ]
        );
        let none = json!({"maxUnavailable": 0, "maxSurge": 1});
        assert_eq!(
            first(none, Some(3)),
            "None of its pods is taken away before another one is available in its place."
        );
    }

    #[test]
    fn what_is_updated_first_is_told_in_that_order() {
        let weights = json!({"priorityStrategy": {"weightPriority": [
            {"weight": 20, "matchSelector": {"matchLabels": {"zone": "a"}}},
            {"weight": 50, "matchSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["x", "y"]}]}},
        ]}, "scatterStrategy": [{"key": "node", "value": "n-1"}]});
        assert_eq!(
            told(&weights, None),
            [
                "Updated first are pods with team In (x, y) (weight 50), then zone=a (weight 20).",
                "Pods with node=n-1 are not updated one after another, but spread among the others.",
            ]
        );
        let orders = json!({"priorityStrategy": {"orderPriority": [{"orderedKey": "number"}]}});
        assert_eq!(told(&orders, None), ["Updated first are pods with the highest number in label number."]);
    }

    #[test]
    fn grace_is_told_of_pods_that_stay_where_they_are() {
        let with = |kind: &str| json!({"type": kind, "inPlaceUpdateStrategy": {"gracePeriodSeconds": 10}});
        assert_eq!(
            told(&with("InPlaceIfPossible"), None),
            [
                "A pod that is updated in place is out of its Services for 10s before its containers start again."
            ]
        );
        assert!(told(&with("ReCreate"), None).is_empty());
    }
}
