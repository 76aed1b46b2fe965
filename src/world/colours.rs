//! The CloneSets of a release that is switched as a whole, and how they look as one.
//!
//! The CloneSet that is named as the release is its *home*: memory stands there, whether it has pods or not. The others are
//! *twins*, each named by the template that its pods have. The Service that is active says by its selector which one serves.
//!
//! For whoever counts steps they are one CloneSet with the size of the one that serves, on its way to the entered template: with
//! a partition that lets go as many pods as are beside it, and none once those serve. So a step of blue/green is reached, late,
//! lost and told as every other. Writes see each by itself.

use crate::model::{Amount, Digest, Name, Percent, TemplateHash};
use crate::spec::switched::DIGITS;
use crate::spec::{BlueGreen, Follower, Release};
use crate::world::case::Case;
use crate::world::live::{CounterStatus, Drift, Live};
use crate::world::traffic::hash_of;

/// The name of the twin of `release` with pods of `template`; `None` where it would be no name.
#[must_use]
pub fn twin_name(release: &Name, template: TemplateHash) -> Option<Name> {
    format!("{release}-{}", &template.to_string()[..DIGITS]).parse().ok()
}

/// One CloneSet of a release: its home, or a twin.
#[derive(Clone, Copy, Debug)]
pub struct Colour<'a> {
    /// Its name, where it is a twin.
    pub twin: Option<&'a Name>,
    /// The template that its pods are to have; `None` for a home of which nobody knows.
    pub template: Option<TemplateHash>,
    /// As it stands.
    pub live: &'a Live,
}

impl<'a> Colour<'a> {
    /// The label of the pods that it makes, as its status has it: one that is late names it too, for what is to change here is
    /// a size, and a template of its own is never given another.
    #[must_use]
    pub fn revision(&self) -> Option<&'a str> {
        let revision = &self.live.status.update_revision;
        (!revision.is_empty()).then(|| hash_of(revision))
    }

    /// The same, where these pods are of its template, as far as anybody knows.
    #[must_use]
    pub fn hash(&self) -> Option<&'a str> {
        self.revision().filter(|_| !self.live.drift.template)
    }

    /// Whether all its pods, `size` of them, are of its template.
    #[must_use]
    pub fn is_settled(&self, size: u32) -> bool {
        let status = &self.live.status;
        self.hash().is_some()
            && self.live.is_fresh()
            && self.live.replicas == size
            && status.replicas == size
            && status.updated == size
            && self.live.kept() == 0
    }

    /// Whether both are the same CloneSet.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.live.uid == other.live.uid
    }
}

impl Case {
    /// How its pods are switched as a whole, where the entered release or the desired one says so.
    #[must_use]
    pub fn blue_green(&self) -> Option<&BlueGreen> {
        let mut releases = self.entered().into_iter().chain(self.desired.release());
        releases.find_map(|release| release.strategy.blue_green.as_ref())
    }

    /// Whether its CloneSets are more than one, or are about to be: an entered release whose pods are on two revisions of one
    /// CloneSet goes its way first.
    #[must_use]
    pub fn is_blue_green(&self) -> bool {
        let Some(memory) = self.memory() else { return !self.twins.is_empty() };
        if !self.twins.is_empty() || memory.home.is_some() {
            return true;
        }
        // One that is not proven was entered as such.
        let entered = self.entered().is_some_and(|it| it.strategy.blue_green.is_some());
        if entered && !memory.proven.is_empty() && !memory.entered_is_proven() {
            return true;
        }
        let Some(home) = self.home_live() else { return false };
        let status = &home.status;
        let is_one = status.updated == status.replicas && status.current_revision == status.update_revision;
        let stands = memory.step_reached.is_some() || (home.is_fresh() && is_one);
        self.blue_green().is_some() && memory.entered_is_proven() && stands && home.kept() == 0
    }

    fn home_live(&self) -> Option<&Live> {
        self.home.as_ref().or(self.live.as_ref())
    }

    /// The release by which its home stands: the one whose revision it is of, as far as that is known; else the one that memory
    /// names, unless the record, its second copy, names another.
    #[must_use]
    pub fn home_digest(&self) -> Option<Digest> {
        let (memory, home) = (self.memory()?, self.home_live()?);
        let named = memory.home.unwrap_or(memory.digest);
        if self.twins.is_empty() && memory.home.is_none() {
            return Some(named);
        }
        let update = hash_of(&home.status.update_revision);
        let is_it = |revision: &Option<String>| {
            home.is_fresh() && revision.as_ref().is_some_and(|it| !update.is_empty() && hash_of(it) == update)
        };
        let mut proven = memory.proven.iter().rev();
        let proven = proven.find(|proof| is_it(&proof.revision));
        let template =
            proven.map(|it| it.template).or_else(|| is_it(&memory.revision).then_some(memory.template));
        if let Some(template) = template {
            let is_named = self.template_of(named) == Some(template);
            return if is_named { Some(named) } else { proven.map(|it| it.digest).or(Some(memory.digest)) };
        }
        let recorded = self.recorded_memory().filter(|it| it.uid == memory.uid && it.digest == memory.digest);
        recorded.is_none_or(|it| it.home == memory.home).then_some(named)
    }

    /// The template of a release that memory names.
    #[must_use]
    pub fn template_of(&self, digest: Digest) -> Option<TemplateHash> {
        let memory = self.memory()?;
        if digest == memory.digest {
            return Some(memory.template);
        }
        let known = self.documents.get(&digest).map(|release| release.template);
        let proven = memory.proven.iter().find(|proof| proof.digest == digest);
        known.or_else(|| proven.map(|proof| proof.template))
    }

