//! Whether the CloneSet's selector selects the pods of its template. Kruise refuses one that does not.

use crate::spec::node::{Node, Tree};
use crate::spec::report::{Report, quote};
use crate::spec::texts;

/// Checks `spec.selector` against the labels of `spec.template`.
pub fn check(spec: &Node, report: &mut Report) {
    let Some(selector) = spec.get("selector") else {
        report.error(spec.at, "`spec.selector` is missing", "add `selector: { matchLabels: { app: … } }`");
        return;
    };
    texts::map(selector, "matchLabels", "spec.selector", report);
    let labels = selector.get("matchLabels").map_or(&[][..], Node::entries);
    let expressions = selector.get("matchExpressions").map_or(&[][..], Node::items);
    if labels.is_empty() && expressions.is_empty() {
        let message = "`spec.selector` selects nothing by name";
        report.error(selector.at, message, "add `matchLabels: { app: … }`, as in the template");
        return;
    }
    let template = spec.find(&["template", "metadata", "labels"]);
    let label = |key: &str| template.and_then(|labels| labels.get(key)).and_then(Node::text);
    for entry in labels {
        let Some(wanted) = entry.node.text() else { continue };
        let has = label(&entry.key);
        if has != Some(wanted) {
            let (key, wanted) = (quote(&entry.key), quote(wanted));
            let found =
                has.map_or("has no such label".to_owned(), |value| format!("has `{key}: {}`", quote(value)));
            let message = format!("the selector wants `{key}: {wanted}`, and the template {found}");
            report.error(entry.at, message, "write the same label under `spec.template.metadata.labels`");
        }
    }
    for expression in expressions {
        check_expression(expression, label, report);
    }
}

fn check_expression<'n>(expression: &Node, label: impl Fn(&str) -> Option<&'n str>, report: &mut Report) {
    let key = expression.get("key").and_then(Node::text);
    let operator = expression.get("operator").and_then(Node::text);
    let values = || expression.get("values").map_or(&[][..], Node::items).iter().filter_map(Node::text);
    let (Some(key), Some(operator), Tree::Map(_)) = (key, operator, &expression.tree) else {
        let cure = "write `{ key: app, operator: In, values: [checkout] }`";
        report.error(expression.at, "an expression of `spec.selector` lacks key or operator", cure);
        return;
    };
    let value = label(key);
    let matches = match operator {
        "In" => value.is_some_and(|value| values().any(|it| it == value)),
        "NotIn" => value.is_none_or(|value| values().all(|it| it != value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => {
            let message = format!("`{}` is no operator of a selector", quote(operator));
            report.error(expression.at, message, "write In, NotIn, Exists or DoesNotExist");
            return;
        }
    };
    if !matches {
        let message = format!("the template's labels do not match `{} {}`", quote(key), quote(operator));
        report.error(expression.at, message, "mend `spec.template.metadata.labels`");
    }
}
