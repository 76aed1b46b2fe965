//! One that only sees the API: every version of every CloneSet and pod of a namespace, in the order of their
//! resourceVersions, which one etcd gives to all of them.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::cluster::plane::Plane;

/// Seconds after which a watch is asked for again.
const WATCH_SECONDS: u32 = 290;

/// One version of an object.
#[derive(Clone, Debug)]
pub struct Sight {
    /// When, on the cluster's own count.
    pub version: u64,
    /// `CloneSet` or `Pod`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The object; nothing once it is gone.
    pub object: Option<Value>,
}

/// The witness of one namespace.
pub struct Witness {
    seen: Arc<Mutex<Vec<Sight>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Watches from now on. The namespace has neither CloneSets nor pods yet.
    pub fn of(plane: &Plane, namespace: &str) -> Self {
        let seen: Arc<Mutex<Vec<Sight>>> = Arc::default();
        let (end, ended) = oneshot::channel();
        let (plane, namespace, told) = (plane.beside(), namespace.to_owned(), Arc::clone(&seen));
        let watches = async move {
            let client = plane.client("admin", &namespace).await;
            let clonesets = GroupVersionKind::gvk("apps.kruise.io", "v1alpha1", "CloneSet");
            let pods = GroupVersionKind::gvk("", "v1", "Pod");
            let api = |kind: &GroupVersionKind| {
                Api::<DynamicObject>::namespaced_with(
                    client.clone(),
                    &namespace,
                    &ApiResource::from_gvk(kind),
                )
            };
            tokio::select! {
                _ = ended => {}
                () = follow(api(&clonesets), "CloneSet", &told) => {}
                () = follow(api(&pods), "Pod", &told) => {}
            }
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(watches);
        });
        Self { seen, end: Some(end), thread: Some(thread) }
    }

    /// The newest version of a CloneSet, if it is there.
    pub fn cloneset(&self, name: &str) -> Option<Value> {
        let seen = self.seen.lock().expect("the witness lives");
        let newest = seen.iter().rev().find(|it| it.kind == "CloneSet" && it.name == name)?;
        newest.object.clone()
    }

    /// How many versions were seen.
    pub fn count(&self) -> usize {
        self.seen.lock().expect("the witness lives").len()
    }

    /// Everything that was seen so far, in order.
    ///
    /// # Panics
    /// Where the witness has missed something.
    pub fn tells(&self) -> Vec<Sight> {
        assert!(self.thread.as_ref().is_some_and(|it| !it.is_finished()), "the witness has lost its watch");
        let mut seen = self.seen.lock().expect("the witness lives").clone();
        seen.sort_by_key(|it| it.version);
        seen
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Follows one kind. Nothing is ever listed again: what a list skips would not be seen.
async fn follow(api: Api<DynamicObject>, kind: &'static str, seen: &Mutex<Vec<Sight>>) {
    let list = api.list(&ListParams::default()).await.expect("a list");
    assert!(list.items.is_empty(), "{kind}: the namespace is not empty");
    let mut version = list.metadata.resource_version.expect("a version");
    loop {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let mut events = api.watch(&params, &version).await.expect("a watch").boxed();
        while let Some(event) = events.try_next().await.expect("the watch goes on") {
            let (object, is_there) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, true),
                WatchEvent::Deleted(object) => (object, false),
                WatchEvent::Bookmark(bookmark) => {
                    version = bookmark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(error) => panic!("{kind}: the watch has ended: {error:?}"),
            };
            version = object.metadata.resource_version.clone().expect("a version");
            let sight = Sight {
                version: version.parse().expect("a number"),
                kind,
                name: object.metadata.name.clone().expect("a name"),
                object: is_there.then(|| serde_json::to_value(&object).expect("JSON")),
            };
            seen.lock().expect("the test lives").push(sight);
        }
    }
}
