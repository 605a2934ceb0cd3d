//! Which modules of a crate import each other in a circle.
//!
//! Modules are held against their siblings: what a module and those below it import from another branch
//! of the tree is an edge between the two branches. A parent and its children belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources::walk;
use super::tokens::{Mentions, read};

type ModulePath = Vec<String>;

/// The circles of the crate in a directory, each as one sentence.
pub fn circles(directory: &Path) -> Vec<String> {
    let modules = Modules::read(&directory.join("src"));
    let name = directory.file_name().unwrap().to_string_lossy();
    let circles = modules.edges().into_iter().filter_map(|(parent, edges)| {
        let circle = find_circle(&edges)?.join(" -> ");
        Some(format!(
            "{name}{}: {circle}",
            parent.iter().map(|part| format!("::{part}")).collect::<String>()
        ))
    });
    circles.collect()
}

struct Modules {
    files: BTreeMap<ModulePath, Mentions>,
}

impl Modules {
    fn read(src: &Path) -> Self {
        let mut files = BTreeMap::new();
        walk(src, &mut |file| {
            if file.extension().is_some_and(|extension| extension == "rs") {
                let path = module_path(file.strip_prefix(src).unwrap());
                files.insert(path, Mentions::of(read(file)));
            }
        });
        let mut modules = Modules { files };
        modules.drop_tests();
        modules
    }

    fn drop_tests(&mut self) {
        let mut tests = BTreeSet::new();
        for (module, mentions) in &self.files {
            tests.extend(mentions.test_modules.iter().map(|name| below(module, name)));
        }
        self.files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    }

    /// Who imports whom among the children of each module.
    fn edges(&self) -> BTreeMap<ModulePath, Edges> {
        let mut edges: BTreeMap<ModulePath, Edges> = BTreeMap::new();
        for (module, mentions) in &self.files {
            let used = mentions.names.iter().map(|(_, path)| path);
            for path in mentions.paths.iter().chain(used) {
                let Some(target) = self.absolute(module, path) else { continue };
                let target = self.resolve(target, 8);
                let shared = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) {
                    let among = edges.entry(module[..shared].to_vec()).or_default();
                    among.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        edges
    }

    /// A path from the crate's root; `None` for one that leads out of the crate.
    fn absolute(&self, module: &ModulePath, path: &[String]) -> Option<ModulePath> {
        let (first, mut rest) = path.split_first()?;
        let mut start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => parent(module),
            child if self.files.contains_key(&below(module, child)) => below(module, child),
            _ => return None,
        };
        while let Some((first, behind)) = rest.split_first()
            && first == "super"
        {
            start = parent(&start);
            rest = behind;
        }
        start.extend(rest.iter().cloned());
        Some(start)
    }

    /// The module that a path ends in, through what other modules hand on by a `use`.
    fn resolve(&self, path: ModulePath, most_hops: usize) -> ModulePath {
        let mut module = Vec::new();
        for (at, part) in path.iter().enumerate() {
            let next = below(&module, part);
            if self.files.contains_key(&next) {
                module = next;
                continue;
            }
            let names = self.files.get(&module).map_or(&[][..], |mentions| &mentions.names);
            let named = names.iter().find(|(name, _)| name == part);
            let target = named.and_then(|(_, behind)| self.absolute(&module, behind));
            return match target {
                Some(mut target) if most_hops > 0 => {
                    target.extend(path[at + 1..].iter().cloned());
                    self.resolve(target, most_hops - 1)
                }
                _ => module,
            };
        }
        module
    }
}

type Edges = BTreeMap<String, BTreeSet<String>>;

/// A circle, its first module repeated at the end.
fn find_circle(edges: &Edges) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| follow(start, edges, &mut Vec::new(), &mut done))
}

fn follow<'e>(
    module: &'e String,
    edges: &'e Edges,
    way: &mut Vec<&'e String>,
    done: &mut BTreeSet<&'e String>,
) -> Option<Vec<String>> {
    if let Some(start) = way.iter().position(|passed| *passed == module) {
        return Some(way[start..].iter().copied().chain([module]).cloned().collect());
    }
    if !done.insert(module) {
        return None;
    }
    way.push(module);
    let circle =
        edges.get(module).into_iter().flatten().find_map(|next| follow(next, edges, way, done));
    way.pop();
    circle
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`; `lib.rs` and `main.rs` are the root.
fn module_path(file: &Path) -> ModulePath {
    let file = file.with_extension("");
    let mut path: ModulePath =
        file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| last == "mod") || path == ["lib"] || path == ["main"] {
        path.pop();
    }
    path
}

fn below(module: &[String], name: &str) -> ModulePath {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn parent(module: &[String]) -> ModulePath {
    module.split_last().map(|(_, above)| above.to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join("src").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn a_circle_is_found_also_through_what_the_root_hands_on() {
        let direct =
            crate_of(&[("a.rs", "use crate::b::B;"), ("b.rs", "fn f() -> crate::a::A {}")]);
        assert!(circles(direct.path())[0].ends_with(": a -> b -> a"));
        let handed_on = crate_of(&[
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::{B as C};"),
            ("a.rs", "use crate::C;"),
            ("b/deep.rs", "use crate::A;"),
            ("b.rs", ""),
        ]);
        assert!(circles(handed_on.path())[0].ends_with(": a -> b -> a"));
    }

    #[test]
    fn parents_children_and_tests_form_none() {
        let files = crate_of(&[
            ("lib.rs", "mod a; #[cfg(test)] mod oracle; pub struct Root;"),
            ("a.rs", "mod child; use crate::Root; use child::Child; pub struct A;"),
            ("a/child.rs", "use super::A; #[cfg(test)] mod tests { use crate::oracle; }"),
            ("oracle.rs", "use crate::a::A;"),
        ]);
        assert_eq!(circles(files.path()), [] as [String; 0]);
    }
}
