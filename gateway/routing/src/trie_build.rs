//! Building a [`PathTrie`] from sorted texts, without recursion: texts may nest as deep as they are long.

use std::cmp::Ordering;

use portcullis_model::PathCase;

use crate::path_trie::{Node, PathTrie, Reach};

/// A text, what it takes, and the place of what it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'t> {
    bytes: &'t [u8],
    reach: Reach,
    place: u32,
}

impl<'t> Text<'t> {
    pub(crate) fn new(bytes: &'t [u8], reach: Reach, place: u32) -> Self {
        Text { bytes, reach, place }
    }
}

impl PathTrie {
    /// Where the case is ignored, that of the texts is too.
    pub(crate) fn build(mut texts: Vec<Text<'_>>, case: PathCase) -> Self {
        texts.sort_unstable_by(|one, other| {
            compare(one.bytes, other.bytes, case)
                .then(one.reach.cmp(&other.reach))
                .then(one.place.cmp(&other.place))
        });
        let mut outline = Outline { nodes: vec![Branch::default()], open: vec![0] };
        let mut before: &[u8] = &[];
        let mut start = 0;
        for same in texts.chunk_by(|one, other| is_same(one.bytes, other.bytes, case)) {
            let Some(first) = same.first() else { continue };
            outline.add(first.bytes, common_length(before, first.bytes, case));
            outline.ends_here(start, same.len());
            before = first.bytes;
            start += same.len();
        }
        outline.lay_out(&texts, case)
    }
}

fn lower(byte: u8, case: PathCase) -> u8 {
    match case {
        PathCase::Sensitive => byte,
        PathCase::Ignored => byte.to_ascii_lowercase(),
    }
}

fn compare(one: &[u8], other: &[u8], case: PathCase) -> Ordering {
    match case {
        PathCase::Sensitive => one.cmp(other),
        PathCase::Ignored => {
            one.iter().map(u8::to_ascii_lowercase).cmp(other.iter().map(u8::to_ascii_lowercase))
        }
    }
}

fn is_same(one: &[u8], other: &[u8], case: PathCase) -> bool {
    match case {
        PathCase::Sensitive => one == other,
        PathCase::Ignored => one.eq_ignore_ascii_case(other),
    }
}

fn common_length(one: &[u8], other: &[u8], case: PathCase) -> usize {
    one.iter().zip(other).take_while(|(a, b)| lower(**a, case) == lower(**b, case)).count()
}

/// A node while the tree is built.
#[derive(Debug, Default)]
struct Branch<'t> {
    /// A text that goes through it; the node stands behind its first `depth` bytes.
    text: &'t [u8],
    depth: usize,
    /// How deep the node above it stands.
    from: usize,
    children: Vec<usize>,
    /// Which of the sorted texts end here.
    first: usize,
    count: usize,
}

/// The tree while it is built. Texts come in order, so only the way to the last one can still change.
struct Outline<'t> {
    nodes: Vec<Branch<'t>>,
    /// The nodes from the root to the last one.
    open: Vec<usize>,
}

impl<'t> Outline<'t> {
    /// Goes to where the text stands, which has `common` bytes in common with the one before.
    fn add(&mut self, text: &'t [u8], common: usize) {
        let parted = self.close_below(common);
        let top = self.top();
        let depth = self.depth(top);
        let parent = match parted {
            Some(parted) if depth < common => self.part(top, parted, common),
            _ => top,
        };
        if text.len() > self.depth(parent) {
            let from = self.depth(parent);
            self.push(parent, Branch { text, depth: text.len(), from, ..Branch::default() });
        }
    }

    fn ends_here(&mut self, first: usize, count: usize) {
        let top = self.top();
        if let Some(node) = self.nodes.get_mut(top) {
            (node.first, node.count) = (first, count);
        }
    }

    /// Leaves the nodes that stand deeper; the last of them that was left.
    fn close_below(&mut self, depth: usize) -> Option<usize> {
        let mut left = None;
        while self.depth(self.top()) > depth {
            left = self.open.pop();
        }
        left
    }

