//! Files → releases: which document belongs to which release, and whether they agree.
//!
//! Documents belong to the Release in their file; those of a file without one belong to the only Release in the same
//! directory. So the files of one directory decide about its releases alone ([`assemble_group`]), and only the rule
//! that no object stands twice looks at the whole root ([`merge`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::ReleaseId;
use crate::objects::{ObjectKey, keys};
use crate::spec::autoscaler;
use crate::spec::build;
use crate::spec::cloneset::CloneSet;
use crate::spec::diagnostic::{Diagnostic, Severity, plain};
use crate::spec::document::{Accompanying, Document};
use crate::spec::drain;
use crate::spec::file::{ParsedFile, RepositoryFile};
use crate::spec::head::{Head, Wanted};
use crate::spec::node::Spot;
use crate::spec::release::Release;
use crate::spec::report::{Flaw, Report};
use crate::spec::routes;
use crate::spec::serve;
use crate::spec::subject::Subject;
use crate::spec::switched;
use crate::spec::versioned;

/// A release, or what is wrong with it: its errors.
pub type Checked = Result<Arc<Release>, Arc<[Diagnostic]>>;

/// What one directory says, or some of its files.
#[derive(Clone, Debug, Default)]
pub struct Group {
    releases: BTreeMap<ReleaseId, Checked>,
    diagnostics: Vec<Diagnostic>,
    claims: Vec<Claim>,
}

impl Group {
    /// Its releases.
    #[must_use]
    pub fn releases(&self) -> &BTreeMap<ReleaseId, Checked> {
        &self.releases
    }

    /// What it names; a subject that it names twice comes twice.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = Subject> {
        let releases = self.releases.keys().cloned().map(Subject::Release);
        releases.chain(self.claims.iter().map(|claim| claim.subject.clone()))
    }
}

/// A place that names an object or a release.
#[derive(Clone, Debug)]
struct Claim {
    subject: Subject,
    release: Option<ReleaseId>,
    path: String,
    at: Spot,
    file: Arc<ParsedFile>,
}

/// What a root says.
#[derive(Clone, Debug, Default)]
pub struct Assembled {
    /// Every release that is named, also by a file that is broken. The errors of those that are wrong stand here and
    /// in `diagnostics`.
    pub releases: BTreeMap<ReleaseId, Checked>,
    /// Every mistake, by file and line; warnings too. Those of triton.yaml are
    /// [`RepositoryFile::diagnostics`].
    pub diagnostics: Vec<Diagnostic>,
    /// Every object that is named, as far as it can be read: none of them may be pruned.
    pub named: BTreeSet<ObjectKey>,
}

/// Reads the files of a root. `files` are those of `releases/`, by path from the repository's top.
#[must_use]
pub fn assemble(files: &BTreeMap<String, Arc<ParsedFile>>, repository: &RepositoryFile) -> Assembled {
    let mut directories: BTreeMap<&str, BTreeMap<String, Arc<ParsedFile>>> = BTreeMap::new();
    for (path, file) in files {
        directories.entry(directory(path)).or_default().insert(path.clone(), Arc::clone(file));
    }
    let groups: Vec<Group> = directories.values().map(|files| assemble_group(files, repository)).collect();
    merge(&groups)
}

/// The directory of a file; files there decide together what a document belongs to.
#[must_use]
pub fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// One release while it is put together.
struct Draft<'f> {
    path: &'f str,
    head: &'f Head,
    members: Vec<(&'f str, &'f Document)>,
    files: BTreeSet<&'f str>,
    in_part: bool,
    reports: BTreeMap<&'f str, Report>,
}

/// Reads files of one directory: all of them, or a file that has a Release of its own. What it says of a release
/// (its digest above all) is what the whole root says, unless an object of it stands twice.
#[must_use]
pub fn assemble_group(files: &BTreeMap<String, Arc<ParsedFile>>, repository: &RepositoryFile) -> Group {
    let mut out = Group::default();
    let (drafts, strays) = sort_out(files);
    for draft in drafts {
        finish(draft, files, repository, &mut out);
    }
    for (path, report) in strays {
        let file = &files[path];
        let flaws = file.flaws.iter().cloned().chain(report.into_flaws());
        let diagnostics: Vec<Diagnostic> = flaws.map(|flaw| flaw.in_file(path, &file.text)).collect();
        let own = errors(&diagnostics);
        for id in held_by(file) {
            settle(
                &mut out.releases,
                id,
                Err(if own.is_empty() { unread_errors(files) } else { Arc::clone(&own) }),
            );
        }
        for document in &file.documents {
            out.claims.extend(claim(document, None, path, file));
        }
        out.diagnostics.extend(diagnostics);
    }
    for (path, file) in files {
        let unread = file.named.iter().map(|key| Claim {
            subject: Subject::Object(key.clone()),
            release: None,
            path: path.clone(),
            at: Spot::default(),
            file: Arc::clone(file),
        });
        out.claims.extend(unread);
    }
    out
}

