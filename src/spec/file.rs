//! One file of `releases/`, and `triton.yaml`: read by itself, so that it can be kept by the id of its contents.

use std::collections::BTreeMap;

use crate::model::ReleaseId;
use crate::objects::{Kind, ObjectKey, keys, record};
use crate::spec::diagnostic::{Diagnostic, Severity};
use crate::spec::document::{self, Document};
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::read::{Fields, unnamed_cure};
use crate::spec::report::{Flaw, Report, quote};
use crate::spec::strategy::{self, WrittenStrategy};
use crate::spec::yaml;

/// A file of `releases/`, read without knowing its path or other files.
#[derive(Clone, Debug, Default)]
pub struct ParsedFile {
    /// Its text, for snippets.
    pub(crate) text: Box<str>,
    /// Its documents.
    pub(crate) documents: Vec<Document>,
    /// Its own mistakes.
    pub(crate) flaws: Vec<Flaw>,
    /// Whether a part of it cannot be read.
    pub(crate) unread: bool,
    /// Releases that such a part seems to hold.
    pub(crate) suspected: Vec<ReleaseId>,
    /// Objects that such a part seems to name.
    pub(crate) named: Vec<ObjectKey>,
}

impl ParsedFile {
    /// Whether more stands in it than could be read as documents of a release.
    pub(crate) fn is_in_part(&self) -> bool {
        let is_lost = self.documents.is_empty() && self.flaws.iter().any(|it| it.severity == Severity::Error);
        self.unread || is_lost || self.documents.iter().any(|it| matches!(it, Document::Other(..)))
    }
}

/// Reads a file of `releases/`. The result depends on nothing but `bytes`. An empty one is a mistake: a release goes
/// with its file, not with what a tool that failed has left of it.
#[must_use]
pub fn parse_file(bytes: &[u8]) -> ParsedFile {
    let mut report = Report::default();
    let source = yaml::read(bytes, &mut report);
    let documents = source.documents.iter().map(|node| document::read(node, &mut report)).collect();
    let mut file = ParsedFile { documents, ..ParsedFile::default() };
    // Without any text, it was not even UTF-8.
    file.unread = !source.unread.is_empty() || (report.has_errors() && source.text.is_empty());
    for text in &source.unread {
        suspect(text, &mut file);
    }
    if source.documents.is_empty() && source.unread.is_empty() && !report.has_errors() {
        let cure = "write the release again, or delete the file: that is how a release is removed";
        report.error(Spot::default(), "nothing stands in this file", cure);
    }
    file.flaws = report.into_flaws();
    file.text = source.text.into_boxed_str();
    file
}

/// Guesses what a document that is no YAML would have named.
fn suspect(text: &str, file: &mut ParsedFile) {
    let word = |key: &str| {
        let mut found = text.match_indices(key).filter(|(index, _)| {
            let before = text[..*index].chars().next_back();
            before.is_none_or(|c| c.is_whitespace() || matches!(c, '{' | ','))
        });
        let (index, _) = found.next()?;
        let rest = text[index + key.len()..].trim_start_matches([' ', '"', '\'']);
        rest.split(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | '"' | '\'')).next()
    };
    let (Some(kind), Some(namespace), Some(name)) = (word("kind:"), word("namespace:"), word("name:")) else {
        return;
    };
    let (Ok(namespace), Ok(name)) = (namespace.parse(), name.parse()) else { return };
    if kind == record::KIND {
        file.suspected.push(ReleaseId { namespace, name });
    } else if let Some(kind) =
        std::iter::once(Kind::CloneSet).chain(Kind::COMPANIONS).find(|it| it.api().kind == kind)
    {
        file.named.push(ObjectKey { kind, namespace, name });
    }
}

