//! The screens: one release in detail, and the table of all. Text from data, nothing else.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::output::{Paint, Tint};
use crate::cli::table::{Cell, Table};
use crate::model::{Hold, LiftKind, ReleaseId};
use crate::objects::record::{
    ApprovalView, CloneSetView, Phase, Role, StepState, StepView, Transition, View,
};
use crate::plan::holds::pods;
use crate::spec::diagnostic::plain;

/// Polls that may be missed before it is said that Git does not answer, as the daemon itself counts.
const POLLS_MISSED: i64 = 3;
/// Seconds for which that is never said: a branch may be slow to read.
const SILENCE_MIN: i64 = 30;

/// What is known of the repository, and of the daemon that follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GitView {
    /// The head that the daemon has seen last.
    pub head: Option<String>,
    /// The head that the records tell of.
    pub told_head: Option<String>,
    /// When Git was last asked with success.
    pub polled_at: Option<Timestamp>,
    /// Seconds between two polls.
    pub interval: Option<u32>,
    /// The repository, without credentials.
    pub repository: Option<String>,
    /// The daemon that runs, by name; none where the last one has ended.
    pub daemon: Option<String>,
    /// When a daemon last renewed its lease.
    pub renewed_at: Option<Timestamp>,
}

impl GitView {
    /// Why what the records say may not be so any more; nothing where a daemon runs and Git answers it.
    #[must_use]
    pub fn trouble(&self, now: Timestamp) -> Option<String> {
        let ago = |then: Timestamp| now.as_second() - then.as_second();
        let renewed = self.renewed_at?;
        let Some(daemon) = &self.daemon else {
            return Some(format!(
                "no daemon runs: the last one ended {} ago, and nothing moves",
                since(renewed, now)
            ));
        };
        if ago(renewed) > SILENCE_MIN {
            let silent = since(renewed, now);
            return Some(format!("the daemon {daemon} was last heard of {silent} ago, and nothing moves"));
        }
        let patience = self.interval.map_or(0, |seconds| POLLS_MISSED * i64::from(seconds)).max(SILENCE_MIN);
        let polled = self.polled_at.filter(|at| ago(*at) > patience)?;
        Some(format!("Git has not answered the daemon for {}: nothing new is started", since(polled, now)))
    }
}

/// What is wrong with the daemons of these releases, each said once.
#[must_use]
pub fn troubles(rows: &[Row], now: Timestamp, paint: Paint) -> Vec<String> {
    let all: BTreeSet<String> = rows.iter().filter_map(|row| row.git.trouble(now)).collect();
    all.into_iter().map(|text| format!("{} {text}", paint.tint(Tint::Bad, "not up to date:"))).collect()
}

/// One release, as `status -o json` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What the record says.
    #[serde(flatten)]
    pub view: View,
    /// The repository.
    pub git: GitView,
}

impl Row {
    /// The release `id` as its record shows it.
    #[must_use]
    pub fn new(id: &ReleaseId, view: View, git: GitView) -> Self {
        Self { namespace: id.namespace.to_string(), name: id.name.to_string(), view, git }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// What a phase looks like: its sign, its word, its colour. A record that no daemon has written, as one that was made
/// by hand, has none.
fn phase_sign(view: &View) -> (&'static str, &'static str, Tint) {
    if *view == View::default() {
        return ("?", "not followed", Tint::Warn);
    }
    match view.phase {
        Phase::Healthy => ("✔", "healthy", Tint::Good),
        Phase::Progressing => ("◌", "progressing", Tint::Plain),
        Phase::Paused => ("॥", "paused", Tint::Warn),
        Phase::RollingBack => ("◌", "rolling back", Tint::Warn),
        Phase::Degraded => ("✖", "degraded", Tint::Bad),
    }
}

/// What a step looks like.
const fn step_sign(state: StepState) -> (&'static str, &'static str, Tint) {
    match state {
        StepState::Done => ("✔", "done", Tint::Good),
        StepState::Here => ("◌", "here", Tint::Strong),
        StepState::Waiting => ("॥", "waiting", Tint::Warn),
        StepState::Failed => ("✖", "failed", Tint::Bad),
        StepState::Ahead => (" ", "ahead", Tint::Faint),
    }
}

/// Seconds in the two largest units that matter: `4s`, `38m`, `2h05m`, `3d04h`.
#[must_use]
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, 1..10) if seconds % 60 > 0 => format!("{minutes}m{:02}s", seconds % 60),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) if minutes % 60 > 0 => format!("{hours}h{:02}m", minutes % 60),
        (0, _, _) => format!("{hours}h"),
        (_, _, _) if hours % 24 > 0 => format!("{days}d{:02}h", hours % 24),
        (_, _, _) => format!("{days}d"),
    }
}