/// What keeps the files of this directory from being read.
fn unread_errors(files: &BTreeMap<String, Arc<ParsedFile>>) -> Arc<[Diagnostic]> {
    let unread = files.iter().filter(|(_, file)| file.is_in_part());
    let all: Vec<Diagnostic> = unread
        .flat_map(|(path, file)| file.flaws.iter().map(|flaw| flaw.in_file(path, &file.text)))
        .collect();
    errors(&all)
}

/// A release that is wrong in one place is wrong.
fn settle(releases: &mut BTreeMap<ReleaseId, Checked>, id: ReleaseId, checked: Checked) {
    let all = match (releases.remove(&id), checked) {
        (None | Some(Ok(_)), checked) => checked,
        (Some(Err(errors)), Ok(_)) => Err(errors),
        (Some(Err(first)), Err(second)) => Err(first.iter().chain(second.iter()).cloned().collect()),
    };
    releases.insert(id, all);
}

/// The releases that a file without a Release seems to be about: they must not look as if they were gone.
fn held_by(file: &ParsedFile) -> Vec<ReleaseId> {
    let clonesets = file.documents.iter().filter_map(|document| document.cloneset()?.key.as_ref());
    let ids = clonesets.map(|key| ReleaseId { namespace: key.namespace.clone(), name: key.name.clone() });
    ids.chain(file.suspected.iter().cloned()).collect()
}

fn heads(file: &ParsedFile) -> Vec<&Head> {
    file.documents.iter().filter_map(Document::head).collect()
}

/// Gives every document to its release; files whose documents belong to none come with the reason.
fn sort_out(files: &BTreeMap<String, Arc<ParsedFile>>) -> (Vec<Draft<'_>>, Vec<(&str, Report)>) {
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    for (path, file) in files {
        let heads = heads(file);
        for head in &heads {
            let mut draft = Draft {
                path,
                head,
                members: Vec::new(),
                files: BTreeSet::from([path.as_str()]),
                in_part: file.is_in_part(),
                reports: BTreeMap::new(),
            };
            if heads.len() > 1 {
                let cure = "give each Release a file of its own";
                draft.report(path).error(head.at, format!("the file has {} Releases", heads.len()), cure);
            } else {
                draft.members.extend(file.documents.iter().map(|document| (path.as_str(), document)));
            }
            drafts.push(draft);
        }
    }
    let mut strays = Vec::new();
    let suspected = files.values().filter(|file| !file.suspected.is_empty()).count();
    let alone = drafts.len() == 1 && suspected == 0;
    // Their Release may stand in what cannot be read: one mistake at a time.
    let unknown = drafts.is_empty() && files.values().any(|file| file.is_in_part());
    let names: Vec<&str> = drafts.iter().map(|draft| draft.path).collect();
    for (path, file) in files.iter().filter(|(_, file)| heads(file).is_empty()) {
        if alone {
            drafts[0].files.insert(path);
            drafts[0].in_part |= file.is_in_part();
            drafts[0].members.extend(file.documents.iter().map(|document| (path.as_str(), document)));
            continue;
        }
        let mut report = Report::default();
        for document in &file.documents {
            if unknown || matches!(document, Document::Other(..)) {
                continue;
            }
            let what = document.what();
            let (message, cure) = if names.is_empty() {
                let message =
                    format!("no Release in this file or its directory says what this {what} belongs to");
                (message, "add a document with `kind: Release` to the file".to_owned())
            } else {
                let message = format!(
                    "the directory has {} Releases, and this {what} could belong to any",
                    names.len() + suspected
                );
                (message, format!("move it into the file of its Release: {}", some_of(&names)))
            };
            report.error(document.at(), message, cure);
        }
        strays.push((path.as_str(), report));
    }
    (drafts, strays)
}

/// At most three of some paths.
fn some_of(paths: &[&str]) -> String {
    let shown = paths.iter().take(3).map(|path| plain(path)).collect::<Vec<_>>().join(", ");
    if paths.len() > 3 { format!("{shown} …") } else { shown }
}

fn errors(diagnostics: &[Diagnostic]) -> Arc<[Diagnostic]> {
    diagnostics.iter().filter(|it| it.severity == Severity::Error).cloned().collect()
}

