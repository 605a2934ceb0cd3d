//! Refuses the clients that a list names which another service keeps: it is asked once a minute, not for every request.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use portcullis_sdk::prelude::*;
use portcullis_sdk::warn;

/// How long a list is good.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long an old one serves while there is no new one.
const STALE: Duration = Duration::from_secs(3600);

/// What an operator writes under `pluginConfig`.
#[configuration]
pub struct Settings {
    /// The cluster that keeps the list: `outbound|80||HOST`, as in Istio.
    cluster: String,
    /// Where it is there: a name on each line.
    path: String,
    /// The header that says who a client is.
    header: String,
}

/// The filter.
pub struct Blocklist {
    settings: Settings,
    list: Cached<Rc<BTreeSet<String>>>,
}

#[filter]
impl Filter for Blocklist {
    type Configuration = Settings;

    fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
        Ok(Blocklist { settings, list: Cached::new(LIFETIME).stale_while_error(STALE) })
    }

    async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
        let Some(client) = request.headers().first_text(&self.settings.header) else {
            return Ok(Flow::Continue);
        };
        // Whoever comes while the list is fetched waits for that one call.
        match self.list.get(async || self.fetch().await).await {
            Ok(list) if list.contains(&*client) => Ok(Reply::new(403).body("not you\n").into()),
            Ok(_) => Ok(Flow::Continue),
            Err(error) => {
                warn!("no list: {error}");
                Ok(Reply::new(503).body("try again later\n").into())
            }
        }
    }
}

impl Blocklist {
    async fn fetch(&self) -> Result<Rc<BTreeSet<String>>, Error> {
        let Settings { cluster, path, .. } = &self.settings;
        let answer = http(cluster).get(path).timeout(Duration::from_millis(500)).await?;
        if answer.status() != 200 {
            return Err(Error::new(format!("{cluster} answers {}", answer.status())));
        }
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        Ok(Rc::new(text.lines().map(|line| line.trim().to_owned()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_sdk::mock::{Answer, Host, Plugin};

    const SETTINGS: &str = r#"{"cluster": "lists", "path": "/blocked", "header": "x-client"}"#;

    fn status(plugin: &Plugin<Blocklist>, client: &str) -> u16 {
        let exchange = plugin.request([(":path", "/"), ("x-client", client)]).send();
        match exchange.upstream_request() {
            Some(_) => 200,
            None => exchange.outcome().reply().status(),
        }
    }

    #[test]
    fn the_list_is_asked_for_once_a_minute() {
        let host = Host::new();
        host.answer("lists", |_| Answer::new(200).body("mallory\neve\n"));
        let plugin = Plugin::<Blocklist>::start(SETTINGS).unwrap();
        assert_eq!(status(&plugin, "eve"), 403);
        assert_eq!(status(&plugin, "ann"), 200);
        assert_eq!(host.calls().len(), 1);
        host.advance(LIFETIME);
        assert_eq!(status(&plugin, "eve"), 403);
        assert_eq!(host.calls().len(), 2);
    }

    #[test]
    fn an_old_list_serves_while_there_is_no_new_one() {
        let host = Host::new();
        host.answer("lists", |_| Answer::new(200).body("eve\n"));
        let plugin = Plugin::<Blocklist>::start(SETTINGS).unwrap();
        assert_eq!(status(&plugin, "ann"), 200);
        host.answer("lists", |_| Answer::new(500));
        host.advance(LIFETIME);
        assert_eq!(status(&plugin, "eve"), 403);
        host.advance(LIFETIME + STALE);
        assert_eq!(status(&plugin, "ann"), 503);
    }
}
