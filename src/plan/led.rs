//! The sentences about traffic that is led by weights.

use crate::model::{Gate, Hold, Lift, LiftKind, Name, ReleaseId};
use crate::objects::{ObjectKey, keys};
use crate::plan::facts::Facts;
use crate::plan::holds;
use crate::spec::Release;
use crate::world::{Colour, Share};

fn hold(gate: Gate, facts: &Facts<'_>, message: String) -> Hold {
    let since = Some(facts.memory.step_entered).filter(|_| !facts.is_proven());
    Hold { gate, since, message, lift: Lift::wait() }
}

/// What only another commit can lift.
fn by_commit(release: &Release, command: &str, message: String) -> Hold {
    let lift = Lift::by(LiftKind::Commit).path(&release.path).command(command);
    Hold { gate: Gate::Spec, since: None, message, lift }
}

/// EndpointSlices were not listed yet: nobody knows what a Service leads to.
#[must_use]
pub fn endpoints_unlisted(id: &ReleaseId) -> Hold {
    let message = format!(
        "{id} has weights, and the EndpointSlices of its Services are not listed yet: no traffic moves"
    );
    Hold { gate: Gate::Cluster, since: None, message, lift: Lift::wait() }
}

/// Pods of one version that EndpointSlices have, and those that they are to have.
#[derive(Clone, Copy, Debug)]
pub struct Few<'a> {
    /// Ready endpoints.
    pub ready: u32,
    /// So many are needed.
    pub needed: u32,
    /// The version.
    pub version: &'a str,
}

/// Before a rollout begins, the pods of the proven revision have a Service of their own.
#[must_use]
pub fn leads_to_few(
    facts: &Facts<'_>,
    service: &ObjectKey,
    (ready, needed): (u32, u32),
    version: &str,
) -> Hold {
    let message = format!(
        "{} goes on once {service} leads to {} of {version}: its EndpointSlices have {ready} ready",
        facts.id,
        holds::pods(needed)
    );
    hold(Gate::Traffic, facts, message)
}

/// A Service of the release that is to begin asks for a label that the pods of the proven revision do not have.
#[must_use]
pub fn selects_none(facts: &Facts<'_>, service: &ObjectKey, label: &str, path: &str) -> Hold {
    let message = format!(
        "{service} selects {label}, which the pods of {} do not have: no traffic could be left with them",
        facts.memory.version
    );
    let lift = Lift::by(LiftKind::Commit).path(path);
    let lift =
        lift.command("select labels that they have; or release the label first, and the selector after it");
    Hold { gate: Gate::Traffic, since: None, message, lift }
}

/// The release that stands has a Service of its own where one of ours would be.
#[must_use]
pub fn still_there(id: &ReleaseId, service: &ObjectKey, path: &str) -> Hold {
    let message =
        format!("{id} would make {service} for its weights, and the release that stands has one of its own");
    let lift = Lift::by(LiftKind::Commit).path(path);
    let lift = lift.command("release its removal first, and the weights after it");
    Hold { gate: Gate::Ownership, since: None, message, lift }
}

/// What a route lacks of what it is to lead to the pods of the entered step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// This share of the traffic, in whole percent.
    Weight(u32),
    /// Testers; the share is there.
    Testers,
}

/// The pods of the entered step are there, and traffic is not led by its weight: EndpointSlices have not enough of the
/// `pods` of a version, or, where that is none, nothing goes forward.
#[must_use]
pub fn not_led(facts: &Facts<'_>, now: Share, due: Due, pods: Option<Few<'_>>) -> Hold {
    let wanted = match due {
        Due::Weight(due) => format!("{due}% do"),
        Due::Testers => "they do".to_owned(),
    };
    let now = match now {
        Share::Split(_) if due == Due::Testers => "testers do not reach them".to_owned(),
        Share::Base => "its routes share none by revision".to_owned(),
        Share::Split(percent) => format!("{percent}% of the traffic goes to them"),
    };
    let then = match pods {
        Some(Few { ready, needed, .. }) if ready >= needed => "once its routes say so".to_owned(),
        Some(Few { ready, needed, version }) => {
            format!("once EndpointSlices have {} of {version}, and they have {ready}", holds::pods(needed))
        }
        None => "once it goes forward again".to_owned(),
    };
    let message = format!(
        "{} has the pods of step {} of {} available, and {now}: {wanted} {then}",
        facts.id,
        facts.memory.step,
        facts.last_step()
    );
    hold(Gate::Traffic, facts, message)
}