    /// Puts a node between these two.
    fn part(&mut self, parent: usize, child: usize, depth: usize) -> usize {
        let text = self.nodes.get(child).map_or(&[][..], |child| child.text);
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.children.pop();
        }
        if let Some(child) = self.nodes.get_mut(child) {
            child.from = depth;
        }
        let from = self.depth(parent);
        self.push(parent, Branch { text, depth, from, children: vec![child], ..Branch::default() })
    }

    fn push(&mut self, parent: usize, node: Branch<'t>) -> usize {
        let number = self.nodes.len();
        self.nodes.push(node);
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.children.push(number);
        }
        self.open.push(number);
        number
    }

    fn top(&self) -> usize {
        self.open.last().copied().unwrap_or_default()
    }

    fn depth(&self, node: usize) -> usize {
        self.nodes.get(node).map_or(0, |node| node.depth)
    }

    /// Level by level, so that children stand in a row behind their parents.
    fn lay_out(self, texts: &[Text<'_>], case: PathCase) -> PathTrie {
        let mut layout = Layout::new(self.nodes.len(), texts.len());
        let mut order = Vec::with_capacity(self.nodes.len());
        order.push(0);
        let mut next = 0;
        while let Some(branch) = order.get(next).and_then(|&number| self.nodes.get(number)) {
            let children = branch.children.iter().filter_map(|&child| self.nodes.get(child));
            let bytes = children.filter_map(|child| child.text.get(child.from));
            let bytes: Vec<u8> = bytes.map(|&byte| lower(byte, case)).collect();
            let ending = texts.get(branch.first..branch.first + branch.count).unwrap_or_default();
            layout.add(branch, order.len(), &bytes, ending);
            order.extend(&branch.children);
            next += 1;
        }
        layout.bound(&self.nodes, &order);
        layout.finish(case)
    }
}

/// The parts of the trie.
struct Layout {
    nodes: Vec<Node>,
    jumps: Vec<u8>,
    labels: Vec<u8>,
    places: Vec<u32>,
}

impl Layout {
    fn new(nodes: usize, texts: usize) -> Self {
        Layout {
            nodes: Vec::with_capacity(nodes),
            jumps: Vec::new(),
            labels: Vec::new(),
            places: Vec::with_capacity(texts),
        }
    }

    /// `bytes` lead to its children, of which the first will be number `children`.
    fn add(&mut self, branch: &Branch<'_>, children: usize, bytes: &[u8], ending: &[Text<'_>]) {
        // The byte that leads here is in the jumps of the node above.
        let label = branch.text.get(branch.from + 1..branch.depth).unwrap_or_default();
        let places = self.places.len();
        let upto = |reach| places + ending.partition_point(|text| text.reach <= reach);
        self.nodes.push(Node {
            least: ending.iter().map(|text| text.place).min().unwrap_or(u32::MAX),
            children: number(children),
            jump: number(self.jumps.len()),
            jump_count: jump_count(bytes),
            lowest_byte: bytes.first().copied().unwrap_or_default(),
            label: number(self.labels.len()),
            label_length: number(label.len()),
            places: number(places),
            below: number(upto(Reach::Below)),
            segments: number(upto(Reach::Segments)),
            whole: number(upto(Reach::Whole)),
        });
        self.labels.extend_from_slice(label);
        self.places.extend(ending.iter().map(|text| text.place));
        self.add_jumps(bytes);
    }

    fn add_jumps(&mut self, bytes: &[u8]) {
        let start = self.jumps.len();
        let lowest = bytes.first().copied().unwrap_or_default();
        self.jumps.resize(start + usize::from(jump_count(bytes)), 0);
        // UTF-8 has fewer than 255 bytes to go on with.
        for (child, byte) in (1..=u8::MAX).zip(bytes) {
            if let Some(jump) = self.jumps.get_mut(start + usize::from(byte - lowest)) {
                *jump = child;
            }
        }
    }

    /// Tells each node the lowest place below it, from the leaves on.
    fn bound(&mut self, branches: &[Branch<'_>], order: &[usize]) {
        for at in (0..self.nodes.len()).rev() {
            let count = order.get(at).and_then(|&number| branches.get(number));
            let count = count.map_or(0, |branch| branch.children.len());
            let children = self.nodes.get(at).map_or(0, |node| node.children as usize);
            let below = self.nodes.get(children..children + count).unwrap_or_default();
            let least = below.iter().map(|node| node.least).min().unwrap_or(u32::MAX);
            if let Some(node) = self.nodes.get_mut(at) {
                node.least = node.least.min(least);
            }
        }
    }

    fn finish(self, case: PathCase) -> PathTrie {
        PathTrie {
            case,
            nodes: self.nodes.into(),
            jumps: self.jumps.into(),
            labels: self.labels.into(),
            places: self.places.into(),
        }
    }
}

