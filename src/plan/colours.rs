//! The CloneSets of a release that is switched as a whole: which of them serves, which is to, and how large each is.
//!
//! The CloneSet of Git is the *home*: memory stands there, and stays there when it has no pods. A new revision comes up in a
//! *twin*, named by its template, beside whichever serves; selectors are told apart by the label of a revision's pods. Rows of the
//! table decide as for any release of two steps, for all CloneSets are seen as one (`world::colours`), and what they write of it
//! is memory. What stands follows from memory alone, lap by lap ([`crate::plan::blue_green`]), so that a crash between two writes
//! loses nothing.
//!
//! | | the one that serves | the entered one | the one before it | any other |
//! |---|---|---|---|---|
//! | rolled out | all pods | those of its step | – | goes |
//! | proven | all pods | all pods | all pods, for `keep` | goes |
//!
//! **Invariant:** the one that serves has all its pods until the active Service has the endpoints of another one.

use jiff::{SignedDuration, Timestamp};

use crate::model::TemplateHash;
use crate::plan::facts::Facts;
use crate::plan::steps;
use crate::spec::{self, Follower, Release};
use crate::world::{Colour, Follows, Memory};

impl<'a> Facts<'a> {
    /// Whether it is switched as a whole.
    #[must_use]
    pub fn is_blue_green(&self) -> bool {
        self.case.home.is_some()
    }

    /// The pods that are to serve.
    #[must_use]
    pub fn goal_template(&self) -> TemplateHash {
        let entered = self.memory.template;
        match self.top().filter(|_| !self.is_proven() && self.standing_step() < 2) {
            Some(top) => top.template,
            None => entered,
        }
    }

