//! Filters at the mock host: starting, dying, starting again, side by side.

use super::super::{Host, Outcome, Plugin};
use crate::prelude::*;
use crate::property;

/// Names itself in a header, and fails on `/fail`.
struct Named {
    name: String,
    served: std::cell::Cell<u32>,
}

#[derive(serde::Deserialize)]
struct Settings {
    name: String,
}

impl Filter for Named {
    type Configuration = Settings;
    type State = ();
    type RequestBody = Unread;
    type ResponseBody = Unread;

    fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
        match settings.name.as_str() {
            "" => Err(ConfigurationError::at("name", "must not be empty")),
            _ => Ok(Named { name: settings.name, served: 0.into() }),
        }
    }

    async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
        if property::REQUEST_URL_PATH.read().as_deref() == Some("/fail") {
            "no number".parse::<u32>()?;
        }
        self.served.set(self.served.get() + 1);
        request.headers_mut().set("x-name", &self.name)?;
        request.headers_mut().set("x-served", self.served.get().to_string())?;
        Ok(Flow::Continue)
    }
}

#[test]
fn a_refused_start_says_what_was_logged() {
    Host::new();
    let refused = Plugin::<Named>::start(r#"{"name": ""}"#).err().unwrap();
    assert_eq!(refused, "pluginConfig.name: must not be empty");
}

#[test]
fn after_a_trap_the_next_request_meets_a_new_instance() {
    Host::new();
    let plugin = Plugin::<Named>::start(r#"{"name": "a"}"#).unwrap();
    assert_eq!(plugin.request([]).send().request_header("x-served"), ["1"]);
    assert_eq!(plugin.request([]).send().request_header("x-served"), ["2"]);
    let failed = plugin.request([(":path", "/fail?x")]).send();
    let Outcome::Trapped(line) = failed.outcome() else { panic!("{:?}", failed.outcome()) };
    assert!(line.contains("invalid digit"), "{line}");
    assert_eq!(plugin.trapped(), Some(line));
    assert_eq!(plugin.request([]).send().request_header("x-served"), ["1"]);
    assert_eq!(plugin.trapped(), None);
    assert!(matches!(failed.outcome(), Outcome::Trapped(_)));
}

#[test]
fn plugins_stand_side_by_side() {
    Host::new();
    let one = Plugin::<Named>::start(r#"{"name": "one"}"#).unwrap();
    let other = Plugin::<Named>::start(r#"{"name": "other"}"#).unwrap();
    assert_eq!(one.request([]).send().request_header("x-name"), ["one"]);
    assert_eq!(other.request([]).send().request_header("x-name"), ["other"]);
    drop(one);
    assert_eq!(other.request([]).send().request_header("x-served"), ["2"]);
}

#[test]
fn properties_of_a_request_follow_its_headers() {
    Host::new();
    let plugin = Plugin::<Named>::start(r#"{"name": "a"}"#).unwrap();
    let exchange = plugin.request([(":path", "/a?b=c"), ("user-agent", "test")]).send();
    let read = |path: &[&str]| property::read::<String>(path).unwrap_or_default();
    crate::host::set_effective_context(exchange.context()).unwrap();
    assert_eq!(read(&["request", "path"]), "/a?b=c");
    assert_eq!(
        (read(&["request", "url_path"]), read(&["request", "query"])),
        ("/a".into(), "b=c".into())
    );
    assert_eq!(
        (read(&["request", "method"]), read(&["request", "host"])),
        ("GET".into(), "example.com".into())
    );
    assert_eq!(read(&["request", "useragent"]), "test");
    assert_eq!(read(&["request", "headers", "x-name"]), "a");
    assert_eq!(property::RESPONSE_CODE.read(), None);
    exchange.respond([(":status", "404")]).send();
    crate::host::set_effective_context(exchange.context()).unwrap();
    assert_eq!(property::RESPONSE_CODE.read(), Some(404));
}
