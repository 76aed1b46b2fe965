//! Earlier files of a release with what stays as it is now: its size, its autoscalers, `spec.step`, `spec.suspend`
//! and `spec.replace`. None of these is part of a release's digest: going back to a release is not going back to its size.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::model::ReleaseId;
use crate::objects::record;
use crate::spec::edit::{Field, documents, get, has, set};
use crate::spec::node::Node;

/// The kind of an autoscaler.
const AUTOSCALER: &str = "HorizontalPodAutoscaler";

/// Files of a release by path, each as its text.
pub type Files = BTreeMap<String, String>;

/// A document of a file.
struct Chunk<'a> {
    /// The line that begins it; nothing for the first of a file.
    marker: &'a str,
    /// Its text, with the comments above it.
    body: &'a str,
    /// Its name, where it is an autoscaler.
    autoscaler: Option<String>,
}

/// The files as they would be, and what in them is not as it was then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The files.
    pub files: Files,
    /// What stays as it is now, each in some words.
    pub told: Vec<String>,
    /// Whether nothing does, because the files of now cannot be read.
    pub is_blind: bool,
}

/// A field that takes a person to edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unedited {
    /// Its file.
    pub path: String,
    /// What is to stand there, as `spec.replicas: 12`.
    pub wanted: String,
}

/// The files `then` of the release `id`, with what stays as it is `now`. A `step` beyond `last` is that. Of a release
/// that is not there now, or whose files cannot be read, nothing stays.
///
/// # Errors
/// A file that takes a person to edit.
pub fn keep(then: &Files, now: &Files, id: &ReleaseId, last: Option<u32>) -> Result<Kept, Unedited> {
    let sized = Field { kind: "CloneSet", release: id, path: &["spec", "replicas"] };
    if !now.values().any(|text| has(text, sized)) {
        return Ok(Kept { files: then.clone(), told: Vec::new(), is_blind: !now.is_empty() });
    }
    let mut out = with_autoscalers(then, now);
    for (kind, key) in [
        (sized.kind, "replicas"),
        (record::KIND, "step"),
        (record::KIND, "suspend"),
        (record::KIND, "replace"),
    ] {
        let field = Field { kind, release: id, path: &["spec", key] };
        let mut value = now.values().find_map(|text| get(text, field));
        if let (Some(last), "step") = (last, key) {
            value = value.map(|step| step.as_u64().map_or(step, |step| step.min(last.into()).into()));
        }
        for (path, text) in out.files.iter_mut().filter(|(_, text)| has(text, field)) {
            if !same(get(text, field).as_ref(), value.as_ref()) {
                let wanted =
                    value.as_ref().map_or_else(|| format!("no spec.{key}"), |it| format!("spec.{key}: {it}"));
                let edited = set(text, field, value.as_ref());
                let edited = edited.ok_or_else(|| Unedited { path: path.clone(), wanted: wanted.clone() })?;
                out.told.push(match edited.before {
                    Some(before) => format!("{wanted}, not {before}"),
                    None => wanted,
                });
                *text = edited.text;
            }
        }
    }
    Ok(out)
}

