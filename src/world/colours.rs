//! The CloneSets of a release that is switched as a whole, and how they look as one.
//!
//! The CloneSet that is named as the release is its *home*: memory stands there, whether it has pods or not. The others are
//! *twins*, each named by the template that its pods have. The Service that is active says by its selector which one serves.
//!
//! For whoever counts steps they are one CloneSet with the size of the one that serves, on its way to the entered template: with
//! a partition that lets go as many pods as are beside it, and none once those serve. So a step of blue/green is reached, late,
//! lost and told as every other. Writes see each by itself.

use crate::model::{Amount, Name, Percent, TemplateHash};
use crate::spec::{BlueGreen, Follower, Release};
use crate::world::case::Case;
use crate::world::intent::Desired;
use crate::world::live::{CounterStatus, Drift, Live};
use crate::world::traffic::hash_of;

/// Digits of a template's hash in the name of a twin.
const DIGITS: usize = 10;

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
    /// The label of its pods, where a fresh status tells it.
    #[must_use]
    pub fn hash(&self) -> Option<&'a str> {
        let revision = &self.live.status.update_revision;
        (self.live.is_fresh() && !revision.is_empty() && !self.live.drift.template).then(|| hash_of(revision))
    }

    /// Whether all its pods, `size` of them, are of its template.
    #[must_use]
    pub fn is_settled(&self, size: u32) -> bool {
        let status = &self.live.status;
        self.hash().is_some()
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
        let desired = match &self.desired {
            Desired::Release(intent) => intent.release.strategy.blue_green.as_ref(),
            Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
        };
        self.entered().and_then(|release| release.strategy.blue_green.as_ref()).or(desired)
    }

    /// Whether its CloneSets are more than one, or are about to be: an entered release whose pods are on two revisions of one
    /// CloneSet goes its way first.
    #[must_use]
    pub fn is_blue_green(&self) -> bool {
        let Some(memory) = self.memory() else { return !self.twins.is_empty() };
        if !self.twins.is_empty() || memory.home.is_some() {
            return true;
        }
        let stands = memory.entered_is_proven() && memory.step_reached.is_some();
        let whole = self.home.as_ref().or(self.live.as_ref()).is_some_and(|live| live.kept() == 0);
        let first =
            memory.proven.is_empty() && self.entered().is_some_and(|it| it.strategy.blue_green.is_some());
        first || (self.blue_green().is_some() && stands && whole)
    }

    /// The template by which its home stands.
    #[must_use]
    pub fn home_template(&self) -> Option<TemplateHash> {
        let memory = self.memory()?;
        match memory.home {
            None => Some(memory.template),
            Some(digest) => {
                let known = self.documents.get(&digest).map(|release| release.template);
                let proven = memory.proven.iter().find(|proof| proof.digest == digest);
                known.or_else(|| proven.map(|proof| proof.template))
            }
        }
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> Option<Colour<'_>> {
        let live = self.home.as_ref()?;
        Some(Colour { twin: None, template: self.home_template(), live })
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

    /// The one whose pods serve: as the active Service says, else the proven one, else its home.
    #[must_use]
    pub fn serving(&self) -> Option<Colour<'_>> {
        let hash = self.active_hash();
        let led = self.colours().find(|it| hash.is_some() && it.hash() == hash && it.live.replicas > 0);
        let top = || self.colour(self.memory()?.top()?.template);
        led.or_else(top).or_else(|| self.home())
    }

    /// How far a release with this template has come by what stands: 2 where its pods serve, 1 where they are there.
    #[must_use]
    pub fn level(&self, template: TemplateHash) -> u32 {
        let Some(entered) = self.colour(template) else { return 0 };
        match entered.hash() {
            Some(hash) if self.active_hash() == Some(hash) => 2,
            _ => 1,
        }
    }

    /// The release at hand with this template: the entered one first.
    #[must_use]
    pub fn with_template(&self, template: TemplateHash) -> Option<&Release> {
        let desired = match &self.desired {
            Desired::Release(intent) => Some(&intent.release),
            Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
        };
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
        let size = serving.live.replicas;
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
        let is_fresh = entered.hash().is_some() && (entered.is(&serving) || serving.live.is_fresh());
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
