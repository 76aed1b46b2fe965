//! What merging will do, in sentences: Git before and after, and what the cluster has, where it was seen. Text from
//! data, nothing else.

use serde::Serialize;

use crate::cli::render::span;
use crate::model::{Hold, ReleaseId};
use crate::plan::permit::{asked, permitted};
use crate::plan::steps;
use crate::spec::{Initial, Release};
use crate::world::{Case, Decision, Desired, Intent, Marker, Memory, Move, Permit, Policy};

/// What is said of one release. `plan -o json` has a list of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version (image tag) before; none for a new release.
    pub from: Option<String>,
    /// Its version after; none for one that is removed.
    pub to: Option<String>,
    /// What happens, in order.
    pub sentences: Vec<String>,
    /// Approvals that count now and will not after.
    pub approvals_voided: usize,
    /// Every gate that will be closed; only where the cluster was seen.
    pub holds: Vec<Hold>,
}

/// What the cluster has of a release, and what the daemon would do.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The release.
    pub case: &'a Case,
    /// The decision.
    pub moved: &'a Move,
}

impl Seen<'_> {
    fn memory(&self) -> Option<&Memory> {
        self.case.memory()
    }

    /// Pods on the release with this digest.
    fn pods_on(&self, release: &Release) -> u32 {
        let entered = self.memory().is_some_and(|memory| memory.digest == release.digest);
        self.case.live.as_ref().filter(|_| entered).map_or(0, |live| live.status.updated)
    }

    /// Whether a release is entered and complete: its approvals are spent.
    fn is_complete(&self, release: &Release) -> bool {
        let is_top = |memory: &Memory| memory.top().is_some_and(|top| top.digest == release.digest);
        self.memory().is_some_and(|memory| memory.digest == release.digest && is_top(memory))
    }
}

/// What merging does to one release; nothing where it changes nothing of it.
#[must_use]
pub fn forecast(
    id: &ReleaseId,
    before: Option<&Desired>,
    after: Option<&Desired>,
    policy: &Policy,
    seen: Option<Seen<'_>>,
) -> Option<Forecast> {
    let (old, new) = (before.and_then(intent), after.and_then(intent));
    let version = |intent: Option<&Intent>| intent.map(|intent| intent.release.version.clone());
    let mut out = Forecast {
        namespace: id.namespace.to_string(),
        name: id.name.to_string(),
        from: version(old),
        to: version(new),
        ..Forecast::default()
    };
    match (old, new) {
        (Some(old), Some(new)) => Change { id, old, new, policy, seen }.tell(&mut out),
        (None, Some(new)) => created(id, before, new, policy, seen, &mut out),
        (old, None) => lost(id, before, old, after, seen, &mut out),
    }
    if out.sentences.is_empty() {
        return None;
    }
    out.holds = seen.map(|seen| seen.moved.holds().to_vec()).unwrap_or_default();
    Some(out)
}

fn intent(desired: &Desired) -> Option<&Intent> {
    match desired {
        Desired::Release(intent) => Some(intent),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
    }
}

/// A release that Git did not have, or could not read.
fn created(
    id: &ReleaseId,
    before: Option<&Desired>,
    new: &Intent,
    policy: &Policy,
    seen: Option<Seen<'_>>,
    out: &mut Forecast,
) {
    let release = &new.release;
    let version = &release.version;
    if matches!(before, Some(Desired::Broken(_))) {
        out.sentences.push(format!("Merging this mends the files of {id}: Git says {version} again."));
    } else if seen.is_some_and(|seen| seen.case.live.is_some()) {
        out.sentences.push(format!("Merging this adds {id} {version}, whose CloneSet exists already."));
    } else {
        let how = match release.strategy.initial {
            Initial::All => "all at once",
            Initial::Steps => "by its steps",
        };
        let size = release.replicas.map(|size| format!(" with {}", pods(size))).unwrap_or_default();
        out.sentences.push(format!("Merging this creates {id} {version}{size}, {how}."));
    }
    if let Some(seen) = seen {
        wait(seen, out);
    } else if permitted(new, policy).furthest == 0 {
        out.sentences.push("Git permits none of its steps yet.".to_owned());
    }
}

