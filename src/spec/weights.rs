//! Weights: the share of the traffic that the pods of a step get, by the routes that a strategy names.

use crate::model::{Amount, Name, Percent};
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::read::{Fields, quote_it};
use crate::spec::release::Strategy;
use crate::spec::report::Report;

/// Most routes of a strategy: a release that is led to by more of them is more than one.
pub const ROUTES_MAX: usize = 16;

/// Reads `routes`: names, and where each stands.
pub fn routes(list: &Node, path: &str, report: &mut Report) -> Vec<(Name, Spot)> {
    let Tree::List(items) = &list.tree else {
        let message = format!("`{path}` must be a list, not {}", list.what());
        report.error(list.at, message, "write `routes: [checkout]`");
        return Vec::new();
    };
    if items.is_empty() {
        report.error(list.at, format!("`{path}` names no route"), "write a name, or delete the line");
    }
    if items.len() > ROUTES_MAX {
        let message = format!("`{path}` has more than {ROUTES_MAX} routes");
        report.error(items[ROUTES_MAX].at, message, "name fewer");
        return Vec::new();
    }
    let mut routes: Vec<(Name, Spot)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(text) = item.text() else {
            let message = format!("`{path}[{index}]` must be text, not {}", item.what());
            report.error(item.at, message, quote_it(item));
            continue;
        };
        match text.parse::<Name>() {
            Ok(name) if routes.iter().any(|(known, _)| *known == name) => {
                let message = format!("`{path}` names `{name}` twice");
                report.error(
                    item.at,
                    message,
                    "name it once: an HTTPRoute and a GRPCRoute of one name are both meant",
                );
            }
            Ok(name) => routes.push((name, item.at)),
            Err(error) => {
                report.error(item.at, format!("`{path}[{index}]`: {error}"), "write the name of a route")
            }
        }
    }
    routes
}

/// Reads the `weight` of a step, in whole percent.
pub fn weight(fields: &Fields<'_>, report: &mut Report) -> Option<u32> {
    let at = fields.key_at("weight")?;
    let wrong = |report: &mut Report, what: &str| {
        report.error(at, format!("`{}` {what}", fields.path_of("weight")), "write a whole percentage, as 5%");
        None
    };
    match fields.amount("weight", report)? {
        Amount::Count(_) => wrong(report, "is a count, and no share of the traffic"),
        Amount::Percent(percent) => match percent.as_whole() {
            None => wrong(report, "has decimals"),
            whole => whole,
        },
    }
}

/// Checks the weights of a strategy with each other, its steps and its routes. `weights_at`: where each step has its own.
pub fn check(
    strategy: &Strategy,
    weights_at: &[Option<Spot>],
    routes_at: &[Spot],
    path: &str,
    report: &mut Report,
) {
    let written = strategy.steps.iter().zip(weights_at).enumerate();
    let written: Vec<_> =
        written.filter_map(|(index, (step, at))| Some((index, step, step.weight?, (*at)?))).collect();
    match (written.first(), routes_at.first()) {
        (Some((.., at)), None) => {
            let message = format!("a weight shares traffic by routes, and `{path}.routes` names none");
            report.error(
                *at,
                message,
                "add `routes: [NAME]`, with the name of an HTTPRoute, GRPCRoute or Ingress of the release",
            );
        }
        (None, Some(at)) => {
            let message = format!("`{path}.routes` names a route, and no step has a weight");
            report.error(*at, message, "add `weight: 5%` to a step, or delete the line");
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    let last = strategy.steps.len().saturating_sub(1);
    let mut before = 0;
    for (index, step, weight, at) in written {
        let none = matches!(step.replicas, Amount::Count(0) | Amount::Percent(Percent::ZERO));
        if weight < before {
            let message =
                format!("weights never fall: `{path}.steps[{index}]` has {weight}%, after {before}%");
            report.error(at, message, format!("write {before}% or more"));
        } else if index == last && weight != 100 {
            let message =
                format!("the last step, `{path}.steps[{last}]`, has all pods and {weight}% of the traffic");
            report.error(at, message, "write 100%, or delete the line");
        } else if none && weight > 0 {
            let message = format!("`{path}.steps[{index}]` has no pods, and {weight}% of the traffic");
            report.error(at, message, "write `replicas: 1`, or `weight: 0%`");
        }
        before = weight;
    }
}
