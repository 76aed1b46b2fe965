//! Configuration is part of a release: a ConfigMap that the pods read is applied immutable under a name with its
//! content's hash, and the pods read it by that name. So another content is another template, which takes its steps, and
//! a revert brings the old content back.
//!
//! **Invariant:** a name that pods read never changes its content. *T* has the whole hashes, for the digits of a name can
//! be forged.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fields::Compact;
use crate::model::{Name, TemplateHash};
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::canonical;
use crate::spec::cloneset::CloneSet;
use crate::spec::config::{self, Content};
use crate::spec::document::{Accompanying, Document};
use crate::spec::node::Spot;
use crate::spec::read::nearest;
use crate::spec::release::{Body, Companion, Release};
use crate::spec::report::quote;
use crate::spec::subject::Subject;

/// Hexadecimal digits of a content's hash in a name: two contents of one ConfigMap meet once in four billion, and then
/// the API server refuses the second, for the first is immutable.
const DIGITS: usize = 8;
/// Longest name of a ConfigMap (Kubernetes, "Object Names and IDs": a DNS subdomain).
const NAME_MAX: usize = 253;

/// The name under which a content is applied.
fn name_of(written: &str, content: &Content) -> String {
    format!("{written}-{}", &content.hash.to_string()[..DIGITS])
}

/// The content of `companion`, if it is a ConfigMap that the pods of `cloneset` read, and does not opt out.
fn versioned<'c>(cloneset: &CloneSet, companion: &'c Accompanying) -> Option<(&'c str, &'c Content)> {
    let name = companion.key.as_ref()?.name.as_str();
    let content = companion.content.as_ref().filter(|content| !content.opted_out)?;
    cloneset.reads.iter().any(|it| it.name == name).then_some((name, content))
}

/// The objects of a release as they are applied: the CloneSet, *T*, and the companions in the order in which they were
/// written.
#[must_use]
pub fn apply(cloneset: &CloneSet, companions: &[&Accompanying]) -> (Compact, TemplateHash, Vec<Companion>) {
    let versions: BTreeMap<&str, &Content> =
        companions.iter().filter_map(|it| versioned(cloneset, it)).collect();
    let applied = companions.iter().filter_map(|it| companion(it, &versions)).collect();
    if versions.is_empty() {
        return (cloneset.body.clone(), cloneset.template, applied);
    }
    let mut body = cloneset.body.open();
    let mut whole = body["spec"]["template"].clone();
    for reference in &cloneset.reads {
        let Some(content) = versions.get(reference.name.as_str()) else { continue };
        let name = |template: &mut Value, name: String| {
            if let Some(at) = template.pointer_mut(&reference.pointer) {
                *at = name.into();
            }
        };
        name(&mut body["spec"]["template"], name_of(&reference.name, content));
        name(&mut whole, format!("{}-{}", reference.name, content.hash));
    }
    let template = TemplateHash::of(canonical::json(&whole).as_bytes());
    (Compact::of(&body), template, applied)
}

/// One companion as it is applied. One whose name becomes too long stays as written, which is told as a mistake.
fn companion(written: &Accompanying, versions: &BTreeMap<&str, &Content>) -> Option<Companion> {
    let key = written.key.clone()?;
    let content = written.content.as_ref().and_then(|_| versions.get(key.name.as_str()));
    let name = content.and_then(|it| name_of(key.name.as_str(), it).parse::<Name>().ok());
    let Some(name) = name else {
        return Some(Companion { body: Body { key, value: written.body.clone() }, version_of: None });
    };
    let mut value = written.body.open();
    value["metadata"]["name"] = name.as_str().into();
    let annotations = &mut value["metadata"]["annotations"];
    // Where they are no map, which is told as a mistake, there is nothing to add to.
    if annotations.is_null() || annotations.is_object() {
        annotations[keys::VERSION_OF] = key.name.as_str().into();
    }
    value["immutable"] = true.into();
    let version_of = Some(key.name.clone());
    let body = Body { key: ObjectKey { name, ..key }, value: Compact::of(&value) };
    Some(Companion { body, version_of })
}

