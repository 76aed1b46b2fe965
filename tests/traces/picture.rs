//! What a trace shows of a moment: pods by revision, and the CloneSet with its status.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use triton::devcluster::pods::{POD_READY, Pod, SPECIFIED_DELETE, State, controller_uid, short_hash};

/// Pods: by letter of their revision `active/ready/available`, the counts beside, and how many are terminating.
pub type Pods = BTreeMap<String, BTreeMap<String, i64>>;

/// Letters of revisions by their names, in the order of their appearance.
#[derive(Clone, Default)]
pub struct Letters(Vec<String>);

impl Letters {
    /// The letter of a revision; a new one where it was never seen.
    pub fn of(&mut self, name: &str) -> String {
        let index = self.0.iter().position(|one| one == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        letter(index)
    }

    /// The letter of a short hash.
    pub fn of_hash(&self, hash: &str) -> String {
        let index = self.0.iter().position(|name| short_hash(name) == hash);
        index.map_or_else(|| format!("?{hash}"), letter)
    }
}

fn letter(index: usize) -> String {
    char::from(b'A' + u8::try_from(index).expect("few revisions")).to_string()
}

/// Reads a recorded line: `A 9/8/8 ipu-:1; B 1/0/0 PN:1 T A1,B1`.
pub fn read(line: &str) -> Pods {
    let mut pods = Pods::new();
    for part in line.split("; ").filter(|part| !part.is_empty()) {
        let (letter, rest) = part.trim_start().split_once(' ').expect("a letter and its numbers");
        if letter == "T" {
            read_terminating(rest, &mut pods);
            continue;
        }
        let (numbers, terminating) = rest.split_once(" T ").unwrap_or((rest, ""));
        let mut words = numbers.split(' ');
        let counts =
            words.next().expect("three counts").split('/').map(|count| count.parse().expect("a count"));
        let entry = pods.entry(letter.to_owned()).or_default();
        entry.extend(["active", "ready", "available"].map(str::to_owned).into_iter().zip(counts));
        for word in words {
            let (key, count) = word.rsplit_once(':').expect("a name and its count");
            entry.insert(key.to_owned(), count.parse().expect("a count"));
        }
        read_terminating(terminating, &mut pods);
    }
    pods
}

fn read_terminating(text: &str, pods: &mut Pods) {
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let (letter, count) = word.split_at(1);
        let count = count.parse().expect("a count");
        pods.entry(letter.to_owned()).or_default().insert("T".to_owned(), count);
    }
}

/// All pods, as a trace would show them now.
pub fn pods(all: &[Pod], letters: &Letters, now: Timestamp) -> Pods {
    let mut pods = Pods::new();
    for pod in all {
        let letter = letters.of_hash(pod.revision());
        let letter = if controller_uid(&pod.body).is_empty() { format!("orphan{letter}") } else { letter };
        let entry = pods.entry(letter).or_default();
        if pod.is_terminating() {
            *entry.entry("T".to_owned()).or_default() += 1;
            continue;
        }
        let ready = pod.is_update_ready(0, now);
        for (count, holds) in [("active", true), ("ready", ready), ("available", pod.is_available(0, now))] {
            *entry.entry(count.to_owned()).or_default() += i64::from(holds);
        }
        for mark in marks(pod) {
            *entry.entry(mark.to_owned()).or_default() += 1;
        }
    }
    pods
}

fn marks(pod: &Pod) -> Vec<&'static str> {
    let is_false = |kind: &str| pod.condition(kind).is_some_and(|condition| condition["status"] == "False");
    let gated = |gate: &str| pod.gates().any(|one| one == gate);
    let state = match pod.state() {
        State::PreparingNormal => Some("PN"),
        State::PreparingUpdate => Some("PU"),
        State::Updating => Some("Ug"),
        State::Updated => Some("Ud"),
        State::PreparingDelete => Some("PD"),
        State::Normal => None,
    };
    let dark = gated("triton.io/serving") && !pod.is_true("triton.io/serving");
    let grace = pod.annotation("apps.kruise.io/inplace-update-grace").is_some();
    let others = [
        ("sd", pod.label(SPECIFIED_DELETE).is_some()),
        ("ipu-", is_false("InPlaceUpdateReady")),
        ("kpr-", is_false(POD_READY)),
        ("cr-", is_false("ContainersReady")),
        ("dark", dark),
        ("grace", grace),
        ("img!=rev", grace),
        ("pend", pod.phase() == "Pending"),
    ];
    state.into_iter().chain(others.into_iter().filter(|(_, holds)| *holds).map(|(mark, _)| mark)).collect()
}

