//! Strategies: steps or blue/green, `initial`, `deadline`, `onFailure`, `drain`, `failureThreshold`.

use serde_json::Value;

use crate::model::{Amount, Percent};
use crate::spec::blue_green;
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::read::{DURATION_MAX, Fields};
use crate::spec::release::{Approval, Initial, OnFailure, Serve, Step, Strategy};
use crate::spec::report::Report;
use crate::spec::{matches, weights};

/// Most steps of a strategy: one for each percent would be a misunderstanding.
pub const STEPS_MAX: usize = 50;
/// Most approvals that a step can ask for: more people than that do not look at one change.
pub const APPROVALS_MAX: u32 = 10;
/// Longest drain, in seconds: a pod that takes more than an hour to end blocks every node that is to be emptied.
pub const DRAIN_MAX: u32 = 3600;
/// Seconds after which a step that is not healthy has failed, where nothing is written.
const DEADLINE: u32 = 600;

/// A strategy and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenStrategy {
    /// What it says.
    pub strategy: Strategy,
    /// As written.
    pub value: Value,
    /// Where it begins.
    pub at: Spot,
    /// Where each step's `replicas` stands.
    pub steps_at: Vec<Spot>,
    /// Where `blueGreen` stands.
    pub blue_green_at: Option<blue_green::Places>,
    /// Where `initial` stands.
    pub initial_at: Option<Spot>,
    /// Where each of its routes stands.
    pub routes_at: Vec<Spot>,
    /// Where each of its matches stands.
    pub matches_at: Vec<Spot>,
    /// Where each step's `weight` stands.
    pub weights_at: Vec<Option<Spot>>,
    /// Where `drain` stands.
    pub drain_at: Option<Spot>,
}

impl Default for WrittenStrategy {
    /// What is meant where nothing is written: 100 % at once.
    fn default() -> Self {
        let strategy = Strategy {
            steps: vec![whole()],
            stepped: false,
            blue_green: None,
            initial: Initial::All,
            deadline: DEADLINE,
            on_failure: OnFailure::Rollback,
            drain: None,
            failure_threshold: Amount::Count(0),
            routes: Vec::new(),
            matches: Vec::new(),
        };
        Self {
            strategy,
            value: Value::Null,
            at: Spot::default(),
            steps_at: Vec::new(),
            blue_green_at: None,
            initial_at: None,
            routes_at: Vec::new(),
            matches_at: Vec::new(),
            weights_at: Vec::new(),
            drain_at: None,
        }
    }
}

fn whole() -> Step {
    let replicas = Amount::Percent(Percent::FULL);
    Step { replicas, soak: 0, approval: None, serve: Serve::Automatic, weight: None }
}

/// Reads the strategy that stands at `path`. `None` where a part of it cannot be read, so that nothing is taken for
/// its default; a strategy that can be read and breaks a rule is told, and returned.
pub fn read(node: &Node, path: &str, report: &mut Report) -> Option<WrittenStrategy> {
    let mut own = Report::default();
    let read = fields(node, path, &mut own);
    let is_broken = own.has_errors();
    report.append(own);
    let out = read.filter(|_| !is_broken)?;
    if out.strategy.stepped {
        let path = format!("{path}.steps");
        check_last(&out.strategy.steps, &out, &path, report);
        check_falls(&out.strategy.steps, &out.steps_at, &path, report);
    }
    weights::check(&out.strategy, &out.weights_at, &out.routes_at, path, report);
    matches::check(&out.strategy, &out.matches_at, path, report);
    Some(out)
}

