//! What is compared when a replay is over: the way of the statuses, the revisions, the Events.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::traces::story::Story;

/// Events that client-go's recorder lets through in a burst, for one object: with more, which ones is chance.
const BURST: u64 = 25;
/// Events that are told again with each try, as often as time allows.
const REPEATED: [&str; 2] = ["FailedCreate", "ScaleUpLimited"];

/// What differs between a recording and what was seen.
pub fn differences(trace: &[Value], story: &Story, mine: &BTreeMap<String, u64>) -> Vec<String> {
    let mut all = of_any_way(trace, story);
    all.extend(of_the_way(trace, story, mine));
    all
}

/// What differs though it does not depend on the moments of writes: statuses that say too much, and the revisions.
pub fn of_any_way(trace: &[Value], story: &Story) -> Vec<String> {
    let recorded = trace.iter().filter(|line| line.get("rev").is_some());
    let (want, have) = (revisions(recorded), revisions(story.revisions.iter()));
    [
        differ("early statuses", "[]".to_owned(), format!("{:?}", story.early)),
        differ("revisions", format!("{want:?}"), format!("{have:?}")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What differs though it does not even depend on who won a race: statuses that say too much, and names of revisions.
pub fn of_any_race(trace: &[Value], story: &Story) -> Vec<String> {
    let names = |lines: &mut dyn Iterator<Item = &Value>| -> BTreeSet<String> {
        lines.map(|line| format!("{} {}", line["rev"], line["name"])).collect()
    };
    let want = names(&mut trace.iter().filter(|line| line.get("rev").is_some()));
    let have = names(&mut story.revisions.iter());
    let early = differ("early statuses", "[]".to_owned(), format!("{:?}", story.early));
    let names = differ("names of revisions", format!("{want:?}"), format!("{have:?}"));
    early.into_iter().chain(names).collect()
}

fn differ(what: &str, want: String, have: String) -> Option<String> {
    (want != have).then(|| format!("{what}:\n  want {want}\n  have {have}"))
}

fn of_the_way(trace: &[Value], story: &Story, mine: &BTreeMap<String, u64>) -> Vec<String> {
    let states = trace.iter().filter(|line| line["name"].is_null()).filter_map(|line| line.get("cs"));
    let written = story.written.iter().filter(|cs| cs["name"].is_null());
    let last = trace.last().expect("a trace has lines");
    let recorded = last["events"].as_object().into_iter().flatten();
    let recorded = recorded.map(|(reason, count)| (reason.clone(), count.as_u64().unwrap_or(0))).collect();
    let cut =
        [&recorded, mine].iter().any(|events: &&BTreeMap<String, u64>| events.values().sum::<u64>() >= BURST);
    let (want, have) = (events(&recorded, cut), events(mine, cut));
    [
        differ("fresh statuses", format!("{:?}", way(states)), format!("{:?}", way(written))),
        differ("events", format!("{want:?}"), format!("{have:?}")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The fresh statuses as a way: each generation, its revisions and what it asked for, with the number of updated pods in
/// its first fresh status. That is the one with the counts from before the controller acted.
fn way<'a>(states: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let mut way: Vec<(String, String)> = Vec::new();
    for cs in states.filter(|cs| cs["og"] == cs["g"] && cs["og"].is_number()) {
        let stop = format!("g{} cur {} upd {} eu {}", cs["g"], cs["cur"], cs["upd"], cs["eu"]);
        if way.last().is_none_or(|(last, _)| *last != stop) {
            way.push((stop, format!("u {}", cs["u"])));
        }
    }
    way.into_iter().map(|(stop, first)| format!("{stop} {first}")).collect()
}

/// Revisions as they came, were numbered anew, and went; of those that went together the order is chance.
fn revisions<'a>(lines: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let mut all: Vec<(bool, String)> = Vec::new();
    for line in lines {
        let end = ["gone", "orphan"].iter().find(|end| line[**end] == 1);
        let text = format!("{} {} {} {}", line["rev"], line["name"], line["n"], end.unwrap_or(&""));
        all.push((end.is_some(), text));
    }
    for run in all.chunk_by_mut(|one, two| one.0 && two.0) {
        run.sort();
    }
    all.into_iter().map(|(_, text)| text).collect()
}

fn events(counts: &BTreeMap<String, u64>, cut: bool) -> BTreeMap<&str, u64> {
    let count = |reason: &str, count: u64| if cut || REPEATED.contains(&reason) { 1 } else { count };
    counts.iter().map(|(reason, number)| (reason.as_str(), count(reason, *number))).collect()
}
