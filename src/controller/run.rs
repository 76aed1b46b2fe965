//! The loop's waiting: for the cluster, for Git, for time, for the end.

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use crate::cluster::{Cache, Cluster, Error, Follows, Lane, Lease, watch as watch_all};
use crate::controller::announced::Announced;
use crate::controller::asking::Git;
use crate::controller::clock::Clock;
use crate::controller::execute::{Executor, Rewritten};
use crate::controller::lap::{Laps, Returned};
use crate::controller::lists::{unlisted, wait_for_lists};
use crate::controller::observe::Observer;
use crate::controller::pulse::{Pulse, Stage};
use crate::controller::rivals::Rivals;
use crate::controller::seen;
use crate::controller::source::{Answer, Ask, Source, told};
use crate::controller::tenure::{acquire, finish, keep};
use crate::model::CommitId;
use crate::world::{Fault, Policy};

/// How long wakes are gathered: a burst of events is one lap, and nobody notices the wait.
const GATHER: Duration = Duration::from_millis(5);
/// How long wakes are gathered after a lap that took some time: so many times as long. Where there is much to look at
/// all the time, a fifth of it goes into looking, and the rest into what was decided.
const REST: u32 = 4;
/// How long what the cluster remembers is gathered before Git is read by it: each move of a release changes it, and
/// mostly says what Git was asked before.
const LEARN: Duration = Duration::from_millis(250);
/// How often objects that are not ours, and stand in the way, are looked at again: they are not watched.
const STRANGERS: Duration = Duration::from_secs(60);
/// How often the loop turns where nothing happens: who watches it learns that it still does.
const BEAT: Duration = Duration::from_secs(10);

/// How the loop runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between two polls of Git.
    pub interval: Duration,
    /// Name of this process. No other that runs at the same time has it; one that is started again in its place may
    /// keep it, and need not wait until the lease runs out.
    pub holder: String,
    /// Whether Git is read on the loop's own thread: simulations are the same each time then.
    pub inline: bool,
    /// Where a daemon that only observes keeps the head seen last, and the time of the last poll: it writes nothing to
    /// the cluster, and has no lease to keep them on.
    pub observe: Option<PathBuf>,
}

/// What the daemon's configuration says; it may change while the loop runs, but for the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// As far as decisions look at it.
    pub policy: Arc<Policy>,
    /// A head that a person has accepted after a rewrite.
    pub accepted: Option<CommitId>,
}

/// The loop.
pub struct Controller {
    settings: Settings,
    rules: watch::Receiver<Rules>,
    clock: Clock,
    cluster: Cluster,
    cache: Cache,
    lane: Lane,
    lease: Option<Arc<Lease>>,
    laps: Laps,
    pulse: Pulse,
    git: Git,
    repository: String,
    /// When the head was asked for that was named last and is not applied yet.
    named_at: Option<Instant>,
    wake_at: Option<Timestamp>,
    /// When the next lap is to be done, where something has asked for one; and the earliest moment for it.
    due: Option<Instant>,
    not_before: Instant,
    /// When Git is to be read by what the cluster remembers by now.
    learn_at: Option<Instant>,
    strangers_at: Instant,
}

impl Controller {
    /// Brings everything together. Nothing is asked or written yet.
    #[must_use]
    pub fn new(
        cluster: Cluster,
        source: Source,
        settings: Settings,
        mut rules: watch::Receiver<Rules>,
        clock: Clock,
    ) -> Self {
        let policy = Arc::clone(&rules.borrow_and_update().policy);
        let cache = Cache::default();
        let lane = Lane::default();
        let root = policy.root.clone();
        let now = Arc::new(move || clock.now());
        let repository = source.repository();
        let follows = Follows { repository: repository.clone(), interval: settings.interval };
        let leases = || Arc::new(Lease::new(&cluster, &root, settings.holder.clone(), follows, now));
        let lease = settings.observe.is_none().then(leases);
        let pulse = Pulse::new(clock, cluster.requests().clone());
        let executor = settings.observe.is_none().then(|| Executor {
            cluster: cluster.clone(),
            cache: cache.clone(),
            lane: lane.clone(),
            lease: lease.clone(),
            pulse: pulse.clone(),
            rewritten: Rewritten::default(),
        });
        let mut observer = Observer::new(cache.clone(), lane.clone(), policy);
        observer.rivals = Rivals::new(settings.observe.is_none().then(|| cluster.namespace()));
        let laps = Laps::new(clock, observer, executor, settings.holder.clone(), pulse.clone());
        let git = Git::new(source, clock.now());
        let strangers_at = Instant::now() + STRANGERS;
        Self {
            settings,
            rules,
            clock,
            cluster,
            cache,
            lane,
            lease,
            laps,
            pulse,
            git,
            repository,
            named_at: None,
            wake_at: None,
            due: None,
            not_before: Instant::now(),
            learn_at: None,
            strangers_at,
        }
    }

