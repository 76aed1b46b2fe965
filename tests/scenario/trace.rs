//! What happened on a ground, without times and without names that are drawn: equal on every ground.
//!
//! For each release: what the daemon wrote, in order, what its record tells of, and how the CloneSet ended. Revisions are
//! named by the image tag of their template. What depends on who was quicker is folded: writes that were refused, and
//! those that repeat the one before, are left out; when a step's pods were there is up to the kubelets, so that writes are
//! the same whether they tell of it or not; a companion is written in a lap of its own, which is told as a repair, or a lap
//! later with the next decision, so that between two writes of a CloneSet's spec the order of other writes is not compared;
//! a record keeps a limited number of entries, so that two of which one is full are compared from the first entry that both
//! have; and a template that only a hand wrote has a revision where Kruise saw it before it was put back.
//!
//! **Invariant:** no step is left upwards before memory, or the history where it was left in that very write, says that it
//! is reached. It is judged on each ground by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde_json::Value;
use triton::devcluster::Store;
use triton::objects::keys;
use triton::objects::record::HISTORY_MAX;

use crate::scenario::ground::{CLONESETS, PODS, RECORDS, REVISIONS, kinds};
use crate::scenario::observer::{is_there, tag};
use crate::scenario::wire::Sent;

/// What happened: lines by what they are about, and which of them are a full history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace(BTreeMap<String, Vec<String>>, BTreeSet<String>);

/// A line that one of two traces has alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub about: String,
    /// `-` where only the embedded cluster has it, `+` where only the real one has it.
    pub side: char,
    /// The line.
    pub line: String,
}

impl Trace {
    /// Tells what was sent, and how the objects stand.
    ///
    /// # Panics
    /// Where a step was left before it was reached.
    pub fn of(sent: &[Sent], store: &Store) -> Self {
        let mut trace = BTreeMap::new();
        let mut last: BTreeMap<String, &Value> = BTreeMap::new();
        let (mut templates, mut left) = (BTreeSet::new(), Vec::new());
        for (sent, (release, line)) in sent.iter().filter_map(|it| Some((it, written(it)?))) {
            if line.starts_with("apply CloneSet") {
                let memory = &sent.body["metadata"]["annotations"];
                let before = last.insert(release.clone(), memory);
                left.extend(before.filter(|before| leaps(before, memory)).map(|it| (release.clone(), it)));
                templates.insert(tag(&sent.body["spec"]["template"]));
            }
            push(&mut trace, format!("writes of {release}"), line);
        }
        let mut trace: BTreeMap<String, Vec<String>> =
            trace.into_iter().map(|(about, lines)| (about, folded(lines))).collect();
        for (release, memory) in left {
            assert!(
                is_told(store, &release, memory),
                "{release} leaves a step that is not reached: {memory}"
            );
        }
        let mut full = BTreeSet::new();
        for record in store.list(RECORDS, None) {
            if record["status"]["history"].as_array().is_some_and(|it| it.len() >= HISTORY_MAX) {
                full.insert(format!("history of {}", record.name()));
            }
            for entry in record["status"]["history"].as_array().into_iter().flatten() {
                if !tells_of_timing(entry) {
                    push(&mut trace, format!("history of {}", record.name()), told(entry));
                }
            }
        }
        for cloneset in store.list(CLONESETS, None) {
            let lines = ends(&cloneset, store, &templates);
            trace.insert(format!("end of {}", cloneset.name()), lines);
        }
        Self(trace, full)
    }

