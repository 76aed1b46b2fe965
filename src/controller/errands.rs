//! Moves under way: those of several releases at once, while the loop goes on looking and planning.
//!
//! **Invariant:** of a release at most one move is under way, and of an object at most one write. A move begins only
//! while nothing was seen of its release since it was judged; each lap judges all of them anew that have not begun.
//!
//! They are futures of the loop and no tasks of their own: who stands still stands still with all of them, and who has
//! lost the lease has dropped them before the next byte is sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::future::{AbortHandle, BoxFuture, FutureExt as _, abortable};
use futures::stream::{FuturesUnordered, StreamExt as _};

use crate::cluster::Error;
use crate::controller::clock::Clock;
use crate::controller::execute::{Carried, Executor, Rehearsed};
use crate::controller::looks::{Glance, missing};
use crate::controller::refusals::Urgency;
use crate::model::{Name, ReleaseId};
use crate::objects::ObjectKey;
use crate::world::{Action, Case, Decision, Move, World, Write};

/// Releases that are written at once. Eight keep an API server busy that is near, twice as many one that is not.
const WORKERS: usize = 16;
/// Moves that wait for their turn: more than an API server takes in before the next lap judges them anew.
const WAITING_MAX: usize = 256;
/// Releases whose pods are looked at at once: most workers stay free for what moves pods.
const LOOKERS: usize = 2;
/// Pods of a release that are looked at in one go, before other releases have their turn.
const GLANCE: usize = 8;

/// A move that the checker has nothing against, and what it was judged on.
pub struct Errand {
    /// The move.
    pub decided: Move,
    /// The release as it stood.
    pub case: Arc<Case>,
    /// The world at that moment, without its cases.
    pub scene: Arc<World>,
    /// Whether companions of nobody's are its to take over.
    pub adopts: bool,
    /// What of it may be done now.
    pub part: Part,
}

/// What of a move may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its writes, or what is to be tried.
    pub writes: bool,
    /// The pods that it lets in.
    pub serving: bool,
    /// The pods that it looks at, where it does nothing else.
    pub looks: bool,
}

impl Part {
    /// Whether nothing is done but to look.
    const fn only_looks(self) -> bool {
        self.looks && !self.writes && !self.serving
    }
}

/// What came of one.
pub enum Came {
    /// It was carried out, as far as it went.
    Carried(Carried),
    /// It was tried.
    Rehearsed(Rehearsed),
    /// Pods were looked at.
    Looked(Glance),
}

/// Which goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Pods are to go back, or traffic leaves them.
    Urgent,
    /// Somebody waits for it.
    Usual,
    /// Memory alone is written: another release's pods go first.
    Quiet,
    /// A CloneSet that was just made is told its UID: others that are still to be made go first.
    Late,
    /// Pods are looked at: everything else goes first.
    Look,
}

/// Moves under way, and those that have not begun.
pub struct Errands {
    /// The hands.
    pub executor: Executor,
    clock: Clock,
    /// Nothing comes of one that was given up.
    under_way: FuturesUnordered<BoxFuture<'static, Option<(ReleaseId, Came)>>>,
    away: BTreeMap<ReleaseId, (Errand, AbortHandle)>,
    waiting: VecDeque<(ReleaseId, Errand)>,
}

/// Whether a move that was refused may have happened all the same, and can be told from one that did not: by the memory
/// that it writes, or where it does nothing but delete.
#[must_use]
pub fn is_doubtful(decided: &Move, case: &Case, error: &Error) -> bool {
    let lost = matches!(
        error,
        Error::TimedOut(_) | Error::Unavailable { .. } | Error::Malformed(_) | Error::Rewritten(_)
    );
    let remembers = decided.memory.is_some() && decided.memory.as_ref() != case.memory();
    lost && (remembers || only_deletes(decided))
}