fn claim(
    document: &Document,
    release: Option<&ReleaseId>,
    path: &str,
    file: &Arc<ParsedFile>,
) -> Option<Claim> {
    let subject = match document {
        Document::Head(head) => Subject::Release(head.id.clone()?),
        Document::CloneSet(_) | Document::Companion(_) | Document::Other(..) => {
            Subject::Object(document.key()?.clone())
        }
    };
    let (path, file) = (path.to_owned(), Arc::clone(file));
    Some(Claim { subject, release: release.cloned(), path, at: document.at(), file })
}

impl<'f> Draft<'f> {
    fn report(&mut self, path: &'f str) -> &mut Report {
        self.reports.entry(path).or_default()
    }

    /// The release's name: the Release's, or its CloneSet's where that one cannot be read.
    fn id(&self) -> Option<ReleaseId> {
        let of_cloneset = || {
            let key = self.clonesets().next()?.1.key.as_ref()?;
            Some(ReleaseId { namespace: key.namespace.clone(), name: key.name.clone() })
        };
        self.head.id.clone().or_else(of_cloneset)
    }

    fn clonesets(&self) -> impl Iterator<Item = (&'f str, &'f CloneSet)> {
        self.members.iter().filter_map(|(path, document)| Some((*path, document.cloneset()?)))
    }

    fn companions(&self) -> impl Iterator<Item = (&'f str, &'f Accompanying)> {
        self.members.iter().filter_map(|(path, document)| Some((*path, document.companion()?)))
    }

    fn build(&mut self, repository: &RepositoryFile) -> Option<Release> {
        let (path, head) = (self.path, self.head);
        let resolved = build::resolve(head, repository, self.report(path));
        let clonesets: Vec<(&str, &CloneSet)> = self.clonesets().collect();
        let companions: Vec<(&str, &Accompanying)> = self.companions().collect();
        let Some(&(cloneset_path, cloneset)) = clonesets.first() else {
            // What could not be read may be the CloneSet.
            if !self.in_part {
                let message = "the release has no CloneSet";
                self.report(path).error(head.at, message, "add one to the file, or to its directory");
            }
            return None;
        };
        for (path, extra) in &clonesets[1..] {
            let message = "the release has more than one CloneSet";
            self.report(path).error(extra.at, message, "give each CloneSet a Release of its own");
        }
        if let (Some(id), Some(key)) = (&head.id, &cloneset.key)
            && key.name != id.name
        {
            let message = format!("the CloneSet is named `{}`, and its Release `{}`", key.name, id.name);
            self.report(cloneset_path).error(cloneset.name_at, message, format!("name both `{}`", id.name));
        }
        let places = companions.iter().map(|(path, it)| (*path, it.key.as_ref(), it.namespace_at));
        for (path, key, at) in places.chain([(cloneset_path, cloneset.key.as_ref(), cloneset.namespace_at)]) {
            if let (Some(id), Some(key)) = (&head.id, key)
                && key.namespace != id.namespace
            {
                let message = format!(
                    "the {} is in namespace `{}`, and its Release in `{}`",
                    key.kind, key.namespace, id.namespace
                );
                self.report(path).error(at, message, format!("write `namespace: {}`", id.namespace));
            }
        }
        let is_switched =
            resolved.as_ref().is_some_and(|(strategy, _)| strategy.strategy.blue_green.is_some());
        let of = (cloneset_path, cloneset);
        autoscaler::check(of, &companions, is_switched, &mut |path, flaw| self.report(path).add(flaw));
        versioned::check(of, &companions, |path, at, message, cure| {
            self.report(path).error(at, message, cure);
        });
        let (strategy, at) = resolved?;
        build::check_strategy(head, &strategy, at, cloneset, self.report(path));
        let inline = matches!(head.wanted, Wanted::Inline(_));
        let at_strategy = (path, at, inline);
        routes::check(&strategy, at_strategy, cloneset, &companions, &mut |path, at, message, cure| {
            self.report(path).error(at, message, cure);
        });
        switched::check(&strategy, at_strategy, of, &companions, &mut |path, flaw| {
            self.report(path).add(flaw)
        });
        for (path, companion) in companions.iter().filter(|_| strategy.strategy.is_gated()) {
            serve::check_service(companion, self.report(path));
        }
        for (path, companion) in companions.iter().filter(|_| strategy.strategy.drain.is_some()) {
            drain::check_service(companion, self.report(path));
        }
        let companions: Vec<&Accompanying> = companions.into_iter().map(|(_, it)| it).collect();
        build::release(head, &strategy, cloneset, &companions, path)
    }
}

