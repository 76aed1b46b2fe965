//! Random histories, read three ways: head after head, each head anew, and by the rules word for word.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use triton::model::{CommitId, Digest};
use triton::spec::{Assembled, Checked, Place, assemble, parse_file, parse_repository, place};
use triton::world::Desired;

use crate::catalog::{Shop, id, spec};

const COMMITS: usize = 40;
const RELEASE: &str = "shop/checkout";

type Tree = BTreeMap<String, String>;

/// Numbers from a seed (Knuth's MMIX generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// What the tree says, by the language alone.
fn read(tree: &Tree) -> Assembled {
    let nested: Vec<String> = tree.keys().filter_map(|path| nested(path)).collect();
    let is_ours = |path: &str| !nested.iter().any(|folder| path.starts_with(&format!("{folder}/")));
    let releases = tree.iter().filter(|(path, _)| place("", path) == Place::Release && is_ours(path));
    let files = releases.map(|(path, text)| (path.clone(), Arc::new(parse_file(text.as_bytes())))).collect();
    let settings = tree.get("triton.yaml").map(|text| parse_repository(text.as_bytes())).unwrap_or_default();
    assemble(&files, &settings)
}

fn nested(path: &str) -> Option<String> {
    match place("", path) {
        Place::NestedRoot(folder) => Some(folder),
        _ => None,
    }
}

/// The digest that versions 1 and 2 have by themselves.
fn digests() -> Vec<Digest> {
    let digest = |version: &str| {
        let tree = Tree::from([("releases/a.yaml".to_owned(), spec("checkout", version, ""))]);
        read(&tree).releases[&id(RELEASE)].as_ref().unwrap().digest
    };
    vec![digest("1"), digest("2")]
}

fn change(tree: &mut Tree, chance: &mut Chance, digests: &[Digest]) {
    let homes = ["releases/a.yaml", "releases/x/a.yaml"];
    let step = ["", "step: 1", "step: 2", "step: 3"];
    let settings = "apiVersion: triton.io/v1\nkind: Repository\n";
    let marker = |chance: &mut Chance| {
        let digest = digests[chance.below(2)].long();
        format!("approvals/{RELEASE}/{digest}/{}.yaml", chance.pick(&["2.a", "2.b", "3.a", "skip.a"]))
    };
    match chance.below(12) {
        0..=2 => {
            let home = chance.pick(&homes);
            let text = spec("checkout", chance.pick(&["1", "2"]), chance.pick(&step));
            if chance.below(4) > 0 {
                homes.iter().for_each(|home| drop(tree.remove(*home)));
            }
            tree.insert(home.to_owned(), text);
        }
        3 => drop(tree.insert("releases/x/b.yaml".into(), spec("cart", chance.pick(&["1", "2"]), ""))),
        4 => drop(tree.remove(chance.pick(&["releases/a.yaml", "releases/x/a.yaml", "releases/x/b.yaml"]))),
        5 => drop(tree.insert(chance.pick(&homes).to_owned(), "]".to_owned())),
        6 => {
            let data = chance.pick(&["1", "2"]);
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ namespace: shop, name: c }}\ndata: {{ a: '{data}' }}\n"
            );
            tree.insert("releases/x/config.yaml".to_owned(), text);
        }
        7 => drop(tree.remove("releases/x/config.yaml")),
        8 | 9 => drop(tree.insert(marker(chance), format!("reason: why {}\n", chance.below(3)))),
        10 => drop(tree.remove(&marker(chance))),
        _ => match chance.below(3) {
            0 => drop(tree.insert("releases/x/triton.yaml".to_owned(), settings.to_owned())),
            1 => drop(tree.remove("releases/x/triton.yaml")),
            _ => drop(tree.insert("triton.yaml".to_owned(), format!("{settings}# {}\n", chance.below(9)))),
        },
    }
}

