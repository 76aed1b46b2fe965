//! Lists for commands, which look once and watch nothing.

use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

use crate::cluster::apply::{REQUEST_TIMEOUT, resource};
use crate::cluster::connect::Cluster;
use crate::cluster::error::{Attempt, Error};
use crate::objects::{CloneSetVersion, Kind};

/// Objects asked for at once.
const PAGE: u32 = 200;

impl Cluster {
    /// Every object of a kind, in one namespace or in all. CloneSets are listed in the version that is served.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Vec<Value>, Error> {
        self.list_labelled(kind, namespace, "").await
    }

    /// As [`Cluster::list`], of the objects whose labels fit `selector`, in the words of `kubectl -l`.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn list_labelled(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<Value>, Error> {
        let version = (kind == Kind::CloneSet).then(|| self.clonesets());
        match (self.pages(kind, namespace, version, selector).await, version) {
            (Err(Error::NotServed(_)), Some(version)) => {
                let other = version.other();
                let found = self.pages(kind, namespace, Some(other), selector).await?;
                self.ask_clonesets_in(other);
                Ok(found)
            }
            (found, _) => found,
        }
    }

    async fn pages(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        version: Option<CloneSetVersion>,
        selector: &str,
    ) -> Result<Vec<Value>, Error> {
        let named = version.map_or(kind.api(), CloneSetVersion::api);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client(), namespace, &resource(named)),
            None => Api::all_with(self.client(), &resource(named)),
        };
        let attempt = || Attempt {
            verb: "list",
            resource: named.plural.to_owned(),
            group: named.group.to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
        };
        let broken = |error: serde_json::Error| Error::Malformed(error.to_string());
        let (mut found, mut params) = (Vec::new(), ListParams::default().labels(selector).limit(PAGE));
        loop {
            let listed = tokio::time::timeout(REQUEST_TIMEOUT, api.list(&params)).await;
            let page = listed.map_err(|_| Error::TimedOut(REQUEST_TIMEOUT.as_secs()))?;
            let page = page.map_err(|error| Error::from_kube(error, attempt()))?;
            for item in page.items {
                let mut object = serde_json::to_value(item).map_err(broken)?;
                // An item of a list does not say what it is.
                object["apiVersion"] = named.api_version().into();
                object["kind"] = named.kind.into();
                version.inspect(|it| it.decode(&mut object));
                found.push(object);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(found),
            }
        }
    }
}
