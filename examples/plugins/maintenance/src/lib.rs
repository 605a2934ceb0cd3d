//! Answers for a site while it is being worked on: from one time to another, except for who may pass.

use std::time::Duration;

use portcullis_sdk::prelude::*;
use portcullis_sdk::time;

/// What an operator writes under `pluginConfig`.
#[configuration]
pub struct Maintenance {
    /// When it begins, in seconds since 1970 (`date +%s -d 'tomorrow 02:00'`).
    from: u64,
    /// When it ends, in the same way.
    to: u64,
    /// What visitors are told.
    #[serde(default = "default_notice")]
    notice: String,
    /// Paths that begin so pass nevertheless.
    #[serde(default)]
    open: Vec<String>,
}

fn default_notice() -> String {
    "We are working on it, and will be back soon.\n".to_owned()
}

#[filter]
impl Filter for Maintenance {
    type Configuration = Self;

    fn new(settings: Self, _: &mut Setup) -> Result<Self, ConfigurationError> {
        if settings.from >= settings.to {
            return Err(ConfigurationError::at("to", "it ends before it begins"));
        }
        Ok(settings)
    }

    async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
        let Some(left) = self.left(time::now()) else { return Ok(Flow::Continue) };
        let path = request.path().unwrap_or_default();
        if self.open.iter().any(|open| path.starts_with(open)) {
            return Ok(Flow::Continue);
        }
        let reply = Reply::new(503).header("retry-after", left.to_string()).body(&*self.notice);
        Ok(reply.details("maintenance").into())
    }
}

impl Maintenance {
    /// The seconds until it is over, while it lasts.
    fn left(&self, now: Duration) -> Option<u64> {
        let now = now.as_secs();
        (self.from..self.to).contains(&now).then(|| self.to - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_sdk::mock::{Host, Outcome, Plugin};

    #[test]
    fn it_begins_and_ends_by_the_clock() {
        let host = Host::new();
        let begins = time::now().as_secs() + 60;
        let settings = format!(r#"{{"from": {begins}, "to": {}}}"#, begins + 3600);
        let plugin = Plugin::<Maintenance>::start(&settings).unwrap();
        let outcome = || plugin.request([(":path", "/")]).send().outcome();
        assert_eq!(outcome(), Outcome::Continued);
        host.advance(Duration::from_secs(60 + 600));
        assert_eq!(outcome().reply().status(), 503);
        let reply = outcome().reply();
        assert!(reply.headers().any(|header| header == ("retry-after", b"3000")));
        host.advance(Duration::from_secs(3000));
        assert_eq!(outcome(), Outcome::Continued);
    }

    #[test]
    fn an_end_before_the_beginning_is_refused() {
        let _host = Host::new();
        let refused = Plugin::<Maintenance>::start(r#"{"from": 2, "to": 1}"#).unwrap_err();
        assert!(refused.contains("pluginConfig.to"), "{refused}");
    }
}