fn fields(node: &Node, path: &str, report: &mut Report) -> Option<WrittenStrategy> {
    let known = [
        "routes",
        "matches",
        "steps",
        "blueGreen",
        "initial",
        "deadline",
        "onFailure",
        "drain",
        "failureThreshold",
    ];
    let fields = Fields::open(node, path, &known, report)?;
    let mut out = WrittenStrategy { value: node.to_value(), at: node.at, ..WrittenStrategy::default() };
    if let Some(list) = fields.get("steps", report) {
        steps(list, &fields.path_of("steps"), &mut out, report);
    }
    if let Some(node) = fields.get("blueGreen", report) {
        beside_blue_green(&fields, report);
        blue_green(node, &fields.path_of("blueGreen"), &mut out, report);
    }
    if let Some(list) = fields.get("routes", report) {
        let routes = weights::routes(list, &fields.path_of("routes"), report);
        (out.strategy.routes, out.routes_at) = routes.into_iter().unzip();
    }
    if let Some(list) = fields.get("matches", report) {
        let matches = matches::read(list, &fields.path_of("matches"), report);
        (out.strategy.matches, out.matches_at) = matches.into_iter().unzip();
    }
    let initial = fields.word("initial", &[("all", Initial::All), ("steps", Initial::Steps)], report);
    out.strategy.initial = initial.unwrap_or(Initial::All);
    out.initial_at = fields.key_at("initial");
    if let (Some(at), Initial::Steps, Some(_)) =
        (out.initial_at, out.strategy.initial, &out.strategy.blue_green)
    {
        let message = format!(
            "`{}: steps` beside `blueGreen`: a first release has no other beside which it could come up",
            fields.path_of("initial")
        );
        report.error(at, message, "delete the line");
    }
    out.strategy.deadline = fields.duration("deadline", 1..=DURATION_MAX, report).unwrap_or(DEADLINE);
    let failures = [("rollback", OnFailure::Rollback), ("hold", OnFailure::Hold)];
    out.strategy.on_failure = fields.word("onFailure", &failures, report).unwrap_or(OnFailure::Rollback);
    out.strategy.drain = fields.duration("drain", 1..=DRAIN_MAX, report);
    out.drain_at = fields.key_at("drain");
    let threshold_at = fields.key_at("failureThreshold");
    let threshold = threshold_at.and_then(|_| fields.amount("failureThreshold", report));
    if let (Some(at), Some(Amount::Percent(Percent::FULL))) = (threshold_at, threshold) {
        let message = format!(
            "`{}` of 100% would call a step healthy whose pods all fail",
            fields.path_of("failureThreshold")
        );
        report.error(at, message, "write the share of a step's pods that may fail, as 10%");
    }
    out.strategy.failure_threshold = threshold.unwrap_or(Amount::Count(0));
    Some(out)
}

fn blue_green(node: &Node, path: &str, out: &mut WrittenStrategy, report: &mut Report) {
    let Some(fields) = Fields::open(node, path, &blue_green::FIELDS, report) else { return };
    let approval =
        fields.get("approval", report).and_then(|node| approval(node, &fields.path_of("approval"), report));
    let Some((read, steps, places)) = blue_green::read(&fields, approval, report) else { return };
    out.strategy.steps = steps;
    out.strategy.stepped = true;
    out.strategy.blue_green = Some(read);
    out.blue_green_at = Some(places);
}

/// What blue/green leaves no room for: it has two steps of its own, and moves all traffic at once.
fn beside_blue_green(fields: &Fields<'_>, report: &mut Report) {
    let mut told = |key: &str, why: &str| {
        if let Some(at) = fields.key_at(key) {
            let message = format!("`{}` beside `blueGreen`, which {why}", fields.path_of(key));
            report.error(at, message, "delete one of the two");
        }
    };
    told("steps", "has two steps of its own");
    told("routes", "moves all traffic at once, by its Services");
}

fn steps(list: &Node, path: &str, out: &mut WrittenStrategy, report: &mut Report) {
    let Tree::List(items) = &list.tree else {
        let message = format!("`{path}` must be a list, not {}", list.what());
        report.error(list.at, message, "write `- replicas: 1` below it");
        return;
    };
    if items.len() > STEPS_MAX {
        let message = format!("`{path}` has more than {STEPS_MAX} steps");
        report.error(items[STEPS_MAX].at, message, "use fewer steps");
        return;
    }
    let mut steps = Vec::new();
    for (index, item) in items.iter().enumerate() {
        out.steps_at.push(item.get("replicas").map_or(item.at, |node| node.at));
        out.weights_at.push(item.get("weight").map(|node| node.at));
        steps.extend(step(item, &format!("{path}[{index}]"), report));
    }
    if !steps.is_empty() {
        out.strategy.steps = steps;
        out.strategy.stepped = true;
    }
}

