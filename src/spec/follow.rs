//! What follows the pods of a release that is switched as a whole ([`crate::spec::blue_green`]): which of its companions lead to
//! one of its CloneSets, or speak of one.

use crate::objects::Kind;
use crate::spec::release::{BlueGreen, Companion, Release};
use crate::spec::routes::is_among;

/// What a companion follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    /// It is the Service whose pods serve.
    Active,
    /// It selects pods of the release as that does: another Service, or a PodDisruptionBudget.
    Beside,
    /// It is the Service by which the new revision is tried.
    Preview,
    /// It scales the CloneSet whose pods serve.
    Scaler,
}

impl Release {
    /// The companions that follow one of its CloneSets, as long as it has more than one: by what it says of that itself, else
    /// its first Service that selects its pods is the active one.
    pub fn followers(&self) -> impl Iterator<Item = (&Companion, Follower)> {
        let labels = self.cloneset.value.open()["spec"]["template"]["metadata"]["labels"].take();
        let of = self.strategy.blue_green.clone().or_else(|| {
            let services = self.companions.iter().filter(|it| it.body.key.kind == Kind::Service);
            let selects = |it: &&Companion| is_among(&it.body.value.open()["spec"]["selector"], &labels);
            let active = services.into_iter().find(selects)?.body.key.name.clone();
            Some(BlueGreen { preview: active.clone(), active, keep: 0 })
        });
        self.companions.iter().filter_map(move |companion| {
            let of = of.as_ref()?;
            let labels = &labels;
            let name = &companion.body.key.name;
            let follower = match companion.body.key.kind {
                Kind::Service if *name == of.active => Follower::Active,
                Kind::Service if *name == of.preview => Follower::Preview,
                Kind::Service => {
                    let selected = companion.body.value.open()["spec"]["selector"].take();
                    is_among(&selected, labels).then_some(Follower::Beside)?
                }
                Kind::PodDisruptionBudget => {
                    let selected = companion.body.value.open()["spec"]["selector"]["matchLabels"].take();
                    is_among(&selected, labels).then_some(Follower::Beside)?
                }
                Kind::HorizontalPodAutoscaler => {
                    let target = companion.body.value.open()["spec"]["scaleTargetRef"].take();
                    let is_ours = target["kind"] == Kind::CloneSet.api().kind
                        && target["name"] == *self.id.name.as_str();
                    is_ours.then_some(Follower::Scaler)?
                }
                _ => return None,
            };
            Some((companion, follower))
        })
    }
}
