//! Whole bodies, on the SDK: a request's goes on in capitals, a response's between brackets.
//!
//! The request's `x-do` may be `ask`: then the name of a service is put behind the body. A response with `x-read` is only
//! read, its length logged. Bodies beyond 64 KiB are refused.

use portcullis_sdk::prelude::*;

const LIMIT: usize = 64 << 10;

#[configuration]
struct Settings {
    cluster: String,
}

struct Gathering {
    settings: Settings,
}

#[filter]
impl Filter for Gathering {
    type Configuration = Settings;
    type RequestBody = Buffered<LIMIT>;
    type ResponseBody = Buffered<LIMIT>;

    fn new(settings: Settings, _: &mut Setup) -> Result<Self, ConfigurationError> {
        Ok(Gathering { settings })
    }

    async fn request(
        &self,
        request: &mut Request<Buffered<LIMIT>>,
        _: &mut (),
    ) -> Result<Flow, Error> {
        request.body().await?.make_ascii_uppercase();
        if request.headers().first("x-do").as_deref() == Some(b"ask") {
            let reply = http(&self.settings.cluster).get("/status/200").await?;
            request.body().await?.extend_from_slice(reply.body());
        }
        Ok(Flow::Continue)
    }

    async fn response(
        &self,
        response: &mut Response<Buffered<LIMIT>>,
        _: &mut (),
    ) -> Result<Flow, Error> {
        if response.is_bodiless() {
            return Ok(Flow::Continue);
        }
        if response.headers().first("x-read").is_some() {
            let length = response.read_body().await?.len();
            portcullis_sdk::info!("read {length} bytes");
            return Ok(Flow::Continue);
        }
        let body = response.body().await?;
        *body = [b"[", body.as_slice(), b"]"].concat();
        Ok(Flow::Continue)
    }
}