/// Writes a linear history in one go.
fn import(shop: &Shop, trees: &[Tree]) -> Vec<CommitId> {
    let mut stream = String::new();
    for (index, tree) in trees.iter().enumerate() {
        stream += &format!("commit refs/heads/main\ncommitter P{index} <p{index}@x> 1700000000 +0000\n");
        stream += &format!("data <<E\ncommit {index}\nE\ndeleteall\n");
        for (path, text) in tree {
            stream += &format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
        }
    }
    let mut git = Command::new("git");
    git.args(["fast-import", "--quiet"]).current_dir(shop.repo.path()).stdin(Stdio::piped());
    let mut child = git.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    shop.repo.git(&["rev-list", "--reverse", "main"]).lines().map(|line| line.parse().unwrap()).collect()
}

/// What the rules say of the release at the last of these trees, in words. `states` has it as each tree does.
fn by_the_rules(trees: &[Tree], states: &[Option<Checked>], commits: &[CommitId]) -> String {
    let head = trees.len() - 1;
    let at = |index: usize| match &states[index] {
        Some(Ok(release)) => Some((release.digest, release.cap)),
        Some(Err(_)) | None => None,
    };
    let Some((digest, cap)) = at(head) else {
        return if states[head].is_some() { "broken".to_owned() } else { "absent".to_owned() };
    };
    let mut first = head;
    while first > 0 && at(first - 1).is_some_and(|(before, _)| before == digest) {
        first -= 1;
    }
    let is_recapped = (first..head).any(|index| at(index).unwrap().1 != at(index + 1).unwrap().1);
    let cap = if is_recapped { cap } else { cap.map(|cap| cap.min(1)) };
    let mut told = format!("{} cap {cap:?}", commits[first]);
    let prefix = format!("approvals/{RELEASE}/{}/", digest.long());
    for path in trees[head].keys().filter(|path| path.starts_with(&prefix)) {
        let name = &path[prefix.len()..];
        let has = |index: usize| trees[index].contains_key(path);
        let counts = if name.starts_with("skip") { first == 0 || !has(first - 1) } else { !has(first) };
        let mut brought = head;
        while brought > 0 && has(brought - 1) {
            brought -= 1;
        }
        told += &if counts { format!(", {name} by P{brought}") } else { format!(", {name} ignored") };
    }
    told
}

/// What the catalog says, in the same words.
fn by_the_catalog(desired: &Desired) -> String {
    let intent = match desired {
        Desired::Release(intent) => intent,
        Desired::Broken(_) => return "broken".to_owned(),
        Desired::Gone(_) | Desired::Unknown => return "absent".to_owned(),
    };
    let mut told = format!("{} cap {:?}", intent.episode.as_ref().unwrap().first, intent.cap);
    let digest = intent.release.digest.long();
    for marker in intent.markers.iter().filter(|marker| marker.path.contains(&digest)) {
        let name = marker.path.rsplit('/').next().unwrap();
        told += &match &marker.counts {
            Ok(approver) => format!(", {name} by {}", approver.name),
            Err(_) => format!(", {name} ignored"),
        };
    }
    told
}

#[test]
fn the_catalog_says_what_the_rules_say() {
    let digests = digests();
    for seed in 0..6 {
        let mut chance = Chance(seed);
        let mut tree = Tree::from([("README.md".to_owned(), String::new())]);
        let mut trees = Vec::new();
        for _ in 0..COMMITS {
            for _ in 0..=chance.below(2) {
                change(&mut tree, &mut chance, &digests);
            }
            trees.push(tree.clone());
        }
        let states: Vec<_> = trees.iter().map(|tree| read(tree).releases.remove(&id(RELEASE))).collect();
        let mut on = Shop::new();
        let commits = import(&on, &trees);
        let mut index = 0;
        while index < COMMITS {
            let expected = by_the_rules(&trees[..=index], &states[..=index], &commits);
            on.repo.git(&["update-ref", "refs/heads/main", &commits[index].to_string()]);
            let told = by_the_catalog(&on.desired(RELEASE));
            let kept = on.restart_beside();
            let anew = by_the_catalog(&on.desired(RELEASE));
            on.catalog = kept;
            assert_eq!((&told, &anew), (&expected, &expected), "seed {seed}, commit {index}");
            index += 1 + chance.below(3);
        }
    }
}