fn since(then: Timestamp, now: Timestamp) -> String {
    span(now.as_second() - then.as_second())
}

/// `2.4.0 → 2.4.1`, or the one version that there is.
#[must_use]
pub fn version(view: &View) -> String {
    view.version.text().unwrap_or_else(|| "–".to_owned())
}

/// Thirty-two digits of a digest are for machines; here four tell them apart.
fn shorten(path: &str) -> String {
    let is_digest = |part: &str| part.len() >= 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let short = |part: &str| if is_digest(part) { format!("{}…", &part[..4]) } else { part.to_owned() };
    path.split('/').map(short).collect::<Vec<_>>().join("/")
}

/// The hold to name first: one that a person can lift.
#[must_use]
pub fn foremost(holds: &[Hold]) -> Option<&Hold> {
    holds.iter().find(|hold| hold.lift.kind != LiftKind::Wait).or_else(|| holds.first())
}

/// What the person is to do, in one word.
const fn act(kind: LiftKind) -> &'static str {
    match kind {
        LiftKind::Approve => "approve",
        LiftKind::Commit => "commit",
        LiftKind::Cluster => "cluster",
        LiftKind::Configure => "config",
        LiftKind::Wait => "waits",
    }
}

/// The table of `status`.
#[must_use]
pub fn list(rows: &[Row], now: Timestamp, paint: Paint) -> String {
    let mut table = Table::new(["RELEASE", "VERSION", "STEP", "PODS", "STATE", "WAITS FOR"]);
    for row in rows {
        let view = &row.view;
        let (sign, word, tint) = phase_sign(view);
        let steps = if view.steps.is_empty() {
            "–".to_owned()
        } else {
            format!("{}/{}", view.step, view.steps.len())
        };
        table.row([
            Cell::new(Tint::Strong, row.id()),
            Cell::plain(version(view)),
            Cell::plain(steps),
            Cell::plain(view.pods_text(view.pods.updated)),
            Cell::new(tint, format!("{sign} {word}")),
            Cell::plain(foremost(&view.holds).map(|hold| waits_for(hold, now)).unwrap_or_default()),
        ]);
    }
    table.print("", paint)
}

fn waits_for(hold: &Hold, now: Timestamp) -> String {
    let gate = hold.gate.word();
    let age = hold.since.map(|then| format!(" for {}", since(then, now))).unwrap_or_default();
    let cure = hold.lift.command.as_ref().map(|command| format!(": {command}")).unwrap_or_default();
    format!("{gate}{age}{cure}")
}

/// One release in detail.
#[must_use]
pub fn detail(row: &Row, now: Timestamp, paint: Paint) -> String {
    let view = &row.view;
    let mut lines = vec![headline(row, now, paint)];
    if *view == View::default() {
        lines.push(field(
            "needs",
            "no daemon has told of it yet: is it in the repository that one follows?",
            paint,
        ));
    }
    for hold in &view.holds {
        lines.extend(hold_lines(hold, paint));
    }
    lines.extend(back_line(row, paint));
    lines.extend(clonesets(view, now, paint));
    for ignored in &view.ignored {
        lines.push(field("ignored", &format!("{}: {}", shorten(&ignored.path), ignored.reason), paint));
    }
    if !view.steps.is_empty() {
        lines.push(String::new());
        lines.push(steps(&view.steps, now, paint));
    }
    lines.push(String::new());
    lines.push(field("git", &origin(row, now), paint));
    lines.join("\n")
}

fn headline(row: &Row, now: Timestamp, paint: Paint) -> String {
    let view = &row.view;
    let (sign, word, tint) = phase_sign(view);
    let mut facts = vec![paint.tint(tint, &format!("{sign} {word}"))];
    if view.phase != Phase::Healthy && !view.steps.is_empty() {
        let failed = view.steps.iter().position(|step| step.state == StepState::Failed);
        facts.push(match failed {
            Some(index) => format!("failed at step {} of {}", index + 1, view.steps.len()),
            None => format!("step {} of {}", view.step, view.steps.len()),
        });
    }
    // Before step 1 the pods are those of the release that runs, not of the one that waits.
    let running = view.version.from.as_ref().filter(|_| view.step == 0);
    let on = running.map(|version| format!(" on {version}")).unwrap_or_default();
    let short = view.pods.updated_available < view.pods.updated;
    let available = short.then(|| format!("{} available", view.pods.updated_available));
    if view.is_beside() {
        let available = available.map(|text| format!(" ({text})")).unwrap_or_default();
        let (new, serve) = (pods(view.pods.updated), view.pods.desired);
        facts.push(format!("{new}{available} beside the {serve} that serve"));
    } else {
        facts.push(format!("{} of {} pods{on}", view.pods.updated, view.pods.desired));
        facts.extend(available);
    }
    if let Some(then) = foremost(&view.holds).and_then(|hold| hold.since) {
        facts.push(format!("waits {}", since(then, now)));
    }
    format!("{}  {}   {}", paint.tint(Tint::Strong, &row.id()), version(view), facts.join(" · "))
}

