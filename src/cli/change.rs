//! What merging changes of a release that Git has before and after, in sentences.

use crate::cli::pace;
use crate::cli::switch;
use crate::cli::way::{Light, Seen, Way, approvals, capital};
use crate::model::{Gate, Hold, ReleaseId};
use crate::objects::{Kind, ObjectKey, keys};
use crate::plan::holds::pods;
use crate::plan::permit::{is_dark, may_serve, permitted};
use crate::spec::restart::restarts;
use crate::spec::{Companion, Exchange, Release};
use crate::world::{Decision, Intent, Marker, Permit};

/// A release that Git has before and after.
pub struct Change<'a> {
    id: &'a ReleaseId,
    old: &'a Intent,
    new: &'a Intent,
    light: Light<'a>,
    way: Way<'a>,
    said: Said,
}

/// What is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What happens, in order.
    pub sentences: Vec<String>,
    /// Approvals that count now and will not after.
    pub voided: usize,
}

impl<'a> Change<'a> {
    /// A change from `old` to `new`.
    #[must_use]
    pub fn new(id: &'a ReleaseId, old: &'a Intent, new: &'a Intent, light: Light<'a>) -> Self {
        Self { id, old, new, light, way: Way { intent: new, light }, said: Said::default() }
    }

    /// Says it; nothing where nothing of the release changes.
    #[must_use]
    pub fn tell(mut self) -> Said {
        let (old, new) = (&self.old.release, &self.new.release);
        let moves = old.template != new.template || old.attempt != new.attempt;
        if moves {
            self.rollout();
        } else if old.digest != new.digest {
            self.stays();
            if !pace::same(old, new) {
                self.said.sentences.extend(pace::sentences(new, self.way.size()));
            }
        }
        if old.digest == new.digest {
            self.permits();
        } else {
            self.said.sentences.extend(pace::drained(old, new));
            self.beside();
            self.voids();
        }
        if moves {
            self.back();
        }
        self.size();
        self.said.sentences.extend(pace::replaced(&self.old.release, &self.new.release));
        // A rollout has told already what stops it.
        self.stops(moves && self.way.closed().is_some());
        self.said
    }

    fn say(&mut self, sentence: String) {
        self.said.sentences.push(sentence);
    }

