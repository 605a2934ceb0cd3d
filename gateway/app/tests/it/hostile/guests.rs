//! What a hostile guest is, and words to write one.

use super::preamble::hostile;

/// What becomes of a request that such a guest meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The plugin never starts, which is told: 503.
    Refused,
    /// The plugin fails in the request: 503.
    Fails,
    /// What it tries is denied or harmless: 200.
    Serves,
    /// The guest decides.
    Any,
}

/// A guest: its name, what is expected, and the module.
#[derive(Clone)]
pub struct Hostile {
    pub name: &'static str,
    pub outcome: Outcome,
    pub module: Vec<u8>,
}

pub const FOREVER: &str = "(loop $forever (br $forever))";

pub fn guest(name: &'static str, outcome: Outcome, module: Vec<u8>) -> Hostile {
    Hostile { name, outcome, module }
}

/// A callback with three arguments and a result: those for heads and bodies.
pub fn on(name: &str, code: &str) -> String {
    format!(
        "(func (export \"proxy_on_{name}\") (param $context i32) (param $size i32) (param $end i32) (result i32) (local $n i32) {code} (i32.const 0))"
    )
}

/// A module with one such callback.
pub fn when(name: &str, code: &str) -> Vec<u8> {
    hostile(&on(name, code))
}

/// So often.
pub fn times(count: u32, code: &str) -> String {
    format!(
        "(loop $again {code} (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {count}))))"
    )
}

/// A GET of `/` in the format of a call's headers.
pub const HEAD: &str = r#"$"\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00""#;

pub fn call(cluster: &str) -> String {
    format!(
        "(drop (call $http_call $\"{cluster}\" {HEAD} $\"\" $\"\" (i32.const 1000) (i32.const 520)))"
    )
}

/// A callback of the root, or of a stream's end.
pub fn void(name: &str, arguments: &str, code: &str) -> String {
    format!("(func (export \"proxy_on_{name}\") (param {arguments}) (local $n i32) {code})")
}
