//! Reads Rust source without a parser: comments out, text literals aside, and what is left is searched.
//!
//! It knows as much of the language as the rules of the house need: where comments, literals and braces begin
//! and end, and how a path and a `use` tree are written.

use std::fs;
use std::path::{Path, PathBuf};

/// A text literal.
#[derive(Debug, PartialEq, Eq)]
pub struct Literal {
    /// Line on which it begins, from 1.
    pub line: usize,
    /// What stands between the quotes, escapes as written.
    pub text: String,
}

/// A path in code, such as `crate::model::Amount`.
#[derive(Debug, PartialEq, Eq)]
pub struct CodePath {
    /// Line on which its first segment stands, from 1.
    pub line: usize,
    /// Its segments, without the first.
    pub rest: Vec<String>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Line of its `fn`, from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Lines from `fn` to its last brace.
    pub lines: usize,
}

/// One file.
pub struct Source {
    /// Where it is, from the directory that was searched.
    pub path: PathBuf,
    /// As it stands.
    pub text: String,
    /// The text with comments and the insides of literals blanked: same length, same lines.
    pub code: String,
    /// Its text literals, in order.
    pub literals: Vec<Literal>,
}

/// Every `.rs` file under `root`, by path.
pub fn sources(root: &Path) -> Vec<Source> {
    let mut pending = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).expect("the sources can be listed") {
            let path = entry.expect("the sources can be listed").path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                let path = path.strip_prefix(root).expect("it was found under the root").to_owned();
                found.push(Source::new(path, text));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

impl Source {
    /// Reads a file's text.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let text = text.into();
        let (code, literals) = strip(&text);
        Self { path: path.into(), text, code, literals }
    }

    /// The first part of its path, without `.rs`: `model` for `model/name.rs`, `main` for `main.rs`.
    pub fn room(&self) -> &str {
        let first = self.path.iter().next().and_then(|it| it.to_str()).unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    /// The path with `/`, as the tables spell it.
    pub fn name(&self) -> String {
        let parts: Vec<_> = self.path.iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    }

    /// `path:line`.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.name())
    }

    /// Every path that begins with `root::`, groups resolved: `use crate::{a::b, c}` is `a::b` and `c`.
    pub fn paths_from(&self, root: &str) -> Vec<CodePath> {
        let mut found = Vec::new();
        for at in words(&self.code, root) {
            let after = &self.code[at + root.len()..];
            if let Some(tree) = after.trim_start().strip_prefix("::")
                && !self.code[..at].trim_end().ends_with("::")
            {
                let line = line_of(&self.code, at);
                let mut paths = Vec::new();
                use_tree(tree, &mut Vec::new(), &mut paths);
                found.extend(paths.into_iter().map(|rest| CodePath { line, rest }));
            }
        }
        found
    }

    /// Lines on which `name` is named as a crate: at the head of a path, or alone in a `use`.
    pub fn lines_naming_crate(&self, name: &str) -> Vec<usize> {
        let names = |at: &usize| {
            let (before, after) = (self.code[..*at].trim_end(), self.code[at + name.len()..].trim_start());
            let heads_path = after.starts_with("::") && !before.ends_with("::");
            let stands_alone =
                before.ends_with("use") && (after.starts_with(';') || after.starts_with("as "));
            heads_path || stands_alone
        };
        words(&self.code, name).into_iter().filter(names).map(|at| line_of(&self.code, at)).collect()
    }

    /// Lines of code in which `text` stands, not as a part of a longer word.
    pub fn lines_with(&self, text: &str) -> Vec<usize> {
        words(&self.code, text).into_iter().map(|at| line_of(&self.code, at)).collect()
    }

    /// The modules it declares, in order; those with a body do not count.
    pub fn modules(&self) -> Vec<String> {
        let declared = |line: &str| {
            let (_, name) = line.split_once("mod ").filter(|(before, _)| matches!(*before, "" | "pub "))?;
            name.strip_suffix(';').map(str::to_owned)
        };
        self.code.lines().filter_map(|line| declared(line.trim())).collect()
    }

    /// Every function with a body.
    pub fn functions(&self) -> Vec<Function> {
        let function = |at: usize| {
            let after = &self.code[at + 2..];
            // A type such as `fn(u8) -> u8` has no name.
            let name = Some(identifier(after.trim_start())).filter(|name| !name.is_empty())?;
            let end = body_end(after)?;
            let lines = 1 + self.code[at..at + 2 + end].matches('\n').count();
            Some(Function { line: line_of(&self.code, at), name: name.to_owned(), lines })
        };
        words(&self.code, "fn").into_iter().filter_map(function).collect()
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !is_word(c)).next().unwrap_or_default()
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

/// Where `word` stands as a word of its own.
fn words(code: &str, word: &str) -> Vec<usize> {
    let alone = |at: &usize| {
        let closed = !word.ends_with(is_word) || !code[at + word.len()..].starts_with(is_word);
        !code[..*at].ends_with(is_word) && closed
    };
    code.match_indices(word).map(|(at, _)| at).filter(alone).collect()
}

/// Reads a use tree, or the tail of a path, up to its end; returns the bytes read.
fn use_tree(text: &str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let skip = |at: usize| at + (text[at..].len() - text[at..].trim_start().len());
    let mut at = skip(0);
    if text[at..].starts_with('{') {
        at += 1;
        while at < text.len() && !text[skip(at)..].starts_with('}') {
            let depth = before.len();
            let read = use_tree(&text[at..], before, found);
            before.truncate(depth);
            // A comma, or the `as name` that stands before it.
            let rest = &text[at + read..];
            at += read + rest.find([',', '}']).unwrap_or(rest.len());
            if text[at..].starts_with(',') {
                at += 1;
            }
        }
        return skip(at) + 1;
    }
    let name = if text[at..].starts_with('*') { "*" } else { identifier(&text[at..]) };
    at += name.len();
    before.push(name.to_owned());
    if let Some(rest) = text[at..].trim_start().strip_prefix("::") {
        let start = text.len() - rest.len();
        let turbofish = rest.trim_start().starts_with('<');
        if !turbofish {
            return start + use_tree(rest, before, found);
        }
    }
    found.push(before.clone());
    at
}

/// Offset just after the body that follows a `fn`; `None` for a declaration without one.
fn body_end(after: &str) -> Option<usize> {
    let (mut parens, mut braces) = (0_i32, 0_i32);
    for (at, c) in after.char_indices() {
        match c {
            '(' | '[' => parens += 1,
            ')' | ']' => parens -= 1,
            ';' if braces == 0 && parens <= 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces <= 0 {
                    return (braces == 0).then_some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Blanks comments and literals, and collects the text literals.
fn strip(text: &str) -> (String, Vec<Literal>) {
    let mut code = String::with_capacity(text.len());
    let mut literals = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let word_before = text[..at].ends_with(is_word);
        let read = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some((opening, closing)) = quotes(rest, word_before) {
            let inside = &rest[opening..];
            let length = if closing == "\"" { escaped(inside, '"') } else { inside.find(closing.as_str()) };
            let length = length.unwrap_or(inside.len());
            let literal = Literal { line: line_of(text, at), text: inside[..length].to_owned() };
            literals.push(literal);
            (opening + length + closing.len()).min(rest.len())
        } else if rest.starts_with('\'') {
            character(rest)
        } else {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            code.push_str(&rest[..length]);
            at += length;
            continue;
        };
        blank(&rest[..read], &mut code);
        at += read;
    }
    (code, literals)
}

fn blank(text: &str, code: &mut String) {
    for c in text.chars() {
        if c == '\n' { code.push(c) } else { (0..c.len_utf8()).for_each(|_| code.push(' ')) }
    }
}

/// Length of the opening quote, and the closing one, of a text literal.
fn quotes(rest: &str, word_before: bool) -> Option<(usize, String)> {
    if rest.starts_with('"') {
        return Some((1, "\"".to_owned()));
    }
    if word_before {
        return None;
    }
    let raw = ["br", "cr", "r"].into_iter().find_map(|it| rest.strip_prefix(it))?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    let opening = rest.len() - raw.len() + hashes + 1;
    raw[hashes..].starts_with('"').then(|| (opening, format!("\"{}", "#".repeat(hashes))))
}

/// Offset of the first `end` that no backslash escapes.
fn escaped(text: &str, end: char) -> Option<usize> {
    let mut escape = false;
    for (at, c) in text.char_indices() {
        if !escape && c == end {
            return Some(at);
        }
        escape = !escape && c == '\\';
    }
    None
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Length of a character literal; 1 where the quote begins a lifetime.
fn character(rest: &str) -> usize {
    let inside = &rest[1..];
    if inside.starts_with('\\') {
        return escaped(inside, '\'').map_or(1, |end| end + 2);
    }
    let length = inside.chars().next().map_or(0, char::len_utf8);
    if inside[length..].starts_with('\'') { length + 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("room/file.rs", text)
    }

    fn paths(text: &str) -> Vec<String> {
        source(text).paths_from("crate").iter().map(|path| path.rest.join("::")).collect()
    }

    #[test]
    fn a_grouped_use_names_each_of_its_paths() {
        assert_eq!(paths("use crate::model::Amount;"), ["model::Amount"]);
        let grouped =
            "use crate::{\n    model::{Amount, hold::Hold as Closed},\n    world,\n    plan::*,\n};";
        assert_eq!(paths(grouped), ["model::Amount", "model::hold::Hold", "world", "plan::*"]);
        assert_eq!(
            paths("let x = f(crate::git::open::<u8>(), crate :: cli::run);"),
            ["git::open", "cli::run"]
        );
        assert!(paths("use foo::crate_::x; // crate::model\n/* crate::a /* crate::b */ */").is_empty());
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = r##"let a = "crate::x \" crate::y"; let b = r#"crate::" z"#; let c = '"'; let d: &'a str = 'x';"##;
        assert!(paths(text).is_empty());
        let literals: Vec<_> = source(text).literals.iter().map(|it| it.text.clone()).collect();
        assert_eq!(literals, [r#"crate::x \" crate::y"#, r#"crate::" z"#]);
        assert_eq!(source(text).code.len(), text.len());
    }

    #[test]
    fn a_crate_is_named_at_the_head_of_a_path_only() {
        let names = |text: &str| !source(text).lines_naming_crate("kube").is_empty();
        assert!(names("use kube::Client;") && names("fn f(c: kube::Client) {}") && names("use kube;"));
        assert!(
            names("use {kube::Client};")
                && names("#[derive(kube::CustomResource)]")
                && names("use kube as k;")
        );
        assert!(
            !names("use my_kube::Client;") && !names("use other::kube::Client;") && !names("let kube = 1;")
        );
    }

    #[test]
    fn a_function_is_as_long_as_its_body() {
        let text = "fn a();\nfn b(f: fn(u8) -> u8) -> Result<[u8; 2], E>\nwhere\n{\n    if x { \"}\" }\n}\n";
        let functions = source(text).functions();
        assert_eq!(functions, [Function { line: 2, name: "b".to_owned(), lines: 5 }]);
    }

    #[test]
    fn modules_are_listed_in_the_order_in_which_they_stand() {
        let text = "//! mod x;\npub mod a;\nmod b;\n#[cfg(test)]\nmod tests { }\n";
        assert_eq!(source(text).modules(), ["a", "b"]);
    }
}
