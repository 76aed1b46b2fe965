//! In which order pods are exchanged: what Kruise's webhook refuses of `priorityStrategy` and `scatterStrategy`
//! (`apis/apps/pub/update_priority.go`, `apis/apps/v1alpha1/scatter_strategy.go`: `FieldsValidation`).

use std::collections::BTreeSet;

use crate::spec::node::{Node, Tree};
use crate::spec::report::Report;

/// Largest weight of a term.
const WEIGHT: u64 = 100;

/// Checks `spec.updateStrategy`.
pub fn check(update: &Node, report: &mut Report) {
    if let Some(priority) = update.get("priorityStrategy") {
        check_priority(priority, report);
    }
    if let Some(scatter) = update.get("scatterStrategy") {
        check_scatter(scatter, report);
    }
    let grace = update.find(&["inPlaceUpdateStrategy", "gracePeriodSeconds"]);
    if let Some(grace) =
        grace.filter(|grace| whole(grace).is_none_or(|seconds| i32::try_from(seconds).is_err()))
    {
        let message = "`spec.updateStrategy.inPlaceUpdateStrategy.gracePeriodSeconds` must be a whole number of seconds";
        report.error(grace.at, message, "write it as 10");
    }
}

fn whole(node: &Node) -> Option<u64> {
    match &node.tree {
        Tree::Number(number) => number.as_u64(),
        Tree::Null | Tree::Bool(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => None,
    }
}

fn check_priority(priority: &Node, report: &mut Report) {
    let terms = |key: &str| priority.get(key).map_or(&[][..], Node::items);
    let (weights, orders) = (terms("weightPriority"), terms("orderPriority"));
    if !weights.is_empty() && !orders.is_empty() {
        let message =
            "`priorityStrategy` has both weightPriority and orderPriority, and Kruise takes one of them";
        report.error(priority.at, message, "delete one of the two");
    }
    for term in weights {
        if term.get("weight").and_then(whole).is_none_or(|weight| weight > WEIGHT) {
            let at = term.get("weight").unwrap_or(term).at;
            let message =
                format!("the weight of a term of `weightPriority` must be a whole number from 0 to {WEIGHT}");
            report.error(at, message, "write such a number as `weight`");
        }
        let selects = |key: &str| {
            let part = term.find(&["matchSelector", key]);
            part.is_some_and(|part| !part.entries().is_empty() || !part.items().is_empty())
        };
        if !selects("matchLabels") && !selects("matchExpressions") {
            let message = "a term of `weightPriority` selects no pods";
            report.error(term.at, message, "write `matchSelector: { matchLabels: { … } }`");
        }
    }
    for term in orders.iter().filter(|term| is_empty(term, "orderedKey")) {
        let message = "a term of `orderPriority` names no label";
        report.error(term.at, message, "write `orderedKey:` and the label whose number counts");
    }
}

fn check_scatter(scatter: &Node, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for term in scatter.items() {
        let text = |key: &str| term.get(key).and_then(Node::text).unwrap_or_default();
        if is_empty(term, "key") {
            report.error(term.at, "a term of `scatterStrategy` names no label", "write `key:` and the label");
        } else if !seen.insert((text("key"), text("value"))) {
            let message = "`scatterStrategy` has the same label and value twice";
            report.error(term.at, message, "delete one of the two terms");
        }
    }
}

fn is_empty(term: &Node, key: &str) -> bool {
    term.get(key).and_then(Node::text).is_none_or(str::is_empty)
}
