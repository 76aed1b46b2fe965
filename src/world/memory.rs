//! Memory: what the CloneSet carries of its own rollout, in annotations, in every write.
//!
//! Memory restricts, it never permits: no write goes past what Git permits at HEAD.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{CommitId, Digest, Name, TemplateHash, Uid};
use crate::objects::keys;

/// One proven release: its template completed a rollout, or was adopted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What was proven.
    pub template: TemplateHash,
    /// The release that it stands for now.
    pub digest: Digest,
    /// First commit of that release's episode, where it came from Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// The CloneSet revision that it was, where it is known: pods of it serve by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Image tag, for people.
    #[serde(default)]
    pub version: String,
    /// ConfigMaps that its pods read and that must be there when they come back
    /// ([`Release::configs`](crate::spec::Release::configs)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<String>,
}

/// A try: failure belongs to a template and an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// What was tried.
    pub template: TemplateHash,
    /// Which time.
    pub attempt: u32,
}

impl Try {
    /// Whether a try of `template` at `attempt` has failed, if this one is the last that failed: the same template
    /// and no higher an attempt.
    #[must_use]
    pub fn covers(&self, template: TemplateHash, attempt: u32) -> bool {
        self.template == template && attempt <= self.attempt
    }
}

/// That a step was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// When.
    pub at: Timestamp,
    /// With how many pods on the new revision.
    pub pods: u32,
}

/// How [`Memory::ALL`] is written.
const ALL: &str = "all";

/// Memory of one CloneSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The object that it is about; none right after a create, which cannot know it.
    pub uid: Option<Uid>,
    /// The announcement of that create, for as long as the UID is not written down.
    pub create: Option<String>,
    /// *D* of the entered release.
    pub digest: Digest,
    /// *T* of the entered release.
    pub template: TemplateHash,
    /// *S*: first commit of the entered episode; none after a rollback to a release that is not HEAD's.
    pub episode: Option<CommitId>,
    /// Image tag of the entered release, for people.
    pub version: String,
    /// The entered step; 0 is before step 1.
    pub step: u32,
    /// When it was entered.
    pub step_entered: Timestamp,
    /// That it was reached.
    pub step_reached: Option<Reached>,
    /// The CloneSet revision that the entered template became, once it is known.
    pub revision: Option<String>,
    /// The step up to which Git has let pods serve, of a release where that takes approvals; [`Memory::ALL`] where it came
    /// with its CloneSet, all at once.
    pub served: u32,
    /// Whether the pods of the entered step were all up, of a release where they wait to serve: from then on its deadline
    /// does not count, until they are not.
    pub up: bool,
    /// Pods that Git names: the one that was asked to be replaced, or none where that is settled, because it was seen to
    /// be gone or never was there. Each is asked for once: a name may be another pod's later (Kruise gives it again to the
    /// next pod of a volume).
    pub replaced: BTreeMap<Name, Option<Uid>>,
    /// The release by which its CloneSet stands, of one that is switched as a whole; none where that is the entered one.
    pub home: Option<Digest>,
    /// The last try that failed.
    pub failed: Option<Try>,
    /// The proven stack, newest last.
    pub proven: Vec<Proof>,
}

impl Memory {
    /// Every pod serves by itself, whatever step it is of.
    pub const ALL: u32 = u32::MAX;

    /// The newest proven release.
    #[must_use]
    pub fn top(&self) -> Option<&Proof> {
        self.proven.last()
    }

    /// Whether the entered template is the newest proven one.
    #[must_use]
    pub fn entered_is_proven(&self) -> bool {
        self.top().is_some_and(|top| top.template == self.template)
    }

    /// Whether a template is proven, by the newest release of it or an older one.
    #[must_use]
    pub fn proves(&self, template: TemplateHash) -> bool {
        self.proven.iter().any(|proof| proof.template == template)
    }

    /// As annotations; those that are not set are left out.
    #[must_use]
    pub fn to_annotations(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let mut put = |key: &str, value: String| out.insert(key.to_owned(), value);
        if let Some(uid) = &self.uid {
            put(keys::UID, uid.to_string());
        }
        if let Some(create) = &self.create {
            put(keys::CREATE, create.clone());
        }
        put(keys::DIGEST, self.digest.to_string());
        put(keys::TEMPLATE, self.template.to_string());
        if let Some(commit) = &self.episode {
            put(keys::EPISODE, commit.to_string());
        }
        put(keys::RELEASE_VERSION, self.version.clone());
        put(keys::STEP, self.step.to_string());
        put(keys::STEP_ENTERED, self.step_entered.to_string());
        if let Some(reached) = &self.step_reached {
            put(keys::STEP_REACHED, format!("{} {}", reached.at, reached.pods));
        }
        if let Some(revision) = &self.revision {
            put(keys::REVISION, revision.clone());
        }
        match self.served {
            0 => {}
            Self::ALL => drop(put(keys::SERVED, ALL.to_owned())),
            step => drop(put(keys::SERVED, step.to_string())),
        }
        if self.up {
            put(keys::STEP_UP, true.to_string());
        }
        if !self.replaced.is_empty() {
            let one = |(name, uid): (&Name, &Option<Uid>)| match uid {
                Some(uid) => format!("{name}={uid}"),
                None => name.to_string(),
            };
            put(keys::REPLACED, self.replaced.iter().map(one).collect::<Vec<_>>().join(" "));
        }
        if let Some(home) = &self.home {
            put(keys::HOME, home.to_string());
        }
        if let Some(failed) = &self.failed {
            put(keys::FAILED, format!("{} {}", failed.template, failed.attempt));
        }
        if !self.proven.is_empty() {
            put(keys::PROVEN, serde_json::to_string(&self.proven).expect("plain data becomes JSON"));
        }
        out
    }

