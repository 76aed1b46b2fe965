//! Bytes → trees. Every document of a file is read, also behind one that cannot be.
//!
//! The parser gives events with places; the tree is made here, because the checks that follow need the place of
//! every field, and all mistakes at once. **Invariant:** time and memory are bounded by the file's size and the
//! limits below, whatever stands in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_saphyr::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span};

use crate::spec::node::{Entry, Node, Spot, Tree};
use crate::spec::report::{Report, quote};
use crate::spec::scalar;

/// Largest file, in bytes: etcd takes no object above 1.5 MiB, and a release's documents must fit into its record.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most documents in a file: a release has a handful, and each is compared with all others of its root.
pub const DOCUMENTS_MAX: usize = 256;
/// Deepest nesting: a pod template needs about twelve.
pub const DEPTH_MAX: usize = 64;
/// Most values in a file, aliases counted as what they stand for: a bomb ends here. No file of 1 MiB that people
/// wrote has more.
pub const NODES_MAX: usize = 200_000;

/// A file as far as it can be read.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Its text, without a byte order mark; empty where it is none.
    pub text: String,
    /// The documents that can be read, empty ones left out.
    pub documents: Vec<Node>,
    /// The text of those that cannot be read.
    pub unread: Vec<String>,
}

/// Reads a file. Mistakes go to `report`.
#[must_use]
pub fn read(bytes: &[u8], report: &mut Report) -> Source {
    let Some(text) = decode(bytes, report) else {
        return Source::default();
    };
    let mut source = Source { text: text.to_owned(), ..Source::default() };
    let mut nodes_left = NODES_MAX;
    for (lines_before, chunk) in chunks(text) {
        let mut builder = Builder::new(lines_before, nodes_left);
        let read = builder.run(chunk, report);
        nodes_left = builder.nodes_left;
        source.documents.append(&mut builder.documents);
        if read.is_err() {
            source.unread.push(chunk.to_owned());
        }
        if source.documents.len() > DOCUMENTS_MAX {
            let at = source.documents[DOCUMENTS_MAX].at;
            report.error(at, format!("the file has more than {DOCUMENTS_MAX} documents"), "split it");
            source.documents.truncate(DOCUMENTS_MAX);
            break;
        }
    }
    source
}

fn decode<'b>(bytes: &'b [u8], report: &mut Report) -> Option<&'b str> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; at most {FILE_BYTES_MAX} are read", bytes.len());
        report.error(Spot::default(), message, "split it");
        return None;
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        report.error(Spot::default(), "the file is UTF-16", "save it as UTF-8");
        return None;
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"version https://git-lfs") {
        let cure = "commit the file itself: `git lfs untrack` it";
        report.error(Spot::default(), "this is a pointer of Git LFS, not the file", cure);
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
            let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
            let byte = bytes[error.valid_up_to()];
            let message = format!("the file is not UTF-8: byte 0x{byte:02x} has no meaning here");
            report.error(spot(line, column), message, "save it as UTF-8");
            None
        }
    }
}

fn spot(line: usize, column: usize) -> Spot {
    let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    Spot { line: number(line), column: number(column) }
}

/// The text in pieces that begin with `---`, each with the number of lines before it. At the beginning of a line
/// these dashes always begin a document, even within quotes and blocks (YAML 1.2.2, 9.1.2 c-forbidden).
fn chunks(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let begins = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if begins && offset > start {
            out.push((first_line, &text[start..offset]));
            (start, first_line) = (offset, number);
        }
        offset += line.len();
    }
    out.push((first_line, &text[start..]));
    out
}

/// The document cannot be read further; what is wrong is in the report.
struct Unreadable;

/// A collection that is not finished.
struct Open {
    at: Spot,
    anchor: usize,
    kind: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, keys: BTreeSet<String>, key: Option<(String, Spot, bool)> },
}

/// Makes trees from the events of one chunk.
struct Builder {
    lines_before: usize,
    nodes_left: usize,
    stack: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    documents: Vec<Node>,
}

