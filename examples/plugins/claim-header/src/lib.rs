//! Tells the upstream which team a request comes from, if its token says so.

use portcullis_sdk::prelude::*;

/// What an operator writes under `pluginConfig`.
#[configuration]
pub struct ClaimHeader {
    /// The claim to look for.
    claim: String,
    /// The header that gets it.
    header: String,
}

#[filter]
impl Filter for ClaimHeader {
    type Configuration = Self;

    async fn request(&self, request: &mut Request, _: &mut ()) -> Result<Flow, Error> {
        // Whatever a client writes there is not to be believed.
        request.headers_mut().remove(&self.header)?;
        if let Some(value) = request.claims().text(&self.claim) {
            request.headers_mut().set(&self.header, value)?;
        }
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_sdk::mock::{Host, Plugin};

    fn team_seen(claims: Option<&str>) -> Option<String> {
        let host = Host::new();
        if let Some(claims) = claims {
            host.set_claims(claims);
        }
        let plugin =
            Plugin::<ClaimHeader>::start(r#"{"claim": "team", "header": "x-team"}"#).unwrap();
        let exchange = plugin.request([(":path", "/"), ("x-team", "forged")]).send();
        exchange.upstream_request().unwrap().header("x-team").map(str::to_owned)
    }

    #[test]
    fn a_claim_becomes_a_header() {
        assert_eq!(team_seen(Some(r#"{"team": "red"}"#)).as_deref(), Some("red"));
    }

    #[test]
    fn without_the_claim_there_is_no_header() {
        assert_eq!(team_seen(Some(r#"{"sub": "ann"}"#)), None);
        assert_eq!(team_seen(None), None);
    }
}
