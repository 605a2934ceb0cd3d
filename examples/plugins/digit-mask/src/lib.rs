//! Stars the digits of long numbers in responses (cards, accounts), piece by piece, however long the response is.

use portcullis_sdk::prelude::*;

/// What an operator writes under `pluginConfig`.
#[configuration]
pub struct DigitMask {
    /// So many digits of a number stay; those behind them are starred.
    #[serde(default = "default_keep")]
    keep: usize,
}

fn default_keep() -> usize {
    6
}

#[filter]
impl Filter for DigitMask {
    type Configuration = Self;
    /// How many digits of the present number have been seen: a piece may end in the middle of one.
    type State = usize;
    type ResponseBody = Chunks;

    async fn response(
        &self,
        response: &mut Response<Chunks>,
        seen: &mut usize,
    ) -> Result<Flow, Error> {
        let kind = response.headers().first_text("content-type").unwrap_or_default();
        if !kind.starts_with("text/") && !kind.starts_with("application/json") {
            return Ok(Flow::Continue);
        }
        while let Some(mut chunk) = response.next_chunk().await? {
            let masked = self.mask(chunk.bytes(), seen);
            chunk.replace(masked)?;
        }
        Ok(Flow::Continue)
    }
}

impl DigitMask {
    fn mask(&self, bytes: &[u8], seen: &mut usize) -> Vec<u8> {
        let star = |byte: &u8| {
            match byte {
                b'0'..=b'9' => *seen += 1,
                // People group digits.
                b' ' | b'-' if *seen > 0 => return *byte,
                _ => *seen = 0,
            }
            if *seen > self.keep { b'*' } else { *byte }
        };
        bytes.iter().map(star).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_sdk::mock::{Host, Plugin};

    fn through(pieces: [&str; 2], kind: &str) -> String {
        let _host = Host::new();
        let plugin = Plugin::<DigitMask>::start("").unwrap();
        let exchange = plugin.request([(":path", "/")]).send();
        let head = [(":status", "200"), ("content-type", kind)];
        exchange.respond(head).body(pieces[0]).body(pieces[1]).send();
        String::from_utf8(exchange.downstream_response().unwrap().body().to_vec()).unwrap()
    }

    #[test]
    fn a_number_is_starred_across_pieces() {
        let masked = through(["card 4111 11", "11 1111 1111, 12 pieces"], "text/plain");
        assert_eq!(masked, "card 4111 11** **** ****, 12 pieces");
    }

    #[test]
    fn what_is_no_text_stays() {
        assert_eq!(through(["12345", "67890"], "image/png"), "1234567890");
    }
}