    /// What the loop shows of itself.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Runs until `shutdown` is ready.
    ///
    /// # Errors
    ///
    /// Where the lease is lost, or can never be had: the process ends, and starts again from what the cluster has.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let mut shutdown = pin!(shutdown);
        // Caches and mirror are warm when the lease comes: whoever stands by goes on within moments.
        let mut tasks: JoinSet<()> = watch_all(&self.cluster, &self.cache);
        let (interval, inline) = (self.settings.interval, self.settings.inline);
        let acquired = tokio::select! {
            biased;
            () = &mut shutdown => return Ok(()),
            acquired = acquire(self.lease.clone(), self.settings.observe.as_deref(), &self.pulse) => acquired?,
            never = broken(&mut tasks) => match never {},
            never = self.git.fetch_ahead(interval, inline) => match never {},
        };
        self.laps.observer.announced = Announced::of(self.lease.clone(), acquired.creates);
        let elsewhere = acquired.repository.filter(|theirs| *theirs != self.repository);
        self.git.begin(acquired.head, elsewhere);
        tasks.spawn(self.lane.clone().run(self.cluster.clone(), self.cache.clone()));
        let mut lost = pin!(keep(self.lease.clone()));
        loop {
            let ended = tokio::select! {
                biased;
                () = &mut shutdown => Some(Ok(())),
                error = &mut lost => Some(Err(error)),
                never = broken(&mut tasks) => match never {},
                () = self.turn() => None,
            };
            if let Some(ended) = ended {
                if ended.is_ok() {
                    self.laps.end();
                    // The lease is kept until it is given back: a renewal under way has to come to its end first.
                    tokio::select! {
                        biased;
                        () = finish(self.lane.clone(), self.lease.clone()) => {}
                        _ = &mut lost => {}
                    }
                }
                return ended;
            }
        }
    }
}

/// Waits for what must not happen: that a watch or the second lane ends. Blind or mute, the loop must not go on.
async fn broken(tasks: &mut JoinSet<()>) -> Infallible {
    match tasks.join_next().await {
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        ended => panic!("a watch or the second lane has ended: {ended:?}"),
    }
}

/// Why the loop woke.
enum Wake {
    Answer(Box<Answer>),
    /// A move has come back.
    Returned(Box<Returned>),
    /// The cluster has changed.
    Cluster,
    /// A lap is to be done.
    Time,
    Rules,
    Nothing,
}

