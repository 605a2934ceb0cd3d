//! A filter that does what it must not, when asked: by the request header `x-misbehave`, or at configuration by the text
//! of its configuration.
//!
//! - `trap`: panics. `loop`: never returns. `hog`: takes memory until there is no more. `recurse`: overflows the stack.
//! - `trap-response`: panics in the response's headers. `trap-log`: panics while logging.
//! - Anything else, and no header at all: passes, with `x-misbehave-passed: true` on the response.

use std::hint::black_box;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        let deed = String::from_utf8_lossy(&configuration).trim().trim_matches('"').to_owned();
        misbehave(&deed);
        deed != "refuse"
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter { later: String::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Filter {
    later: String,
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let deed = self.get_http_request_header("x-misbehave").unwrap_or_default();
        misbehave(&deed);
        self.later = deed;
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if self.later == "trap-response" {
            misbehave("trap");
        }
        self.add_http_response_header("x-misbehave-passed", "true");
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.later == "trap-log" {
            misbehave("trap");
        }
    }
}

fn misbehave(deed: &str) {
    match deed {
        "trap" => panic!("asked to trap"),
        "loop" => spin(),
        "hog" => hog(),
        "recurse" => drop(black_box(recurse(1))),
        _ => {}
    }
}

fn spin() {
    let mut turns = 0_u64;
    while black_box(turns) < u64::MAX {
        turns += 1;
    }
}

/// Keeps what it takes. It does not write there, so that memory runs out long before the callback's time.
fn hog() {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}

#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    let kept = black_box([depth; 64]);
    recurse(black_box(depth + 1)) + kept[0]
}