    /// Where the embedded cluster's trace (this one) and the real one's differ.
    pub fn differences(&self, real: &Self) -> Vec<Difference> {
        let about: BTreeSet<&String> = self.0.keys().chain(real.0.keys()).collect();
        let none = Vec::new();
        let lines = |about: &String| {
            let (left, right) = (self.0.get(about).unwrap_or(&none), real.0.get(about).unwrap_or(&none));
            let is_full = self.1.contains(about) || real.1.contains(about);
            let (left, right) = if is_full { since_both(left, right) } else { (&left[..], &right[..]) };
            apart(left, right).into_iter().map(|(side, line)| (about.clone(), side, line)).collect::<Vec<_>>()
        };
        let found = about.into_iter().flat_map(lines);
        found.map(|(about, side, line)| Difference { about, side, line }).collect()
    }

    /// How many lines it has.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(about, lines)| writeln!(f, "{about}\n  {}", lines.join("\n  ")))
    }
}

impl Difference {
    /// Whether it is about what a record tells.
    pub fn is_history(&self) -> bool {
        self.about.starts_with("history of ")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} ({})", self.side, self.line, self.about)
    }
}

fn push(trace: &mut BTreeMap<String, Vec<String>>, about: String, line: String) {
    let lines = trace.entry(about).or_default();
    if lines.last() != Some(&line) {
        lines.push(line);
    }
}

/// What a request wrote, and to which release.
fn written(sent: &Sent) -> Option<(String, String)> {
    let (path, query) = sent.path.split_once('?').unwrap_or((&sent.path, ""));
    let segments: Vec<&str> = path.split('/').collect();
    let at = segments.iter().position(|segment| *segment == "namespaces")?;
    let (plural, name) = (*segments.get(at + 2)?, *segments.get(at + 3)?);
    // Names of pods are drawn, and who is let in first is up to the kubelets.
    let aside = ["leases", "events", "releases", "pods"];
    if !(200..300).contains(&sent.code) || query.contains("dryRun") || aside.contains(&plural) {
        return None;
    }
    let kind = kinds().into_iter().find(|api| api.plural == plural).map_or(plural, |api| api.kind);
    let release = sent.body["metadata"]["annotations"][keys::RELEASE].as_str().unwrap_or(name);
    let release = release.rsplit('/').next().unwrap_or_default().to_owned();
    let line = match (sent.method.as_str(), kind) {
        ("DELETE", _) => format!("delete {kind}/{name}"),
        (_, "CloneSet") => format!("apply CloneSet/{name}: {}", body(&sent.body)),
        _ => format!("apply {kind}/{name}"),
    };
    Some((release, line))
}

/// Whether one memory follows another a step too far: of the same release, further on, before the step was reached.
fn leaps(before: &Value, after: &Value) -> bool {
    let step = |memory: &Value| memory[keys::STEP].as_str().and_then(|it| it.parse::<u32>().ok());
    before[keys::DIGEST] == after[keys::DIGEST]
        && step(before).is_some_and(|before| step(after) > Some(before))
        && before[keys::STEP_REACHED].is_null()
}

/// Whether the history tells that the step in this memory was reached, as far as it goes back.
fn is_told(store: &Store, release: &str, memory: &Value) -> bool {
    let text = |key: &str| memory[key].as_str().unwrap_or_default();
    let words = format!(" reached step {} of ", text(keys::STEP));
    let tells = |entry: &Value| {
        let digest = entry["digest"].as_str().is_some_and(|it| text(keys::DIGEST).starts_with(it));
        entry["decision"] == "Note"
            && entry["message"].as_str().is_some_and(|it| it.contains(&words))
            && digest
    };
    let records = store.list(RECORDS, None);
    let history = records.iter().find(|it| it.name() == release).map(|it| &it["status"]["history"]);
    let history = history.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    history.len() >= HISTORY_MAX || history.iter().any(tells)
}

/// Whether an entry of the history says no more than that the pods of a step are there, or that companions were written
/// in a lap of their own.
fn tells_of_timing(entry: &Value) -> bool {
    let says = |decision: &str, words: &str| {
        entry["decision"] == *decision && entry["message"].as_str().unwrap_or_default().contains(words)
    };
    says("Note", " reached step ") || says("Repair", " repairs its companions: ")
}

