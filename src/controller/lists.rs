//! The first lists: nothing is planned before all of them are in.

use tokio::time::Duration;

use crate::cluster::{Cache, Feed, FeedState};

/// How often it is said what the first lists wait for.
const SYNC_TOLD: Duration = Duration::from_secs(10);

/// Waits for the first lists, and says what they wait for.
pub async fn wait_for_lists(cache: &Cache) {
    if tokio::time::timeout(SYNC_TOLD, cache.changed()).await.is_ok() {
        return;
    }
    for (category, message) in unlisted(cache) {
        tracing::warn!(category, "{message}");
    }
}

/// What the first lists wait for: in one word each, and in a sentence.
#[must_use]
pub fn unlisted(cache: &Cache) -> Vec<(&'static str, String)> {
    let of = |(feed, state): (Feed, FeedState)| match state {
        FeedState::Listing(Some(error)) => {
            Some((error.category(), error.hold(&format!("the first list of {feed}")).message))
        }
        FeedState::NotServed => Some(("not-served", format!("the cluster does not serve {feed}"))),
        FeedState::Listing(None) | FeedState::Synced => None,
    };
    cache.states().into_iter().filter_map(of).collect()
}