fn field(name: &str, text: &str, paint: Paint) -> String {
    format!("  {} {}", paint.tint(Tint::Faint, &format!("{name:<8}")), plain(text))
}

fn hold_lines(hold: &Hold, paint: Paint) -> Vec<String> {
    let by_itself = hold.lift.kind == LiftKind::Wait;
    let name = if by_itself { "waits" } else { "needs" };
    let mut lines = vec![field(name, &hold.message, paint)];
    let path = hold.lift.path.as_deref().map(shorten);
    let touches = if hold.lift.kind == LiftKind::Approve { "adds" } else { "in" };
    let cure = match (&hold.lift.command, path) {
        (Some(command), Some(path)) => Some(format!("{command:<40} {touches} {path}")),
        (Some(command), None) => Some(command.clone()),
        (None, Some(path)) => Some(path),
        (None, None) => None,
    };
    lines.extend(cure.map(|cure| field(act(hold.lift.kind), &cure, paint)));
    lines
}

/// Which of its CloneSets serves, and what the others are there for.
fn clonesets(view: &View, now: Timestamp, paint: Paint) -> Vec<String> {
    let line = |it: &CloneSetView| {
        let name = match it.role {
            Role::Serves => "serves",
            Role::Next => "next",
            Role::Kept => "keeps",
            Role::Leaves => "leaves",
        };
        let version = it.version.as_ref().map(|version| format!("{version}: ")).unwrap_or_default();
        let until = it.until.map(|until| {
            let left = span(until.as_second() - now.as_second());
            format!(", until {until:.0} (for {left}): until then a revert is one write")
        });
        let text = format!("{version}{} of CloneSet {}", pods(it.pods), it.name);
        field(name, &format!("{text}{}", until.unwrap_or_default()), paint)
    };
    view.clonesets.iter().map(line).collect()
}

/// How to take it back, while there is something that can be.
fn back_line(row: &Row, paint: Paint) -> Option<String> {
    let view = &row.view;
    let under_way = match view.phase {
        Phase::Progressing | Phase::Paused => {
            view.proven_digest.is_some() && view.proven_digest != view.digest
        }
        Phase::Healthy | Phase::RollingBack | Phase::Degraded => false,
    };
    // Which commit to revert is not said: it may have brought a size or a Service besides, or came in two parts.
    let proven = view.version.from.as_ref().filter(|_| under_way)?;
    let revert = format!("triton rollback {}, or git revert to {proven}", row.id());
    // Before step 1 every pod is where it would go back to.
    let pods = match view.pods.updated {
        _ if view.step == 0 => String::new(),
        0 => String::new(),
        many => format!("   ({})", pods(many)),
    };
    Some(field("back", &format!("{revert}{pods}"), paint))
}

