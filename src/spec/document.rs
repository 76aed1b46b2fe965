//! One document: which kind it is, and that kind's reading.

use crate::fields::Compact;
use crate::objects::{Kind, ObjectKey, keys, record};
use crate::spec::canonical;
use crate::spec::cloneset::{self, CloneSet};
use crate::spec::config::{self, Content};
use crate::spec::head::{self, Head};
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::object;
use crate::spec::read::{nearest, quote_it};
use crate::spec::report::{Report, quote};
use crate::spec::texts;

/// A companion as far as it can be read.
#[derive(Clone, Debug)]
pub struct Accompanying {
    /// Where the document begins.
    pub at: Spot,
    /// Where its namespace stands.
    pub namespace_at: Spot,
    /// Which object.
    pub key: Option<ObjectKey>,
    /// Its kind.
    pub kind: Kind,
    /// As written, and the bytes of a ConfigMap as the API server writes them.
    pub body: Compact,
    /// The bytes that go into the digest; empty for an autoscaler, which does not.
    pub canonical: String,
    /// Name of the CloneSet that an autoscaler scales.
    pub scales: Option<String>,
    /// What a ConfigMap says.
    pub content: Option<Content>,
    /// ConfigMaps that it names, and where.
    pub points_at: Vec<(String, Spot)>,
}

/// One document of a file.
#[derive(Clone, Debug)]
pub enum Document {
    /// `kind: Release`.
    Head(Box<Head>),
    /// `kind: CloneSet`.
    CloneSet(Box<CloneSet>),
    /// An object that goes with it.
    Companion(Box<Accompanying>),
    /// None of these; its mistake is told. The object that it names, as far as that is one of ours.
    Other(Spot, Option<ObjectKey>),
}

impl Document {
    /// Where it begins.
    #[must_use]
    pub fn at(&self) -> Spot {
        match self {
            Self::Head(head) => head.at,
            Self::CloneSet(cloneset) => cloneset.at,
            Self::Companion(companion) => companion.at,
            Self::Other(at, _) => *at,
        }
    }

    /// The Release, if it is one.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        match self {
            Self::Head(head) => Some(head),
            Self::CloneSet(_) | Self::Companion(_) | Self::Other(..) => None,
        }
    }

    /// The CloneSet, if it is one.
    #[must_use]
    pub fn cloneset(&self) -> Option<&CloneSet> {
        match self {
            Self::CloneSet(cloneset) => Some(cloneset),
            Self::Head(_) | Self::Companion(_) | Self::Other(..) => None,
        }
    }

    /// The companion, if it is one.
    #[must_use]
    pub fn companion(&self) -> Option<&Accompanying> {
        match self {
            Self::Companion(companion) => Some(companion),
            Self::Head(_) | Self::CloneSet(_) | Self::Other(..) => None,
        }
    }

    /// The object that it names.
    #[must_use]
    pub fn key(&self) -> Option<&ObjectKey> {
        match self {
            Self::Head(_) => None,
            Self::CloneSet(cloneset) => cloneset.key.as_ref(),
            Self::Companion(companion) => companion.key.as_ref(),
            Self::Other(_, key) => key.as_ref(),
        }
    }

    /// What it is, for messages.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Head(_) => record::KIND.to_owned(),
            Self::CloneSet(_) => Kind::CloneSet.to_string(),
            Self::Companion(companion) => companion.kind.to_string(),
            Self::Other(..) => "document".to_owned(),
        }
    }
}