/// `triton.yaml`: the strategies of a root.
#[derive(Clone, Debug, Default)]
pub struct RepositoryFile {
    /// Its text, for snippets.
    pub(crate) text: Box<str>,
    /// Its mistakes.
    pub(crate) flaws: Vec<Flaw>,
    /// Strategies by name; `None` for one that cannot be used.
    pub(crate) strategies: BTreeMap<String, Option<WrittenStrategy>>,
    /// `spec.defaults.strategy`.
    pub(crate) default: Option<String>,
    /// Whether it can be said which strategies there are.
    pub(crate) unreadable: bool,
}

impl RepositoryFile {
    /// Its mistakes, as those of the file `path`.
    #[must_use]
    pub fn diagnostics(&self, path: &str) -> Vec<Diagnostic> {
        self.flaws.iter().map(|flaw| flaw.in_file(path, &self.text)).collect()
    }
}

/// Reads `triton.yaml`. Without one, `RepositoryFile::default()` is meant.
#[must_use]
pub fn parse_repository(bytes: &[u8]) -> RepositoryFile {
    let mut report = Report::default();
    let source = yaml::read(bytes, &mut report);
    let mut file = RepositoryFile { unreadable: report.has_errors(), ..RepositoryFile::default() };
    match source.documents.as_slice() {
        [node] => repository(node, &mut file, &mut report),
        [] if report.has_errors() => {}
        [] => {
            let cure = format!("write `apiVersion: {}` and `kind: Repository`", keys::API_VERSION);
            report.error(Spot { line: 1, column: 1 }, "the file has no document", cure);
        }
        [_, second, ..] => {
            file.unreadable = true;
            report.error(second.at, "the file has more than one document", "keep the Repository only");
        }
    }
    file.flaws = report.into_flaws();
    file.text = source.text.into_boxed_str();
    file
}

fn repository(node: &Node, file: &mut RepositoryFile, report: &mut Report) {
    let opened = Fields::open(node, "", &["apiVersion", "kind", "metadata", "spec"], report);
    let Some(fields) = opened.filter(|_| is_ours(node, "Repository", report)) else {
        file.unreadable = true;
        return;
    };
    let Some(spec) = fields.get("spec", report) else { return };
    let Some(spec) = Fields::open(spec, "spec", &["strategies", "defaults"], report) else {
        file.unreadable = true;
        return;
    };
    if let Some(strategies) = spec.get("strategies", report) {
        if !matches!(strategies.tree, Tree::Map(_)) {
            let message = format!("`spec.strategies` must be a map, not {}", strategies.what());
            report.error(strategies.at, message, "write `NAME: { steps: … }` below it");
            file.unreadable = true;
        }
        for entry in strategies.entries() {
            let mut own = Report::default();
            let strategy = strategy::read(&entry.node, &format!("spec.strategies.{}", entry.key), &mut own);
            let usable = strategy.filter(|_| !own.has_errors());
            file.strategies.insert(entry.key.clone(), usable);
            report.append(own);
        }
    }
    let Some(defaults) = spec.get("defaults", report) else { return };
    let Some(defaults) = Fields::open(defaults, "spec.defaults", &["strategy"], report) else { return };
    file.default = defaults.text("strategy", report).map(str::to_owned);
    if let (Some(name), Some(at)) = (&file.default, defaults.key_at("strategy"))
        && !file.strategies.contains_key(name)
    {
        let known: Vec<&str> = file.strategies.keys().map(String::as_str).collect();
        let cure = match known.as_slice() {
            [] => "add it under `spec.strategies`".to_owned(),
            known => unnamed_cure(name, known),
        };
        report.error(at, format!("there is no strategy `{}`", quote(name)), cure);
    }
}

/// Whether the document is of our kind `kind`.
pub(crate) fn is_ours(node: &Node, kind: &str, report: &mut Report) -> bool {
    let mut holds = true;
    for (key, wanted) in [("apiVersion", keys::API_VERSION), ("kind", kind)] {
        let field = node.entry(key);
        if field.and_then(|entry| entry.node.text()) != Some(wanted) {
            holds = false;
            let at = field.map_or(node.at, |entry| entry.node.at);
            report.error(at, format!("`{key}` must be `{wanted}` here"), format!("write `{key}: {wanted}`"));
        }
    }
    holds
}