impl Builder {
    fn new(lines_before: usize, nodes_left: usize) -> Self {
        Self { lines_before, nodes_left, stack: Vec::new(), anchors: BTreeMap::new(), documents: Vec::new() }
    }

    fn run(&mut self, chunk: &str, report: &mut Report) -> Result<(), Unreadable> {
        let mut options = Options::default();
        options.emit_comments = false;
        options.disallow_directives = true;
        options.flow_nesting_limit = DEPTH_MAX;
        options.block_nesting_limit = DEPTH_MAX;
        for event in Parser::new_from_str_with_options(chunk, options) {
            match event {
                Ok((event, span)) => self.event(event, span, report)?,
                Err(error) => {
                    self.syntax(&error, report);
                    return Err(Unreadable);
                }
            }
        }
        Ok(())
    }

    fn spot(&self, span: Span) -> Spot {
        spot(span.start.line() + self.lines_before, span.start.col() + 1)
    }

    fn syntax(&self, error: &ScanError, report: &mut Report) {
        let mark = error.marker();
        let at = spot(mark.line() + self.lines_before, mark.col() + 1);
        let cure = match error.kind() {
            ErrorKind::DirectiveDisallowed => "delete the line: YAML directives are not read",
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar => "indent with spaces",
            ErrorKind::RecursionLimitExceeded => "nest less deeply",
            ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
                "close the quote, or indent the lines within it"
            }
            ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::UnexpectedEofFlowMapping => {
                "close the bracket"
            }
            ErrorKind::UnknownAnchor => "define the anchor before, or write the value out",
            _ => "mend the YAML here, or in the line before",
        };
        report.error(at, format!("this is not YAML: {}", error.info()), cure);
    }

    fn event(&mut self, event: Event<'_>, span: Span, report: &mut Report) -> Result<(), Unreadable> {
        let at = self.spot(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    report.error(at, "tags are not read", "delete the tag; quote what is meant as text");
                }
                let plain = style == ScalarStyle::Plain;
                self.scalar(&text, plain, tag.is_some(), at, anchor, report)
            }
            Event::SequenceStart(_, anchor, tag) | Event::MappingStart(_, anchor, tag) if tag.is_some() => {
                report.error(at, "tags are not read", "delete the tag");
                let _ = anchor;
                Err(Unreadable)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(Open { at, anchor, kind: Collection::List(Vec::new()) }, report)
            }
            Event::MappingStart(_, anchor, _) => {
                let kind = Collection::Map { entries: Vec::new(), keys: BTreeSet::new(), key: None };
                self.open(Open { at, anchor, kind }, report)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(report),
            Event::Alias(anchor) => self.alias(anchor, at, report),
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn spend(&mut self, nodes: usize, at: Spot, report: &mut Report) -> Result<(), Unreadable> {
        match self.nodes_left.checked_sub(nodes) {
            Some(left) => {
                self.nodes_left = left;
                Ok(())
            }
            None => {
                self.nodes_left = 0;
                let message = format!("the file has more than {NODES_MAX} values, aliases written out");
                report.error(at, message, "split it, or use fewer aliases");
                Err(Unreadable)
            }
        }
    }

    fn open(&mut self, open: Open, report: &mut Report) -> Result<(), Unreadable> {
        self.spend(1, open.at, report)?;
        if self.expects_key() {
            report.error(open.at, "a key of a map must be text", "write a word before the colon");
            return Err(Unreadable);
        }
        if self.stack.len() >= DEPTH_MAX {
            report.error(
                open.at,
                format!("values are nested more than {DEPTH_MAX} deep"),
                "nest less deeply",
            );
            return Err(Unreadable);
        }
        self.stack.push(open);
        Ok(())
    }

    fn close(&mut self, report: &mut Report) -> Result<(), Unreadable> {
        let Some(Open { at, anchor, kind }) = self.stack.pop() else {
            return Ok(());
        };
        let tree = match kind {
            Collection::List(items) => Tree::List(items),
            Collection::Map { entries, .. } => Tree::Map(entries),
        };
        let node = Node { at, tree };
        if anchor != 0 {
            let size = self.size(&node, at, report)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.put(node);
        Ok(())
    }

    /// Weight of what an anchor names. Weighing costs as much as it finds, so it is paid for.
    fn size(&mut self, node: &Node, at: Spot, report: &mut Report) -> Result<usize, Unreadable> {
        let mut waiting = vec![node];
        let mut size = 0;
        while let Some(node) = waiting.pop() {
            let keys = node.entries().iter().map(|entry| weight(&entry.key));
            size += weight(node.text().unwrap_or_default()) + keys.sum::<usize>();
            waiting.extend(node.items());
            waiting.extend(node.entries().iter().map(|entry| &entry.node));
        }
        self.spend(size, at, report)?;
        Ok(size)
    }

    fn alias(&mut self, anchor: usize, at: Spot, report: &mut Report) -> Result<(), Unreadable> {
        let Some(size) = self.anchors.get(&anchor).map(|(_, size)| *size) else {
            report.error(at, "the alias stands for a value that contains it", "write the value out");
            return Err(Unreadable);
        };
        self.spend(size, at, report)?;
        if self.expects_key() {
            report.error(at, "a key of a map must be text", "write the key out");
            return Err(Unreadable);
        }
        let mut node = self.anchors[&anchor].0.clone();
        if self.stack.len() + depth(&node) > DEPTH_MAX {
            report.error(at, format!("values are nested more than {DEPTH_MAX} deep"), "nest less deeply");
            return Err(Unreadable);
        }
        node.at = at;
        self.put(node);
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        plain: bool,
        tagged: bool,
        at: Spot,
        anchor: usize,
        report: &mut Report,
    ) -> Result<(), Unreadable> {
        let weight = weight(text);
        self.spend(weight, at, report)?;
        let tree = if plain && !tagged { scalar::resolve(text) } else { Ok(Tree::Text(text.to_owned())) };
        let tree = tree.unwrap_or_else(|ambiguous| {
            report.error(at, ambiguous.message, ambiguous.cure);
            Tree::Text(text.to_owned())
        });
        if self.expects_key() {
            self.key(text, plain, &tree, at, report);
            return Ok(());
        }
        let node = Node { at, tree };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        // An empty document is left out.
        if !(self.stack.is_empty() && matches!(node.tree, Tree::Null)) {
            self.put(node);
        }
        Ok(())
    }

    fn key(&mut self, text: &str, plain: bool, tree: &Tree, at: Spot, report: &mut Report) {
        let shown = quote(text);
        if plain && text == "<<" {
            report.error(at, "merge keys (`<<`) are not read", "write the fields out");
        } else if !matches!(tree, Tree::Text(_)) {
            let cure = format!("quote it: \"{shown}\"");
            report.error(at, format!("the key `{shown}` is not text"), cure);
        }
        let Some(Open { kind: Collection::Map { keys, key, .. }, .. }) = self.stack.last_mut() else {
            return;
        };
        let is_merge = plain && text == "<<";
        let is_new = keys.insert(text.to_owned());
        if !is_new && !is_merge {
            report.error(
                at,
                format!("the key `{shown}` stands twice in the same map"),
                "delete one of the two",
            );
        }
        *key = Some((text.to_owned(), at, is_new && !is_merge));
    }

    fn expects_key(&self) -> bool {
        let open = self.stack.last().map(|open| &open.kind);
        matches!(open, Some(Collection::Map { key: None, .. }))
    }

    fn put(&mut self, node: Node) {
        match self.stack.last_mut().map(|open| &mut open.kind) {
            None => self.documents.push(node),
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map { entries, key, .. }) => {
                if let Some((key, at, true)) = key.take() {
                    entries.push(Entry { key, at, node });
                }
            }
        }
    }
}

/// What a scalar or a key counts: long texts count for more than one, lest an alias multiply them.
const fn weight(text: &str) -> usize {
    1 + text.len() / 32
}

/// Levels of nesting in `node`; bounded by [`DEPTH_MAX`], like all that was built.
fn depth(node: &Node) -> usize {
    let below = node.items().iter().chain(node.entries().iter().map(|entry| &entry.node));
    below.map(depth).max().map_or(0, |deepest| deepest + 1)
}
