//! What a commit says and permits, read naively: the observer's own reading, from the files alone.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use triton::model::{Digest, ReleaseId};
use triton::spec::{Checked, Release, assemble, parse_file, parse_repository};

use crate::scenario::history::NAMESPACE;

/// The files of one commit.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
    releases: OnceCell<BTreeMap<ReleaseId, Arc<Release>>>,
}

impl Tree {
    /// Takes the files.
    pub fn new(files: BTreeMap<String, String>) -> Self {
        Self { files, releases: OnceCell::new() }
    }

    /// Whether a file is there.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The releases whose files are sound.
    pub fn releases(&self) -> &BTreeMap<ReleaseId, Arc<Release>> {
        self.releases.get_or_init(|| {
            let files = self.files.iter().filter(|(path, _)| path.starts_with("releases/"));
            let files =
                files.map(|(path, text)| (path.clone(), Arc::new(parse_file(text.as_bytes())))).collect();
            let repository = self.files.get("triton.yaml").map(|text| parse_repository(text.as_bytes()));
            let assembled = assemble(&files, &repository.unwrap_or_default());
            let sound = |(id, checked): (ReleaseId, Checked)| Some((id, checked.ok()?));
            assembled.releases.into_iter().filter_map(sound).collect()
        })
    }

    /// A release, where its files are sound.
    pub fn release(&self, name: &str) -> Option<Arc<Release>> {
        let id: ReleaseId = format!("{NAMESPACE}/{name}").parse().expect("a name");
        self.releases().get(&id).cloned()
    }

    /// Its digest.
    pub fn digest(&self, name: &str) -> Option<Digest> {
        self.release(name).map(|release| release.digest)
    }

    /// The markers for a digest: their paths, and the part that says what they permit.
    pub fn markers(&self, name: &str, digest: Digest) -> Vec<(&str, &str)> {
        let folder = format!("approvals/{NAMESPACE}/{name}/{}/", digest.long());
        let found = self.files.keys().filter_map(|path| {
            let permit = path.strip_prefix(&folder)?.split('.').next()?;
            Some((path.as_str(), permit))
        });
        found.collect()
    }
}

/// The furthest step that a line permits of a release at its tip. `line` has the trees, newest first.
///
/// A marker counts when it is in the tip's tree and not in that of the first commit of the run that has the tip's
/// digest; a hotfix when it was not there before that run. `spec.step` as it stands in that first commit is at most 1.
pub fn furthest(line: &[&Tree], name: &str) -> Option<(Arc<Release>, u32)> {
    let tip = line.first()?;
    let release = tip.release(name)?;
    let same = |tree: &&&Tree| tree.digest(name) == Some(release.digest);
    let run: Vec<&&Tree> = line.iter().take_while(same).collect();
    let first = run.last()?;
    let before = line.get(run.len());
    let skipped = tip
        .markers(name, release.digest)
        .iter()
        .any(|(path, permit)| *permit == "skip" && !before.is_some_and(|tree| tree.has(path)));
    let approved = |step: u32, count: u32| {
        let markers = tip.markers(name, release.digest);
        let new = markers.iter().filter(|(path, permit)| *permit == step.to_string() && !first.has(path));
        u32::try_from(new.count()).unwrap_or(0) >= count
    };
    let caps: Vec<Option<u32>> = run.iter().filter_map(|tree| tree.release(name)).map(|it| it.cap).collect();
    let changed = caps.iter().any(|cap| Some(cap) != caps.last());
    let cap = if changed { release.cap } else { release.cap.map(|cap| cap.min(1)) };
    let mut furthest = 0;
    for (number, step) in (1..).zip(&release.strategy.steps) {
        let wanted = step.approval.map_or(0, |approval| approval.count);
        if cap.is_some_and(|cap| number > cap) || !(skipped || approved(number, wanted)) {
            break;
        }
        furthest = number;
    }
    Some((release, furthest))
}