fn finish(
    mut draft: Draft<'_>,
    files: &BTreeMap<String, Arc<ParsedFile>>,
    repository: &RepositoryFile,
    out: &mut Group,
) {
    let id = draft.id();
    let several = draft.members.is_empty();
    let release = if several { None } else { draft.build(repository) };
    let mut diagnostics = Vec::new();
    for path in &draft.files {
        let file = &files[*path];
        let found = draft.reports.remove(path).unwrap_or_default();
        let flaws: Vec<Flaw> = file.flaws.iter().cloned().chain(found.into_flaws()).collect();
        diagnostics.extend(flaws.iter().map(|flaw| flaw.in_file(path, &file.text)));
    }
    for (path, document) in &draft.members {
        out.claims.extend(claim(document, id.as_ref(), path, &files[*path]));
        let beside = release.iter().flat_map(|release| versioned::claims(release, document));
        out.claims.extend(beside.map(|(subject, at)| {
            let (path, file) = ((*path).to_owned(), Arc::clone(&files[*path]));
            Claim { subject, release: id.clone(), path, at, file }
        }));
    }
    if several {
        let file = &files[draft.path];
        // The others could be of any Release in the file; the first one names them.
        let is_first = heads(file).first().is_some_and(|first| first.at == draft.head.at);
        let own = |document: &&Document| document.head().map_or(is_first, |head| head.at == draft.head.at);
        let documents = file.documents.iter().filter(own);
        out.claims.extend(documents.filter_map(|document| claim(document, id.as_ref(), draft.path, file)));
    }
    let errors = errors(&diagnostics);
    if let Some(id) = id {
        let checked = match release {
            Some(release) if errors.is_empty() => Ok(Arc::new(release)),
            Some(_) | None => Err(errors),
        };
        settle(&mut out.releases, id, checked);
    }
    out.diagnostics.extend(diagnostics);
}

/// Puts the directories of a root together. An object or a release that stands twice breaks all releases that name it.
#[must_use]
pub fn merge<'g>(groups: impl IntoIterator<Item = &'g Group>) -> Assembled {
    let mut out = Assembled::default();
    let mut claims: BTreeMap<&Subject, Vec<&Claim>> = BTreeMap::new();
    for group in groups {
        for (id, checked) in &group.releases {
            settle(&mut out.releases, id.clone(), checked.clone());
        }
        out.diagnostics.extend(group.diagnostics.iter().cloned());
        for claim in &group.claims {
            claims.entry(&claim.subject).or_default().push(claim);
        }
    }
    for (subject, these) in &claims {
        match subject {
            Subject::Object(key) => drop(out.named.insert(key.clone())),
            Subject::Versioned(key) => {
                let readers = claims.get(&subject.partner());
                if let Some(reader) = readers.and_then(|readers| readers.first()?.release.as_ref()) {
                    these.iter().for_each(|claim| read_elsewhere(key, reader, claim, &mut out));
                }
                continue;
            }
            Subject::Read(_) => continue,
            Subject::Release(_) => {}
        }
        if these.len() > 1 {
            twice(subject, these, &mut out);
        }
    }
    out.diagnostics.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
    out.diagnostics.dedup();
    out
}

fn twice(subject: &Subject, claims: &[&Claim], out: &mut Assembled) {
    for (index, claim) in claims.iter().enumerate() {
        let other = claims[usize::from(index == 0)];
        let what = match subject {
            Subject::Release(id) => format!("Release {id}"),
            Subject::Object(key) | Subject::Versioned(key) | Subject::Read(key) => key.to_string(),
        };
        let place = if other.path == claim.path {
            format!("in line {}", other.at.line)
        } else {
            format!("in {}:{}", plain(&other.path), other.at.line)
        };
        let flaw = Flaw {
            severity: Severity::Error,
            at: claim.at,
            message: format!("{what} stands here and {place}"),
            cure: "delete one of the two".to_owned(),
        };
        breaks(claim, &flaw, out);
    }
}

/// Pods of another release read a ConfigMap by a name under which it is not applied. It is told where the cure is: whose
/// file has it, what runs goes on as it is, and the readers are harmed by nothing that others write.
fn read_elsewhere(key: &ObjectKey, reader: &ReleaseId, claim: &Claim, out: &mut Assembled) {
    let message = format!(
        "pods of release {reader} read {key} too, which is applied under a name with its content's hash: only its own pods are given that"
    );
    let cure = format!("annotate it {}: \"false\", or give {reader} a ConfigMap of its own", keys::VERSIONED);
    breaks(claim, &Flaw { severity: Severity::Error, at: claim.at, message, cure }, out);
}

/// A mistake that only the whole root shows breaks the release that has it.
fn breaks(claim: &Claim, flaw: &Flaw, out: &mut Assembled) {
    let diagnostic = flaw.in_file(&claim.path, &claim.file.text);
    if let Some(id) = &claim.release {
        settle(&mut out.releases, id.clone(), Err(Arc::from([diagnostic.clone()])));
    }
    out.diagnostics.push(diagnostic);
}