/// How many bytes there are from the lowest to the highest; they are sorted.
fn jump_count(bytes: &[u8]) -> u16 {
    match (bytes.first(), bytes.last()) {
        (Some(lowest), Some(highest)) => u16::from(highest - lowest) + 1,
        _ => 0,
    }
}

/// A configuration of four gigabytes is not read.
fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trie(case: PathCase, texts: &[(&str, Reach)]) -> PathTrie {
        let texts = texts.iter().zip(0..);
        let texts = texts.map(|((text, reach), place)| Text::new(text.as_bytes(), *reach, place));
        PathTrie::build(texts.collect(), case)
    }

    /// Every place that fits, found by refusing all that came before.
    fn all(trie: &PathTrie, path: &str) -> Vec<u32> {
        let mut found = Vec::new();
        loop {
            let lowest = trie.lowest(path, 1000, |place| !found.contains(&place));
            if lowest == 1000 {
                return found;
            }
            found.push(lowest);
        }
    }

    #[test]
    fn texts_that_nest_and_part_are_found() {
        use Reach::{Below, Segments, Whole};
        let trie = trie(
            PathCase::Sensitive,
            &[
                ("/foo", Below),
                ("/foo", Segments),
                ("/foo", Whole),
                ("/foobar", Below),
                ("/fob", Whole),
                ("", Below),
                ("", Segments),
                ("/foo/bar/", Below),
                ("/zoo", Whole),
            ],
        );
        assert_eq!(all(&trie, "/foo"), [0, 1, 2, 5, 6]);
        assert_eq!(all(&trie, "/foobar"), [0, 3, 5, 6]);
        assert_eq!(all(&trie, "/fooba"), [0, 5, 6]);
        assert_eq!(all(&trie, "/foo/bar"), [0, 1, 5, 6]);
        assert_eq!(all(&trie, "/foo/bar/x"), [0, 1, 5, 6, 7]);
        assert_eq!(all(&trie, "/fo"), [5, 6]);
        assert_eq!(all(&trie, "/fob"), [4, 5, 6]);
        assert_eq!(all(&trie, "/zo\u{f6}"), [5, 6]);
        assert_eq!(all(&trie, "*"), [5]);
        assert_eq!(all(&trie, ""), [5, 6]);
    }

    #[test]
    fn the_case_may_not_matter() {
        let texts = [("/foO", Reach::Below), ("/FOOBAR", Reach::Whole), ("/fOz", Reach::Below)];
        let trie = trie(PathCase::Ignored, &texts);
        assert_eq!(all(&trie, "/FooBar"), [0, 1]);
        assert_eq!(all(&trie, "/fOZ"), [2]);
        assert_eq!(all(&trie, "/fo"), [0; 0]);
    }

    #[test]
    fn what_cannot_be_lower_is_not_asked() {
        let texts = [("/", Reach::Below), ("/a", Reach::Below), ("/a/b", Reach::Below)];
        let trie = trie(PathCase::Sensitive, &texts);
        let asked = std::cell::RefCell::new(Vec::new());
        let lowest = trie.lowest("/a/b", 1000, |place| {
            asked.borrow_mut().push(place);
            place == 1
        });
        assert_eq!((lowest, asked.into_inner()), (1, vec![0, 1]));
    }

    #[test]
    fn texts_may_nest_as_deep_as_they_are_long_and_each_is_asked_once() {
        const DEPTH: usize = 4000;
        let path = "/a".repeat(DEPTH / 2);
        let texts: Vec<_> = (1..=DEPTH).map(|length| (&path[..length], Reach::Below)).collect();
        let trie = trie(PathCase::Sensitive, &texts);
        let asked = std::cell::Cell::new(0);
        let refuse = |_| {
            asked.set(asked.get() + 1);
            false
        };
        assert_eq!(trie.lowest(&"/a".repeat(8192), u32::MAX, refuse), u32::MAX);
        assert_eq!(asked.get(), DEPTH);
    }

    #[test]
    fn nothing_is_found_among_nothing() {
        assert_eq!(trie(PathCase::Sensitive, &[]).lowest("/", 7, |_| true), 7);
    }
}