/// A release that Git will not have, or cannot read.
fn lost(
    id: &ReleaseId,
    before: Option<&Desired>,
    old: Option<&Intent>,
    after: Option<&Desired>,
    seen: Option<Seen<'_>>,
    out: &mut Forecast,
) {
    if let Some(Desired::Broken(mistakes)) = after {
        if matches!(before, Some(Desired::Broken(_))) {
            return;
        }
        let first = mistakes.first().map(|first| format!(": {first}")).unwrap_or_default();
        out.sentences.push(format!("Merging this breaks the files of {id}{first}"));
        out.sentences.push("What runs stays and is repaired; nothing new starts.".to_owned());
        return;
    }
    let Some(old) = old else { return };
    let companions = match old.release.companions.len() {
        0 => String::new(),
        1 => " and 1 companion".to_owned(),
        many => format!(" and {many} companions"),
    };
    out.sentences.push(if old.release.orphan {
        format!(
            "Merging this leaves {id} to itself: its CloneSet{companions} stay, and nobody looks after them."
        )
    } else {
        format!("Merging this removes {id}: its CloneSet{companions} and every pod are deleted.")
    });
    if let Some(seen) = seen {
        wait(seen, out);
    }
    out.sentences.push("Back: revert it; what was deleted is made again.".to_owned());
}

/// What else is closed.
fn wait(seen: Seen<'_>, out: &mut Forecast) {
    for hold in seen.moved.holds() {
        let lift = hold.lift.command.as_ref().or(hold.lift.path.as_ref());
        let lift = lift.map(|lift| format!(" Lifted by: {lift}")).unwrap_or_default();
        out.sentences.push(format!("It waits: {}.{lift}", hold.message));
    }
}

/// A release that Git has before and after.
struct Change<'a> {
    id: &'a ReleaseId,
    old: &'a Intent,
    new: &'a Intent,
    policy: &'a Policy,
    seen: Option<Seen<'a>>,
}