/// The pods of the entered step are there, and the Service that is to lead to them leads to too few.
#[must_use]
pub fn not_followed(facts: &Facts<'_>, service: &str, ready: u32, needed: u32) -> Hold {
    let message = format!(
        "{} has the pods of step {} of {} available, and Service {service} leads to {ready} of {}",
        facts.id,
        facts.memory.step,
        facts.last_step(),
        holds::pods(needed)
    );
    hold(Gate::Traffic, facts, message)
}

/// A release that is switched as a whole no more has its pods in a second CloneSet still.
#[must_use]
pub fn moves_home(facts: &Facts<'_>) -> Hold {
    let message =
        format!("{} moves its pods back into its own CloneSet before another version begins", facts.id);
    hold(Gate::Pods, facts, message)
}

/// A CloneSet of the release is on its way out, and is needed again.
#[must_use]
pub fn still_deleted(facts: &Facts<'_>, name: &Name) -> Hold {
    let message = format!("{} is made again once CloneSet {name} is deleted: that is on its way", facts.id);
    hold(Gate::Cluster, facts, message)
}

/// The CloneSet of Git has pods, and nobody knows of which version.
#[must_use]
pub fn home_unknown(facts: &Facts<'_>) -> Hold {
    let message = format!(
        "CloneSet {} has {} of a version that its record does not name: none is taken away, and none made beside them",
        facts.id,
        holds::pods(facts.case.home.as_ref().map_or(0, |home| home.replicas))
    );
    let lift = Lift::by(LiftKind::Cluster).command(format!("put its annotation {} back", keys::HOME));
    Hold { gate: Gate::Cluster, since: None, message, lift }
}

/// Pods serve that no step lets serve, for none of the proven version are there.
#[must_use]
pub fn unapproved(facts: &Facts<'_>) -> Hold {
    let message = format!(
        "{} is served by pods that Git does not let serve: its Service leads to those of {} once they are available",
        facts.id,
        facts.top().map_or("", |top| &top.version)
    );
    hold(Gate::Traffic, facts, message)
}

/// The entered version has, for Kubernetes, the pods of another one that has some.
#[must_use]
pub fn repeats(facts: &Facts<'_>, same: &Colour<'_>) -> Hold {
    let message = format!(
        "{} has nothing to switch to: to Kubernetes its pods are those of CloneSet {}, and no Service tells them apart",
        facts.id,
        same.twin.unwrap_or(&facts.id.name)
    );
    let lift = Lift::by(LiftKind::Commit);
    let lift = facts.entered.map_or(lift.clone(), |release| lift.path(&release.path));
    let lift =
        lift.command("take the commit back, or change more of the pods than what is the default anyway");
    Hold { gate: Gate::Spec, since: None, message, lift }
}

/// A release would be switched as a whole, and the pods that run are not all of a proven version.
#[must_use]
pub fn not_as_one(facts: &Facts<'_>, release: &Release) -> Hold {
    let message = format!(
        "{} is to be switched as a whole, and its pods are not all of a proven version: blue/green would begin on some of them",
        facts.id
    );
    if facts.is_proven() {
        return Hold { gate: Gate::Spec, since: None, message, lift: Lift::wait() };
    }
    let command =
        "revert to the version that is proven, or complete this one first; commit blueGreen after it";
    by_commit(release, command, message)
}

/// A release would be switched as a whole no more, and begin another version, in one commit.
#[must_use]
pub fn leaves_both(facts: &Facts<'_>, release: &Release) -> Hold {
    let message = format!(
        "{} would leave blue/green and begin {} at once, and its pods are in two CloneSets",
        facts.id,
        holds::named(release)
    );
    let command = "take blueGreen out while the version that serves stands, and change the version after it";
    by_commit(release, command, message)
}

/// A release would preview another version at the Service that leads to the one that serves.
#[must_use]
pub fn changes_places(facts: &Facts<'_>, release: &Release, active: &Name) -> Hold {
    let message = format!(
        "{} would preview {} at Service {active}, and that is where the version before it serves",
        facts.id,
        holds::named(release)
    );
    let command = "let active and preview change places while the version that serves stands, and change the version after it";
    by_commit(release, command, message)
}
