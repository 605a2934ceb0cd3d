//! The floors of the rooms, and who imports whom.

use std::collections::BTreeMap;
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Where a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Floor {
    /// It serves, on this floor.
    At(u8),
    /// It only serves tests, and may look at everything.
    Outside,
}

/// The floor of every room, by the name of its directory, as `docs/architecture.md` draws it.
pub fn read_rooms(root: &Path) -> BTreeMap<String, Floor> {
    let rooms = parse_rooms(&std::fs::read_to_string(root.join("docs/architecture.md")).unwrap());
    assert!(rooms.len() > 10, "docs/architecture.md has no rows like `| message | 0 |`: {rooms:?}");
    rooms
}

/// The rows of a table whose first cell is a room and whose second is its floor.
fn parse_rooms(map: &str) -> BTreeMap<String, Floor> {
    let mut rooms = BTreeMap::new();
    for row in map.lines().filter_map(|line| line.strip_prefix('|')) {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`'));
        let (Some(name), Some(floor)) = (cells.next(), cells.next()) else { continue };
        if let Some(floor) = parse_floor(floor) {
            rooms.insert(name.trim_end_matches('/').to_owned(), floor);
        }
    }
    rooms
}

fn parse_floor(text: &str) -> Option<Floor> {
    match text {
        "-" => Some(Floor::Outside),
        number => number.parse().ok().map(Floor::At),
    }
}

/// Every import that does not go down.
pub fn climbing_imports(root: &Path, rooms: &BTreeMap<String, Floor>) -> Vec<String> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .unwrap();
    assert!(metadata.packages.len() > 10, "the workspace has too few crates");
    let gateway = root.join("gateway");
    let in_house = |package: &&Package| package.manifest_path.starts_with(&gateway);
    let packages = metadata.packages.iter().filter(in_house);
    packages.flat_map(|package| climbing_imports_of(package, rooms)).collect()
}

fn climbing_imports_of(package: &Package, rooms: &BTreeMap<String, Floor>) -> Vec<String> {
    let name = directory_name(package.manifest_path.parent().unwrap().as_str());
    let Some(floor) = rooms.get(name) else {
        return vec![format!("{name} is a room without a floor")];
    };
    let mut climbing = Vec::new();
    for dependency in &package.dependencies {
        let Some(path) = &dependency.path else { continue };
        let other = directory_name(path.as_str());
        let is_dev = dependency.kind == DependencyKind::Development;
        let allowed = match rooms.get(other) {
            None => false,
            Some(Floor::Outside) => is_dev,
            Some(below) => below < floor,
        };
        if !allowed {
            climbing.push(format!("{name} ({floor:?}) imports {other} ({:?})", rooms.get(other)));
        }
    }
    climbing
}

fn directory_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[test]
fn the_map_is_read() {
    let map =
        "| room | floor | what |\n|---|---|---|\n| message | 0 | x |\n| `testkit/` | - | y |\n";
    let wanted = [("message".to_owned(), Floor::At(0)), ("testkit".to_owned(), Floor::Outside)];
    assert_eq!(parse_rooms(map), BTreeMap::from(wanted));
}