/// The CloneSet as a `cs` line shows it.
pub fn cs(body: &Value, letters: &mut Letters) -> Value {
    let (spec, status) = (&body["spec"], &body["status"]);
    let mut cs = Map::new();
    let mut set = |key: &str, value: &Value| {
        if !value.is_null() {
            cs.insert(key.to_owned(), value.clone());
        }
    };
    let image = spec["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    set("g", &body["metadata"]["generation"]);
    set("og", &status["observedGeneration"]);
    set("R", &spec["replicas"]);
    set("p", &spec["updateStrategy"]["partition"]);
    set("ps", &if spec["updateStrategy"]["paused"] == true { json!(1) } else { Value::Null });
    set("img", &json!(image.rsplit_once(':').map_or(image, |(_, tag)| tag)));
    for (key, field) in [
        ("r", "replicas"),
        ("rd", "readyReplicas"),
        ("av", "availableReplicas"),
        ("u", "updatedReplicas"),
        ("ur", "updatedReadyReplicas"),
        ("ua", "updatedAvailableReplicas"),
        ("eu", "expectedUpdatedReplicas"),
        ("cc", "collisionCount"),
    ] {
        set(key, &status[field]);
    }
    for (key, field) in [("cur", "currentRevision"), ("upd", "updateRevision")] {
        set(key, &status[field].as_str().map_or(Value::Null, |name| json!(letters.of(name))));
    }
    if let Some(condition) = status["conditions"].get(0) {
        let kind = condition["type"].as_str().unwrap_or_default();
        set("cond", &json!(format!("{kind}={}", condition["status"].as_str().unwrap_or_default())));
    }
    let to_delete = spec["scaleStrategy"]["podsToDelete"].as_array().map_or(0, Vec::len);
    set("ptd", &if to_delete > 0 { json!(to_delete) } else { Value::Null });
    let deleting = body["metadata"]["deletionTimestamp"].is_string();
    set("deleting", &if deleting { json!(1) } else { Value::Null });
    Value::Object(cs)
}

/// The line of a note: pods by image, and the status.
pub fn note(pods: &[Pod], body: &Value) -> String {
    let mut images: BTreeMap<String, usize> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !pod.is_terminating()) {
        let name = body["metadata"]["name"].as_str().unwrap_or_default();
        if pod.name().rsplit_once('-').is_some_and(|(set, _)| set == name) {
            let image = pod.body["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            *images.entry(image.rsplit_once(':').map_or(image, |(_, tag)| tag).to_owned()).or_default() += 1;
        }
    }
    let images: Vec<String> = images.into_iter().map(|(image, count)| format!("{image}{count}")).collect();
    let status = cs(body, &mut Letters::default());
    let counts: Vec<String> = ["r", "rd", "av", "u", "ur", "ua", "eu"]
        .into_iter()
        .filter_map(|key| Some(format!("{key}={}", status.get(key)?)))
        .collect();
    format!("{} | {}", images.join(" "), counts.join(" "))
}

/// The predicate by which a step counts as done (`step_done` in the reference), on a `cs` line alone.
pub fn is_step_done(cs: &Value) -> bool {
    let count = |key: &str| cs[key].as_i64().unwrap_or(0);
    let (size, done) = (count("R"), count("eu"));
    cs["og"] == cs["g"] && done > 0 && count("r") == size && count("u") >= done && count("ua") >= done
}

/// Whether as many pods as the step asks for really run the update revision and are available.
pub fn has_done_step(pods: &[Pod], body: &Value, now: Timestamp) -> bool {
    let revision = short_hash(body["status"]["updateRevision"].as_str().unwrap_or_default());
    let min_ready = body["spec"]["minReadySeconds"].as_i64().unwrap_or(0);
    let uid = body["metadata"]["uid"].as_str().unwrap_or_default();
    let done = pods.iter().filter(|pod| controller_uid(&pod.body) == uid && pod.is_active());
    let done = done.filter(|pod| pod.revision() == revision && pod.is_available(min_ready, now));
    done.count() as i64 >= body["status"]["expectedUpdatedReplicas"].as_i64().unwrap_or(0)
}