/// A removal is planned until the cluster shows that it is done, and told by itself.
fn only_deletes(decided: &Move) -> bool {
    let deletes = |it: &Write| matches!(it.action, Action::Delete { .. });
    decided.decision != Decision::Remove && decided.writes.iter().all(deletes)
}

/// Whether a move that was doubtful has happened, as the cluster shows it now.
#[must_use]
pub fn has_happened(decided: &Move, case: &Case) -> bool {
    let sets = || {
        let named = case.live.iter().chain(&case.home);
        named.chain(case.twins.values().map(|twin| &twin.live))
    };
    let is_there = |write: &Write| match &write.action {
        Action::Delete { uid, .. } if only_deletes(decided) => {
            let companion = case.companions.get(&write.object).is_some_and(|it| it.uid == *uid);
            companion || sets().any(|it| it.uid == *uid)
        }
        Action::Delete { .. } | Action::Apply { .. } | Action::TakeOver { .. } => false,
    };
    decided.memory.as_ref() == case.memory() && !decided.writes.iter().any(is_there)
}

fn rank(decided: &Move, part: Part, case: &Case) -> Rank {
    if part.only_looks() {
        return Rank::Look;
    }
    if !part.writes {
        return Rank::Usual;
    }
    let memory = case.live.as_ref().and_then(|live| live.memory.as_ref());
    let notes = decided.decision == Decision::Note;
    if Urgency::of(decided) > Urgency::Usual {
        Rank::Urgent
    } else if notes && memory.is_some_and(|memory| memory.uid.is_none()) {
        Rank::Late
    } else if notes || decided.decision == Decision::Complete {
        Rank::Quiet
    } else {
        Rank::Usual
    }
}

impl Errand {
    fn objects(&self) -> impl Iterator<Item = &ObjectKey> {
        let pods = self.decided.serving.iter().filter(|_| self.part.serving);
        self.decided.writes.iter().filter(|_| self.part.writes).chain(pods).map(|write| &write.object)
    }
}

impl Errands {
    /// None yet.
    #[must_use]
    pub fn new(executor: Executor, clock: Clock) -> Self {
        let under_way = FuturesUnordered::new();
        Self { executor, clock, under_way, away: BTreeMap::new(), waiting: VecDeque::new() }
    }

    /// Whether a move of a release is under way. A look is none: it is given up for whatever is to be done.
    #[must_use]
    pub fn is_away(&self, id: &ReleaseId) -> bool {
        self.away.get(id).is_some_and(|(errand, _)| !errand.part.only_looks())
    }

    fn lookers(&self) -> usize {
        self.away.values().filter(|(errand, _)| errand.part.only_looks()).count()
    }

