//! YAML as a tree that remembers where everything stands.
//!
//! Serde stops at the first error and knows numbers as floats. Here each scalar stays the text that was written, so a
//! price is exact and every fault can be found in one go. Anchors, aliases and `<<` work as people expect of YAML files.
//!
//! Always true: the tree weighs at most [`WEIGHT_MAX`] and is at most [`DEPTH_MAX`] deep, whatever aliases multiply.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, Span, options};

use super::fault::Position;

/// Anything in a file. Not `Debug`: it may hold a credential that was written in plain text.
#[derive(Clone)]
pub struct Node {
    pub at: Position,
    pub value: Value,
}

#[derive(Clone)]
pub enum Value {
    Null,
    /// Any scalar, as written after YAML's own quoting.
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, without duplicates.
    Map(Vec<(Key, Node)>),
}

#[derive(Clone)]
pub struct Key {
    pub at: Position,
    pub name: String,
}

/// Why a text is no configuration: where, the dotted path as far as known, and what.
#[derive(Debug)]
pub struct Slip {
    pub at: Position,
    pub path: String,
    pub problem: String,
}

/// Reads one YAML document. An empty one is null.
///
/// # Errors
/// The first offence against YAML's grammar or our bounds, or every key that is given twice.
pub fn parse(text: &str) -> Result<Node, Vec<Slip>> {
    let options = options! { emit_comments: false, flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX };
    let mut builder = Builder::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let step = match next {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(builder.slip(position(error.marker()), format!("is not YAML: {}", error.info()))),
        };
        if let Err(slip) = step {
            builder.slips.push(slip);
            return Err(builder.slips);
        }
    }
    if !builder.slips.is_empty() {
        return Err(builder.slips);
    }
    Ok(builder.root.unwrap_or(Node { at: Position { line: 1, column: 1 }, value: Value::Null }))
}

/// Joins a field's name to the path of what it stands in.
pub fn join(path: &str, name: &str) -> String {
    let name = name.escape_debug();
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Frame>,
    /// Finished nodes with an anchor, and their weight.
    anchors: HashMap<usize, (Node, usize)>,
    weight: usize,
    documents: usize,
    slips: Vec<Slip>,
}

/// A list or a mapping whose end has not come yet.
struct Frame {
    at: Position,
    anchor: usize,
    /// The tree's weight when this began.
    weight_before: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        /// Each entry's name and the line of its key.
        lines: HashMap<String, u64>,
        /// The key whose value comes next.
        key: Option<Key>,
        /// What `<<` brings: behind everything that the mapping says itself.
        merged: Vec<(Key, Node)>,
    },
}

