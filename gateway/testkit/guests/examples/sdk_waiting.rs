//! Requests that wait, on the SDK. The request's `x-do` says for what; what came of it goes on as `x-told`:
//!
//! - `call`: a GET of `x-ask`; 200 tells the reply's `x-upstream`, another status is 403 `denied: STATUS`
//! - `join`: two GETs at once; `select`: the faster of two; `timeout`: a slow one, given up; `late`: one with a timeout
//! - `nowhere`: a cluster that is not known
//! - `cached`: what `/slow` said, once for all
//! - `dropped`: how many requests were given up while they waited; `beats`: what the background has fetched so far
//!
//! Each response carries `x-state`: `done` when the request's callback ended by itself.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use portcullis_sdk::prelude::*;

#[configuration]
struct Settings {
    /// Whom to ask.
    cluster: String,
    /// Whether to fetch in the background.
    #[serde(default)]
    beats: bool,
}

struct Waiting {
    settings: Settings,
    cached: Cached<Rc<str>>,
    dropped: Cell<u32>,
    beats: Cell<u32>,
}

/// Counts a request whose future is dropped before its end.
struct Alive<'a> {
    dropped: &'a Cell<u32>,
    ended: bool,
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.dropped.set(self.dropped.get() + 1);
        }
    }
}

const SHORT: Duration = Duration::from_millis(50);

#[filter]
impl Filter for Waiting {
    type Configuration = Settings;
    type State = Option<&'static str>;

    fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
        let cached = Cached::new(Duration::from_secs(3600));
        Ok(Waiting { settings, cached, dropped: Cell::new(0), beats: Cell::new(0) })
    }

    async fn request(
        &self,
        request: &mut Request,
        state: &mut Option<&'static str>,
    ) -> Result<Flow, Error> {
        let mut alive = Alive { dropped: &self.dropped, ended: false };
        let header = |name| request.headers().first_text(name).unwrap_or_default().into_owned();
        let (task, ask) = (header("x-do"), header("x-ask"));
        let told = self.told(&task, &ask).await?;
        request.headers_mut().set("x-told", told)?;
        alive.ended = true;
        *state = Some("done");
        Ok(Flow::Continue)
    }

    async fn response(
        &self,
        response: &mut Response,
        state: &mut Option<&'static str>,
    ) -> Result<Flow, Error> {
        response.headers_mut().set("x-state", state.unwrap_or("not done"))?;
        Ok(Flow::Continue)
    }

    async fn background(&self) -> Result<(), Error> {
        while self.settings.beats {
            let reply = http(&self.settings.cluster).get("/status/200").await?;
            self.beats.set(self.beats.get() + u32::from(reply.status() == 200));
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Waiting {
    async fn told(&self, task: &str, ask: &str) -> Result<String, Error> {
        let service = http(&self.settings.cluster);
        let status = |reply: Result<portcullis_sdk::CallReply, CallError>| {
            reply.map_or_else(|error| error.to_string(), |reply| reply.status().to_string())
        };
        Ok(match task {
            "call" => {
                let reply = service.get(ask).authority("auth.example").await?;
                if reply.status() != 200 {
                    let denied = format!("denied: {}", reply.status());
                    return Err(Reply::new(403).body(denied).into());
                }
                reply.header_text("x-upstream").unwrap_or_default().to_owned()
            }
            "join" => {
                let (one, two) = join(service.get("/status/201"), service.get("/status/202")).await;
                status(one) + " " + &status(two)
            }
            "select" => match select(service.get("/slow"), service.get("/status/204")).await {
                Either::Left(reply) | Either::Right(reply) => status(reply),
            },
            "timeout" => match timeout(SHORT, service.get("/slow")).await {
                Ok(reply) => status(reply),
                Err(elapsed) => elapsed.to_string(),
            },
            "late" => status(service.get("/slow").timeout(SHORT).await),
            "nowhere" => match http("outbound|80||nowhere").get("/").await {
                Err(CallError::Refused(_)) => "refused".to_owned(),
                other => status(other),
            },
            "cached" => {
                let fetch = async || Ok::<_, Error>(Rc::from(&*service.get("/slow").await?.text()));
                self.cached.get(fetch).await?.to_string()
            }
            "dropped" => self.dropped.get().to_string(),
            "beats" => self.beats.get().to_string(),
            _ => "nothing".to_owned(),
        })
    }
}