    /// Reads annotations; `None` where there is no memory or it makes no sense, which is the same: memory lost.
    #[must_use]
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let get = |key: &str| annotations.get(key).map(String::as_str);
        // A value that is there but cannot be read spoils the whole.
        let maybe = |key: &str| get(key).map_or(Some(None), |text| text.parse().ok().map(Some));
        let pair = |key: &str| get(key).map(|text| text.split_once(' '));
        let reached = match pair(keys::STEP_REACHED) {
            None => None,
            Some(text) => {
                let (at, pods) = text?;
                Some(Reached { at: at.parse().ok()?, pods: pods.parse().ok()? })
            }
        };
        let failed = match pair(keys::FAILED) {
            None => None,
            Some(text) => {
                let (template, attempt) = text?;
                Some(Try { template: template.parse().ok()?, attempt: attempt.parse().ok()? })
            }
        };
        let served = match get(keys::SERVED) {
            None => 0,
            Some(ALL) => Self::ALL,
            Some(text) => text.parse().ok()?,
        };
        Some(Self {
            uid: get(keys::UID).map(Uid::new),
            create: get(keys::CREATE).filter(|_| get(keys::UID).is_none()).map(str::to_owned),
            digest: get(keys::DIGEST)?.parse().ok()?,
            template: get(keys::TEMPLATE)?.parse().ok()?,
            episode: maybe(keys::EPISODE)?,
            version: get(keys::RELEASE_VERSION).unwrap_or_default().to_owned(),
            step: get(keys::STEP)?.parse().ok()?,
            step_entered: get(keys::STEP_ENTERED)?.parse().ok()?,
            step_reached: reached,
            revision: get(keys::REVISION).map(str::to_owned),
            served,
            up: maybe_up(get(keys::STEP_UP))?,
            replaced: replaced(get(keys::REPLACED).unwrap_or_default())?,
            home: maybe_digest(get(keys::HOME))?,
            failed,
            proven: get(keys::PROVEN).map_or(Some(Vec::new()), |text| serde_json::from_str(text).ok())?,
        })
    }
}

fn replaced(text: &str) -> Option<BTreeMap<Name, Option<Uid>>> {
    let one = |word: &str| match word.split_once('=') {
        Some((_, "")) => None,
        Some((name, uid)) => Some((name.parse().ok()?, Some(Uid::new(uid)))),
        None => Some((word.parse().ok()?, None)),
    };
    text.split_ascii_whitespace().map(one).collect()
}

fn maybe_digest(text: Option<&str>) -> Option<Option<Digest>> {
    text.map_or(Some(None), |text| text.parse().ok().map(Some))
}

fn maybe_up(text: Option<&str>) -> Option<bool> {
    text.map_or(Some(false), |text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let template = TemplateHash::of(b"t");
        let commit = CommitId::from_bytes([7; 20]);
        Memory {
            uid: Some(Uid::new("u-1")),
            create: None,
            digest: Digest::of(b"d"),
            template,
            episode: Some(commit),
            version: "2.4.1".to_owned(),
            step: 2,
            step_entered: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            step_reached: Some(Reached { at: "2026-01-02T03:05:05Z".parse().unwrap(), pods: 5 }),
            revision: Some("checkout-abc".to_owned()),
            served: 2,
            up: true,
            replaced: [("checkout-x2b4c", Some(Uid::new("p-1"))), ("checkout-zz9k1", None)]
                .map(|(name, uid)| (name.parse().unwrap(), uid))
                .into(),
            home: Some(Digest::of(b"h")),
            failed: Some(Try { template, attempt: 2 }),
            proven: vec![Proof {
                template,
                digest: Digest::of(b"d"),
                commit: Some(commit),
                revision: Some("checkout-abc".into()),
                version: "2.4.0".into(),
                configs: vec!["checkout-5d41402abc4b2a76".into()],
            }],
        }
    }

    #[test]
    fn memory_survives_its_annotations() {
        let full = memory();
        assert_eq!(Memory::from_annotations(&full.to_annotations()), Some(full.clone()));
        let bare = Memory {
            uid: None,
            create: Some("c-1".to_owned()),
            episode: None,
            step_reached: None,
            revision: None,
            served: 0,
            up: false,
            replaced: BTreeMap::new(),
            home: None,
            failed: None,
            proven: vec![],
            ..full
        };
        assert_eq!(Memory::from_annotations(&bare.to_annotations()), Some(bare.clone()));
        let all = Memory { served: Memory::ALL, ..bare };
        assert_eq!(Memory::from_annotations(&all.to_annotations()), Some(all));
    }

    #[test]
    fn an_announcement_beside_a_uid_says_nothing() {
        let mut annotations = memory().to_annotations();
        annotations.insert(keys::CREATE.to_owned(), "c-1".to_owned());
        assert_eq!(Memory::from_annotations(&annotations), Some(memory()));
    }

    #[test]
    fn memory_edited_into_nonsense_is_memory_lost() {
        for key in [
            keys::STEP,
            keys::STEP_REACHED,
            keys::SERVED,
            keys::REPLACED,
            keys::HOME,
            keys::FAILED,
            keys::PROVEN,
            keys::DIGEST,
            keys::EPISODE,
        ] {
            let mut annotations = memory().to_annotations();
            annotations.insert(key.to_owned(), "Nonsense!".to_owned());
            assert_eq!(Memory::from_annotations(&annotations), None, "{key}");
        }
    }
}
