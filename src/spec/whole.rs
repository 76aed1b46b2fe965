//! A root put together, and kept: another file costs only what it has to do with.
//!
//! **Invariant:** it says what [`merge`] says of all its groups. Groups that name a subject in common are put together
//! anew, with all that they are connected with; the others stand as they stood.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::ReleaseId;
use crate::objects::ObjectKey;
use crate::spec::assemble::{Assembled, Checked, Group, directory, merge};
use crate::spec::diagnostic::Diagnostic;
use crate::spec::subject::Subject;

/// What a root says, by group. A group is named by its file, or by its folder with a slash at the end.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    groups: BTreeMap<String, Arc<Group>>,
    /// The groups that name a subject.
    holders: BTreeMap<Subject, BTreeSet<String>>,
    releases: BTreeMap<ReleaseId, Checked>,
    /// By group.
    diagnostics: BTreeMap<String, Vec<Diagnostic>>,
    named: Arc<BTreeSet<ObjectKey>>,
}

impl Whole {
    /// Every release that is named, as [`Assembled::releases`].
    #[must_use]
    pub const fn releases(&self) -> &BTreeMap<ReleaseId, Checked> {
        &self.releases
    }

    /// Every object that is named, as [`Assembled::named`].
    #[must_use]
    pub const fn named(&self) -> &Arc<BTreeSet<ObjectKey>> {
        &self.named
    }