    /// The template by which its home stands; none where nobody knows it.
    #[must_use]
    pub fn home_template(&self) -> Option<TemplateHash> {
        self.template_of(self.home_digest()?)
    }

    /// Its home. An empty one is of no template that is not proven: pods of that come up in a twin.
    #[must_use]
    pub fn home(&self) -> Option<Colour<'_>> {
        let live = self.home.as_ref()?;
        let mut proven = self.memory().into_iter().flat_map(|memory| &memory.proven).peekable();
        let all = live.replicas > 0 || proven.peek().is_none();
        let template = self.home_template();
        let template = template.filter(|it| all || proven.any(|proof| proof.template == *it));
        Some(Colour { twin: None, template, live })
    }

    /// All its CloneSets, twins first: where a template has two, its twin counts. One that is on its way out is none.
    pub fn colours(&self) -> impl Iterator<Item = Colour<'_>> {
        let twins = self.twins.iter().map(|(name, twin)| Colour {
            twin: Some(name),
            template: Some(twin.template),
            live: &twin.live,
        });
        twins.filter(|it| !it.live.deleting).chain(self.home())
    }

    /// The one for pods of `template`.
    #[must_use]
    pub fn colour(&self, template: TemplateHash) -> Option<Colour<'_>> {
        self.colours().find(|it| it.template == Some(template))
    }

    /// What the active Service selects beside what Git says: the label of the pods that serve.
    #[must_use]
    pub fn active_hash(&self) -> Option<&str> {
        let follows = self.companions.values().filter_map(|it| it.leads.follows.as_ref());
        let mut active = follows.filter(|it| it.as_what == Follower::Active);
        active.find_map(|it| it.to.as_deref())
    }

    /// The one that the active Service leads to; the proven one where it leads to two whose pods are the same for Kubernetes.
    #[must_use]
    pub fn led(&self) -> Option<Colour<'_>> {
        let hash = self.active_hash()?;
        let top = self.memory().and_then(|memory| Some(memory.top()?.template));
        let led = self.colours().filter(|it| it.revision() == Some(hash) && it.live.replicas > 0);
        led.min_by_key(|it| it.template != top)
    }

    /// The one whose pods serve: as the active Service says, else the proven one, else its home.
    #[must_use]
    pub fn serving(&self) -> Option<Colour<'_>> {
        let top = || self.colour(self.memory()?.top()?.template);
        self.led().or_else(top).or_else(|| self.home())
    }

    /// Pods of the one that serves. Where the active Service leads to none that is here, as many as the record has.
    fn serving_size(&self) -> u32 {
        let hash = self.active_hash();
        let is_known = hash.is_none() || self.colours().any(|it| it.revision() == hash);
        let size = self.serving().map_or(0, |it| it.live.replicas);
        let recorded = self.record.as_ref().filter(|_| !is_known).map_or(0, |record| record.replicas);
        size.max(recorded)
    }

    /// How far a release with this template has come by what stands: 2 where its pods serve, 1 where they are there.
    #[must_use]
    pub fn level(&self, template: TemplateHash) -> u32 {
        let Some(entered) = self.colour(template) else { return 0 };
        let serves = entered.hash().is_some() && self.led().is_some_and(|it| it.is(&entered));
        if serves { 2 } else { 1 }
    }

    /// The release at hand with this template: the entered one first.
    #[must_use]
    pub fn with_template(&self, template: TemplateHash) -> Option<&Release> {
        let desired = self.desired.release();
        let top = self.memory().and_then(|memory| self.documents.get(&memory.top()?.digest));
        let all = self.entered().into_iter().chain(top).chain(desired).chain(self.documents.values());
        all.map(|it| &**it).find(|it| it.template == template)
    }

    /// Sees all of its CloneSets as one: from here on that is [`Case::live`], and the home stands by itself.
    pub fn see_as_one(&mut self) {
        if !self.is_blue_green() {
            return;
        }
        if self.home.is_none() {
            self.home = self.live.clone();
        }
        if let Some(one) = self.as_one() {
            self.live = Some(one);
        }
    }

    fn as_one(&self) -> Option<Live> {
        let (memory, home) = (self.memory()?, self.home.as_ref()?);
        let serving = self.serving()?;
        let size = self.serving_size();
        let entered = self.colour(memory.template);
        let mut one = home.clone();
        one.replicas = size;
        one.replicas_owner.clone_from(&serving.live.replicas_owner);
        one.paused = false;
        let Drift { beside, applied, .. } = home.drift.clone();
        one.drift = Drift { beside, applied, ..Drift::default() };
        let revision = serving.live.status.update_revision.clone();
        let Some(entered) = entered else {
            one.partition = Amount::Percent(Percent::FULL);
            let status = &serving.live.status;
            one.status = CounterStatus {
                observed_generation: None,
                updated: 0,
                updated_available: 0,
                expected_updated: 0,
                current_revision: revision,
                update_revision: String::new(),
                ..status.clone()
            };
            return Some(one);
        };
        let is_known = entered.hash().is_some() && entered.live.is_fresh();
        let is_fresh = is_known && (entered.is(&serving) || serving.live.is_fresh());
        one.generation = entered.live.generation;
        one.status = entered.live.status.clone();
        one.status.observed_generation = Some(one.generation).filter(|_| is_fresh);
        one.partition = Amount::Count(0);
        if !entered.is(&serving) {
            one.status.current_revision = revision;
            if !memory.entered_is_proven() {
                let pods = entered.live.replicas;
                one.partition = Amount::Percent(Amount::partition_for(pods.min(size), size));
                one.status.replicas = size + entered.live.status.replicas.saturating_sub(pods);
                one.status.available = serving.live.status.available;
            }
        }
        Some(one)
    }
}
