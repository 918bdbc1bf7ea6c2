//! The tree of a YAML document, with the place of every node.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::Problem;

/// The deepest nesting.
const MAX_DEPTH: usize = 32;

/// The most nodes, those that aliases repeat counted again.
const MAX_NODES: usize = 200_000;

/// A line and a column, both from 1; 0:0 stands for the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) position: Position,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A text as it was written; `plain` without quotes, so that it may be a number or nothing at all.
    Scalar {
        text: String,
        plain: bool,
        /// Whether `${ENV}` stood in it: error texts then do not repeat it.
        expanded: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) value: Node,
}

/// Parses one document; an empty text is an empty mapping.
pub(super) fn compose(text: &str) -> Result<Node, Problem> {
    let mut composer = Composer { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut root = None;
    while let Some((event, span)) = composer.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            _ if root.is_some() => {
                return Err(problem(&span, "a second document begins here; write one document per file"));
            }
            event => root = Some(composer.node(event, &span, 0)?),
        }
    }
    let is_nothing = root.as_ref().is_none_or(Node::is_null);
    let empty = || Node { position: Position::default(), value: Value::Mapping(Vec::new()) };
    Ok(root.filter(|_| !is_nothing).unwrap_or_else(empty))
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

// === impl Composer ===

impl<'a> Composer<'a> {
    /// The next event that is not a comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        let is_comment = |event: &_| matches!(event, Ok((Event::Comment(..), _)));
        let event = self.parser.by_ref().find(|event| !is_comment(event));
        event.transpose().map_err(|error| syntax_problem(&error))
    }

    /// The next event; the parser ends every collection it begins.
    fn child(&mut self, parent: &Span) -> Result<(Event<'a>, Span), Problem> {
        self.next()?.ok_or_else(|| problem(parent, "the file ends inside this value"))
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Problem> {
        if depth > MAX_DEPTH {
            return Err(problem(span, &format!("the file is nested deeper than {MAX_DEPTH} levels")));
        }
        self.count(1, span)?;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                (anchor, Value::Scalar { text: text.into_owned(), plain, expanded: false })
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.sequence(span, depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping(span, depth)?),
            Event::Alias(anchor) => return self.alias(anchor, span),
            _ => return Err(problem(span, "a value was expected here")),
        };
        let node = Node { position: Position::of(span), value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, span: &Span, depth: usize) -> Result<Value, Problem> {
        let mut nodes = Vec::new();
        loop {
            match self.child(span)? {
                (Event::SequenceEnd, _) => return Ok(Value::Sequence(nodes)),
                (event, span) => nodes.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, span: &Span, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, at) = self.child(span)?;
            let key = match event {
                Event::MappingEnd => return Ok(Value::Mapping(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(problem(&at, "a key must be a text")),
            };
            if entries.iter().any(|entry| entry.key == key) {
                return Err(problem(&at, &format!("the key {key:?} stands here for the second time")));
            }
            let (event, value_at) = self.child(span)?;
            let value = self.node(event, &value_at, depth + 1)?;
            entries.push(Entry { key, position: Position::of(&at), value });
        }
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Node, Problem> {
        let unknown = || problem(span, "this alias names a value that is not complete yet");
        let size = self.anchors.get(&anchor).ok_or_else(unknown)?.size();
        self.count(size, span)?;
        self.anchors.get(&anchor).cloned().ok_or_else(unknown)
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(problem(span, &format!("the file has more than {MAX_NODES} values")));
        }
        Ok(())
    }
}

fn problem(span: &Span, message: &str) -> Problem {
    Problem { position: Position::of(span), path: String::new(), message: message.to_owned() }
}

fn syntax_problem(error: &ScanError) -> Problem {
    let marker = error.marker();
    let position = Position { line: marker.line(), column: marker.col() + 1 };
    Problem { position, path: String::new(), message: format!("this is not YAML: {}", error.info()) }
}

// === impl Node ===

impl Node {
    /// The value of `key`, where this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entries of a list.
    pub(super) fn entries(&self) -> Option<&[Self]> {
        match &self.value {
            Value::Sequence(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// Whether nothing was written, or `null` or `~`.
    pub(super) fn is_null(&self) -> bool {
        let is_null_text = |text: &str| matches!(text, "" | "~" | "null" | "Null" | "NULL");
        matches!(&self.value, Value::Scalar { text, plain: true, .. } if is_null_text(text))
    }

    /// Joins the values of `options` to `directory`; an absolute path stays what it is.
    pub(super) fn set_directory(&mut self, directory: &Path, options: &[&str]) {
        match &mut self.value {
            Value::Scalar { .. } => {}
            Value::Sequence(nodes) => {
                nodes.iter_mut().for_each(|node| node.set_directory(directory, options))
            }
            Value::Mapping(entries) => entries.iter_mut().for_each(|entry| match &mut entry.value.value {
                Value::Scalar { text, .. } if options.contains(&entry.key.as_str()) && !text.is_empty() => {
                    *text = directory.join(&*text).to_string_lossy().into_owned();
                }
                _ => entry.value.set_directory(directory, options),
            }),
        }
    }

    /// What the value is, for an error text.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".to_owned(),
            Value::Scalar { expanded: true, .. } => "the value of an environment variable".to_owned(),
            Value::Scalar { text, .. } => format!("{text:?}"),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// Where `path` stands, or the last part of it that is there.
    pub(super) fn position(&self, path: &str) -> Position {
        let (mut node, mut position) = (self, self.position);
        for part in path.split(['.', '[']) {
            let next = match (&node.value, part.strip_suffix(']')) {
                (Value::Sequence(nodes), Some(index)) => {
                    index.parse().ok().and_then(|index: usize| nodes.get(index)).map(|n| (n, n.position))
                }
                (_, None) => node.entry(part).map(|entry| (&entry.value, entry.position)),
                _ => None,
            };
            let Some(next) = next else { break };
            (node, position) = next;
        }
        position
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match &self.value {
            Value::Scalar { .. } => 1,
            Value::Sequence(nodes) => 1 + nodes.iter().map(Self::size).sum::<usize>(),
            Value::Mapping(entries) => 1 + entries.iter().map(|entry| entry.value.size()).sum::<usize>(),
        }
    }
}

// === impl Position ===

impl Position {
    fn of(span: &Span) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}
