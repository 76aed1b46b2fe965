//! What merging will do, in sentences: Git before and after, and what the cluster has, where it was seen. Text from
//! data, nothing else.

use serde::Serialize;

use crate::cli::change::{Change, lifted};
use crate::cli::switch;
use crate::cli::way::{Light, Seen, Way};
use crate::model::{Gate, Hold, ReleaseId};
use crate::objects::keys;
use crate::plan::holds::pods;
use crate::spec::{Initial, Release};
use crate::world::{Decision, Desired, Intent};

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
    /// Its version after; none for one that is removed or broken.
    pub to: Option<String>,
    /// Whether its files have mistakes afterwards: what runs stays.
    pub broken: bool,
    /// What happens, in order.
    pub sentences: Vec<String>,
    /// Approvals that count now and will not after.
    pub approvals_voided: usize,
    /// Every gate that will be closed; only where the cluster was seen.
    pub holds: Vec<Hold>,
}

/// What merging does to one release; nothing where it changes nothing of it.
#[must_use]
pub fn forecast(
    id: &ReleaseId,
    before: Option<&Desired>,
    after: Option<&Desired>,
    light: Light<'_>,
) -> Option<Forecast> {
    let (old, new) = (before.and_then(intent), after.and_then(intent));
    let version = |intent: Option<&Intent>| intent.map(|intent| intent.release.version.clone());
    let mut out = Forecast {
        namespace: id.namespace.to_string(),
        name: id.name.to_string(),
        from: version(old),
        to: version(new),
        broken: matches!(after, Some(Desired::Broken(_))),
        ..Forecast::default()
    };
    match (old, new) {
        (Some(old), Some(new)) => {
            let said = Change::new(id, old, new, light).tell();
            (out.sentences, out.approvals_voided) = (said.sentences, said.voided);
        }
        (None, Some(new)) => created(id, before, new, light, &mut out),
        (old, None) => lost(id, before, old, after, light.seen, &mut out),
    }
    if out.sentences.is_empty() {
        return None;
    }
    out.holds = light.seen.map(|seen| seen.moved.holds().to_vec()).unwrap_or_default();
    Some(out)
}

fn intent(desired: &Desired) -> Option<&Intent> {
    match desired {
        Desired::Release(intent) => Some(intent),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
    }
}

/// A release that Git did not have, or could not read.
fn created(id: &ReleaseId, before: Option<&Desired>, new: &Intent, light: Light<'_>, out: &mut Forecast) {
    let (release, way, seen) = (&new.release, Way { intent: new, light }, light.seen);
    let version = &release.version;
    if matches!(before, Some(Desired::Broken(_))) {
        out.sentences.push(format!("Merging this mends the files of {id}: Git says {version} again."));
    } else if seen.is_some_and(|seen| seen.case.live.is_some()) {
        out.sentences.push(format!("Merging this adds {id} {version}, whose CloneSet exists already."));
    } else {
        out.sentences.push(format!("Merging this creates {id} {version}{}.", first(release)));
    }
    if let Some(seen) = seen {
        wait(seen, out);
    } else if let Some(closed) = way.closed() {
        out.sentences.push(format!("It waits: {closed}."));
    } else if release.strategy.initial == Initial::Steps && way.permitted().furthest == 0 {
        out.sentences.push(format!("It waits: {}.", way.missing(1)));
    }
}

/// How a release is made for the first time.
fn first(release: &Release) -> String {
    let how = match release.strategy.initial {
        Initial::All => "all at once",
        Initial::Steps => "by its steps",
    };
    let size = release.replicas.map(|size| format!(" with {}", pods(size))).unwrap_or_default();
    format!("{size}, {how}")
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
        1 => ", 1 companion".to_owned(),
        many => format!(", {many} companions"),
    };
    let orphan = old.release.orphan;
    out.sentences.push(if orphan {
        format!(
            "Merging this leaves {id} to itself: its CloneSet{companions} and every pod stay, and nobody looks after them."
        )
    } else {
        format!("Merging this removes {id}: its CloneSet{companions} and every pod are deleted.")
    });
    out.sentences.extend(switch::orphaned(&old.release).filter(|_| orphan));
    let removal = |hold: &&Hold| hold.gate == Gate::Removal;
    if let Some(hold) = seen.and_then(|seen| seen.moved.holds().iter().find(removal)) {
        // The commit that removes it is not made yet.
        out.sentences.push(format!(
            "It waits: {}. Lifted by: triton approve --removal COMMIT, with the commit that merges this",
            hold.message
        ));
    } else if let Some(seen) = seen {
        wait(seen, out);
    }
    out.sentences.push(if orphan {
        format!(
            "Back: revert it with {}: \"true\" on its Release; by then its objects are nobody's.",
            keys::ADOPT
        )
    } else {
        "Back: revert it; what was deleted is made again.".to_owned()
    });
}

/// What else is closed.
fn wait(seen: Seen<'_>, out: &mut Forecast) {
    for hold in seen.moved.holds() {
        out.sentences.push(format!("It waits: {}.{}", hold.message, lifted(hold)));
    }
}

/// What the daemon would do with one release now; nothing where it rests.
#[must_use]
pub fn standing(id: &ReleaseId, desired: &Desired, light: Light<'_>) -> Option<Forecast> {
    let new = intent(desired);
    let mut out = Forecast {
        namespace: id.namespace.to_string(),
        name: id.name.to_string(),
        to: new.map(|intent| intent.release.version.clone()),
        ..Forecast::default()
    };
    match (light.seen, new) {
        (Some(seen), _) => {
            let moved = seen.moved;
            out.from.clone_from(&moved.view.version.from);
            if let (Decision::Create, Some(new)) = (&moved.decision, new) {
                let release = &new.release;
                out.sentences.push(format!("{id} {} is created{}.", release.version, first(release)));
            } else if !moved.message.is_empty() {
                out.sentences.push(format!("{}.", moved.message));
            }
            if let (Decision::Enter(step), Some(new)) = (&moved.decision, new) {
                let way = Way { intent: new, light };
                out.sentences.extend(switch::costs(&new.release, *step, way.size()));
                let blue_green = new.release.strategy.blue_green.as_ref();
                out.sentences.extend(blue_green.and_then(|_| way.then(*step)));
            }
            wait(seen, &mut out);
            out.holds = moved.holds().to_vec();
        }
        (None, Some(new)) => {
            let way = Way { intent: new, light };
            let (release, furthest) = (&new.release, way.permitted().furthest);
            out.sentences.push(if furthest >= release.last_step() {
                format!("Git permits all of {id} {}.", release.version)
            } else if furthest == 0 {
                format!("Git permits no step of {id} {}: {}.", release.version, way.missing(1))
            } else {
                let (target, missing) = (way.target(furthest), way.missing(furthest + 1));
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