fn short_commit(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// The table of the steps.
fn steps(steps: &[StepView], now: Timestamp, paint: Paint) -> String {
    let mut table = Table::new(["STEP", "TARGET", "PODS", "STATE", "ENTERED", "SOAK", "APPROVED BY"]);
    for (index, step) in steps.iter().enumerate() {
        let (sign, word, tint) = step_sign(step.state);
        let entered = step.entered_at.map(|then| format!("{} ago", since(then, now)));
        let soak = if step.soak == 0 { "–".to_owned() } else { span(i64::from(step.soak)) };
        table.row([
            Cell::plain((index + 1).to_string()),
            Cell::plain(target(step)),
            Cell::plain(step.pods.to_string()),
            Cell::new(tint, format!("{sign} {word}")),
            Cell::plain(entered.unwrap_or_else(|| "–".to_owned())),
            Cell::plain(soak),
            Cell::plain(approvers(step)),
        ]);
    }
    table.print("  ", paint)
}

/// What a step asks for, and what of the traffic its pods get, or by which Service.
fn target(step: &StepView) -> String {
    let weight = step.weight.map(|weight| format!(", weight {weight}%"));
    let testers = if step.testers { " and testers" } else { "" };
    let service = step.service.as_ref().map(|service| format!(" at {service}"));
    format!("{}{}{testers}", step.target, weight.or(service).unwrap_or_default())
}

/// Who has approved a step, and who has let its pods serve, where it asks for that.
fn approvers(step: &StepView) -> String {
    let entered = entered_by(step);
    // Pods of one that was passed without anybody serve all the same.
    let passed = step.state == StepState::Done;
    let Some(serve) = step.serve.as_ref().filter(|it| !passed || !it.is_empty()) else { return entered };
    let serve = if serve.is_empty() { "nobody".to_owned() } else { named(serve) };
    let entered = Some(entered).filter(|text| text != "–").map(|text| format!("{text}; "));
    format!("{}to serve: {serve}", entered.unwrap_or_default())
}

fn named(approvals: &[ApprovalView]) -> String {
    let who = |it: &ApprovalView| format!("{} ({})", it.who, short_commit(&it.commit));
    approvals.iter().map(who).collect::<Vec<_>>().join(", ")
}

fn entered_by(step: &StepView) -> String {
    let names = named(&step.approvals);
    if matches!(step.state, StepState::Done | StepState::Here) && names.is_empty() {
        // It was entered without, as a first release and a rollback are.
        return "–".to_owned();
    }
    let missing = usize::try_from(step.needs).unwrap_or(usize::MAX).saturating_sub(step.approvals.len());
    match (names.is_empty(), missing) {
        (true, 0) => "–".to_owned(),
        (true, missing) => format!("nobody, needs {missing}"),
        (false, 0) => names,
        (false, missing) => format!("{names}, needs {missing} more"),
    }
}

fn origin(row: &Row, now: Timestamp) -> String {
    let view = &row.view;
    let mut facts = Vec::new();
    if let Some(commit) = &view.commit {
        facts.push(format!("commit {}", short_commit(commit)));
    }
    if let Some(digest) = &view.digest {
        facts.push(format!("digest {}", digest.get(..12).unwrap_or(digest)));
    }
    if let Some(head) = &row.git.head {
        let polled = row.git.polled_at.map(|then| format!(", polled {} ago", since(then, now)));
        facts.push(format!("head {}{}", short_commit(head), polled.unwrap_or_default()));
    }
    if facts.is_empty() { "not known".to_owned() } else { facts.join(" · ") }
}

/// Why a release does not move: every hold with its whole paths.
#[must_use]
pub fn why(row: &Row, now: Timestamp, paint: Paint) -> String {
    let view = &row.view;
    let mut lines = vec![headline(row, now, paint)];
    if view.holds.is_empty() {
        lines.push(field("holds", "none: nothing is waited for", paint));
    }
    lines.extend(clonesets(view, now, paint));
    for hold in &view.holds {
        lines.push(String::new());
        lines.push(field("gate", hold.gate.word(), paint));
        lines.push(field("needs", &hold.message, paint));
        if let Some(then) = hold.since {
            lines.push(field("since", &format!("{then:.0} ({})", since(then, now)), paint));
        }
        lines.push(field("lifted", who_lifts(hold.lift.kind), paint));
        lines.extend(hold.lift.command.as_ref().map(|command| field("command", command, paint)));
        lines.extend(hold.lift.path.as_ref().map(|path| field("file", path, paint)));
    }
    if !view.ignored.is_empty() {
        lines.push(String::new());
    }
    for ignored in &view.ignored {
        lines.push(field("ignored", &ignored.path, paint));
        lines.push(field("", &ignored.reason, paint));
    }
    lines.join("\n")
}

const fn who_lifts(kind: LiftKind) -> &'static str {
    match kind {
        LiftKind::Approve => "by an approval: a commit that adds a marker",
        LiftKind::Commit => "by a commit to the repository",
        LiftKind::Cluster => "by a command against the cluster",
        LiftKind::Configure => "by the daemon's configuration",
        LiftKind::Wait => "by itself",
    }
}

/// Something that happened to a release: what the daemon did, or a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What, and when. Of a commit, `head` is its id.
    #[serde(flatten)]
    pub transition: Transition,
    /// Author of the commit; none for what the daemon did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

impl Event {
    /// A commit's beginning: its author and id are still to be said.
    #[must_use]
    pub fn of(time: Timestamp, decision: &str, message: &str) -> Self {
        let (decision, message) = (decision.to_owned(), message.to_owned());
        Transition { time, decision, message, digest: None, step: 0, head: None }.into()
    }
}

impl From<Transition> for Event {
    fn from(transition: Transition) -> Self {
        Self { transition, author: None }
    }
}

/// What happened to a release, oldest first.
#[must_use]
pub fn history(events: &[Event], paint: Paint) -> String {
    let mut table = Table::new(["TIME", "WHO", "DID", "STEP", "COMMIT", "WHAT"]);
    for Event { transition: it, author } in events {
        let (who, step) = match author {
            Some(author) => (author.clone(), "–".to_owned()),
            None => ("triton".to_owned(), it.step.to_string()),
        };
        table.row([
            Cell::new(Tint::Faint, format!("{:.0}", it.time)),
            Cell::plain(who),
            Cell::new(Tint::Strong, it.decision.clone()),
            Cell::plain(step),
            Cell::plain(it.head.as_deref().map_or("–", short_commit).to_owned()),
            Cell::plain(it.message.clone()),
        ]);
    }
    table.print("", paint)
}