/// Whether two values say the same: the order of a list of names, and how often each is there, say nothing.
fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    let names = |value: &Value| value.as_array().map(|list| list.iter().map(Value::to_string).collect());
    let set = |value: Option<&Value>| -> Option<BTreeSet<String>> { names(value?) };
    match (set(one), set(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// The files `then`, with the autoscalers of `now` in the place of their own.
fn with_autoscalers(then: &Files, now: &Files) -> Kept {
    let standing: BTreeMap<String, (&String, &str)> = now
        .iter()
        .flat_map(|(path, text)| chunks(text).into_iter().map(move |chunk| (path, chunk)))
        .filter_map(|(path, chunk)| Some((chunk.autoscaler?, (path, chunk.body))))
        .collect();
    let mut placed = BTreeSet::new();
    let mut out = Files::new();
    let mut told = BTreeSet::new();
    let mut tell = |name: &str| told.insert(format!("{AUTOSCALER} {name} as it is now"));
    for (path, text) in then {
        let (mut kept, mut is_empty) = (String::new(), true);
        for chunk in chunks(text) {
            let body = match &chunk.autoscaler {
                None => chunk.body,
                Some(name) => match standing.get(name) {
                    Some((home, body)) if *home == path => {
                        placed.insert(name.clone());
                        if *body != chunk.body {
                            tell(name);
                        }
                        body
                    }
                    Some(_) | None => {
                        tell(name);
                        continue;
                    }
                },
            };
            join(&mut kept, chunk.marker, body);
            is_empty &= documents(body).is_some_and(|nodes| nodes.is_empty());
        }
        if !is_empty {
            out.insert(path.clone(), kept);
        }
    }
    for (name, (path, body)) in standing.iter().filter(|(name, _)| !placed.contains(*name)) {
        let file = out.entry((*path).clone()).or_default();
        let marker = if file.is_empty() { "" } else { "---\n" };
        join(file, marker, body);
        tell(name);
    }
    Kept { files: out, told: told.into_iter().collect(), is_blind: false }
}

fn join(file: &mut String, marker: &str, body: &str) {
    if !file.is_empty() && !file.ends_with('\n') {
        file.push('\n');
    }
    file.push_str(marker);
    file.push_str(body);
}

/// The documents of a file as text: a line that begins with three dashes begins one (YAML 1.2, 9.1.2).
fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let is_marker = |line: &str| {
        line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
    };
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at > 0 && is_marker(line) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let chunk = |(start, end): (usize, usize)| {
        let whole = &text[start..end];
        let first = whole.split_inclusive('\n').next().unwrap_or_default();
        let (marker, body) = whole.split_at(if is_marker(first) { first.len() } else { 0 });
        Chunk { marker, body, autoscaler: autoscaler(body) }
    };
    starts.iter().copied().zip(ends).map(chunk).collect()
}

fn autoscaler(body: &str) -> Option<String> {
    let nodes = documents(body)?;
    let [node] = nodes.as_slice() else { return None };
    let text = |path: &[&str]| node.find(path).and_then(Node::text);
    (text(&["kind"]) == Some(AUTOSCALER)).then(|| text(&["metadata", "name"]).map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(spec: &str, replicas: &str, image: &str) -> String {
        format!(
            "# Ours\nkind: Release\nmetadata: {{ namespace: shop, name: cart }}\nspec:\n  strategy: x\n{spec}---\n\
             kind: CloneSet\nmetadata: {{ namespace: shop, name: cart }}\nspec:\n{replicas}  image: {image}\n"
        )
    }

    fn autoscaler(max: u32) -> String {
        format!(
            "# Grows by day\nkind: HorizontalPodAutoscaler\nmetadata: {{ name: cart }}\nspec: {{ max: {max} }}\n"
        )
    }

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn kept(then: &Files, now: &Files) -> Files {
        keep(then, now, &"shop/cart".parse().unwrap(), Some(3)).unwrap().files
    }

    #[test]
    fn size_step_and_suspend_stay_as_they_are_now() {
        let then = files(&[("a", &release("  suspend: true\n  step: 1\n", "  replicas: 4\n", "1"))]);
        let now = files(&[("a", &release("  step: 5\n", "  replicas: 12 # the fair\n", "2"))]);
        let want = release("  step: 3\n", "  replicas: 12\n", "1");
        assert_eq!(kept(&then, &now), files(&[("a", &want)]));
        let scaled = files(&[("a", &release("", "", "2"))]);
        assert_eq!(kept(&then, &scaled), files(&[("a", &release("", "", "1"))]));
        let led = release("", "  replicas: 12\n", "2").replace("  strategy", "  step: 3\n  strategy");
        assert_eq!(kept(&scaled, &now), files(&[("a", &led)]));
        let told = keep(&then, &now, &"shop/cart".parse().unwrap(), Some(3)).unwrap().told;
        assert_eq!(told, ["spec.replicas: 12, not 4", "spec.step: 3, not 1", "no spec.suspend, not true"]);
    }

    #[test]
    fn pods_to_replace_stay_as_they_are_named_now_in_whatever_order() {
        let named = |list: &str, image| release(&format!("  replace: {list}\n"), "  replicas: 4\n", image);
        let one = |text: String| files(&[("a", &text)]);
        let (then, now) = (one(named("[web-b, web-a]", "1")), one(named("\n  - web-a\n  - web-b", "2")));
        assert_eq!(kept(&then, &now), then, "they say the same");
        let more = one(named("[web-a, web-c]", "2"));
        assert_eq!(kept(&then, &more), one(named("[web-a, web-c]", "1")));
        assert_eq!(
            kept(&then, &one(release("", "  replicas: 4\n", "2"))),
            one(release("", "  replicas: 4\n", "1"))
        );
        let lines = one(named("\n  - web-b # the slow one\n  - web-a", "1"));
        assert_eq!(kept(&lines, &more), one(named("\n  - web-a\n  - web-c", "1")));
    }

    #[test]
    fn autoscalers_stay_where_and_as_they_are_now() {
        let (old, new) = (release("", "", "1"), release("", "", "2"));
        let with = |release: &str, max| format!("{release}---\n{}", autoscaler(max));
        let one = |text: &str| files(&[("a", text)]);
        assert_eq!(kept(&one(&with(&old, 5)), &one(&with(&new, 9))), one(&with(&old, 9)));
        assert_eq!(kept(&one(&with(&old, 5)), &one(&new)), one(&old));
        assert_eq!(kept(&one(&old), &one(&with(&new, 9))), one(&with(&old, 9)));
        let apart = files(&[("a", &new), ("b", &autoscaler(9))]);
        let moved = files(&[("a", &old), ("b", &autoscaler(9))]);
        assert_eq!(kept(&one(&with(&old, 5)), &apart), moved);
        assert_eq!(kept(&files(&[("a", &old), ("c", &autoscaler(5))]), &apart), moved);
    }

    #[test]
    fn of_a_release_that_is_not_there_or_cannot_be_read_nothing_stays() {
        let id = "shop/cart".parse().unwrap();
        let then = files(&[("a", &release("  step: 1\n", "  replicas: 4\n", "1")), ("b", &autoscaler(5))]);
        let gone = keep(&then, &Files::new(), &id, Some(3)).unwrap();
        assert_eq!((gone.files == then, gone.is_blind), (true, false));
        let broken = keep(&then, &files(&[("a", "kind: [\n")]), &id, Some(3)).unwrap();
        assert_eq!((broken.files == then, broken.is_blind), (true, true));
    }

    #[test]
    fn no_layout_of_a_field_stops_a_rollback() {
        let then = release("", "  replicas: \"4\"\n", "1")
            .replace("spec:\n  strategy: x\n", "spec: { suspend: true, strategy: x, step: 1 }\n");
        let now = release("", "  replicas: 12\n", "2");
        let want =
            release("", "  replicas: 12\n", "1").replace("spec:\n  strategy: x\n", "spec: { strategy: x }\n");
        assert_eq!(kept(&files(&[("a", &then)]), &files(&[("a", &now)])), files(&[("a", &want)]));
    }

    #[test]
    fn what_only_a_person_can_edit_is_named() {
        let then = files(&[("a", &release("", "  replicas: &size 4\n  spare: *size\n", "1"))]);
        let now = files(&[("a", &release("", "  replicas: 12\n", "2"))]);
        let refused = keep(&then, &now, &"shop/cart".parse().unwrap(), None).unwrap_err();
        assert_eq!((&*refused.path, &*refused.wanted), ("a", "spec.replicas: 12"));
    }
}