    /// Whether nothing is under way, and nothing waits for it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.away.is_empty() && self.waiting.is_empty()
    }

    /// Those that have not begun are judged no more.
    pub fn recall(&mut self) {
        self.waiting.clear();
    }

    /// These are judged now, as far as they can have their turn before they are judged anew.
    pub fn judged(
        &mut self,
        world: &World,
        moves: Vec<(&ReleaseId, &Move, Part)>,
        adopts: &dyn Fn(&ReleaseId) -> bool,
    ) {
        let World { now, policy, source, announcement, has_records, cases: _, named } = world;
        let (policy, source, named) = (Arc::clone(policy), source.clone(), Arc::clone(named));
        let (now, announcement, has_records) = (*now, announcement.clone(), *has_records);
        let cases = BTreeMap::new();
        let scene = Arc::new(World { now, policy, source, announcement, has_records, cases, named });
        let looks_already = |id: &ReleaseId, part: Part| part.only_looks() && self.away.contains_key(id);
        let free = moves.into_iter().filter(|(id, _, part)| !self.is_away(id) && !looks_already(id, *part));
        let mut all: Vec<_> =
            free.filter_map(|(id, decided, part)| Some((id, decided, part, world.cases.get(id)?))).collect();
        all.sort_by_key(|(id, decided, part, case)| (rank(decided, *part, case), *id));
        let first = all.into_iter().take(WAITING_MAX).map(|(id, decided, part, case)| {
            let (case, scene) = (Arc::clone(case), Arc::clone(&scene));
            (id.clone(), Errand { decided: decided.clone(), case, scene, adopts: adopts(id), part })
        });
        self.waiting = first.collect();
    }

    /// Begins as many as may be under way at once, of those whose release `stands` as it was judged.
    pub fn begin(&mut self, stands: &dyn Fn(&ReleaseId, &Arc<Case>) -> bool) {
        while self.away.len() < WORKERS {
            let Some((id, errand)) = self.waiting.pop_front() else { break };
            let waits = errand.part.only_looks() && self.lookers() >= LOOKERS;
            // The next lap judges it anew.
            if stands(&id, &errand.case) && !self.is_written(&errand) && !waits {
                self.send_out(id, errand);
            }
        }
        if self.away.len() == self.lookers() {
            self.executor.lane.resume();
        } else {
            self.executor.lane.pause();
        }
    }

    /// Whether another release's move writes an object of this one.
    fn is_written(&self, errand: &Errand) -> bool {
        let mut written = self.away.values().flat_map(|(errand, _)| errand.objects());
        written.any(|key| errand.objects().any(|it| it == key))
    }

    fn send_out(&mut self, id: ReleaseId, errand: Errand) {
        let (executor, clock, of) = (self.executor.clone(), self.clock, id.clone());
        let Part { writes: does, serving: serves, looks: _ } = errand.part;
        let all = |writes: &[Write], are: bool| if are { writes.to_vec() } else { Vec::new() };
        let (writes, pods) = (all(&errand.decided.writes, does), all(&errand.decided.serving, serves));
        let (adopts, scene) = (errand.adopts, Arc::clone(&errand.scene));
        // A repair may be marked as forward too, and needs no fetch.
        let bound = matches!(errand.decided.decision, Decision::Enter(_) | Decision::Create);
        let rehearsal = errand.decided.rehearsal.clone().filter(|_| does && writes.is_empty());
        let looks: Vec<Name> = missing(&errand.decided, &errand.case).take(GLANCE).cloned().collect();
        let only_looks = errand.part.only_looks();
        let carried = async move {
            let came = if let Some(write) = rehearsal {
                Came::Rehearsed(executor.rehearse(&write).await)
            } else if only_looks {
                Came::Looked(executor.look(&of, &looks).await)
            } else {
                let may_go = || !bound || scene.source.is_fresh(clock.now(), scene.policy.stale_after);
                let mut carried = executor.carry_out(&of, &writes, adopts, &may_go).await;
                // What Git has permitted before it became silent stays permitted.
                carried.kept_out = executor.let_in(&pods, &|| true).await;
                Came::Carried(carried)
            };
            (of, came)
        };
        let (carried, given_up) = abortable(carried);
        self.under_way.push(carried.map(Result::ok).boxed());
        if let Some((_, look)) = self.away.insert(id, (errand, given_up)) {
            look.abort();
        }
    }

    /// One that has come back; never where none is under way.
    pub async fn returned(&mut self) -> (ReleaseId, Errand, Came) {
        while let Some(came) = self.under_way.next().await {
            if let Some((id, came)) = came
                && let Some((errand, _)) = self.away.remove(&id)
            {
                return (id, errand, came);
            }
        }
        std::future::pending().await
    }

    /// One that has come back by now.
    pub fn try_returned(&mut self) -> Option<(ReleaseId, Errand, Came)> {
        loop {
            let came = self.under_way.next().now_or_never().flatten()?;
            if let Some((id, came)) = came
                && let Some((errand, _)) = self.away.remove(&id)
            {
                return Some((id, errand, came));
            }
        }
    }

    /// Ends all of them, wherever they are, and begins no other.
    pub fn end(&mut self) {
        self.waiting.clear();
        self.under_way.clear();
        self.away.clear();
        self.executor.lane.resume();
    }
}
