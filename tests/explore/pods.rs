//! A CloneSet and its controller, after `cloneset.md` A.3 to A.7: rounding, the pass, the order of pods. No surge.

use std::collections::BTreeMap;

use triton::model::{Amount, Uid};
use triton::world::CounterStatus;

/// One pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// The template that it runs.
    pub template: char,
    /// Whether it is available.
    pub available: bool,
}

/// Choices that Kruise leaves open or takes from the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Updates in place; else pods are made again.
    pub in_place: bool,
    /// Which of two equal pods goes first.
    pub newest_first: bool,
}

/// One CloneSet.
#[derive(Clone, Debug)]
pub struct CloneSet {
    /// UID.
    pub uid: Uid,
    /// resourceVersion.
    pub version: u64,
    /// Bumped by every change of the spec.
    pub generation: i64,
    /// `spec.template`.
    pub template: char,
    /// `spec.replicas`.
    pub replicas: u32,
    /// `spec.updateStrategy.partition`.
    pub partition: Amount,
    /// `spec.updateStrategy.paused`.
    pub paused: bool,
    /// `spec.revisionHistoryLimit`: any other field.
    pub limit: u32,
    /// All annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether the spec was ever applied by the program: an apply that leaves a field out then drops it.
    pub applied: bool,
    /// Who else owns `spec.replicas`.
    pub sizer: Option<&'static str>,
    /// Status.
    pub status: CounterStatus,
    /// `currentRevision`.
    pub current: Option<char>,
    /// The pods.
    pub pods: Vec<Pod>,
}

/// Pods that a partition keeps on old revisions.
#[must_use]
pub fn kept(partition: Amount, size: u32) -> u32 {
    match partition {
        Amount::Count(count) => count.min(size),
        Amount::Percent(percent) => {
            let text = percent.to_string();
            let share: f64 = text.trim_end_matches('%').parse().expect("a percentage");
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `size`")]
            let pods = ((share * f64::from(size) / 100.0).ceil() as u32).min(size);
            if size > 1 && pods == size && text != "100%" { size - 1 } else { pods }
        }
    }
}

/// The revision that a template has.
#[must_use]
pub fn revision(template: char) -> String {
    format!("rev-{template}")
}

fn count(pods: &[Pod], which: impl Fn(&Pod) -> bool) -> u32 {
    u32::try_from(pods.iter().filter(|pod| which(pod)).count()).expect("few pods")
}

impl CloneSet {
    /// Pods that the partition lets be on the template, at the present size.
    #[must_use]
    pub fn allowed(&self) -> u32 {
        self.replicas - kept(self.partition, self.replicas)
    }

    /// Pods that run `template`.
    #[must_use]
    pub fn running(&self, template: char) -> u32 {
        count(&self.pods, |pod| pod.template == template)
    }

    /// Available pods that run `template`.
    #[must_use]
    pub fn available(&self, template: char) -> u32 {
        count(&self.pods, |pod| pod.template == template && pod.available)
    }

    /// One pass of the controller: status first, of the pods as they are, then at most one kind of change.
    /// Whether anything changed, status included.
    pub fn pass(&mut self, habits: Habits) -> bool {
        let before = self.pods.clone();
        let status = self.observe();
        let changed = status != self.status;
        self.status = status;
        let have = u32::try_from(self.pods.len()).expect("few pods");
        match have.cmp(&self.replicas) {
            std::cmp::Ordering::Less => self.grow(),
            std::cmp::Ordering::Greater => self.shrink(),
            std::cmp::Ordering::Equal if self.paused => {}
            std::cmp::Ordering::Equal => self.update(habits),
        }
        changed || before != self.pods
    }

    fn observe(&mut self) -> CounterStatus {
        let (update, have) = (self.template, count(&self.pods, |_| true));
        let updated = self.running(update);
        if self.current.is_none() || updated == have && have == self.replicas {
            self.current = Some(update);
        }
        CounterStatus {
            observed_generation: Some(self.generation),
            replicas: have,
            ready: count(&self.pods, |pod| pod.available),
            available: count(&self.pods, |pod| pod.available),
            updated,
            updated_available: self.available(update),
            expected_updated: self.allowed(),
            current_revision: self.current.map(revision).unwrap_or_default(),
            update_revision: revision(update),
        }
    }

    fn old(&self) -> u32 {
        count(&self.pods, |pod| pod.template != self.template)
    }

    fn most_unavailable(&self) -> u32 {
        (self.replicas * 2).div_ceil(5).max(1)
    }

    /// New pods come from the current revision as far as the partition keeps old ones.
    fn grow(&mut self) {
        let missing_old = kept(self.partition, self.replicas).saturating_sub(self.old()) as usize;
        let missing = self.replicas as usize - self.pods.len();
        let current = self.current.unwrap_or(self.template);
        let templates =
            std::iter::repeat_n(current, missing_old.min(missing)).chain(std::iter::repeat(self.template));
        self.pods.extend(templates.take(missing).map(|template| Pod { template, available: false }));
    }

    fn shrink(&mut self) {
        let have = count(&self.pods, |_| true);
        let surplus = have - self.replicas;
        let keep = kept(self.partition, self.replicas);
        let from_old = self.old().saturating_sub(keep).min(surplus) as usize;
        let ready_first = |new: bool| {
            let mut of: Vec<usize> = (0..self.pods.len())
                .filter(|index| (self.pods[*index].template == self.template) == new)
                .collect();
            of.sort_by_key(|index| self.pods[*index].available);
            of
        };
        let (old, new) = (ready_first(false), ready_first(true));
        let from_new = (surplus as usize - from_old).min(new.len());
        let more_old = surplus as usize - from_old - from_new;
        let chosen =
            old[..from_old].iter().chain(&new[..from_new]).chain(old[from_old..].iter().take(more_old));
        let unavailable = count(&self.pods, |pod| !pod.available);
        let mut limit = (self.most_unavailable() + surplus).saturating_sub(unavailable);
        let mut goes = vec![false; self.pods.len()];
        for index in chosen {
            if self.pods[*index].available {
                if limit == 0 {
                    continue;
                }
                limit -= 1;
            }
            goes[*index] = true;
        }
        let mut index = 0;
        self.pods.retain(|_| {
            index += 1;
            !goes[index - 1]
        });
    }

    fn update(&mut self, habits: Habits) {
        let target = self.template;
        let surplus_old = self.old().saturating_sub(kept(self.partition, self.replicas));
        let missing_new = self.allowed().saturating_sub(self.running(target));
        let number = surplus_old.min(missing_new) as usize;
        let mut candidates: Vec<usize> =
            (0..self.pods.len()).filter(|index| self.pods[*index].template != target).collect();
        if habits.newest_first {
            candidates.reverse();
        }
        candidates.sort_by_key(|index| self.pods[*index].available);
        let most = self.most_unavailable();
        let mut unavailable = count(&self.pods, |pod| !pod.available);
        let on_target = count(&self.pods, |pod| pod.template == target && !pod.available);
        let mut gone = Vec::new();
        for index in candidates.into_iter().take(number.min(most.saturating_sub(on_target) as usize)) {
            if self.pods[index].available {
                if unavailable >= most {
                    break;
                }
                unavailable += 1;
            }
            if habits.in_place {
                self.pods[index] = Pod { template: target, available: false };
            } else {
                gone.push(index);
            }
        }
        let mut index = 0;
        self.pods.retain(|_| {
            index += 1;
            !gone.contains(&(index - 1))
        });
    }
}