    /// How a Service of the release leads to its pods, as it stands.
    #[must_use]
    pub fn service_as(&self, as_what: Follower) -> Option<&'a Follows> {
        let all = self.case.companions.values().filter_map(|it| it.leads.follows.as_ref());
        all.into_iter().find(|it| it.as_what == as_what)
    }

    /// Whether the pods of the entered revision are there to be tried, beside others that are proven.
    #[must_use]
    pub fn tries(&self) -> bool {
        self.anything_proven() && !self.is_proven() && self.standing_step() > 0
    }

    /// The version of a template, as memory or a release at hand names it.
    #[must_use]
    pub fn version_of(&self, template: TemplateHash) -> Option<&'a str> {
        let memory = self.memory;
        let proven = memory.proven.iter().rev().find(|proof| proof.template == template);
        let entered = Some(&memory.version).filter(|_| memory.template == template);
        let at_hand = || self.case.with_template(template).map(|release| &release.version);
        entered.or(proven.map(|it| &it.version)).or_else(at_hand).map(String::as_str)
    }

    /// Pods of the entered revision beside those that serve, at `step`.
    #[must_use]
    pub fn pods_beside(&self, step: u32) -> u32 {
        let size = self.wanted_size();
        let Some(release) = self.case.with_template(self.memory.template) else { return size };
        steps::beside(release, step, size)
    }

    /// Whether the active Service may lead to `goal` now: no endpoint is lost by it, and to an unproven one only as far as Git
    /// permits, while nothing stops it.
    #[must_use]
    pub fn may_switch(&self, goal: &Colour<'_>) -> bool {
        let size = self.wanted_size();
        let Some(hash) = goal.hash() else { return false };
        let Some(active) = self.service_as(Follower::Active) else { return false };
        if active.to.as_deref() == Some(hash) {
            return true;
        }
        let serves = self.ready_now(active);
        let status = &goal.live.status;
        let proven = goal.template.is_some_and(|it| self.memory.proves(it));
        if proven {
            return goal.live.is_fresh() && status.updated_available >= serves.max(size.min(1));
        }
        let goes_on = self.asked().filter(|head| head.fresh && !self.is_stopped());
        let permitted = goes_on.is_some_and(|head| head.permitted.furthest >= 2);
        let needed = self.enough(size).max(serves);
        let preview = self.service_as(Follower::Preview).filter(|it| it.to.as_deref() == Some(hash));
        let seen = preview.and_then(|it| it.ready).is_some_and(|ready| ready >= needed);
        permitted && seen && goal.is_settled(size) && status.updated_available >= needed
    }

    /// Endpoints that the active Service must not lose: as many as are asked for, of those that it has; where nobody knows how
    /// many they are, they are all. Where somebody lets a version serve by hand that no step does, some of the others may be missing,
    /// as while they are updated.
    fn ready_now(&self, active: &Follows) -> u32 {
        let size = self.wanted_size().max(1);
        let ready = active.ready.unwrap_or(size).min(size);
        let by_hand = self.unapproved().filter(|it| it.template == Some(self.memory.template));
        let Some(release) = by_hand.and_then(|it| self.case.with_template(it.template?)) else {
            return ready;
        };
        let missing = spec::unavailable(&release.cloneset.value.open()["spec"], size);
        ready.min(size.saturating_sub(missing)).max(1)
    }

    /// The CloneSet whose pods serve though no step lets them: somebody leads to them by hand, or Git has left them behind, and
    /// the proven ones do not come up again.
    #[must_use]
    pub fn unapproved(&self) -> Option<Colour<'a>> {
        let led = self.case.led().filter(|_| self.anything_proven() && !self.is_proven())?;
        let is_entered = led.template == Some(self.memory.template) && self.standing_step() >= 2;
        let proven = led.template.is_some_and(|it| self.memory.proves(it));
        (!is_entered && !proven).then_some(led)
    }

    /// The CloneSet that what is active is to follow: the one that is to serve once it may, else the one that does; none where
    /// that may be one of which nobody knows what its pods are, and what follows it stays as it stands.
    #[must_use]
    pub fn followed(&self) -> Option<Colour<'a>> {
        let case = self.case;
        let goal = case.colour(self.goal_template()).filter(|goal| self.may_switch(goal));
        let is_unknown = || case.colours().any(|it| it.hash().is_none() && it.live.replicas > 0);
        let is_enough = |it: &Colour<'_>| {
            let needed = self.service_as(Follower::Active).map_or(0, |active| self.ready_now(active));
            it.live.status.updated_available >= needed
        };
        let other = |it: &Colour<'_>| case.active_hash().is_none() || (!is_unknown() && is_enough(it));
        goal.or_else(|| case.led()).or_else(|| case.serving().filter(other))
    }

    /// Until when the one before the proven one stays as it was; none where nobody knows yet.
    #[must_use]
    pub fn kept_until(&self) -> Option<Timestamp> {
        let reached = self.memory.step_reached?;
        let keep = self.entered?.strategy.blue_green.as_ref().map_or(0, |it| it.keep);
        reached.at.checked_add(SignedDuration::from_secs(i64::from(keep))).ok()
    }

    /// The one before the proven one, until it is known that its time is over.
    #[must_use]
    pub fn kept(&self) -> Option<Colour<'a>> {
        let is_over = self.kept_until().is_some_and(|until| until <= self.now());
        if is_over || !self.is_proven() {
            return None;
        }
        let before = self.memory.proven.iter().rev().nth(1)?;
        self.case.colour(before.template).filter(|it| it.live.replicas > 0)
    }

    /// Pods that a CloneSet for `template` is to have; none where it is not needed.
    #[must_use]
    pub fn size_for(&self, template: TemplateHash) -> Option<u32> {
        let size = self.wanted_size();
        let of = |colour: Option<Colour<'_>>| colour.and_then(|it| it.template) == Some(template);
        let stays = self.top().is_some_and(|top| top.template == template) && !self.is_proven();
        if stays || template == self.goal_template() || of(self.case.serving()) || of(self.kept()) {
            return Some(size);
        }
        let step = self.standing_step();
        let is_entered = template == self.memory.template && !self.is_proven() && step > 0;
        is_entered.then(|| if self.repeated().is_some() { 0 } else { self.pods_beside(step) })
    }

    /// The CloneSet whose pods are, for Kubernetes, those of the entered version: its templates differ in what is the default
    /// anyway. No selector tells them apart, so pods of the entered one would serve before anybody has approved that.
    #[must_use]
    pub fn repeated(&self) -> Option<Colour<'a>> {
        let entered = self.case.colour(self.memory.template).filter(|_| !self.is_proven())?;
        let revision = entered.revision()?;
        let same = |it: &Colour<'_>| !it.is(&entered) && it.live.replicas > 0 && it.hash() == Some(revision);
        self.case.colours().find(same)
    }

    /// Whether its pods are to be in its home again: it is switched as a whole no more. One that is proven comes up there, beside
    /// the pods that serve, and with their label.
    #[must_use]
    pub fn moves_home(&self) -> bool {
        let plain = self.entered.is_some_and(|release| release.strategy.blue_green.is_none());
        plain
            && self.is_proven()
            && self.memory.step_reached.is_some()
            && self.case.colour(self.memory.template).is_some_and(|it| it.twin.is_some())
    }

    /// By which release its home stands with `memory`, where that is not the entered one.
    #[must_use]
    pub fn home_after(&self, memory: &Memory) -> Option<crate::model::Digest> {
        let case = self.case;
        let recorded = || case.recorded_memory().and_then(|it| it.home);
        let named = || case.memory().and_then(|it| it.home.or_else(recorded).or(Some(it.digest)));
        let now = case.home_digest().or_else(named);
        now.filter(|it| self.is_blue_green() && case.template_of(*it) != Some(memory.template))
    }

    /// That release.
    #[must_use]
    pub fn home_release(&self, memory: &Memory) -> Option<&'a Release> {
        let digest = memory.home.unwrap_or(memory.digest);
        let known = self.case.documents.get(&digest).map(|release| &**release);
        let head = || self.head.as_ref().map(|head| &**head.release());
        known.or_else(|| head().filter(|release| release.digest == digest))
    }
}