    /// Every mistake, as [`Assembled::diagnostics`].
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.values().flatten()
    }

    /// Puts groups in the place of those with their names, or takes those away. Returns the releases of which it may
    /// say something else now.
    pub fn replace(&mut self, changes: BTreeMap<String, Option<Arc<Group>>>) -> BTreeSet<ReleaseId> {
        let mut touched = BTreeSet::new();
        let mut subjects = BTreeSet::new();
        let mut releases = BTreeSet::new();
        for (name, group) in changes {
            if let Some(before) = self.groups.remove(&name) {
                releases.extend(before.releases().keys().cloned());
                for subject in before.subjects() {
                    touched.extend(self.leave(&name, &subject));
                    subjects.insert(subject);
                }
            }
            self.diagnostics.remove(&name);
            if let Some(group) = group {
                for subject in group.subjects() {
                    self.holders.entry(subject.clone()).or_default().insert(name.clone());
                    subjects.insert(subject);
                }
                self.groups.insert(name.clone(), group);
            }
            touched.insert(name);
        }
        for subject in subjects {
            self.name(&subject);
        }
        self.settle(touched, releases)
    }

    /// A group no longer names a subject. Returns the groups that have to do with it and stay.
    fn leave(&mut self, name: &str, subject: &Subject) -> BTreeSet<String> {
        let Some(holders) = self.holders.get_mut(subject) else { return BTreeSet::new() };
        holders.remove(name);
        if holders.is_empty() {
            self.holders.remove(subject);
        }
        self.holders.get(&subject.partner()).cloned().unwrap_or_default()
    }

    /// Notes whether an object is named.
    fn name(&mut self, subject: &Subject) {
        let Subject::Object(key) = subject else { return };
        let is_named = self.holders.contains_key(subject);
        if is_named != self.named.contains(key) {
            let named = Arc::make_mut(&mut self.named);
            if is_named {
                named.insert(key.clone())
            } else {
                named.remove(key)
            };
        }
    }

    /// Puts together what has to do with the `touched` groups.
    fn settle(
        &mut self,
        touched: BTreeSet<String>,
        mut releases: BTreeSet<ReleaseId>,
    ) -> BTreeSet<ReleaseId> {
        let connected = self.connected(touched);
        let groups = connected.iter().filter_map(|name| self.groups.get(name));
        let Assembled { releases: mut checked, diagnostics, named: _ } = merge(groups.map(Arc::as_ref));
        for name in &connected {
            self.diagnostics.remove(name);
        }
        for diagnostic in diagnostics {
            let name = match connected.get(&diagnostic.path) {
                Some(name) => name.clone(),
                None => format!("{}/", directory(&diagnostic.path)),
            };
            self.diagnostics.entry(name).or_default().push(diagnostic);
        }
        releases.extend(checked.keys().cloned());
        for id in &releases {
            match checked.remove(id) {
                Some(checked) => self.releases.insert(id.clone(), checked),
                None => self.releases.remove(id),
            };
        }
        releases
    }

    /// These groups, and all that they share a subject with, directly or by way of others.
    fn connected(&self, names: BTreeSet<String>) -> BTreeSet<String> {
        let mut waiting: Vec<String> = names.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            let Some(group) = self.groups.get(&name) else { continue };
            if found.contains(&name) {
                continue;
            }
            for holders in group.subjects().filter_map(|subject| self.holders.get(&subject.partner())) {
                waiting.extend(holders.iter().filter(|other| **other != name).cloned());
            }
            found.insert(name);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::assemble::assemble_group;
    use crate::spec::file::{RepositoryFile, parse_file};

    /// A file with a Release, and a Service with another name; its pods read one ConfigMap, and it has one.
    fn group(path: &str, release: &str, service: &str, configs: (&str, &str)) -> Arc<Group> {
        let (read, own) = configs;
        let text = format!(
            "apiVersion: triton.io/v1\nkind: Release\nmetadata: {{namespace: shop, name: {release}}}\n---\n\
             apiVersion: apps.kruise.io/v1alpha1\nkind: CloneSet\nmetadata: {{namespace: shop, name: {release}}}\n\
             spec:\n  selector: {{matchLabels: {{a: b}}}}\n  template:\n    metadata: {{labels: {{a: b}}}}\n    \
             spec: {{containers: [{{name: app, image: 'a:latest', envFrom: [{{configMapRef: {{name: {read}}}}}]}}]}}\n\
             ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{namespace: shop, name: {own}}}\n---\n\
             apiVersion: v1\nkind: Service\n\
             metadata: {{namespace: shop, name: {service}}}\nspec: {{selector: {{a: b}}, ports: [{{port: 80}}]}}\n"
        );
        let files = BTreeMap::from([(path.to_owned(), Arc::new(parse_file(text.as_bytes())))]);
        Arc::new(assemble_group(&files, &RepositoryFile::default()))
    }

    fn same(whole: &Whole) {
        let mut merged = merge(whole.groups.values().map(Arc::as_ref));
        let mut told: Vec<_> = whole.diagnostics().cloned().collect();
        told.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
        merged.diagnostics.dedup();
        assert_eq!(told, merged.diagnostics);
        assert_eq!(**whole.named(), merged.named);
        assert_eq!(*whole.releases(), merged.releases);
    }

    #[test]
    fn it_says_what_all_its_groups_together_say_whatever_comes_and_goes() {
        // Files, releases and Services by number: some stand twice, and some are in between two others.
        let (paths, names) = (["a.yaml", "b.yaml", "c.yaml", "d.yaml"], ["x", "y", "z", "u", "v", "w"]);
        let (mut whole, mut seed) = (Whole::default(), 1u64);
        let mut below = |limit: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % limit
        };
        let (mut broken, mut elsewhere) = (0, 0);
        for _ in 0..300 {
            let (path, release, service) = (paths[below(4)], names[below(6)], names[below(6)]);
            let configs = (names[below(6)], names[below(6)]);
            let change = (below(4) > 0).then(|| group(path, release, service, configs));
            let before = whole.releases.clone();
            let said = whole.replace(BTreeMap::from([(path.to_owned(), change)]));
            same(&whole);
            broken += usize::from(whole.releases.values().any(Result::is_err));
            elsewhere +=
                usize::from(whole.diagnostics().any(|it| it.message.contains("only its own pods read it")));
            let ids = before.keys().chain(whole.releases.keys()).collect::<BTreeSet<_>>();
            for id in ids.into_iter().filter(|id| !said.contains(*id)) {
                assert_eq!(before.get(id), whole.releases.get(id), "{id} was not told");
            }
        }
        assert!((50..290).contains(&broken) && elsewhere > 30, "{broken} and {elsewhere} of 300");
    }

    #[test]
    fn a_set_of_names_that_nothing_changes_is_shared() {
        let mut whole = Whole::default();
        whole.replace(BTreeMap::from([("a.yaml".to_owned(), Some(group("a.yaml", "x", "y", ("r", "o"))))]));
        let before = Arc::clone(whole.named());
        whole.replace(BTreeMap::from([("a.yaml".to_owned(), Some(group("a.yaml", "x", "y", ("r", "o"))))]));
        assert!(Arc::ptr_eq(&before, whole.named()));
    }
}