    fn release(&self) -> &'a Release {
        &self.new.release
    }

    /// A new template, or a new try of the same.
    fn rollout(&mut self) {
        let (id, version) = (self.id, &self.release().version);
        if self.goes_back() {
            let seen = self.light.seen.map(|seen| &seen.moved.view);
            let what = switch::returns(self.release(), seen).unwrap_or_else(|| "every pod".to_owned());
            self.say(format!(
                "Merging this takes {id} back to {version}: {what}, without approvals, soak or freeze."
            ));
            return;
        }
        let next = self.next();
        let moved = format!("Merging this moves no pod of {id} yet");
        if let Some(refused) = self.refused() {
            self.say(format!("{moved}: {}.{}", refused.message, lifted(refused)));
        } else if let Some(closed) = self.way.closed() {
            self.say(format!("{moved}: {closed}."));
        } else if self.way.permitted().furthest < next {
            self.say(format!("{moved}: {}.", self.way.missing(next)));
        } else {
            self.say(self.goes(0, next));
        }
        if let Some((memory, proven)) = self.light.seen.as_ref().and_then(Seen::unproven)
            && memory.template != self.release().template
        {
            let goes = switch::unproven(self.release(), &memory.version, proven);
            self.say(goes.unwrap_or_else(|| {
                format!("Before that, every pod on {} goes back to {proven}.", memory.version)
            }));
        }
        self.exchange();
        let then = self.way.then(next);
        self.said.sentences.extend(then);
    }

    /// What happens to each pod.
    fn exchange(&mut self) {
        if self.old.release.template == self.release().template {
            return;
        }
        if let Some(told) = switch::exchanged(&self.old.release, self.release(), self.way.size()) {
            self.say(told);
            let enters = self.light.seen.filter(|seen| self.enters().is_some() && seen.unproven().is_none());
            self.said.sentences.extend(enters.and_then(|seen| switch::gone(&seen.moved.view)));
            return;
        }
        let exchange = Exchange::between(&self.old.release.cloneset, &self.release().cloneset);
        let waits = matches!(exchange, Exchange::Impossible(_));
        // The hold says so already.
        if restarts(&self.old.release.cloneset, &self.release().cloneset) && !self.release().is_in_place() {
            self.say(
                "This restarts its pods: they are deleted and made anew, with the same containers."
                    .to_owned(),
            );
        } else if !(waits && self.refused().is_some()) {
            self.say(format!("Its pods are {}.", pace::exchanged(&exchange)));
        }
        self.gate(matches!(exchange, Exchange::InPlace(_)));
        self.said.sentences.extend(pace::sentences(self.release(), self.way.size()));
    }

    /// Whether pods get or lose the readiness gate of `serve: approval`, and what it means for those of the next step, made
    /// anew or updated `in_place`.
    fn gate(&mut self, in_place: bool) {
        let (before, after) = (self.old.release.strategy.is_gated(), self.release().strategy.is_gated());
        let id = self.id;
        if after && !before {
            self.say(format!(
                "Its template gets the readiness gate {}: a pod serves once Triton lets it in.",
                keys::SERVE
            ));
        } else if before && !after {
            self.say(format!(
                "Its template loses the readiness gate {}: pods serve by themselves.",
                keys::SERVE
            ));
        }
        if after && in_place && !self.goes_back() {
            self.say("Each leaves traffic first, and serves again once Triton lets it in.".to_owned());
        }
        let dark = is_dark(self.new, self.light.policy, self.next());
        if after && dark {
            let (pods, come) = if in_place { ("pods", "come back") } else { ("new pods", "come up") };
            self.say(format!(
                "The {pods} of step {} {come} and do not serve: triton approve {id} --serve lets them.",
                self.next()
            ));
        }
    }

    /// Whether the daemon would take every pod to this template, because it is proven.
    fn goes_back(&self) -> bool {
        let Some(seen) = self.light.seen else { return false };
        let to = seen.moved.memory.as_ref().map(|memory| memory.template);
        seen.moved.decision == Decision::RollBack && to == Some(self.release().template)
    }

    /// What else holds the release, where somebody has to do something about it.
    fn refused(&self) -> Option<&'a Hold> {
        let seen = self.light.seen?;
        seen.moved.holds().iter().find(|hold| match hold.gate {
            Gate::Zero
            | Gate::Failed
            | Gate::Spec
            | Gate::Ownership
            | Gate::Documents
            | Gate::Removal
            | Gate::Cluster
            | Gate::Guard => true,
            // In the cluster it always wins; the one in Git is told as such.
            Gate::Suspend => !self.release().suspend,
            // Policy is the daemon's, and not read here. The rest passes by itself, or is told by step.
            Gate::Policy
            | Gate::Git
            | Gate::Fetch
            | Gate::Approval
            | Gate::Cap
            | Gate::Soak
            | Gate::Serve
            | Gate::Pods
            | Gate::Traffic
            | Gate::Replace
            | Gate::RollingBack
            | Gate::Freeze
            | Gate::Controller
            | Gate::Revision => false,
        })
    }

    /// That pods go from the step `from` to the step `to`.
    fn goes(&self, from: u32, to: u32) -> String {
        if let Some(told) = switch::goes(self.release(), to, self.way.size()) {
            return told;
        }
        let (id, version, target) = (self.id, &self.release().version, self.way.target(to));
        match self.way.pods(from) {
            Some(0) => format!("Merging this starts {id} {version} with {}.", self.way.target_pods(to)),
            Some(count) => {
                format!("Merging this lets {id} {version} go from {} to {target}.", pods(count))
            }
            None => format!("Merging this lets {id} {version} go to {target}."),
        }
    }

    /// The same pods under another digest.
    fn stays(&mut self) {
        let (id, release) = (self.id, &self.old.release);
        let is_it =
            |seen: &Seen<'_>| seen.unproven().is_some_and(|(memory, _)| memory.digest == release.digest);
        let stays = match (self.refused(), self.light.seen.filter(is_it)) {
            (Some(refused), _) => format!("{}.{}", refused.message, lifted(refused)),
            (None, Some(seen)) => {
                let old = Way { intent: self.old, light: self.light };
                let (step, last) = (old.entered(), release.last_step());
                let (pods, size) = (seen.pods_on(release), old.size().unwrap_or_default());
                format!(
                    "the rollout of {} stays at step {step} of {last}, {pods} of {size} pods.",
                    release.version
                )
            }
            (None, None) => format!("{} stays.", release.version),
        };
        self.say(format!("Merging this moves no pod of {id}: {stays}"));
    }

    /// Another permission for the same release.
    fn permits(&mut self) {
        let (before, after) = (permitted(self.old, self.light.policy), self.way.permitted());
        let (id, version) = (self.id, &self.release().version);
        if after.skip && !before.skip {
            self.say(format!(
                "Merging this opens approvals, soak and freezes for {id} {version}; pods must still be healthy."
            ));
        }
        let serve = |intent: &Intent| may_serve(intent, self.light.policy);
        let (was, is) = (serve(self.old), serve(self.new));
        if is > was {
            // Those after it that ask for nothing follow with it.
            let step = was + 1;
            self.say(format!("Merging this lets the pods of step {step} of {id} {version} serve."));
        } else if is < was {
            let step = is + 1;
            self.say(format!(
                "Merging this lets no more pods of step {step} of {id} {version} serve: none is taken out."
            ));
        }
        let given = |intent: &Intent| {
            counted(intent).filter(|it| matches!(it.permits, Some(Permit::Step(_)))).count()
        };
        let hurried = after.skip && !before.skip && self.enters().is_some();
        if after.furthest > before.furthest || hurried {
            self.further(before.furthest);
        } else if after.furthest < before.furthest {
            let step = after.furthest.max(self.way.entered());
            self.say(format!("Merging this stops {id} {version} at step {step}: no pod is taken back."));
        } else if given(self.new) > given(self.old) {
            let next = after.furthest + 1;
            let lacks = if next <= self.release().last_step() {
                format!(" {}.", capital(&self.way.missing(next)))
            } else {
                String::new()
            };
            self.say(format!("Merging this approves a step of {id} {version}.{lacks}"));
        }
    }

    /// Git permits more than the step `before`.
    fn further(&mut self, before: u32) {
        let furthest = self.way.permitted().furthest;
        let next = self.enters().unwrap_or_else(|| self.next().max(before + 1)).min(furthest);
        self.say(self.goes(before, next));
        let soaks =
            |hold: &&Hold| matches!(hold.gate, Gate::Soak | Gate::Pods | Gate::Freeze | Gate::Suspend);
        let waits = self.light.seen.and_then(|seen| seen.moved.holds().iter().find(soaks));
        if let Some(hold) = waits {
            self.say(format!("Before that: {}.", hold.message));
        }
        let then = self.way.then(next);
        self.said.sentences.extend(then);
        self.say(
            "Back: revert the commit that changed its template; reverting this one only stops it.".to_owned(),
        );
    }

    /// What is applied beside the CloneSet.
    fn beside(&mut self) {
        let (old, new) = (&self.old.release, &self.new.release);
        if old.strategy != new.strategy {
            let steps =
                |release: &Release| release.strategy.steps.iter().map(|it| it.replicas).collect::<Vec<_>>();
            let targets: Vec<String> = (1..=new.last_step()).map(|step| self.way.target(step)).collect();
            self.say(if steps(old) == steps(new) {
                "Its strategy changes; how far each step goes does not.".to_owned()
            } else {
                format!("Its steps change: {}.", targets.join(" → "))
            });
        }
        for companion in &new.companions {
            let before = old.companions.iter().find(|it| it.written() == companion.written());
            if before.is_none_or(|before| before.body != companion.body) {
                self.say(self.companion(before, companion));
            }
        }
        for gone in &old.companions {
            if !new.companions.iter().any(|it| it.written() == gone.written()) {
                self.say(self.dropped(gone));
            }
        }
    }

    /// What becomes of one companion that Git no longer has.
    fn dropped(&self, gone: &Companion) -> String {
        let key = gone.written();
        let name = format!("{} {}", key.kind, key.name);
        match &gone.version_of {
            Some(_) if reads(self.release(), &key) => format!(
                "{name} is dropped, and the template still names it: no new pod comes up unless somebody else makes it."
            ),
            None if reads(self.release(), &key) => {
                format!("{name} is dropped, and the template still names it: it stays as it is.")
            }
            None if !reads(&self.old.release, &key) => {
                format!("{name} is deleted once this is complete.")
            }
            Some(_) | None => format!("{name} is deleted once no proven release reads it."),
        }
    }

    /// What becomes of one companion that is new, or changes.
    fn companion(&self, before: Option<&Companion>, after: &Companion) -> String {
        let (key, applied) = (after.written(), &after.body.key.name);
        let name = format!("{} {}", key.kind, key.name);
        let by_steps = if self.release().last_step() > 1 { "step by step, " } else { "" };
        match (before, &after.version_of) {
            (None, None) => format!("{name} is new: it is applied first."),
            (None, Some(_)) => format!("{name} is new: it is applied first, as {applied}."),
            (Some(before), Some(_)) if before.body.key == after.body.key => {
                format!("{name} changes at once, but for what the pods read of it.")
            }
            (Some(_), Some(_)) if self.goes_back() => {
                format!("{name} goes back with the pods, to {applied}.")
            }
            (Some(before), Some(_)) => {
                let (changes, then) = match before.version_of {
                    Some(_) => ("changes", String::new()),
                    None => (
                        "is versioned from now on",
                        format!(" Nothing stands as {} once no pods of the tree read it.", key.name),
                    ),
                };
                format!("{name} {changes}: the pods get it {by_steps}as {applied}.{then}")
            }
            (Some(before), None) if before.version_of.is_some() && reads(self.release(), &key) => format!(
                "{name} is no longer versioned: the pods get it {by_steps}under its own name, and later changes at once."
            ),
            (Some(before), None) if before.version_of.is_some() => {
                format!("{name} is read by the pods no more: it is applied first, under its own name.")
            }
            (Some(_), None) if reads(self.release(), &key) => format!(
                "{name} changes at once for all pods: it is not versioned ({}: \"false\"), running pods see it in their \
                 files within minutes, and in their environment once they start again.",
                keys::VERSIONED
            ),
            (Some(_), None) if self.old.release.template == self.release().template => {
                format!("{name} changes at once, for the pods of every version: it has no steps.")
            }
            (Some(_), None) => {
                format!("{name} changes before the first new pod, and the old ones see it too.")
            }
        }
    }

    /// Approvals of the old digest that have not been used.
    fn voids(&mut self) {
        let old = &*self.old.release;
        if self.light.seen.is_some_and(|seen| seen.is_complete(old)) {
            return;
        }
        let voided: Vec<String> = counted(self.old).filter_map(approved).collect();
        self.said.voided = voided.len();
        if voided.is_empty() {
            return;
        }
        // From Git alone it cannot be told whether they were used.
        let unless = match self.light.seen {
            Some(_) => String::new(),
            None => format!(", unless {} is complete", old.version),
        };
        self.say(format!("This edit voids {}{unless}: {}.", approvals(voided.len()), voided.join(", ")));
        let open = self.way.permitted().furthest < self.release().last_step();
        if open && old.template == self.release().template {
            let they = if voided.len() == 1 { "It is" } else { "They are" };
            self.say(format!("{they} asked for again once this is merged: triton approve {}.", self.id));
        }
    }

    fn back(&mut self) {
        if self.goes_back() {
            return;
        }
        let told = switch::back(&self.old.release, self.release());
        self.say(
            told.unwrap_or_else(|| "Back: revert it; its pods go back without approvals or soak.".to_owned()),
        );
    }

    fn size(&mut self) {
        let (old, new, id) = (self.old.release.replicas, self.new.release.replicas, self.id);
        match (old, new) {
            (Some(before), Some(after)) if before != after => self.say(format!(
                "{id} goes from {before} to {} at once; the share of each version stays.",
                pods(after)
            )),
            (Some(before), None) => self.say(format!(
                "Git gives up the replicas of {id}: they stay at {before} until an autoscaler owns them."
            )),
            (None, Some(after)) => self.say(format!("Git takes over the replicas of {id}: {}.", pods(after))),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// Suspend and freezes.
    fn stops(&mut self, told: bool) {
        let id = self.id;
        match (self.old.release.suspend, self.new.release.suspend) {
            (false, true) => self.say(format!("Merging this stops {id} at its present step.")),
            (true, false) => self.say(format!("Merging this lets {id} go on.")),
            (true, true) | (false, false) => {}
        }
        let has = |intent: &Intent, path: &str| intent.freezes.iter().any(|freeze| freeze.path == path);
        let (old, new) = (self.old, self.new);
        for freeze in new.freezes.iter().filter(|it| !told && !has(old, &it.path)) {
            let until = freeze.until.map_or_else(String::new, |until| format!(" until {until}"));
            self.say(format!("{} freezes {id}{until}: {}.", freeze.path, freeze.reason));
        }
        for freeze in old.freezes.iter().filter(|it| !has(new, &it.path)) {
            self.say(format!("{} freezes {id} no more.", freeze.path));
        }
    }

    /// The step that is entered next.
    fn next(&self) -> u32 {
        self.enters().unwrap_or_else(|| (self.way.entered() + 1).min(self.release().last_step()))
    }

    /// The step that the daemon would enter at once.
    fn enters(&self) -> Option<u32> {
        match self.light.seen.map(|seen| &seen.moved.decision) {
            Some(Decision::Enter(step)) => Some((*step).max(1)),
            Some(_) | None => None,
        }
    }
}

/// Whether pods of a release read the ConfigMap `key`, by the name in its template.
fn reads(release: &Release, key: &ObjectKey) -> bool {
    key.kind == Kind::ConfigMap && release.configs().iter().any(|name| name == key.name.as_str())
}

fn counted(intent: &Intent) -> impl Iterator<Item = &Marker> {
    intent.markers.iter().filter(|marker| marker.counts.is_ok())
}

/// `step 2 by Bob`.
fn approved(marker: &Marker) -> Option<String> {
    let who = &marker.counts.as_ref().ok()?.name;
    Some(match marker.permits? {
        Permit::Step(step) => format!("step {step} by {who}"),
        Permit::Serve(step) => format!("serving at step {step} by {who}"),
        Permit::Skip => format!("the hotfix by {who}"),
    })
}

/// By what a hold is lifted, as a sentence with a blank before it.
#[must_use]
pub fn lifted(hold: &Hold) -> String {
    let lift = hold.lift.command.as_ref().or(hold.lift.path.as_ref());
    lift.map(|lift| format!(" Lifted by: {lift}")).unwrap_or_default()
}