impl Change<'_> {
    fn release(&self) -> &Release {
        &self.new.release
    }

    /// The size that the steps are counted at, where it is known.
    fn size(&self) -> Option<u32> {
        self.release().replicas.or_else(|| Some(self.seen?.case.live.as_ref()?.replicas))
    }

    fn tell(&self, out: &mut Forecast) {
        let (old, new) = (&self.old.release, &self.new.release);
        if old.template != new.template || old.attempt != new.attempt {
            self.rollout(out);
        } else if old.digest != new.digest {
            out.sentences
                .push(format!("Merging this changes {}, but no pod: {} stays.", self.id, new.version));
        }
        if old.digest != new.digest {
            self.companions(out);
            self.voided(out);
        } else {
            self.permits(out);
        }
        self.size_and_stops(out);
    }

    /// A new template, or a new try of the same.
    fn rollout(&self, out: &mut Forecast) {
        let (id, version) = (self.id, &self.release().version);
        if self.seen.is_some_and(|seen| seen.moved.decision == Decision::RollBack) {
            out.sentences.push(format!(
                "Merging this takes {id} back to {version}: every pod, without approvals, soak or freeze."
            ));
            return;
        }
        let next = self.next();
        if permitted(self.new, self.policy).furthest < next {
            out.sentences.push(format!("Merging this moves no pod of {id} yet: {}.", self.missing(next)));
        } else {
            out.sentences.push(format!("Merging this lets {id} {version} go from {}.", self.way(0, next)));
        }
        self.then(next, out);
        out.sentences.push("Back: revert it.".to_owned());
    }

    /// Another permission for the same release.
    fn permits(&self, out: &mut Forecast) {
        let (before, after) = (permitted(self.old, self.policy), permitted(self.new, self.policy));
        let (id, version) = (self.id, &self.release().version);
        if after.skip && !before.skip {
            out.sentences.push(format!(
                "Merging this opens approvals, soak and freezes for {id} {version}; pods must still be healthy."
            ));
        }
        let given = |intent: &Intent| {
            let counts = intent.markers.iter().filter(|it| it.counts.is_ok());
            counts.filter(|it| matches!(it.permits, Some(Permit::Step(_)))).count()
        };
        if after.furthest > before.furthest {
            let next = self.next().max(before.furthest + 1).min(after.furthest);
            out.sentences.push(format!(
                "Merging this lets {id} {version} go from {}.",
                self.way(before.furthest, next)
            ));
            self.then(next, out);
            out.sentences
                .push("Back: revert what changed its template; reverting this only stops it.".to_owned());
        } else if after.furthest < before.furthest {
            out.sentences.push(format!(
                "Merging this stops {id} {version} at step {}: no pod is taken back.",
                after.furthest.max(self.entered())
            ));
        } else if given(self.new) > given(self.old) {
            let next = after.furthest + 1;
            let lacks = if next <= self.release().last_step() {
                format!(" {}.", capital(&self.missing(next)))
            } else {
                String::new()
            };
            out.sentences.push(format!("Merging this approves a step of {id} {version}.{lacks}"));
        }
    }

    /// What is applied beside the CloneSet.
    fn companions(&self, out: &mut Forecast) {
        let (old, new) = (&self.old.release, &self.new.release);
        if old.strategy != new.strategy {
            out.sentences.push("Its strategy changes.".to_owned());
        }
        for companion in &new.companions {
            let key = &companion.body.key;
            match old.companions.iter().find(|it| it.body.key == *key) {
                Some(before) if before.body == companion.body => {}
                Some(_) if old.template == new.template => {
                    out.sentences.push(format!("{} {} changes: it is applied at once.", key.kind, key.name));
                }
                Some(_) => out.sentences.push(format!(
                    "{} {} changes: it is applied before the first new pod, and the old ones see it too.",
                    key.kind, key.name
                )),
                None => out.sentences.push(format!("{} {} is new: it is applied first.", key.kind, key.name)),
            }
        }
        for key in old.companions.iter().map(|it| &it.body.key) {
            if !new.companions.iter().any(|it| it.body.key == *key) {
                out.sentences.push(format!("{} {} is deleted once this is complete.", key.kind, key.name));
            }
        }
    }

    /// Approvals of the old digest that have not been used.
    fn voided(&self, out: &mut Forecast) {
        let old = &*self.old.release;
        if self.seen.is_some_and(|seen| seen.is_complete(old)) {
            return;
        }
        let count = self.old.markers.iter().filter(|marker| marker.counts.is_ok()).count();
        out.approvals_voided = count;
        // From Git alone it cannot be told whether they were used.
        let unless =
            if self.seen.is_none() { format!(", unless {} is complete", old.version) } else { String::new() };
        match count {
            0 => {}
            1 => out.sentences.push(format!("This edit voids 1 approval{unless}.")),
            many => out.sentences.push(format!("This edit voids {many} approvals{unless}.")),
        }
        let next = permitted(self.new, self.policy).furthest + 1;
        if count > 0 && next <= self.release().last_step() && old.template == self.release().template {
            out.sentences.push(format!("Then: {}.", self.missing(next)));
        }
    }

    /// Replicas, suspend and freezes.
    fn size_and_stops(&self, out: &mut Forecast) {
        let (old, new, id) = (&self.old.release, &self.new.release, self.id);
        match (old.replicas, new.replicas) {
            (Some(before), Some(after)) if before != after => out.sentences.push(format!(
                "{id} goes from {before} to {} at once; the share of each version stays.",
                pods(after)
            )),
            (Some(before), None) => out.sentences.push(format!(
                "Git gives up the replicas of {id}: they stay at {before} until an autoscaler owns them."
            )),
            (None, Some(after)) => {
                out.sentences.push(format!("Git takes over the replicas of {id}: {}.", pods(after)));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        match (old.suspend, new.suspend) {
            (false, true) => out.sentences.push(format!("Merging this stops {id} at its present step.")),
            (true, false) => out.sentences.push(format!("Merging this lets {id} go on.")),
            (true, true) | (false, false) => {}
        }
        let has = |intent: &Intent, path: &str| intent.freezes.iter().any(|freeze| freeze.path == path);
        for freeze in self.new.freezes.iter().filter(|it| !has(self.old, &it.path)) {
            out.sentences.push(format!("{} freezes {id}: {}.", freeze.path, freeze.reason));
        }
        for freeze in self.old.freezes.iter().filter(|it| !has(self.new, &it.path)) {
            out.sentences.push(format!("{} freezes {id} no more.", freeze.path));
        }
    }

    /// The entered step of this very release; 0 where it is not entered, or nobody has looked.
    fn entered(&self) -> u32 {
        let memory = self.seen.as_ref().and_then(Seen::memory);
        memory.filter(|memory| memory.digest == self.release().digest).map_or(0, |memory| memory.step)
    }

    /// The step that is entered next.
    fn next(&self) -> u32 {
        if let Some(Decision::Enter(step)) = self.seen.map(|seen| &seen.moved.decision) {
            return (*step).max(1);
        }
        (self.entered() + 1).min(self.release().last_step())
    }

    /// `1 pod to 5 of 10 (50%)`; `from` is the step that was permitted, for where the cluster was not seen.
    fn way(&self, from: u32, to: u32) -> String {
        let release = self.release();
        let start = match (self.seen, self.size()) {
            (Some(seen), _) => pods(seen.pods_on(release)),
            (None, Some(size)) => pods(steps::pods(release, from, size)),
            (None, None) => format!("step {from}"),
        };
        format!("{start} to {}", self.target(to))
    }

    /// `5 of 10 (50%)`, or `50%` where the size is not known.
    fn target(&self, step: u32) -> String {
        let written =
            (step as usize).checked_sub(1).and_then(|index| self.release().strategy.steps.get(index));
        let written = written.map(|step| step.replicas.to_string()).unwrap_or_default();
        match self.size() {
            None => written,
            Some(size) => {
                let count = steps::pods(self.release(), step, size);
                let share = if written.ends_with('%') { format!(" ({written})") } else { String::new() };
                format!("{count} of {size}{share}")
            }
        }
    }

    /// What a step itself lacks, in words.
    fn lacks(&self, step: u32) -> Option<String> {
        if self.new.cap.is_some_and(|cap| step > cap) {
            return Some(format!("step {step} waits for a higher spec.step"));
        }
        if permitted(self.new, self.policy).skip {
            return None;
        }
        let count = asked(self.release(), step).map_or(0, |asked| asked.count as usize);
        let meant = |it: &&Marker| it.counts.is_ok() && it.permits == Some(Permit::Step(step));
        match count.saturating_sub(self.new.markers.iter().filter(meant).count()) {
            0 => None,
            1 => Some(format!("step {step} needs 1 approval")),
            many => Some(format!("step {step} needs {many} approvals")),
        }
    }

    /// Why a step is not permitted: what it lacks, or the first one before it.
    fn missing(&self, step: u32) -> String {
        let first = (1..=step).find_map(|step| self.lacks(step));
        first.unwrap_or_else(|| format!("step {step} is permitted"))
    }

    /// What comes after a step, and how long that takes at least.
    fn then(&self, from: u32, out: &mut Forecast) {
        let release = self.release();
        let permitted = permitted(self.new, self.policy);
        let (mut ways, mut least) = (Vec::new(), 0);
        for step in from..=release.last_step() {
            if step > from || permitted.furthest < step {
                ways.extend(self.lacks(step));
                ways.push(self.target(step));
            }
            let soak = release.strategy.steps.get(step as usize - 1).map_or(0, |step| step.soak);
            if soak > 0 && !permitted.skip {
                ways.push(format!("soak {}", span(i64::from(soak))));
                least += soak;
            }
        }
        if ways.is_empty() {
            return;
        }
        let least = match least {
            0 => String::new(),
            least => format!(" At least {} to the end.", span(i64::from(least))),
        };
        out.sentences.push(format!("Then: {}.{least}", ways.join(" → ")));
    }
}

fn pods(count: u32) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What the daemon would do with one release now; nothing where it rests.
#[must_use]
pub fn standing(
    id: &ReleaseId,
    desired: &Desired,
    policy: &Policy,
    seen: Option<Seen<'_>>,
) -> Option<Forecast> {
    let new = intent(desired);
    let mut out = Forecast {
        namespace: id.namespace.to_string(),
        name: id.name.to_string(),
        to: new.map(|intent| intent.release.version.clone()),
        ..Forecast::default()
    };
    match (seen, new) {
        (Some(seen), _) => {
            let moved = seen.moved;
            out.from.clone_from(&moved.view.version.from);
            if !moved.message.is_empty() {
                out.sentences.push(format!("{}.", moved.message));
            }
            wait(seen, &mut out);
            out.holds = moved.holds().to_vec();
        }
        (None, Some(new)) => {
            let (release, furthest) = (&new.release, permitted(new, policy).furthest);
            let change = Change { id, old: new, new, policy, seen };
            out.sentences.push(if furthest >= release.last_step() {
                format!("Git permits all of {id} {}.", release.version)
            } else if furthest == 0 {
                format!("Git permits no step of {id} {}: {}.", release.version, change.missing(1))
            } else {
                let (target, missing) = (change.target(furthest), change.missing(furthest + 1));
                let last = release.last_step();
                format!(
                    "Git permits {id} {} step {furthest} of {last}, {target}: {missing}.",
                    release.version
                )
            });
        }
        (None, None) => {
            if let Desired::Broken(mistakes) = desired {
                let first = mistakes.first().map(|first| format!(": {first}")).unwrap_or_default();
                out.sentences.push(format!("The files of {id} have mistakes{first}"));
            }
        }
    }
    (!out.sentences.is_empty()).then_some(out)
}
