//! The cluster as it stands, seen once, and the world that a plan is made from: the daemon's own eyes, without hands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use crate::catalog::{Catalog, Question, Root, Snapshot};
use crate::cli::records::ClusterArgs;
use crate::cluster::{Cache, Feed, FeedState, Lane, watch};
use crate::controller::observe::Observer;
use crate::git::Repository;
use crate::model::{CommitId, Digest};
use crate::spec::Release;
use crate::world::{People, Policy, Source, World};

/// How long the cluster may take to list everything: somebody waits, or a pull request does.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was seen of a cluster.
pub struct Picture {
    cache: Cache,
    /// Why nothing was seen.
    pub blind: Option<String>,
    /// Why the pods were not, where any release needs them seen: the plan knows nothing of who serves.
    pub without_pods: Option<String>,
}

impl Picture {
    /// Lists everything once. A cluster that cannot be read is one that was not seen.
    pub async fn take(args: &ClusterArgs) -> Self {
        let cache = Cache::default();
        let cluster = match args.connect().await {
            Ok(cluster) => cluster,
            Err(error) => return Self { cache, blind: Some(error.to_string()), without_pods: None },
        };
        // The watches end with this function: what they saw stays.
        let _watches = watch(&cluster, &cache);
        let mut without_pods = None;
        let seen = async {
            while !cache.is_synced() {
                if let Some(error) = stopped(&cache) {
                    return Some(error);
                }
                cache.changed().await;
            }
            // Pods in lifecycle hooks decide nothing.
            for feed in [Feed::Pods, Feed::Endpoints] {
                if !cache.needs(feed) {
                    cache.without(feed);
                    continue;
                }
                cache.want(feed);
                // Whoever may not see them sees the rest.
                while !cache.knows(feed) && without_pods.is_none() {
                    without_pods = stopped(&cache);
                    if without_pods.is_none() {
                        cache.changed().await;
                    }
                }
            }
            None
        };
        let blind = match tokio::time::timeout(PATIENCE, seen).await {
            Ok(blind) => blind,
            Err(_) => Some(format!("it did not answer within {}s", PATIENCE.as_secs())),
        };
        // Half a picture would be taken for a whole one.
        let cache = if blind.is_some() { Cache::default() } else { cache };
        Self { cache, blind, without_pods }
    }

    /// The world at `now`, with the root in `directory` as `head` has it, after `seen`.
    ///
    /// # Errors
    /// Where Git cannot be read.
    pub fn world(
        &self,
        repository: &Repository,
        directory: &str,
        head: CommitId,
        seen: Option<CommitId>,
        now: Timestamp,
    ) -> Result<World> {
        let root = Root::new(directory);
        let policy = Arc::new(Policy {
            path: directory.to_owned(),
            root: self.root(repository, &root, head)?,
            // The daemon's configuration is not published: approvals are counted as most have it.
            people: Some(People::CommitAuthors),
            ..Policy::default()
        });
        let mut observer = Observer::new(self.cache.clone(), Lane::default(), Arc::clone(&policy));
        // Another observer may have asked this cache before: everything is to be looked at.
        observer.set_policy(Arc::clone(&policy));
        let known = observer.known();
        let question = Question { repository, head, seen, known: &known, policy: &policy };
        let reading = Catalog::new(directory).read(&question)?;
        observer.source = Source { head: Some(head), fetched_at: Some(now), fault: None };
        observer.take_reading(reading);
        let (world, _) = observer.world(now);
        let sought = observer.sought();
        if sought.is_empty() {
            return Ok(world);
        }
        let mut found: Vec<Arc<Release>> = Vec::new();
        for (digest, (id, commit)) in
            sought.iter().filter(|(_, (_, commit))| matches!(repository.has(*commit), Ok(true)))
        {
            let tree = repository.commit(*commit)?.tree;
            let mut assembled = Snapshot::read(repository, &root, tree)?.assemble(&root);
            let release = assembled.releases.remove(id).and_then(std::result::Result::ok);
            found.extend(release.filter(|release| release.digest == *digest));
        }
        let is_absent = |digest: &Digest| !found.iter().any(|release| release.digest == *digest);
        let absent = sought.into_iter().filter(|(digest, _)| is_absent(digest)).collect();
        observer.take_documents(&found, &absent);
        Ok(observer.world(now).0)
    }

    /// The name of the root as the cluster has it: on most of the releases that the tree has.
    fn root(&self, repository: &Repository, root: &Root, head: CommitId) -> Result<String> {
        let tree = repository.commit(head)?.tree;
        let named = Snapshot::read(repository, root, tree)?.assemble(root).releases;
        let mut votes: BTreeMap<String, usize> = BTreeMap::new();
        for id in named.keys() {
            let record = self.cache.record(id).and_then(|seen| seen.live.root.clone());
            let marked = record.or_else(|| self.cache.cloneset(id)?.live.root.clone());
            *votes.entry(marked.unwrap_or_default()).or_default() += 1;
        }
        votes.remove("");
        Ok(votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(name, _)| name).unwrap_or_default())
    }
}

/// What stops a list, if something does.
fn stopped(cache: &Cache) -> Option<String> {
    cache.states().into_values().find_map(|state| match state {
        FeedState::Listing(Some(error)) => Some(error.to_string()),
        FeedState::Listing(None) | FeedState::Synced | FeedState::NotServed => None,
    })
}
