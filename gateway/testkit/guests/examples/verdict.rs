//! What real filters do, in Rust; the same as `go/` and `cpp/`, so that one test holds for all.
//!
//! The plugin's configuration chooses:
//! - `header`: adds `x-guest: rust` to requests, and `x-guest-path: PATH` to replies.
//! - `body`: keeps a request's body whole and passes it on in capitals; puts `!` behind a reply's.
//! - `call CLUSTER`: asks the cluster with a GET of the request's `x-ask` and waits; 200 lets the request pass with
//!   `x-user: NAME`, from the reply's `x-upstream`; anything else is 403 `denied: STATUS`.
//! - `shared`: counts requests in shared data; the number is `x-count` of replies.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, Status};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { task: String::new() }));
}}

struct Root {
    task: String,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        self.task = String::from_utf8_lossy(&configuration).into_owned();
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter { task: self.task.clone(), path: String::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Filter {
    task: String,
    path: String,
}

impl Filter {
    fn ask(&self, cluster: &str) -> Action {
        let path = self.get_http_request_header("x-ask").unwrap_or_default();
        let head = vec![(":method", "GET"), (":path", &path), (":authority", "auth.example")];
        match self.dispatch_http_call(cluster, head, None, vec![], Duration::from_secs(5)) {
            Ok(_) => Action::Pause,
            Err(_) => {
                self.send_http_response(500, vec![], Some(b"no such cluster"));
                Action::Pause
            }
        }
    }

    fn count(&self) -> u64 {
        loop {
            let (value, cas) = self.get_shared_data("count");
            let count = value
                .map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap_or_default()))
                + 1;
            match self.set_shared_data("count", Some(&count.to_le_bytes()), cas) {
                Ok(()) => return count,
                Err(Status::CasMismatch) => {}
                Err(status) => panic!("{status:?}"),
            }
        }
    }
}

impl Context for Filter {
    fn on_http_call_response(&mut self, _: u32, _: usize, _: usize, _: usize) {
        let status = self.get_http_call_response_header(":status").unwrap_or_default();
        if status == "200" {
            let user = self.get_http_call_response_header("x-upstream").unwrap_or_default();
            self.set_http_request_header("x-user", Some(&user));
            self.resume_http_request();
        } else {
            self.send_http_response(403, vec![], Some(format!("denied: {status}").as_bytes()));
        }
    }
}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.path = self.get_http_request_header(":path").unwrap_or_default();
        match self.task.split_once(' ').unwrap_or((&self.task, "")) {
            ("header", _) => self.add_http_request_header("x-guest", "rust"),
            ("body", _) => self.set_http_request_header("content-length", None),
            ("call", cluster) => return self.ask(cluster),
            _ => {}
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if self.task != "body" {
            return Action::Continue;
        }
        if !end {
            return Action::Pause;
        }
        if let Some(body) = self.get_http_request_body(0, size) {
            self.set_http_request_body(0, size, &body.to_ascii_uppercase());
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        match &*self.task {
            "header" => self.add_http_response_header("x-guest-path", &self.path),
            "body" => self.set_http_response_header("content-length", None),
            "shared" => self.add_http_response_header("x-count", &self.count().to_string()),
            _ => {}
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if self.task == "body" && end {
            self.set_http_response_body(size, 0, b"!");
        }
        Action::Continue
    }
}
