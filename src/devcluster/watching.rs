//! Watches: what was there, then what changes, then an end.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::devcluster::knobs::TestKnobs;
use crate::devcluster::list::{check_match, in_version, parse_version};
use crate::devcluster::refusal::Refusal;
use crate::devcluster::reply::{Form, form, shown};
use crate::devcluster::request::{Asked, Target};
use crate::devcluster::selectors::Selector;
use crate::devcluster::store::{Change, Object, Store};
use crate::devcluster::table::Look;

/// How long a watch lasts when the client does not say: the least of what the real server draws.
const DEFAULT_LENGTH: Duration = Duration::from_secs(1_800);

/// How often a watch that asks for them is sent bookmarks (`bookmarkFrequency`).
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// How long before its end a watch is sent a last bookmark.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// Answers a watch of a collection.
///
/// # Errors
/// 400, 422 or 500 for options that cannot be had; what is too old is an event in the stream.
pub fn watch(store: &Store, knobs: &TestKnobs, target: &Target, asked: &Asked) -> Result<Response, Refusal> {
    check_match(asked, true)?;
    let selector = Selector::read(asked.get("labelSelector"), asked.get("fieldSelector"), &target.kind)?;
    let length = match asked.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        Some(_) | None => DEFAULT_LENGTH,
    };
    let form = form(asked)?;
    let from = parse_version(asked)?.unwrap_or(0);
    let now = Instant::now();
    let changes = store.changes();
    let dropped = knobs.dropped();
    let drops_seen = *dropped.borrow();
    let mut open = Watch {
        store: store.clone(),
        target: target.clone(),
        selector,
        form,
        include: asked.get("includeObject").to_owned(),
        bookmarks: asked.is_true("allowWatchBookmarks"),
        changes,
        dropped,
        drops_seen,
        end: now + length,
        last_bookmark: now + length.saturating_sub(BOOKMARK_BEFORE_END),
        next_bookmark: None,
        position: from,
        sent: from,
        columns: true,
        waiting: VecDeque::new(),
        over: false,
    };
    if open.bookmarks {
        open.next_bookmark = Some((now + BOOKMARK_EVERY).min(open.last_bookmark));
    }
    if from == 0 {
        open.begin();
    }
    let lines = stream::unfold(Box::new(open), |mut open| async move {
        open.next().await.map(|line| (Ok::<String, Infallible>(line), open))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// An open watch.
struct Watch {
    store: Store,
    target: Target,
    selector: Selector,
    form: Form,
    include: String,
    bookmarks: bool,
    changes: watch::Receiver<u64>,
    dropped: watch::Receiver<u64>,
    drops_seen: u64,
    end: Instant,
    last_bookmark: Instant,
    next_bookmark: Option<Instant>,
    /// Changes up to this version were looked at.
    position: u64,
    /// The version of the last event that was sent.
    sent: u64,
    columns: bool,
    waiting: VecDeque<String>,
    over: bool,
}

impl Watch {
    /// What is there now, as ADDED.
    fn begin(&mut self) {
        let namespace = (!self.target.namespace.is_empty()).then_some(self.target.namespace.as_str());
        let resource = self.target.kind.resource();
        let (objects, version) = self.store.read(|state| (state.list(&resource, namespace), state.version()));
        for object in objects {
            if self.selector.matches(&object) {
                let line = self.line("ADDED", &object);
                self.waiting.push_back(line);
            }
        }
        self.position = version;
        self.sent = version;
    }

    /// The next line, or `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if *self.dropped.borrow() != self.drops_seen {
                return None;
            }
            if let Some(line) = self.waiting.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            self.changes.borrow_and_update();
            self.collect();
            if !self.waiting.is_empty() {
                continue;
            }
            if Instant::now() >= self.end {
                return None;
            }
            let until = self.next_bookmark.unwrap_or(self.end).min(self.end);
            tokio::select! {
                biased;
                changed = self.dropped.changed() => changed.ok()?,
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(until) => self.bookmark(),
            }
        }
    }

    /// Turns the changes since the last look into lines.
    fn collect(&mut self) {
        let resource = self.target.kind.resource();
        let found = self.store.read(|state| {
            state.changes_since(&resource, self.position).map(|changes| (changes, state.version()))
        });
        match found {
            Ok((changes, version)) => {
                for change in changes {
                    self.position = change.version;
                    if let Some((word, object)) = self.event(&change) {
                        self.sent = change.version;
                        let line = self.line(word, &object);
                        self.waiting.push_back(line);
                    }
                }
                // A version of the future is waited for in silence.
                if self.position < version {
                    self.position = version;
                }
            }
            Err(refusal) => {
                self.over = true;
                self.waiting.push_back(event_line("ERROR", &refusal.status()));
            }
        }
    }

    /// What this watch sees of a change. What leaves its sight is DELETED, in its last visible state.
    fn event(&self, change: &Change) -> Option<(&'static str, Object)> {
        let sees = |object: &&Object| {
            let here = self.target.namespace.is_empty() || object.namespace() == self.target.namespace;
            here && self.selector.matches(object)
        };
        let before = change.before.as_ref().filter(sees);
        let after = change.after.as_ref().filter(sees);
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(("ADDED", after.clone())),
            (Some(_), Some(after)) => Some(("MODIFIED", after.clone())),
            (Some(before), None) => {
                let mut last = (**before).clone();
                last["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(("DELETED", Object::new(last)))
            }
        }
    }

    fn line(&mut self, word: &str, object: &Object) -> String {
        let object = in_version(object, &self.target);
        if self.form == Form::Whole {
            return format!("{{\"type\":\"{word}\",\"object\":{}}}\n", object.json());
        }
        let now = self.store.clock().now();
        let look = Look { include: &self.include, columns: self.columns, now };
        self.columns = false;
        event_line(word, &shown(&object, &self.target.kind, self.form, look))
    }

    /// Sends a bookmark if the kind was written after what this watch has seen.
    fn bookmark(&mut self) {
        let Some(due) = self.next_bookmark.filter(|due| Instant::now() >= *due) else { return };
        let next = (due + BOOKMARK_EVERY).min(self.last_bookmark);
        self.next_bookmark = (next > due).then_some(next);
        let resource = self.target.kind.resource();
        let (news, version) =
            self.store.read(|state| (state.written_since(&resource, self.sent), state.version()));
        if !news {
            return;
        }
        self.sent = version;
        let kind = &self.target.kind;
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if !kind.custom {
            metadata["creationTimestamp"] = Value::Null;
        }
        let version = kind.api_version(&self.target.version);
        let mark = json!({"kind": kind.kind, "apiVersion": version, "metadata": metadata});
        self.waiting.push_back(event_line("BOOKMARK", &mark));
    }
}

fn event_line(word: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": word, "object": object}))
}