impl Controller {
    /// Waits for something and acts on it.
    async fn turn(&mut self) {
        self.pulse.enter(self.stage());
        if !self.cache.is_synced() {
            wait_for_lists(&self.cache).await;
            return;
        }
        if self.laps.announces() && self.laps.observer.announced.announce().await {
            return self.lap();
        }
        self.laps.observer.announced.withdraw();
        if self.git.is_idle()
            && let Some(ask) = self.next_ask()
        {
            self.pulse.asking(Some(Instant::now()));
            if let Some(answer) = self.git.start(ask, self.settings.inline) {
                return self.take(answer).await;
            }
        }
        let asks_at = [Some(self.git.next_poll), self.learn_at].into_iter().flatten().min();
        let asks_at = asks_at.filter(|_| self.git.is_idle());
        let (lap_at, wakes) = (self.lap_at(), self.due.is_none());
        let wake = tokio::select! {
            biased;
            answer = self.git.finished() => answer.map_or(Wake::Nothing, |it| Wake::Answer(Box::new(it))),
            () = changed(&mut self.rules) => Wake::Rules,
            () = sleep_until(lap_at) => Wake::Time,
            returned = self.laps.returned() => Wake::Returned(Box::new(returned)),
            () = self.cache.changed(), if wakes => Wake::Cluster,
            () = sleep_until(asks_at), if asks_at.is_some() => Wake::Nothing,
            () = tokio::time::sleep(BEAT) => Wake::Nothing,
        };
        match wake {
            Wake::Answer(answer) => return self.take(*answer).await,
            Wake::Returned(returned) => {
                self.laps.settle(*returned);
                return self.ask_for_lap();
            }
            Wake::Cluster => return self.ask_for_lap(),
            Wake::Nothing => return,
            Wake::Rules => self.take_rules(),
            Wake::Time => {}
        }
        if self.strangers_at <= Instant::now() {
            self.laps.observer.forget_strangers();
            self.strangers_at = Instant::now() + STRANGERS;
        }
        let root = self.laps.observer.policy().root.clone();
        for id in self.laps.observer.rivals.look(&self.cluster, &root).await {
            self.laps.observer.touch(&id);
        }
        self.lap();
    }

    /// Something has changed: a lap is due when others that change with it have had their time.
    fn ask_for_lap(&mut self) {
        self.due.get_or_insert(self.not_before.max(Instant::now() + GATHER));
    }

    /// Where the loop is.
    fn stage(&self) -> Stage {
        if !self.cache.is_synced() {
            // Kinds that are not served come last: most of them keep nobody waiting.
            let mut waits = unlisted(&self.cache);
            waits.sort_by_key(|(category, _)| *category == "not-served");
            return Stage::Listing(waits.into_iter().next().map(|(_, message)| message));
        }
        let source = &self.laps.observer.source;
        if source.head.is_some() {
            return Stage::Turning;
        }
        let why = |fault: &Fault| match fault {
            Fault::Unreachable { message } | Fault::Refused { message, .. } => message.clone(),
        };
        Stage::Reading(source.fault.as_ref().map(why))
    }

    /// Takes a configuration that has changed, and asks Git again by it.
    fn take_rules(&mut self) {
        let policy = Arc::clone(&self.rules.borrow_and_update().policy);
        tracing::info!("the configuration has changed");
        self.laps.observer.set_policy(policy);
        self.git.next_poll = Instant::now();
        self.git.reread();
    }

    fn lap(&mut self) {
        self.due = None;
        if self.git.answered && self.cache.is_synced() {
            self.pulse.enter(self.stage());
            let (began, since) = (self.clock.now(), Instant::now());
            let lapped = self.laps.lap();
            self.not_before = Instant::now() + REST * since.elapsed();
            // A moment that has passed changes nothing any more: something else is waited for.
            self.wake_at = lapped.wake_at.filter(|at| *at > began);
            let applied = self.named_at.take_if(|_| lapped.settled && !self.git.owes());
            self.pulse.count(|tally| {
                tally.laps.note(since.elapsed());
                if let Some(at) = applied {
                    tally.applied.note(at.elapsed());
                }
            });
            // What this lap left to be told is told when the records say so, and wake the next one.
            if let (Some(lease), Some(head)) = (&self.lease, self.git.settled())
                && self.lane.is_told()
                && self.laps.is_idle()
            {
                lease.note_told(head);
            }
            if !self.git.knows(&self.laps.observer.known()) {
                self.learn_at.get_or_insert(Instant::now() + LEARN);
            }
        }
    }

    /// When time alone asks for a lap.
    fn lap_at(&self) -> Option<Instant> {
        let planned = self.wake_at.map(|at| self.clock.instant(at));
        let strangers = self.laps.observer.has_strangers().then_some(self.strangers_at);
        let observer = &self.laps.observer;
        let all = [self.due, planned, strangers, observer.refusals.next(), observer.rivals.next()];
        let all =
            all.into_iter().chain([observer.crowd.refusals.next(), observer.crowd.looks.refusals.next()]);
        all.flatten().min()
    }

