//! The story of `demo --play`: types the commands, shows what the status says, and checks what it claims against
//! the pods and the records.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use tokio::time::{Instant, sleep};

use crate::cli::approve::{self, ApproveArgs};
use crate::cli::clone::LocalClone;
use crate::cli::history;
use crate::cli::output::{Printer, Tint};
use crate::cli::records::{Record, Records};
use crate::cli::render;
use crate::cli::status;
use crate::model::{Gate, LiftKind, ReleaseId};
use crate::objects::record::{Phase, View};

/// The release that the story is about.
const RELEASE: &str = "shop/checkout";
/// Its file.
const FILE: &str = "releases/shop/checkout.yaml";
/// The release whose canary serves by approval, and its file.
const SEARCH: (&str, &str) = ("shop/search", "releases/shop/search.yaml");
/// Pods that it has.
const SIZE: u32 = 10;
/// Releases in the example.
const RELEASES: usize = 6;
/// Seconds that its steps soak, as its file says.
const SOAK: u64 = 5;
/// How often the story looks.
const LOOK: Duration = Duration::from_millis(100);
/// Longest wait for what has to happen: a slow machine needs some seconds, a mistake would need for ever.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long nothing may happen before it is believed that nothing does.
const STILLNESS: Duration = Duration::from_secs(2);

/// What can be seen of the release at one moment.
struct Sight {
    record: Option<Record>,
    /// Its pods by the tag of their image.
    pods: BTreeMap<String, u32>,
    /// Those that get traffic.
    ready: BTreeMap<String, u32>,
}

impl Sight {
    fn view(&self) -> View {
        self.record.as_ref().map(|record| record.status.view.clone()).unwrap_or_default()
    }

    fn on(&self, version: &str) -> u32 {
        self.pods.get(version).copied().unwrap_or(0)
    }

    fn serve(&self, version: &str) -> u32 {
        self.ready.get(version).copied().unwrap_or(0)
    }

    /// Whether all pods run `version` and nothing else is there.
    fn is_all(&self, version: &str) -> bool {
        self.pods.len() == 1 && self.on(version) == SIZE
    }

    fn waits_for(&self, gate: Gate) -> bool {
        self.view().holds.iter().any(|hold| hold.gate == gate)
    }
}

/// Tells the story from its beginning to its end.
///
/// # Errors
/// At the first thing that did not happen, or happened and must not.
pub async fn play(clone: &LocalClone, records: &Records, printer: &Printer) -> Result<()> {
    let started = Instant::now();
    let teller = |release: &str, file| -> Result<Teller<'_>> {
        let id = release.parse().context("the release of the story")?;
        Ok(Teller { clone, records, printer, id, file })
    };
    let search = teller(SEARCH.0, SEARCH.1)?;
    let teller = teller(RELEASE, FILE)?;
    teller.first_release().await?;
    let shipped = teller.canary().await?;
    teller.approval().await?;
    search.dark().await?;
    teller.bad_version().await?;
    teller.revert(&shipped).await?;
    printer.say(format!("\nAll of it happened, in {}s.", started.elapsed().as_secs()))?;
    Ok(())
}

struct Teller<'a> {
    clone: &'a LocalClone,
    records: &'a Records,
    printer: &'a Printer,
    id: ReleaseId,
    /// Its file.
    file: &'a str,
}