impl Content {
    fn map() -> Content {
        Content::Map { entries: Vec::new(), lines: HashMap::new(), key: None, merged: Vec::new() }
    }
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Slip> {
        let at = position(&span.start);
        if span.tag_span().is_some() {
            return Err(self.slip(at, "has a YAML tag (!…), and tags mean nothing here"));
        }
        match event {
            Event::DocumentStart(..) => self.begin_document(at),
            Event::Scalar(text, style, anchor, _) => self.scalar(at, text, style, anchor),
            Event::SequenceStart(_, anchor, _) => self.open(at, anchor, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(at, anchor, Content::map()),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(at, anchor),
            _ => Ok(()),
        }
    }

    fn begin_document(&mut self, at: Position) -> Result<(), Slip> {
        self.documents = self.documents.saturating_add(1);
        if self.documents > 1 {
            return Err(self.slip(at, "is a second YAML document, and a configuration is one"));
        }
        Ok(())
    }

    fn scalar(&mut self, at: Position, text: Cow<'_, str>, style: ScalarStyle, anchor: usize) -> Result<(), Slip> {
        let weight = NODE_WEIGHT.saturating_add(text.len());
        self.carry(at, weight)?;
        let plain = style == ScalarStyle::Plain;
        let value = match &*text {
            "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
            _ => Value::Text(text.into_owned()),
        };
        self.place(Node { at, value }, anchor, weight)
    }

    fn open(&mut self, at: Position, anchor: usize, content: Content) -> Result<(), Slip> {
        if self.open.len() >= DEPTH_MAX {
            return Err(self.slip(at, format!("is nested deeper than {DEPTH_MAX} levels")));
        }
        let weight_before = self.weight;
        self.carry(at, NODE_WEIGHT)?;
        self.open.push(Frame { at, anchor, weight_before, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Slip> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let value = match frame.content {
            Content::List(items) => Value::List(items),
            Content::Map { mut entries, mut lines, merged, .. } => {
                for (key, node) in merged {
                    if lines.insert(key.name.clone(), key.at.line).is_none() {
                        entries.push((key, node));
                    }
                }
                Value::Map(entries)
            }
        };
        let weight = self.weight.saturating_sub(frame.weight_before);
        self.place(Node { at: frame.at, value }, frame.anchor, weight)
    }

    fn alias(&mut self, at: Position, anchor: usize) -> Result<(), Slip> {
        let Some((_, weight)) = self.anchors.get(&anchor) else {
            return Err(self.slip(at, "is an alias that stands inside what it names"));
        };
        let weight = *weight;
        self.carry(at, weight)?;
        let node = self.anchors[&anchor].0.clone();
        if self.open.len().saturating_add(depth(&node)) > DEPTH_MAX {
            return Err(self.slip(at, format!("is nested deeper than {DEPTH_MAX} levels")));
        }
        self.place(node, 0, weight)
    }

    /// Puts a finished node where it belongs: into what is open, as a key or as a value.
    fn place(&mut self, node: Node, anchor: usize, weight: usize) -> Result<(), Slip> {
        if anchor != 0 {
            // The copy counts too: otherwise nested anchors would grow unweighed.
            self.carry(node.at, weight)?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let at = node.at;
        match self.open.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, lines, key, merged }) => match key.take() {
                None => {
                    let Value::Text(name) = node.value else {
                        return Err(self.slip(at, "is not a name, and only names can stand before a colon"));
                    };
                    *key = Some(Key { at, name });
                }
                Some(key) if key.name == "<<" => match merge_sources(node) {
                    Some(more) => merged.extend(more),
                    None => return Err(self.slip(at, "merges (<<) something that is not a mapping")),
                },
                Some(key) => match lines.get(&key.name) {
                    None => {
                        lines.insert(key.name.clone(), key.at.line);
                        entries.push((key, node));
                    }
                    Some(first_line) => {
                        let problem = format!("is given twice, first in line {first_line}");
                        let path = join(&self.path(), &key.name);
                        self.slips.push(Slip { at: key.at, path, problem });
                    }
                },
            },
        }
        Ok(())
    }

    fn carry(&mut self, at: Position, weight: usize) -> Result<(), Slip> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > WEIGHT_MAX {
            return Err(self.slip(at, "makes the configuration too large, with all that its aliases repeat"));
        }
        Ok(())
    }

    fn slip(&self, at: Position, problem: impl Into<String>) -> Slip {
        Slip { at, path: self.path(), problem: problem.into() }
    }

    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |path, frame| match &frame.content {
            Content::List(items) => format!("{path}[{}]", items.len()),
            Content::Map { key: Some(key), .. } => join(&path, &key.name),
            Content::Map { key: None, .. } => path,
        })
    }
}

/// What `<<` names: one mapping, or a list of them of which the first wins.
fn merge_sources(node: Node) -> Option<Vec<(Key, Node)>> {
    match node.value {
        Value::Map(entries) => Some(entries),
        Value::List(items) => {
            let maps =
                items.into_iter().map(|item| if let Value::Map(entries) = item.value { Some(entries) } else { None });
            maps.collect::<Option<Vec<_>>>().map(|maps| maps.into_iter().flatten().collect())
        }
        Value::Null | Value::Text(_) => None,
    }
}

fn depth(node: &Node) -> usize {
    let deepest = match &node.value {
        Value::Null | Value::Text(_) => return 0,
        Value::List(items) => items.iter().map(depth).max(),
        Value::Map(entries) => entries.iter().map(|(_, node)| depth(node)).max(),
    };
    deepest.unwrap_or(0).saturating_add(1)
}

fn position(marker: &Marker) -> Position {
    let one_based = |column: usize| u64::try_from(column).unwrap_or(u64::MAX).saturating_add(1);
    Position { line: u64::try_from(marker.line()).unwrap_or(u64::MAX), column: one_based(marker.col()) }
}

/// Deeper than any configuration, and shallow enough for recursion.
pub const DEPTH_MAX: usize = 64;
/// Bytes of text, plus [`NODE_WEIGHT`] a node. The largest public price list would be a tenth of it.
const WEIGHT_MAX: usize = 32 * 1024 * 1024;
const NODE_WEIGHT: usize = 64;