/// Puts what is written between two writes of a CloneSet's spec into one order, each once.
fn folded(lines: Vec<String>) -> Vec<String> {
    let (mut all, mut between) = (Vec::new(), BTreeSet::new());
    for line in lines {
        if line.starts_with("apply CloneSet/") && !line.ends_with("memory only") {
            all.extend(std::mem::take(&mut between));
            if all.last() != Some(&line) {
                all.push(line);
            }
        } else {
            between.insert(line);
        }
    }
    all.extend(between);
    all
}

/// What a body says of a CloneSet.
fn body(body: &Value) -> String {
    let spec = &body["spec"];
    let memory = |key: &str| body["metadata"]["annotations"][key].as_str();
    if spec.is_null() {
        return "memory only".to_owned();
    }
    let template = tag(&spec["template"]);
    let mut text = format!("{template}, partition {}", spec["updateStrategy"]["partition"]);
    if let Some(replicas) = spec.get("replicas") {
        let _ = write!(text, ", {replicas} replicas");
    }
    let _ = write!(text, ", step {}", memory(keys::STEP).unwrap_or("none"));
    if let Some(pods) = spec.pointer("/scaleStrategy/podsToDelete").and_then(Value::as_array) {
        let _ = write!(text, ", {} to replace", pods.len());
    }
    if memory(keys::FAILED).is_some() {
        text.push_str(", one failed");
    }
    let proven = memory(keys::PROVEN).and_then(|it| serde_json::from_str::<Value>(it).ok());
    let proven = proven.and_then(|it| Some(it.as_array()?.len())).unwrap_or(0);
    let _ = write!(text, ", {proven} proven");
    text
}

/// What an entry of the history says, without names that are drawn, and times.
fn told(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let drawn = |word: &str| {
        let end = word.rsplit('-').next().unwrap_or_default();
        let drawn = end.len() >= 5 && end.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
        // The letters that Kubernetes draws from (`k8s.io/apimachinery/pkg/util/rand`).
        let suffix = end.len() == 5 && end.bytes().all(|it| b"bcdfghjklmnpqrstvwxz2456789".contains(&it));
        word.contains('-') && (suffix || (drawn && end.bytes().any(|it| it.is_ascii_digit())))
    };
    let words = text("message").split(' ').map(|word| {
        let bare = word.trim_matches(|it: char| !it.is_ascii_alphanumeric());
        if drawn(bare) || bare.parse::<Timestamp>().is_ok() {
            word.replace(bare, "…")
        } else {
            word.to_owned()
        }
    });
    format!("{}: {}", text("decision"), words.collect::<Vec<_>>().join(" "))
}

/// How a CloneSet stands, with the revisions of these templates and of those that count.
fn ends(cloneset: &Value, store: &Store, templates: &BTreeSet<String>) -> Vec<String> {
    let uid = &cloneset["metadata"]["uid"];
    let mine = |object: &Value| object["metadata"]["ownerReferences"][0]["uid"] == *uid;
    let mut revisions: Vec<(u64, String, String)> = Vec::new();
    for revision in store.list(REVISIONS, None).iter().filter(|it| mine(it)) {
        let number = revision["revision"].as_u64().unwrap_or(0);
        revisions.push((number, revision.name().to_owned(), tag(&revision["data"]["spec"]["template"])));
    }
    revisions.sort();
    let letter = |name: &Value| {
        let found = revisions.iter().find(|(_, it, _)| name == it);
        found.map_or_else(|| name.to_string(), |(_, _, letter)| letter.clone())
    };
    let status = &cloneset["status"];
    let mut pods: BTreeMap<String, u32> = BTreeMap::new();
    for pod in store.list(PODS, None).iter().filter(|it| mine(it)) {
        if is_there(pod) {
            *pods.entry(tag(pod)).or_default() += 1;
        }
    }
    let counts =
        ["replicas", "readyReplicas", "availableReplicas", "updatedReplicas", "updatedReadyReplicas"];
    let counts = counts.map(|it| format!("{it} {}", status[it].as_u64().unwrap_or(0)));
    let counts_at_all = |(_, name, letter): &&(u64, String, String)| {
        let named = ["currentRevision", "updateRevision"].iter().any(|it| status[it] == **name);
        named || templates.contains(letter) || pods.contains_key(letter)
    };
    let letters: Vec<&str> =
        revisions.iter().filter(counts_at_all).map(|(_, _, letter)| letter.as_str()).collect();
    let memory = &cloneset["metadata"]["annotations"];
    let reached = if memory[keys::STEP_REACHED].is_null() { "not reached" } else { "reached" };
    vec![
        format!("generation {}", cloneset["metadata"]["generation"]),
        format!("step {} {reached}", memory[keys::STEP]),
        format!("revisions {}", letters.join(" ")),
        format!(
            "current {}, update {}",
            letter(&status["currentRevision"]),
            letter(&status["updateRevision"])
        ),
        format!("pods {pods:?}"),
        counts.join(", "),
    ]
}