/// What is wrong with the ConfigMaps of one release. `tell` is given the file, the place, the mistake and its cure.
pub fn check<'f>(
    cloneset: (&'f str, &CloneSet),
    companions: &[(&'f str, &Accompanying)],
    mut tell: impl FnMut(&'f str, Spot, String, String),
) {
    let (template_path, cloneset) = cloneset;
    let opt_out = format!("annotate the ConfigMap {}: \"false\"", keys::VERSIONED);
    for (path, companion) in companions {
        let Some((name, content)) = versioned(cloneset, companion) else { continue };
        let length = name_of(name, content).len();
        if length > NAME_MAX {
            let message = format!(
                "with its content's hash the ConfigMap's name has {length} characters, and Kubernetes takes {NAME_MAX}"
            );
            tell(path, companion.at, message, format!("shorten it, or {opt_out}"));
        }
        if let Some(at) = content.mutable_at {
            let message = "`immutable: false`, and the pods read the ConfigMap: it is applied immutable, under a name with its content's hash";
            tell(path, at, message.to_owned(), format!("delete the line, or {opt_out}"));
        }
        for (key, at) in cloneset.reads.iter().filter(|it| it.name == name).flat_map(|it| &it.keys) {
            if content.keys.contains(key) {
                continue;
            }
            let known: Vec<&str> = content.keys.iter().map(String::as_str).collect();
            let cure = match nearest(key, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it to the ConfigMap, or write `optional: true` beside it".to_owned(),
            };
            let message = format!("ConfigMap `{name}` has no key `{}`: no pod would come up", quote(key));
            tell(template_path, *at, message, cure);
        }
        for (other, pointing) in companions {
            for (_, at) in pointing.points_at.iter().filter(|(named, _)| named == name) {
                let message = format!(
                    "the {} names ConfigMap `{name}`, which is applied under a name with its content's hash: the pods read it",
                    pointing.kind
                );
                tell(other, *at, message, opt_out.clone());
            }
        }
    }
}

/// What `document` of `release` claims in its root beyond what it names: the name under which a ConfigMap is applied, that
/// no other release can read it by the written one, and the ConfigMaps that its pods read and that it does not have.
pub(crate) fn claims(release: &Release, document: &Document) -> Vec<(Subject, Spot)> {
    let of_config =
        |name: &Name| ObjectKey { kind: Kind::ConfigMap, name: name.clone(), ..release.cloneset.key.clone() };
    match document {
        Document::Companion(written) => {
            let is_it = |it: &&Companion| it.version_of.is_some() && Some(it.written()) == written.key;
            let applied = release.companions.iter().filter(is_it);
            applied
                .flat_map(|it| [Subject::Object(it.body.key.clone()), Subject::Versioned(it.written())])
                .map(|subject| (subject, written.at))
                .collect()
        }
        Document::CloneSet(cloneset) => {
            let names =
                cloneset.reads.iter().filter_map(|it| Some((of_config(&it.name.parse().ok()?), it.at)));
            let own = |key: &ObjectKey| release.companions.iter().any(|it| it.written() == *key);
            names.filter(|(key, _)| !own(key)).map(|(key, at)| (Subject::Read(key), at)).collect()
        }
        Document::Head(_) | Document::Other(..) => Vec::new(),
    }
}

impl Release {
    /// The ConfigMaps that its pods read by a name with a content's hash, or that are not its own: those that must not
    /// go as long as it may be gone back to.
    #[must_use]
    pub fn configs(&self) -> Vec<String> {
        let names = config::names(&self.cloneset.value.open()["spec"]["template"]);
        let as_written = |name: &String| {
            let mut companions = self.companions.iter().filter(|it| it.version_of.is_none());
            companions.any(|it| it.written().kind == Kind::ConfigMap && *name == it.body.key.name.as_str())
        };
        names.into_iter().filter(|name| !as_written(name)).collect()
    }
}