fn step(node: &Node, path: &str, report: &mut Report) -> Option<Step> {
    let known = ["replicas", "weight", "soak", "approval", "serve", "batch"];
    let fields = Fields::open(node, path, &known, report)?;
    let replicas = fields.amount("replicas", report);
    let soak = fields.duration("soak", 0..=DURATION_MAX, report).unwrap_or(0);
    let approval =
        fields.get("approval", report).and_then(|node| approval(node, &fields.path_of("approval"), report));
    let serve = serve(&fields, report);
    let weight = weights::weight(&fields, report);
    Some(Step { replicas: replicas?, soak, approval, serve, weight })
}

fn serve(fields: &Fields<'_>, report: &mut Report) -> Serve {
    let by_approval = fields.word("serve", &[("automatic", false), ("approval", true)], report) == Some(true);
    let batch_at = fields.key_at("batch");
    let batch = batch_at.and_then(|_| fields.amount("batch", report));
    if let Some(at) = batch_at.filter(|_| !by_approval) {
        let message = format!("`{}` is for pods that serve by approval", fields.path_of("batch"));
        report.error(at, message, "add `serve: approval`, or delete the line");
    } else if let (Some(at), Some(Amount::Count(0) | Amount::Percent(Percent::ZERO))) = (batch_at, batch) {
        let message = format!("`{}` lets no pod in", fields.path_of("batch"));
        report.error(at, message, "write 1 or more, or a percentage");
    }
    if by_approval { Serve::Approval { batch } } else { Serve::Automatic }
}

fn approval(node: &Node, path: &str, report: &mut Report) -> Option<Approval> {
    if !matches!(node.tree, Tree::Map(_)) {
        let message = format!("`{path}` must be a map, not {}", node.what());
        report.error(node.at, message, "write `approval: {}`, or `approval: { count: 2 }`");
        return None;
    }
    let fields = Fields::open(node, path, &["count", "notAuthor"], report)?;
    let count = fields.number("count", 1..=APPROVALS_MAX, report).unwrap_or(1);
    let not_author = fields.flag("notAuthor", report).unwrap_or(false);
    Some(Approval { count, not_author })
}

fn check_last(steps: &[Step], out: &WrittenStrategy, path: &str, report: &mut Report) {
    let last = steps.len() - 1;
    if steps[last].replicas != Amount::Percent(Percent::FULL) {
        let message =
            format!("the last step, `{path}[{last}]`, is {}; a rollout ends at 100%", steps[last].replicas);
        report.error(out.steps_at[last], message, "add a step `- replicas: 100%`");
    }
}

/// Steps of one kind never fall, whatever the size.
fn check_falls(steps: &[Step], places: &[Spot], path: &str, report: &mut Report) {
    for (index, pair) in steps.windows(2).enumerate() {
        let falls = match (pair[0].replicas, pair[1].replicas) {
            (Amount::Count(before), Amount::Count(after)) => after < before,
            (Amount::Percent(before), Amount::Percent(after)) => after < before,
            (Amount::Count(_), Amount::Percent(_)) | (Amount::Percent(_), Amount::Count(_)) => false,
        };
        if falls {
            let (before, after) = (pair[0].replicas, pair[1].replicas);
            let message = format!("steps never fall: `{path}[{}]` is {after}, after {before}", index + 1);
            report.error(places[index + 1], message, format!("write {before} or more"));
        }
    }
}

/// The first step that falls because a count and a percentage meet at this size: its index, its pods and those of
/// the step before. Below the last step at least one old pod is left, so that at one replica no step falls.
#[must_use]
pub fn falls_at(strategy: &Strategy, replicas: u32) -> Option<(usize, u32, u32)> {
    let last = strategy.steps.len().saturating_sub(1);
    let pods = |index: usize| {
        let most = if index < last { replicas.saturating_sub(1) } else { replicas };
        strategy.steps[index].replicas.step_pods(replicas).min(most)
    };
    let is_count = |index: usize| matches!(strategy.steps[index].replicas, Amount::Count(_));
    let falls = |index: &usize| is_count(*index) != is_count(index - 1) && pods(*index) < pods(index - 1);
    (1..strategy.steps.len()).find(falls).map(|index| (index, pods(index), pods(index - 1)))
}