    /// What to ask Git now, if anything.
    fn next_ask(&mut self) -> Option<Ask> {
        let observer = &mut self.laps.observer;
        let policy = Arc::clone(observer.policy());
        let learns = self.learn_at.take_if(|at| *at <= Instant::now()).is_some();
        if (learns || self.git.is_due())
            && let Some(ask) = self.git.next_read(&observer.known(), &policy)
        {
            return Some(ask);
        }
        if let Some(ask) = self.git.next_find(&observer.sought()) {
            return Some(ask);
        }
        if self.git.next_poll > Instant::now() {
            return None;
        }
        self.git.next_poll = Instant::now() + self.settings.interval;
        self.git.asked_at = self.clock.now();
        let (seen, elsewhere) = (self.git.seen(), self.git.elsewhere());
        Some(Ask::Poll { seen, elsewhere, accepted: self.rules.borrow().accepted })
    }

    /// Takes what Git answered.
    async fn take(&mut self, answer: Answer) {
        self.pulse.asking(None);
        let (git, observer) = (&mut self.git, &mut self.laps.observer);
        // What a new head says, or that there is none, has no time to lose.
        let mut is_news = false;
        match answer {
            Answer::Head(head) => {
                self.pulse.count(|tally| tally.polled("answered"));
                if let Some(lease) = &self.lease {
                    lease.note_poll(git.asked_at);
                }
                if git.seen() != Some(head) {
                    self.named_at = Some(self.clock.instant(git.asked_at));
                }
                if git.named(head) {
                    return self.follow(head).await;
                }
                if let Some(file) = &self.settings.observe
                    && let Err(error) = seen::write(file, head, git.asked_at)
                {
                    tracing::warn!("the time of the poll could not be written down: {error}");
                }
                // What was seen and could not be read is no good news yet.
                if git.owes() {
                    return;
                }
                observer.source.fetched_at = Some(git.asked_at);
                observer.source.fault = None;
            }
            Answer::Reading(head, reading, committed_at) => {
                if !git.is_current(head) {
                    return;
                }
                if !git.has_read(head) {
                    told(head, &reading);
                    is_news = true;
                }
                self.pulse.follows(committed_at);
                let fetched_at = git.took(head);
                observer.source.head = Some(head);
                if fetched_at.is_some() {
                    observer.source.fetched_at = fetched_at;
                    observer.source.fault = None;
                }
                observer.take_reading(reading);
            }
            Answer::Unread(fault) => {
                is_news = true;
                self.fault(fault);
                self.git.answered = true;
            }
            Answer::Fault(fault, mirrored) => {
                let came = match &fault {
                    Fault::Unreachable { .. } => "unreachable",
                    Fault::Refused { .. } => "refused",
                };
                self.pulse.count(|tally| tally.polled(came));
                is_news = true;
                self.fault(fault);
                if self.git.silent(mirrored) {
                    return;
                }
                self.git.answered = true;
            }
            Answer::Found(found, absent) => observer.take_documents(&found, &absent),
        }
        if is_news { self.lap() } else { self.ask_for_lap() }
    }

    /// Goes on to a new head: it is written down before it is read.
    async fn follow(&mut self, head: CommitId) {
        let recorded = match (&self.lease, &self.settings.observe) {
            (Some(lease), _) => lease.record_head(head).await.map_err(|error| error.to_string()),
            (None, Some(file)) => {
                seen::write(file, head, self.git.asked_at).map_err(|error| error.to_string())
            }
            (None, None) => Ok(()),
        };
        match recorded {
            Ok(()) => self.git.follow(head),
            Err(error) => {
                let message = format!("head {} could not be written down: {error}", head.short());
                self.fault(Fault::Unreachable { message });
                self.git.answered = true;
                self.lap();
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        let source = &mut self.laps.observer.source;
        if source.fault.as_ref() != Some(&fault) {
            match &fault {
                Fault::Unreachable { message } => tracing::warn!("Git did not answer: {message}"),
                Fault::Refused { message, .. } => tracing::error!("Git cannot be followed: {message}"),
            }
        }
        source.fault = Some(fault);
    }
}

/// Waits until the configuration changes; for ever where nobody can change it any more.
async fn changed(rules: &mut watch::Receiver<Rules>) {
    if rules.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
