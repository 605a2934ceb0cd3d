//! A filter as written for Envoy: reads its configuration as a mark and shows it, adds headers, reads properties, answers
//! some paths itself.
//!
//! - Request: adds `x-guest-request: seen`, and the mark as `x-guest-mark` for the upstream.
//! - Response: adds `x-guest-mark: MARK` (the whole plugin configuration, trimmed), `x-guest-path: PATH` (the property
//!   `request.path`) and, where a route is named, `x-guest-route: NAME`.
//! - `/guest/denied` is answered with 403 `denied by guest`, `/guest/teapot` with 418 and a header `x-teapot: yes`.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { mark: String::new() }));
}}

struct Root {
    mark: String,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        self.mark = String::from_utf8_lossy(&configuration).trim().to_owned();
        log::info!("configured with {} bytes", configuration.len());
        self.mark != "refuse"
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter { mark: self.mark.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Filter {
    mark: String,
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.add_http_request_header("x-guest-request", "seen");
        self.set_http_request_header("x-guest-mark", Some(&self.mark));
        match self.get_http_request_header(":path").as_deref() {
            Some("/guest/denied") => {
                self.send_http_response(403, vec![], Some(b"denied by guest"));
                Action::Pause
            }
            Some("/guest/teapot") => {
                self.send_http_response(418, vec![("x-teapot", "yes")], None);
                Action::Pause
            }
            _ => Action::Continue,
        }
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.add_http_response_header("x-guest-mark", &self.mark);
        for (header, path) in
            [("x-guest-path", vec!["request", "path"]), ("x-guest-route", vec!["route_name"])]
        {
            if let Some(value) = self.get_property(path) {
                self.add_http_response_header(header, &String::from_utf8_lossy(&value));
            }
        }
        Action::Continue
    }
}
