//! Filters on the mock host: state, several plugin objects, errors, the host's refusals.

mod bodies;
mod waiting;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Runtime;
use crate::log::Level;
use crate::mock::{Host, Outcome, Plugin};
use crate::prelude::*;
use crate::property;

/// Remembers a header of the request and shows it in the response.
struct Echo {
    name: String,
    counted: Counter,
}

#[configuration]
struct Settings {
    name: String,
}

#[filter]
impl Filter for Echo {
    type Configuration = Settings;
    type State = Option<String>;

    fn new(settings: Settings, setup: &mut Setup) -> Result<Self, ConfigurationError> {
        if settings.name.is_empty() {
            return Err(ConfigurationError::at("name", "must not be empty"));
        }
        Ok(Echo { name: settings.name, counted: setup.counter("echoes")? })
    }

    async fn request(
        &self,
        request: &mut Request,
        state: &mut Option<String>,
    ) -> Result<Flow, Error> {
        if request.path().as_deref() == Some("/fail") {
            "no number".parse::<u32>()?;
        }
        *state = request.headers().first_text("x-word").map(|word| word.into_owned());
        Ok(Flow::Continue)
    }

    async fn response(
        &self,
        response: &mut Response,
        state: &mut Option<String>,
    ) -> Result<Flow, Error> {
        if let Some(word) = state {
            response.headers_mut().append(&self.name, word)?;
            self.counted.increment();
        }
        Ok(Flow::Continue)
    }
}

#[test]
fn state_lasts_for_one_request() {
    let host = Host::new();
    let plugin = Plugin::<Echo>::start(r#"{"name": "x-echo"}"#).unwrap();
    let exchange = plugin.request([("x-word", "hi")]).send();
    exchange.respond([("x-echo", "upstream")]).send();
    assert_eq!(exchange.downstream_response().unwrap().all("X-Echo"), ["upstream", "hi"]);
    drop(exchange);
    let exchange = plugin.request([]).send();
    exchange.respond([]).send();
    assert!(exchange.response_header("x-echo").is_empty());
    assert_eq!(host.metrics().read("echoes"), Some(1));
}

#[test]
fn an_error_is_logged_and_traps() {
    let host = Host::new();
    let plugin = Plugin::<Echo>::start(r#"{"name": "x-echo"}"#).unwrap();
    let outcome = plugin.request([(":path", "/fail")]).send().outcome();
    let line = "request failed: invalid digit found in string";
    assert_eq!(outcome, Outcome::Trapped(line.to_owned()));
    assert_eq!(host.log(), [(Level::Error, line.to_owned())]);
    // Another instance serves what comes next.
    assert!(plugin.request([]).send().outcome().is_continued());
}

#[test]
fn what_the_host_refuses_is_an_error_and_no_panic() {
    Host::new();
    let plugin = Plugin::<Echo>::start(r#"{"name": "x-echo"}"#).unwrap();
    let exchange = plugin.request([("x-word", "a\r\nb: c")]).send();
    assert!(exchange.outcome().is_continued());
    exchange.respond([]).send();
    let line = "response failed: the host refused add_header_map_value: bad argument (2)";
    assert_eq!(exchange.outcome(), Outcome::Trapped(line.to_owned()));
}

#[test]
fn a_refused_configuration_is_logged_with_its_path() {
    Host::new();
    let refused = |text: &str| Plugin::<Echo>::start(text).err().unwrap();
    assert_eq!(refused(r#"{"name": ""}"#), "pluginConfig.name: must not be empty");
    assert!(refused(r#"{"name": []}"#).starts_with("pluginConfig.name: invalid type"));
    assert!(refused("").starts_with("pluginConfig: missing field `name`"));
}

/// Without state.
struct Named(String);

#[filter]
impl Filter for Named {
    type Configuration = Settings;

    fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
        Ok(Named(settings.name))
    }

    fn log(&self, _: &Record, _: &mut ()) -> Result<(), Error> {
        property::set("seen_by", &self.0)?;
        Ok(())
    }
}

fn configure<F: Filter>(runtime: &Runtime<F>, root: u32, text: &str) {
    crate::host::with_state(|state| state.configuration = text.as_bytes().to_vec());
    runtime.on_context_create(root, 0);
    assert!(runtime.on_configure(root, text.len()));
}

fn seen_by(runtime: &Runtime<Named>, context: u32) -> String {
    runtime.on_log(context);
    Host.property("seen_by").unwrap()
}

#[test]
fn plugin_objects_in_one_memory_keep_apart() {
    Host::new();
    let runtime = Runtime::<Named>::new();
    configure(&runtime, 1, r#"{"name": "first"}"#);
    runtime.on_context_create(10, 1);
    configure(&runtime, 2, r#"{"name": "second"}"#);
    runtime.on_context_create(11, 1);
    runtime.on_context_create(12, 2);
    assert_eq!(seen_by(&runtime, 10), "first");
    assert_eq!(seen_by(&runtime, 11), "first");
    assert_eq!(seen_by(&runtime, 12), "second");
    configure(&runtime, 2, r#"{"name": "renamed"}"#);
    runtime.on_context_create(13, 2);
    assert_eq!(seen_by(&runtime, 12), "second");
    assert_eq!(seen_by(&runtime, 13), "renamed");
    for context in 10..=13 {
        runtime.on_delete(context);
    }
    assert!(runtime.streams.borrow().is_empty());
}

#[test]
fn a_request_that_never_began_does_not_pass() {
    Host::new();
    let runtime = Runtime::<Echo>::new();
    configure(&runtime, 1, r#"{"name": "x-echo"}"#);
    let unknown = catch_unwind(AssertUnwindSafe(|| runtime.on_request_headers(99, 1)));
    assert!(unknown.is_err());
    let (level, line) = Host.log().pop().unwrap();
    assert_eq!(
        (level, line.as_str()),
        (Level::Error, "request failed: called for a request that has not begun")
    );
}

#[test]
fn properties_come_in_their_types() {
    let host = Host::new();
    host.set_property("request.path", "/a");
    host.set_property("response.code", 404_i64.to_le_bytes());
    host.set_property("request.duration", 1_500_000_i64.to_le_bytes());
    host.set_property("connection.mtls", [1]);
    assert_eq!(property::REQUEST_PATH.read().as_deref(), Some("/a"));
    assert_eq!(property::RESPONSE_CODE.read(), Some(404));
    assert_eq!(property::REQUEST_DURATION.read(), Some(std::time::Duration::from_micros(1500)));
    assert_eq!(property::CONNECTION_MTLS.read(), Some(true));
    host.set_property("response.code", "404");
    assert_eq!(property::RESPONSE_CODE.read(), None);
    assert_eq!(property::ROUTE_NAME.read(), None);
}

#[test]
fn lines_below_the_hosts_level_are_not_sent() {
    let host = Host::new();
    host.set_log_level(Level::Warn);
    crate::info!("nobody reads {}", "this");
    crate::warn!("but {this}", this = "this");
    assert_eq!(host.log(), [(Level::Warn, "but this".to_owned())]);
}