/// Two lists from the first line that both have: how far back a full history goes depends on what was told later.
fn since_both<'a>(left: &'a [String], right: &'a [String]) -> (&'a [String], &'a [String]) {
    let places = (0..left.len() + right.len()).flat_map(|sum| (0..=sum).map(move |i| (i, sum - i)));
    let mut both = places.filter(|(i, j)| left.get(*i).is_some_and(|it| right.get(*j) == Some(it)));
    both.next().map_or((left, right), |(i, j)| (&left[i..], &right[j..]))
}

/// The lines that only one of two lists has, with all others in the same order: `-` for the first, `+` for the second.
fn apart(left: &[String], right: &[String]) -> Vec<(char, String)> {
    // Length of the longest common part of what is behind each pair of places.
    let mut common = vec![vec![0_usize; right.len() + 1]; left.len() + 1];
    for (i, one) in left.iter().enumerate().rev() {
        for (j, other) in right.iter().enumerate().rev() {
            let either = common[i + 1][j].max(common[i][j + 1]);
            common[i][j] = if one == other { common[i + 1][j + 1] + 1 } else { either };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < left.len() || j < right.len() {
        match (left.get(i), right.get(j)) {
            (Some(one), Some(other)) if one == other => (i, j) = (i + 1, j + 1),
            (Some(one), other) if other.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                found.push(('-', one.clone()));
                i += 1;
            }
            (_, Some(other)) => {
                found.push(('+', other.clone()));
                j += 1;
            }
            (_, None) => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companions_are_compared_with_the_writes_of_a_spec_and_not_with_each_other() {
        let lines = |text: &str| folded(text.split(", ").map(|it| format!("apply {it}")).collect());
        let spec = "CloneSet/a: A";
        let one = lines(&format!("Service/a, {spec}, CloneSet/a: memory only, Service/a, {spec} 2"));
        assert_eq!(one, lines(&format!("Service/a, {spec}, Service/a, CloneSet/a: memory only, {spec} 2")));
        assert_ne!(one, lines(&format!("Service/a, {spec}, CloneSet/a: memory only, {spec} 2, Service/a")));
    }

    fn lines(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn full_histories_are_compared_from_the_first_entry_that_both_have() {
        let (left, right) = (lines("a b c d e"), lines("c d x e b"));
        assert_eq!(since_both(&left, &right), (&left[2..], &right[..]));
        assert_eq!(since_both(&left[..2], &right[..2]), (&left[..2], &right[..2]));
    }

    #[test]
    fn a_difference_is_the_fewest_lines() {
        let found = apart(&lines("a b c d"), &lines("a c x d e"));
        let found: Vec<String> = found.into_iter().map(|(side, line)| format!("{side}{line}")).collect();
        assert_eq!(found, ["-b", "+x", "+e"]);
    }
}
