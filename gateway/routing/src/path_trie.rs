//! Which of many places fit a path: a tree of the texts that paths begin with.

use std::ops::Range;

use portcullis_model::PathCase;

/// Places (numbers, of which a lower one comes first) by what a path has to begin with. A lookup reads the path once
/// at most, however many texts are known and however they nest, and allocates nothing.
#[derive(Debug)]
pub(crate) struct PathTrie {
    pub(crate) case: PathCase,
    /// The first is the root; the children of a node stand in a row, ordered by the byte that leads to them.
    pub(crate) nodes: Box<[Node]>,
    /// For each node which child a byte leads to, see [`Node::jump`].
    pub(crate) jumps: Box<[u8]>,
    /// What stands on the way to the nodes, see [`Node::label`].
    pub(crate) labels: Box<[u8]>,
    /// What ends at the nodes, see [`Node::places`].
    pub(crate) places: Box<[u32]>,
}

/// Where known texts end or part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// The lowest place here and below: where it is too high, there is no need to look.
    pub(crate) least: u32,
    /// Its first child.
    pub(crate) children: u32,
    /// Where its row of `jumps` begins: one entry for each byte from `lowest_byte` on, the child's number from 1 on,
    /// or 0.
    pub(crate) jump: u32,
    pub(crate) jump_count: u16,
    pub(crate) lowest_byte: u8,
    /// What follows the byte that leads here.
    pub(crate) label: u32,
    pub(crate) label_length: u32,
    /// Where its places begin: ascending in each of three rows.
    pub(crate) places: u32,
    /// The end of those that take everything below.
    pub(crate) below: u32,
    /// The end of those that take everything below behind a slash.
    pub(crate) segments: u32,
    /// The end of those that take the text alone.
    pub(crate) whole: u32,
}

/// How far a text that ends at a node reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// It takes everything that begins with it.
    Below,
    /// It takes itself, and what begins with it and a slash.
    Segments,
    /// It takes itself.
    Whole,
}

impl PathTrie {
    /// The lowest place below `bound` that fits the path and passes; `bound` where there is none.
    pub(crate) fn lowest(&self, path: &str, bound: u32, passes: impl Fn(u32) -> bool) -> u32 {
        let path = path.as_bytes();
        let Some(mut node) = self.nodes.first() else { return bound };
        let (mut at, mut best) = (0, bound);
        while node.least < best {
            let next = path.get(at).copied();
            if node.places != node.whole {
                best = self.lowest_at(node, next, best, &passes);
            }
            let Some(child) = next.and_then(|byte| self.child(node, byte)) else { break };
            at += 1;
            if child.label_length != 0 {
                let end = at + child.label_length as usize;
                match path.get(at..end) {
                    Some(part) if self.is_same(self.label(child), part) => at = end,
                    _ => break,
                }
            }
            node = child;
        }
        best
    }

    /// `next` is the byte of the path behind the node's text.
    fn lowest_at(
        &self,
        node: &Node,
        next: Option<u8>,
        best: u32,
        passes: &impl Fn(u32) -> bool,
    ) -> u32 {
        let mut best = self.first(node.places..node.below, best, passes);
        if matches!(next, None | Some(b'/')) {
            best = self.first(node.below..node.segments, best, passes);
        }
        if next.is_none() {
            best = self.first(node.segments..node.whole, best, passes);
        }
        best
    }

    fn first(&self, row: Range<u32>, best: u32, passes: &impl Fn(u32) -> bool) -> u32 {
        let row = self.places.get(row.start as usize..row.end as usize).unwrap_or_default();
        let mut lower = row.iter().copied().take_while(|&place| place < best);
        lower.find(|&place| passes(place)).unwrap_or(best)
    }

    fn child(&self, node: &Node, byte: u8) -> Option<&Node> {
        let byte = match self.case {
            PathCase::Sensitive => byte,
            PathCase::Ignored => byte.to_ascii_lowercase(),
        };
        let at = u16::from(byte.wrapping_sub(node.lowest_byte));
        if at >= node.jump_count {
            return None;
        }
        let number = *self.jumps.get(node.jump as usize + usize::from(at))?;
        let number = usize::from(number.checked_sub(1)?);
        self.nodes.get(node.children as usize + number)
    }

    fn label(&self, node: &Node) -> &[u8] {
        let start = node.label as usize;
        self.labels.get(start..start + node.label_length as usize).unwrap_or_default()
    }

    fn is_same(&self, label: &[u8], part: &[u8]) -> bool {
        match self.case {
            PathCase::Sensitive => label == part,
            PathCase::Ignored => label.eq_ignore_ascii_case(part),
        }
    }
}
