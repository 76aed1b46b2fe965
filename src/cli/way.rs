//! The way of a release in words: how far Git permits, what a step lacks, what comes after it, and how long all of it
//! takes at least. Text from data, nothing else.

use jiff::Timestamp;

use crate::cli::render::span;
use crate::cli::switch;
use crate::plan::permit::{Permitted, asked, permitted};
use crate::plan::steps;
use crate::spec::Release;
use crate::world::{Case, Intent, Marker, Memory, Move, Permit, Policy};

/// What the cluster has of a release, and what the daemon would do.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The release.
    pub case: &'a Case,
    /// The decision.
    pub moved: &'a Move,
}

impl Seen<'_> {
    /// Memory as it counts.
    #[must_use]
    pub fn memory(&self) -> Option<&Memory> {
        self.case.memory()
    }

    /// Pods on the release with this digest.
    #[must_use]
    pub fn pods_on(&self, release: &Release) -> u32 {
        let entered = self.memory().is_some_and(|memory| memory.digest == release.digest);
        self.case.live.as_ref().filter(|_| entered).map_or(0, |live| live.status.updated)
    }

    /// Whether a release is entered and complete: its approvals are spent.
    #[must_use]
    pub fn is_complete(&self, release: &Release) -> bool {
        let is_top = |memory: &Memory| memory.top().is_some_and(|top| top.digest == release.digest);
        self.memory().is_some_and(|memory| memory.digest == release.digest && is_top(memory))
    }

    /// The version that an unproven release would go back to, with that release's memory.
    #[must_use]
    pub fn unproven(&self) -> Option<(&Memory, &str)> {
        let memory = self.memory()?;
        let top = memory.top().filter(|top| top.template != memory.template)?;
        Some((memory, &top.version))
    }
}

/// What is looked at beside Git.
#[derive(Clone, Copy)]
pub struct Light<'a> {
    /// The daemon's configuration, as far as it is known.
    pub policy: &'a Policy,
    /// The moment.
    pub now: Timestamp,
    /// The cluster, where it was seen.
    pub seen: Option<Seen<'a>>,
}

/// A release as Git has it, on its way.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// What Git says.
    pub intent: &'a Intent,
    /// What is looked at beside.
    pub light: Light<'a>,
}