impl Teller<'_> {
    async fn first_release(&self) -> Result<()> {
        self.chapter("The first release: there is nothing to compare with, so every pod comes at once.")?;
        self.printer.say("  $ git commit -m 'Six releases of one shop'")?;
        self.until("every pod of checkout runs 2.4.0", None, |sight| {
            sight.is_all("2.4.0") && sight.view().phase == Phase::Healthy
        })
        .await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let records = self.records.list().await?;
            let healthy = |record: &&Record| record.status.view.phase == Phase::Healthy;
            if records.len() == RELEASES && records.iter().filter(healthy).count() == RELEASES {
                break;
            }
            ensure!(Instant::now() < deadline, "not every release became healthy");
            sleep(LOOK).await;
        }
        self.claim("all six releases are healthy")?;
        self.printer.say("  $ triton status")?;
        let rows = status::rows(self.records, self.records.list().await?).await;
        self.screen(&render::list(&rows, Timestamp::now(), self.printer.paint))
    }

    /// Ships 2.4.1; gives its commit.
    async fn canary(&self) -> Result<String> {
        self.chapter("A new version: one pod gets it, and no other until somebody approves.")?;
        let shipped = self.ship("2.4.0", "2.4.1")?;
        self.until("one pod runs 2.4.1, nine run 2.4.0", Some(("2.4.1", 1)), |sight| {
            sight.on("2.4.1") == 1 && sight.on("2.4.0") == SIZE - 1 && sight.waits_for(Gate::Approval)
        })
        .await?;
        // Soaked, healthy, and still it waits: this is the gate, not the clock.
        let sight = self
            .until("it is healthy and has soaked", Some(("2.4.1", 1)), |sight| {
                let view = sight.view();
                view.phase == Phase::Paused && view.holds.iter().all(|hold| hold.lift.kind != LiftKind::Wait)
            })
            .await?;
        let hold = sight.view().holds.into_iter().find(|hold| hold.gate == Gate::Approval);
        let command = hold.and_then(|hold| hold.lift.command).context("the hold names no command")?;
        ensure!(command == format!("triton approve {RELEASE}"), "the hold names another command: {command}");
        self.detail(sight).await?;
        self.still("nobody approves, so it stays one pod", "2.4.1", 1).await?;
        Ok(shipped)
    }

    async fn approval(&self) -> Result<()> {
        self.chapter("The approval: a commit. Half of the pods, a soak, then all.")?;
        self.printer.say(format!("  $ triton approve {RELEASE}"))?;
        approve::run(&ApproveArgs::of(self.id.clone(), self.clone.top()), &self.printer.indented("    "))?;
        let half = SIZE / 2;
        self.until("five pods run 2.4.1", Some(("2.4.1", half)), |sight| sight.on("2.4.1") == half).await?;
        let since = Instant::now();
        self.until("more than half: the soak is over", None, |sight| sight.on("2.4.1") > half).await?;
        let soaked = since.elapsed();
        ensure!(soaked.as_secs() + 1 >= SOAK, "half of the pods soaked for {}s only", soaked.as_secs());
        self.until("all pods run 2.4.1, and it is proven", None, |sight| {
            sight.is_all("2.4.1") && sight.view().phase == Phase::Healthy
        })
        .await?;
        Ok(())
    }

    async fn dark(&self) -> Result<()> {
        self.chapter("Another release: its new pod comes up, and serves nobody before somebody lets it.")?;
        let shipped = self.ship("7.1.3", "7.1.4")?;
        let sight = self
            .until("one pod runs 7.1.4, is up, and gets no traffic", Some(("7.1.4", 1)), |sight| {
                sight.on("7.1.4") == 1 && sight.waits_for(Gate::Serve) && sight.serve("7.1.4") == 0
            })
            .await?;
        self.detail(sight).await?;
        self.printer.say(format!("  $ triton approve {} --serve", self.id))?;
        let args = ApproveArgs { serve: true, ..ApproveArgs::of(self.id.clone(), self.clone.top()) };
        approve::run(&args, &self.printer.indented("    "))?;
        self.until("it serves, and no other pod has moved", Some(("7.1.4", 1)), |sight| {
            sight.serve("7.1.4") == 1 && !sight.waits_for(Gate::Serve)
        })
        .await?;
        self.git(&["revert", "--no-edit", &shipped])?;
        self.until("every pod is back on 7.1.3", None, |sight| {
            sight.on("7.1.4") == 0 && sight.view().phase == Phase::Healthy
        })
        .await?;
        Ok(())
    }

    async fn bad_version(&self) -> Result<()> {
        self.chapter("A bad version: it stops at its first step, and goes back by itself.")?;
        self.ship("2.4.1", "2.4.2-bad")?;
        self.until("one pod tries 2.4.2-bad and never gets ready", Some(("2.4.2-bad", 1)), |sight| {
            sight.on("2.4.2-bad") == 1 && sight.waits_for(Gate::Pods)
        })
        .await?;
        let sight = self
            .until("its deadline passes: every pod is on 2.4.1 again", Some(("2.4.2-bad", 1)), |sight| {
                sight.is_all("2.4.1")
                    && sight.waits_for(Gate::Failed)
                    && sight.view().phase == Phase::Degraded
            })
            .await?;
        let history =
            sight.record.as_ref().map(|record| record.status.history.as_slice()).unwrap_or_default();
        for decision in ["Fail", "RollBack"] {
            ensure!(
                history.iter().any(|it| it.decision == decision),
                "the record's history has no {decision}"
            );
        }
        self.detail(sight).await?;
        self.git(&["revert", "--no-edit", "HEAD"])?;
        self.until("Git and the cluster agree again", Some(("2.4.2-bad", 0)), |sight| {
            sight.is_all("2.4.1") && sight.view().phase == Phase::Healthy
        })
        .await?;
        Ok(())
    }

    async fn revert(&self, shipped: &str) -> Result<()> {
        self.chapter("A revert, long after 2.4.1 was complete: no gate, no soak, every pod at once.")?;
        self.git(&["revert", "--no-edit", shipped])?;
        self.until("every pod is back on 2.4.0", None, |sight| {
            sight.is_all("2.4.0") && sight.view().phase == Phase::Healthy
        })
        .await?;
        self.printer.say(format!("  $ triton history {RELEASE}"))?;
        let record = self.records.get(&self.id).await?;
        let commits = history::commits(self.clone.top(), &self.id, None).unwrap_or_default();
        let events = history::events(&record.status.history, &commits);
        self.screen(&render::history(&events, self.printer.paint))
    }

    /// Changes the image and commits; gives the commit.
    fn ship(&self, from: &str, to: &str) -> Result<String> {
        let (path, file, name) = (self.clone.top().join(self.file), self.file, &self.id.name);
        let text = std::fs::read_to_string(&path)?;
        let (from, to) = (format!("{name}:{from}"), format!("{name}:{to}"));
        ensure!(text.contains(&from), "{file} has no {from}");
        self.printer.say(format!("  $ sed -i 's/{from}/{to}/' {file}"))?;
        std::fs::write(&path, text.replace(&from, &to))?;
        self.git(&["commit", "-a", "-m", &to.replace(':', " ")])?;
        Ok(self.clone.head()?.short())
    }

    fn git(&self, args: &[&str]) -> Result<()> {
        let quoted =
            args.iter().map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { (*arg).to_owned() });
        self.printer.say(format!("  $ git {}", quoted.collect::<Vec<_>>().join(" ")))?;
        self.clone.git(args).map(drop)
    }

    fn chapter(&self, title: &str) -> Result<()> {
        Ok(self.printer.say(format!("\n{}", self.printer.paint.tint(Tint::Strong, title)))?)
    }

    fn claim(&self, what: &str) -> Result<()> {
        Ok(self.printer.say(format!("  {} {what}", self.printer.paint.tint(Tint::Good, "✔")))?)
    }

    fn screen(&self, text: &str) -> Result<()> {
        Ok(self.printer.indented("    ").say(text)?)
    }

    async fn detail(&self, sight: Sight) -> Result<()> {
        self.printer.say(format!("  $ triton status {}", self.id))?;
        let rows = status::rows(self.records, sight.record.into_iter().collect()).await;
        rows.iter()
            .try_for_each(|row| self.screen(&render::detail(row, Timestamp::now(), self.printer.paint)))
    }

    /// Waits until `done`, and fails where more than `most` pods run a version meanwhile.
    async fn until(
        &self,
        what: &str,
        most: Option<(&str, u32)>,
        done: impl Fn(&Sight) -> bool,
    ) -> Result<Sight> {
        let since = Instant::now();
        loop {
            let sight = self.look().await?;
            check_most(&sight, most)?;
            if done(&sight) {
                self.printer.progress("");
                self.claim(what)?;
                return Ok(sight);
            }
            let seconds = since.elapsed().as_secs();
            let headline = self.headline(&sight);
            self.printer.progress(&format!("  {seconds:>3}s  {headline}"));
            if since.elapsed() > PATIENCE {
                bail!("this did not happen within {seconds}s: {what}. {headline}");
            }
            sleep(LOOK).await;
        }
    }

    /// Watches for a while that nothing moves.
    async fn still(&self, what: &str, version: &str, pods: u32) -> Result<()> {
        let since = Instant::now();
        while since.elapsed() < STILLNESS {
            let sight = self.look().await?;
            ensure!(sight.on(version) == pods, "{} pods run {version}, not {pods}", sight.on(version));
            sleep(LOOK).await;
        }
        self.claim(what)
    }

    fn headline(&self, sight: &Sight) -> String {
        let view = sight.view();
        let waits = render::foremost(&view.holds).map(|hold| hold.message.clone());
        let pods: Vec<String> =
            sight.pods.iter().map(|(version, count)| format!("{count} × {version}")).collect();
        format!("{} · {}", pods.join(", "), waits.unwrap_or_else(|| format!("{:?}", view.phase)))
    }

    async fn look(&self) -> Result<Sight> {
        let record = self.records.find(&self.id).await?;
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
        let client = self.records.client().clone();
        let api: Api<DynamicObject> = Api::namespaced_with(client, self.id.namespace.as_str(), &kind);
        let mine = ListParams::default().labels(&format!("app={}", self.id.name));
        let (mut pods, mut ready) = (BTreeMap::new(), BTreeMap::new());
        for pod in api.list(&mine).await.context("the pods")?.items {
            if pod.metadata.deletion_timestamp.is_none() {
                *pods.entry(tag(&pod)).or_insert(0) += 1;
                *ready.entry(tag(&pod)).or_insert(0) += u32::from(is_ready(&pod));
            }
        }
        Ok(Sight { record, pods, ready })
    }
}

fn check_most(sight: &Sight, most: Option<(&str, u32)>) -> Result<()> {
    let Some((version, most)) = most else { return Ok(()) };
    let found = sight.on(version);
    ensure!(found <= most, "{found} pods run {version}; Git permits {most}");
    Ok(())
}

/// Whether a pod gets traffic: all its gates are open.
fn is_ready(pod: &DynamicObject) -> bool {
    let conditions = pod.data.pointer("/status/conditions").and_then(serde_json::Value::as_array);
    let mut ready = conditions.into_iter().flatten().filter(|it| it["type"] == "Ready");
    ready.any(|it| it["status"] == "True")
}

/// The tag of a pod's first image.
fn tag(pod: &DynamicObject) -> String {
    let image = pod.data.pointer("/spec/containers/0/image").and_then(serde_json::Value::as_str);
    image.and_then(|image| image.rsplit_once(':')).map_or_else(String::new, |(_, tag)| tag.to_owned())
}
