//! The smallest useful filter: greets in a response header. Also the yardstick of a module's size.

use portcullis_sdk::prelude::*;

struct Hello {
    greeting: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "hello".to_owned()
}

#[portcullis_sdk::filter]
impl Filter for Hello {
    type Configuration = Settings;
    type State = ();

    fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
        Ok(Hello { greeting: settings.greeting })
    }

    fn on_response_headers(&self, response: &mut Response, _: &mut ()) -> Result<Verdict, Error> {
        response.headers_mut().set("x-hello", &self.greeting)?;
        Ok(Verdict::Continue)
    }
}
