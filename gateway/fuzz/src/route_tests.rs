//! Files of route tests.

use portcullis_manifests::{SourceFile, read_route_tests};

/// Whatever is read gives cases that expect something, or a problem; the same each time.
pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let file = SourceFile { path: "fuzz.yaml".into(), directory: "/".into(), text: text.into() };
    let (cases, problems) = read_route_tests(&file);
    assert_eq!(read_route_tests(&file).1, problems);
    for case in &cases {
        let expects = !case.expectations.is_empty() || !problems.is_empty();
        assert!(expects, "{} expects nothing, and nobody says so", case.name);
    }
}