impl<'a> Way<'a> {
    /// The release.
    #[must_use]
    pub fn release(&self) -> &'a Release {
        &self.intent.release
    }

    /// How far Git permits.
    #[must_use]
    pub fn permitted(&self) -> Permitted {
        permitted(self.intent, self.light.policy)
    }

    /// The size that the steps are counted at, where it is known.
    #[must_use]
    pub fn size(&self) -> Option<u32> {
        self.release().replicas.or_else(|| Some(self.light.seen?.case.live.as_ref()?.replicas))
    }

    /// The entered step of this very release; 0 where it is not entered, or nobody has looked.
    #[must_use]
    pub fn entered(&self) -> u32 {
        let memory = self.light.seen.as_ref().and_then(Seen::memory);
        memory.filter(|memory| memory.digest == self.release().digest).map_or(0, |memory| memory.step)
    }

    /// Pods that are on it: as the cluster was seen, else as the step `from` would have.
    #[must_use]
    pub fn pods(&self, from: u32) -> Option<u32> {
        match (self.light.seen, self.size()) {
            (Some(seen), _) => Some(seen.pods_on(self.release())),
            (None, Some(size)) => Some(steps::pods(self.release(), from, size)),
            (None, None) => None,
        }
    }

    /// `5 of 10 (50%)`, `all 10`, or `50%` where the size is not known; and what of the traffic they get, where weights say
    /// so.
    #[must_use]
    pub fn target(&self, step: u32) -> String {
        self.counted(step) + &self.led(step)
    }

    /// What of the traffic goes to the pods of a step.
    fn led(&self, step: u32) -> String {
        let (release, strategy) = (self.release(), &self.release().strategy);
        if strategy.routes.is_empty() || step == 0 || step >= release.last_step() {
            return String::new();
        }
        let weight = strategy.weight(step);
        // Where the size is not known, a share of it is of some pods.
        let none = steps::pods(release, step, self.size().unwrap_or(100)) == 0;
        match strategy.matches.is_empty() || weight == 100 || none {
            true => format!(", {weight}% of the traffic"),
            false => format!(", testers and {weight}% of the other traffic"),
        }
    }

    fn counted(&self, step: u32) -> String {
        let release = self.release();
        if let Some(target) = switch::target(release, step, self.size()) {
            return target;
        }
        let written = release.step(step).map(|step| step.replicas.to_string()).unwrap_or_default();
        match self.size() {
            None if step == release.last_step() => "all pods".to_owned(),
            None => written,
            Some(size) if step == release.last_step() => format!("all {size}"),
            Some(size) => {
                let share = if written.ends_with('%') { format!(" ({written})") } else { String::new() };
                format!("{} of {size}{share}", steps::pods(release, step, size))
            }
        }
    }

    /// The same as people count: `5 of 10 pods (50%)`, `all 10 pods`.
    #[must_use]
    pub fn target_pods(&self, step: u32) -> String {
        let target = self.counted(step);
        let target = match target.split_once(" (") {
            Some((count, share)) => format!("{count} pods ({share}"),
            None if target.ends_with('%') => format!("{target} of its pods"),
            None if target.ends_with("pods") => target,
            None => format!("{target} pods"),
        };
        target + &self.led(step)
    }

    /// What keeps every step from being entered: the release is suspended, or frozen.
    #[must_use]
    pub fn closed(&self) -> Option<String> {
        if self.release().suspend {
            return Some("spec.suspend is true".to_owned());
        }
        let mut freezes = self.intent.freezes.iter().filter(|freeze| freeze.holds_at(self.light.now));
        let freeze = freezes.next().filter(|_| !self.permitted().skip)?;
        let until = freeze.until.map_or_else(String::new, |until| format!(" until {until}"));
        Some(format!("{} freezes it{until}: {}", freeze.path, freeze.reason))
    }

    /// How many approvals a step itself lacks.
    fn approvals(&self, step: u32) -> usize {
        if self.permitted().skip {
            return 0;
        }
        let count = asked(self.release(), step).map_or(0, |asked| asked.count as usize);
        let meant = |it: &&Marker| it.counts.is_ok() && it.permits == Some(Permit::Step(step));
        count.saturating_sub(self.intent.markers.iter().filter(meant).count())
    }

    /// What a step itself lacks, in words.
    fn lacks(&self, step: u32) -> Option<String> {
        if self.intent.cap.is_some_and(|cap| step > cap) {
            return Some(format!("step {step} waits for a higher spec.step"));
        }
        let count = self.approvals(step);
        (count > 0).then(|| format!("step {step} needs {}", approvals(count)))
    }

    /// Why a step is not permitted: what it lacks, or the first one before it.
    #[must_use]
    pub fn missing(&self, step: u32) -> String {
        let first = (1..=step).find_map(|step| self.lacks(step));
        first.unwrap_or_else(|| format!("step {step} is permitted"))
    }

    /// What comes after the step `from`, and what that takes at least; nothing where nothing comes.
    #[must_use]
    pub fn then(&self, from: u32) -> Option<String> {
        let release = self.release();
        let permitted = self.permitted();
        let (mut ways, mut least, mut people) = (Vec::new(), 0, 0);
        for step in from..=release.last_step() {
            if step > from || permitted.furthest < step || self.closed().is_some() {
                ways.extend(self.lacks(step));
                let target = self.target(step);
                let switches = release.strategy.service(step).is_some() && step == release.last_step();
                ways.push(if switches { format!("{target} leads to them") } else { target });
                people += self.approvals(step);
            }
            let soak = release.step(step).map_or(0, |step| step.soak);
            if soak > 0 && !permitted.skip {
                ways.push(format!("soak {}", span(i64::from(soak))));
                least += soak;
            }
        }
        if ways.is_empty() {
            return None;
        }
        if let Some(it) = &release.strategy.blue_green {
            ways.push(format!("the old pods go {} later", switch::kept(it)));
        }
        let least = match (least, people) {
            (0, _) => String::new(),
            (least, 0) => format!(" At least {} to the end.", span(i64::from(least))),
            (least, people) => {
                format!(" At least {} and {} to the end.", span(i64::from(least)), approvals(people))
            }
        };
        Some(format!("Then: {}.{least}", ways.join(" → ")))
    }
}

/// `1 approval`, `2 approvals`.
#[must_use]
pub fn approvals(count: usize) -> String {
    if count == 1 { "1 approval".to_owned() } else { format!("{count} approvals") }
}

/// The first letter large.
#[must_use]
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