/// Reads one document. Mistakes go to `report`.
pub fn read(node: &Node, report: &mut Report) -> Document {
    if !matches!(node.tree, Tree::Map(_)) {
        let message = format!("a document must be a map, not {}", node.what());
        report.error(node.at, message, "begin it with `apiVersion:` and `kind:`");
        return Document::Other(node.at, None);
    }
    let (Some(version), Some(kind)) = (word(node, "apiVersion", report), word(node, "kind", report)) else {
        return Document::Other(node.at, None);
    };
    let at = node.entry("kind").map_or(node.at, |entry| entry.node.at);
    if version == keys::API_VERSION && kind == record::KIND {
        return Document::Head(Box::new(head::read(node, report)));
    }
    match Kind::named(version, kind) {
        Some(Kind::CloneSet) => Document::CloneSet(Box::new(cloneset::read(node, report))),
        Some(
            kind @ (Kind::Service
            | Kind::ConfigMap
            | Kind::ServiceAccount
            | Kind::Ingress
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::PodDisruptionBudget
            | Kind::HorizontalPodAutoscaler),
        ) => Document::Companion(Box::new(companion(node, kind, report))),
        Some(Kind::Pod) | None => {
            let of_kind = refuse(version, kind, at, report);
            // What a broken document names must not be pruned; its other mistakes wait until it is one of ours.
            let key = of_kind.and_then(|kind| object::names(node, &mut Report::default()).key(kind));
            Document::Other(node.at, key)
        }
    }
}

fn word<'n>(node: &'n Node, key: &str, report: &mut Report) -> Option<&'n str> {
    let Some(field) = node.get(key) else {
        report.error(node.at, format!("`{key}` is missing"), format!("begin the document with `{key}:`"));
        return None;
    };
    let text = field.text();
    if text.is_none() {
        report.error(field.at, format!("`{key}` must be text, not {}", field.what()), quote_it(field));
    }
    text
}

/// Tells why `kind` of `version` is none of ours; the kind that was probably meant.
fn refuse(version: &str, kind: &str, at: Spot, report: &mut Report) -> Option<Kind> {
    let known = || std::iter::once(Kind::CloneSet).chain(Kind::COMPANIONS);
    let meant = known().find(|it| it.api().kind == kind);
    let ours = version.split('/').next() == Some(keys::GROUP);
    let (shown, message) = (quote(kind), format!("{} {} is not read", quote(version), quote(kind)));
    if let Some(meant) = meant {
        report.error(at, message, format!("write `apiVersion: {}`", meant.api().api_version()));
    } else if kind == record::KIND {
        report.error(at, message, format!("write `apiVersion: {}`", keys::API_VERSION));
    } else if ours && kind == "Repository" {
        report.error(at, "a Repository stands in triton.yaml", "move it there");
    } else if ours {
        let cure = nearest(kind, &[record::KIND])
            .map_or(format!("write `kind: {}`", record::KIND), |near| format!("did you mean `{near}`?"));
        report.error(at, format!("there is no kind `{shown}` in {}", keys::GROUP), cure);
    } else if kind == "List" {
        report.error(at, "a List is not read", "write each of its items as a document");
    } else {
        let kinds: Vec<&str> = known().map(|it| it.api().kind).collect();
        let cure = match nearest(kind, &kinds) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("apply it by other means (a release has only {})", kinds.join(", ")),
        };
        report.error(at, format!("a {shown} cannot be part of a release"), cure);
    }
    meant
}

fn companion(node: &Node, kind: Kind, report: &mut Report) -> Accompanying {
    let names = object::names(node, report);
    object::check(node, kind, report);
    let is_config = kind == Kind::ConfigMap;
    if is_config {
        texts::map(node, "data", "", report);
        texts::map(node, "binaryData", "", report);
    }
    if let (Kind::Service, Some(spec)) = (kind, node.get("spec")) {
        texts::map(spec, "selector", "spec", report);
    }
    let target = node.find(&["spec", "scaleTargetRef"]);
    let of_clonesets =
        |target: &&Node| target.get("kind").and_then(Node::text) == Some(Kind::CloneSet.api().kind);
    let scales = target.filter(of_clonesets).and_then(|target| target.get("name")).and_then(Node::text);
    let value = node.to_value();
    let mut body = value.clone();
    if is_config {
        config::settle(&mut body);
    }
    Accompanying {
        at: node.at,
        namespace_at: names.namespace_at,
        key: names.key(kind),
        kind,
        canonical: if kind == Kind::HorizontalPodAutoscaler {
            String::new()
        } else {
            canonical::json(&value)
        },
        body: Compact::of(&body),
        scales: scales.filter(|_| kind == Kind::HorizontalPodAutoscaler).map(str::to_owned),
        content: is_config.then(|| Content::read(node, report)),
        points_at: if is_config { Vec::new() } else { config::pointed_at(node) },
    }
}
