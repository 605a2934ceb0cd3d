//! The smallest useful filter: greets in a response header. Also the yardstick of a module's size.

use portcullis_sdk::prelude::*;

struct Hello {
    greeting: String,
}

/// What is said.
#[configuration]
struct Settings {
    /// The value of `x-hello`.
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "hello".to_owned()
}

#[filter]
impl Filter for Hello {
    type Configuration = Settings;

    fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
        Ok(Hello { greeting: settings.greeting })
    }

    async fn response(&self, response: &mut Response, _: &mut ()) -> Result<Flow, Error> {
        response.headers_mut().set("x-hello", &self.greeting)?;
        Ok(Flow::Continue)
    }
}
