//! What must fit together for blue/green: two Services of the release that select its pods and can be pointed at one
//! revision, others that can follow, a name with room for the second CloneSet.

use serde_json::Value;

use crate::objects::{Kind, keys};
use crate::spec::blue_green::Places;
use crate::spec::cloneset::{CloneSet, NAME_MAX};
use crate::spec::diagnostic::Severity;
use crate::spec::document::Accompanying;
use crate::spec::exchange::in_place;
use crate::spec::node::Spot;
use crate::spec::release::BlueGreen;
use crate::spec::report::Flaw;
use crate::spec::routes::{beyond, is_among, selects};
use crate::spec::strategy::WrittenStrategy;

/// Digits of a template's hash that the name of the second CloneSet has more than the release's, after a dash.
pub const DIGITS: usize = 10;

/// One check of a blue/green release: where its strategy is told of, and what it has.
struct Check<'c, 'f> {
    path: &'f str,
    /// Where the parts of `blueGreen` stand; all at the strategy's name where it stands in triton.yaml.
    places: Places,
    cloneset: &'c CloneSet,
    companions: &'c [(&'f str, &'c Accompanying)],
}

/// Where a mistake is told: its file.
type Tell<'t, 'f> = dyn FnMut(&'f str, Flaw) + 't;

/// Checks `blueGreen` of a strategy against the CloneSet and the companions of its release. `tell` is given the file of each
/// mistake.
pub fn check<'f>(
    strategy: &WrittenStrategy,
    (path, at, inline): (&'f str, Spot, bool),
    (cloneset_path, cloneset): (&'f str, &CloneSet),
    companions: &[(&'f str, &Accompanying)],
    tell: &mut Tell<'_, 'f>,
) {
    let Some(wanted) = &strategy.strategy.blue_green else { return };
    let named = Places { at, active: at, preview: at };
    let places = strategy.blue_green_at.filter(|_| inline).unwrap_or(named);
    let check = Check { path, places, cloneset, companions };
    check.service(wanted, true, tell);
    check.service(wanted, false, tell);
    check.others(wanted, tell);
    check.cloneset(cloneset_path, tell);
}

fn field(active: bool) -> &'static str {
    if active { "active" } else { "preview" }
}

impl<'f> Check<'_, 'f> {
    fn services(&self) -> impl Iterator<Item = (&'f str, &Accompanying, &str)> {
        let services = self.companions.iter().filter(|(_, it)| it.kind == Kind::Service);
        services.filter_map(|(path, it)| Some((*path, *it, it.key.as_ref()?.name.as_str())))
    }

    fn labels(&self) -> Value {
        self.cloneset.body.open()["spec"]["template"]["metadata"]["labels"].take()
    }

    fn selector(&self) -> Value {
        self.cloneset.body.open()["spec"]["selector"].take()
    }

    /// The Service that is named as `active` or as `preview`.
    fn service(&self, wanted: &BlueGreen, active: bool, tell: &mut Tell<'_, 'f>) {
        let name = if active { &wanted.active } else { &wanted.preview };
        let (field, at) = (field(active), if active { self.places.active } else { self.places.preview });
        let Some((path, service, _)) = self.services().find(|(.., it)| *it == name.as_str()) else {
            let known: Vec<&str> = self.services().map(|(.., name)| name).collect();
            let cure = match known.as_slice() {
                [] => "add the Service to the files of the release".to_owned(),
                known => format!("add it to the files of the release, which has {}", known.join(", ")),
            };
            let message =
                format!("`blueGreen.{field}` names `{name}`, and the release has no Service of that name");
            return tell(self.path, Flaw { severity: Severity::Error, at, message, cure });
        };
        let body = service.body.open();
        let mut error = |message: String, cure: &str| {
            let (severity, at, cure) = (Severity::Error, service.at, cure.to_owned());
            tell(path, Flaw { severity, at, message, cure });
        };
        let hash = keys::POD_TEMPLATE_HASH;
        if body["spec"]["selector"].get(hash).is_some() {
            let message = format!(
                "Service `{name}` (`blueGreen.{field}`) selects by `{hash}`: that is how it is pointed at a revision, and the rollout's to write"
            );
            error(message, "delete that label from `spec.selector`");
        } else if !selects(&body, &self.labels()) {
            let message =
                format!("Service `{name}` (`blueGreen.{field}`) does not select the pods of this release");
            error(message, "write labels of the template into `spec.selector`");
        } else if let Some(label) = beyond(&body["spec"]["selector"], &self.selector()) {
            let message = format!(
                "Service `{name}` (`blueGreen.{field}`) may select pods of others, which would lose their traffic: its selector lacks `{label}` of the CloneSet's"
            );
            error(message, "write every label of the CloneSet's `spec.selector` into it");
        }
        if active && body.pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true)) {
            let message =
                "`publishNotReadyAddresses` of the active Service leads traffic to pods that are not ready";
            error(message.to_owned(), "delete the line");
        }
    }

    /// Other Services, and PodDisruptionBudgets: those that select the pods of the release follow the ones that serve.
    fn others(&self, wanted: &BlueGreen, tell: &mut Tell<'_, 'f>) {
        let (labels, selector) = (self.labels(), self.selector());
        for (path, it) in self.companions {
            let Some(key) = &it.key else { continue };
            let at = match it.kind {
                Kind::Service if key.name == wanted.active || key.name == wanted.preview => continue,
                Kind::Service => "/spec/selector",
                Kind::PodDisruptionBudget => "/spec/selector/matchLabels",
                _ => continue,
            };
            let selected = it.body.open().pointer(at).cloned().unwrap_or_default();
            let beyond = beyond(&selected, &selector).filter(|_| is_among(&selected, &labels));
            let Some(label) = beyond else { continue };
            let message = format!(
                "{} `{}` is led to the pods that serve, and may select those of others: its selector lacks `{label}` of the CloneSet's",
                it.kind, key.name
            );
            let cure = "write every label of the CloneSet's `spec.selector` into it".to_owned();
            tell(path, Flaw { severity: Severity::Error, at: it.at, message, cure });
        }
    }

    fn cloneset(&self, path: &'f str, tell: &mut Tell<'_, 'f>) {
        let (it, body) = (self.cloneset, self.cloneset.body.open());
        let (length, more) = (it.key.as_ref().map_or(0, |key| key.name.as_str().len()), DIGITS + 1);
        if length + more >= NAME_MAX {
            let most = NAME_MAX - more - 1;
            let message = format!(
                "the name has {length} characters, and that of the second CloneSet {more} more: Kruise cannot make pods of it"
            );
            let cure = format!("shorten it to {most} at most");
            tell(path, Flaw { severity: Severity::Error, at: it.name_at, message, cure });
        }
        if let Some(kind) = in_place(&body["spec"]["updateStrategy"]) {
            let message = format!(
                "`updateStrategy.type: {kind}` beside `blueGreen`: the pods of a new version are made beside the old ones, and none is updated in place"
            );
            let severity = if kind == "InPlaceOnly" { Severity::Error } else { Severity::Warning };
            let cure = "write `type: ReCreate`".to_owned();
            tell(path, Flaw { severity, at: it.type_at.unwrap_or(it.at), message, cure });
        }
    }
}
